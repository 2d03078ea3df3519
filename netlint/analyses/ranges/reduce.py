"""Transfer functions of reductions, cumulative sums and softmax."""

from __future__ import annotations

import math

from netlint.ops import read

from . import algebra, idioms, relations
from .facts import Axes
from .interval import COUNT, INF, TOP, Range
from .rounding import INTEGER_LIMITS, settle, widen
from .step import Step, Transfer


class Reduction:
    """Which axes a node reduces. `count` is the number of elements behind one result, None where unknown."""

    __slots__ = ("axes", "count", "keep", "noop", "rank", "readable")

    def __init__(self, step: Step) -> None:
        shape = step.shape(0)
        self.rank = None if shape is None else len(shape)
        self.keep = step.number("keepdims", 1) != 0
        given = read.has_axes(step.node)
        listed = _axes(step) if given else None
        self.readable = not given or listed is not None
        empty = not given or listed == ()
        self.noop = empty and step.number("noop_with_empty_axes", 0) != 0
        self.axes: Axes = None if empty else listed
        if self.axes is not None and self.rank is not None:
            if any(not -self.rank <= axis < self.rank for axis in self.axes):
                self.readable = False  # a broken model: nothing is known of what it reduces
            self.axes = tuple(axis % self.rank for axis in self.axes) if self.readable else None
        sizes = [shape[axis] for axis in self.axes or range(len(shape))] if shape and self.readable else None
        whole = [size for size in sizes or () if isinstance(size, int)]
        self.count = math.prod(whole) if sizes is not None and len(whole) == len(sizes) else None


def _axes(step: Step) -> tuple[int, ...] | None:
    listed = step.attrs.get("axes")
    if isinstance(listed, tuple):
        return tuple(int(axis) for axis in listed)
    value, known = step.node.input(1), step.state.axes
    if value is not None and value not in known:
        dims = step.state.shapes.ints(value)
        known[value] = None if dims is None else tuple(dim for dim in dims if isinstance(dim, int))
    return None if value is None else known[value]


def _reduction(kind: str, found: object) -> Transfer:
    """A reduction whose range `found(step, r, count)` gives; `kind` is the relation it creates."""

    def transfer(step: Step) -> Range:
        reduction = Reduction(step)
        r = step.arg(0)
        if reduction.noop:
            return r if kind in ("max", "min", "mean", "sum") else r.join(found(step, r, 1))  # type: ignore[operator]
        if reduction.readable:
            relations.on_reduce(step, kind, reduction.axes, reduction.rank, reduction.count, reduction.keep)
        floor = relations.peak_floor(step, reduction.axes) if reduction.readable else -INF
        result: Range = found(step, r, reduction.count)  # type: ignore[operator]
        result = _of_shares(step, kind, reduction, result)
        if floor > -INF and r.lo >= 0:
            floor = floor / (reduction.count or INF) if kind == "mean" else floor
            result = result.clamp(floor, INF) if kind in ("sum", "mean", "max") else result
        return result

    return transfer


def _of_shares(step: Step, kind: str, reduction: Reduction, found: Range) -> Range:
    """Numbers that sum to 1: their sum, and the largest of them. Products of unit vectors."""
    if kind == "sum":
        unit = idioms.unit_sum(step, reduction.axes)
        if unit is not None:
            return unit.meet(found) if found.known else unit
        moved = idioms.sum_with_constant(step, reduction.axes, reduction.count)
        found = found.meet(moved) if moved is not None else found
    total = step.state.facts.total(step.node.input(0)) if kind in ("sum", "max") else None
    if total is None or reduction.axes is None or set(reduction.axes) != set(total):
        return found
    terms = min(reduction.count or 4096, 65536)
    slack = terms * 2.0**-23 + 4 * step.eps
    if kind == "max":
        return found if reduction.count is None else found.clamp((1 - slack) / reduction.count, INF)
    return found._replace(lo=max(found.lo, 1 - slack), hi=1 + slack, lo_open=False, hi_open=False)


def _sum(step: Step, r: Range, count: int | None) -> Range:
    """`count` times the ends; of an unknown number of elements only what their signs say."""
    if count is not None:
        return step.summed(algebra.times(r, count), count).having(loose=count > 1)
    found = r._replace(lo=r.lo if r.lo >= 0 else -INF, hi=r.hi if r.hi <= 0 else INF, hi_open=r.hi_open and r.hi <= 0)
    return found._replace(loose=True, nan=r.nan or not (r.lo >= 0 or r.hi <= 0))


def _mean(step: Step, r: Range, count: int | None) -> Range:
    if step.dtype in INTEGER_LIMITS:
        return r
    return step.summed(r._replace(integral=False), count).having(nan=r.lo == -INF and r.hi == INF)


def _keep(step: Step, r: Range, count: int | None) -> Range:
    return r


def _product(step: Step, r: Range, count: int | None) -> Range:
    """Powers of the ends where the signs are simple, a bound where no factor is above 1."""
    if r.lo >= 0 and count is not None:
        return step.summed(algebra.power(r, Range(float(count), float(count))), count).having(loose=True)
    if r.lo >= 0:
        return Range(1.0 if r.lo >= 1 else 0.0, 1.0 if r.hi <= 1 else INF, nan=r.nan or r.hi == INF, loose=True)
    if r.magnitude <= 1:
        return Range(-1.0, 1.0, nan=r.nan, integral=r.integral, assumed=r.assumed, loose=True)
    if count is not None and r.bounded:
        size = step.summed(algebra.power(Range(0.0, r.magnitude), Range(float(count), float(count))), count).hi
        return Range(-size, size, nan=r.nan or size == INF, integral=r.integral, assumed=r.assumed, loose=True)
    return TOP


def _l1(step: Step, r: Range, count: int | None) -> Range:
    return _sum(step, algebra.absolute(r), count)


def _square_sum(step: Step, r: Range, count: int | None) -> Range:
    return _sum(step, algebra.square(r), count)


def _l2(step: Step, r: Range, count: int | None) -> Range:
    found = settle(_square_sum(step, r, count), step.dtype)
    if found.lo < 0:
        return TOP  # integers that wrap around
    hi = INF if found.hi == INF else math.sqrt(found.hi)
    return widen(found._replace(lo=math.sqrt(found.lo), hi=hi, integral=False), 4 * step.eps)


def _log_sum(step: Step, r: Range, count: int | None) -> Range:
    found = _sum(step, r, count)
    return _logarithm(step, found)


def _logarithm(step: Step, r: Range) -> Range:
    if r.hi <= 0:
        return TOP
    lo, hi = (math.log(r.lo) if r.lo > 0 else -INF), (math.log(r.hi) if r.hi < INF else INF)
    found = r._replace(lo=lo, hi=hi, nan=r.nan or r.lo < 0, integral=False)
    return widen(found, 8 * step.eps, 2 * step.eps)


def _log_sum_exp(step: Step, r: Range, count: int | None) -> Range:
    """Between max(x) and max(x) + log n; at least min(x) + log n. Overflow of a naive exp is allowed for."""
    if not r.known:
        return TOP
    grow = INF if count is None else math.log(max(count, 1))
    hi = INF if r.hi > 80 or grow == INF else r.hi + grow
    lo = -INF if r.lo < -80 else r.lo + (0.0 if grow == INF else grow)
    margin = (8 + (count or 4096) / 64) * step.eps
    return widen(r._replace(lo=lo, hi=hi, nan=r.nan, integral=False, loose=True), margin, margin)


REDUCTIONS: dict[str, Transfer] = {
    "ReduceMax": _reduction("max", _keep),
    "ReduceMin": _reduction("min", _keep),
    "ReduceMean": _reduction("mean", _mean),
    "ReduceSum": _reduction("sum", _sum),
    "ReduceProd": _reduction("prod", _product),
    "ReduceL1": _reduction("magnitudes", _l1),
    "ReduceL2": _reduction("norm", _l2),
    "ReduceSumSquare": _reduction("square", _square_sum),
    "ReduceLogSum": _reduction("", _log_sum),
    "ReduceLogSumExp": _reduction("exponentials", _log_sum_exp),
}


def index_of_extreme(step: Step) -> Range:
    """ArgMax, ArgMin: below the length of the axis."""
    return _below(_length(step, int(step.number("axis", 0))))


def _length(step: Step, axis: int) -> int | None:
    shape = step.shape(0)
    size = shape[axis] if shape and -len(shape) <= axis < len(shape) else None
    return size if isinstance(size, int) else None


def _below(length: int | None) -> Range:
    return COUNT if length is None else Range(0.0, float(max(length - 1, 0)), integral=True)


def top_k(step: Step) -> tuple[Range, ...]:
    return step.arg(0), _below(_length(step, int(step.number("axis", -1))))


def cumulative_sum(step: Step) -> Range:
    """Sums of 1 to n elements (0 to n - 1 if exclusive)."""
    r = step.arg(0)
    axis = step.state.constants.scalar(step.node.inputs[1]) if step.has(1) else None
    count = None if axis is None else _length(step, int(axis))
    found = algebra.with_zero(r) if step.number("exclusive", 0) else r
    return found.join(_sum(step, r, count)).having(loose=True)


def cumulative_product(step: Step) -> Range:
    r = step.arg(0)
    if r.lo >= 0 or r.magnitude <= 1:
        return _product(step, r, None).join(Range(1.0, 1.0)).join(r)
    return TOP


def _softmax_width(step: Step) -> int | None:
    """How many elements one softmax runs over."""
    shape = step.shape(0)
    if not shape:
        return None
    sizes = [shape[axis] for axis in read.softmax_axes(step.node, step.opset, len(shape))]
    whole = [size for size in sizes if isinstance(size, int)]
    return math.prod(whole) if len(whole) == len(sizes) else None


def _mark_total(step: Step) -> None:
    out, rank = step.node.output(), step.state.rank(step.node.input(0))
    if out is None:
        return
    if rank is not None:
        step.state.facts.set_total(out, read.softmax_axes(step.node, step.opset, rank))
    elif step.opset >= 13:
        step.state.facts.set_total(out, (read.softmax_axis(step.node, step.opset),))


def _log_softmax_ends(r: Range, width: int) -> tuple[float, float]:
    """log(e^a / (e^a + (n-1) e^b)) and log(e^b / (e^b + (n-1) e^a)) for elements in [a, b]."""
    spread = r.hi - r.lo
    if width <= 1:
        return 0.0, 0.0
    far = spread + math.log(width - 1)
    low = -(far + math.log1p(math.exp(-far))) if far > 0 else -math.log1p(math.exp(far))
    return low, -math.log1p((width - 1) * math.exp(-spread))


def softmax(step: Step) -> Range:
    """(0, 1]; narrower where the spread of the input and the number of classes are known."""
    _mark_total(step)
    r, width = step.arg(0), _softmax_width(step)
    nan = r.nan or not r.bounded
    found = Range(0.0, 1.0, lo_open=True, nan=nan)
    if width is not None and r.bounded:
        low, high = _log_softmax_ends(r, width)
        margin = (16 + width / 16 + 4 * min(r.hi - r.lo, 200)) * step.eps
        ends = r._replace(lo=math.exp(low), hi=math.exp(high), nan=nan, integral=False, loose=r.loose)
        found = widen(ends, margin, margin * 1e-3).clamp(0.0, 1.0, lo_open=True)
    return found


def log_softmax(step: Step) -> Range:
    r, width = step.arg(0), _softmax_width(step)
    nan = r.nan or not r.bounded
    if width is None or not r.bounded:
        return Range(-INF, 0.0, nan=nan)
    low, high = _log_softmax_ends(r, width)
    margin = (16 + width / 16) * step.eps
    ends = r._replace(lo=low, hi=high, nan=nan, integral=False)
    return widen(ends, margin, margin * max(1.0, r.magnitude)).clamp(-INF, 0.0)


def hardmax(step: Step) -> Range:
    _mark_total(step)
    return Range(0.0, 1.0, integral=True)


REDUCTIONS |= {
    "ArgMax": index_of_extreme,
    "ArgMin": index_of_extreme,
    "TopK": top_k,
    "CumSum": cumulative_sum,
    "CumProd": cumulative_product,
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "Hardmax": hardmax,
}
"""Operators that put several elements of one value together."""
