"""Arithmetic and functions of one number."""

from __future__ import annotations

import math

from netlint.graph import Value

from .builder import Builder, NotLowered
from .table import Lower, operator
from .types import is_integral

Operand = Value | float

_UNARY = {
    "abs": "Abs",
    "absolute": "Abs",
    "neg": "Neg",
    "negative": "Neg",
    "sign": "Sign",
    "sgn": "Sign",
    "floor": "Floor",
    "ceil": "Ceil",
}
_UNARY_FLOAT = {
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "asinh": "Asinh",
    "acosh": "Acosh",
    "atanh": "Atanh",
    "erf": "Erf",
    "reciprocal": "Reciprocal",
    "arcsin": "Asin",
    "arccos": "Acos",
    "arctan": "Atan",
    "arcsinh": "Asinh",
    "arccosh": "Acosh",
    "arctanh": "Atanh",
    "special_erf": "Erf",
}


def _unary(op: str) -> Lower:
    def lower(b: Builder, input: Value) -> Value:
        if is_integral(input.dtype) and op in ("Floor", "Ceil"):
            return input
        return b(op, input)

    return lower


def _unary_float(op: str) -> Lower:
    def lower(b: Builder, input: Value) -> Value:
        return b(op, b.floating(input))

    return lower


for _name, _op in _UNARY.items():
    operator(_name)(_unary(_op))
for _name, _op in _UNARY_FLOAT.items():
    operator(_name)(_unary_float(_op))


def _scaled(b: Builder, other: Operand, alpha: float) -> Operand:
    if alpha == 1 and not isinstance(alpha, Value):
        return other
    if isinstance(other, Value):
        return b("Mul", other, b.tensor(alpha, other.dtype))
    return other * alpha


@operator("add")
def add(b: Builder, input: Operand, other: Operand, *, alpha: float = 1) -> Value:
    left, right = b.promoted(input, _scaled(b, other, alpha))
    if left.dtype == "bool":
        return b("Or", left, right)
    return b("Add", left, right)


@operator("sub", "subtract")
def sub(b: Builder, input: Operand, other: Operand, *, alpha: float = 1) -> Value:
    return b("Sub", *b.promoted(input, _scaled(b, other, alpha)))


@operator("rsub")
def rsub(b: Builder, input: Operand, other: Operand, alpha: float = 1) -> Value:
    return b("Sub", *b.promoted(other, _scaled(b, input, alpha)))


@operator("mul", "multiply")
def mul(b: Builder, input: Operand, other: Operand) -> Value:
    left, right = b.promoted(input, other)
    return b("And" if left.dtype == "bool" else "Mul", left, right)


@operator("div", "divide", "true_divide")
def div(b: Builder, input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Value:
    if rounding_mode == "floor":
        return floor_divide(b, input, other)
    left, right = b.promoted(input, other, floating=rounding_mode is None)
    quotient = b("Div", left, right)
    return quotient if rounding_mode is None or is_integral(quotient.dtype) else trunc(b, quotient)


@operator("floor_divide")
def floor_divide(b: Builder, input: Operand, other: Operand) -> Value:
    """Integers: ONNX's Div goes towards zero, so the remainder, which has the divisor's sign, is taken off first."""
    left, right = b.promoted(input, other)
    if is_integral(left.dtype):
        return b("Div", b("Sub", left, b("Mod", left, right)), right)
    return b("Floor", b("Div", left, right))


@operator("sym_floordiv")
def sym_floordiv(b: Builder, input: Operand, other: Operand) -> Value:
    """Of lengths, which are not negative."""
    return b("Div", *b.promoted(input, other))


@operator("remainder", "sym_mod")
def remainder(b: Builder, input: Operand, other: Operand) -> Value:
    """Has the divisor's sign, as ONNX's Mod of integers."""
    left, right = b.promoted(input, other)
    if is_integral(left.dtype):
        return b("Mod", left, right)
    return b("Sub", left, b("Mul", b("Floor", b("Div", left, right)), right))


@operator("fmod")
def fmod(b: Builder, input: Operand, other: Operand) -> Value:
    return b("Mod", *b.promoted(input, other), fmod=1)


@operator("pow")
def power(b: Builder, input: Operand, exponent: Operand) -> Value:
    return b("Pow", *b.promoted(input, exponent))


@operator("square")
def square(b: Builder, input: Value) -> Value:
    return b("Mul", input, input)


@operator("rsqrt")
def rsqrt(b: Builder, input: Value) -> Value:
    return b("Reciprocal", b("Sqrt", b.floating(input)))


@operator("expm1", "special_expm1")
def expm1(b: Builder, input: Value) -> Value:
    exponential = b("Exp", b.floating(input))
    return b("Sub", exponential, b.number(1, exponential.dtype))


@operator("log1p", "special_log1p")
def log1p(b: Builder, input: Value) -> Value:
    x = b.floating(input)
    return b("Log", b("Add", x, b.number(1, x.dtype)))


def _log_of_base(base: float) -> Lower:
    def lower(b: Builder, input: Value) -> Value:
        logarithm = b("Log", b.floating(input))
        return b("Div", logarithm, b.number(math.log(base), logarithm.dtype))

    return lower


operator("log2")(_log_of_base(2))
operator("log10")(_log_of_base(10))


@operator("exp2", "special_exp2")
def exp2(b: Builder, input: Value) -> Value:
    x = b.floating(input)
    return b("Pow", b.number(2, x.dtype), x, shape=x.shape)


@operator("erfc", "special_erfc")
def erfc(b: Builder, input: Value) -> Value:
    found = b("Erf", b.floating(input))
    return b("Sub", b.number(1, found.dtype), found)


@operator("round")
def rounded(b: Builder, input: Value, *, decimals: int = 0) -> Value:
    if decimals:
        raise NotLowered("rounding to decimals")
    return input if is_integral(input.dtype) else b("Round", input)


@operator("trunc", "fix")
def trunc(b: Builder, input: Value) -> Value:
    if is_integral(input.dtype):
        return input
    return b("Mul", b("Sign", input), b("Floor", b("Abs", input)))


@operator("frac")
def frac(b: Builder, input: Value) -> Value:
    return b("Sub", input, trunc(b, input))


@operator("deg2rad")
def deg2rad(b: Builder, input: Value) -> Value:
    return mul(b, input, math.pi / 180)


@operator("rad2deg")
def rad2deg(b: Builder, input: Value) -> Value:
    return mul(b, input, 180 / math.pi)


@operator("addcmul")
def addcmul(b: Builder, input: Value, tensor1: Value, tensor2: Value, *, value: float = 1) -> Value:
    return add(b, input, mul(b, tensor1, tensor2), alpha=value)


@operator("addcdiv")
def addcdiv(b: Builder, input: Value, tensor1: Value, tensor2: Value, *, value: float = 1) -> Value:
    return add(b, input, div(b, tensor1, tensor2), alpha=value)


@operator("lerp")
def lerp(b: Builder, input: Value, end: Value, weight: Operand) -> Value:
    return add(b, input, mul(b, sub(b, end, input), weight))


@operator("logaddexp")
def logaddexp(b: Builder, input: Value, other: Value) -> Value:
    """max + log(1 + exp(-|difference|))."""
    left, right = b.promoted(input, other)
    distance = b("Neg", b("Abs", b("Sub", left, right)))
    return b("Add", b("Max", left, right), log1p(b, b("Exp", distance)))


@operator("hypot")
def hypot(b: Builder, input: Value, other: Value) -> Value:
    left, right = b.promoted(input, other)
    return b("Sqrt", b("Add", b("Mul", left, left), b("Mul", right, right)))


@operator("logit", "special_logit")
def logit(b: Builder, input: Value, eps: float | None = None) -> Value:
    """log(p / (1 - p)), of p clipped to [eps, 1 - eps] where that is given."""
    p = b.floating(input)
    if eps is not None:
        p = b("Clip", p, b.number(eps, p.dtype), b.number(1 - eps, p.dtype))
    return b("Log", b("Div", p, b("Sub", b.number(1, p.dtype), p)))


@operator("xlogy", "special_xlogy")
def xlogy(b: Builder, input: Operand, other: Operand) -> Value:
    """0 where the factor is 0, also before an infinite logarithm."""
    left, right = b.promoted(input, other, floating=True)
    zero = b.number(0, left.dtype)
    return b("Where", b("Equal", left, zero), zero, b("Mul", left, b("Log", right)), dtype=left.dtype)
