"""Follows the units of a layer to all that reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from netlint.graph import Graph, Node, Value
from netlint.ops import ACTIVATIONS, ARITHMETIC
from netlint.ops.read import scalar

from ._units_layout import CHANNELS, LAST, MATRIX, RUNS, ShapeOf, through_rows, through_space
from .layers import Layer, Layers

_ELEMENTWISE = (ACTIVATIONS - {"PRelu"}) | {"Identity", "Cast", "Abs", "Neg", "Exp", "Sqrt"}
_NORM_PARAMETERS = {"BatchNormalization": (1, 2, 3, 4), "InstanceNormalization": (1, 2)}
_NORM_PARAMETERS |= {"GroupNormalization": (1, 2), "LayerNormalization": (1, 2), "RMSNormalization": (1,)}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """All that reads the units of a hidden layer."""

    readers: tuple[Layer, ...]
    scales: tuple[Value, ...]
    """Vectors with one element per unit that are applied in between: parameters of norms, biases of filters."""
    filters: tuple[Layer, ...] = ()
    """Depthwise convolutions in between, which filter each unit on its own."""
    groups: tuple[int, ...] = ()
    """Group norms in between, by their number of groups: only units of one group are treated alike."""


class Frontier:
    """Nodes that read some values, each once, in graph order: whatever a node reads has been seen before it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._heap: list[int] = []
        self._met: set[Node] = set()

    def add(self, values: Iterable[Value]) -> None:
        for value in values:
            for node in self._graph.uses(value):
                if node not in self._met:
                    self._met.add(node)
                    heappush(self._heap, self._graph.position[node])

    def __iter__(self) -> Iterator[Node]:
        while self._heap:
            yield self._graph.nodes[heappop(self._heap)]


class Walk:
    """Follows the units of one layer to all that reads them, in graph order."""

    def __init__(self, graph: Graph, all_layers: Layers, layer: Layer, shape_of: ShapeOf) -> None:
        self._graph = graph
        self._layers = all_layers
        self._layer = layer
        self._shape_of = shape_of
        self._rank = len(layer.weight.shape or ())
        self._carried: dict[Value, str] = {}
        self._todo = Frontier(graph)
        self._readers: dict[Layer, None] = {}
        self._scales: list[Value] = []
        self._filters: list[Layer] = []
        self._groups: list[int] = []

    def run(self) -> Outgoing | None:
        layout = _layout(self._layer)
        if layout is None or not self._carry(self._layer.output, layout):
            return None
        if not all(self._visit(node) for node in self._todo):
            return None
        if not self._readers:
            return None
        return Outgoing(tuple(self._readers), tuple(self._scales), tuple(self._filters), tuple(self._groups))

    def _carry(self, value: Value | None, layout: str) -> bool:
        if value is None or self._graph.is_output(value):
            return False
        self._carried[value] = layout
        self._todo.add((value,))
        return True

    def _visit(self, node: Node) -> bool:
        """Whether the node is understood."""
        if node.op in ("Shape", "Size") and not node.domain:
            return True
        reader = self._layers.of(node)
        if reader is not None:
            return self._filter(reader) if group_count(reader) > 1 else self._read(reader)
        layout = self._through(node)
        return layout is not None and self._carry(node.output(), layout)

    def _filter(self, reader: Layer) -> bool:
        """Through a depthwise convolution of one filter for each unit."""
        shape = reader.weight.shape
        if reader.kind != "conv" or self._carried.get(reader.data) != CHANNELS or shape is None:
            return False
        if shape[:2] != (group_count(reader), 1):
            return False
        self._filters.append(reader)
        bias = reader.node.input(2)
        self._scales.extend([bias] if bias is not None else [])
        return self._carry(reader.node.output(), CHANNELS)

    def _read(self, reader: Layer) -> bool:
        layout = self._carried.get(reader.data)
        self._readers[reader] = None
        if reader.kind in ("conv", "conv-transpose"):
            return layout == CHANNELS
        if reader.kind == "recurrent":
            return layout == LAST and reader.data is reader.node.input(0) and not reader.node.attrs.get("layout", 0)
        if reader.kind != "dense" or reader.input_axis is None or reader.data is not reader.node.input(0):
            return False
        if reader.node.op == "Gemm":
            return layout in (MATRIX, RUNS, LAST) and not reader.node.attrs.get("transA", 0)
        return reader.node.op == "MatMul" and layout in (MATRIX, RUNS, LAST)

    def _through(self, node: Node) -> str | None:
        """How the units lie in the output; None if that cannot be told."""
        data = node.input(0)
        layout = self._carried.get(data) if data is not None else None
        if node.domain:
            return None
        if node.op in ARITHMETIC:
            return self._through_arithmetic(node)
        if layout is None or node.op in _ELEMENTWISE:
            return layout
        if node.op in _NORM_PARAMETERS:
            return self._through_norm(node, layout)
        if node.op == "PRelu":
            return self._through_slope(node, layout)
        if layout == CHANNELS:
            return through_space(node, self._rank, self._shape_of)
        return through_rows(node, layout, self._shape_of)

    def _through_arithmetic(self, node: Node) -> str | None:
        """Numbers, and values that carry the same units in the same way, treat all units alike."""
        layouts = {self._carried.get(value) for value in node.inputs if value is not None and scalar(value) is None}
        return layouts.pop() if len(layouts) == 1 else None

    def _through_slope(self, node: Node, layout: str) -> str | None:
        """The slope is one number, or one for each unit."""
        slope = node.input(1)
        shape = slope.shape if slope is not None else None
        if slope is None or shape is None or layout == RUNS:
            return None
        behind = self._rank - 2 if layout == CHANNELS else 0
        if any(size != 1 for size in shape) and (len(shape) != behind + 1 or any(size != 1 for size in shape[1:])):
            return None
        self._scales.append(slope)
        return layout

    def _through_norm(self, node: Node, layout: str) -> str | None:
        by_channel = node.op in ("BatchNormalization", "InstanceNormalization", "GroupNormalization")
        if node.op == "GroupNormalization":
            self._groups.append(int(node.attrs.get("num_groups", 1)))
        if by_channel != (layout in (CHANNELS, MATRIX)) and layout != MATRIX:
            return None
        if not by_channel and node.attrs.get("axis", -1) not in (-1, 1 if layout == MATRIX else -1):
            return None
        given = (node.input(slot) for slot in _NORM_PARAMETERS[node.op])
        self._scales.extend(value for value in given if value is not None)
        return layout


def _layout(layer: Layer) -> str | None:
    if layer.kind in ("conv", "conv-transpose"):
        return CHANNELS
    if layer.kind != "dense" or layer.data is not layer.node.input(0):
        return None
    return {"Gemm": MATRIX, "MatMul": LAST}.get(layer.node.op)


def group_count(layer: Layer) -> int:
    groups = layer.node.attrs.get("group", 1)
    return groups if isinstance(groups, int) else 1
