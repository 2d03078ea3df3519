"""Transfer functions of arithmetic, comparison and logic on several values."""

from __future__ import annotations

import math

from . import algebra, idioms, products, relations
from .interval import INF, TOP, TRUTH, Range
from .rounding import INTEGER_LIMITS, widen
from .step import Step, Transfer
from .unary import truth


def _binary(step: Step) -> tuple[Range, Range, bool]:
    """Both operands, and whether they may depend on each other."""
    a, b = step.arg(0), step.arg(1)
    return a, b, a.lo != a.hi and b.lo != b.hi


def add(step: Step) -> Range:
    if step.idle() and not step.same():
        return TOP
    a, b, dependent = _binary(step)
    if step.same():
        return algebra.multiply(a, Range(2.0, 2.0, integral=True))
    relations.on_add(step, a, b)
    idioms.on_add(step)
    return algebra.add(a, b).having(loose=dependent)


def sub(step: Step) -> Range:
    if step.idle() and not step.same() and not step.state.facts.squares:
        return TOP
    a, b, dependent = _binary(step)
    if step.state.facts.squares:
        idioms.on_sub(step, a)
    if step.same():
        return Range(0.0, 0.0, nan=a.nan or not a.bounded, integral=True)
    found = algebra.subtract(a, b).having(loose=dependent)
    return relations.on_sub(step, found)


def mul(step: Step) -> Range:
    if step.idle() and not step.same():
        return TOP
    a, b, dependent = _binary(step)
    if step.same():
        relations.square(step)
        return algebra.square(a)
    found = algebra.multiply(a, b).having(loose=dependent)
    return products.on_mul(step, a, b, found)


def div(step: Step) -> Range:
    if step.idle() and not step.same():
        return TOP
    a, b, dependent = _binary(step)
    if step.dtype in INTEGER_LIMITS:
        return TOP if algebra.a_zero(b) else algebra.truncate(algebra.divide(a, b))
    found = algebra.divide(a, b).having(loose=dependent)
    return products.on_div(step, a, b, found)


def pow_(step: Step) -> Range:
    a, b = step.arg(0), step.arg(1)
    relations.on_pow(step, a, b)
    found = algebra.power(a, b)
    exact = b.lo == b.hi and b.lo in (0.0, 1.0, 2.0)
    return found if exact or not found.known else widen(found, 16 * step.eps, keep=(1.0, -1.0))


def mod(step: Step) -> Range:
    """`fmod=0` takes the sign of the divisor, `fmod=1` that of the dividend."""
    a, b = step.arg(0), step.arg(1)
    whole = step.dtype in INTEGER_LIMITS
    if algebra.a_zero(b) and whole:
        return TOP
    size = b.magnitude - 1 if whole else b.magnitude
    nan = a.nan or b.nan or not a.bounded or algebra.a_zero(b)
    sign = a if step.number("fmod", 0) else b
    found = Range(0.0 if sign.lo >= 0 else -size, 0.0 if sign.hi <= 0 else size, nan=nan, integral=whole)
    return found if whole or step.number("fmod", 0) else Range(-b.magnitude, b.magnitude, nan=nan)


def maximum(step: Step) -> Range:
    relations.on_max(step)
    return _fold(step, algebra.maximum)


def minimum(step: Step) -> Range:
    return _fold(step, algebra.minimum)


def _fold(step: Step, combine: object) -> Range:
    ranges = step.args()
    found = ranges[0] if ranges else TOP
    for each in ranges[1:]:
        found = combine(found, each)  # type: ignore[operator]
    return found


def total(step: Step) -> Range:
    """The operator Sum: its inputs, added."""
    found = step.summed(_fold(step, algebra.add), len(step.args()))
    return found.having(loose=len(step.args()) > 1)


def mean(step: Step) -> Range:
    """The operator Mean: its inputs' average."""
    count = len(step.args())
    found = algebra.divide(_fold(step, algebra.add), Range(float(count), float(count)))
    return step.summed(found, count).having(loose=count > 1)


def clip(step: Step) -> Range:
    """Max with the lower, then Min with the upper bound, in either spelling."""
    found = step.arg(0)
    lo, hi = _bound(step, 1, "min"), _bound(step, 2, "max")
    if lo is not None:
        found = algebra.maximum(found, lo)
    if hi is not None:
        found = algebra.minimum(found, hi)
    relations.on_clip(step, None if hi is None else hi.lo)
    return found._replace(integral=found.integral or step.dtype in INTEGER_LIMITS)


def _bound(step: Step, slot: int, name: str) -> Range | None:
    if step.has(slot):
        return step.arg(slot)
    given = step.attrs.get(name)
    return Range(float(given), float(given)) if isinstance(given, int | float) else None


def _bits(step: Step) -> Range:
    """Bitwise or, exclusive or: no bit above the highest one of either operand."""
    a, b = step.arg(0), step.arg(1)
    if a.lo < 0 or b.lo < 0 or not (a.bounded and b.bounded):
        return TOP
    return Range(0.0, math.ldexp(1.0, math.frexp(max(a.hi, b.hi))[1]) - 1, integral=True)


def bitwise_and(step: Step) -> Range:
    a, b = step.arg(0), step.arg(1)
    limits = [r.hi for r in (a, b) if r.lo >= 0]
    return Range(0.0, min(limits), integral=True) if limits else TOP


def cast(step: Step) -> Range:
    """Between types. Floats that leave an integer's limits become anything; others are cut toward zero."""
    r = step.arg(0)
    source, target = step.state.dtype(step.node.input(0)), step.state.dtype(step.node.output())
    relations.on_cast(step, source, target)
    if target == "bool":
        return TRUTH
    if source == "string" or target is None:
        return TOP
    if target in INTEGER_LIMITS and source not in INTEGER_LIMITS:
        return TOP if r.nan and r.known and not r.integral and not r.bounded else algebra.truncate(r)
    return r


def reciprocal(step: Step) -> Range:
    relations.on_reciprocal(step, step.node.input(0))
    return widen(algebra.reciprocal(step.arg(0)), step.eps)


def sqrt(step: Step) -> Range:
    relations.on_sqrt(step, step.node.output())
    r = step.arg(0)
    if r.hi < 0:
        return TOP
    inner = r.clamp(0.0, INF)
    lo, hi = math.sqrt(inner.lo), math.sqrt(inner.hi) if inner.hi < INF else INF
    return inner._replace(lo=lo, hi=hi, nan=r.nan or r.lo < 0, integral=False)


def absolute(step: Step) -> Range:
    relations.magnitude(step)
    return algebra.absolute(step.arg(0))


def exp(step: Step) -> Range:
    relations.on_exp(step)
    r = step.arg(0)
    ends = [(_exp(r.lo), r.lo_open or r.lo == -INF), (_exp(r.hi), r.hi_open or r.hi == INF)]
    exact = (1.0,) if 0 in (r.lo, r.hi) else ()
    found = widen(algebra.make(ends[0], ends[1], r), 8 * step.eps, keep=exact)
    return found.clamp(0.0, INF, lo_open=True)


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return INF


def neg(step: Step) -> Range:
    return algebra.negate(step.arg(0))


ARITHMETIC: dict[str, Transfer] = {
    "Add": add,
    "Sub": sub,
    "Mul": mul,
    "Div": div,
    "Pow": pow_,
    "Mod": mod,
    "Max": maximum,
    "Min": minimum,
    "Sum": total,
    "Mean": mean,
    "Clip": clip,
    "Cast": cast,
    "CastLike": cast,
    "Reciprocal": reciprocal,
    "Sqrt": sqrt,
    "Abs": absolute,
    "Exp": exp,
    "Neg": neg,
    "Equal": truth,
    "Greater": truth,
    "GreaterOrEqual": truth,
    "Less": truth,
    "LessOrEqual": truth,
    "And": truth,
    "Or": truth,
    "Xor": truth,
    "BitwiseAnd": bitwise_and,
    "BitwiseOr": _bits,
    "BitwiseXor": _bits,
}
"""Operators on several values of equal standing, and those that create relations."""
