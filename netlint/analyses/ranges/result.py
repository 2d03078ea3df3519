"""What the analysis answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property

from netlint.graph import Graph, Location, Node, Value

from . import guards
from .interval import Range
from .state import Lanes, State
from .table import TRANSFER, WITH_BODIES

_LONGEST_CHAIN = 200
_VANISHES_WITH = frozenset(
    (
        *("Sqrt", "Mul", "Abs", "Relu", "Add", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Expand", "Transpose"),
        *("ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceMax", "Div", "Pow", "Cast"),
    )
)
"""Operators that give 0 where their non-constant inputs are 0, as far as their range has 0 for its lower end."""
_NORMALISES = frozenset(
    ("LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization")
)
"""Bounded for any input, if it is known how many elements are normalised together."""
_KEEPS_BOUNDS = frozenset(
    (
        *("Conv", "ConvTranspose", "DeformConv", "MatMul", "Gemm", "Einsum", "Attention", "LSTM", "GRU", "RNN", "LRN"),
        *("Resize", "Upsample", "GridSample", "RoiAlign", "ScatterElements", "ScatterND", "CumSum", "Det", "Col2Im"),
        *("ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd", "BatchNormalization", "DFT", "STFT"),
        "MeanVarianceNormalization",
    )
)
"""Bounded where their inputs are; that the analysis finds no bound is its own fault."""
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
        if (found.lo == 0 and found.lo_open) or (found.hi == 0 and found.hi_open):
            return self._approached(value)
        if found.known and (not found.loose or (found.lo == 0 and self._vanishes(value))):
            return "attained"
        return "bound"

    def _approached(self, value: Value) -> str:
        """Whether a sum of numbers of both signs rounds to 0, or a positive one gets too small."""
        for _ in range(_LONGEST_CHAIN):
            node = self._graph.producer(value)
            if node is None or node.op in _MAKES_SMALL:
                break
            given = [each for each in node.inputs if each is not None]
            if node.op == "Sub" or (node.op in ("Add", "Sum") and any(self.of(each).lo < 0 for each in given)):
                return "rounding"
            small = (each for each in given if 0 in (self.of(each).lo, self.of(each).hi) and each.constant is None)
            following = next(small, None)
            if following is None:
                return "rounding" if node.op == "Log" else "underflow"
            value = following
        return "underflow"

    def _vanishes(self, value: Value) -> bool:
        """Whether a sum of squares or magnitudes is 0 for a zero vector, or a variance for equal numbers."""
        todo = [value]
        for each in todo:
            node = self._graph.producer(each)
            found = self.of(each)
            if not found.known and self.cut(each) is None:
                continue
            if found.lo <= 0 <= found.hi and not found.loose and not found.lo_open:
                continue
            if node is None or node.domain or node.op not in _VANISHES_WITH or len(todo) > _LONGEST_CHAIN:
                return False
            todo += dict.fromkeys(v for v in node.inputs if v is not None and v.constant is None)
        return True

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
        """The operator that keeps the analysis from bounding this value: the nearest before that it does not know, or
        at which it lost a bound that there is. None where the value is bounded, and where it is not because an input
        or (with `any_weights`) a weight may be any number, or an operator has a pole."""
        return None if value is None or self.of(value).bounded else self._cuts.get(value)

    @property
    def unknown(self) -> Counter[str]:
        """The operators that the analysis does not know, by full name, with the number of their nodes."""
        return Counter(node.full_op for node in self._graph.nodes if not _taught(node))

    @cached_property
    def behind_unknown(self) -> Mapping[Node, int]:
        """The nodes with unknown operators that keep results behind them from being known: how many nodes' results.

        In graph order.
        """
        if all(op in TRANSFER or op in WITH_BODIES for op in self._graph.ops):
            return {}
        found = dict.fromkeys((node for node in self._graph.nodes if not _taught(node)), 0)
        for node in self._graph.nodes:
            cause = next((self._cuts[out] for out in node.outputs if out in self._cuts), None)
            if cause in found and cause is not node and not any(self.of(out).known for out in node.outputs):
                found[cause] += 1
        return {node: count for node, count in found.items() if count}

    @cached_property
    def _cuts(self) -> dict[Value, Node]:
        found: dict[Value, Node] = {}
        for node in self._graph.nodes:
            cause = next((found[v] for v in node.inputs if v in found and not self.of(v).bounded), None)
            cause = node if cause is None and self._gave_up(node) else cause
            if cause is not None:
                found.update((out, cause) for out in node.outputs if out is not None)
        return found

    def _gave_up(self, node: Node) -> bool:
        """Whether the result has bounds that the analysis does not know."""
        if not _taught(node):
            return True
        if node.domain or not (node.op in _KEEPS_BOUNDS or node.op in _NORMALISES) or self.of(node.output()).bounded:
            return False
        if node.op in _NORMALISES:
            return self._state.opened.isdisjoint(node.inputs[1:3])
        return all(self._limited(value) for value in node.inputs)

    def _limited(self, value: Value | None) -> bool:
        stored = value is not None and value.constant is not None and value not in self._state.opened
        return value is None or stored or self.of(value).bounded

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
        """One node as text: `Sub: (0, 1) and 1 give (-1, 0)`."""
        given = [_text(self.of(each)) for each in node.inputs[:3] if each is not None]
        more = ", …" if len(node.inputs) > 3 else ""
        text = " and ".join(given) if len(given) < 3 else ", ".join(given)
        gives = "give" if len(given) > 1 else "gives"
        return f"{node.op}: {text}{more} {gives} {_text(self.of(value or node.output()))}"

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


def _text(r: Range) -> str:
    return f"{r.lo:g}" if r.lo == r.hi else str(r)


def _taught(node: Node) -> bool:
    op = node.full_op
    return op in TRANSFER or op in WITH_BODIES
