"""Transfer functions of ONNX Runtime's fused operators (its ContribOperators.md), from the parts they are made of."""

from __future__ import annotations

from . import algebra, linear, normal, unary
from .interval import TOP, ZERO, Range
from .step import Step, Transfer
from .weighted import products


def _bias(step: Step) -> Range:
    """The first two inputs added; the first alone where there is no second."""
    return algebra.add(step.arg(0), step.arg(1)) if step.has(1) else step.arg(0)


def bias_gelu(step: Step) -> Range:
    return unary.GELU["none"](step.on(_bias(step)))


def fast_gelu(step: Step) -> Range:
    return unary.GELU["tanh"](step.on(_bias(step)))


def quick_gelu(step: Step) -> Range:
    return unary.gated(step, step.number("alpha", 1.702))


def bias_softmax(step: Step) -> Range:
    return Range(0.0, 1.0, lo_open=True, nan=True)


def _activated(step: Step, found: Range) -> Range:
    """After the activation that is fused in; its parameters are not looked at."""
    name = step.text("activation", "")
    if not name:
        return found
    transfer = unary.UNARY.get(name) if name in ("Relu", "Sigmoid", "Tanh") else None
    after = transfer(step.on(found)) if transfer is not None else TOP
    return after if isinstance(after, Range) else TOP


def fused_conv(step: Step) -> Range:
    """A convolution, a sum with input 3, an activation."""
    found = linear.conv(step)
    out = step.node.output()
    if out is not None:
        step.state.lanes.pop(out, None)
    return _activated(step, algebra.add(found, step.arg(3)) if step.has(3) else found)


def fused_gemm(step: Step) -> Range:
    found = linear.gemm(step)
    out = step.node.output()
    if out is not None:
        step.state.lanes.pop(out, None)
    return _activated(step, found)


def fused_matmul(step: Step) -> Range:
    """A product of two matrices, transposed or not, times alpha."""
    shape = step.shape(0)
    if step.number("transBatchA", 0) or step.number("transBatchB", 0) or not shape or len(shape) < 2:
        return TOP
    count = shape[-2] if step.number("transA", 0) else shape[-1]
    found = products(step, step.arg(0), step.arg(1), count)
    alpha = step.number("alpha", 1.0)
    return algebra.multiply(found, Range(alpha, alpha))


def skip_normalization(step: Step) -> tuple[Range, ...]:
    """The sum of both inputs (and a bias), normalised along the last axis; output 3 is the sum."""
    simple = "Simplified" in step.node.op
    total = algebra.add(step.arg(0), step.arg(1))
    slot = 3 if simple else 4
    total = algebra.add(total, step.arg(slot)) if step.has(slot) else total
    bias = ZERO if simple or not step.has(3) else step.arg(3)
    shape = step.shape(0)
    width = shape[-1] if shape else None
    count = width if isinstance(width, int) else None
    return normal.normalised(step.on(total), count, not simple, step.arg(2), bias), TOP, TOP, total


def attention(step: Step) -> Range:
    """Projection to queries, keys, values, then averages of the values."""
    projected = products(step, step.arg(0), step.arg(1), _width(step))
    projected = algebra.add(projected, step.arg(2)) if step.has(2) else projected
    if step.has(4):
        projected = projected.join(step.arg(4))
    if not projected.bounded:
        return TOP
    return linear.averaged(step, algebra.with_zero(projected), None).having(nan=True)


def _width(step: Step) -> int | None:
    shape = step.shape(0)
    return shape[-1] if shape and isinstance(shape[-1], int) else None


def multi_head_attention(step: Step) -> Range:
    """Averages of input 2, with the bias of all three projections, and of values of the past."""
    values = step.arg(2)
    values = algebra.add(values, step.arg(3)) if step.has(3) else values
    values = values.join(step.arg(7)) if step.has(7) else values
    if not values.bounded:
        return TOP
    return linear.averaged(step, algebra.with_zero(values), None).having(nan=True)


_FUSED: dict[str, Transfer] = {
    "Gelu": unary.gelu_either,
    "BiasGelu": bias_gelu,
    "FastGelu": fast_gelu,
    "QuickGelu": quick_gelu,
    "BiasSoftmax": bias_softmax,
    "FusedConv": fused_conv,
    "FusedGemm": fused_gemm,
    **dict.fromkeys(("FusedMatMul", "TransposeMatMul"), fused_matmul),
    **dict.fromkeys(("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"), skip_normalization),
    "Attention": attention,
    "MultiHeadAttention": multi_head_attention,
}

FUSED: dict[str, Transfer] = {f"com.microsoft::{name}": transfer for name, transfer in _FUSED.items()}
"""By full name."""
