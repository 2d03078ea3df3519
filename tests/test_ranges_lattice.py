"""The laws of the `ranges` lattice, and of its arithmetic and rounding."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from netlint.analyses.ranges import Range
from netlint.analyses.ranges.algebra import add, divide, multiply, subtract
from netlint.analyses.ranges.bodies import _widened
from netlint.analyses.ranges.interval import hull
from netlint.analyses.ranges.rounding import format_of, settle

# The lattice and the arithmetic, on small numbers that add and multiply exactly.

numbers = st.integers(-8, 8).map(float) | st.sampled_from([-math.inf, math.inf])


@st.composite
def some_range(draw: Any) -> Range:
    lo, hi = sorted((draw(numbers), draw(numbers)))
    if lo == hi and math.isinf(lo):
        lo, hi = -math.inf, math.inf
    flags = [draw(st.booleans()) for _ in range(6)]
    return Range(lo, hi, flags[0] and lo < hi, flags[1] and lo < hi, *flags[2:])


@given(some_range(), some_range(), some_range())
def test_join_is_a_least_upper_bound(a: Range, b: Range, c: Range) -> None:
    assert a.join(a) == a
    assert a.join(b) == b.join(a)
    assert a.join(b).join(c) == a.join(b.join(c)) == hull([a, b, c])
    assert a.within(a.join(b).lo, a.join(b).hi)


@given(some_range(), some_range(), some_range())
def test_arithmetic_is_monotone(a: Range, b: Range, wider: Range) -> None:
    for operation in (add, subtract, multiply, divide):
        narrow, wide = operation(a, b), operation(a.join(wider), b)
        assert wide.lo <= narrow.lo and narrow.hi <= wide.hi
        assert wide.nan or not narrow.nan


@given(some_range(), some_range(), st.data())
def test_arithmetic_holds_every_result(a: Range, b: Range, data: Any) -> None:
    x, y = (data.draw(st.floats(max(r.lo, -99), min(r.hi, 99))) for r in (a, b))
    assert add(a, b).contains(x + y) or abs(x + y) < 1e-9
    assert multiply(a, b).lo - 1e-9 <= x * y <= multiply(a, b).hi + 1e-9
    if y:
        quotient = divide(a, b)
        assert quotient.lo - 1e-9 * abs(x / y) <= x / y <= quotient.hi + 1e-9 * abs(x / y)


def test_each_type_has_its_own_precision() -> None:
    eps = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7, "float8e4m3fn": 2.0**-3}
    assert {dtype: format_of(dtype).eps for dtype in eps} == eps


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["float64", "float32", "float16", "bfloat16", None]),
)
def test_ends_are_rounded_outward_to_numbers_of_the_type(x: float, dtype: str | None) -> None:
    form = format_of(dtype)
    below, above = form.down(x), form.up(x)
    assert below <= x <= above
    assert form.down(below) == below and form.up(above) == above
    assert settle(Range(x, x), dtype).within(below, above)


@given(some_range(), some_range())
def test_what_meets_lies_in_both(a: Range, b: Range) -> None:
    met = a.meet(b)
    assert met.within(a.lo, a.hi)
    assert met.within(b.lo, b.hi) or met == a
    assert (met.nan, met.integral) == (a.nan, a.integral)


@given(some_range(), some_range(), st.booleans())
def test_widening_covers_and_ends(taken: Range, other: Range, give_up: bool) -> None:
    """Each end moves at most three times once ends are given up: to 0, to 1, to infinity."""
    for _ in range(7):
        joined = taken.join(other)
        wide = _widened(taken, joined, give_up)
        assert joined.within(wide.lo, wide.hi)
        if (wide.lo, wide.hi) == (taken.lo, taken.hi):
            return
        taken = wide
    raise AssertionError("no end")


@given(st.floats(-1e30, 1e30), st.sampled_from(["float64", "float32", "float16", "bfloat16"]))
def test_above_is_the_next_number(x: float, dtype: str) -> None:
    form = format_of(dtype)
    x = max(min(x, form.largest / 2), -form.largest / 2)
    start = form.down(x)
    above = form.above(start)
    assert above > start
    assert form.down(above) == above or abs(above) < form.smallest
    half = start + (above - start) / 2
    assert half in (start, above) or abs(half) < form.smallest or form.down(half) == start
