"""Transfer functions of operators that act on each element alone."""

from __future__ import annotations

import math
from collections.abc import Callable

from . import algebra
from .functions import gelu, gelu_tanh, hard_swish, mish, sigmoid, softplus, softsign
from .interval import INF, TOP, TRUTH, Range
from .rounding import widen
from .step import Step, Transfer

Function = Callable[[float], float]


def _safe(f: Function) -> Function:
    """`f` with overflow as infinity."""

    def guarded(x: float) -> float:
        try:
            return f(x)
        except OverflowError:
            return INF if x > 0 else -INF

    return guarded


def increasing(
    f: Function,
    codomain: Range = TOP,
    exact: float = 0.0,
    absolute: float = 0,
    domain: tuple[float, float] = (-INF, INF),
) -> Transfer:
    """A strictly increasing function, defined (as its limit) at infinity too; NaN outside `domain`.

    Implementations may err by 8 eps of the result and by `absolute` eps, but not at `exact` and not out of `codomain`.
    """
    g = _safe(f)

    def transfer(step: Step) -> Range:
        r = step.arg()
        if r.hi < domain[0] or r.lo > domain[1]:
            return TOP
        outside = r.lo < domain[0] or r.hi > domain[1]
        r = r.clamp(*domain) if outside else r
        lo, hi = g(r.lo), g(r.hi)
        lo -= 0.0 if r.lo == exact or math.isinf(lo) else (8 * abs(lo) + absolute) * step.eps
        hi += 0.0 if r.hi == exact or math.isinf(hi) else (8 * abs(hi) + absolute) * step.eps
        found = algebra.make((lo, low_open(r)), (hi, high_open(r)), r, nan=outside)
        return found.clamp(codomain.lo, codomain.hi, codomain.lo_open, codomain.hi_open) if codomain.known else found

    return transfer


def low_open(r: Range) -> bool:
    return r.lo_open or r.lo == -INF


def high_open(r: Range) -> bool:
    return r.hi_open or r.hi == INF


def decreasing(f: Function, codomain: Range = TOP, **options: object) -> Transfer:
    """Like `increasing`."""
    rising = increasing(lambda x: -f(x), algebra.negate(codomain), **options)  # type: ignore[arg-type]
    return lambda step: algebra.negate(rising(step))  # type: ignore[arg-type]


def steps(f: Function) -> Transfer:
    """A function that never falls and has whole results, e.g. Floor."""

    def transfer(step: Step) -> Range:
        r = step.arg()
        lo, hi = (x if math.isinf(x) else float(f(x)) for x in (r.lo, r.hi))
        return Range(lo, hi, False, False, r.nan, True, r.assumed, r.loose)

    return transfer


def relu(step: Step) -> Range:
    return step.arg().clamp(0.0, INF)


def even(f: Function, codomain: Range) -> Transfer:
    """A function of |x| that rises with it."""

    def transfer(step: Step) -> Range:
        r = algebra.absolute(step.arg())
        g = _safe(f)
        found = algebra.make((g(r.lo), r.lo_open), (g(r.hi), high_open(r)), r)
        return widen(found, 8 * step.eps, keep=(1.0,)).clamp(codomain.lo, codomain.hi)

    return transfer


def dipping(f: Function, at: float, lowest: float) -> Callable[[Step], Range]:
    """A smooth gate like Gelu: 0 at -infinity, falling to `lowest` at `at`, rising from there on.

    Implementations cancel on the negative side, so nothing finer than [lowest, 0] is said there.
    """

    def transfer(step: Step) -> Range:
        r = step.arg()
        lo = lowest if r.lo < 0 else f(r.lo)
        hi = max(f(r.hi) if r.hi > at else lowest, 0.0 if r.lo < at else lowest)
        nan = r.nan or r.lo == -INF  # -inf * 0
        found = Range(lo, hi, nan=nan, assumed=r.assumed, loose=r.loose)
        return widen(found, 16 * step.eps, 8 * step.eps, keep=(0.0,))

    return transfer


GELU: dict[str, Callable[[Step], Range]] = {
    "none": dipping(gelu, -0.7517915785, -0.1699713),
    "tanh": dipping(gelu_tanh, -0.7524613, -0.1700408),
}


def gelu_either(step: Step) -> Range:
    return GELU.get(step.text("approximate", "none"), GELU["none"])(step)


def swish(step: Step) -> Range:
    return gated(step, step.number("alpha", 1.0))


def gated(step: Step, alpha: float) -> Range:
    """x * sigmoid(alpha x): the minimum scales with 1 / alpha."""
    if alpha <= 0:
        return TOP
    at, lowest = -1.2784645427610738 / alpha, -0.27846454276107379 / alpha
    return dipping(lambda x: INF if x == INF else x * sigmoid(alpha * x), at, lowest)(step)


def _exponential_unit(step: Step, negative: Function, scale: float, floor: float) -> Range:
    """Elu and its kin: `scale * x` above 0, `negative(x)` down to `floor` below."""
    r = step.arg()

    def f(x: float) -> float:
        return scale * x if x >= 0 else negative(x)

    lo, hi = (f(r.lo), low_open(r)), (f(r.hi), high_open(r))
    return widen(algebra.make(lo, hi, r), 8 * step.eps, 4 * step.eps * abs(floor), keep=(0.0,)).clamp(
        floor, INF, lo_open=True
    )


def elu(step: Step) -> Range:
    alpha = step.number("alpha", 1.0)
    return _exponential_unit(step, lambda x: alpha * math.expm1(x), 1.0, -alpha) if alpha > 0 else TOP


def celu(step: Step) -> Range:
    alpha = step.number("alpha", 1.0)
    return _exponential_unit(step, lambda x: alpha * math.expm1(x / alpha), 1.0, -alpha) if alpha > 0 else TOP


def selu(step: Step) -> Range:
    alpha, gamma = step.number("alpha", 1.67326319217681884765625), step.number("gamma", 1.05070102214813232421875)
    if alpha <= 0 or gamma <= 0:
        return TOP
    floor = -alpha * gamma * (1 + 2 * step.eps)
    return _exponential_unit(step, lambda x: gamma * alpha * math.expm1(x), gamma, floor)


def scaled_below_zero(r: Range, slope: Range) -> Range:
    """x above 0, slope * x below: LeakyRelu, PRelu."""
    parts = []
    if r.hi >= 0:
        parts.append(r.clamp(0.0, INF))
    if r.lo < 0:
        below = algebra.minimum(r, Range(0.0, 0.0))
        parts.append(algebra.multiply(below, slope))
    found = parts[0] if len(parts) == 1 else parts[0].join(parts[1])
    return found.having(nan=r.nan or slope.nan)


def leaky_relu(step: Step) -> Range:
    alpha = step.number("alpha", 0.01)
    return widen(scaled_below_zero(step.arg(), Range(alpha, alpha)), step.eps)


def prelu(step: Step) -> Range:
    return scaled_below_zero(step.arg(0), step.arg(1))


def thresholded_relu(step: Step) -> Range:
    r, alpha = step.arg(), step.number("alpha", 1.0)
    above = r.clamp(min(alpha, r.hi), INF) if r.hi >= alpha else None
    zero = Range(0.0, 0.0, integral=True, assumed=r.assumed, nan=r.nan)
    return zero if above is None else zero.join(above) if r.lo <= alpha else r


def hard_sigmoid(step: Step) -> Range:
    alpha, beta = step.number("alpha", 0.2), step.number("beta", 0.5)
    line = algebra.add(algebra.multiply(step.arg(), Range(alpha, alpha)), Range(beta, beta))
    return widen(line, 4 * step.eps, 4 * step.eps * abs(beta)).clamp(0.0, 1.0)


def shrink(step: Step) -> Range:
    r, bias, lambd = step.arg(), step.number("bias", 0.0), step.number("lambd", 0.5)
    offset = Range(-abs(bias), abs(bias))
    return algebra.with_zero(algebra.add(r, offset)) if lambd >= 0 else TOP


def _wave(step: Step, shift: float) -> Range:
    """cos(x - shift)."""
    r = step.arg()
    if not r.bounded or r.magnitude > 1000:
        return Range(-1.0, 1.0, nan=r.nan or r.lo == -INF or r.hi == INF)
    lo, hi = r.lo - shift, r.hi - shift
    ends = (math.cos(lo), math.cos(hi))
    top = math.ceil(lo / (2 * math.pi)) * 2 * math.pi <= hi
    bottom = math.ceil((lo - math.pi) / (2 * math.pi)) * 2 * math.pi + math.pi <= hi
    found = Range(-1.0 if bottom else min(ends), 1.0 if top else max(ends), nan=r.nan, assumed=r.assumed, loose=r.loose)
    return widen(found, 8 * step.eps, 8 * step.eps, keep=(0.0,)).clamp(-1.0, 1.0)


def tan(step: Step) -> Range:
    r = step.arg()
    if r.lo <= -1.57 or r.hi >= 1.57:
        return TOP
    return widen(r._replace(lo=math.tan(r.lo), hi=math.tan(r.hi), integral=False), 16 * step.eps)


def truth(step: Step) -> Range:
    """The result of a test or of logic."""
    return TRUTH


def bitwise_not(step: Step) -> Range:
    """-x - 1 for signed integers, limit - x for unsigned ones."""
    if (step.dtype or "uint").startswith("uint"):
        return TOP
    return algebra.subtract(Range(-1.0, -1.0, integral=True), step.arg())


_OPEN_UNIT = Range(0.0, 1.0, True, True)
_OPEN_BALL = Range(-1.0, 1.0, True, True)
_BALL = Range(-1.0, 1.0)
_POSITIVE = Range(0.0, INF, lo_open=True)
_HALF_PI = Range(-math.pi / 2 - 1e-6, math.pi / 2 + 1e-6)

UNARY: dict[str, Transfer] = {
    "Relu": relu,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "ThresholdedRelu": thresholded_relu,
    "Sigmoid": increasing(sigmoid, _OPEN_UNIT, absolute=4),
    "Tanh": increasing(math.tanh, _OPEN_BALL, absolute=4),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": dipping(hard_swish, -1.5, -0.375),
    "Swish": swish,
    "Gelu": gelu_either,
    "Mish": dipping(mish, -1.1924323, -0.3088435),
    "Elu": elu,
    "Celu": celu,
    "Selu": selu,
    "Softplus": increasing(softplus, _POSITIVE, absolute=4),
    "Softsign": increasing(softsign, _OPEN_BALL),
    "Shrink": shrink,
    "Erf": increasing(math.erf, _OPEN_BALL, absolute=4),
    "Log": increasing(lambda x: math.log(x) if x > 0 else -INF, exact=1.0, absolute=2, domain=(0.0, INF)),
    "Floor": steps(math.floor),
    "Ceil": steps(math.ceil),
    "Round": steps(round),
    "Sign": steps(lambda x: (x > 0) - (x < 0)),
    "Sin": lambda step: _wave(step, math.pi / 2),
    "Cos": lambda step: _wave(step, 0.0),
    "Tan": tan,
    "Asin": increasing(math.asin, _HALF_PI, absolute=4, domain=(-1.0, 1.0)),
    "Acos": decreasing(math.acos, Range(0.0, math.pi + 1e-6), exact=1.0, absolute=4, domain=(-1.0, 1.0)),
    "Atan": increasing(math.atan, _HALF_PI, absolute=4),
    "Sinh": increasing(math.sinh, absolute=4),
    "Asinh": increasing(math.asinh, absolute=4),
    "Atanh": increasing(
        lambda x: math.copysign(INF, x) if abs(x) >= 1 else math.atanh(x), absolute=4, domain=(-1.0, 1.0)
    ),
    "Acosh": increasing(math.acosh, Range(0.0, INF), exact=1.0, absolute=4, domain=(1.0, INF)),
    "Cosh": even(math.cosh, Range(1.0, INF)),
    "Not": truth,
    "IsNaN": truth,
    "IsInf": truth,
    "BitwiseNot": bitwise_not,
}
"""Operators with one data input."""
