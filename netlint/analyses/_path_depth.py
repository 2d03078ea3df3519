"""How many saturating activations stand in series, with no shortcut and no normalisation in between."""

from __future__ import annotations

from collections.abc import Iterable

from netlint import ops
from netlint.graph import ONNX, Graph, Node, Value

from .folded import may_be_folded
from .layers import Layers
from .parameters import Parameters

_SATURATING = frozenset({"Tanh", "Softsign", "Atan"})
# Behind these no count goes on: they rescale, or nobody knows what they do.
_RESETS = ops.NORMALISATION | ops.RECURRENT | ops.SOFTMAX | {"Attention", "LpPool"}
_DIVISIONS = frozenset({"Div", "Pow", "Reciprocal"})


class Depths:
    """For each computed value the least number of saturating activations in series on any way that leads to it.

    A sum, a concatenation or a product of several values counts its easiest way: the gradient takes that one.
    """

    def __init__(self, graph: Graph, known: Parameters, found: Layers, sigmoids: Iterable[Node]) -> None:
        self._graph = graph
        self._known = known
        self._layers = found
        self._sigmoids = set(sigmoids)
        self._inner = {node for last in self._sigmoids for node in _inside(graph, last)}
        self._depth: dict[Value, int] = {}
        self._before: dict[Node, Node] = {}
        self._last: dict[Value, Node] = {}
        # Without a saturating activation nothing is counted.
        for node in graph.nodes if self._sigmoids or not _SATURATING.isdisjoint(graph.ops) else ():
            self._visit(node)

    def of(self, value: Value | None) -> int:
        """The number of saturating activations in series that end in a value; 0 where nothing is known."""
        return 0 if value is None else self._depth.get(value, 0)

    def stacks(self, limit: int) -> list[tuple[Node, ...]]:
        """Each longest series of more than `limit` saturating activations, from first to last, in graph order."""
        ends = [node for node in self._ends() if self.of(node.output()) > limit]
        return [self._series(node) for node in ends]

    def _ends(self) -> list[Node]:
        """The saturating activations that no further one follows."""
        followed = set(self._before.values())
        return [node for node in dict.fromkeys(self._last.values()) if node not in followed]

    def _series(self, node: Node) -> tuple[Node, ...]:
        found, at = [node], self._before.get(node)
        while at is not None:
            found.append(at)
            at = self._before.get(at)
        return tuple(reversed(found))

    def _saturates(self, node: Node) -> bool:
        if node.domain != ONNX or node in self._inner:
            return False
        return node in self._sigmoids or node.op in _SATURATING

    def _visit(self, node: Node) -> None:
        easiest = self._easiest(node)
        depth, last = (self.of(easiest), self._last.get(easiest)) if easiest is not None else (0, None)
        if self._saturates(node):
            if last is not None and depth:
                self._before[node] = last
            depth, last = depth + 1, node
        if not depth or last is None:
            return
        for out in node.outputs:
            if out is not None:
                self._depth[out], self._last[out] = depth, last

    def _easiest(self, node: Node) -> Value | None:
        """The computed input with the fewest saturating activations before it; None where the count starts anew."""
        if node.domain != ONNX or node.bodies or node.op in _RESETS or node.op not in ops.KNOWN_OPS:
            return None
        layer = self._layers.of(node)
        if layer is not None and may_be_folded(layer):
            return None  # it holds a norm, as far as anybody can tell
        computed = [value for value in node.inputs if value is not None and not self._known.constant(value)]
        divides = node.op in _DIVISIONS and node not in self._sigmoids and node not in self._inner
        if not computed or (divides and len(computed) > 1):
            return None  # divided by a computed value: a normalisation written out
        return min(computed, key=self.of)


def _inside(graph: Graph, last: Node) -> list[Node]:
    """The saturating operator that a sigmoid's spelling is made of: it counts once."""
    found, node = [], last
    for _ in range(5):
        made = [graph.producer(value) for value in node.inputs]
        inner = next((one for one in made if one is not None and one.op in (*_SATURATING, "Add", "Sub", "Mul")), None)
        if inner is None:
            break
        found.append(inner)
        if inner.op in _SATURATING:
            return found
        node = inner
    return []
