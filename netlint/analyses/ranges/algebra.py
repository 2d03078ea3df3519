"""Interval arithmetic in real numbers, with open ends and the ways to NaN. Rounding happens elsewhere."""

from __future__ import annotations

import math
from typing import TypeAlias

from .interval import INF, ONE, TOP, ZERO, Range

End: TypeAlias = tuple[float, bool]
"""A number and whether it is only approached. Infinite ends always are."""


def low(r: Range) -> End:
    return r.lo, r.lo_open or r.lo == -INF


def high(r: Range) -> End:
    return r.hi, r.hi_open or r.hi == INF


def make(lo: End, hi: End, *sources: Range, nan: bool = False, integral: bool = False) -> Range:
    """A range between two ends; NaN, assumption and looseness are inherited from the sources."""
    assumed = loose = False
    for source in sources:
        nan, assumed, loose = nan or source.nan, assumed or source.assumed, loose or source.loose
    return Range(lo[0], hi[0], lo[1] and lo[0] > -INF, hi[1] and hi[0] < INF, nan, integral, assumed, loose)


def negate(a: Range) -> Range:
    return Range(-a.hi, -a.lo, a.hi_open, a.lo_open, a.nan, a.integral, a.assumed, a.loose)


def add(a: Range, b: Range) -> Range:
    if not (a.known or b.known):
        return TOP
    nan = (a.hi == INF and b.lo == -INF) or (a.lo == -INF and b.hi == INF)
    lo = -INF if -INF in (a.lo, b.lo) else a.lo + b.lo
    hi = INF if INF in (a.hi, b.hi) else a.hi + b.hi
    opens = (a.lo_open or b.lo_open, a.hi_open or b.hi_open)
    return make((lo, opens[0]), (hi, opens[1]), a, b, nan=nan, integral=a.integral and b.integral)


def subtract(a: Range, b: Range) -> Range:
    return add(a, negate(b))


def _product(x: End, y: End) -> End:
    if x[0] == 0 or y[0] == 0:
        # One zero that is attained suffices, whatever the other factor is.
        attained = (x[0] == 0 and not x[1]) or (y[0] == 0 and not y[1])
        return 0.0, not attained
    return x[0] * y[0], x[1] or y[1]


def _lowest(ends: list[End]) -> End:
    value = min(end[0] for end in ends)
    return value, all(end[1] for end in ends if end[0] == value)


def _highest(ends: list[End]) -> End:
    value = max(end[0] for end in ends)
    return value, all(end[1] for end in ends if end[0] == value)


def multiply(a: Range, b: Range) -> Range:
    if not (a.known or b.known):
        return TOP
    nan = (_infinite(a) and a_zero(b)) or (_infinite(b) and a_zero(a))
    if a.lo >= 0 and b.lo >= 0:
        lo, hi = _product(low(a), low(b)), _product(high(a), high(b))
    else:
        corners = [_product(x, y) for x in (low(a), high(a)) for y in (low(b), high(b))]
        lo, hi = _lowest(corners), _highest(corners)
    return make(lo, hi, a, b, nan=nan, integral=a.integral and b.integral)


def _infinite(r: Range) -> bool:
    return r.lo == -INF or r.hi == INF


def a_zero(r: Range) -> bool:
    """Whether 0 may occur."""
    return r.lo <= 0 <= r.hi


def reciprocal(b: Range) -> Range:
    """1 / b. A divisor of 0 gives either infinity, because zeros have signs; one that is only approached from one
    side (and reached by underflow, with that side's sign) keeps its sign."""
    if b.lo > 0 or (b.lo == 0 and b.lo_open and b.hi > 0):
        lo = (0.0 if b.hi == INF else 1 / b.hi, high(b)[1])
        return make(lo, (INF if b.lo == 0 else 1 / b.lo, b.lo_open), b)
    if b.hi < 0 or (b.hi == 0 and b.hi_open and b.lo < 0):
        return negate(reciprocal(negate(b)))
    return TOP._replace(nan=b.nan)


def divide(a: Range, b: Range) -> Range:
    """a / b in real arithmetic. Unknown where the divisor may be 0; see `reciprocal`."""
    if b.hi < 0 or (b.hi == 0 and b.hi_open and b.lo < 0):
        return divide(negate(a), negate(b))
    nan = a.nan or b.nan
    if not (b.lo > 0 or (b.lo == 0 and b.lo_open and b.hi > 0)):
        return Range(-INF, INF, nan=nan or (a_zero(a) and a_zero(b)) or (_infinite(a) and _infinite(b)))
    corners = [_quotient(x, y) for x in (low(a), high(a)) for y in (low(b), high(b))]
    nan = (a_zero(a) and b.lo == 0) or (_infinite(a) and b.hi == INF)
    return make(_lowest(corners), _highest(corners), a, b, nan=nan)


def _quotient(x: End, y: End) -> End:
    """x / y for y > 0, or y = 0 approached from above."""
    if x[0] == 0:
        return x
    if y[0] == INF:
        return 0.0, True
    if y[0] == 0:
        return math.copysign(INF, x[0]), True
    return x[0] / y[0], x[1] or y[1]


def maximum(a: Range, b: Range) -> Range:
    lo = max(low(a), low(b)) if a.lo != b.lo else (a.lo, a.lo_open or b.lo_open)
    hi = max(high(a), high(b)) if a.hi != b.hi else (a.hi, a.hi_open and b.hi_open)
    return make(lo, hi, a, b, integral=a.integral and b.integral)


def minimum(a: Range, b: Range) -> Range:
    return negate(maximum(negate(a), negate(b)))


def absolute(a: Range) -> Range:
    if a.lo >= 0:
        return a
    if a.hi <= 0:
        return negate(a)
    far = _highest([high(negate(a)), high(a)])
    return make((0.0, False), far, a, integral=a.integral)


def square(a: Range) -> Range:
    """a * a where both factors are the same value."""
    m = absolute(a)
    lo, hi = low(m), high(m)
    return make((lo[0] * lo[0], lo[1]), (hi[0] * hi[0], hi[1]), a, integral=a.integral)


def times(a: Range, count: int) -> Range:
    """A sum of `count` elements of a."""
    n = float(count)
    return make((a.lo * n if a.lo else 0.0, a.lo_open), (a.hi * n if a.hi else 0.0, a.hi_open), a, integral=a.integral)


def power(a: Range, b: Range) -> Range:
    """a ** b. Unknown where a may be negative, unless b is a whole constant."""
    if b.lo == b.hi and math.isfinite(b.lo):
        return _power_of(a, b.lo).having(nan=b.nan)
    if a.lo < 0 or not b.known:
        return TOP
    if a.lo == 0 and b.lo < 0:
        return TOP._replace(nan=a.nan or b.nan)
    corners = [(_pow(x, y), True) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    corners += [(1.0, True)] if a_zero(b) or a.lo <= 1 <= a.hi else []
    if any(math.isnan(corner[0]) for corner in corners):
        return make((0.0, False), (INF, False), a, b, nan=True)
    lo, hi = _lowest(corners)[0], _highest(corners)[0]
    return make((lo, False), (hi, False), a, b)


def _power_of(a: Range, exponent: float) -> Range:
    if exponent == 0:
        return ONE
    if exponent < 0:
        return reciprocal(_power_of(a, -exponent)).having(nan=a.nan)
    if exponent == 1:
        return a
    if exponent % 2 == 0:
        m = absolute(a)
    elif a.lo >= 0 or exponent.is_integer():
        m = a
    elif a.hi < 0:
        return TOP
    else:
        m = a._replace(lo=0.0, lo_open=False, nan=True)
    whole = a.integral and exponent.is_integer()
    return make((_pow(m.lo, exponent), m.lo_open), (_pow(m.hi, exponent), m.hi_open), m, integral=whole)


def _pow(x: float, y: float) -> float:
    try:
        return math.pow(x, y)
    except OverflowError:
        return -INF if x < 0 and y % 2 == 1 else INF
    except ValueError:  # 0 to a negative power
        return INF


def truncate(a: Range) -> Range:
    """Rounded toward zero to whole numbers."""
    lo = a.lo if math.isinf(a.lo) else float(math.trunc(a.lo))
    hi = a.hi if math.isinf(a.hi) else float(math.trunc(a.hi))
    return Range(lo, hi, integral=True, assumed=a.assumed, loose=a.loose)


def with_zero(a: Range) -> Range:
    """a, or 0: what padding does to it."""
    return a.join(ZERO)
