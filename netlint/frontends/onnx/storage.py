"""Bytes that lie in a file or in memory, and the tensors cut out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netlint.graph import TensorUnreadable

if TYPE_CHECKING:
    import numpy as np

CHUNK = 1 << 20
"""Bytes read at a time when a whole tensor is scanned."""

# ONNX element type -> (name, bits of one element, numpy type of the stored bits).
ELEMENT_TYPES = {
    1: ("float32", 32, "<f4"),
    2: ("uint8", 8, "u1"),
    3: ("int8", 8, "i1"),
    4: ("uint16", 16, "<u2"),
    5: ("int16", 16, "<i2"),
    6: ("int32", 32, "<i4"),
    7: ("int64", 64, "<i8"),
    8: ("string", 0, ""),
    9: ("bool", 8, "?"),
    10: ("float16", 16, "<f2"),
    11: ("float64", 64, "<f8"),
    12: ("uint32", 32, "<u4"),
    13: ("uint64", 64, "<u8"),
    14: ("complex64", 64, "<c8"),
    15: ("complex128", 128, "<c16"),
    16: ("bfloat16", 16, "<u2"),
    17: ("float8e4m3fn", 8, "u1"),
    18: ("float8e4m3fnuz", 8, "u1"),
    19: ("float8e5m2", 8, "u1"),
    20: ("float8e5m2fnuz", 8, "u1"),
    21: ("uint4", 4, "u1"),
    22: ("int4", 4, "u1"),
    23: ("float4e2m1", 4, "u1"),
    24: ("float8e8m0", 8, "u1"),
    25: ("uint2", 2, "u1"),
    26: ("int2", 2, "u1"),
    27: ("float6e2m3", 6, "u1"),
    28: ("float6e3m2", 6, "u1"),
}
_BY_NAME = {name: (bits, stored) for name, bits, stored in ELEMENT_TYPES.values()}

# Types that numpy lacks and ml_dtypes has, by the name it gives them.
_ML_DTYPES = {
    "bfloat16": "bfloat16",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
    "float8e8m0": "float8_e8m0fnu",
}


def element_count(shape: tuple[int, ...]) -> int:
    return prod(shape)


def stored_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """How many bytes a tensor takes in `raw_data` or in an external file (sub-byte types are packed)."""
    bits, _ = _BY_NAME[dtype]
    return (element_count(shape) * bits + 7) // 8


ReadInto = Callable[[int, memoryview], int]
"""Reads from an offset into a buffer and returns how many bytes it got."""


class MemoryStorage:
    """Bytes at hand: a model from standard input, or one small enough to be parsed whole."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def identity(self) -> object:
        return id(self.data)

    @contextmanager
    def opened(self) -> Iterator[ReadInto]:
        yield self._read_into

    def _read_into(self, offset: int, buffer: memoryview) -> int:
        part = self.data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)


class FileStorage:
    """A file that is read piecewise: never mapped, so pages do not add up, and open only while it is read.

    A model may keep each of its thousands of tensors in a file of its own, more than a process may hold open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def identity(self) -> object:
        return str(self.path)

    @contextmanager
    def opened(self) -> Iterator[ReadInto]:
        with self.path.open("rb", buffering=0) as file:

            def read_into(offset: int, buffer: memoryview) -> int:
                file.seek(offset)
                return file.readinto(buffer) or 0

            yield read_into


Storage = MemoryStorage | FileStorage


# The tensor classes are not frozen: models have a hundred thousand tensors, and freezing triples the cost of each.
@dataclass(slots=True, eq=False)
class StoredTensor:
    """A tensor whose little-endian bytes lie at an offset of a storage."""

    dtype: str
    shape: tuple[int, ...]
    bytes_in: Storage
    offset: int
    nbytes: int

    @property
    def storage(self) -> object:
        return (self.bytes_in.identity, self.offset, self.nbytes)

    def load(self) -> np.ndarray[Any, Any]:
        """See `netlint.graph.Tensor.load`."""
        raw = bytearray(self.nbytes)
        for _ in self._parts(memoryview(raw), self.nbytes):
            pass
        return decode(raw, self.dtype, self.shape)

    def chunks(self, nbytes: int = CHUNK) -> Iterator[np.ndarray[Any, Any]]:
        """See `netlint.graph.Tensor.chunks`."""
        import numpy as np

        stored = _BY_NAME[self.dtype][1]
        if isinstance(self.bytes_in, MemoryStorage) and 0 < self.nbytes <= nbytes:
            data, end = self.bytes_in.data, self.offset + self.nbytes
            yield np.frombuffer(data if end == len(data) else memoryview(data)[:end], stored, offset=self.offset)
            return
        size = min(nbytes, self.nbytes)
        for part in self._parts(memoryview(bytearray(size)), size):
            yield np.frombuffer(part, stored)

    def _parts(self, buffer: memoryview, size: int) -> Iterator[memoryview]:
        """The bytes of the tensor, `size` at a time, all in the same buffer."""
        try:
            with self.bytes_in.opened() as read_into:
                for start in range(0, self.nbytes, max(size, 1)):
                    part = buffer[: min(size, self.nbytes - start)]
                    _fill(part, self.offset + start, read_into)
                    yield part
        except OSError as error:
            raise TensorUnreadable(f"cannot read the tensor: {error.strerror or error}") from None


@dataclass(slots=True, eq=False)
class ListedTensor:
    """A tensor stored as a list of numbers or strings (`float_data`, `int64_data`, an attribute's value)."""

    dtype: str
    shape: tuple[int, ...]
    items: Any
    """A sequence of Python numbers or bytes; for 16-bit and smaller floats, of their bits."""
    bits: bool = False

    @property
    def nbytes(self) -> int:
        return stored_bytes(self.dtype, self.shape)

    @property
    def storage(self) -> object:
        return id(self.items)

    def load(self) -> np.ndarray[Any, Any]:
        """See `netlint.graph.Tensor.load`."""
        import numpy as np

        if self.dtype == "string":
            return np.array(list(self.items), dtype=object).reshape(self.shape)
        flat = self._stored()
        return decode(flat.tobytes(), self.dtype, self.shape)

    def chunks(self, nbytes: int = CHUNK) -> Iterator[np.ndarray[Any, Any]]:
        """See `netlint.graph.Tensor.chunks`."""
        if self.dtype == "string":
            raise TensorUnreadable("strings have no bits of a fixed size")
        flat = self._stored()
        step = max(nbytes // max(flat.itemsize, 1), 1)
        for start in range(0, flat.size, step):
            yield flat[start : start + step]

    def _stored(self) -> np.ndarray[Any, Any]:
        import numpy as np

        bits, stored = _BY_NAME[self.dtype]
        if self.dtype.startswith("complex"):
            return np.asarray(list(self.items), dtype=f"<f{bits // 16}").view(stored)
        if not self.bits:
            return np.asarray(list(self.items)).astype(stored)
        width = {"u1": "u1", "i1": "u1", "?": "u1"}.get(stored, f"<u{max(bits // 8, 1)}")
        return np.asarray(list(self.items), dtype=np.int64).astype(width).view(stored)


@dataclass(slots=True, eq=False)
class MissingTensor:
    """A constant whose bytes cannot be had: reading it says why."""

    dtype: str
    shape: tuple[int, ...]
    why: str

    @property
    def nbytes(self) -> int:
        return 0

    @property
    def storage(self) -> object:
        return self

    def load(self) -> np.ndarray[Any, Any]:
        raise TensorUnreadable(self.why)

    def chunks(self, nbytes: int = CHUNK) -> Iterator[np.ndarray[Any, Any]]:
        raise TensorUnreadable(self.why)


def _fill(buffer: memoryview, offset: int, read_into: ReadInto) -> None:
    done = 0
    while done < len(buffer):
        got = read_into(offset + done, buffer[done:])
        if not got:
            raise TensorUnreadable("the file ends before the tensor does: fetch or export it again")
        done += got


def decode(raw: bytes | bytearray, dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Stored bytes as an array; floats that numpy lacks become float32, sub-byte integers int8 or uint8."""
    import numpy as np

    stored = np.frombuffer(raw, _BY_NAME[dtype][1])
    try:
        return _flat(stored, dtype, element_count(shape)).reshape(shape)
    except ValueError as error:  # more than 64 axes, or an empty shape with a huge axis
        raise TensorUnreadable(f"a tensor of {len(shape)} axes cannot be held: {error}") from None


def _flat(stored: np.ndarray[Any, Any], dtype: str, count: int) -> np.ndarray[Any, Any]:
    bits = _BY_NAME[dtype][0]
    if bits < 8:
        return _unpack(stored, bits, dtype, count)
    if dtype == "bfloat16":
        stored = stored.astype("<u4") << 16
        return stored.view("<f4")
    if dtype in _ML_DTYPES:
        import ml_dtypes

        stored = stored.view(getattr(ml_dtypes, _ML_DTYPES[dtype])).astype("<f4")
    return stored


def _unpack(packed: np.ndarray[Any, Any], bits: int, dtype: str, count: int) -> np.ndarray[Any, Any]:
    """Elements of 2 or 4 bits, the first in the lowest bits of a byte."""
    import numpy as np

    if bits not in (2, 4):
        raise TensorUnreadable(f"elements of type {dtype} are not decoded")
    parts = [(packed >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    codes = np.stack(parts, axis=-1).reshape(-1)[:count].astype(np.uint8)
    if dtype.startswith("uint"):
        return codes
    if dtype.startswith("int"):
        sign = 1 << (bits - 1)
        return (codes.astype(np.int8) ^ sign) - np.int8(sign)
    magnitudes = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=np.float32)
    signs = np.array([1, -1], dtype=np.float32)
    floats: np.ndarray[Any, Any] = signs[codes >> 3] * magnitudes[codes & 7]
    return floats
