"""Transfer functions of operators that act on each element of one operand, and of normalisations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from netlint import ops
from netlint.analyses.ranges import functions
from netlint.graph import Node, Value

from . import Reached
from . import interval as inner
from .interval import INF, How, Reach
from .step import Transfer, arg, dtype_of, meant_as_logits


def _function(f: Callable[[float], float], *, odd: bool = False) -> Transfer:
    """A function that never falls."""

    def apply(known: Reached, node: Node) -> Reach | None:
        a = arg(known, node)
        return None if a is None else inner.monotone(meant_as_logits(a), f, dtype_of(known, node), odd=odd)

    return apply


def _relu(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    return None if a is None else inner.clamp(meant_as_logits(a), 0.0, INF)


def _hard_sigmoid(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    if a is None:
        return None
    alpha, beta = float(node.attrs.get("alpha", 0.2)), float(node.attrs.get("beta", 0.5))
    line = inner.shift(inner.scale(meant_as_logits(a), alpha, None), beta, dtype_of(known, node))
    return inner.clamp(line, 0.0, 1.0)


def _gate(lowest: float) -> Transfer:
    """x at large x, a small dip below 0: SiLU and its kin."""

    def apply(known: Reached, node: Node) -> Reach | None:
        a = arg(known, node)
        if a is None:
            return None
        a = meant_as_logits(a)
        return a.like(lowest if a.lo < 0 else a.lo, a.hi, How.POINT if a.lo < 0 else a.at_lo, a.at_hi)

    return apply


def _abs(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    return None if a is None else inner.magnitude(replace(a, raw=False))


def _neg(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    return None if a is None else inner.negate(a)


def _log(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    if a is None or a.raw:
        return a
    within = inner.cut(a, 0.0, INF) if a.lo < 0 else a
    if within is None:
        return None
    return inner.monotone(within, lambda x: math.log(x) if x > 0 else -INF, dtype_of(known, node))


def _sqrt(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    if a is None or a.raw:
        return a
    zero = a.zero
    within = a if a.lo >= 0 else inner.cut(a, 0.0, INF)
    if within is None:
        return None
    if a.lo < 0:
        within = replace(within, at_lo=zero)
    return inner.monotone(within, lambda x: math.sqrt(x) if x > 0 else 0.0, dtype_of(known, node))


def _reciprocal(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    return a if a is None or a.raw else inner.invert(a, dtype_of(known, node))


def _wave(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    if a is None or not (a.raw or a.hi - a.lo > 2 * math.pi):
        return None
    return a.like(-1.0, 1.0, How.POINT, How.POINT)


def _even(f: Callable[[float], float]) -> Transfer:
    def apply(known: Reached, node: Node) -> Reach | None:
        a = arg(known, node)
        return None if a is None else inner.monotone(inner.magnitude(meant_as_logits(a)), f, dtype_of(known, node))

    return apply


def _truth(known: Reached, node: Node) -> Reach | None:
    """Both outcomes, unless the ranges of what is compared decide it."""
    decided = _decided(known, node.input(0), node.input(1)) if node.op in _COMPARES else False
    if decided or (node.op == "Not" and arg(known, node) is None):
        return None
    moving = [v for v in node.inputs if v is not None and not known.known.constant(v)]
    reached = {v: known.known_so_far(v) for v in moving}
    # What is computed from numbers in the code alone has one outcome, whichever it is.
    sources = frozenset().union(*(found.sources if found is not None else (v,) for v, found in reached.items()))
    return Reach(0.0, 1.0, How.SOLID, How.SOLID, sources=sources) if sources else None


_COMPARES = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})


def _decided(known: Reached, left: Value | None, right: Value | None) -> bool:
    """Whether two values lie apart, so that a comparison has one outcome for all inputs."""
    if left is None or right is None:
        return False
    one, other = known.ranges.of(left), known.ranges.of(right)
    return one.known and other.known and (one.hi < other.lo or other.hi < one.lo)


def _softmax(known: Reached, node: Node) -> Reach | None:
    """Probabilities; 0 where one of them is far below another."""
    a = arg(known, node)
    proved = known.ranges.of(node.output())
    if a is None or not (a.raw or (a.lo == -INF and a.hi == INF)):
        spread = proved.lo > 0 or a is None or a.hi - a.lo < 80
        return None if spread else a.like(0.0, 1.0, How.ROUNDED, How.ROUNDED) if a is not None else None
    return replace(a.like(0.0, 1.0, How.ROUNDED, How.ROUNDED), raw=False)


def _log_softmax(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    return None if a is None else a.like(-INF, 0.0, How.NEVER, How.ROUNDED)


def _normalised(known: Reached, node: Node) -> Reach | None:
    """Any number within what is proved: mean 0, or nearly so."""
    out = node.output()
    proved = known.ranges.of(out)
    if out is None:
        return None
    return Reach(proved.lo, proved.hi, sources=frozenset({out}))


def _unit(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    return None if a is None else a.like(0.0 if a.lo >= 0 and not a.raw else -1.0, 1.0, How.POINT, How.POINT)


def _softplus(x: float) -> float:
    return INF if x == INF else 0.0 if x == -INF else functions.softplus(x)


def _exp(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    if a is None:
        return None
    found = inner.monotone(meant_as_logits(a), math.exp, dtype_of(known, node))
    return replace(found, at_hi=How.ROUNDED) if found.hi == INF else found


def _sigmoid(x: float) -> float:
    return 1.0 if x == INF else 0.0 if x == -INF else functions.sigmoid(x)


def _expm1(alpha: float) -> Callable[[float], float]:
    return lambda x: x if x >= 0 else alpha * math.expm1(x)


UNARY: dict[str, Transfer] = {
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
    "Sign": _function(lambda x: math.copysign(1.0, x) if x else 0.0, odd=True),
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
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), _truth),
    **dict.fromkeys(("And", "Or", "Xor", "Not", "IsNaN", "IsInf"), _truth),
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
    **dict.fromkeys(ops.NORMALISATION - {"LpNormalization"}, _normalised),
    "LpNormalization": _unit,
}
