"""Live torch tensors as `Tensor`: nothing is copied or looked at before it is asked for."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from netlint.frontends.aten.types import dtype_name
from netlint.graph import TensorUnreadable

if TYPE_CHECKING:
    import numpy as np

_NO_MEMORY = "the model has no memory for them; lint a smaller configuration of the same model"
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_STORED = {1: "u1", 2: "<u2", 4: "<u4", 8: "<u8"}


class LiveTensor:
    """A parameter, buffer or constant of a program."""

    __slots__ = ("_tensor", "dtype", "shape")

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor
        self.dtype = dtype_name(str(tensor.dtype))
        self.shape = tuple(int(length) for length in tensor.shape)

    @property
    def nbytes(self) -> int:
        return self._tensor.numel() * self._tensor.element_size()

    @property
    def storage(self) -> Hashable:
        """See `netlint.graph.Tensor.storage`."""
        return (storage_of(self._tensor), self._offset(), self.nbytes)

    def _offset(self) -> int:
        try:
            return int(self._tensor.storage_offset())
        except (NotImplementedError, RuntimeError):
            return 0

    def load(self) -> np.ndarray[Any, Any]:
        """See `netlint.graph.Tensor.load`."""
        tensor = self._readable()
        if tensor.dtype == torch.bfloat16 or self.dtype.startswith("float8"):
            tensor = tensor.float()
        found: np.ndarray[Any, Any] = tensor.numpy()
        return found

    def chunks(self, nbytes: int) -> Iterator[np.ndarray[Any, Any]]:
        """See `netlint.graph.Tensor.chunks`."""
        flat = self._readable().contiguous().reshape(-1)
        if flat.dtype == torch.bfloat16 or self.dtype.startswith("float8"):
            size = flat.element_size()
            array = flat.view(_BITS[size]).numpy().view(_STORED[size])
        else:
            array = flat.numpy()
        step = max(nbytes // max(array.itemsize, 1), 1)
        for start in range(0, array.size, step):
            yield array[start : start + step]

    def _readable(self) -> torch.Tensor:
        tensor = self._tensor.detach()
        if isinstance(tensor, FakeTensor) or tensor.is_meta:
            kept = getattr(tensor, "constant", None)
            if not isinstance(kept, torch.Tensor):
                raise TensorUnreadable(_NO_MEMORY)
            tensor = kept
        if tensor.layout is not torch.strided or tensor.is_quantized:
            raise TensorUnreadable("sparse and quantised tensors are not read")
        if type(tensor) is not torch.Tensor:
            raise TensorUnreadable(f"tensors of the class {type(tensor).__name__} are not read")
        try:
            return tensor.cpu().resolve_conj().resolve_neg()
        except RuntimeError as error:
            raise TensorUnreadable(f"it cannot be read: {str(error).splitlines()[0]}") from None


def storage_of(tensor: torch.Tensor) -> Hashable:
    """The memory that a tensor lies in; a tensor without memory of its own is its own."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError, AttributeError):
        return id(tensor)
