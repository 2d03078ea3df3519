"""Transfer functions of normalisations, and of quantisation."""

from __future__ import annotations

import math
from dataclasses import replace

from netlint.ops import read

from . import algebra, relations
from .interval import INF, TOP, ZERO, Range
from .rounding import INTEGER_LIMITS, of_dtype, widen
from .state import Floats, Step, Transfer


def batch_normalization(step: Step) -> Range:
    """With stored statistics an affine map per channel; with those of the batch unknown."""
    data = step.arg(0)
    training = step.number("training_mode", 0) or (step.opset < 14 and len(step.node.outputs) > 1)
    parts = [step.state.array(step.node.input(slot)) for slot in range(1, 5)]
    if training or not data.known or any(part is None or part.dtype.kind != "f" for part in parts):
        return TOP
    scale, bias, mean, var = (part for part in parts if part is not None)
    return _affine(step, data, scale, bias, mean, var)


def _affine(step: Step, data: Range, scale: Floats, bias: Floats, mean: Floats, var: Floats) -> Range:
    import numpy as np

    with np.errstate(all="ignore"):
        slope = scale.astype(np.float64) / np.sqrt(var.astype(np.float64) + step.number("epsilon", 1e-5))
        offset = bias - mean * slope
    if not (np.isfinite(slope).all() and np.isfinite(offset).all()) or not slope.size:
        return TOP
    ends = []
    for near, far in ((data.lo, data.hi), (data.hi, data.lo)):
        up = np.where(slope > 0, near if abs(near) < INF else 0.0, 0.0) * slope
        down = np.where(slope < 0, far if abs(far) < INF else 0.0, 0.0) * slope
        unbounded = ((slope > 0) & math.isinf(near)) | ((slope < 0) & math.isinf(far))
        ends.append((up + down + offset, bool(unbounded.any())))
    terms = np.abs(slope) * (data.magnitude if data.bounded else 0.0) + np.abs(mean * slope) + np.abs(bias)
    slack = 16 * step.eps * float(terms.max())
    lo = -INF if ends[0][1] else float(ends[0][0].min()) - slack
    hi = INF if ends[1][1] else float(ends[1][0].max()) + slack
    return Range(lo, hi, nan=data.nan or not data.bounded, assumed=data.assumed, loose=data.loose)


def normalised(step: Step, count: int | None, centred: bool, scale: Range, bias: Range) -> Range:
    """n elements of mean 0 and variance at most 1 lie within sqrt(n - 1) (Samuelson, JASA 63, 1968); without
    centring within sqrt(n)."""
    data = step.arg(0)
    if count is None or count > 1 << 24:
        return TOP
    limit = math.sqrt(max(count - 1, 0) if centred else count) * (1 + 2.0**-9)
    unit = Range(-limit, limit, nan=data.nan or not data.bounded, loose=True)
    return algebra.add(algebra.multiply(unit, scale), bias)


def _count(step: Step, axes: range) -> int | None:
    shape = step.shape(0)
    if shape is None:
        return None
    sizes = [shape[axis] for axis in axes]
    whole = [size for size in sizes if isinstance(size, int)]
    return math.prod(whole) if len(whole) == len(sizes) else None


def _normalised_axes(step: Step) -> int | None:
    shape = step.shape(0)
    if shape is None:
        return None
    axis = int(step.number("axis", -1))
    return _count(step, range(axis % max(len(shape), 1), len(shape)))


def layer_normalization(step: Step) -> tuple[Range, ...]:
    bias = step.arg(2) if step.has(2) else ZERO
    found = normalised(step, _normalised_axes(step), True, step.arg(1), bias)
    inverse = Range(0.0, INF, lo_open=True, nan=step.arg(0).nan)
    return found, TOP, inverse


def rms_normalization(step: Step) -> Range:
    return normalised(step, _normalised_axes(step), False, step.arg(1), ZERO)


def instance_normalization(step: Step) -> Range:
    shape = step.shape(0)
    count = None if shape is None else _count(step, range(2, len(shape)))
    return normalised(step, count, True, step.arg(1), step.arg(2))


def group_normalization(step: Step) -> Range:
    shape = step.shape(0)
    count = None if shape is None else _count(step, range(1, len(shape)))
    groups = int(step.number("num_groups", 1))
    count = None if count is None or groups < 1 else count // groups
    return normalised(step, count, True, step.arg(1), step.arg(2))


def local_response(step: Step) -> Range:
    """A division by at least 1 where bias >= 1 and the rest is not negative.

    onnxruntime keeps a running sum of squares over the channels; what that loses counts where squares are large.
    """
    data = step.arg(0)
    alpha, beta, bias = step.number("alpha", 1e-4), step.number("beta", 0.75), step.number("bias", 1.0)
    lost = 16 * step.eps * alpha / step.number("size", 1) * data.magnitude**2 if data.magnitude < 1e15 else INF
    if bias < 1 or alpha < 0 or beta < 0 or lost > 0.1:
        return TOP
    found = replace(algebra.with_zero(data), integral=False, nan=data.nan or not data.bounded, loose=True)
    return widen(found, 2 * beta * lost + 8 * step.eps)


def lp_normalization(step: Step) -> Range:
    r = step.arg(0)
    return Range(0.0 if r.lo >= 0 else -1.0, 0.0 if r.hi <= 0 else 1.0, nan=True)


def dropout(step: Step) -> tuple[Range, ...]:
    """Nothing in inference; in training elements are scaled by 1 / (1 - ratio) or set to 0."""
    mask = Range(0.0, 1.0, integral=True)
    if not read.dropout_active(step.node, step.opset):
        relations.rename(step)
        return step.arg(0), mask
    ratio = step.arg(1) if step.has(1) else Range(0.5, 0.5)
    scale = algebra.reciprocal(algebra.subtract(Range(1.0, 1.0), ratio.clamp(0.0, 1.0)))
    scaled = algebra.multiply(step.arg(0), scale)
    return algebra.with_zero(scaled).join(step.arg(0)), mask


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
    near = replace(codes, lo=codes.lo - 1, hi=codes.hi + 1).clamp(limits.lo, limits.hi)
    return algebra.truncate(replace(near, lo=math.floor(near.lo), hi=math.ceil(near.hi)))


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


NORMAL: dict[str, Transfer] = {
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "LRN": local_response,
    "LpNormalization": lp_normalization,
    "Dropout": dropout,
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": dynamic_quantize,
}
"""Normalisations, dropout, quantisation."""
