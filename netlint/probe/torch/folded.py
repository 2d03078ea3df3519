"""Reductions to one number for each unit, at the speed of memory and in few kernels, on the CPU and on a GPU.

A GPU waits for launches where kernels are short, and for memory where they are long: each of these is one kernel that
reads once and writes next to nothing. A CPU is as fast with the plain reductions alone: comparisons and counts are not
vectorised there, so elements other than zero are counted by the norm of their signs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

ROW = 32
"""Elements that lie together, at least, for each row to be reduced alone; the rows are joined in the end."""
_HALF = (torch.float16, torch.bfloat16)
KINDS = (*_HALF, torch.float32, torch.float64)
"""Types that can be reduced."""


class Part(NamedTuple):
    """What one reduction gave, [units] or [rows, units], and how rows are joined: by `sum`, of `squares` of roots."""

    how: str
    numbers: torch.Tensor


class Folded:
    """A tensor with the axes before that of its units as one, and those behind it: [before, units, behind]."""

    __slots__ = ("dims", "fused", "view")

    def __init__(self, tensor: torch.Tensor, axis: int | None) -> None:
        if axis is None or not tensor.dim():
            tensor, axis = tensor.reshape(-1, 1), 1
        tensor, axis = _as_it_lies(tensor, min(axis, tensor.dim() - 1))
        self.fused = fuses(tensor)
        if tensor.dtype in _HALF and not self.fused:
            tensor = tensor.float()
        units, behind = tensor.shape[axis], tensor.shape[axis + 1 :].numel()
        self.view = tensor.view(-1, units) if behind == 1 else tensor.view(-1, units, behind)
        self.dims = (0,) if behind == 1 else (2,) if behind >= ROW else (0, 2)

    def ends(self) -> tuple[Part, Part]:
        """Least and largest element."""
        if self.fused and len(self.dims) == 1:
            lo, hi = torch.aminmax(self.view, dim=self.dims[0])
        else:
            lo, hi = self.view.amin(self.dims), self.view.amax(self.dims)
        return Part("amin", lo), Part("amax", hi)

    def sum(self) -> Part:
        return Part("sum", torch.sum(self.view, self.dims, dtype=_wide(self.view)))

    def squares(self) -> Part:
        """The sum of squares."""
        if self.fused or self.dims != (0,):
            return Part("squares", torch.linalg.vector_norm(self.view, 2, self.dims, dtype=_wide(self.view)))
        return Part("sum", (self.view * self.view).sum(0))

    def nonzero(self) -> Part:
        """How many elements are not 0."""
        if self.fused:
            return Part("sum", torch.linalg.vector_norm(self.view, 0, self.dims, dtype=_wide(self.view)))
        if self.dims == (0,):
            return Part("sum", self.view.sign().abs_().sum(0))
        return Part("squares", torch.linalg.vector_norm(self.view.sign(), 2, self.dims))

    def beyond(self, middle: float, reach: float) -> Part:
        """How many elements are further from a number than that."""
        moved = self.view - middle if middle else self.view
        return self.of(torch.nn.functional.hardshrink(moved, reach)).nonzero()

    def of(self, view: torch.Tensor) -> Folded:
        """Other elements in the same places."""
        made: Folded = object.__new__(Folded)
        made.view, made.dims, made.fused = view, self.dims, self.fused
        return made


def fuses(tensor: torch.Tensor) -> bool:
    """Whether one kernel that does more is faster than two."""
    return tensor.is_cuda


def _as_it_lies(tensor: torch.Tensor, axis: int) -> tuple[torch.Tensor, int]:
    """The axes in the order of memory, whatever the memory format: nothing is copied unless there are gaps."""
    if tensor.is_contiguous():
        return tensor, axis
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    return tensor.permute(order).contiguous(), order.index(axis)


def _wide(tensor: torch.Tensor) -> torch.dtype | None:
    """Sums of half-precision numbers are wanted in single."""
    return torch.float32 if tensor.dtype in _HALF else None
