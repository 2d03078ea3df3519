"""Elementwise functions of one Gaussian: E f, E f² and E f'², in closed form for ReLU, by quadrature for the rest.

A pre-activation sums many independent products, so it is close to Gaussian (Neal 1996; Poole et al. 2016). A function
is an expression, a nested tuple: `X`, a number, or an operator with its operands, so that activations that exporters
write as several operators (x · sigmoid(x), the erf spelling of GELU) are integrated as what they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeAlias

from netlint.graph import Node
from netlint.ops.read import clip_bounds, scalar

Expression: TypeAlias = tuple[Any, ...] | float
Function: TypeAlias = Callable[[float], float]

X: Expression = ("x",)
_MOST_TERMS = 40
_POINTS = 60
_RELU: Expression = ("Relu", X)
_ROUGHLY = 0.02
_POINT = 1e6
_FAR = 7.0
"""Standard deviations beyond which a Gaussian is taken as nothing."""


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _softplus(x: float) -> float:
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


def _elu(x: float, alpha: float = 1.0) -> float:
    return x if x > 0 else alpha * math.expm1(x)


def _gelu(x: float) -> float:
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


def _pow(x: float, exponent: float) -> float:
    return float(x**exponent) if x >= 0 or exponent == int(exponent) else math.nan


_PLAIN: dict[str, Callable[..., float]] = {
    "Relu": lambda x: max(x, 0.0),
    "LeakyRelu": lambda x, alpha=0.01: x if x > 0 else alpha * x,
    "PRelu": lambda x, alpha=0.25: x if x > 0 else alpha * x,
    "Elu": _elu,
    "Celu": lambda x, alpha=1.0: x if x > 0 else alpha * math.expm1(x / alpha),
    "Selu": lambda x, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875: gamma * _elu(x, alpha),
    "ThresholdedRelu": lambda x, alpha=1.0: x if x > alpha else 0.0,
    "Softplus": _softplus,
    "Softsign": lambda x: x / (1 + abs(x)),
    "Mish": lambda x: x * math.tanh(_softplus(x)),
    "Gelu": _gelu,
    "Sigmoid": _sigmoid,
    "Tanh": math.tanh,
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: min(max(alpha * x + beta, 0.0), 1.0),
    "HardSwish": lambda x: x * min(max(x / 6 + 0.5, 0.0), 1.0),
    "Swish": lambda x, alpha=1.0: x * _sigmoid(alpha * x),
    "Erf": math.erf,
    "Abs": abs,
    "Neg": lambda x: -x,
    "Exp": math.exp,
    "Log": lambda x: math.log(x) if x > 0 else math.nan,
    "Sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan,
    "Reciprocal": lambda x: 1 / x,
    "Sin": math.sin,
    "Cos": math.cos,
    "Atan": math.atan,
    "Sinh": math.sinh,
    "Cosh": math.cosh,
    "Asinh": math.asinh,
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "Pow": _pow,
    "Max": max,
    "Min": min,
    "Clip": lambda x, lo, hi: min(max(x, lo), hi),
}
_PARAMETERS = {
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "Celu": ("alpha",),
    "Selu": ("alpha", "gamma"),
    "ThresholdedRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Swish": ("alpha",),
}
_DEFAULTS: dict[str, tuple[float, ...]] = {
    "LeakyRelu": (0.01,),
    "Elu": (1.0,),
    "Celu": (1.0,),
    "ThresholdedRelu": (1.0,),
    "Swish": (1.0,),
    "HardSigmoid": (0.2, 0.5),
    "Selu": (1.67326319217681884765625, 1.05070102214813232421875),
}
_SINGULAR = {"Reciprocal": 0, "Log": 0, "Sqrt": 0, "Pow": 0, "Div": 1}
"""Functions that have no bound, or none on their slope, where this operand is 0."""
_NEAR_ZERO = 1e-3
_JOINS = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"})
UNARY = frozenset(_PLAIN) - _JOINS


def expression(node: Node, operands: list[Expression]) -> Expression | None:
    """What a node makes of its operands, each an expression of the same value; None if it is no known function."""
    if node.op in _JOINS and len(operands) == 2:
        made: Expression = (node.op, *operands)
    elif node.op == "Clip":
        bounds = clip_bounds(node)
        if bounds is None:
            return None
        lo, hi = bounds
        made = ("Clip", operands[0], -math.inf if lo is None else lo, math.inf if hi is None else hi)
    elif node.op == "PRelu":
        slope = scalar(node.input(1))
        made = ("PRelu", operands[0], 0.25 if slope is None else slope)
    elif node.op in UNARY:
        names, usual = _PARAMETERS.get(node.op, ()), _DEFAULTS.get(node.op, ())
        given = (float(node.attrs.get(name, value)) for name, value in zip(names, usual, strict=True))
        made = (node.op, operands[0], *given)
    else:
        return None
    return made if _size(made) <= _MOST_TERMS else None


def _size(found: Expression) -> int:
    count, todo = 0, [found]
    while todo and count <= _MOST_TERMS:
        item = todo.pop()
        count += 1
        if isinstance(item, tuple):
            todo.extend(item[1:])
    return count


@lru_cache(maxsize=256)
def _compiled(found: Expression) -> Function:
    if not isinstance(found, tuple):
        number = float(found)
        return lambda x: number
    if found == X:
        return lambda x: x
    apply = _PLAIN[found[0]]
    if len(found) == 2:
        inner = _compiled(found[1])
        return lambda x: apply(inner(x))
    if all(not isinstance(item, tuple) for item in found[2:]):
        first, rest = _compiled(found[1]), found[2:]
        return lambda x: apply(first(x), *rest)
    parts = [_compiled(item) for item in found[1:]]
    return lambda x: apply(*(part(x) for part in parts))


def gaussian_moments(found: Expression, mean: float, variance: float) -> tuple[float, float, float] | None:
    """E f(z), E f(z)², E f'(z)² for z ~ N(mean, variance); None where f is not defined or not finite.

    The arguments count to 2 %, so that layers that are nearly alike are integrated once.
    """
    if found == X:
        return mean, mean * mean + variance, 1.0
    spread = math.sqrt(max(variance, 0.0))
    if found == _RELU and spread > 0:
        return _rectified(mean, spread)
    if spread <= 0 or abs(mean) > _POINT * spread:
        return _integrated(found, mean, 0.0)
    spread = math.exp(round(math.log(spread) / _ROUGHLY) * _ROUGHLY)
    around = round(mean / (_ROUGHLY * spread)) * _ROUGHLY * spread
    moments = None if _is_singular(found, around, spread) else _integrated(found, around, spread)
    if moments is None and abs(mean) > 2 * spread:
        # A root or reciprocal of what is positive: a mean of squares is no Gaussian, and varies little.
        return _integrated(found, mean, 0.0)
    return moments


@lru_cache(maxsize=4096)
def _is_singular(found: Expression, mean: float, spread: float) -> bool:
    """Whether a pole lies so close that it decides the moments, even where a clip keeps it finite."""
    return any(_nears_zero(operand, mean, spread) for operand in _operands(found))


def _operands(found: Expression) -> Iterator[Expression]:
    """The expressions whose zeros are poles."""
    if not isinstance(found, tuple):
        return
    place = _SINGULAR.get(found[0])
    if place is not None and isinstance(found[1 + place], tuple) and not _is_power(found):
        yield found[1 + place]
    for part in found[1:]:
        yield from _operands(part)


def _is_power(found: tuple[Any, ...]) -> bool:
    """Whether it is a power with an exponent that is smooth at 0."""
    exponent = found[2] if found[0] == "Pow" else None
    return isinstance(exponent, int | float) and exponent >= 1 and exponent == int(exponent)


def _nears_zero(found: Expression, mean: float, spread: float) -> bool:
    f = _compiled(found)
    try:
        sizes = [f(z) for z, _ in _grid(mean, spread)]
        least = max(min(sizes), -max(sizes))
        return not least > _NEAR_ZERO * abs(f(mean))
    except (ValueError, OverflowError, ZeroDivisionError):
        return True


def _rectified(mean: float, spread: float) -> tuple[float, float, float]:
    """ReLU in closed form; for mean 0 it is half of everything (He et al. 2015, section 2.2)."""
    at = mean / spread
    below = math.erfc(-at / math.sqrt(2)) / 2
    density = spread * math.exp(-at * at / 2) / math.sqrt(2 * math.pi)
    return mean * below + density, (mean * mean + spread * spread) * below + mean * density, below


@lru_cache(maxsize=4096)
def _integrated(found: Expression, mean: float, spread: float) -> tuple[float, float, float] | None:
    f = _compiled(found)
    first = second = slope = weight = 0.0
    try:
        for z, mass in _grid(mean, spread):
            step = 1e-4 * max(abs(z), 0.01 * spread, 1e-6)
            value, change = f(z), (f(z + step) - f(z - step)) / (2 * step)
            first += mass * value
            second += mass * value * value
            slope += mass * change * change
            weight += mass
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    sums = (first / weight, second / weight, slope / weight)
    return sums if all(map(math.isfinite, sums)) else None


def _grid(mean: float, spread: float) -> list[tuple[float, float]]:
    """Points with Gaussian weights: dense around 0, where activations bend, whatever the spread."""
    if spread <= 1e-12 * max(abs(mean), 1e-12):
        return [(mean, 1.0)]
    if abs(mean) > _FAR * spread:
        steps = [_FAR * index / _POINTS for index in range(-_POINTS, _POINTS + 1)]
        return [(mean + spread * t, math.exp(-t * t / 2)) for t in steps]
    unit = min(0.3, spread)
    end = math.asinh((abs(mean) + _FAR * spread) / unit)
    points = []
    for index in range(-2 * _POINTS, 2 * _POINTS + 1):
        u = end * index / (2 * _POINTS)
        z = unit * math.sinh(u)
        t = (z - mean) / spread
        points.append((z, math.exp(-t * t / 2) * math.cosh(u)))
    return points
