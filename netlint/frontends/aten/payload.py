"""Weights in a `.pt2` archive: raw bytes of uncompressed entries, read in place; pickles are never opened."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, ZipInfo

from netlint.frontends.onnx.storage import FileStorage, MissingTensor, StoredTensor
from netlint.graph import Tensor, TensorUnreadable

from .literals import itemsize, pieces

if TYPE_CHECKING:
    import numpy as np

SCALAR_TYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    9: "complex32",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    29: "float8e4m3fn",
    30: "float8e5m2",
    31: "float8e4m3fnuz",
    32: "float8e5m2fnuz",
    33: "float8e8m0",
    34: "uint32",
    35: "uint64",
}
"""How exporters number element types."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_MAX_RANK = 64


@dataclass(slots=True, eq=False)
class StridedTensor:
    """A tensor whose elements do not lie one after the other."""

    dtype: str
    shape: tuple[int, ...]
    whole: StoredTensor
    """All elements of the memory that it lies in, without axes."""
    strides: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * itemsize(self.dtype)

    @property
    def storage(self) -> object:
        return (self.whole.storage, self.offset, self.shape, self.strides)

    def load(self) -> np.ndarray[Any, Any]:
        """See `netlint.graph.Tensor.load`."""
        return self._strided(self.whole.load())

    def chunks(self, nbytes: int) -> Iterator[np.ndarray[Any, Any]]:
        """See `netlint.graph.Tensor.chunks`; in the order of the axes."""
        import numpy as np

        flat = np.concatenate([part.copy() for part in self.whole.chunks(nbytes)])
        yield from pieces(self._strided(flat).reshape(-1), nbytes)

    def _strided(self, flat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        import numpy as np

        steps = tuple(step * flat.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, steps, writeable=False)


class Payload:
    """The stored tensors of one model in an archive."""

    def __init__(self, path: Path, entries: Mapping[str, ZipInfo], little: bool) -> None:
        self._path = path
        self._entries = entries
        self._little = little

    def tensor(self, folder: str, stored: Any, meta: Any) -> Tensor:
        """The tensor that a configuration entry describes; one that cannot be read says why."""
        dtype, shape = dtype_of(meta), static_shape(meta)
        if not isinstance(stored, dict):
            return MissingTensor(dtype, shape, "its value is not in the file")
        if stored.get("use_pickle"):
            return MissingTensor(dtype, shape, "it is stored as a pickle, which is not opened")
        entry = self._entries.get(f"{folder}{stored.get('path_name')}")
        if entry is None:
            return MissingTensor(dtype, shape, "the entry with its value is missing from the file")
        if entry.compress_type != ZIP_STORED or entry.flag_bits & 1:
            return MissingTensor(dtype, shape, "it is stored compressed, which is not read")
        if not self._little:
            return MissingTensor(dtype, shape, "it is stored on a big-endian machine, which is not read")
        return self._located(entry, dtype, shape, meta)

    def _located(self, entry: ZipInfo, dtype: str, shape: tuple[int, ...], meta: Any) -> Tensor:
        size = itemsize(dtype)
        strides = tuple(whole_number(step) for step in meta["strides"])
        first = whole_number(meta["storage_offset"])
        last = first + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        count = prod(shape)
        if min((*strides, first), default=0) < 0 or (count and (last + 1) * size > entry.file_size):
            message = f"it has {count} elements of {size} bytes at {first}, but {entry.file_size} bytes are stored"
            return MissingTensor(dtype, shape, message)
        try:
            start = self._start(entry)
        except (OSError, TensorUnreadable) as error:
            return MissingTensor(dtype, shape, str(error))
        bytes_in = FileStorage(self._path)
        if _packed(shape, strides) or not count:
            return StoredTensor(dtype, shape, bytes_in, start + first * size, count * size)
        whole = StoredTensor(dtype, (entry.file_size // size,), bytes_in, start, entry.file_size // size * size)
        return StridedTensor(dtype, shape, whole, strides, first)

    def _start(self, entry: ZipInfo) -> int:
        """Where the bytes of an entry begin: behind a header of its own, whose length only it tells."""
        with self._path.open("rb") as file:
            file.seek(entry.header_offset)
            header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size:
            raise TensorUnreadable("the file ends before its value")
        magic, name, extra = _LOCAL_HEADER.unpack(header)
        if magic != b"PK\x03\x04":
            raise TensorUnreadable("its place in the file holds something else")
        return entry.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


def dtype_of(meta: Any) -> str:
    """The element type in a stored description of a tensor."""
    return SCALAR_TYPES[meta["dtype"]]


def whole_number(stored: Any) -> int:
    """A stored length that is a number."""
    found = stored["as_int"]
    if type(found) is not int:
        raise ValueError("a length is no number")
    return found


def static_shape(meta: Any) -> tuple[int, ...]:
    """The shape of a stored tensor."""
    shape = tuple(whole_number(size) for size in meta["sizes"])
    if len(shape) > _MAX_RANK or min(shape, default=0) < 0 or prod(shape) > 1 << 48:
        raise ValueError("the shape of a stored tensor is impossible")
    return shape


def _packed(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements lie one after the other; the step along an axis of length 1 does not matter."""
    expected = 1
    for length, step in zip(reversed(shape), reversed(strides), strict=True):
        if length != 1 and step != expected:
            return False
        expected *= length
    return True
