"""Relations in products and quotients: gates, normalised vectors, softmax written out."""

from __future__ import annotations

from netlint.graph import Node, Value

from . import algebra, idioms
from .facts import Axes, Upper
from .interval import INF, Range
from .relations import constant, on_reciprocal, operands, scalar
from .step import Step


def on_mul(step: Step, a: Range, b: Range, found: Range) -> Range:
    """x * sigmoid(x) and its kin; a quotient written as a product; scaled relations."""
    values = operands(step)
    if values is None:
        return found
    x, y, out = values
    facts = step.state.facts
    if facts.scalable:
        _scale(step, x, y, out, divided=False)
        _scale(step, y, x, out, divided=False)
    for factor, gate in ((x, y), (y, x)):
        root = facts.root(gate)
        node = step.state.graph.producer(root)
        limits = _GATES.get(node.op) if node is not None and not node.domain else None
        if limits is not None and node is not None:
            found = limits(step, factor, node, found)
        divisor = facts.inverses.get(root) if facts.inverses else None
        if divisor is not None:
            found = _quotient(step, factor, divisor, out, found)
    return found


def _sigmoid_gate(step: Step, factor: Value, gate: Node, found: Range) -> Range:
    """x * sigmoid(x)."""
    facts, inner = step.state.facts, gate.input(0)
    same = inner is not None and facts.root(inner) is facts.root(factor)
    return found.clamp(-0.2784646 * (1 + 16 * step.eps), INF) if same else found


def _tanh_gate(step: Step, factor: Value, gate: Node, found: Range) -> Range:
    """x * tanh(softplus(x))."""
    facts, inner = step.state.facts, gate.input(0)
    softplus = step.state.graph.producer(facts.root(inner)) if inner is not None else None
    if softplus is None or softplus.op != "Softplus" or softplus.domain or softplus.input(0) is None:
        return found
    same = facts.root(softplus.inputs[0]) is facts.root(factor)  # type: ignore[arg-type]
    return found.clamp(-0.3088435 * (1 + 16 * step.eps), INF) if same else found


def _complement_gate(step: Step, factor: Value, gate: Node, found: Range) -> Range:
    """p * (1 - p)."""
    return found.clamp(0.0, 0.25 * (1 + 4 * step.eps)) if idioms.complement(step, factor, gate) else found


_GATES = {"Sigmoid": _sigmoid_gate, "Tanh": _tanh_gate, "Sub": _complement_gate}


def on_div(step: Step, a: Range, b: Range, found: Range) -> Range:
    """e / sum(e), a / (a + b), x / |x|, tanh written with exponentials; scaled relations."""
    values = operands(step)
    if values is None:
        return found
    x, y, out = values
    if step.state.facts.scalable:
        _scale(step, x, y, out, divided=True)
    if constant(step, x) == 1.0:
        on_reciprocal(step, y)
    return _quotient(step, x, y, out, found)


def _quotient(step: Step, x: Value, y: Value, out: Value, found: Range) -> Range:
    """What the relation between numerator and denominator says of x / y."""
    state = step.state
    facts, a, b = state.facts, state.of(x), state.of(y)
    nan = algebra.a_zero(b) or a.hi == INF or a.lo == -INF or a.nan or b.nan
    upper = facts.above(y, x)
    if upper is not None and a.lo >= 0 and b.lo >= 0 and not _underflows(upper, b):
        limit = _slack(step, upper.factor)
        if upper.kind == "sum" and upper.factor == 1:
            facts.set_total(out, _all(upper.over, upper.rank))
        return found.clamp(0.0, limit, a.lo_open and a.lo == 0)._replace(nan=nan, loose=False)
    upper = facts.above_magnitude(y, x)
    if upper is not None and b.lo >= 0 and not _underflows(upper, b):
        limit = _slack(step, upper.factor)
        if upper.factor == 1 and upper.length:
            idioms.mark_unit(step, out, upper.over, upper.rank)
        return found.clamp(-limit, limit)._replace(nan=nan, loose=limit != 1)
    if b.lo >= 0 and _difference_over_sum(step, x, y):
        return found.clamp(-1.0, 1.0, True, True)._replace(nan=nan, loose=False)
    return found


def _underflows(upper: Upper, norm: Range) -> bool:
    """Whether a norm may be 0 for numbers that are not, because their squares underflow: the quotient is infinite."""
    return upper.absolute and upper.kind == "bound" and norm.lo <= 0


def _slack(step: Step, factor: float) -> float:
    """A bound that carries a factor is subject to the rounding of the sum behind it."""
    return 1.0 if factor == 1 else factor * (1 + 2.0**-10 + 8 * step.eps)


def _all(over: Axes, rank: int | None) -> Axes:
    return over if over is not None else tuple(range(rank)) if rank else None


def _difference_over_sum(step: Step, x: Value, y: Value) -> bool:
    """(p - q) / (p + q) with p, q >= 0."""
    graph, facts = step.state.graph, step.state.facts
    top, bottom = graph.producer(facts.root(x)), graph.producer(facts.root(y))
    if top is None or bottom is None or (top.op, bottom.op) != ("Sub", "Add"):
        return False
    pairs = list(zip(top.inputs, bottom.inputs, strict=False))
    crossed = list(zip(top.inputs, reversed(bottom.inputs), strict=False))
    positive = all(step.state.of(value).lo >= 0 for value in top.inputs)
    return positive and any(all(_equal(step, a, b) for a, b in pairing) for pairing in (pairs, crossed))


def _equal(step: Step, a: Value | None, b: Value | None) -> bool:
    if a is None or b is None:
        return False
    if step.state.facts.root(a) is step.state.facts.root(b):
        return True
    number = constant(step, a)
    return number is not None and number == constant(step, b)


def _scale(step: Step, kept: Value, by: Value, out: Value, *, divided: bool) -> None:
    """Relations of `kept` after multiplying it with (or dividing it by) a positive constant of one element."""
    facts = step.state.facts
    uppers, peak = facts.uppers(kept), facts.peak(kept)
    if not uppers and (peak is None or peak.level != 0):
        return
    factor = constant(step, by)
    if factor is None or factor <= 0 or not scalar(step, by):
        return
    scale = factor if divided else 1 / factor
    facts.add_upper(out, *(upper.loosened()._replace(factor=upper.factor * scale) for upper in uppers))
    if peak is not None and peak.level == 0:
        facts.set_peak(out, 0.0, peak.axes)
