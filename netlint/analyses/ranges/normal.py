"""Transfer functions of normalisations."""

from __future__ import annotations

import math
from collections.abc import Iterable

from netlint.ops import read

from . import algebra, relations
from .interval import INF, TOP, ZERO, Range
from .rounding import widen
from .state import MOST_LANES, Floats, Lanes
from .step import Step, Transfer
from .weighted import Data, data_of


def batch_normalization(step: Step) -> Range:
    """With stored statistics an affine map per channel; with those of the batch a bound from its size, if known."""
    data = step.arg(0)
    training = step.number("training_mode", 0) or (step.opset < 14 and len(step.node.outputs) > 1)
    if training:
        shape = step.shape(0)
        count = None if shape is None or len(shape) < 2 else _count(step, [0, *range(2, len(shape))])
        return normalised(step, count, True, step.arg(1), step.arg(2))
    if not data.known:
        return TOP
    parts = [step.state.array(step.node.input(slot)) for slot in range(1, 5)]
    if all(part is not None and part.dtype.kind == "f" for part in parts):
        return _affine(step, data, *(part for part in parts if part is not None))
    return _affine_ranges(step, data)


def _affine_ranges(step: Step, data: Range) -> Range:
    """The same where only the parameters' ranges are known."""
    scale, bias, mean, var = (step.arg(slot) for slot in range(1, 5))
    spread = var.clamp(0.0, INF).lo + step.number("epsilon", 1e-5)
    if spread <= 0:
        return TOP
    inverse = Range(0.0, 1 / math.sqrt(spread), lo_open=True)
    found = algebra.multiply(algebra.multiply(algebra.subtract(data, mean), inverse), scale)
    return widen(algebra.add(found, bias), 16 * step.eps).having(loose=True)


def _affine(step: Step, data: Range, scale: Floats, bias: Floats, mean: Floats, var: Floats) -> Range:
    import numpy as np

    rank = step.state.rank(step.node.input(0))
    given = data_of(step, 0, 1 - rank) if rank else Data(data, data.lo, data.hi)
    if not isinstance(given.lo, float) and given.lo.size != scale.size:
        given = Data(data, data.lo, data.hi)
    with np.errstate(all="ignore"):
        slope = scale.astype(np.float64) / np.sqrt(var.astype(np.float64) + step.number("epsilon", 1e-5))
        offset = bias - mean * slope
        if not (np.isfinite(slope).all() and np.isfinite(offset).all()) or not slope.size:
            return TOP
        down, up = np.where(slope == 0, 0.0, slope * given.lo), np.where(slope == 0, 0.0, slope * given.hi)
        largest = np.maximum(np.abs(given.lo), np.abs(given.hi))
        reach = np.where(np.isfinite(largest), np.abs(slope) * np.minimum(largest, 1e300), 0.0)
    # Where one side is unbounded, the finite end is met by data that is as near to it as to the mean.
    near = np.abs(slope) * np.minimum(np.minimum(np.abs(given.lo), np.abs(given.hi)), 1e300)
    slack = 16 * step.eps * (np.maximum(reach, near) + np.abs(mean * slope) + np.abs(bias))
    lo, hi = np.minimum(down, up) + offset - slack, np.maximum(down, up) + offset + slack
    out = step.node.output()
    if rank and out is not None and 1 < lo.size <= MOST_LANES:
        step.state.lanes[out] = Lanes(1 - rank, lo, hi)
    nan = data.nan or not data.bounded
    return Range(float(lo.min()), float(hi.max()), nan=nan, assumed=data.assumed, loose=data.loose)


def normalised(step: Step, count: int | None, centred: bool, scale: Range, bias: Range, per: int = 0) -> Range:
    """n elements of mean 0 and variance at most 1 lie within sqrt(n - 1) (Samuelson, JASA 63, 1968); without
    centring within sqrt(n). `per` is the axis that scale and bias run along, from the end; 0 where several."""
    data = step.arg(0)
    if count is None or count > 1 << 24:
        return TOP
    limit = math.sqrt(max(count - 1, 0) if centred else count) * (1 + 2.0**-9)
    unit = Range(-limit, limit, nan=data.nan or not data.bounded, loose=True)
    found = algebra.add(algebra.multiply(unit, scale), bias)
    if per and found.bounded:
        _scaled_lanes(step, limit, centred, per)
    return found


def _scaled_lanes(step: Step, limit: float, biased: bool, axis: int) -> None:
    """Bounds by channel, from the scale and the bias of each."""
    import numpy as np

    state, out = step.state, step.node.output()
    scale = state.array(step.node.input(1))
    bias = state.array(step.node.input(2)) if biased and step.has(2) else np.zeros(1)
    if scale is None or bias is None or out is None or scale.ndim != 1 or not 1 < scale.size <= MOST_LANES:
        return
    if scale.dtype.kind != "f" or bias.size not in (1, scale.size):
        return
    reach, offset = np.abs(scale.astype(np.float64)) * limit, bias.reshape(-1).astype(np.float64)
    slack = 8 * step.eps * (reach + np.abs(offset))
    state.lanes[out] = Lanes(axis, offset - reach - slack, offset + reach + slack)


def _count(step: Step, axes: Iterable[int]) -> int | None:
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
    found = normalised(step, _normalised_axes(step), True, step.arg(1), bias, per=-1)
    data, epsilon = step.arg(0), step.number("epsilon", 1e-5)
    largest = 1 / math.sqrt(epsilon) if epsilon > 0 else INF
    inverse = Range(0.0, largest, lo_open=True, nan=data.nan or not data.bounded)
    mean = step.summed(data._replace(integral=False), None).having(nan=not data.bounded)
    return found, mean, widen(inverse, 8 * step.eps)


def rms_normalization(step: Step) -> Range:
    return normalised(step, _normalised_axes(step), False, step.arg(1), ZERO, per=-1)


def instance_normalization(step: Step) -> Range:
    shape = step.shape(0)
    count = None if shape is None else _count(step, range(2, len(shape)))
    return normalised(step, count, True, step.arg(1), step.arg(2), per=1 - len(shape) if shape else 0)


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
    found = algebra.with_zero(data)._replace(integral=False, nan=data.nan or not data.bounded, loose=True)
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


NORMAL: dict[str, Transfer] = {
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization,
    "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization,
    "LRN": local_response,
    "LpNormalization": lp_normalization,
    "Dropout": dropout,
}
"""Normalisations and dropout."""
