"""Ends rounded outward in the type a value is computed in."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from .interval import INF, Range

_SINGLE = struct.Struct("f")
_EVERYWHERE = frozenset({0.0, 0.5, 1.0, 2.0, INF, -0.5, -1.0, -2.0, -INF})
"""Numbers that all types have; looking them up saves time."""


@dataclass(frozen=True, slots=True)
class Format:
    """A floating-point type: bits of precision (the hidden one counted), the largest finite number, the smallest
    positive one that survives. For float32 and bfloat16 that is the smallest normal one, because accelerators flush
    what is below it to zero; float16 keeps its subnormal numbers everywhere."""

    bits: int
    largest: float
    smallest: float
    smallest_step: int
    """The exponent of 2 of the finest spacing."""
    eps: float
    """The distance from 1 to the next number."""

    def above(self, x: float) -> float:
        """The smallest number of this type above `x`, subnormal ones included."""
        if math.isinf(x):
            return x
        step = math.ldexp(1.0, max(math.frexp(x)[1] - self.bits, self.smallest_step) if x else self.smallest_step)
        if x < 0 and abs(math.frexp(x)[0]) == 0.5:
            step = max(step / 2, math.ldexp(1.0, self.smallest_step))
        return x + step

    def down(self, x: float) -> float:
        """The largest number of this type that is not above `x`."""
        if x in _EVERYWHERE:
            return x
        if abs(x) < self.smallest:
            return 0.0 if x > 0 else -self.smallest
        if abs(x) > self.largest:
            return self.largest if x > 0 else -INF
        if self.bits == 24:
            near: float = _SINGLE.unpack(_SINGLE.pack(x))[0]
            if near <= x:
                return near
        exponent = max(math.frexp(x)[1] - self.bits, self.smallest_step)
        return math.ldexp(math.floor(math.ldexp(x, -exponent)), exponent)

    def up(self, x: float) -> float:
        """The smallest number of this type that is not below `x`."""
        return -self.down(-x)


_COARSE = Format(4, 448.0, 2.0**-6, -9, 2.0**-3)
FORMATS = {
    "float64": Format(53, 1.7976931348623157e308, 2.2250738585072014e-308, -1074, 2.0**-52),
    "float32": Format(24, 3.4028234663852886e38, 2.0**-126, -149, 2.0**-23),
    "float16": Format(11, 65504.0, 2.0**-24, -24, 2.0**-10),
    "bfloat16": Format(8, 3.3895313892515355e38, 2.0**-126, -133, 2.0**-7),
}
UNKNOWN_FORMAT = Format(8, 65280.0, 2.0**-126, -133, 2.0**-7)
"""For values whose type is not known: the coarsest precision and the nearest overflow of the common types. Small
numbers survive as in float32: a constant of 1e-12 beside them is proof enough of a type that has it."""

INTEGER_LIMITS = {
    "bool": (0, 1),
    "uint2": (0, 3),
    "int2": (-2, 1),
    "uint4": (0, 15),
    "int4": (-8, 7),
    "uint8": (0, 255),
    "int8": (-128, 127),
    "uint16": (0, 65535),
    "int16": (-32768, 32767),
    "uint32": (0, 2**32 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint64": (0, 2**64 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
_NO_LIMIT = frozenset({"int32", "int64", "uint64"})
"""Types so wide that their limits say nothing about a value."""


def format_of(dtype: str | None) -> Format:
    """How values of a type are rounded; integers and unknown types like `UNKNOWN_FORMAT`."""
    found = FORMATS.get(dtype or "")
    if found is None:
        return _COARSE if dtype is not None and dtype.startswith("float") else UNKNOWN_FORMAT
    return found


def of_dtype(dtype: str | None) -> Range | None:
    """What the type alone says of a value: the limits of bool and of small integers, that integers are whole."""
    limits = INTEGER_LIMITS.get(dtype or "")
    if limits is None:
        return None
    if dtype in _NO_LIMIT:
        return Range(0.0 if dtype == "uint64" else -INF, INF, integral=True)
    return Range(float(limits[0]), float(limits[1]), integral=True)


def settle(found: Range, dtype: str | None) -> Range:
    """A range computed in real arithmetic, as the type of the value holds it.

    Rounding to nearest is monotone, so for an operation that is rounded correctly it suffices to move an end outward
    that the type cannot represent. Integers wrap around: beyond the limits of the type nothing but these is known.
    """
    limits = INTEGER_LIMITS.get(dtype or "")
    if limits is not None:
        return _whole(found, dtype, limits)
    if dtype in ("string", "complex64", "complex128"):
        return found
    lo, hi = found.lo, found.hi
    if lo == INF or hi == -INF or lo != lo or hi != hi:
        return _beyond(found, format_of(dtype))
    if lo in _EVERYWHERE and hi in _EVERYWHERE:
        return found
    form = format_of(dtype)
    lo, hi = form.down(lo), form.up(hi)
    if (lo == 0 and found.lo > 0) or (hi == 0 and found.hi < 0):
        # Only underflow leads to this 0.
        return found._replace(lo=lo, hi=hi, lo_open=found.lo_open or lo == 0, hi_open=found.hi_open or hi == 0)
    return found.moved(lo, hi)


def _beyond(found: Range, form: Format) -> Range:
    """What certainly overflows is at least the largest number; what may come of infinities is unknown."""
    if found.lo != found.lo or found.hi != found.hi:
        return Range(-INF, INF, nan=True)
    if found.lo == found.hi:
        return found
    return found._replace(lo=min(found.lo, form.largest), hi=max(found.hi, -form.largest))


def _whole(found: Range, dtype: str | None, limits: tuple[int, int]) -> Range:
    fits = limits[0] <= found.lo and found.hi <= limits[1]
    if not fits:
        wrapped = of_dtype(dtype)
        assert wrapped is not None
        one_sided = dtype in _NO_LIMIT and (found.lo >= limits[0] or found.hi <= limits[1])
        # An unbounded end of a wide integer is "unknown", not an overflow: lengths and indices stay >= 0.
        if one_sided and (found.lo == -INF or found.hi == INF):
            return found._replace(nan=False, integral=True)
        return wrapped._replace(assumed=found.assumed)
    return found if found.integral and not found.nan else found._replace(nan=False, integral=True)


def widen(found: Range, relative: float, absolute: float = 0.0, keep: tuple[float, ...] = ()) -> Range:
    """Ends moved outward by a part of themselves and a constant; those in `keep` are exact and stay."""
    lo, hi = found.lo, found.hi
    if abs(lo) < INF and lo not in keep:
        lo -= abs(lo) * relative + absolute
    if abs(hi) < INF and hi not in keep:
        hi += abs(hi) * relative + absolute
    return found.moved(lo, hi)
