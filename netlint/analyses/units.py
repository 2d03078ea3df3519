"""Where the units of a layer go, and which of them gradient descent keeps equal.

Two hidden units with equal incoming weights and biases compute the same. If all that reads them weighs them equally
too, they receive the same gradient, so every step of gradient descent leaves them equal (Goodfellow, Bengio, Courville:
Deep Learning, section 8.4). Different outgoing weights separate them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Shape, Value
from netlint.ops import ACTIVATIONS, ARITHMETIC, KNOWN_OPS, NORMALISATION, POOLING, TRANSPARENT
from netlint.ops.read import scalar

from ._units_layout import CHANNELS, LAST, MATRIX, RUNS, ShapeOf, through_rows, through_space
from .layers import Layer, Layers, layers
from .parameters import Parameters, parameters
from .shapes import shapes
from .weights import Weights, weights

_ELEMENTWISE = (ACTIVATIONS - {"PRelu"}) | {"Identity", "Cast", "Abs", "Neg", "Exp", "Sqrt"}
_MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "Split"})
_CARRIERS = ACTIVATIONS | NORMALISATION | POOLING | TRANSPARENT | _MOVES
_CARRIERS |= {"ReduceMean", "ReduceSum", "ReduceMax", "Shape", "Size", "Expand", "Pad", "Resize"}
_PREPARES = TRANSPARENT | POOLING | {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"}
_STEPS_TO_ACTIVATION = 3
_NORM_PARAMETERS = {"BatchNormalization": (1, 2, 3, 4), "InstanceNormalization": (1, 2)}
_NORM_PARAMETERS |= {"LayerNormalization": (1, 2), "RMSNormalization": (1,)}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """All that reads the units of a hidden layer."""

    readers: tuple[Layer, ...]
    scales: tuple[Value, ...]
    """Vectors with one element per unit that are applied in between: parameters of norms."""


@dataclass(frozen=True, slots=True)
class Ends:
    """All places where the output of a layer arrives."""

    readers: tuple[Layer, ...]
    """Layers that read it as their data."""
    is_output: bool
    """It is an output of the graph as well."""


class Units:
    """The units of layers."""

    def __init__(self, graph: Graph, known: Parameters, all_layers: Layers, stats: Weights, shape_of: ShapeOf) -> None:
        self._graph = graph
        self._known = known
        self._layers = all_layers
        self._stats = stats
        self._shape_of = shape_of
        self._outgoing: dict[Layer, Outgoing | None] = {}

    def count(self, layer: Layer) -> int | None:
        """The number of output units; None where unknown."""
        shape = self._stats.shape(layer.weight)
        if shape is None or layer.unit_axis is None or layer.unit_axis >= len(shape) or _groups(layer) != 1:
            return None
        return shape[layer.unit_axis]

    def activated(self, layer: Layer) -> bool:
        """Whether an activation or a norm reads the output, as it does behind most layers that are trained.

        Exporters write some of them as several operators: what moves, casts or scales the output may come first.
        """
        values = [layer.output]
        for _ in range(_STEPS_TO_ACTIVATION):
            nodes = [node for value in values for node in self._graph.uses(value) if not node.domain]
            if any(node.op in ACTIVATIONS or node.op in NORMALISATION for node in nodes):
                return True
            values = [out for node in nodes if self._prepares(node) for out in node.outputs if out is not None]
        return False

    def _prepares(self, node: Node) -> bool:
        if node.op in ("Mul", "Div", "Add"):
            return any(self._known.constant(value) for value in node.inputs)
        return node.op in _PREPARES

    def outgoing(self, layer: Layer) -> Outgoing | None:
        """What reads the units; None if that cannot be followed, is an output, or mixes with other values."""
        if layer not in self._outgoing:
            self._outgoing[layer] = _Walk(self._graph, self._layers, layer, self._shape_of).run()
        return self._outgoing[layer]

    def ends(self, layer: Layer) -> Ends | None:
        """Where the output goes through nothing but operators that read it alone; None if anything else reads it on
        the way: a sum or product with another value, a gate, an operator that is not known.

        An activation that is written as several operators, as x · sigmoid(x), still reads the output alone.
        """
        readers: dict[Layer, None] = {}
        seen = {value for value in (*layer.node.outputs, layer.output) if value is not None}
        todo = _Frontier(self._graph)
        todo.add(seen)
        for node in todo:
            reader = self._layers.of(node)
            if reader is not None and reader.data in seen:
                readers[reader] = None
            elif node.domain or not self._carries(node, seen):
                return None
            elif node.op not in ("Shape", "Size"):
                outputs = {value for value in node.outputs if value is not None} - seen
                seen |= outputs
                todo.add(outputs)
        return Ends(tuple(readers), any(self._graph.is_output(value) for value in seen))

    def _carries(self, node: Node, seen: set[Value]) -> bool:
        """Whether what flows on comes from the seen values alone."""
        if node.op in _CARRIERS and node.input(0) in seen:
            return True
        if node.bodies or node.op not in KNOWN_OPS:
            return False
        return all(value is None or value in seen or self._known.constant(value) for value in node.inputs)

    def tied_for_ever(self, layer: Layer, indices: Sequence[int]) -> bool | None:
        """Whether units with equal incoming weights stay equal: biases and outgoing weights are equal too.

        None where unknown. Holds without dropout behind the units, which treats them differently.
        """
        for some in (indices[:2], indices):  # two are cheap to read, and mostly enough
            keys = self.keys(layer, some)
            if keys is None or len(set(keys)) > 1:
                return None if keys is None else False
        return True

    def keys(self, layer: Layer, indices: Sequence[int]) -> list[tuple[bytes, ...]] | None:
        """For each of some units something that is equal only if their biases and outgoing weights are."""
        count, outgoing = self.count(layer), self.outgoing(layer)
        if count is None or outgoing is None:
            return None
        vectors = [*outgoing.scales, *([layer.bias] if layer.bias is not None else [])]
        parts = [self._stats.unit_keys(vector, None, count, indices) for vector in vectors]
        parts.extend(
            self._stats.unit_keys(reader.weight, reader.input_axis, count, indices) for reader in outgoing.readers
        )
        known = [part for part in parts if part is not None]
        return list(zip(*known, strict=True)) if len(known) == len(parts) else None


class _Frontier:
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


class _Walk:
    """Follows the units of one layer to all that reads them, in graph order."""

    def __init__(self, graph: Graph, all_layers: Layers, layer: Layer, shape_of: ShapeOf) -> None:
        self._graph = graph
        self._layers = all_layers
        self._layer = layer
        self._shape_of = shape_of
        self._rank = len(layer.weight.shape or ())
        self._carried: dict[Value, str] = {}
        self._todo = _Frontier(graph)
        self._readers: dict[Layer, None] = {}
        self._scales: list[Value] = []

    def run(self) -> Outgoing | None:
        layout = _layout(self._layer)
        if layout is None or not self._carry(self._layer.output, layout):
            return None
        if not all(self._visit(node) for node in self._todo):
            return None
        return Outgoing(tuple(self._readers), tuple(self._scales)) if self._readers else None

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
            return self._read(reader)
        layout = self._through(node)
        return layout is not None and self._carry(node.output(), layout)

    def _read(self, reader: Layer) -> bool:
        layout = self._carried.get(reader.data)
        self._readers[reader] = None
        if reader.kind == "conv":
            return layout == CHANNELS and _groups(reader) == 1
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
        by_channel = node.op in ("BatchNormalization", "InstanceNormalization")
        if by_channel != (layout in (CHANNELS, MATRIX)) and layout != MATRIX:
            return None
        if not by_channel and node.attrs.get("axis", -1) not in (-1, 1 if layout == MATRIX else -1):
            return None
        given = (node.input(slot) for slot in _NORM_PARAMETERS[node.op])
        self._scales.extend(value for value in given if value is not None)
        return layout


def _layout(layer: Layer) -> str | None:
    if layer.kind == "conv":
        return CHANNELS
    if layer.kind != "dense" or layer.data is not layer.node.input(0):
        return None
    return {"Gemm": MATRIX, "MatMul": LAST}.get(layer.node.op)


def _groups(layer: Layer) -> int:
    groups = layer.node.attrs.get("group", 1)
    return groups if isinstance(groups, int) else 1


@analysis(parameters, layers, weights, shapes)
def units(scope: Scope) -> Units:
    """Where the units of layers go, and which of them stay equal."""

    def shape_of(value: Value | None) -> Shape | None:  # inferred only if a layer needs it: most models need none
        return scope[shapes].of(value)

    return Units(scope.graph, scope[parameters], scope[layers], scope[weights], shape_of)
