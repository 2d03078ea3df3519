"""Where relations between values arise, travel and are used. See `facts`."""

from __future__ import annotations

import math

from netlint.graph import Value

from . import algebra
from .facts import Axes, Upper, covers
from .interval import INF, Range
from .rounding import FORMATS
from .step import Step

_WIDENING = {("float16", "float32"), ("bfloat16", "float32"), ("float32", "float64")}
_WIDENING |= {("float16", "float64"), ("bfloat16", "float64")}


def operands(step: Step) -> tuple[Value, Value, Value] | None:
    """The two inputs and the output of a binary operator."""
    a, b, out = step.node.input(0), step.node.input(1), step.node.output()
    return None if a is None or b is None or out is None else (a, b, out)


def constant(step: Step, value: Value) -> float | None:
    """The number that a value is everywhere."""
    r = step.state.of(value)
    return r.lo if r.lo == r.hi and math.isfinite(r.lo) and not r.nan else None


def scalar(step: Step, value: Value) -> bool:
    """Whether broadcasting with the value leaves the other operand's axes where they are."""
    shape = step.state.shape(value)
    return shape is not None and all(size == 1 for size in shape) and len(shape) <= 1


def _stays(step: Step, kept: Value, other: Value) -> bool:
    """Whether broadcasting with `other` leaves the axes of `kept` where they are, counted from the front too."""
    if scalar(step, other):
        return True
    ranks = step.state.rank(kept), step.state.rank(other)
    return ranks[0] is not None and ranks[1] is not None and ranks[1] <= ranks[0]


def rename(step: Step) -> None:
    source, out = step.node.input(0), step.node.output()
    if source is not None and out is not None:
        step.state.facts.rename(out, source)


def on_cast(step: Step, source: str | None, target: str | None) -> None:
    """A cast to a wider float changes nothing; to a narrower one it keeps 0, 1 and sums (about)."""
    value, out = step.node.input(0), step.node.output()
    if value is None or out is None or source not in FORMATS or target not in FORMATS:
        return
    facts = step.state.facts
    if source == target or (source, target) in _WIDENING:
        facts.rename(out, value)
        return
    facts.set_total(out, facts.total(value))
    peak = facts.peak(value)
    if peak is not None:
        facts.set_peak(out, peak.level, peak.axes)


def square(step: Step) -> None:
    source, out = step.node.input(0), step.node.output()
    if source is not None and out is not None:
        step.state.facts.squares[out] = step.state.facts.root(source)


def magnitude(step: Step) -> None:
    source, out = step.node.input(0), step.node.output()
    if source is not None and out is not None:
        step.state.facts.magnitudes[out] = step.state.facts.root(source)


def on_pow(step: Step, base: Range, exponent: Range) -> None:
    """x ** 2 is a square, x ** 0.5 a root, x ** -0.5 the inverse of a root that no value of the model holds."""
    out = step.node.output()
    if exponent.lo != exponent.hi or out is None:
        return
    if exponent.lo == 2:
        square(step)
    elif exponent.lo == 0.5:
        on_sqrt(step, out)
    elif exponent.lo == -0.5:
        hidden = Value("")
        step.state.ranges[hidden] = algebra.power(base, Range(0.5, 0.5))
        on_sqrt(step, hidden)
        step.state.facts.inverses[out] = hidden


def on_sqrt(step: Step, out: Value | None) -> None:
    """sqrt(sum(x * x)) >= |x|, also with something added under the root."""
    source = step.node.input(0)
    if source is None or out is None:
        return
    facts = step.state.facts
    for upper in facts.uppers(source):
        x = upper.source if upper.power == 2 else facts.squares.get(upper.source) if upper.power == 1 else None
        if x is not None:
            root = upper._replace(source=x, kind="bound", absolute=True, power=1, factor=math.sqrt(upper.factor))
            facts.add_upper(out, root)


def on_add(step: Step, a: Range, b: Range) -> None:
    """a + b >= a and >= b where neither is negative; what dominates x still does after adding."""
    found = operands(step)
    if found is None or not (a.lo >= 0 or b.lo >= 0):
        return
    x, y, out = found
    facts = step.state.facts
    for kept, other, sign in ((x, y, b), (y, x, a)):
        uppers = facts.uppers(kept)
        if uppers and sign.lo >= 0 and _stays(step, kept, other):
            facts.add_upper(out, *(upper.loosened() for upper in uppers))
    if a.lo >= 0 and b.lo >= 0:
        facts.add_upper(out, *(Upper(facts.root(v), "bound") for v in (x, y) if v.constant is None))


def on_max(step: Step) -> None:
    """max(v, c) dominates what v dominates."""
    found = operands(step)
    if found is None or len(step.node.inputs) != 2:
        return
    x, y, out = found
    facts = step.state.facts
    for kept, other in ((x, y), (y, x)):
        uppers = facts.uppers(kept)
        if uppers and scalar(step, other):
            facts.add_upper(out, *(upper.loosened() for upper in uppers))


def on_clip(step: Step, upper_bound: float | None) -> None:
    """Raising a bound leaves it a bound."""
    source, out = step.node.input(0), step.node.output()
    if source is not None and out is not None and (upper_bound is None or upper_bound >= 3.4e38):
        facts = step.state.facts
        facts.add_upper(out, *(upper.loosened() for upper in facts.uppers(source)))


def on_exp(step: Step) -> None:
    """exp(x - max(x)) is 1 somewhere in each slice."""
    out = step.node.output()
    peak = step.state.facts.peak(step.node.input(0))
    if out is not None and peak is not None and peak.level == 0:
        step.state.facts.set_peak(out, 1.0, peak.axes)


def on_reciprocal(step: Step, divisor: Value | None) -> None:
    out = step.node.output()
    if out is not None and divisor is not None:
        step.state.facts.inverses[out] = divisor


def on_sub(step: Step, found: Range) -> Range:
    """x - max(x) <= 0, and 0 somewhere."""
    values = operands(step)
    if values is None:
        return found
    x, bound, out = values
    facts = step.state.facts
    upper = facts.above(bound, x)
    if upper is None or upper.factor != 1:
        return found
    if upper.kind == "max":
        facts.set_peak(out, 0.0, upper.over)
    return found.clamp(-INF, 0.0)._replace(loose=False)


def on_reduce(step: Step, kind: str, over: Axes, rank: int | None, count: int | None, keep: bool) -> None:
    """A maximum dominates every element; a sum does if none is negative; an average of n does n times over."""
    source, out = step.node.input(0), step.node.output()
    if source is None or out is None or (not keep and over is not None and rank is None):
        return
    facts = step.state.facts
    axes = _places(over, rank, keep)
    made = Upper(facts.root(source), "bound", over, rank, axes)
    squared = facts.root(source) in facts.squares
    positive = step.state.of(source).lo >= 0
    if kind == "max":
        facts.add_upper(out, made._replace(kind="max"))
    elif kind == "sum" and positive:
        facts.add_upper(out, made._replace(kind="sum", length=squared))
    elif kind == "mean" and positive and count is not None:
        facts.add_upper(out, made._replace(factor=float(count)))
    elif kind == "magnitudes":
        facts.add_upper(out, made._replace(kind="sum", absolute=True, length=True))
    elif kind == "exponentials":
        facts.add_upper(out, made)
    elif kind in ("norm", "square"):
        facts.add_upper(out, made._replace(absolute=True, power=2 if kind == "square" else 1, length=True))


def _places(over: Axes, rank: int | None, keep: bool) -> tuple[int | None, ...] | None:
    if over is None:
        return () if rank is None or not keep else (None,) * rank
    if rank is None:
        return None
    places: list[int | None] = [None if axis in over else axis for axis in range(rank)]
    return tuple(places) if keep else tuple(axis for axis in range(rank) if axis not in over)


def peak_floor(step: Step, over: Axes) -> float:
    """What the largest element of each reduced slice is known to be, at least."""
    peak = step.state.facts.peak(step.node.input(0))
    return peak.level if peak is not None and covers(over, peak.axes) else -INF
