"""Transfer functions of pooling."""

from __future__ import annotations

import math

from . import algebra
from .interval import COUNT, INF, Range
from .rounding import format_of
from .step import Step, Transfer


def _pads(step: Step) -> bool:
    return any(step.ints("pads")) or step.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID")


def max_pool(step: Step) -> tuple[Range, ...]:
    """Elements of the data; padding is never chosen, unless dilation lets a window miss all of the data."""
    data = step.arg(0)
    if _pads(step) and any(size > 1 for size in step.ints("dilations")):
        data = data._replace(lo=-INF)
    return data, COUNT


def average_pool(step: Step) -> Range:
    """Averages of the data, and of the padding's zeros where these count."""
    data = step.arg(0)
    counted = step.number("count_include_pad", 0) != 0
    if counted and (_pads(step) or step.number("ceil_mode", 0)):
        data = algebra.with_zero(data)
    count = math.prod(step.ints("kernel_shape")) or None
    return step.summed(data._replace(integral=False), count)


def global_average_pool(step: Step) -> Range:
    return step.summed(step.arg(0)._replace(integral=False), _spatial(step))


def _spatial(step: Step) -> int | None:
    shape = step.shape(0)
    sizes = [size for size in shape[2:] if isinstance(size, int)] if shape else []
    return math.prod(sizes) if shape and len(sizes) == len(shape) - 2 else None


def _lp_norm(step: Step, count: int | None) -> Range:
    p = step.number("p", 2)
    m = algebra.absolute(step.arg(0))
    if count is None or not m.bounded or m.hi >= (format_of(step.dtype).largest / count) ** (1 / p):
        return Range(0.0, INF, nan=m.nan, assumed=m.assumed, loose=True)
    return step.summed(Range(0.0, m.hi * count ** (1 / p), nan=m.nan, assumed=m.assumed, loose=True), 64 * count)


def lp_pool(step: Step) -> Range:
    return _lp_norm(step, math.prod(step.ints("kernel_shape")) or None)


def global_lp_pool(step: Step) -> Range:
    return _lp_norm(step, _spatial(step))


POOLING: dict[str, Transfer] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "LpPool": lp_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": lambda step: step.arg(0),
    "GlobalLpPool": global_lp_pool,
}
