"""Which values are constant, and which stored constant lies behind a value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Shape, Value, is_float
from netlint.ops import ACTIVATIONS, ARITHMETIC, ELEMENTWISE_UNARY, HOLDS_BODIES, RANDOM, STOPS_GRADIENT

# Operators that give a stored weight to its user in another layout or precision.
_PASSES = frozenset({"Identity", "Cast", "CastLike", "DequantizeLinear", "QuantizeLinear", "Transpose"})
# What repeats one number still does so after these.
_MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile"})
_MOST = 1000
"""Values that a weight may be computed of; where it is more, as in a chain over all layers, nobody asks so far."""
_ELEMENTWISE = _PASSES | ARITHMETIC | ACTIVATIONS | ELEMENTWISE_UNARY | {"Where", "Reshape", "LpNormalization"}


# Not frozen: models have a hundred thousand constants, and freezing doubles the cost of each.
@dataclass(slots=True)
class Stored:
    """The stored constant behind a value; axis i of the value is axis `perm[i]` of the constant."""

    value: Value
    perm: tuple[int, ...] | None
    """None where the rank is unknown."""


class Parameters:
    """Constness of every value."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._computed: set[Value] = set()
        self._stored: dict[Value, Stored | None] = {}
        self._parameters: dict[Value, Value | None] = {}
        for node in graph.nodes:
            if self._is_constant(node):
                self._computed.update(value for value in node.outputs if value is not None)

    def _is_constant(self, node: Node) -> bool:
        for value in node.inputs:  # no more steps than needed: most nodes read a computed value first
            if value is not None and value.constant is None and value not in self._computed:
                return False
        return not (node.domain or node.op in RANDOM or node.op in HOLDS_BODIES)

    def constant(self, value: Value | None) -> bool:
        """Whether a value is stored in the model, or computed from what is stored alone."""
        return value is not None and (value.constant is not None or value in self._computed)

    def stored(self, value: Value | None) -> Stored | None:
        """The one stored constant whose elements a value holds; None if the value is computed otherwise."""
        if value is None:
            return None
        if value not in self._stored:
            self._stored[value] = self._find(value)
        return self._stored[value]

    def _find(self, start: Value) -> Stored | None:
        steps: list[Node] = []
        value: Value | None = start
        while value is not None and value.constant is None:
            node = self._graph.producer(value)
            if node is None or node.op not in _PASSES or node.domain:
                return None
            steps.append(node)
            value = node.input(0)
        if value is None or value.constant is None:
            return None
        return Stored(value, _permutation(steps, len(value.constant.shape)))

    def parameter(self, value: Value | None) -> Value | None:
        """The one stored constant that a constant value is made of, element by element, and that training may move.

        As it is stored, or computed: clamped, masked, scaled, normalised, as `weight.data.clamp_()` in a forward pass
        has it. None where there is none of as many elements, or several, or where a `detach` lies between.
        """
        stored = self.stored(value)
        if stored is not None or value is None or not self.constant(value):
            return stored.value if stored is not None else None
        if value not in self._parameters:
            found = [source for source in self._sources(value) if source.trainable is not False]
            stated = [source for source in found if source.trainable] or found
            self._parameters[value] = stated[0] if len(stated) == 1 else None
        return self._parameters[value]

    def _sources(self, start: Value) -> list[Value]:
        """The stored constants of as many elements as a value that it is computed of, where a gradient goes."""
        if start.shape is None:
            return []
        found: dict[Value, None] = {}
        due = {start: None}
        for value in (todo := list(due)):
            if len(todo) > _MOST:
                return []
            node = self._graph.producer(value)
            if value.constant is not None and prod(value.constant.shape) == prod(_lengths(start.shape)):
                found[value] = None
            elif node is not None and node.op in _ELEMENTWISE and STOPS_GRADIENT not in node.attrs:
                new = [one for one in node.inputs if one is not None and one not in due]
                due.update(dict.fromkeys(new))
                todo += new
        return [value for value in found if value.constant is not None and is_float(value.constant.dtype)]

    def frozen(self, value: Value | None) -> bool:
        """Whether the stored constant behind a value is known not to be trained: a buffer, a parameter held fast."""
        stored = self.stored(value)
        return stored is not None and stored.value.trainable is False

    def fill(self, value: Value | None) -> Value | None:
        """The constant that a ConstantOfShape behind a value repeats (its node's output), if there is one."""
        node = self._graph.producer(value)
        while node is not None and not node.domain and (node.op in _PASSES or node.op in _MOVES):
            node = self._graph.producer(node.input(0))
        return node.output() if node is not None and node.op == "ConstantOfShape" else None


def _lengths(shape: Shape) -> Iterator[int]:
    return (length if isinstance(length, int) else -1 for length in shape)


def _permutation(steps: list[Node], rank: int) -> tuple[int, ...] | None:
    perm = tuple(range(rank))
    for node in reversed(steps):
        if node.op != "Transpose":
            continue
        order = node.attrs.get("perm", tuple(reversed(range(rank))))
        if sorted(order) != list(range(rank)):
            return None
        perm = tuple(perm[axis] for axis in order)
    return perm


@analysis()
def parameters(scope: Scope) -> Parameters:
    """Which values are constant."""
    return Parameters(scope.graph)
