"""The models that are measured. Content is pseudo-random from a fixed seed: every run writes the same bytes."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx

from benchmarks.dense_chain import LAYER_BYTES, write_external, write_one_file
from benchmarks.residual_chain import write_residual_chain

GIB = 1 << 30
LARGE_BYTES = GIB


@dataclass(frozen=True)
class Subject:
    """A model to measure: its name, the size of its weights in bytes, and what writes it to a path."""

    name: str
    weight_bytes: int
    write: Callable[[Path], None]

    @property
    def large(self) -> bool:
        """Whether `--skip-large` leaves it out."""
        return self.weight_bytes >= LARGE_BYTES


MANY_MODELS = 500


def generate_many(folder: Path) -> list[Path]:
    """Write 500 models of 10 to 60 nodes into a folder of their own and return their absolute paths."""
    place = folder.resolve() / "many_500"
    place.mkdir(exist_ok=True)
    paths = [place / f"{index:03}.onnx" for index in range(MANY_MODELS)]
    for index, path in enumerate(paths):
        write_residual_chain(path, nodes=10 * (1 + index % 6))
    return paths


def generate(subject: Subject, folder: Path) -> Path:
    """Write the model of `subject` into `folder` and return its absolute path."""
    path = folder.resolve() / f"{subject.name}.onnx"
    subject.write(path)
    return path


def _copy_light_resnet50(path: Path) -> None:
    """Copy onnx's own ResNet-50, whose weights are computed in the graph, away from any configuration file."""
    source = Path(onnx.__file__).parent / "backend/test/data/light/light_resnet50.onnx"
    shutil.copyfile(source, path)


SUBJECTS = (
    Subject("light_resnet50", 0, _copy_light_resnet50),
    Subject("nodes_100k", 7_520_000, partial(write_residual_chain, nodes=100_000)),
    Subject("nodes_200k", 15_040_000, partial(write_residual_chain, nodes=200_000)),
    Subject("one_file_1gib", GIB, partial(write_one_file, layers=GIB // LAYER_BYTES)),
    Subject("external_4gib", 4 * GIB, partial(write_external, layers=4 * GIB // LAYER_BYTES)),
)
