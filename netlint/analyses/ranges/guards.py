"""Where: what its condition says of the elements it selects.

`Where(x > 0, log(x), 0)` takes logarithms of positive numbers only, `Where(x == 0, 1, x)` is never 0. The branches are
worked out again under what the condition says, as far back as elementwise operators lead to the compared value.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from netlint.graph import ONNX, Node, Value

from .interval import INF, Range
from .rounding import FORMATS, settle
from .state import State
from .step import Step, Transfer

MOST_NODES = 12
"""Nodes that a branch is traced back over, and parts that a condition is taken apart into."""

_FLIPPED = {"Greater": "Less", "Less": "Greater", "GreaterOrEqual": "LessOrEqual", "LessOrEqual": "GreaterOrEqual"}
_NEGATED = {"Greater": "LessOrEqual", "LessOrEqual": "Greater", "Less": "GreaterOrEqual", "GreaterOrEqual": "Less"}
_SAME = frozenset({"Identity", "Cast"})

ELEMENTWISE = frozenset(
    (
        *("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Neg", "Abs", "Exp", "Log", "Sqrt", "Reciprocal", "Clip"),
        *("Relu", "Sigmoid", "Tanh", "Softplus", "Identity", "Cast", "Asin", "Acos", "Atanh", "Acosh", "Asinh"),
        *("Sin", "Cos", "Floor", "Ceil", "Erf", "LeakyRelu", "Elu", "Where"),
    )
)
"""Operators whose result at one place hangs on their inputs at that place."""


class Limit(NamedTuple):
    """What a condition says of the elements of a value for which it holds."""

    lo: float = -INF
    hi: float = INF
    lo_open: bool = False
    hi_open: bool = False
    number: bool = True
    """They are not NaN."""
    nonzero: bool = False

    def applied(self, r: Range, dtype: str | None) -> Range:
        """A range under this condition; comparisons are exact, so an open end moves to the next number."""
        form = FORMATS.get(dtype or "", FORMATS["float64"])
        lo = form.above(self.lo) if self.lo_open else self.lo
        hi = -form.above(-self.hi) if self.hi_open else self.hi
        if self.nonzero:
            lo = form.above(0.0) if r.lo == 0 and lo <= 0 else lo
            hi = -form.above(0.0) if r.hi == 0 and hi >= 0 else hi
        if lo > r.hi or hi < r.lo:
            return r  # never selected
        found = r.clamp(lo, hi)
        if found.lo > r.lo or found.hi < r.hi:
            found = found._replace(lo_open=r.lo_open and found.lo == r.lo, hi_open=r.hi_open and found.hi == r.hi)
        return found._replace(nan=r.nan and not self.number)


Limits = dict[Value, Limit]


def limits(state: State, condition: Value | None, holds: bool, budget: int = MOST_NODES) -> Limits:
    """What a condition says of values, by their roots, where it holds or where it does not."""
    producer = state.graph.producer(condition)
    if producer is None or producer.domain or budget <= 0 or not producer.inputs:
        return {}
    op, a, b = producer.op, producer.input(0), producer.input(1)
    if op == "Not" or op in _SAME:
        return limits(state, a, holds != (op == "Not"), budget - 1)
    if op in ("And", "Or"):
        if (op == "And") != holds:
            return {}
        found = limits(state, a, holds, budget // 2)
        for value, limit in limits(state, b, holds, budget // 2).items():
            found[value] = _both(found[value], limit) if value in found else limit
        return found
    if op == "IsNaN" and a is not None:
        return {} if holds else {state.facts.root(a): Limit()}
    if a is None or b is None:
        return {}
    return _compared(state, op, a, b, holds)


def _both(a: Limit, b: Limit) -> Limit:
    lo, hi = max(a[:3:2], b[:3:2]), min((a.hi, not a.hi_open), (b.hi, not b.hi_open))
    return Limit(lo[0], hi[0], bool(lo[1]), not hi[1], a.number or b.number, a.nonzero or b.nonzero)


def _compared(state: State, op: str, a: Value, b: Value, holds: bool) -> Limits:
    """A comparison says something of both sides; one that fails may have met NaN."""
    x, y = state.of(a), state.of(b)
    roots = state.facts.root(a), state.facts.root(b)
    found: Limits = {}
    if op == "Equal":
        for root, other in ((roots[0], y), (roots[1], x)):
            if holds and other.known:
                found[root] = Limit(other.lo, other.hi)
            elif not holds and other.lo == other.hi == 0:
                found[root] = Limit(number=False, nonzero=True)
    elif op in _NEGATED:
        effective = op if holds else _NEGATED[op]
        for root, other, how in ((roots[0], y, effective), (roots[1], x, _FLIPPED[effective])):
            if not other.nan and not (holds is False and not math.isfinite(other.lo) and not math.isfinite(other.hi)):
                found[root] = _ordered(how, other, holds)
    return {root: limit for root, limit in found.items() if root.constant is None}


def _ordered(how: str, other: Range, holds: bool) -> Limit:
    if how.startswith("Greater"):
        return Limit(lo=other.lo, lo_open=how == "Greater" and other.lo > -INF, number=holds)
    return Limit(hi=other.hi, hi_open=how == "Less" and other.hi < INF, number=holds)


def under(state: State, value: Value | None, known: Limits) -> Range:
    """The range of a value at the places where a condition holds."""
    if value is None or not known:
        return state.of(value)
    chain, touched = _between(state, value, known)
    if not touched:
        return state.of(value)
    results = [out for node in chain for out in node.outputs if out is not None]
    saved = {each: state.ranges.get(each) for each in (*touched, *results)}
    was_frozen, state.facts.frozen = state.facts.frozen, True
    try:
        for each, limit in touched.items():
            state.ranges[each] = limit.applied(state.of(each), state.dtype(each))
        for node in chain:
            _again(state, node)
        return state.of(value)
    finally:
        state.facts.frozen = was_frozen
        for each, r in saved.items():
            if r is None:
                state.ranges.pop(each, None)
            else:
                state.ranges[each] = r


def _again(state: State, node: Node) -> None:
    from .table import EXACT, TRANSFER

    transfer, out = TRANSFER.get(node.op), node.output()
    if transfer is None or out is None:
        return
    found = transfer(Step(node, state))
    if isinstance(found, Range):
        found = found if node.op in EXACT else settle(found, state.dtype(out))
        state.ranges[out] = found.meet(state.of(out))


def _between(state: State, value: Value, known: Limits) -> tuple[list[Node], dict[Value, Limit]]:
    """The elementwise nodes from values with limits to `value`, in graph order, and the values with their limits."""
    graph, facts = state.graph, state.facts
    nodes: list[Node] = []
    touched: dict[Value, Limit] = {}
    todo, seen = [value], {value}
    while todo:
        each = todo.pop()
        root = facts.root(each)
        if root in known:
            touched[each] = known[root]
            continue
        node = graph.producer(each)
        if node is None or node.op not in ELEMENTWISE or node.domain != ONNX or len(nodes) >= MOST_NODES:
            continue
        nodes.append(node)
        fresh = [v for v in node.inputs if v is not None and v.constant is None and v not in seen]
        seen.update(fresh)
        todo += fresh
    return sorted(nodes, key=graph.position.__getitem__), touched


def where(step: Step) -> Range:
    """Either branch, each under what the condition says where it is selected; one where the condition is known."""
    state, condition = step.state, step.node.input(0)
    if state.facts.frozen:  # tried out already: no trial inside a trial
        return step.arg(1).join(step.arg(2))
    chosen = state.of(condition)
    found: Range | None = None
    nonzero = True
    for slot, holds in ((1, True), (2, False)):
        if chosen.lo == chosen.hi == float(not holds):
            continue
        value, known = step.node.input(slot), limits(state, condition, holds)
        part = under(state, value, known)
        found = part if found is None else found.join(part)
        nonzero = nonzero and _nonzero(state, value, part, known)
    out = step.node.output()
    if nonzero and out is not None:
        state.facts.nonzero.add(out)
    return found or step.arg(1).join(step.arg(2))


def _nonzero(state: State, value: Value | None, part: Range, known: Limits) -> bool:
    if value is None or part.lo > 0 or part.hi < 0:
        return True
    root = state.facts.root(value)
    return root in state.facts.nonzero or (root in known and known[root].nonzero)


GUARDS: dict[str, Transfer] = {"Where": where}
"""Selection by a condition."""
