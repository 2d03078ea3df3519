"""What the analysis answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property

from netlint.graph import Graph, Location, Node, Value

from . import guards
from .interval import TOP, Range
from .state import Lanes, State
from .table import TRANSFER, WITH_BODIES

_LONGEST_CHAIN = 200
_MAKES_SMALL = frozenset({"Exp", "Sigmoid", "Softmax", "Softplus", "Pow", "Div", "Reciprocal"})
_MOST_USES = 16
_DEEPEST_USE = 4


class Ranges:
    """What is known of each value. Unknown is `TOP`."""

    def __init__(self, graph: Graph, state: State, any_weights: bool) -> None:
        self._graph = graph
        self._state = state
        self.any_weights = any_weights
        """Whether the ranges hold for any weights, not only for the stored ones."""

    def of(self, value: Value | None) -> Range:
        """The range of a value; TOP for a missing input and where nothing is known."""
        return self._state.of(value)

    def channels(self, value: Value | None) -> Lanes | None:
        """Bounds for each place along one axis (counted from the end), where they say more than the range."""
        return self._state.lanes_of(value)

    def sums_to_one(self, value: Value | None) -> tuple[int, ...] | None:
        """The axes along which the elements, none of them negative, sum to 1; None where that is not proved.

        Axes count from 0 where the rank is known, else they are as the model writes them.
        """
        return self._state.facts.total(value)

    def in_real_numbers(self, value: Value) -> Range:
        """The range without rounding. It is narrower than `of` where cancellation leads out of it: a variance as
        E[x²] - E[x]² is not negative, but comes out below 0."""
        facts = self._state.facts
        return facts.exact.get(facts.root(value), self.of(value))

    def excludes_zero(self, value: Value) -> bool:
        """Whether no element is 0, as executed: the range leaves 0 out, or a comparison does."""
        found = self.of(value)
        return found.lo > 0 or found.hi < 0 or self._state.facts.root(value) in self._state.facts.nonzero

    def zero(self, value: Value) -> str:
        """How 0 comes about: `attained` (in real arithmetic, for some input), `rounding` (only approached, and reached
        where a sum rounds: 1 - sigmoid(20) in float32), `underflow` (only approached, by numbers that get too small:
        exp(-104)), `bound` (inside the range, which perhaps is wider than what happens), or empty: never."""
        found = self.of(value)
        if self.excludes_zero(value) or not found.lo <= 0 <= found.hi:
            return ""
        if not ((found.lo == 0 and found.lo_open) or (found.hi == 0 and found.hi_open)):
            return "bound" if found.loose or not found.known else "attained"
        return self._approached(value)

    def _approached(self, value: Value) -> str:
        for node, each in self._chain(value):
            if node is None or node.op in _MAKES_SMALL:
                break
            if node.op in ("Add", "Sub", "Sum"):
                return "rounding"
            if not self.of(each).lo_open and not self.of(each).hi_open:
                break
        return "underflow"

    def selected(self, node: Node, index: int = 0) -> Range:
        """The range of an input of a node at those places whose results are not thrown away by a Where.

        In `Where(x > 0, log(x), 0)` it is positive for the Log. The gradient is another matter: at the other places it
        is 0 times that of the node, NaN where that is infinite.
        """
        value = node.input(index)
        found: Range | None = None
        for known in self._selections(node, 0):
            part = guards.under(self._state, value, known) if known else self.of(value)
            found = part if found is None else found.join(part)
        return self.of(value) if found is None else found

    def _selections(self, node: Node, depth: int) -> Iterator[guards.Limits]:
        """For each use of the result what is known where it is used; {} for nothing."""
        out = node.output()
        uses = self._graph.uses(out)
        if len(uses) > _MOST_USES or self._graph.is_output(out) or depth > _DEEPEST_USE:
            yield {}
            return
        for use in uses:
            slots = [place for place, value in enumerate(use.inputs) if value is out]
            if use.op == "Where" and not use.domain and slots in ([1], [2]):
                yield guards.limits(self._state, use.input(0), slots == [1])
            elif use.op in guards.ELEMENTWISE and not use.domain:
                yield from self._selections(use, depth + 1)
            else:
                yield {}

    def cut(self, value: Value | None) -> Node | None:
        """The operator, unknown to the analysis, that keeps it from saying more of this value: the nearest before."""
        return None if value is None or self.of(value).bounded else self._cuts.get(value)

    @property
    def unknown(self) -> Counter[str]:
        """The operators that the analysis does not know, by full name, with the number of their nodes."""
        return Counter(node.full_op for node in self._graph.nodes if not _taught(node))

    @cached_property
    def _cuts(self) -> dict[Value, Node]:
        found: dict[Value, Node] = {}
        bounded = self._state.ranges
        for node in self._graph.nodes:
            cause = None if _taught(node) else node
            if cause is None and found:
                causes = (found[v] for v in node.inputs if v in found and not bounded.get(v, TOP).bounded)  # type: ignore[index]
                cause = next(causes, None)
            if cause is not None:
                found.update((out, cause) for out in node.outputs if out is not None)
        return found

    def because(self, value: Value | None) -> tuple[tuple[str, Location | None, Range], ...]:
        """How the range came about: operator, place and range, from the value back to a constant, an input, or
        where nothing is known. Follows the first known input that is not constant."""
        chain: list[tuple[str, Location | None, Range]] = []
        for node, each in self._chain(value):
            label = node.op if node is not None else "constant" if each.constant is not None else "input"
            chain.append((label, None if node is None else node.loc, self.of(each)))
        return tuple(chain)

    def why(self, value: Value | None) -> tuple[tuple[Node, str], ...]:
        """The derivation of a range for people: nodes from the value back, with what each makes of what."""
        return tuple((node, self.step(node, each)) for node, each in self._chain(value) if node is not None)

    def step(self, node: Node, value: Value | None = None) -> str:
        """One node as text: `Sub: (0, 1) and [1, 1] give (-1, 0)`."""
        given = [str(self.of(each)) for each in node.inputs[:3] if each is not None]
        more = ", …" if len(node.inputs) > 3 else ""
        text = " and ".join(given) if len(given) < 3 else ", ".join(given)
        gives = "give" if len(given) > 1 else "gives"
        return f"{node.op}: {text}{more} {gives} {self.of(value or node.output())}"

    def _chain(self, value: Value | None) -> Iterator[tuple[Node | None, Value]]:
        for _ in range(_LONGEST_CHAIN):
            if value is None:
                return
            node = self._graph.producer(value)
            yield node, value
            value = self._origin(node) if node is not None and self.of(value).known else None

    def _origin(self, node: Node) -> Value | None:
        inputs = [value for value in node.inputs if value is not None]
        known = [value for value in inputs if value.constant is None and self.of(value).known]
        return next(iter(known + inputs), None)


def _taught(node: Node) -> bool:
    op = node.full_op
    return op in TRANSFER or op in WITH_BODIES
