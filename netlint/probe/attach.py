"""Gives the graph of a model file something that runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from netlint.analysis import Unavailable
from netlint.graph import Graph
from netlint.training import Training

from .request import Request

_EXPORTED = "an exported program is not run: give the model that it was made of (net.py:Net), or its ONNX export"
_PIPED = "a model from standard input is not run: name its file"


class Missing:
    """Can run nothing, and says why."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def run(self, stage: str, graph: Graph, training: Training) -> Any:
        """Raises `Unavailable`."""
        raise Unavailable(self._reason)


def runnable(graph: Graph, source: str | bytes, request: Request | None) -> Graph:
    """The graph with a runner, if that was asked for; `source` is the file of the model, or its bytes.

    Raises `TargetError` for a batch that does not fit.
    """
    if request is None:
        return graph
    if source == "-" or (isinstance(source, str) and source.endswith(".pt2")):
        return replace(graph, runner=Missing(_PIPED if source == "-" else _EXPORTED))
    from .files import fitted, read
    from .onnx import OnnxRunner

    data = read(request.batch) if request.batch else None
    if data is not None:
        fitted(data, graph.inputs)
    return replace(graph, runner=OnnxRunner(Path(source) if isinstance(source, str) else source, request, data))
