"""The batch through a Gather that picks every sample with indices that are constant.

Exporters write masks as a gather with a grid of all index tuples; which axis of the grid counts the samples is read
off the indices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._axes_track import UNKNOWN, Product, State, Track

Array = np.ndarray[Any, Any]


def gathered(data: Track, shape: tuple[int, ...], indices: Array, axis: int) -> State:
    """Gather along an axis that holds the batch, alone or with an inner part; `shape` is that of the data."""
    samples = _sample(indices, data, shape)
    if axis != data.axis or samples is None:
        return UNKNOWN
    return _counting(samples, data, axis)


def gathered_nd(data: Track, shape: tuple[int, ...], indices: Array) -> State:
    """GatherND without batch dimensions; the last axis of `indices` holds index tuples."""
    if indices.ndim == 0 or data.axis >= indices.shape[-1]:
        return UNKNOWN
    samples = _sample(indices[..., data.axis], data, shape)
    return UNKNOWN if samples is None else _counting(samples, data, 0)


def _sample(indices: Array, data: Track, shape: tuple[int, ...]) -> Array | None:
    """Which sample each index lies in."""
    inner, outer = data.inner, data.outer
    if inner.names or outer != Product() or not isinstance(data.length, int) or data.length < 2:
        return None
    picked = np.where(indices < 0, indices + shape[data.axis], indices)
    return np.asarray(picked // inner.number)


def _counting(samples: Array, data: Track, offset: int) -> State:
    """The one axis along which the samples count up from 0, if they do not depend on the others."""
    for axis, length in enumerate(samples.shape):
        along = [1] * samples.ndim
        along[axis] = length
        if length == data.length and bool((samples == np.arange(length).reshape(along)).all()):
            return Track(axis + offset, data.length)
    return UNKNOWN
