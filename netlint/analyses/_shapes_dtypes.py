"""The element types of outputs. An operator that no table names keeps the type of its first input."""

from __future__ import annotations

from typing import Protocol

from netlint.graph import Node, Tensor, Value
from netlint.ops import RANDOM

from ._shapes_onnx import NAMES


class Dtypes(Protocol):
    opset: int

    def dtype(self, value: Value | None) -> str | None: ...


_FIXED = {
    **dict.fromkeys(("Shape", "Size", "NonZero", "ArgMax", "ArgMin"), "int64"),
    **dict.fromkeys(("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor", "Not"), "bool"),
    **dict.fromkeys(("IsNaN", "IsInf"), "bool"),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), "int32"),
}
# Operators whose type comes from another input than the first.
_FROM_INPUT = {"CastLike": 1, "Where": 1, "DequantizeLinear": 1, "OneHot": 2, "QLinearConv": 7, "QLinearMatMul": 7}
_SECOND = {"TopK": "int64", "MaxPool": "int64", "Dropout": "bool"}
_BY_ATTRIBUTE = RANDOM | {"EyeLike"}
_OLD_NAMES = {"FLOAT": "float32", "DOUBLE": "float64", "FLOAT16": "float16"}

_SPECIAL = frozenset((*_FIXED, *_FROM_INPUT, *_SECOND, *_BY_ATTRIBUTE, "Cast", "ConstantOfShape", "QuantizeLinear"))


def output_dtype(node: Node, nth: int, known: Dtypes) -> str | None:
    """The element type of an output; None where unknown."""
    op = node.op
    if op not in _SPECIAL:
        return known.dtype(node.inputs[0]) if node.inputs else None
    if nth and op in _SECOND and (op != "Dropout" or known.opset >= 10):
        return _SECOND[op]
    if op in _FIXED:
        return _FIXED[op]
    if op == "Cast":
        return named(node.attrs.get("to"))
    if op == "ConstantOfShape":
        return _fill(node.attrs.get("value"))
    if op in _BY_ATTRIBUTE and "dtype" in node.attrs:
        return named(node.attrs["dtype"])
    if op in ("RandomNormal", "RandomUniform"):
        return "float32"
    if op == "QuantizeLinear":
        return known.dtype(node.input(2)) or named(node.attrs.get("output_dtype", 2))
    return known.dtype(node.input(_FROM_INPUT.get(op, 0)))


def _fill(value: Tensor | None) -> str:
    return "float32" if value is None else value.dtype


def named(number: object) -> str | None:
    """A DataType number, or its name in capitals as in opsets before 6."""
    if isinstance(number, str):
        return _OLD_NAMES.get(number, number.lower())
    return NAMES.get(number) if isinstance(number, int) else None
