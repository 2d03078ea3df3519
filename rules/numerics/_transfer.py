"""What operators make of what their operands reach. What no table names reaches nothing that is shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from netlint import ops
from netlint.analyses.ranges import functions
from netlint.graph import Node, Value

from . import _interval as inner
from ._interval import INF, How, Reach, free
from ._patterns import (
    alike,
    cancels,
    compared,
    complement,
    cosine,
    deviation,
    maker,
    maximum_of,
    normalised_by_norm,
    spread,
)
from ._reach import Reached

Transfer: TypeAlias = Callable[[Reached, Node], Reach | None]


def transfer(known: Reached, node: Node, value: Value) -> Reach | None:
    """What a result of a node reaches."""
    if node.op == "If" and not node.domain:
        return _branches(known, node, value)
    if node.domain or node.bodies:
        return None
    found = _TABLE.get(node.op)
    reached = found(known, node) if found is not None else None
    if reached is None or math.isnan(reached.lo) or math.isnan(reached.hi):
        return None
    return reached if reached.via is not None else replace(reached, via=_first(known, node))


def _first(known: Reached, node: Node) -> Value | None:
    """The operand to name as the cause: the first that varies."""
    moving = [v for v in node.inputs if v is not None and not known.known.constant(v)]
    return next((v for v in moving if known.known_so_far(v) is not None), None)


def _arg(known: Reached, node: Node, index: int = 0) -> Reach | None:
    return known.known_so_far(node.input(index))


def _dtype(known: Reached, node: Node) -> str | None:
    return known.shapes.dtype(node.output())


def _branches(known: Reached, node: Node, value: Value) -> Reach | None:
    """An If gives what either branch gives."""
    place = node.outputs.index(value)
    results = [body.outputs[place] for body in node.bodies.values() if place < len(body.outputs)]
    found = [known.of(result) for result in results]
    kept = [each for each in found if each is not None]
    joined = kept[0] if kept and len(kept) == len(found) else None
    for each in kept[1:] if joined is not None else ():
        joined = inner.join(joined, each) if joined is not None else None
    return joined


# -- one operand


def _same(known: Reached, node: Node) -> Reach | None:
    return _arg(known, node)


def _meant_as_logits(a: Reach) -> Reach:
    """Who squashes an input of the model takes it to be any number."""
    return free(*a.sources, zero=a.inside) if a.raw else a


def _function(f: Callable[[float], float], *, odd: bool = False) -> Transfer:
    """A function that never falls."""

    def apply(known: Reached, node: Node) -> Reach | None:
        a = _arg(known, node)
        return None if a is None else inner.monotone(_meant_as_logits(a), f, _dtype(known, node), odd=odd)

    return apply


def _relu(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    return None if a is None else inner.clamp(_meant_as_logits(a), 0.0, INF)


def _hard_sigmoid(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    if a is None:
        return None
    alpha, beta = float(node.attrs.get("alpha", 0.2)), float(node.attrs.get("beta", 0.5))
    line = inner.shift(inner.scale(_meant_as_logits(a), alpha, None), beta, _dtype(known, node))
    return inner.clamp(line, 0.0, 1.0)


def _gate(lowest: float) -> Transfer:
    """x at large x, a small dip below 0: SiLU and its kin."""

    def apply(known: Reached, node: Node) -> Reach | None:
        a = _arg(known, node)
        if a is None:
            return None
        a = _meant_as_logits(a)
        return a.like(lowest if a.lo < 0 else a.lo, a.hi, How.POINT if a.lo < 0 else a.at_lo, a.at_hi)

    return apply


def _abs(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    return None if a is None else inner.magnitude(replace(a, raw=False))


def _neg(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    return None if a is None else inner.negate(a)


def _log(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    if a is None or a.raw:
        return a
    within = inner.cut(a, 0.0, INF) if a.lo < 0 else a
    if within is None:
        return None
    return inner.monotone(within, lambda x: math.log(x) if x > 0 else -INF, _dtype(known, node))


def _sqrt(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    if a is None or a.raw:
        return a
    zero = a.zero
    within = a if a.lo >= 0 else inner.cut(a, 0.0, INF)
    if within is None:
        return None
    if a.lo < 0:
        within = replace(within, at_lo=zero)
    return inner.monotone(within, lambda x: math.sqrt(x) if x > 0 else 0.0, _dtype(known, node))


def _reciprocal(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    return a if a is None or a.raw else inner.invert(a, _dtype(known, node))


def _wave(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    if a is None or not (a.raw or a.hi - a.lo > 2 * math.pi):
        return None
    return a.like(-1.0, 1.0, How.POINT, How.POINT)


def _even(f: Callable[[float], float]) -> Transfer:
    def apply(known: Reached, node: Node) -> Reach | None:
        a = _arg(known, node)
        return None if a is None else inner.monotone(inner.magnitude(_meant_as_logits(a)), f, _dtype(known, node))

    return apply


def _truth(known: Reached, node: Node) -> Reach | None:
    sources = frozenset(v for v in node.inputs if v is not None and not known.known.constant(v))
    return Reach(0.0, 1.0, How.SOLID, How.SOLID, sources=sources) if sources else None


def _softmax(known: Reached, node: Node) -> Reach | None:
    """Probabilities; 0 where one of them is far below another."""
    a = _arg(known, node)
    proved = known.ranges.of(node.output())
    if a is None or not (a.raw or (a.lo == -INF and a.hi == INF)):
        spread = proved.lo > 0 or a is None or a.hi - a.lo < 80
        return None if spread else a.like(0.0, 1.0, How.ROUNDED, How.ROUNDED) if a is not None else None
    return replace(a.like(0.0, 1.0, How.ROUNDED, How.ROUNDED), raw=False)


def _log_softmax(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    return None if a is None else a.like(-INF, 0.0, How.NEVER, How.ROUNDED)


def _normalised(known: Reached, node: Node) -> Reach | None:
    """Any number within what is proved: mean 0, or nearly so."""
    out = node.output()
    proved = known.ranges.of(out)
    if out is None:
        return None
    return Reach(proved.lo, proved.hi, sources=frozenset({out}))


def _unit(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    return None if a is None else a.like(0.0 if a.lo >= 0 and not a.raw else -1.0, 1.0, How.POINT, How.POINT)


# -- reductions


def _keeps(known: Reached, node: Node) -> Reach | None:
    """Means and extremes: as many elements as one likes may be near an end together."""
    return _arg(known, node)


def _sum(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    if a is None or known.ranges.sums_to_one(node.input(0)) is not None:
        return None
    product = maker(known, node.input(0))
    if product is not None and product.op == "Mul" and all(_is_unit(known, v) for v in product.inputs):
        return Reach(-1.0, 1.0, How.ROUNDED, How.ROUNDED, How.POINT, sources=a.sources)
    if a.raw:
        return replace(a, raw=False)
    return a.like(_grown(a.lo), _grown(a.hi), a.at_lo, a.at_hi)


def _grown(x: float) -> float:
    """At least twice as large: the number of summands is often not known."""
    return 2 * x


def _sum_squares(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    return None if a is None else inner.square(a, _dtype(known, node))


def _norm(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    return None if a is None else inner.magnitude(replace(a, raw=False))


def _product(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    return a if a is not None and (a.lo >= 0 or a.raw) else None


def _concat(known: Reached, node: Node) -> Reach | None:
    found = [known.known_so_far(value) for value in node.inputs if value is not None]
    joined = found[0] if found else None
    for each in found[1:]:
        joined = None if joined is None or each is None else inner.join(joined, each)
    return joined


def _pad(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    return a if a is None or a.raw or a.lo <= 0 <= a.hi else inner.join(a, inner.point(0.0))


def _scatter(known: Reached, node: Node) -> Reach | None:
    """Elements of the data that nothing is written to stay; so does what is written."""
    data, updates = _arg(known, node, 0), _arg(known, node, 2)
    if data is None or updates is None:
        return None
    joined = inner.join(data, updates)
    added = node.attrs.get("reduction") == "add"
    return joined if not added else joined.like(joined.lo, joined.hi, joined.at_lo, joined.at_hi)


# -- several operands


def _pair(known: Reached, node: Node) -> tuple[Reach, Reach] | None:
    a, b = _arg(known, node, 0), _arg(known, node, 1)
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
            return inner.shift(moving, other.lo, _dtype(known, node))
    if a.raw and b.raw:
        # Of two inputs nobody knows which is the larger.
        low, high = inner.shift(a, b.lo, None), inner.shift(a, b.hi, None)
        return replace(inner.join(low, high), raw=True, sources=a.sources | b.sources)
    if a.raw != b.raw and (a.fixed or b.fixed):
        return replace(a if a.raw else b, at_lo=How.POINT, at_hi=How.POINT, inside=How.POINT)
    found = inner.add(a, b)
    return found if found is None else replace(found, raw=False)


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
        return a.like(-INF if a.raw else min(a.lo - a.hi, 0.0), INF if a.raw else a.hi - a.lo, How.NEVER, How.NEVER,
                      How.SOLID)
    if spread(known, node):
        return a.like(0.0, INF, How.SOLID, How.NEVER)
    found = _sum_of(known, node, a, inner.negate(b))
    if found is None or a.fixed or (b.fixed and b.lo == b.hi):
        return found
    # Two values that are alike may be equal in every element; so may a value and a stored centre.
    return replace(found, inside=How.SOLID)


def _mul(known: Reached, node: Node) -> Reach | None:
    a, b = _arg(known, node, 0), _arg(known, node, 1)
    left, right = node.input(0), node.input(1)
    if a is None or b is None:
        return None
    dtype = _dtype(known, node)
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
    dtype = _dtype(known, node)
    proved = known.ranges.of(node.output())
    if b.fixed and b.lo == b.hi and b.lo:
        return inner.scale(a, 1 / b.lo, dtype)
    if (proved.bounded and inner.dependent(a, b)) or normalised_by_norm(known, node.output()) or cosine(known, node):
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
    a, exponent = _arg(known, node), known.number(node.input(1))
    if a is None or exponent is None:
        return None
    dtype = _dtype(known, node)
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
    a, b = _meant_as_logits(a), _meant_as_logits(b)
    for moving, bound in ((a, b), (b, a)):
        if bound.fixed:
            return inner.clamp(moving, bound.hi, INF)
    low, high = max((a.lo, a.at_lo), (b.lo, b.at_lo)), max((a.hi, a.at_hi), (b.hi, b.at_hi))
    return Reach(low[0], high[0], low[1], high[1], min(a.zero, b.zero), False, a.sources | b.sources, a.via)


def _clip(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    if a is None:
        return None
    bounds = []
    for slot, name, default in ((1, "min", -INF), (2, "max", INF)):
        given = node.input(slot)
        number = known.number(given) if given is not None else node.attrs.get(name, default)
        bounds.append(default if number is None else float(number))
    return inner.clamp(_meant_as_logits(a), bounds[0], bounds[1])


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


_HUGE = 1e4


def _narrowed(branch: Reach, limits: tuple[float, float, How, bool]) -> Reach | None:
    lo, hi, at, nonzero = limits
    if nonzero:
        ends = {"at_lo": How.NEVER} if branch.lo == 0 else {"at_hi": How.NEVER} if branch.hi == 0 else {}
        return replace(branch, inside=How.NEVER, raw=False, **ends)
    return inner.cut(_meant_as_logits(branch), lo, hi, at)


def _matmul(known: Reached, node: Node) -> Reach | None:
    """Products summed: anything, unless all factors have one sign. Normalised vectors give cosines."""
    pair = _pair(known, node)
    if pair is None or len([v for v in node.inputs if v is not None]) > 2:
        return None
    a, b = pair
    sources = a.sources | b.sources
    if _is_unit(known, node.input(0)) and _is_unit(known, node.input(1)):
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


def _is_unit(known: Reached, value: Value | None) -> bool:
    """Whether a value is a vector divided by its norm."""
    return value is not None and normalised_by_norm(known, value)


def _random(lo: float, hi: float) -> Transfer:
    def apply(known: Reached, node: Node) -> Reach | None:
        out = node.output()
        return None if out is None else Reach(lo, hi, sources=frozenset({out}))

    return apply


def _length(known: Reached, node: Node) -> Reach | None:
    """Lengths of axes: positive whole numbers, of which 4 stands for all."""
    return inner.point(4.0)


def _fill(known: Reached, node: Node) -> Reach | None:
    number = known.constants.scalar(node.output())
    return None if number is None else inner.point(number)


def _softplus(x: float) -> float:
    return INF if x == INF else 0.0 if x == -INF else functions.softplus(x)


def _exp(known: Reached, node: Node) -> Reach | None:
    a = _arg(known, node)
    if a is None:
        return None
    found = inner.monotone(_meant_as_logits(a), math.exp, _dtype(known, node))
    return replace(found, at_hi=How.ROUNDED) if found.hi == INF else found


def _sigmoid(x: float) -> float:
    return 1.0 if x == INF else 0.0 if x == -INF else functions.sigmoid(x)


def _expm1(alpha: float) -> Callable[[float], float]:
    return lambda x: x if x >= 0 else alpha * math.expm1(x)


_TABLE: dict[str, Transfer] = {
    **dict.fromkeys(ops.LAYOUT - {"Concat", "Split"}, _same),
    **dict.fromkeys(("Split", "Dropout", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear"), _same),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Upsample"), _keeps),
    **dict.fromkeys(("ReduceMax", "ReduceMin", "ReduceMean", "ReduceLogSumExp", "TopK", "CumSum", "LpPool"), _keeps),
    "Relu": _relu,
    "ThresholdedRelu": _relu,
    "LeakyRelu": _function(lambda x: x, odd=True),
    "PRelu": _function(lambda x: x, odd=True),
    "Softplus": _function(_softplus),
    "Sigmoid": _function(_sigmoid),
    "HardSigmoid": _hard_sigmoid,
    "Tanh": _function(math.tanh, odd=True),
    "Erf": _function(math.erf, odd=True),
    "Atan": _function(math.atan, odd=True),
    "Asinh": _function(math.asinh, odd=True),
    "Sinh": _function(math.sinh, odd=True),
    "Softsign": _function(functions.softsign, odd=True),
    "Elu": _function(_expm1(1.0), odd=True),
    "Celu": _function(_expm1(1.0), odd=True),
    "Selu": _function(_expm1(1.7580993), odd=True),
    "Gelu": _gate(-0.17),
    "Swish": _gate(-0.2784),
    "HardSwish": _gate(-0.375),
    "Mish": _gate(-0.3088),
    "Exp": _exp,
    "Cosh": _even(math.cosh),
    "Abs": _abs,
    "Neg": _neg,
    "Log": _log,
    "Sqrt": _sqrt,
    "Reciprocal": _reciprocal,
    "Sin": _wave,
    "Cos": _wave,
    **dict.fromkeys(("Floor", "Ceil", "Round"), _same),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), _truth),
    **dict.fromkeys(("And", "Or", "Xor", "Not", "IsNaN", "IsInf"), _truth),
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
    **dict.fromkeys(ops.NORMALISATION - {"LpNormalization"}, _normalised),
    "LpNormalization": _unit,
    "ReduceSum": _sum,
    "ReduceSumSquare": _sum_squares,
    "ReduceL1": _norm,
    "ReduceL2": _norm,
    "ReduceProd": _product,
    "Concat": _concat,
    "Pad": _pad,
    **dict.fromkeys(("ScatterElements", "ScatterND", "Scatter"), _scatter),
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Pow": _pow,
    "Max": _extreme(True),
    "Min": _extreme(False),
    "Clip": _clip,
    "Where": _where,
    "Shape": _length,
    "Size": _length,
    "ConstantOfShape": _fill,
    "MatMul": _matmul,
    "Gemm": _matmul,
    "Einsum": _matmul,
    "Attention": lambda known, node: _arg(known, node, 2),
    **dict.fromkeys(("RandomNormal", "RandomNormalLike"), _random(-INF, INF)),
    **dict.fromkeys(("RandomUniform", "RandomUniformLike"), _random(0.0, 1.0)),
}
"""Operator -> what it reaches, for the default domain."""
