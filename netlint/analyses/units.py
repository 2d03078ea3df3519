"""Where the units of a layer go, and which of them gradient descent keeps equal.

Two hidden units with equal incoming weights and biases compute the same. If all that reads them weighs them equally
too, they receive the same gradient, so every step of gradient descent leaves them equal (Goodfellow, Bengio, Courville:
Deep Learning, section 8.4). Different outgoing weights separate them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Shape, Value
from netlint.ops import ACTIVATIONS, KNOWN_OPS, NORMALISATION, POOLING, TRANSPARENT

from ._units_layout import ShapeOf
from ._units_walk import Frontier, Outgoing, Walk, group_count
from .layers import Layer, Layers, layers
from .parameters import Parameters, parameters
from .shapes import shapes
from .weights import Weights, weights

_MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "Split"})
_CARRIERS = ACTIVATIONS | NORMALISATION | POOLING | TRANSPARENT | _MOVES
_CARRIERS |= {"ReduceMean", "ReduceSum", "ReduceMax", "Shape", "Size", "Expand", "Pad", "Resize"}
_PREPARES = TRANSPARENT | POOLING | {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"}
_STEPS_TO_ACTIVATION = 3


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
        if shape is None or layer.unit_axis is None or layer.unit_axis >= len(shape) or group_count(layer) != 1:
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
            self._outgoing[layer] = Walk(self._graph, self._layers, layer, self._shape_of).run()
        return self._outgoing[layer]

    def ends(self, layer: Layer) -> Ends | None:
        """Where the output goes through nothing but operators that read it alone; None if anything else reads it on
        the way: a sum or product with another value, a gate, an operator that is not known.

        An activation that is written as several operators, as x · sigmoid(x), still reads the output alone.
        """
        readers: dict[Layer, None] = {}
        seen = {value for value in (*layer.node.outputs, layer.output) if value is not None}
        todo = Frontier(self._graph)
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
            self._stats.unit_keys(reader.weight, _reading_axis(reader), count, indices) for reader in outgoing.readers
        )
        parts.extend(self._stats.unit_keys(part.weight, 0, count, indices) for part in outgoing.filters)
        parts.extend([b"%d" % (index * number // count) for index in indices] for number in outgoing.groups)
        known = [part for part in parts if part is not None]
        return list(zip(*known, strict=True)) if len(known) == len(parts) else None


def _reading_axis(reader: Layer) -> int | None:
    """The axis of a reader's weight that counts what it reads: the last one of a recurrent layer."""
    return 2 if reader.kind == "recurrent" else reader.input_axis


@analysis(parameters, layers, weights, shapes)
def units(scope: Scope) -> Units:
    """Where the units of layers go, and which of them stay equal."""

    def shape_of(value: Value | None) -> Shape | None:  # inferred only if a layer needs it: most models need none
        return scope[shapes].of(value)

    return Units(scope.graph, scope[parameters], scope[layers], scope[weights], shape_of)
