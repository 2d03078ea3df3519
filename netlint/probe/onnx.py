"""Runs an ONNX model with onnxruntime: values of the forward pass, and whether samples leak into each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netlint.analyses.shapes import Shapes, shapes
from netlint.analysis import Results, Unavailable
from netlint.errors import first_line
from netlint.graph import Graph, Value
from netlint.ops import RANDOM
from netlint.training import Training

from .arrays import placed_axis, seen_in
from .feed import Feed
from .files import Data
from .observed import KEPT_NUMBERS, KEPT_SAMPLES, Leak, Passes, Seen, Setup
from .request import Request
from .synthetic import SAMPLES, Array

if TYPE_CHECKING:
    from .observed import Floats

_LIVE = "for gradients give the PyTorch model"
MISSING = "needs onnxruntime to run the model: pip install 'netlint-nn[probe]'"
GROUP = 1 << 30
"""Bytes of values that are fetched at a time."""
LEAK_SAMPLES = 4
SAME = 1e-5
"""Differences below this part of the outputs' spread are rounding."""


class OnnxRunner:
    """Runs one ONNX model; `source` is its file, or its bytes."""

    def __init__(self, source: Path | bytes, request: Request, data: Data | None = None, why: str = "") -> None:
        """`why`: why the model is not run in torch, which gives gradients as well."""
        self._source = source
        self._request = request
        self._data = data
        self._why = f": {why}" if why else ""
        self._model: _Model | None = None

    def run(self, stage: str, graph: Graph, training: Training) -> Any:
        """Do a stage. Raises `Unavailable` where that cannot be done."""
        if stage not in ("passes", "leak"):
            raise Unavailable(f"onnxruntime runs the model forward alone; {_LIVE}{self._why}")
        if find_spec("onnxruntime") is None:
            raise Unavailable(MISSING)
        if self._model is None:
            self._model = _Model(self._source, graph, self._request.device)
        fed = _Fed(Feed(graph, training, self._request, self._data, self._model, SAMPLES), self._model, self._why)
        return _passes(fed) if stage == "passes" else _leak(fed)


class _Model:
    """A session with every value of the main graph as an output."""

    def __init__(self, source: Path | bytes, graph: Graph, device: str) -> None:
        import onnx
        import onnxruntime

        model = _read(onnx, source)
        present = {out.name for out in model.graph.output}
        known = {out.name for node in graph.nodes for out in node.outputs if out is not None and out.name}
        self.names = [name for node in model.graph.node for name in node.output if name in known]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self.names if name not in present)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        if isinstance(source, Path):
            folder = str(source.absolute().parent)
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        self.device, providers = _provider(onnxruntime, device)
        try:
            self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers)
        except Exception as error:
            raise Unavailable(f"onnxruntime does not take the model: {first_line(error)}") from None
        if self.device == "GPU" and "CUDAExecutionProvider" not in self._session.get_providers():
            # It goes on with the CPU where the libraries of the GPU do not load.
            self.device = "cpu"
            if device == "cuda":
                raise Unavailable("onnxruntime cannot load what it needs for the GPU: --probe=cpu")

    def run(self, feed: Mapping[str, Array], names: Sequence[str]) -> list[Any]:
        """The values of these names. Raises what onnxruntime raises."""
        return list(self._session.run(list(names), dict(feed)))

    def tried(self, values: Mapping[str, Array], samples: int) -> int:
        """Whether it runs on these values at all, then on any number of samples. Raises `Unavailable`."""
        try:
            self.run(values, self.names[-1:])
        except Exception as error:
            raise Unavailable(f"the model does not run: {first_line(error)}") from None
        return samples


@dataclass(frozen=True, slots=True)
class _Fed:
    """A model with its inputs."""

    feed: Feed
    model: _Model
    why: str

    @property
    def graph(self) -> Graph:
        return self.feed.graph

    def setup(self, samples: int | None = None) -> Setup:
        """What the findings print."""
        count = samples or self.feed.samples
        about = f" {self.feed.about}" if self.feed.about else ""
        return Setup(
            device=self.model.device,
            runner="onnxruntime",
            batch=f"{self.feed.origin}, {count} sample{'s' * (count != 1)}{about}",
            samples=count,
            seed=self.feed.request.seed,
            synthetic=not self.feed.real,
            notes=(f"in inference mode, without gradients{self.why}",),
        )


def _read(onnx: Any, source: Path | bytes) -> Any:
    """The model without the weights that lie in other files."""
    try:
        if isinstance(source, bytes):
            return onnx.load_model_from_string(source)
        if source.suffix == ".onnxtxt":
            from netlint.frontends.onnx import onnx_text

            return onnx_text(source.read_text("utf-8"))
        return onnx.load(source, load_external_data=False)
    except Exception as error:
        raise Unavailable(f"the file cannot be read again: {first_line(error)}") from None


def _provider(onnxruntime: Any, device: str) -> tuple[str, list[str]]:
    there = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not there:
        raise Unavailable("this onnxruntime knows no GPU: --probe=cpu")
    if there and device != "cpu":
        return "GPU", ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return "cpu", ["CPUExecutionProvider"]


def _passes(fed: _Fed) -> Passes:
    values = {out.name: out for node in fed.graph.nodes for out in node.outputs if out is not None}
    wanted = [values[name] for name in fed.model.names]
    seen: dict[Value, Seen] = {}
    outputs: dict[Value, Floats] = {}
    for group in _groups(wanted, fed.feed):
        for value, array in zip(group, fed.model.run(fed.feed.values, [value.name for value in group]), strict=True):
            node = fed.graph.producer(value)
            if node is None or not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.size:
                continue
            if (one := seen_in(array, node)) is not None:
                seen[value] = one
            axis = placed_axis(value, fed.feed.batch) or 0
            if fed.graph.is_output(value) and array.ndim > 1 and array.shape[axis] == fed.feed.samples:
                rows = np.moveaxis(array, axis, 0)[:KEPT_SAMPLES]
                outputs[value] = rows.reshape(len(rows), -1)[:, :KEPT_NUMBERS].astype(np.float64)
    return Passes(
        setup=fed.setup(),
        seen=seen,
        weights=(),
        inputs={
            value: _ends(fed.feed.values[value.name]) for value in fed.graph.inputs if value.name in fed.feed.values
        },
        outputs=outputs,
    )


def _ends(array: Array) -> tuple[float, float]:
    return (float(array.min()), float(array.max())) if array.size else (math.nan, math.nan)


def _groups(values: Sequence[Value], feed: Feed) -> Iterator[list[Value]]:
    """Values in the order of execution, so many at a time as fit into memory."""
    known = Results(feed.graph, feed.training).get(shapes)
    group: list[Value] = []
    size = 0.0
    for value in values:
        nbytes = _nbytes(known, value, feed.samples)
        if group and size + nbytes > GROUP:
            yield group
            group, size = [], 0.0
        group.append(value)
        size += nbytes
    if group:
        yield group


def _nbytes(known: Shapes, value: Value, samples: int) -> float:
    """A guess where lengths are not known: that of the batch."""
    shape = known.of(value) or ()
    return 8.0 * math.prod(dim if isinstance(dim, int) else samples for dim in shape)


def _leak(fed: _Fed) -> Leak:
    """One sample after the other is exchanged; what changes in the outputs of the others leaks."""
    feed = fed.feed
    if feed.batch is None or feed.real:
        raise Unavailable("the number of samples is fixed in the file" if feed.batch is None else "needs own samples")
    if feed.graph.of(*RANDOM):
        raise Unavailable("the model draws random numbers, and gives other outputs each time")
    if any(node.attrs.get("training_mode", 0) for node in feed.graph.of("BatchNormalization")):
        raise Unavailable("the graph is of training mode, in which batch norms mix samples")
    base = feed.drawn(LEAK_SAMPLES, feed.length)
    other = feed.drawn(LEAK_SAMPLES, feed.length, seed=1)
    names = [out.name for out in feed.graph.outputs if placed_axis(out, feed.batch) == 0]
    if not names:
        raise Unavailable("no output has an axis of samples")
    calm = [_rows(array) for array in fed.model.run(base, names)]
    pairs: list[tuple[int, int, float]] = []
    own = 0.0
    for changed in range(LEAK_SAMPLES):
        mixed = {value.name: _exchanged(value, base, other, changed, feed.batch) for value in feed.graph.inputs}
        moved = _moved(calm, [_rows(array) for array in fed.model.run(mixed, names)])
        size = _size(base, mixed)
        own = max(own, moved[changed] / size)
        pairs += [(changed, at, amount / size) for at, amount in enumerate(moved) if at != changed and amount > 0]
    return Leak(fed.setup(LEAK_SAMPLES), tuple(pairs), own)


def _rows(array: Array) -> Array:
    return np.asarray(array, np.float64).reshape(LEAK_SAMPLES, -1)


def _exchanged(value: Value, base: Mapping[str, Array], other: Mapping[str, Array], at: int, batch: str) -> Array:
    made = base[value.name].copy()
    axis = placed_axis(value, batch)
    if axis is not None:
        place = (slice(None),) * axis + (at,)
        made[place] = other[value.name][place]
    return made


def _moved(calm: Sequence[Array], now: Sequence[Array]) -> list[float]:
    """By sample the largest change of an output; 0 where that is rounding."""
    found = [0.0] * LEAK_SAMPLES
    for before, after in zip(calm, now, strict=True):
        change = np.abs(after - before).max(axis=1)
        floor = SAME * (float(np.abs(before).max()) or 1.0)
        found = [max(old, float(new)) if new > floor else old for old, new in zip(found, change, strict=True)]
    return found


def _size(base: Mapping[str, Array], mixed: Mapping[str, Array]) -> float:
    """The largest change of an input."""
    changes = [np.abs(mixed[name].astype(np.float64) - array.astype(np.float64)).max() for name, array in base.items()]
    return float(max(changes, default=1.0)) or 1.0
