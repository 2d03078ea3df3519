"""Sums of weights times data, by interval arithmetic that is exact but for rounding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from netlint.graph import Dim

from . import algebra
from .interval import INF, TOP, Range
from .state import Floats
from .step import Step

_BLOCK = 1 << 16
"""Weights looked at together, so that what is computed from them stays in the processor's cache."""


class Data(NamedTuple):
    """What is multiplied: its range and the bounds, as numbers or by channel."""

    range: Range
    lo: float | Floats
    hi: float | Floats

    def with_zero(self) -> Data:
        import numpy as np

        return Data(algebra.with_zero(self.range), np.minimum(self.lo, 0.0), np.maximum(self.hi, 0.0))

    def grouped(self, groups: int, each: int) -> Data | None:
        """Bounds by channel as `groups` rows of `each`; numbers stay. None if the model contradicts itself."""
        if groups < 1:
            return None
        if isinstance(self.lo, float) or isinstance(self.hi, float) or self.lo.size != groups * each:
            return Data(self.range, self.range.lo, self.range.hi)
        return Data(self.range, self.lo.reshape(groups, each), self.hi.reshape(groups, each))

    def times(self, factor: float) -> Data:
        lo, hi = (self.lo, self.hi) if factor >= 0 else (self.hi, self.lo)
        scaled = algebra.multiply(self.range, Range(factor, factor))
        return Data(scaled, lo * factor if factor else 0.0, hi * factor if factor else 0.0)


def data_of(step: Step, slot: int, axis: int) -> Data:
    """An input, by channel where that is known along `axis`."""
    found = step.arg(slot)
    lanes = step.state.lanes_of(step.node.input(slot))
    if lanes is None or lanes.axis != axis:
        return Data(found, found.lo, found.hi)
    return Data(found, lanes.lo, lanes.hi)


class Sums(NamedTuple):
    """Bounds for each output."""

    lo: Floats
    hi: Floats

    def times(self, factor: float) -> Sums:
        if factor == 0:
            return Sums(self.lo.clip(0, 0), self.hi.clip(0, 0))
        return Sums(self.lo * factor, self.hi * factor) if factor > 0 else Sums(self.hi * factor, self.lo * factor)

    def hull(self, data: Range) -> Range:
        nan = data.nan or not data.bounded
        return Range(float(self.lo.min()), float(self.hi.max()), nan=nan, assumed=data.assumed, loose=True)


def sums(step: Step, data: Data, weight: Floats) -> Sums | None:
    """For each output the bounds of its sum. `weight` is [group, output, input, tap]; None if it is not finite.

    The positive part of the weights takes the upper end for the upper bound, the negative part the lower end (Moore,
    Interval Analysis, 1966). An infinite end counts as 0 at first; outputs that it reaches are found besides.
    """
    import numpy as np

    groups, outputs, inputs, taps = weight.shape
    matrix = weight.reshape(groups, outputs, inputs * taps)
    precise = matrix.dtype.itemsize > 4 or data.range.magnitude_of_finite > _SAFE
    ends = _ends(data, groups, taps, inputs * taps).astype(np.float64 if precise else np.float32)
    plus, minus = np.empty((groups, outputs, ends.shape[-1])), np.empty((groups, outputs, ends.shape[-1]))
    room: Floats = np.empty(0, ends.dtype)
    for part in _blocks(groups, outputs, inputs * taps):
        block = matrix[part]
        given = ends[part[0]] if len(ends) > 1 else ends
        if room.size < block.size:
            room = np.empty(block.size, ends.dtype)  # used again: fresh memory costs more than the arithmetic
        signed = _like(block, room)
        with np.errstate(invalid="ignore", over="ignore"):  # weights that are not finite are found below
            np.abs(block, out=signed)
            # w + |w| is twice the positive part, without rounding; numpy's maximum takes several times as long.
            plus[part] = np.matmul(np.add(block, signed, out=signed), given)
            np.abs(block, out=signed)
            minus[part] = np.matmul(np.subtract(block, signed, out=signed), given)
    plus /= 2
    minus /= 2
    if not (np.isfinite(plus).all() and np.isfinite(minus).all()):
        return None
    slack = 4 * (inputs * taps + 2) * step.unit * (plus[..., 2] - minus[..., 2])
    lo, hi = plus[..., 0] + minus[..., 1] - slack, plus[..., 1] + minus[..., 0] + slack
    if ends.shape[-1] > _FINITE:
        lo[(plus[..., 3] > 0) | (minus[..., 4] < 0)] = -INF
        hi[(plus[..., 4] > 0) | (minus[..., 3] < 0)] = INF
    return Sums(lo.reshape(-1), hi.reshape(-1))


def _like(block: Floats, room: Floats) -> Floats:
    """Room for as many elements, in the order in which the block lies in memory."""
    flat = room[: block.size]
    if block.ndim == 3 and block.strides[1] < block.strides[2]:
        return flat.reshape(block.shape[0], block.shape[2], block.shape[1]).swapaxes(1, 2)
    return flat.reshape(block.shape)


_FINITE = 3
_SAFE = 1e30
"""Data up to this size is multiplied in float32."""


def _ends(data: Data, groups: int, taps: int, terms: int) -> Floats:
    """[group or 1, term, column]: lower end, upper end, size; with infinite ends also where these are."""
    import numpy as np

    shape = (1, terms) if isinstance(data.lo, float) else (groups, terms)
    lo, hi = (
        np.full(shape, end) if isinstance(end, float) else np.repeat(end, taps, axis=1) for end in (data.lo, data.hi)
    )
    no_lo, no_hi = np.isinf(lo), np.isinf(hi)
    lo, hi = np.where(no_lo, 0.0, lo), np.where(no_hi, 0.0, hi)
    columns = [lo, hi, np.maximum(np.abs(lo), np.abs(hi))]
    if no_lo.any() or no_hi.any():
        columns += [no_lo, no_hi]
    return np.stack(columns, axis=-1)


def _blocks(groups: int, outputs: int, terms: int) -> Iterator[tuple[slice, slice]]:
    """Parts of the weight, by groups or by outputs."""
    each = max(1, _BLOCK // max(1, terms * (1 if groups == 1 else outputs)))
    if groups == 1:
        yield from ((slice(0, 1), slice(first, first + each)) for first in range(0, outputs, each))
    else:
        yield from ((slice(first, first + each), slice(None)) for first in range(0, groups, each))


def products(step: Step, a: Range, b: Range, count: Dim) -> Range:
    """A sum of `count` products of which only the factors' ranges are known."""
    product = algebra.multiply(a, b)
    if isinstance(count, int) and product.bounded:
        found = step.summed(algebra.times(product, count), count)
        slack = 2.0**-22 * count * product.magnitude
        lo, hi = (found.lo - slack if found.lo else 0.0), (found.hi + slack if found.hi else 0.0)
        return found._replace(lo=lo, hi=hi, loose=True)
    if product.lo >= 0:
        return Range(0.0, INF, nan=True, assumed=product.assumed, loose=True)
    return Range(-INF, 0.0, nan=True, assumed=product.assumed, loose=True) if product.hi <= 0 else TOP
