"""Moments of a weight from a bounded sample of its elements. Imported only when a weight is read: it needs numpy."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from ._weights_stats import Moments

Array = np.ndarray[Any, Any]

MOST = 1 << 13
"""Elements that are looked at: the standard error of the standard deviation is then 0.8 %, of the kurtosis 0.05."""
_BLOCKS = 16
_FEW = 128
_FEWEST_IN_BLOCK = 16
TINIEST = 1.2e-38
"""The smallest normal float32."""


class Sampler:
    """Picks elements in passing, evenly over the whole tensor."""

    def __init__(self, count: int) -> None:
        # Odd, so that the picked elements wander over rows of the usual even lengths.
        self._step = max(-(-count // MOST), 1) | 1
        self._next = 0
        self._parts: list[Array] = []

    def add(self, chunk: Array) -> None:
        if self._next < chunk.size:
            self._parts.append(chunk[self._next :: self._step].copy())
        picked = max(-(-(chunk.size - self._next) // self._step), 0)
        self._next += picked * self._step - chunk.size

    def picked(self) -> Array:
        return np.concatenate(self._parts) if self._parts else np.empty(0, dtype=np.float32)


def moments(values: Array) -> Moments | None:
    """The moments of some elements, taken in storage order; None if there are none, or they are not finite."""
    if values.size <= _FEW:
        return _of_few(values.tolist()) if values.size else None
    with np.errstate(all="ignore"):
        values = values.astype(np.float64)
        mean = float(values.mean())
        centred = values - mean
        centred *= centred
        variance = float(centred.mean())
        fourth = float(centred @ centred) / values.size
    if not isfinite(fourth + mean * mean):
        return None
    kurtosis = fourth / (variance * variance) if variance * variance > 0 else 0.0
    tiny = float((np.abs(values) < TINIEST).mean())
    return Moments(values.size, mean, variance + mean * mean, kurtosis, _unevenness(centred, variance, kurtosis), tiny)


def _of_few(items: list[float]) -> Moments | None:
    """The same for so few elements that Python is quicker: models have layers by the ten thousand."""
    count = len(items)
    mean = sum(items) / count
    centred = [(item - mean) * (item - mean) for item in items]
    variance, fourth = sum(centred) / count, sum([item * item for item in centred]) / count
    if not isfinite(fourth + mean * mean):
        return None
    kurtosis = fourth / (variance * variance) if variance * variance > 0 else 0.0
    tiny = sum([-TINIEST < item < TINIEST for item in items]) / count
    return Moments(count, mean, variance + mean * mean, kurtosis, 1.0, tiny)


def _unevenness(centred: Array, variance: float, kurtosis: float) -> float:
    """How much the variance differs between consecutive parts, over what chance explains: near 1 if all are alike."""
    size = centred.size // _BLOCKS
    expected = variance * variance * max(kurtosis - 1, 0.1) / max(size, 1)
    if size < _FEWEST_IN_BLOCK or expected <= 0:
        return 1.0
    parts = centred[: size * _BLOCKS].reshape(_BLOCKS, size).mean(1)
    return float(parts.var(ddof=1) / expected)
