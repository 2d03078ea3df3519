"""Statistics of the small weights of a model in one go: some models have a hundred thousand of them.

Imported only when weights are read: it needs numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import isfinite
from typing import Any

import numpy as np

from netlint.graph import TensorUnreadable, Value

from ._weights_scan import HEAD, all_differ
from ._weights_stats import WeightStats

Array = np.ndarray[Any, Any]

_LARGEST = 1 << 10
"""Bytes of a tensor that still counts as small."""
_TOGETHER = 1 << 12
"""Tensors that are held at a time."""


def scan_together(values: Iterable[Value]) -> dict[Value, WeightStats]:
    """The statistics of those constants that are small, of type float32, readable, and finite in all elements."""
    by_shape: dict[tuple[int, ...], list[Value]] = {}
    for value in values:
        tensor = value.constant
        if tensor is not None and tensor.dtype == "float32" and 0 < tensor.nbytes <= _LARGEST:
            by_shape.setdefault(tensor.shape, []).append(value)
    found: dict[Value, WeightStats] = {}
    for shape, group in by_shape.items():
        waiting = iter(group)
        while some := list(islice(_read(waiting), _TOGETHER)):
            found.update(_finite(some, shape))
    return found


def _read(values: Iterator[Value]) -> Iterator[tuple[Value, Array]]:
    for value in values:
        try:
            chunk = next(iter(value.constant.chunks(_LARGEST)), None)  # type: ignore[union-attr]
        except TensorUnreadable:
            continue
        if chunk is not None:
            yield value, chunk


def _finite(some: Sequence[tuple[Value, Array]], shape: tuple[int, ...]) -> Iterator[tuple[Value, WeightStats]]:
    """The statistics of tensors of one shape."""
    stack = np.concatenate([chunk for _, chunk in some]).reshape(len(some), -1)
    rows, columns = _differ(stack, shape)
    ends = zip(stack.min(axis=1).tolist(), stack.max(axis=1).tolist(), rows.tolist(), columns.tolist(), strict=True)
    for (value, _), (lo, hi, row, column) in zip(some, ends, strict=True):
        if isfinite(lo) and isfinite(hi):
            yield value, WeightStats(lo, hi, 0, 0, row, column)


def _differ(stack: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """For each tensor whether no two slices along its first axis, and no two along its last, begin alike."""
    no = np.zeros(len(stack), dtype=bool)
    if len(shape) < 2:
        return no, no
    bits = stack.view(np.uint32).astype(np.uint64)
    by_row, by_column = bits.reshape(len(stack), shape[0], -1), bits.reshape(len(stack), -1, shape[-1])
    rows = all_differ([by_row[:, :, place] for place in range(min(by_row.shape[2], HEAD))])
    columns = all_differ([by_column[:, place] for place in range(min(by_column.shape[1], HEAD))])
    return rows if shape[0] > 1 else no, columns if shape[-1] > 1 else no
