"""Transfer functions of arithmetic and choice on several operands."""

from __future__ import annotations

import math
from dataclasses import replace

from netlint.graph import Node

from . import Reached
from . import interval as inner
from .interval import INF, How, Reach
from .patterns import (
    alike,
    cancels,
    compared,
    complement,
    cosine,
    deviation,
    maker,
    maximum_of,
    spread,
)
from .step import Transfer, arg, dtype_of, is_unit, meant_as_logits

_HUGE = 1e4
"""A constant as large as this in a choice masks scores; it is not what they reach."""


def _pair(known: Reached, node: Node) -> tuple[Reach, Reach] | None:
    a, b = arg(known, node, 0), arg(known, node, 1)
    return None if a is None or b is None else (a, b)


def _add(known: Reached, node: Node) -> Reach | None:
    pair = _pair(known, node)
    if pair is None:
        return None
    if cancels(known, node):
        return _cancelled(*pair)
    return _blend(known, node) or _sum_of(known, node, *pair)


def _sum_of(known: Reached, node: Node, a: Reach, b: Reach) -> Reach | None:
    for moving, other in ((a, b), (b, a)):
        if other.fixed and other.lo == other.hi:
            return inner.shift(moving, other.lo, dtype_of(known, node))
    if a.raw and b.raw:
        # Of two inputs nobody knows which is the larger.
        low, high = inner.shift(a, b.lo, None), inner.shift(a, b.hi, None)
        return replace(inner.join(low, high), raw=True, sources=a.sources | b.sources)
    if a.raw != b.raw and (a.fixed or b.fixed):
        return replace(a if a.raw else b, at_lo=How.POINT, at_hi=How.POINT, inside=How.POINT)
    found = inner.add(a, b)
    return found if found is None else replace(found, raw=False)


def _total(known: Reached, node: Node) -> Reach | None:
    """The sum of any number of operands, or their mean."""
    found = [known.known_so_far(value) for value in node.inputs if value is not None]
    total = found[0] if found else None
    for each in found[1:]:
        total = None if total is None or each is None else _sum_of(known, node, total, each)
    if total is None or node.op == "Sum":
        return total
    return inner.scale(total, 1 / len(found), dtype_of(known, node))


def _blend(known: Reached, node: Node) -> Reach | None:
    """t * u + (1 - t) * v takes u where t is 1, and v where t is 0."""
    products = [maker(known, value) for value in node.inputs]
    if any(made is None or made.op != "Mul" for made in products):
        return None
    left, right = (made for made in products if made is not None)
    for one, other in ((left, right), (right, left)):
        for t, u in (one.inputs[:2], one.inputs[1::-1]):
            v = next((y for x, y in (other.inputs[:2], other.inputs[1::-1]) if complement(known, x, t)), None)
            shares, first, second = known.known_so_far(t), known.known_so_far(u), known.known_so_far(v)
            if v is None or shares is None or first is None or second is None:
                continue
            if shares.lo <= 0 and shares.hi >= 1 and not (first.raw or second.raw):
                return inner.join(first, second)
    return None


def _cancelled(a: Reach, b: Reach) -> Reach:
    """E[x²] - E[x]², |a|² + |b|² - 2ab: not negative, but for rounding; 0 where elements are equal."""
    return Reach(-(2.0**-20), INF, How.ROUNDED, How.NEVER, How.SOLID, sources=a.sources | b.sources)


def _sub(known: Reached, node: Node) -> Reach | None:
    pair = _pair(known, node)
    if pair is None:
        return None
    a, b = pair
    if cancels(known, node):
        return _cancelled(a, b)
    if maximum_of(known, node.input(1), node.input(0)):
        largest = maker(known, node.input(1))
        if largest is not None and largest.op == "Max" and any(alike(known, v, node.input(0)) for v in largest.inputs):
            return None  # x - max(x, y) and y - max(x, y) are not both low; which is, is not told
        return a.like(-INF if a.lo == -INF or a.raw else a.lo - a.hi, 0.0, How.NEVER, How.SOLID)
    if deviation(known, node):
        return a.like(
            -INF if a.raw else min(a.lo - a.hi, 0.0), INF if a.raw else a.hi - a.lo, How.NEVER, How.NEVER, How.SOLID
        )
    if spread(known, node):
        return a.like(0.0, INF, How.SOLID, How.NEVER)
    found = _sum_of(known, node, a, inner.negate(b))
    if found is None or a.fixed or (b.fixed and b.lo == b.hi):
        return found
    # Two values that are alike may be equal in every element; so may a value and a stored centre.
    return replace(found, inside=How.SOLID)


def _mul(known: Reached, node: Node) -> Reach | None:
    a, b = arg(known, node, 0), arg(known, node, 1)
    left, right = node.input(0), node.input(1)
    if a is None or b is None:
        return None
    dtype = dtype_of(known, node)
    if alike(known, left, right):
        return inner.square(replace(a, raw=False), dtype)
    for moving, other in ((a, b), (b, a)):
        if other.fixed and other.lo == other.hi:
            return inner.scale(moving, other.lo, dtype)
        if other.fixed and moving.raw:
            return moving
    if a.raw and b.raw:
        return replace(inner.join(a, b), raw=True)
    found = inner.multiply(a, b, dtype)
    return found if found is None else replace(found, raw=False)


def _div(known: Reached, node: Node) -> Reach | None:
    pair = _pair(known, node)
    if pair is None:
        return None
    a, b = pair
    dtype = dtype_of(known, node)
    proved = known.ranges.of(node.output())
    if b.fixed and b.lo == b.hi and b.lo:
        return inner.scale(a, 1 / b.lo, dtype)
    if (proved.bounded and inner.dependent(a, b)) or is_unit(known, node.output()) or cosine(known, node):
        # A vector by its norm, an exponential by the sum of them.
        low = proved.lo < 0
        how = How.ROUNDED
        return Reach(-1.0 if low else 0.0, 1.0, how, how, a.inside, sources=a.sources | b.sources, via=node.input(0))
    if b.raw:
        return replace(b, raw=True)
    if a.fixed and a.lo == a.hi:
        found = inner.invert(b, dtype)
        return None if found is None else inner.scale(found, a.lo, dtype)
    if inner.dependent(a, b):
        zero = a.zero
        return Reach(0.0, 0.0, zero, zero, zero, sources=a.sources | b.sources) if zero else None
    inverse = inner.invert(b, dtype)
    found = None if inverse is None else inner.multiply(a, inverse, dtype)
    return found if found is None else replace(found, raw=a.raw and b.fixed)


def _pow(known: Reached, node: Node) -> Reach | None:
    a, exponent = arg(known, node), known.number(node.input(1))
    if a is None or exponent is None:
        return None
    dtype = dtype_of(known, node)
    if exponent < 0:
        found = _power(replace(a, raw=False) if exponent % 2 == 0 else a, -exponent, dtype)
        return None if found is None or found.raw else inner.invert(found, dtype)
    return _power(a, exponent, dtype)


def _power(a: Reach, exponent: float, dtype: str | None) -> Reach | None:
    if exponent == 0:
        return inner.point(1.0)
    if exponent % 2 == 0:
        a = inner.magnitude(replace(a, raw=False))
    elif not float(exponent).is_integer():
        if a.raw:
            return a
        zero, below = a.zero, a.lo < 0
        within = inner.cut(a, 0.0, INF) if below else a
        if within is None:
            return None
        a = replace(within, at_lo=zero) if below else within
    elif a.raw:
        return a
    return inner.monotone(a, lambda x: math.copysign(abs(x) ** exponent, x) if x else 0.0, dtype, odd=True)


def _extreme(larger: bool) -> Transfer:
    def apply(known: Reached, node: Node) -> Reach | None:
        found = [known.known_so_far(value) for value in node.inputs if value is not None]
        joined = found[0] if found else None
        for each in found[1:]:
            joined = None if joined is None or each is None else _larger(joined, each, larger)
        return joined

    return apply


def _larger(a: Reach, b: Reach, larger: bool) -> Reach:
    if not larger:
        return inner.negate(_larger(inner.negate(a), inner.negate(b), True))
    a, b = meant_as_logits(a), meant_as_logits(b)
    for moving, bound in ((a, b), (b, a)):
        if bound.fixed:
            return inner.clamp(moving, bound.hi, INF)
    low, high = max((a.lo, a.at_lo), (b.lo, b.at_lo)), max((a.hi, a.at_hi), (b.hi, b.at_hi))
    return Reach(low[0], high[0], low[1], high[1], min(a.zero, b.zero), False, a.sources | b.sources, a.via)


def _clip(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    if a is None:
        return None
    bounds = []
    for slot, name, default in ((1, "min", -INF), (2, "max", INF)):
        given = node.input(slot)
        number = known.number(given) if given is not None else node.attrs.get(name, default)
        bounds.append(default if number is None else float(number))
    return inner.clamp(meant_as_logits(a), bounds[0], bounds[1])


def _where(known: Reached, node: Node) -> Reach | None:
    """Either branch, as far as the condition leaves it: `x > 0 ? x : 1` takes x above 0 only."""
    found = []
    for slot, taken in ((1, True), (2, False)):
        value = node.input(slot)
        branch = known.known_so_far(value)
        limits = compared(known, node.input(0), value, taken)
        if branch is None:
            return None
        narrowed = _narrowed(branch, limits) if limits is not None else branch
        if narrowed is not None:
            found.append(narrowed)
    if not found:
        return None
    return found[0] if len(found) == 1 else _either(found[0], found[1])


def _either(a: Reach, b: Reach) -> Reach:
    """A masked score is not what the unmasked ones reach: constants of the size of infinity stay out."""
    for kept, other in ((a, b), (b, a)):
        if other.fixed and abs(other.lo) >= _HUGE:
            return kept
    return inner.join(a, b)


def _narrowed(branch: Reach, limits: tuple[float, float, How, bool]) -> Reach | None:
    lo, hi, at, nonzero = limits
    if nonzero:
        at_lo, at_hi = (
            How.NEVER if end == 0 else at for end, at in ((branch.lo, branch.at_lo), (branch.hi, branch.at_hi))
        )
        return replace(branch, inside=How.NEVER, raw=False, at_lo=at_lo, at_hi=at_hi)
    return inner.cut(meant_as_logits(branch), lo, hi, at)


def _matmul(known: Reached, node: Node) -> Reach | None:
    """Products summed: anything, unless all factors have one sign. Normalised vectors give cosines."""
    pair = _pair(known, node)
    if pair is None or len([v for v in node.inputs if v is not None]) > 2:
        return None
    a, b = pair
    sources = a.sources | b.sources
    if is_unit(known, node.input(0)) and is_unit(known, node.input(1)):
        return Reach(-1.0, 1.0, How.ROUNDED, How.ROUNDED, How.POINT, sources=sources)
    if a.raw and b.raw:
        return replace(inner.join(a, b), raw=True)
    if a.lo >= 0 and b.lo >= 0 and not (a.raw or b.raw):
        zero = max(a.zero, b.zero)
        hi = INF if INF in (a.hi, b.hi) else a.hi * b.hi
        return Reach(a.lo * b.lo, hi, zero, How.NEVER, zero, sources=sources)
    if a.fixed and b.fixed:
        return None
    return Reach(-INF, INF, inside=max(a.zero, b.zero, How.POINT), sources=sources)


ARITHMETIC: dict[str, Transfer] = {
    "Add": _add,
    "Sub": _sub,
    "Sum": _total,
    "Mean": _total,
    "Mul": _mul,
    "Div": _div,
    "Pow": _pow,
    "Max": _extreme(True),
    "Min": _extreme(False),
    "Clip": _clip,
    "Where": _where,
    "MatMul": _matmul,
    "Gemm": _matmul,
    "Einsum": _matmul,
}
