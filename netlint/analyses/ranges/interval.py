"""What is known of the elements of one value: an interval with its ends, and flags."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

INF = math.inf
OVERSHOOT = 2.0**-20
"""How far, relatively, an implementation may pass the asymptote of a saturating function: onnxruntime's Tanh was seen
to give -1.0000001 and its GRU 1.0000005. Ranges keep the asymptote itself."""


class Range(NamedTuple):
    """Every element that is not NaN lies in [lo, hi], as executed in the value's own floating-point type.

    An infinite end means that nothing bounds the value on that side, overflow to infinity included. Two things are
    taken for granted: no axis has length 0, and normalisations compute their statistics without cancellation.
    """

    lo: float
    hi: float
    lo_open: bool = False
    """In real arithmetic and for finite inputs, `lo` is approached and never attained (rounding may attain it)."""
    hi_open: bool = False
    nan: bool = False
    """An element may be NaN. False is a proof; True often means only that nobody can exclude it."""
    integral: bool = False
    """Every finite element is a whole number."""
    assumed: bool = False
    """The interval rests on the input range that the training contract declares."""
    loose: bool = False
    """The ends are bounds that perhaps no input reaches: they come from a sum over many elements or from operands
    that depend on each other. A rule may prove from them that something cannot happen, not that it does."""

    @property
    def known(self) -> bool:
        """Whether at least one side is bounded."""
        return self.lo > -INF or self.hi < INF

    @property
    def bounded(self) -> bool:
        """Whether both sides are."""
        return self.lo > -INF and self.hi < INF

    @property
    def magnitude(self) -> float:
        """The largest absolute value."""
        return max(abs(self.lo), abs(self.hi))

    @property
    def magnitude_of_finite(self) -> float:
        """The larger absolute value of those ends that are finite; 0 for none."""
        return max((abs(end) for end in (self.lo, self.hi) if abs(end) < INF), default=0.0)

    def contains(self, x: float) -> bool:
        """Whether an element may be `x` as executed: open ends are contained, because rounding attains them, and so is
        what lies beyond an end by `OVERSHOOT` of it."""
        if math.isnan(x):
            return self.nan
        above = self.lo <= x or self.lo - abs(self.lo) * OVERSHOOT <= x
        return above and (x <= self.hi or x <= self.hi + abs(self.hi) * OVERSHOOT)

    def within(self, lo: float, hi: float) -> bool:
        """Whether every element that is not NaN is proved to lie in [lo, hi]."""
        return lo <= self.lo and self.hi <= hi

    def join(self, other: Range) -> Range:
        """The smallest range that covers both."""
        return Range(
            min(self.lo, other.lo),
            max(self.hi, other.hi),
            (self.lo_open or other.lo < self.lo) and (other.lo_open or self.lo < other.lo),
            (self.hi_open or other.hi > self.hi) and (other.hi_open or self.hi > other.hi),
            self.nan or other.nan,
            self.integral and other.integral,
            self.assumed or other.assumed,
            self.loose or other.loose,
        )

    def clamp(self, lo: float, hi: float, lo_open: bool = False, hi_open: bool = False) -> Range:
        """This range, knowing that all elements also lie in [lo, hi]; the flags say whether those ends are open."""
        if lo < self.lo and self.hi < hi:
            return self
        new_lo, new_lo_open, new_hi, new_hi_open = self.lo, self.lo_open, self.hi, self.hi_open
        if self.lo <= lo:
            new_lo, new_lo_open = lo, lo_open or (self.lo_open and self.lo == lo)
        elif self.lo > hi:
            new_lo, new_lo_open = hi, hi_open
        if self.hi >= hi:
            new_hi, new_hi_open = hi, hi_open or (self.hi_open and self.hi == hi)
        elif self.hi < lo:
            new_hi, new_hi_open = lo, lo_open
        flags = (self.nan, self.integral, self.assumed, self.loose)
        return Range(new_lo, new_hi, new_lo_open, new_hi_open, *flags)

    def moved(self, lo: float, hi: float) -> Range:
        """This range with other ends, all flags as they are."""
        if lo == self.lo and hi == self.hi:
            return self
        return Range(lo, hi, self.lo_open, self.hi_open, self.nan, self.integral, self.assumed, self.loose)

    def having(self, *, nan: bool = False, loose: bool = False, integral: bool = False) -> Range:
        """This range with the flags that are given set, the others as they are."""
        nan, loose, integral = nan or self.nan, loose or self.loose, integral or self.integral
        if (nan, loose, integral) == (self.nan, self.loose, self.integral):
            return self
        return Range(self.lo, self.hi, self.lo_open, self.hi_open, nan, integral, self.assumed, loose)

    def meet(self, other: Range) -> Range:
        """This range, knowing that all elements also lie in the other one; this one where the two do not overlap."""
        if other.lo <= self.lo and self.hi <= other.hi:
            return self
        if other.lo > self.hi or other.hi < self.lo:
            return self
        return self.clamp(other.lo, other.hi, other.lo_open, other.hi_open)

    def __str__(self) -> str:
        if not self.known:
            return "unknown"
        left = "(" if self.lo_open or self.lo == -INF else "["
        right = ")" if self.hi_open or self.hi == INF else "]"
        return f"{left}{self.lo + 0.0:g}, {self.hi + 0.0:g}{right}"  # adding 0 takes the sign off a zero


TOP = Range(-INF, INF, nan=True)
"""Nothing is known."""

REALS = Range(-INF, INF, nan=False)
"""Any finite number."""
ZERO = Range(0.0, 0.0, integral=True)
ONE = Range(1.0, 1.0, integral=True)
TRUTH = Range(0.0, 1.0, integral=True)
COUNT = Range(0.0, INF, integral=True)
"""A non-negative whole number: an index, a length."""


def point(x: float) -> Range:
    """The range of a constant."""
    return TOP if math.isnan(x) else Range(x, x, integral=x.is_integer())


def hull(ranges: Iterable[Range]) -> Range:
    """The smallest range that covers all of them; TOP for none."""
    found: Range | None = None
    for each in ranges:
        found = each if found is None else found.join(each)
    return TOP if found is None else found
