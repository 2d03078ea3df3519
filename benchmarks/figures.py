"""The targets netlint has set itself, and what was measured of them."""

from dataclasses import dataclass

from benchmarks.commands import (
    BARE_CLICK,
    MODELS_FOR_POLYGRAPHY,
    NETLINT,
    NETLINT_AGAIN,
    NETLINT_COMPLETION,
    NETLINT_HELP,
    NETLINT_ONE_JOB,
    NETLINT_RULE,
    NETLINT_SETTINGS,
    NETLINT_TWO_JOBS,
    NETLINT_VERSION,
    ONNX_LOAD,
    POLYGRAPHY,
    POLYGRAPHY_TEN,
)
from benchmarks.measure import Measurement
from benchmarks.models import MANY_MODELS
from benchmarks.torch_models import BUILD, NETLINT_TORCH, TORCH_LLAMA_70B, TORCH_RESNET50

STARTUP = "startup"
CACHED = "cached"
MANY = "many_500"

# Measurements by subject and label of the command.
Key = tuple[str, str]
Results = dict[Key, Measurement]


@dataclass(frozen=True)
class Target:
    """A bound on median CPU of `what`, as a multiple of that of `beside`; without `beside`, on peak RSS in MB.

    `wall`: durations are compared instead. `scale` is for a `what` that is measured on a part of the work.
    """

    statement: str
    limit: float
    what: Key
    beside: Key | None = None
    at_least: bool = False
    wall: bool = False
    scale: float = 1

    @property
    def bound(self) -> str:
        """The limit as text, with its unit."""
        unit = "×" if self.beside else "MB"
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {unit}"


@dataclass(frozen=True)
class Figure:
    """A target and what was measured, in its unit; None where a command was missing, left out or failed."""

    target: Target
    measured: float | None

    @property
    def verdict(self) -> str:
        """`ok`, `MISSED` or `not measured`."""
        if self.measured is None:
            return "not measured"
        limit = self.target.limit
        met = self.measured >= limit if self.target.at_least else self.measured <= limit
        return "ok" if met else "MISSED"


def _on(subject: str) -> Key:
    """The key of netlint on a subject."""
    return subject, NETLINT


def _load(subject: str) -> Key:
    """The key of onnx.load on a subject."""
    return subject, ONNX_LOAD


TARGETS = (
    Target("light_resnet50: netlint beside onnx.load, CPU", 2, _on("light_resnet50"), _load("light_resnet50")),
    Target("netlint rule beside a bare click command, CPU", 3, (STARTUP, NETLINT_RULE), (STARTUP, BARE_CLICK)),
    Target("netlint --help beside a bare click command, CPU", 3, (STARTUP, NETLINT_HELP), (STARTUP, BARE_CLICK)),
    Target("completion beside a bare click command, CPU", 3, (STARTUP, NETLINT_COMPLETION), (STARTUP, BARE_CLICK)),
    Target("an unchanged model beside netlint --version, CPU", 1.5, (CACHED, NETLINT_AGAIN), (CACHED, NETLINT_VERSION)),
    Target("the same with settings for rules, CPU", 2, (CACHED, NETLINT_SETTINGS), (CACHED, NETLINT_VERSION)),
    Target(
        "many_500: one process beside two, duration",
        1.7,
        (MANY, NETLINT_ONE_JOB),
        (MANY, NETLINT_TWO_JOBS),
        at_least=True,
        wall=True,
    ),
    Target(
        "many_500: Polygraphy's lint, 500 times (measured: 10), beside netlint, duration",
        20,
        (MANY, POLYGRAPHY_TEN),
        (MANY, NETLINT_TWO_JOBS),
        at_least=True,
        wall=True,
        scale=MANY_MODELS / MODELS_FOR_POLYGRAPHY,
    ),
    Target("nodes_100k: netlint beside onnx.load, CPU", 6, _on("nodes_100k"), _load("nodes_100k")),
    Target("netlint on nodes_200k beside nodes_100k, CPU", 2.2, _on("nodes_200k"), _on("nodes_100k")),
    Target("one_file_1gib: netlint beside onnx.load, CPU", 0.5, _on("one_file_1gib"), _load("one_file_1gib")),
    Target("one_file_1gib: netlint, peak RSS", 150, _on("one_file_1gib")),
    Target("external_4gib: netlint beside onnx.load, CPU", 0.5, _on("external_4gib"), _load("external_4gib")),
    Target("external_4gib: netlint, peak RSS", 150, _on("external_4gib")),
    Target(
        "torch_resnet50: netlint beside building the model, CPU",
        1.6,
        (TORCH_RESNET50, NETLINT_TORCH),
        (TORCH_RESNET50, BUILD),
    ),
    Target("torch_llama_70b: netlint, peak RSS", 1000, (TORCH_LLAMA_70B, NETLINT_TORCH)),
    Target(
        "light_resnet50: Polygraphy's lint beside netlint, CPU",
        10,
        ("light_resnet50", POLYGRAPHY),
        _on("light_resnet50"),
        at_least=True,
    ),
)


def figures(results: Results) -> list[Figure]:
    """Every target with what `results` say of it."""
    return [Figure(target, _measured(target, results)) for target in TARGETS]


def cpu_ratio(what: Measurement | None, beside: Measurement | None) -> float | None:
    """Median CPU of one measurement as a multiple of another's, or None where one has no figures."""
    if what is None or beside is None or what.failure or beside.failure:
        return None
    return what.median_cpu_s / beside.median_cpu_s


def wall_ratio(what: Measurement | None, beside: Measurement | None) -> float | None:
    """Median duration of one measurement as a multiple of another's, or None where one has no figures."""
    if what is None or beside is None or what.failure or beside.failure:
        return None
    return what.median_wall_s / beside.median_wall_s


def _measured(target: Target, results: Results) -> float | None:
    """The measured value of a target, in its unit."""
    what = results.get(target.what)
    if target.beside:
        beside = results.get(target.beside)
        found = wall_ratio(what, beside) if target.wall else cpu_ratio(what, beside)
        return None if found is None else found * target.scale
    return None if what is None or what.failure else what.median_peak_rss_mb
