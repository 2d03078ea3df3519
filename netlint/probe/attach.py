"""Gives the graph of a model file something that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netlint.analysis import Unavailable
from netlint.errors import ConfigError
from netlint.graph import Graph, Runner
from netlint.training import Training

from .request import Request

if TYPE_CHECKING:
    from .files import Data

_PIPED = "a model from standard input is not run: name its file"
_NO_TORCH = "torch is not installed"


class Missing:
    """Can run nothing, and says why."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def run(self, stage: str, graph: Graph, training: Training) -> Any:
        """Raises `Unavailable`."""
        raise Unavailable(self._reason)


class FileRunner:
    """Runs the graph of a file in torch, which gives gradients, and where that cannot be, otherwise."""

    def __init__(self, request: Request, other: Callable[[str], Runner]) -> None:
        """`other` is told why torch does not run it."""
        self._request = request
        self._other = other
        self._chosen: Runner | None = None

    def run(self, stage: str, graph: Graph, training: Training) -> Any:
        """Do a stage. Raises `Unavailable` where that cannot be done."""
        if self._chosen is None:
            self._chosen = self._choose(graph, training)
        return self._chosen.run(stage, graph, training)

    def _choose(self, graph: Graph, training: Training) -> Runner:
        if find_spec("torch") is None:
            return self._other(_NO_TORCH)
        from .torch.runner import executing

        try:
            return executing(graph, self._request, training)
        except (Unavailable, ConfigError) as why:  # onnxruntime may have a GPU where torch has none
            return self._other(str(why))


def runnable(graph: Graph, source: str | bytes, request: Request | None) -> Graph:
    """The graph with a runner, if that was asked for; `source` is the file of the model, or its bytes.

    Raises `TargetError` for a batch that does not fit, `ConfigError` for a GPU that is not there.
    """
    if request is None:
        return graph
    if request.device == "cuda":
        _need_gpu()
    data = None
    if request.batch and not request.batch.endswith((".pt", ".pth")):
        from .files import fitted, read

        data = read(request.batch)
        fitted(data, graph.inputs)
    return replace(graph, runner=FileRunner(request, partial(_by_onnxruntime, source, request, data)))


def _need_gpu() -> None:
    """Raises `ConfigError` where neither torch nor onnxruntime has one."""
    if find_spec("onnxruntime") is not None:
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            return
    if find_spec("torch") is None:
        raise ConfigError("--probe=cuda finds no GPU: torch is not installed; --probe=cpu runs the model on the CPU")
    from .torch.devices import device

    device("cuda")


def _by_onnxruntime(source: str | bytes, request: Request, data: Data | None, why: str) -> Runner:
    if isinstance(source, str) and source.endswith(".pt2"):
        return Missing(why)
    if source == "-":
        return Missing(f"{why}; {_PIPED}")
    from .onnx import OnnxRunner

    return OnnxRunner(Path(source) if isinstance(source, str) else source, request, data, why)
