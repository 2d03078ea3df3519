"""One bounded pass over the bytes of a weight. Imported only when a weight is read: it needs numpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from netlint.graph import Tensor

from ._weights_moments import TINIEST, Sampler, moments
from ._weights_stats import Moments, WeightStats
from .weights import MOST_ROWS

Array = np.ndarray[Any, Any]

# Small enough to stay in a core's second-level cache between reading and the two reductions.
CHUNK = 1 << 19
_MOST_GATHERED = 16 << 20
# A tensor of so many bytes is read in one part; among so few elements Python finds extremes sooner than numpy.
_SMALL, _FEW = 1 << 16, 24
_MOST_COMPARED = 512
# Rows are looked at in passing where that is cheap: not too many, not too short.
_SHORTEST_ROW, HEAD = 64, 4
_ODD = np.uint64(0x9E3779B97F4A7C15)
# Bits of the infinity of a 16-bit float; larger magnitudes are NaN.
_INFINITY = {"float16": 0x7C00, "bfloat16": 0x7F80}


def scan(tensor: Tensor) -> WeightStats:
    """Extremes and non-finite elements of a float tensor. Raises `TensorUnreadable`."""
    if tensor.nbytes <= _SMALL:
        return _scan_small(tensor)
    extremes = _extremes16 if tensor.dtype in _INFINITY else _extremes
    lo, hi = np.inf, -np.inf
    nan = inf = 0
    heads, sampler = _Heads.of(tensor.shape), Sampler(prod(tensor.shape))
    columns = None
    for chunk in tensor.chunks(CHUNK):
        sampler.add(chunk)
        if columns is None:
            columns = _column_heads_differ(chunk, tensor.shape[-1])
        if heads is not None:
            heads.add(chunk)
        low, high = extremes(chunk, tensor.dtype)
        if not (-np.inf < low and high < np.inf):
            values = _floats(chunk, tensor.dtype)
            nan += int(np.isnan(values).sum())
            inf += int(np.isinf(values).sum())
            low, high = _without_nan(values)
        lo, hi = min(lo, low), max(hi, high)
    found = moments(_floats(sampler.picked(), tensor.dtype))
    return WeightStats(float(lo), float(hi), nan, inf, heads is not None and heads.differ(), columns is True, found)


def moments_of(tensor: Tensor) -> Moments | None:
    """The moments of a float tensor, in a pass of its own: for small ones. Raises `TensorUnreadable`."""
    if tensor.nbytes <= _SMALL // 16:
        chunk = next(iter(tensor.chunks(_SMALL)), None)
        return None if chunk is None else moments(_floats(chunk, tensor.dtype))
    sampler = Sampler(prod(tensor.shape))
    for chunk in tensor.chunks(CHUNK):
        sampler.add(chunk)
    return moments(_floats(sampler.picked(), tensor.dtype))


def rms_of(tensor: Tensor) -> float:
    """The root of the mean square of a float tensor that is read in one part. Raises `TensorUnreadable`."""
    values = _floats(next(iter(tensor.chunks(_SMALL))), tensor.dtype).astype(np.float64)
    return sqrt(float(values @ values) / values.size)


def _scan_small(tensor: Tensor) -> WeightStats:
    """The same for a tensor of one part. Models have them by the ten thousand, so each step counts."""
    chunk = next(iter(tensor.chunks(_SMALL)), None)
    if chunk is None:
        return WeightStats(np.inf, -np.inf, 0, 0)
    distinct = False
    if tensor.dtype in _INFINITY:
        lo, hi = _extremes16(chunk, tensor.dtype)
    elif chunk.size <= _FEW:
        items = chunk.tolist()
        total = sum(items)  # NaN or infinite if an element is
        lo, hi = (min(items), max(items)) if total - total == 0 else (np.nan, np.nan)
        distinct = len(set(items)) == len(items)
    else:
        lo, hi = _extremes(chunk, tensor.dtype)
    if not (-np.inf < lo and hi < np.inf):
        values = _floats(chunk, tensor.dtype)
        low, high = _without_nan(values)
        return WeightStats(float(low), float(high), int(np.isnan(values).sum()), int(np.isinf(values).sum()))
    shape = tensor.shape
    if len(shape) < 2 or lo == hi:
        return WeightStats(lo, hi, 0, 0)
    if distinct:  # all elements, so all slices, too
        return WeightStats(lo, hi, 0, 0, True, True)
    return WeightStats(lo, hi, 0, 0, _rows_differ(chunk, shape[0]), _columns_differ(chunk, shape[-1]))


def _rows_differ(chunk: Array, count: int) -> bool:
    """Whether no two slices along the first axis begin alike."""
    if not 1 < count <= _MOST_COMPARED:
        return False
    raw = chunk.tobytes()
    row = len(raw) // count
    head = min(row, 16)
    return len({raw[start : start + head] for start in range(0, len(raw), row)}) == count


def _columns_differ(chunk: Array, count: int) -> bool:
    """Whether no two slices along the last axis begin alike."""
    return 1 < count <= _MOST_COMPARED and len(set(chunk[:count].tolist())) == count


class _Heads:
    """The first elements of each row, picked up in passing: a second pass to compare rows is hardly ever needed."""

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> _Heads | None:
        """None where the tensor has no rows worth it."""
        if len(shape) < 2 or not 1 < shape[0] <= MOST_ROWS:
            return None
        row = prod(shape[1:])
        return cls(row) if row >= _SHORTEST_ROW else None

    def __init__(self, row: int) -> None:
        self._row = row
        self._parts: tuple[list[Array], ...] = tuple([] for _ in range(HEAD))
        self._done = 0

    def add(self, chunk: Array) -> None:
        bits = chunk.view(f"<u{chunk.itemsize}")
        for place, part in enumerate(self._parts):
            part.append(bits[(place - self._done) % self._row :: self._row].astype(np.uint64))
        self._done += chunk.size

    def differ(self) -> bool:
        """Whether no two rows begin alike."""
        return bool(all_differ([np.concatenate(part) for part in self._parts]))


def _column_heads_differ(chunk: Array, count: int) -> bool:
    """Whether no two slices along the last axis begin alike, as far as the first part of a tensor shows."""
    if not 1 < count <= min(MOST_ROWS, chunk.size // HEAD):
        return False
    bits = chunk[: HEAD * count].view(f"<u{chunk.itemsize}").astype(np.uint64)
    return bool(all_differ(list(bits.reshape(HEAD, count))))


def all_differ(parts: list[Array]) -> Array:
    """Whether no two places along the last axis hold the same bits in all parts; for each place along the others.

    A hash may hide a difference, but makes up none.
    """
    mixed = np.zeros(1, dtype=np.uint64)
    for part in parts:
        mixed = (mixed ^ part) * _ODD
        mixed ^= mixed >> np.uint64(32)
    return np.asarray(np.diff(np.sort(mixed)).all(axis=-1))


def _extremes(chunk: Array, dtype: str) -> tuple[float, float]:
    """Least and greatest element; NaN if there is one."""
    return float(np.minimum.reduce(chunk)), float(np.maximum.reduce(chunk))


def _extremes16(chunk: Array, dtype: str) -> tuple[float, float]:
    """The same from the bits: numpy's reductions of 16-bit floats are 20 times slower than of integers.

    Read unsigned, the bits of negative floats exceed those of all others and grow with the magnitude; read
    signed, those of positive floats do.
    """
    unsigned, signed = chunk.view(np.uint16), chunk.view(np.int16)
    lo, hi = int(np.maximum.reduce(unsigned)), int(np.maximum.reduce(signed))
    if lo < 0x8000:
        lo = int(np.minimum.reduce(unsigned))
    if hi < 0:
        hi = int(np.minimum.reduce(signed))
    low, high = _floats(np.array([lo, hi & 0xFFFF], dtype=np.uint16), dtype)
    # A NaN of one sign hides behind neither end: it has the largest magnitude of its sign.
    return float(low), float(high)


def _without_nan(values: Array) -> tuple[float, float]:
    kept = values[~np.isnan(values)]
    return (float(kept.min()), float(kept.max())) if kept.size else (np.inf, -np.inf)


def _floats(chunk: Array, dtype: str) -> Array:
    """Elements as numbers that numpy calculates with."""
    if dtype == "bfloat16":
        return (chunk.astype("<u4") << 16).view("<f4")
    return chunk.view("<f2").astype("<f4") if dtype == "float16" else chunk


def slices(tensor: Tensor, outer: int, units: int, inner: int, indices: Sequence[int]) -> list[bytes] | None:
    """The bytes that belong to each of some units of a tensor seen as [outer, units, inner]; None if too many.

    Raises `TensorUnreadable`.
    """
    size = tensor.nbytes // max(outer * units * inner, 1)
    if outer * inner * size * len(indices) > _MOST_GATHERED:
        return None
    parts: list[list[bytes]] = [[] for _ in indices]
    for first, block in _blocks(tensor, outer, units, inner, size):
        for place, unit in enumerate(indices):
            if first <= unit < first + block.shape[1]:
                parts[place].append(block[:, unit - first].tobytes())
    return [b"".join(part) for part in parts]


def digests(tensor: Tensor, outer: int, units: int, inner: int) -> list[int]:
    """A hash of the bytes that belong to each unit of a tensor seen as [outer, units, inner]."""
    size = tensor.nbytes // max(outer * units * inner, 1)
    found = [0] * units
    for first, block in _blocks(tensor, outer, units, inner, size):
        rows = np.ascontiguousarray(block.swapaxes(0, 1)).reshape(block.shape[1], -1)
        raw, width = rows.tobytes(), rows.shape[1] * rows.itemsize
        for row in range(len(rows)):
            found[first + row] = hash((found[first + row], raw[row * width : (row + 1) * width]))
    return found


def dead(tensor: Tensor, outer: int, units: int, inner: int) -> int:
    """How many units of a tensor seen as [outer, units, inner] hold nothing but zeros and denormals."""
    size = tensor.nbytes // max(outer * units * inner, 1)
    alive = np.zeros(units, dtype=bool)
    for first, block in _blocks(tensor, outer, units, inner, size):
        large = np.abs(_floats(block, tensor.dtype)) >= TINIEST
        alive[first : first + block.shape[1]] |= large.any(axis=(0, 2))
    return int(units - alive.sum())


def centred(tensor: Tensor, outer: int, units: int, inner: int) -> bool:
    """Whether every unit of a tensor seen as [outer, units, inner] has a mean of 0, as far as its type tells.

    The mean of drawn numbers is off by 1/√n of their size; that it is off by less than a hundredth of that in each of
    several units is no chance.
    """
    size = tensor.nbytes // max(outer * units * inner, 1)
    sums, squares = np.zeros(units), np.zeros(units)
    for first, block in _blocks(tensor, outer, units, inner, size):
        values = _floats(block, tensor.dtype)
        sums[first : first + block.shape[1]] += values.sum(axis=(0, 2), dtype=np.float64)
        squares[first : first + block.shape[1]] += np.square(values, dtype=np.float64).sum(axis=(0, 2))
    return units > 1 and bool(np.all(np.abs(sums) < 0.01 * np.sqrt(squares)))


def _blocks(tensor: Tensor, outer: int, units: int, inner: int, size: int) -> Iterator[tuple[int, Array]]:
    """Parts of shape [some outer, some units, inner], with the first unit of each part."""
    if outer == 1:
        step = max(CHUNK // (inner * size), 1)
        for number, chunk in enumerate(tensor.chunks(step * inner * size)):
            yield number * step, chunk.reshape(1, -1, inner)
        return
    period = units * inner * size
    for chunk in tensor.chunks(max(CHUNK // period, 1) * period):
        yield 0, chunk.reshape(-1, units, inner)


def sample(tensor: Tensor, outer: int, units: int, inner: int) -> list[bytes]:
    """A few bytes of each unit, from the front of the tensor where that shows all units, else of its rows."""
    size = tensor.nbytes // max(outer * units * inner, 1)
    if outer > 1:
        period = units * inner * size
        step = max(1, min(CHUNK // period, 8)) * period
        chunk = next(iter(tensor.chunks(step))).reshape(-1, units, inner)
        head = np.ascontiguousarray(chunk[:, :, :4].swapaxes(0, 1))
        return [row.tobytes() for row in head]
    found: list[bytes] = []
    for _, block in _blocks(tensor, outer, units, inner, size):
        found.extend(row.tobytes() for row in block[0, :, :8])
    return found


def magnitudes(raw: bytes, dtype: str) -> int:
    """How many different magnitudes other than zero some stored floats have."""
    stored = {"float32": "<f4", "float64": "<f8"}.get(dtype, "<u2")
    values = np.abs(_floats(np.frombuffer(raw, stored), dtype))
    return int(np.count_nonzero(np.unique(values)))
