"""Transfer functions of Fourier transforms, windows, rotations, and of what is laid out in blocks or grids."""

from __future__ import annotations

import math

from . import algebra
from .interval import INF, TOP, Range
from .rounding import widen
from .step import Step, Transfer
from .weighted import products

_ROOT = math.sqrt(2)


def window(step: Step) -> Range:
    """Hann, Hamming, Blackman: in [0, 1] up to the cancellation of their cosines."""
    return widen(Range(-4 * step.eps, 1.0 + 4 * step.eps), step.eps)


def mel_weights(step: Step) -> Range:
    return Range(0.0, 1.0)


def _ball(step: Step, radius: float, *sources: Range) -> Range:
    """Numbers of at most that magnitude, up to rounding."""
    if not radius < INF:
        return TOP
    radius *= 1 + 256 * step.eps
    return algebra.make((-radius, False), (radius, False), *sources).having(loose=True)


def fourier(step: Step) -> Range:
    """A sum of n numbers turned in the complex plane, divided by n in the inverse."""
    data, shape = step.arg(0), step.shape(0)
    if step.number("inverse", 0) and data.bounded:
        return _ball(step, data.magnitude * _ROOT, data)
    length: object = step.state.constants.scalar(step.node.inputs[1]) if step.has(1) else None
    if length is None and shape and not step.has(1):
        axis = step.state.constants.scalar(step.node.inputs[2]) if step.has(2) else step.number("axis", -2)
        place = None if axis is None else int(axis)
        length = shape[place] if place is not None and -len(shape) <= place < len(shape) else None
    if not isinstance(length, int | float) or not data.bounded:
        return TOP
    return _ball(step, data.magnitude * _ROOT * length, data)


def short_fourier(step: Step) -> Range:
    """Frames of the signal times a window, transformed."""
    data, window_range = step.arg(0), step.arg(2) if step.has(2) else Range(1.0, 1.0)
    shape = step.shape(2)
    length: object = shape[0] if shape else None
    if step.has(3):
        length = step.state.constants.scalar(step.node.inputs[3])
    if not isinstance(length, int | float) or not (data.bounded and window_range.bounded):
        return TOP
    return _ball(step, data.magnitude * window_range.magnitude * length * _ROOT, data, window_range)


def rotary(step: Step) -> Range:
    """Pairs turned by an angle, and what is left as it is."""
    data, cosine, sine = step.arg(0), step.arg(1), step.arg(2)
    turned = algebra.multiply(data, sine)
    found = algebra.add(algebra.multiply(data, cosine), turned.join(algebra.negate(turned)))
    return widen(found, 8 * step.eps, 8 * step.eps * data.magnitude if data.bounded else 0.0).join(data)


def affine_grid(step: Step) -> Range:
    """Up to three coordinates in [-1, 1] and a 1, weighted by theta."""
    return _ball(step, 4 * step.arg(0).magnitude, step.arg(0))


def columns_to_image(step: Step) -> Range:
    """Blocks laid over each other: up to as many terms as a block has places."""
    data, block = step.arg(0), step.state.shapes.ints(step.node.input(2))
    sizes = [size for size in block or () if isinstance(size, int)]
    if not data.bounded or not block or len(sizes) != len(block):
        return Range(0.0, INF, nan=True, assumed=data.assumed) if data.lo >= 0 else TOP
    count = math.prod(sizes)
    return step.summed(algebra.times(algebra.with_zero(data), count), count).having(loose=True)


def deformed_convolution(step: Step) -> Range:
    """Interpolated data, times a mask, times weights."""
    data = algebra.with_zero(step.arg(0))
    data = algebra.multiply(data, step.arg(4)) if step.has(4) else data
    shape = step.shape(1) or ()
    sizes = [size for size in shape[1:] if isinstance(size, int)]
    count = math.prod(sizes) if shape and len(sizes) == len(shape) - 1 else None
    found = products(step, widen(data, 32 * step.eps), step.arg(1), count) if data.known else TOP
    return algebra.add(found, step.arg(3)) if step.has(3) else found


SIGNAL: dict[str, Transfer] = {
    **dict.fromkeys(("HannWindow", "HammingWindow", "BlackmanWindow"), window),
    "MelWeightMatrix": mel_weights,
    "DFT": fourier,
    "STFT": short_fourier,
    "RotaryEmbedding": rotary,
    "AffineGrid": affine_grid,
    "Col2Im": columns_to_image,
    "DeformConv": deformed_convolution,
}
"""Sums over frames, pairs and blocks."""
