"""The graph of a file, or of an exported program, run in torch: it gives gradients as a live model does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from netlint.graph import Graph, Node, Value
from netlint.ops import WEIGHTED
from netlint.probe.arrays import SPANS, moves, softmax_axis, units_axis
from netlint.probe.feed import Feed, batch_name, samples_in
from netlint.probe.files import Data, targets
from netlint.probe.request import Request
from netlint.probe.synthetic import Array
from netlint.training import Training

from . import size
from .data import Batch
from .execution import Execution
from .plan import See, Watched
from .source import Followed

_ONE_MODE = "an exported graph has one mode"
_OWN = "the gradients of a file are torch's own"


@dataclass(slots=True)
class _Whole:
    """Nothing of such a run is lost."""

    lost: str = ""


class Executed:
    """A graph."""

    step = None
    refused: Mapping[str, str] = {"modes": _ONE_MODE, "gradient_check": _OWN}

    def __init__(self, graph: Graph) -> None:
        """Raises `Unavailable` where it cannot be run."""
        self.model: nn.Module = Execution(graph)
        self.mode = "train" if _in_training(graph) else "eval"
        self.samples_axis = batch_name(graph)
        self.products = 0.0
        self._made: tuple[Training, int, Batch] | None = None

    def batch(
        self, graph: Graph, training: Training, request: Request, samples: int, kind: str, data: Data | None
    ) -> Batch:
        """Of as many samples as fit; the same one for each stage."""
        if self._made is not None and self._made[:2] == (training, samples):
            return self._made[2]
        made = self._fed(graph, training, request, samples, kind, data)
        self._made = training, samples, made
        return made

    def _fed(
        self, graph: Graph, training: Training, request: Request, samples: int, kind: str, data: Data | None
    ) -> Batch:
        trial = _Trial(self._execution, graph, kind, self.samples_axis)
        feed = Feed(graph, training, request, data, trial, samples)
        self.products = trial.products
        tensors = [torch.from_numpy(feed.values[value.name]) for value in graph.inputs]
        given = targets(data, graph.inputs) if data is not None else None
        return Batch(
            tuple(tensors),
            {},
            feed.samples,
            feed.origin,
            feed.about,
            None if given is None else torch.from_numpy(given),
            feed.real,
            feed.axis,
        )

    @property
    def _execution(self) -> Execution:
        assert isinstance(self.model, Execution)
        return self.model

    @contextmanager
    def followed(self, graph: Graph, see: See, samples: int) -> Iterator[Followed]:
        """Node by node."""
        watched = _Watch(graph, see)
        self._execution.see = watched.see
        try:
            yield _Whole()
        finally:
            self._execution.see = None

    def order(self) -> Sequence[str]:
        """As the graph reads them."""
        return [name for name, _ in self.model.named_parameters()]


def _in_training(graph: Graph) -> bool:
    return any(node.attrs.get("training_mode", 0) for node in graph.of("BatchNormalization"))


class _Watch:
    """Shows what nodes compute as the statistics want it."""

    def __init__(self, graph: Graph, see: See) -> None:
        self._graph = graph
        self._see = see

    def see(self, node: Node, value: Value, tensor: torch.Tensor) -> None:
        """One result."""
        floating, rank = tensor.is_floating_point(), tensor.dim()
        output = floating and self._graph.is_output(value)
        if not floating or (moves(node) and not output):
            return
        axis, softmax = units_axis(node, rank), softmax_axis(node, rank, self._graph.opset.get("", 1))
        with torch.no_grad():
            watched = Watched(value, node, (), axis, SPANS.get(node.op), softmax, not moves(node), output)
            self._see(watched, tensor, None)


@dataclass(slots=True)
class _Trial:
    """Counts what a run on a few samples takes."""

    execution: Execution
    graph: Graph
    kind: str
    batch: str | None
    nbytes: float = 0.0
    products: float = 0.0

    def tried(self, values: Mapping[str, Array], samples: int) -> int:
        """How many samples a batch may have. Raises `Unavailable` where the graph does not run on these."""
        self.nbytes = self.products = 0.0
        self.execution.see = self._count
        tensors = [torch.from_numpy(values[value.name]) for value in self.graph.inputs]
        try:
            with torch.no_grad():
                self.execution(*tensors)
        finally:
            self.execution.see = None
        few = samples_in(values, self.graph, self.batch)
        self.products /= few
        return size.fitting(self.nbytes / few, self.products, samples, self.kind)

    def _count(self, node: Node, value: Value, tensor: torch.Tensor) -> None:
        if moves(node):
            return
        self.nbytes += tensor.numel() * tensor.element_size()
        self.products += tensor.numel() * _row(node, tensor.shape)


def _row(node: Node, shape: torch.Size) -> float:
    """How many products each element of a layer's result is the sum of; 0 where no weight is stored."""
    slots = WEIGHTED.get(node.op)
    weight = node.input(slots.weight) if slots is not None else None
    if weight is None or weight.constant is None or len(shape) < 2:
        return 0.0
    units = shape[1] if node.op.startswith("Conv") else shape[-1]
    return math.prod(weight.constant.shape) / max(units, 1)
