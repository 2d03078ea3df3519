"""Transfer functions of quantisation and of arithmetic on quantised integers."""

from __future__ import annotations

import math

from . import algebra
from .interval import INF, TOP, ZERO, Range
from .rounding import INTEGER_LIMITS, of_dtype
from .step import Step, Transfer


def quantize(step: Step) -> Range:
    """The limits of the quantised type; narrower where the data and the scale are known."""
    dtype = step.state.dtype(step.node.output()) or step.state.dtype(step.node.input(2))
    limits = of_dtype(dtype) if dtype in INTEGER_LIMITS else None
    if limits is None:
        return TOP if dtype else Range(-128.0, 255.0, integral=True)
    data, scale, zero = step.arg(0), step.arg(1), step.arg(2) if step.has(2) else ZERO
    codes = algebra.add(algebra.divide(data, scale), zero)
    if not codes.known or codes.nan or not limits.bounded:
        return limits
    near = codes._replace(lo=codes.lo - 1, hi=codes.hi + 1).clamp(limits.lo, limits.hi)
    return algebra.truncate(near._replace(lo=math.floor(near.lo), hi=math.ceil(near.hi)))


def dequantize(step: Step) -> Range:
    """(code - zero point) * scale."""
    zero = step.arg(2) if step.has(2) else ZERO
    return algebra.multiply(algebra.subtract(step.arg(0), zero), step.arg(1))


def dynamic_quantize(step: Step) -> tuple[Range, ...]:
    codes = Range(0.0, 255.0, integral=True)
    data = step.arg(0)
    spread = algebra.subtract(algebra.with_zero(data), algebra.with_zero(data))
    top = spread.hi / 255 * (1 + 4 * step.eps) if data.bounded else INF
    # onnxruntime takes 1 where all elements are 0.
    return codes, Range(0.0, max(top, 1.0), nan=not data.bounded, assumed=data.assumed), codes


def _codes(step: Step) -> Range:
    """Any code of the type."""
    return of_dtype(step.dtype) or Range(-128.0, 255.0, integral=True)


def _shifted(step: Step, slot: int, zero: int) -> Range:
    return algebra.subtract(step.arg(slot), step.arg(zero)) if step.has(zero) else step.arg(slot)


def matmul_integer(step: Step) -> Range:
    shape = step.shape(0)
    count = shape[-1] if shape else None
    return _integer_sum(step, count if isinstance(count, int) else None)


def conv_integer(step: Step) -> Range:
    """Padding adds nothing: it is the zero point."""
    shape = step.shape(1)
    whole = [size for size in (shape or ())[1:] if isinstance(size, int)]
    return _integer_sum(step, math.prod(whole) if shape and len(whole) == len(shape) - 1 else None)


def _integer_sum(step: Step, count: int | None) -> Range:
    product = algebra.multiply(_shifted(step, 0, 2), _shifted(step, 1, 3))
    if count is None or not product.bounded:
        return TOP
    return algebra.times(algebra.with_zero(product), count).having(loose=True)


QUANTISED: dict[str, Transfer] = {
    **dict.fromkeys(("QuantizeLinear", "com.microsoft::QuantizeLinear"), quantize),
    **dict.fromkeys(("DequantizeLinear", "com.microsoft::DequantizeLinear"), dequantize),
    "DynamicQuantizeLinear": dynamic_quantize,
    "MatMulInteger": matmul_integer,
    "ConvInteger": conv_integer,
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), _codes),
    **{
        f"com.microsoft::QLinear{name}": _codes
        for name in ("Add", "Mul", "Sigmoid", "LeakyRelu", "Softmax", "AveragePool", "GlobalAveragePool", "Concat")
    },
}
"""From floats to codes and back, and sums of products of codes."""
