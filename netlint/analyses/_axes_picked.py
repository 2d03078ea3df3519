"""The batch through a Gather that picks every sample, with indices that are constant or made by a Range.

Exporters write masks as a gather with a grid of all index tuples; which axis of the grid counts the samples is read
off the indices, or off how they are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from netlint.graph import Dim, Value

from ._axes_track import UNKNOWN, Product, State, Track

if TYPE_CHECKING:
    from ._axes_layout import Facts

Array = np.ndarray[Any, Any]
_STEPS = 6


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


def own_samples(indices: Value | None, data: Track, picked: Track, facts: Facts) -> bool:
    """Whether index tuples take each sample for itself: exporters join a count of the samples with other indices."""
    joined, rank = facts.producer(indices), facts.of(indices)
    if joined is None or joined.op != "Concat" or rank is None or not (data.alone and picked.alone):
        return False
    if joined.attrs.get("axis", 0) not in (-1, len(rank) - 1) or data.axis >= len(joined.inputs):
        return False
    shapes = [facts.of(value) for value in joined.inputs[: data.axis + 1]]
    single = all(shape is not None and shape[-1:] == (1,) for shape in shapes)
    return single and _counts(joined.input(data.axis), picked.length, facts)


def _counts(value: Value | None, length: Dim, facts: Facts) -> bool:
    """Whether a value is 0, 1, 2 … along the one axis that has the length of the batch."""
    for _ in range(_STEPS):
        node = facts.producer(value)
        if node is None:
            return False
        if node.op == "Range":
            first, step = facts.ints(node.input(0)), facts.ints(node.input(2))
            return length is not None and facts.of(value) == (length,) and first == (0,) and step == (1,)
        if node.op not in ("Unsqueeze", "Expand", "Identity", "Cast"):
            return False
        value = node.input(0)
    return False
