"""Comparisons, logic, and choices by them."""

from __future__ import annotations

from typing import Any

from netlint.graph import Value, is_float

from .builder import Builder, NotLowered
from .pointwise import Operand
from .table import Lower, operator
from .types import result_type


def _comparison(op: str, negated: bool = False) -> Lower:
    def lower(b: Builder, input: Operand, other: Operand) -> Value:
        found = b(op, *b.promoted(input, other))
        return b("Not", found) if negated else found

    return lower


for _name, _op in {
    "eq": "Equal",
    "gt": "Greater",
    "lt": "Less",
    "ge": "GreaterOrEqual",
    "le": "LessOrEqual",
    "greater": "Greater",
    "less": "Less",
    "greater_equal": "GreaterOrEqual",
    "less_equal": "LessOrEqual",
}.items():
    operator(_name)(_comparison(_op))
operator("ne", "not_equal")(_comparison("Equal", negated=True))


def _truth(b: Builder, operand: Operand) -> Value:
    return b.cast(operand, "bool") if isinstance(operand, Value) else b.number(bool(operand), "bool")


def _logical(op: str) -> Lower:
    def lower(b: Builder, input: Operand, other: Operand) -> Value:
        return b(op, _truth(b, input), _truth(b, other))

    return lower


for _name, _op in {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}.items():
    operator(_name)(_logical(_op))


@operator("logical_not")
def logical_not(b: Builder, input: Value) -> Value:
    return b("Not", _truth(b, input))


def _bitwise(logical: str, op: str) -> Lower:
    def lower(b: Builder, input: Operand, other: Operand) -> Value:
        left, right = b.promoted(input, other)
        return b(logical if left.dtype == "bool" else op, left, right)

    return lower


for _name, _ops in {
    "bitwise_and": ("And", "BitwiseAnd"),
    "bitwise_or": ("Or", "BitwiseOr"),
    "bitwise_xor": ("Xor", "BitwiseXor"),
}.items():
    operator(_name)(_bitwise(*_ops))


@operator("bitwise_not")
def bitwise_not(b: Builder, input: Value) -> Value:
    return b("Not" if input.dtype == "bool" else "BitwiseNot", input)


@operator("isnan")
def isnan(b: Builder, input: Value) -> Value:
    return b("IsNaN", b.floating(input))


@operator("isinf")
def isinf(b: Builder, input: Value) -> Value:
    return b("IsInf", b.floating(input))


@operator("isposinf")
def isposinf(b: Builder, input: Value) -> Value:
    return b("IsInf", b.floating(input), detect_negative=0)


@operator("isneginf")
def isneginf(b: Builder, input: Value) -> Value:
    return b("IsInf", b.floating(input), detect_positive=0)


@operator("isfinite")
def isfinite(b: Builder, input: Value) -> Value:
    x = b.floating(input)
    return b("Not", b("Or", b("IsNaN", x), b("IsInf", x)))


@operator("maximum")
def maximum(b: Builder, input: Value, other: Value) -> Value:
    return b("Max", *b.promoted(input, other))


@operator("minimum")
def minimum(b: Builder, input: Value, other: Value) -> Value:
    return b("Min", *b.promoted(input, other))


@operator("clamp", "clip")
def clamp(b: Builder, input: Value, min: Operand | None = None, max: Operand | None = None) -> Value:
    given = [bound for bound in (min, max) if bound is not None]
    dtype = result_type([input, *given])
    x = b.tensor(input, dtype)
    bounds = [None if bound is None else b.tensor(bound, dtype or input.dtype) for bound in (min, max)]
    if all(bound is None or bound.shape == () for bound in bounds):
        return b("Clip", x, *bounds, shape=x.shape)
    if bounds[0] is not None:
        x = b("Max", x, bounds[0])
    return x if bounds[1] is None else b("Min", x, bounds[1])


@operator("clamp_min")
def clamp_min(b: Builder, input: Value, min: Operand) -> Value:
    return clamp(b, input, min)


@operator("clamp_max")
def clamp_max(b: Builder, input: Value, max: Operand) -> Value:
    return clamp(b, input, None, max)


@operator("where")
def where(b: Builder, condition: Value, input: Operand | None = None, other: Operand | None = None) -> Any:
    if input is None or other is None:
        raise NotLowered("where with a condition alone")
    return _choice(b, condition, input, other)


@operator("torch.Tensor.where", "Tensor.where", origin=True)
def tensor_where(b: Builder, input: Value, condition: Value, other: Operand) -> Value:
    return _choice(b, condition, input, other)


def _choice(b: Builder, condition: Value, yes: Operand, no: Operand) -> Value:
    left, right = b.promoted(yes, no)
    return b("Where", b.cast(condition, "bool"), left, right, dtype=left.dtype)


@operator("masked_fill")
def masked_fill(b: Builder, input: Value, mask: Value, value: Operand) -> Value:
    return b("Where", b.cast(mask, "bool"), b.tensor(value, input.dtype), input, dtype=input.dtype)


@operator("nan_to_num")
def nan_to_num(
    b: Builder, input: Value, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Value:
    if not is_float(input.dtype):
        return input
    largest = {"float16": 65504.0, "float32": 3.4028234663852886e38, "bfloat16": 3.3895313892515355e38}
    limit = largest.get(input.dtype or "", 1.7976931348623157e308)
    number = [b.number(x, input.dtype) for x in (nan or 0.0, posinf or limit, neginf or -limit)]
    found = b("Where", b("IsNaN", input), number[0], input, dtype=input.dtype)
    found = b("Where", isposinf(b, input), number[1], found, dtype=input.dtype)
    return b("Where", isneginf(b, input), number[2], found, dtype=input.dtype)
