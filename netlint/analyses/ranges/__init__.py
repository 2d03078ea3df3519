"""For each value the interval its elements lie in, with what relations between values add to it.

One table maps each operator to its transfer function; what no table names, and what hangs on it, is TOP. Sound as
executed: ends are rounded outward in the value's own type, and implementations' errors are allowed for. Everything is
worked out once, in graph order.
"""

from __future__ import annotations

from netlint.analyses.constants import constants
from netlint.analyses.shapes import shapes
from netlint.analysis import Scope, analysis
from netlint.graph import ONNX, Graph, Location, Node, Value

from .arithmetic import ARITHMETIC
from .interval import TOP, Range
from .layout import LAYOUT
from .linear import LINEAR
from .normal import NORMAL
from .other import OTHER
from .pool import POOLING
from .reduce import REDUCTIONS
from .rounding import settle
from .state import State, Step, Transfer
from .unary import UNARY

__all__ = ["TOP", "TRANSFER", "Range", "Ranges", "ranges"]

TRANSFER: dict[str, Transfer] = {
    **UNARY,
    **ARITHMETIC,
    **LAYOUT,
    **REDUCTIONS,
    **POOLING,
    **LINEAR,
    **NORMAL,
    **OTHER,
}
"""Operator -> transfer function, for the default domain."""

_LONGEST_CHAIN = 200


class Ranges:
    """What is known of each value. Unknown is `TOP`."""

    def __init__(self, graph: Graph, state: State) -> None:
        self._graph = graph
        self._state = state

    def of(self, value: Value | None) -> Range:
        """The range of a value; TOP for a missing input and where nothing is known."""
        return self._state.of(value)

    def sums_to_one(self, value: Value | None) -> tuple[int, ...] | None:
        """The axes along which the elements, none of them negative, sum to 1; None where that is not proved.

        Axes count from 0 where the rank is known, else they are as the model writes them.
        """
        return self._state.facts.total(value)

    def because(self, value: Value | None) -> tuple[tuple[str, Location | None, Range], ...]:
        """How the range came about: operator, place and range, from the value back to a constant, an input, or
        where nothing is known. Follows the first known input that is not constant."""
        chain: list[tuple[str, Location | None, Range]] = []
        while value is not None and len(chain) < _LONGEST_CHAIN:
            node = self._graph.producer(value)
            if node is None:
                kind = "constant" if value.constant is not None else "input"
                chain.append((kind, None, self.of(value)))
                break
            chain.append((node.op, node.loc, self.of(value)))
            value = self._origin(node) if self.of(value).known else None
        return tuple(chain)

    def _origin(self, node: Node) -> Value | None:
        inputs = [value for value in node.inputs if value is not None]
        known = [value for value in inputs if value.constant is None and self.of(value).known]
        return next(iter(known + inputs), None)


@analysis(shapes, constants)
def ranges(scope: Scope) -> Ranges:
    """Intervals, and sums to one. Rests on the training contract's `input_range` where `Range.assumed` says so."""
    graph = scope.graph
    state = State(graph, scope[shapes], scope[constants], scope.training)
    for node in graph.nodes:
        transfer = TRANSFER.get(node.op) if node.domain == ONNX else None
        if transfer is not None:
            _store(state, node, transfer(Step(node, state)))
    return Ranges(graph, state)


def _store(state: State, node: Node, found: Range | tuple[Range, ...]) -> None:
    results = found if isinstance(found, tuple) else (found,)
    for value, result in zip(node.outputs, results, strict=False):
        if value is not None and result.known:
            state.ranges[value] = settle(result, state.dtype(value))
