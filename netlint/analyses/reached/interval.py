"""What a value is shown to reach: the inner counterpart of the proved ranges.

`ranges` says what a value cannot be; a `Reach` says what it can be, for some input and for weights that training may
find. A warning needs both: the bad number is not excluded, and there is a way to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

from netlint.analyses.ranges.rounding import FORMATS
from netlint.graph import Value

INF = math.inf
MOST_SOURCES = 8
MANY = Value("many")
"""Stands for more sources than are kept apart."""


class How(IntEnum):
    """How a number is reached."""

    NEVER = 0
    """Not at all: approached at most."""
    ROUNDED = 1
    """Where a number too small or too close to another is rounded, e.g. sigmoid(20) to 1 in float32."""
    POINT = 2
    """By a value that passes it, as a layer's output passes 0 when the input changes."""
    SOLID = 3
    """By many inputs: ReLU gives 0 for half of them, a constant batch has no variance."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Elements come as close as one likes to `lo` and to `hi`, and take what lies between."""

    lo: float
    hi: float
    at_lo: How = How.NEVER
    at_hi: How = How.NEVER
    """At an infinite end: ROUNDED where the value overflows soon, as an exponential does."""
    inside: How = How.POINT
    """How 0 is reached if it lies between the ends; NEVER where it is cut out."""
    raw: bool = False
    """An input of the model, or one shifted and scaled: its sign and size are for its author to know."""
    sources: frozenset[Value] = frozenset()
    """Inputs and results of layers that the value varies with."""
    via: Value | None = None
    """The operand that brings the value to the end that matters."""

    @property
    def zero(self) -> How:
        """How 0 is reached."""
        if self.lo < 0 < self.hi:
            return self.inside
        return max(self.at_lo if self.lo == 0 else How.NEVER, self.at_hi if self.hi == 0 else How.NEVER)

    @property
    def fixed(self) -> bool:
        """Whether the value depends on no input."""
        return not self.sources

    def __str__(self) -> str:
        left = "[" if self.at_lo > How.ROUNDED else "("
        right = "]" if self.at_hi > How.ROUNDED else ")"
        return "any number" if (self.lo, self.hi) == (-INF, INF) else f"{left}{self.lo:.4g}, {self.hi:.4g}{right}"

    def like(self, lo: float, hi: float, at_lo: How, at_hi: How, inside: How | None = None) -> Reach:
        """Other ends, the same sources."""
        return Reach(lo, hi, at_lo, at_hi, self.inside if inside is None else inside, False, self.sources, self.via)


def free(*sources: Value, zero: How = How.POINT) -> Reach:
    """Any number, at will of the input or of the weights."""
    return Reach(-INF, INF, inside=zero, sources=frozenset(sources))


def point(x: float) -> Reach:
    """A constant."""
    return Reach(x, x, How.SOLID, How.SOLID)


def dependent(a: Reach, b: Reach) -> bool:
    """Whether two values may vary together, so that not every pair of their numbers occurs."""
    return MANY in a.sources or MANY in b.sources or bool(a.sources & b.sources)


def rounded(x: float, dtype: str | None) -> float:
    """The nearest number that a type has."""
    form = FORMATS.get(dtype or "", FORMATS["float32"])
    down, up = form.down(x), form.up(x)
    if math.isinf(down) or math.isinf(up):
        return x
    return down if x - down <= up - x else up


def monotone(a: Reach, f: Callable[[float], float], dtype: str | None, *, odd: bool = False) -> Reach:
    """A function that never falls. A limit that it does not attain is reached by rounding."""
    lo, at_lo = _end(a.lo, a.at_lo, f, dtype)
    hi, at_hi = _end(a.hi, a.at_hi, f, dtype)
    return a.like(lo, hi, at_lo, at_hi, a.inside if odd else How.POINT)


def _end(x: float, how: How, f: Callable[[float], float], dtype: str | None) -> tuple[float, How]:
    try:
        y = f(x)
    except OverflowError:
        return math.copysign(INF, x), How.NEVER
    if math.isinf(y):
        return y, How.NEVER
    held = rounded(y, dtype)
    if math.isinf(x):
        return held, How.ROUNDED
    return held, min(how, How.ROUNDED) if held != y and held in (0.0, 1.0, -1.0) and y not in (0.0, 1.0, -1.0) else how


def negate(a: Reach) -> Reach:
    return replace(a, lo=-a.hi, hi=-a.lo, at_lo=a.at_hi, at_hi=a.at_lo)


def shift(a: Reach, by: float, dtype: str | None) -> Reach:
    """a + c, as the type holds it. What is only approached vanishes beside a larger number."""
    lo, hi = (rounded(x + by, dtype) if math.isfinite(x) else x for x in (a.lo, a.hi))
    at_lo = max(a.at_lo, How.ROUNDED) if abs(by) > abs(a.lo) else a.at_lo
    at_hi = max(a.at_hi, How.ROUNDED) if abs(by) > abs(a.hi) else a.at_hi
    return replace(a, lo=lo, hi=hi, at_lo=at_lo, at_hi=at_hi, inside=a.inside if by == 0 else How.POINT)


def scale(a: Reach, by: float, dtype: str | None) -> Reach:
    """c * a."""
    if by == 0 or math.isnan(by) or math.isinf(by):
        return replace(a, lo=0.0, hi=0.0, at_lo=How.SOLID, at_hi=How.SOLID)
    lo, hi = (rounded(x * by, dtype) if math.isfinite(x) else x * by for x in (a.lo, a.hi))
    return replace(a, lo=lo, hi=hi) if by > 0 else replace(a, lo=hi, hi=lo, at_lo=a.at_hi, at_hi=a.at_lo)


def join(a: Reach, b: Reach) -> Reach:
    """Either."""
    low, high = (a, b) if a.lo <= b.lo else (b, a)
    apart = low.hi < high.lo and low.hi < 0 < high.lo
    zero = How.NEVER if apart else max(a.zero, b.zero) or (How.POINT if low.hi >= high.lo else How.NEVER)
    at_lo = max(a.at_lo, b.at_lo) if a.lo == b.lo else low.at_lo
    at_hi = max(a.at_hi, b.at_hi) if a.hi == b.hi else (a if a.hi > b.hi else b).at_hi
    via = a.via or b.via
    return Reach(low.lo, max(a.hi, b.hi), at_lo, at_hi, zero, a.raw or b.raw, _merged(a, b), via)


def _merged(a: Reach, b: Reach) -> frozenset[Value]:
    return a.sources | b.sources


def magnitude(a: Reach) -> Reach:
    """|a|."""
    if a.lo >= 0:
        return a
    if a.hi <= 0:
        return negate(a)
    hi, at_hi = max((-a.lo, a.at_lo), (a.hi, a.at_hi))
    return a.like(0.0, hi, a.inside, at_hi)


def square(a: Reach, dtype: str | None) -> Reach:
    m = magnitude(a)
    return m.like(rounded(m.lo * m.lo, dtype), m.hi * m.hi, m.at_lo, m.at_hi)


def clamp(a: Reach, lo: float, hi: float, at: How = How.SOLID) -> Reach:
    """min(max(a, lo), hi): what is cut off gathers at the bound."""
    new_lo, at_lo, new_hi, at_hi = a.lo, a.at_lo, a.hi, a.at_hi
    if a.lo < lo:
        new_lo, at_lo = lo, at
    if a.hi > hi:
        new_hi, at_hi = hi, at
    new_lo, new_hi = min(new_lo, max(hi, lo)), max(new_hi, lo)
    return replace(a, lo=new_lo, hi=new_hi, at_lo=at_lo, at_hi=at_hi, raw=False)


def cut(a: Reach, lo: float, hi: float, at: How = How.NEVER) -> Reach | None:
    """The elements of a between two bounds, which are reached as `at` says; None if there are none."""
    if a.hi <= lo or a.lo >= hi:
        return None
    new_lo, at_lo = (lo, at) if a.lo <= lo else (a.lo, a.at_lo)
    new_hi, at_hi = (hi, at) if a.hi >= hi else (a.hi, a.at_hi)
    return replace(a, lo=new_lo, hi=new_hi, at_lo=at_lo, at_hi=at_hi)


def add(a: Reach, b: Reach) -> Reach | None:
    """a + b of values that vary on their own, or are both not negative."""
    raw, sources = a.raw or b.raw, _merged(a, b)
    if not dependent(a, b):
        at_lo = _both((a.lo, a.at_lo), (b.lo, b.at_lo))
        at_hi = _both((a.hi, a.at_hi), (b.hi, b.at_hi))
        return Reach(a.lo + b.lo, a.hi + b.hi, at_lo, at_hi, How.POINT, raw, sources, a.via)
    if a.lo >= 0 and b.lo >= 0:
        both = min(a.at_lo, b.at_lo)
        # Both may be exactly 0 together; that both underflow together is not shown: exp(x) + exp(-x) >= 2.
        both = both if both > How.ROUNDED else How.NEVER
        return Reach(a.lo + b.lo, max(a.hi, b.hi), both, How.NEVER, How.POINT, raw, sources, a.via)
    if a.hi <= 0 and b.hi <= 0:
        found = add(negate(a), negate(b))
        return None if found is None else negate(found)
    return None


def _both(x: tuple[float, How], y: tuple[float, How]) -> How:
    """How a sum of two ends is reached; an infinite one needs no help."""
    ends = [at for end, at in (x, y) if math.isinf(end)]
    return max(ends) if ends else min(x[1], y[1])


def multiply(a: Reach, b: Reach, dtype: str | None) -> Reach | None:
    """a * b; of values that vary together only the zero and the sign are told."""
    sources, raw = _merged(a, b), a.raw or b.raw
    zero = max(a.zero, b.zero)
    if dependent(a, b):
        return Reach(0.0, 0.0, zero, zero, zero, raw, sources, a.via) if zero else None
    ends = [(_times(x, y), min(p, q)) for x, p in _ends(a) for y, q in _ends(b)]
    lo, hi = min(ends), max(ends)
    at_lo = max(q for x, q in ends if x == lo[0])
    at_hi = max(q for x, q in ends if x == hi[0])
    at_lo, at_hi = (zero if lo[0] == 0 else at_lo), (zero if hi[0] == 0 else at_hi)
    return Reach(lo[0], hi[0], at_lo, at_hi, zero or How.POINT, raw, sources, a.via)


def _ends(a: Reach) -> tuple[tuple[float, How], tuple[float, How]]:
    return (a.lo, a.at_lo), (a.hi, a.at_hi)


def _times(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y


def invert(a: Reach, dtype: str | None) -> Reach | None:
    """1 / a for one sign; both signs make anything."""
    if a.lo < 0 < a.hi:
        return replace(a, lo=-INF, hi=INF, at_lo=How.NEVER, at_hi=How.NEVER)
    if a.hi <= 0:
        found = invert(negate(a), dtype)
        return None if found is None else negate(found)
    # Only what overflows, as an exponential does, has an inverse that is rounded to 0.
    lo, at_lo = (0.0, a.at_hi) if a.hi == INF else (rounded(1 / a.hi, dtype), a.at_hi)
    hi, at_hi = (INF, How.NEVER) if a.lo == 0 else (rounded(1 / a.lo, dtype), a.at_lo)
    return a.like(lo, hi, at_lo, at_hi)
