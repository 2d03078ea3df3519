"""Operators computed with numpy on small constants, with the integer and rounding semantics of ONNX.

Imported only where something is folded, because it needs numpy. Kernels follow the contract of `_shapes_arrays`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from netlint.graph import Node, TensorUnreadable

from ._shapes_arrays import LAYOUT, Array, Inputs, Kernel, Unfoldable, given, listed, whole
from ._shapes_dtypes import named

_MAX_RESULT = 1 << 22
_FAILURES = (Unfoldable, TensorUnreadable, TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError)


def compute(node: Node, inputs: Inputs, opset: int, layout_only: bool) -> list[Array]:
    """The outputs of a node; empty where they cannot be computed."""
    kernel = KERNELS[node.op] if not layout_only or node.op in LAYOUT else None
    if kernel is None or any(array is not None and array.dtype.kind not in "fiub" for array in inputs):
        return []
    try:
        with np.errstate(all="ignore"):
            found = kernel(node, inputs, opset)
    except (*_FAILURES, MemoryError, ZeroDivisionError):
        return []
    return [np.asarray(array) for array in (found if isinstance(found, list) else [found])]


def _binary(function: Callable[[Array, Array], Any]) -> Kernel:
    def kernel(node: Node, inputs: Inputs, opset: int) -> Array:
        if opset < 7 and "axis" in node.attrs:
            raise Unfoldable  # the old broadcast aligns elsewhere
        return np.asarray(function(given(inputs, 0), given(inputs, 1)))

    return kernel


def _variadic(function: Callable[[Array, Array], Any]) -> Kernel:
    def kernel(node: Node, inputs: Inputs, opset: int) -> Array:
        return np.asarray(reduce(function, [given(inputs, slot) for slot in range(len(inputs))]))

    return kernel


def _unary(function: Callable[[Array], Any]) -> Kernel:
    def kernel(node: Node, inputs: Inputs, opset: int) -> Array:
        data = given(inputs, 0)
        return np.asarray(function(data)).astype(data.dtype, copy=False)

    return kernel


def _divide(a: Array, b: Array) -> Any:
    """Integer division is cut towards zero, as in C."""
    if a.dtype.kind == "f":
        return a / b
    if not np.all(b):
        raise Unfoldable
    quotient = a // b
    return quotient + ((a % b != 0) & ((a < 0) != (b < 0)))


def _power(a: Array, b: Array) -> Any:
    return np.power(a, b).astype(a.dtype)


def _mod(node: Node, inputs: Inputs, opset: int) -> Array:
    a, b = given(inputs, 0), given(inputs, 1)
    if a.dtype.kind != "f" and not np.all(b):
        raise Unfoldable
    return np.asarray(np.fmod(a, b) if node.attrs.get("fmod", 0) else np.mod(a, b))


def _where(node: Node, inputs: Inputs, opset: int) -> Array:
    return np.where(given(inputs, 0), given(inputs, 1), given(inputs, 2))


def _cast(node: Node, inputs: Inputs, opset: int) -> Array:
    data, target = given(inputs, 0), named(node.attrs.get("to"))
    if target == "bfloat16":
        import ml_dtypes

        return data.astype(ml_dtypes.bfloat16).astype(np.float32)
    if target not in _CASTABLE:
        raise Unfoldable
    if data.dtype.kind == "f" and np.dtype(target).kind in "iu":
        limits = np.iinfo(target)
        if not np.all((data >= limits.min) & (data <= limits.max)):
            raise Unfoldable  # undefined by the specification
    return np.asarray(data.astype(target))


_CASTABLE = frozenset(
    {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"}
)


def _clip(node: Node, inputs: Inputs, opset: int) -> Array:
    data = given(inputs, 0)
    low, high = (_bound(node, inputs, slot, name) for slot, name in ((1, "min"), (2, "max")))
    data = data if low is None else np.maximum(data, low)
    return (data if high is None else np.minimum(data, high)).astype(given(inputs, 0).dtype)


def _bound(node: Node, inputs: Inputs, slot: int, name: str) -> Any:
    return inputs[slot] if slot < len(inputs) else node.attrs.get(name)


def _cumsum(node: Node, inputs: Inputs, opset: int) -> Array:
    if node.attrs.get("exclusive", 0) or node.attrs.get("reverse", 0):
        raise Unfoldable
    data = given(inputs, 0)
    return np.asarray(np.cumsum(data, whole(given(inputs, 1))[0], dtype=data.dtype))


def _reduction(function: Callable[..., Any]) -> Kernel:
    def kernel(node: Node, inputs: Inputs, opset: int) -> Array:
        data, axes = given(inputs, 0), listed(node, inputs, "axes", 1)
        if not axes and node.attrs.get("noop_with_empty_axes", 0):
            return data
        places = tuple(axes) if axes else None
        result = function(data, axis=places, keepdims=bool(node.attrs.get("keepdims", 1)))
        return np.asarray(result).astype(data.dtype)

    return kernel


def _mean(data: Array, axis: Any, keepdims: bool) -> Any:
    if data.dtype.kind != "f":
        raise Unfoldable
    return np.mean(data, axis=axis, keepdims=keepdims)


def _arg(function: Callable[..., Any]) -> Kernel:
    def kernel(node: Node, inputs: Inputs, opset: int) -> Array:
        if node.attrs.get("select_last_index", 0):
            raise Unfoldable
        axis, keep = node.attrs.get("axis", 0), bool(node.attrs.get("keepdims", 1))
        return np.asarray(function(given(inputs, 0), axis=axis, keepdims=keep), dtype=np.int64)

    return kernel


def _range(node: Node, inputs: Inputs, opset: int) -> Array:
    start, limit, step = (given(inputs, slot).reshape(-1)[0] for slot in range(3))
    count = max(int(np.ceil((limit.item() - start.item()) / step.item())), 0)
    if count > _MAX_RESULT:
        raise Unfoldable
    return np.asarray((start + np.arange(count) * step).astype(start.dtype))


def _made(node: Node, inputs: Inputs, opset: int) -> Array:
    fill = node.attrs.get("value")
    number = np.float32(0) if fill is None else fill.load().reshape(-1)[0]
    return np.full(whole(given(inputs, 0)), number)


def _eye(node: Node, inputs: Inputs, opset: int) -> Array:
    data = given(inputs, 0)
    dtype = named(node.attrs["dtype"]) if "dtype" in node.attrs else data.dtype.name
    if dtype not in _CASTABLE:
        raise Unfoldable
    rows, columns = data.shape
    return np.eye(rows, columns, int(node.attrs.get("k", 0)), dtype=np.dtype(dtype))


def _trilu(node: Node, inputs: Inputs, opset: int) -> Array:
    offset = whole(given(inputs, 1))[0] if len(inputs) > 1 and inputs[1] is not None else 0
    data = given(inputs, 0)
    return np.asarray(np.triu(data, offset) if node.attrs.get("upper", 1) else np.tril(data, offset))


def _dequantize(node: Node, inputs: Inputs, opset: int) -> Array:
    """`(x - zero point) · scale`, per tensor or per slice along `axis`; blocks are not computed."""
    data, scale = given(inputs, 0), given(inputs, 1)
    zero = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros(scale.shape, data.dtype)
    if node.attrs.get("block_size", 0) or scale.ndim > 1:
        raise Unfoldable
    if scale.ndim == 1 and scale.size > 1:
        along = [1] * data.ndim
        along[node.attrs.get("axis", 1)] = scale.size
        scale, zero = scale.reshape(along), zero.reshape(along)
    return ((data.astype(np.int32) - zero.astype(np.int32)).astype(scale.dtype) * scale).reshape(data.shape)


def _sigmoid(data: Array) -> Any:
    return 1 / (1 + np.exp(-data))


KERNELS: dict[str, Kernel] = {
    **LAYOUT,
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _binary(_divide),
    "Pow": _binary(_power),
    "Mod": _mod,
    "Min": _variadic(np.minimum),
    "Max": _variadic(np.maximum),
    "Sum": _variadic(np.add),
    "Equal": _binary(np.equal),
    "Less": _binary(np.less),
    "Greater": _binary(np.greater),
    "LessOrEqual": _binary(np.less_equal),
    "GreaterOrEqual": _binary(np.greater_equal),
    "And": _binary(np.logical_and),
    "Or": _binary(np.logical_or),
    "Xor": _binary(np.logical_xor),
    "Not": _unary(np.logical_not),
    "Where": _where,
    "Neg": _unary(np.negative),
    "Abs": _unary(np.abs),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Round": _unary(np.rint),
    "Sign": _unary(np.sign),
    "Sqrt": _unary(np.sqrt),
    "Reciprocal": _unary(lambda data: 1 / data),
    "Exp": _unary(np.exp),
    "Log": _unary(np.log),
    "Sin": _unary(np.sin),
    "Cos": _unary(np.cos),
    "Tanh": _unary(np.tanh),
    "Sigmoid": _unary(_sigmoid),
    "Cast": _cast,
    "Clip": _clip,
    "CumSum": _cumsum,
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "ReduceMax": _reduction(np.max),
    "ReduceMin": _reduction(np.min),
    "ReduceMean": _reduction(_mean),
    "ArgMax": _arg(np.argmax),
    "ArgMin": _arg(np.argmin),
    "Range": _range,
    "ConstantOfShape": _made,
    "EyeLike": _eye,
    "Trilu": _trilu,
    "DequantizeLinear": _dequantize,
}
