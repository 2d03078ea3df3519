"""Small constants that a program writes out: numbers, sizes, axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from netlint.graph import Tensor, TensorUnreadable

if TYPE_CHECKING:
    import numpy as np

_BYTES = {
    **dict.fromkeys(("bool", "uint8", "int8"), 1),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 8),
}


def itemsize(dtype: str) -> int:
    """Bytes of one element; 1 for the types of eight bits or fewer."""
    return _BYTES.get(dtype, 16 if dtype == "complex128" else 1)


@dataclass(slots=True, eq=False)
class Literal:
    """Elements listed one by one, or, where `items` is a single number, that number throughout."""

    dtype: str
    shape: tuple[int, ...]
    items: Sequence[float] | float

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * itemsize(self.dtype)

    @property
    def storage(self) -> object:
        return id(self)

    def load(self) -> np.ndarray[Any, Any]:
        """See `netlint.graph.Tensor.load`."""
        import numpy as np

        stored = "float32" if self.dtype.startswith(("bfloat16", "float8")) else self.dtype
        if isinstance(self.items, Sequence):
            return np.array(self.items, dtype=stored).reshape(self.shape)
        return np.full(self.shape, self.items, dtype=stored)

    def chunks(self, nbytes: int) -> Iterator[np.ndarray[Any, Any]]:
        """See `netlint.graph.Tensor.chunks`."""
        yield from pieces(bits(self.load().reshape(-1), self.dtype), nbytes)


@dataclass(slots=True, eq=False)
class Rearranged:
    """Parts of a matrix or vector of weights in another order: rows in blocks of equal height.

    `parts` names, for each of the tensors, the blocks in their new order; `gates` says how many blocks it has.
    """

    tensors: tuple[Tensor, ...]
    gates: int
    parts: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> str:
        return self.tensors[0].dtype

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * itemsize(self.dtype)

    @property
    def storage(self) -> object:
        return (self.parts, *(tensor.storage for tensor in self.tensors))

    def load(self) -> np.ndarray[Any, Any]:
        """See `netlint.graph.Tensor.load`."""
        import numpy as np

        arranged = []
        for tensor in self.tensors:
            blocks = np.split(tensor.load(), self.gates)
            arranged += [blocks[part] for part in self.parts]
        return np.concatenate(arranged).reshape(self.shape)

    def chunks(self, nbytes: int) -> Iterator[np.ndarray[Any, Any]]:
        """See `netlint.graph.Tensor.chunks`; in the order in which the parts are stored."""
        for tensor in self.tensors:
            yield from tensor.chunks(nbytes)


def bits(flat: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    """Loaded elements as `Tensor.chunks` hands them out: types that numpy lacks as their bits."""
    if dtype == "bfloat16":
        import numpy as np

        return (flat.astype("<f4").view("<u4") >> 16).astype(np.uint16)
    if dtype.startswith("float8"):
        raise TensorUnreadable(f"elements of type {dtype} are not encoded")
    return flat


def pieces(flat: np.ndarray[Any, Any], nbytes: int) -> Iterator[np.ndarray[Any, Any]]:
    """A flat array, a bounded part at a time."""
    step = max(nbytes // max(flat.itemsize, 1), 1)
    for start in range(0, flat.size, step):
        yield flat[start : start + step]
