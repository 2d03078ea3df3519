"""Which axis counts the units of a layer, behind the layout operators that follow it."""

from __future__ import annotations

from netlint import ops
from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Shape, Value

from ._heads import Head
from .layers import Layer, Layers, layers
from .shapes import Shapes, shapes

_SAME = (
    ops.TRANSPARENT
    | ops.ARITHMETIC
    | ops.ACTIVATIONS
    | ops.NORMALISATION
    | {"Resize", "Upsample", "Pad", "MaxPool", "AveragePool", "Neg", "Softmax", "LogSoftmax", "Slice"}
)
_RESHAPES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


_FAR = 24
"""Operators between a layer and a value; beyond, nothing is claimed."""


class UnitsAxis:
    """Follows the units of a layer."""

    def __init__(self, graph: Graph, known: Shapes, layers: Layers) -> None:
        self._graph = graph
        self._shapes = known
        self._layers = layers
        self._known: dict[Value, frozenset[int | None]] = {}

    def of(self, head: Head, node: Node) -> int | None:
        """The axis of the data of `node`, a node of the head's chain, that counts the units of the head's layer.

        None where the layer is unknown, the units are split or merged, or the shapes do not tell.
        """
        if head.layer is None or node not in head.chain:
            return None
        axis = self._first(head.layer)
        for step in reversed(head.chain[head.chain.index(node) + 1 :]):
            axis = self._after(step, axis) if axis is not None else None
        return axis

    def counting(self, value: Value | None) -> frozenset[int | None]:
        """The axes of a value that count the units of the layers it comes from; None among them where nobody knows."""
        return frozenset() if value is None else self._counting(value, _FAR)

    def _counting(self, value: Value, far: int) -> frozenset[int | None]:
        if value not in self._known:
            self._known[value] = self._count(value, far)
        return self._known[value]

    def _count(self, value: Value, far: int) -> frozenset[int | None]:
        layer, node = self._layers.ending_in(value), self._graph.producer(value)
        if layer is not None:
            return frozenset({self._first(layer)})
        if node is None or not far:
            return frozenset({None} if node else ())
        sources = [source for source in node.inputs if source is not None]
        before = frozenset[int | None]().union(*(self._counting(source, far - 1) for source in sources))
        return frozenset(None if axis is None else self._after(node, axis) for axis in before)

    def _first(self, layer: Layer) -> int | None:
        if layer.kind in ("conv", "conv-transpose"):
            return 1
        rank = self._shapes.rank(layer.output)
        if layer.kind != "dense" or layer.unit_axis is None or not rank:
            return None
        flipped = layer.node.input(0) is not layer.data
        return None if flipped else rank - 1

    def _after(self, node: Node, axis: int) -> int | None:
        if node.op == "Transpose":
            order = node.attrs.get("perm")
            return order.index(axis) if order and axis in order else None
        before, after = self._shapes.of(node.input(0)), self._shapes.of(node.output())
        if node.op in _SAME and not node.domain:
            return axis
        if node.op not in _RESHAPES or node.domain or not before or not after:
            return None
        return _kept(axis, before, after)


def _kept(axis: int, before: Shape, after: Shape) -> int | None:
    """The place of an axis after a change of shape that leaves all before it, or all behind it, as they are."""
    if None not in before[: axis + 1] and before[: axis + 1] == after[: axis + 1]:
        return axis
    behind = before[axis:]
    return len(after) - len(behind) if None not in behind and behind == after[-len(behind) :] else None


@analysis(shapes, layers)
def units_axis(scope: Scope) -> UnitsAxis:
    """The axis that counts the units of a layer."""
    return UnitsAxis(scope.graph, scope[shapes], scope[layers])
