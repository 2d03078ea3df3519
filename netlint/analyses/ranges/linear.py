"""Transfer functions of sums of products: convolutions, matrix products, attention."""

from __future__ import annotations

import math

from netlint.graph import Dim, Value

from . import algebra, idioms
from .interval import INF, TOP, Range
from .state import MOST_LANES, Floats, Lanes
from .step import Step, Transfer
from .weighted import Data, Sums, data_of, products, sums

SMALL_WEIGHT = 1 << 12
"""Weights of up to this many elements are read also where the data is not bounded: all of them may be 0."""


def _weight(step: Step, slot: int, data: Range) -> Floats | None:
    value = step.node.input(slot)
    if not data.bounded and not (step.state.spares and _small(step, value) and step.state.spare()):
        return None
    return step.state.weight(value)


def _small(step: Step, value: Value | None) -> bool:
    if value is None or (value.constant is None and value not in step.state.fixed):
        return False
    shape = value.constant.shape if value.constant is not None else step.state.shape(value)
    sizes = [size for size in shape or () if isinstance(size, int)]
    return shape is not None and len(sizes) == len(shape) and math.prod(sizes) <= SMALL_WEIGHT


def _bias(step: Step, slot: int) -> Data | None:
    """The bias by output channel, or as a whole; None where there is none."""
    return data_of(step, slot, -1) if step.has(slot) else None


def _finish(step: Step, found: Sums | None, data: Range, bias: Data | None, axis: int) -> Range:
    """The hull over outputs, whose bounds are kept as lanes along `axis`."""
    if found is None:
        return TOP
    import numpy as np

    lo, hi = found.lo, found.hi
    if bias is not None:
        if np.size(bias.lo) not in (1, lo.size):
            return TOP  # a broken model: one bias for another number of channels
        slack = 2.0 * step.unit * (bias.range.magnitude if bias.range.bounded else 0.0)
        with np.errstate(invalid="ignore"):  # infinity minus infinity: nothing is known
            lo, hi = lo + bias.lo, hi + bias.hi
            lo, hi = lo - 2 * step.unit * np.abs(lo) - slack, hi + 2 * step.unit * np.abs(hi) + slack
        lo, hi = np.where(np.isnan(lo), -INF, lo), np.where(np.isnan(hi), INF, hi)
    ends = float(lo.min()), float(hi.max())
    out = step.node.output()
    if out is not None and 1 < lo.size <= MOST_LANES and _says_something(lo, hi):
        step.state.lanes[out] = Lanes(axis, lo, hi)
    assumed = data.assumed or (bias is not None and bias.range.assumed)
    nan = data.nan or not data.bounded or (bias is not None and bias.range.nan)
    return Range(*ends, nan=nan, assumed=assumed, loose=True)


def _says_something(lo: Floats, hi: Floats) -> bool:
    return bool((lo > -INF).any() or (hi < INF).any())


def _pads(step: Step) -> bool:
    return any(step.ints("pads")) or step.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID")


def conv(step: Step) -> Range:
    data = step.arg(0)
    weight = _weight(step, 1, data)
    if weight is None or weight.ndim < 3:
        return _by_ranges(step, data, 0)
    group = int(step.number("group", 1))
    given = data_of(step, 0, 1 - weight.ndim).grouped(group, weight.shape[1])
    if given is None or weight.shape[0] % group:
        return TOP
    given = given.with_zero() if _pads(step) else given
    blocks = weight.reshape(group, weight.shape[0] // group, weight.shape[1], -1)
    return _finish(step, sums(step, given, blocks), data, _bias(step, 2), 1 - weight.ndim)


def _by_ranges(step: Step, data: Range, outputs: int) -> Range:
    """A convolution of which only the range of the weight is known; `outputs` is the axis of the weight that counts
    output channels."""
    shape = step.shape(1)
    if not shape or _unread(step, step.node.input(1)):
        return TOP
    if not data.bounded:
        signs = data.known and data.lo >= 0 and step.arg(1).known and step.arg(1).lo >= 0 and not step.has(2)
        return Range(0.0, INF, nan=True, assumed=data.assumed) if signs else TOP
    rest = [size for axis, size in enumerate(shape) if axis != outputs]
    whole = [size for size in rest if isinstance(size, int)]
    count = math.prod(whole) if len(whole) == len(rest) else None
    found = products(step, algebra.with_zero(data), step.arg(1), count)
    return algebra.add(found, step.arg(2)) if step.has(2) else found


def conv_transpose(step: Step) -> Range:
    """Every output takes a part of the taps, so 0 joins the data."""
    data = step.arg(0)
    weight = _weight(step, 1, data)
    group = int(step.number("group", 1))
    if weight is None or weight.ndim < 3 or group < 1 or weight.shape[0] % group:
        return _by_ranges(step, data, 1)
    given = data_of(step, 0, 1 - weight.ndim).grouped(group, weight.shape[0] // group)
    if given is None:
        return TOP
    blocks = weight.reshape(group, weight.shape[0] // group, weight.shape[1], -1).swapaxes(1, 2)
    return _finish(step, sums(step, given.with_zero(), blocks), data, _bias(step, 2), 1 - weight.ndim)


def gemm(step: Step) -> Range:
    data = step.arg(0)
    transposed = step.number("transA", 0) != 0
    weight = _weight(step, 1, data)
    alpha, beta = step.number("alpha", 1.0), step.number("beta", 1.0)
    if weight is None or weight.ndim != 2:
        return _dot(step, _columns(step, transposed), alpha, beta)
    weight = weight if step.number("transB", 0) else weight.T
    given = data_of(step, 0, -2 if transposed else -1).grouped(1, weight.shape[1])
    found = None if given is None else sums(step, given, weight[None, :, :, None])
    bias = _bias(step, 2)
    bias = bias.times(beta) if bias is not None and beta != 1 else bias
    return _finish(step, found if found is None or alpha == 1 else found.times(alpha), data, bias, -1)


def _columns(step: Step, transposed: bool = False) -> Dim:
    shape = step.shape(0)
    return shape[0 if transposed else -1] if shape else None


def matmul(step: Step) -> Range:
    a = step.node.input(0)
    last = step.state.rank(a)
    total = step.state.facts.total(a)
    if total and last and total == (last - 1,) and step.arg(1).bounded:
        return averaged(step, step.arg(1), _columns(step))
    unit = idioms.unit_product(step)
    if unit is not None:
        return unit
    for slot in (0, 1):
        other = step.node.input(1 - slot)
        if other is not None and (other.constant is not None or other in step.state.fixed):
            data = step.arg(slot)
            weight = _weight(step, 1 - slot, data)
            if weight is not None and weight.ndim:
                return _constant_factor(step, data, slot, weight)
    return _dot(step, _columns(step))


def _constant_factor(step: Step, data: Range, slot: int, weight: Floats) -> Range:
    """Data times weight (`slot` 0), or weight times data (1)."""
    if weight.ndim <= 2:
        matrix = weight.reshape(1, -1) if weight.ndim == 1 else weight.T if slot == 0 else weight
        given = data_of(step, slot, -1 if slot == 0 else -2).grouped(1, matrix.shape[1])
        found = None if given is None else sums(step, given, matrix[None, :, :, None])
        result = _finish(step, found, data, None, -1 if slot == 0 else -2)
        out = step.node.output()
        if weight.ndim == 1 and out is not None:
            step.state.lanes.pop(out, None)
        return result
    stack = weight.swapaxes(-1, -2) if slot == 0 else weight
    found = sums(step, Data(data, data.lo, data.hi), stack.reshape(1, -1, stack.shape[-1], 1))
    return _finish(step, found, data, None, -1) if found is None else found.hull(data)


def averaged(step: Step, values: Range, count: Dim) -> Range:
    """Averages with weights that sum to 1 up to rounding."""
    terms = count if isinstance(count, int) else 4096
    margin = (4 + terms / 64) * 2.0**-22 + 4 * step.eps
    lo, hi = values.lo - margin * abs(values.lo), values.hi + margin * abs(values.hi)
    return values._replace(lo=lo, hi=hi, integral=False, loose=True)


def _dot(step: Step, count: Dim, alpha: float = 1.0, beta: float = 1.0) -> Range:
    """`count` products of two values of which only the ranges are known."""
    for value in step.node.inputs[:2]:
        r = None if value is None or _unread(step, value) else step.state.of(value)
        if r is not None and not (r.bounded or (r.known and step.state.spare())):
            return TOP  # without reading a constant for nothing
    product = products(step, step.arg(0), step.arg(1), count)
    if alpha != 1:
        product = algebra.multiply(product, Range(alpha, alpha))
    return algebra.add(product, algebra.multiply(step.arg(2), Range(beta, beta))) if step.has(2) else product


def _unread(step: Step, value: Value | None) -> bool:
    return value is not None and value.constant is not None and value not in step.state.ranges


def einsum(step: Step) -> Range:
    """Sums of products; how many is known from the letters that the result lacks."""
    ranges = step.args()
    if not ranges or not all(r.known for r in ranges):
        return TOP
    found = ranges[0]
    for each in ranges[1:-1]:
        found = algebra.multiply(found, each)
    last = ranges[-1] if len(ranges) > 1 else Range(1.0, 1.0)
    return products(step, found, last, _summed_over(step))


def _summed_over(step: Step) -> int | None:
    """The number of terms behind one element of an Einsum."""
    left, arrow, right = step.text("equation", "").replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow or "." in left or len(terms) != len(step.node.inputs):
        return None
    sizes: dict[str, Dim] = {}
    for place, term in enumerate(terms):
        shape = step.shape(place)
        if shape is None or len(shape) != len(term):
            return None
        sizes.update((letter, size) for letter, size in zip(term, shape, strict=True) if letter not in right)
    whole = [size for size in sizes.values() if isinstance(size, int)]
    return math.prod(whole) if len(whole) == len(sizes) else None


def attention(step: Step) -> tuple[Range, ...]:
    """Averages of V; rows that are masked altogether come out as 0 or NaN. Keys and values of the past stay."""
    values = step.arg(2)
    if step.has(5):
        values = values.join(step.arg(5))
    keys = step.arg(1).join(step.arg(4)) if step.has(4) else step.arg(1)
    found = averaged(step, algebra.with_zero(values), None).having(nan=True) if values.bounded else TOP
    return found, keys, values


LINEAR: dict[str, Transfer] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "Einsum": einsum,
    "Attention": attention,
}
"""Operators that sum products."""
