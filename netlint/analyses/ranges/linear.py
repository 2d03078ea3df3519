"""Transfer functions of sums of products: convolutions, matrix products, attention."""

from __future__ import annotations

from dataclasses import replace

from netlint.graph import Dim

from . import algebra
from .interval import INF, TOP, ZERO, Range
from .state import Floats, Step, Transfer

WEIGHT_LIMIT = 1 << 20
"""Weights of up to this many elements are read, and only where the data is bounded."""


def _weight(step: Step, slot: int) -> Floats | None:
    found = step.state.array(step.node.input(slot), WEIGHT_LIMIT)
    return found if found is not None and found.dtype.kind == "f" and found.size else None


def weighted(step: Step, data: Range, weight: Floats, axes: tuple[int, ...], bias: Range = ZERO) -> Range:
    """The sum over `axes` of weight times bounded data: for every output by the positive and the negative part of its
    weights (Moore, Interval Analysis), then the hull over outputs."""
    import numpy as np

    with np.errstate(invalid="ignore"):  # a signalling NaN, which is found below
        wide = weight.astype(np.float64, copy=False)
    if not np.isfinite(wide).all():
        return TOP
    positive = np.maximum(wide, 0).sum(axis=axes, keepdims=False)
    negative = np.minimum(wide, 0).sum(axis=axes, keepdims=False)
    count = max(weight.size // max(positive.size, 1), 1)
    lo, hi = positive * data.lo + negative * data.hi, positive * data.hi + negative * data.lo
    unit = 2.0**-53 if step.dtype == "float64" else 2.0**-24
    slack = 2 * (count + 1) * unit * float((positive - negative).max()) * data.magnitude
    ends = (float(lo.min()) - slack, float(hi.max()) + slack)
    found = Range(*ends, nan=data.nan, assumed=data.assumed, loose=True)
    return algebra.add(found, bias) if bias is not ZERO else found


def _bias(step: Step, slot: int) -> Range:
    return step.arg(slot) if step.has(slot) else ZERO


def _padded(step: Step, data: Range) -> Range:
    pads = any(step.ints("pads")) or step.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    return algebra.with_zero(data) if pads else data


def conv(step: Step) -> Range:
    data = step.arg(0)
    weight = _weight(step, 1) if data.bounded else None
    if weight is None or weight.ndim < 3:
        return TOP
    return weighted(step, _padded(step, data), weight, tuple(range(1, weight.ndim)), _bias(step, 2))


def conv_transpose(step: Step) -> Range:
    """Every output takes a part of the taps, so 0 joins the data."""
    data = step.arg(0)
    weight = _weight(step, 1) if data.bounded else None
    group = int(step.number("group", 1))
    if weight is None or weight.ndim < 3 or weight.shape[0] % max(group, 1):
        return TOP
    split = weight.reshape(group, weight.shape[0] // group, weight.shape[1], -1)
    return weighted(step, algebra.with_zero(data), split, (1, 3), _bias(step, 2))


def gemm(step: Step) -> Range:
    data = step.arg(0)
    weight = _weight(step, 1) if data.bounded else None
    if weight is None or weight.ndim != 2:
        return _dot(step, _columns(step, "transA"))
    axis = 1 if step.number("transB", 0) else 0
    alpha = step.number("alpha", 1.0)
    product = algebra.multiply(weighted(step, data, weight, (axis,)), Range(alpha, alpha))
    beta = step.number("beta", 1.0)
    scaled = algebra.multiply(_bias(step, 2), Range(beta, beta)) if step.has(2) else ZERO
    return algebra.add(product, scaled)


def _columns(step: Step, transposed: str) -> Dim:
    shape = step.shape(0)
    return shape[0 if step.number(transposed, 0) else -1] if shape else None


def matmul(step: Step) -> Range:
    a = step.node.input(0)
    last = step.state.rank(a)
    total = step.state.facts.total(a)
    if total and last and total == (last - 1,) and step.arg(1).bounded:
        return _averaged(step, step.arg(1), _columns(step, ""))
    for data, slot in ((step.arg(0), 1), (step.arg(1), 0)):
        other = step.node.input(slot)
        if data.bounded and other is not None and other.constant is not None:
            weight = _weight(step, slot)
            if weight is not None and weight.ndim:
                axis = weight.ndim - 1 if slot == 0 or weight.ndim == 1 else weight.ndim - 2
                return weighted(step, data, weight, (axis,))
    return _dot(step, _columns(step, ""))


def _averaged(step: Step, values: Range, count: Dim) -> Range:
    """Averages with weights that sum to 1 up to rounding."""
    terms = count if isinstance(count, int) else 4096
    margin = (4 + terms / 64) * 2.0**-22 + 4 * step.eps
    found = replace(values, lo=values.lo - margin * abs(values.lo), hi=values.hi + margin * abs(values.hi))
    return replace(found, integral=False, loose=True)


def _dot(step: Step, count: Dim) -> Range:
    """`count` products of two values of which only the ranges are known."""
    if not all(step.state.of(value).known for value in step.node.inputs[:2] if value and value.constant is None):
        return TOP  # without reading a constant for nothing
    product = algebra.multiply(step.arg(0), step.arg(1))
    if step.node.op == "Gemm":
        alpha = step.number("alpha", 1.0)
        product = algebra.multiply(product, Range(alpha, alpha))
    if isinstance(count, int) and product.bounded:
        found = step.summed(algebra.times(product, count), count)
        slack = 2.0**-22 * count * product.magnitude
        found = replace(found, lo=found.lo - slack if found.lo else 0.0, hi=found.hi + slack if found.hi else 0.0)
    elif product.lo >= 0:
        found = Range(0.0, INF, nan=True, assumed=product.assumed)
    else:
        return TOP
    found = found.having(loose=True)
    if step.node.op == "Gemm" and step.has(2):
        beta = step.number("beta", 1.0)
        return algebra.add(found, algebra.multiply(step.arg(2), Range(beta, beta)))
    return found


def einsum(step: Step) -> Range:
    """Sums of products of non-negative numbers are not negative."""
    ranges = step.args()
    if all(r.lo >= 0 for r in ranges):
        return Range(0.0, INF, nan=True, assumed=any(r.assumed for r in ranges), loose=True)
    return TOP


def attention(step: Step) -> tuple[Range, ...]:
    """Averages of V; rows that are masked altogether come out as 0 or NaN."""
    values = step.arg(2)
    if step.has(5):
        values = values.join(step.arg(5))
    if not values.bounded:
        return (TOP,)
    return (_averaged(step, algebra.with_zero(values), None).having(nan=True),)


LINEAR: dict[str, Transfer] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "Einsum": einsum,
    "Attention": attention,
}
"""Operators that sum products."""
