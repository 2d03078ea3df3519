"""Lends a model out: within, its tensors are copies on the device of the probe; afterwards it is bit for bit itself.

The module object itself is used, not a deep copy: training steps, hooks and closures of the user's refer to it. Only
what its tensors hold is exchanged (`tensor.data`, as `module.to` does it), so that optimizers and views still see the
old memory afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from netlint.analysis import Unavailable
from netlint.frontends.torch import guard

from .devices import spread


class NoRoom(Unavailable):
    """The weights do not fit on the device."""


@contextmanager
def lent(model: nn.Module, device: torch.device, seed: int, dtype: torch.dtype | None = None) -> Iterator[None]:
    """The model on a device, floating-point tensors in `dtype` if one is given; random numbers are seeded.

    Raises `Unavailable` where it has no elements or they cannot be copied.
    """
    with ExitStack() as stack:
        stack.enter_context(_random(device))
        stack.enter_context(guard.unchanged(model))
        stack.enter_context(_copies(model, device, dtype))
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        if dtype is not None:  # what the model makes on the way has no type of its own
            torch.set_default_dtype(dtype)
        stack.enter_context(guard.settings())
        stack.enter_context(_undecided())
        stack.enter_context(torch.enable_grad())
        seeded(seed, device)
        yield


def seeded(seed: int, device: torch.device) -> None:
    """Every source of random numbers starts again."""
    guard.seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


def put(tensors: Sequence[torch.Tensor], elements: Sequence[torch.Tensor]) -> None:
    """Write elements into tensors, on a GPU in a few kernels."""
    if tensors:
        torch._foreach_copy_(tensors, elements)


@contextmanager
def _random(device: torch.device) -> Iterator[None]:
    """The state of every source of random numbers is put back."""
    if device.type == "cuda":
        torch.cuda.init()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        with guard.random_restored():
            yield
    finally:
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


@contextmanager
def _undecided() -> Iterator[None]:
    """transformers leaves masks as they are given where it cannot see elements; the recorder could not."""
    utils = sys.modules.get("transformers.utils.import_utils")
    if not hasattr(utils, "is_fake_tensor"):
        yield
        return
    before = utils.is_fake_tensor  # type: ignore[union-attr]
    utils.is_fake_tensor = lambda tensor: True  # type: ignore[union-attr]
    try:
        yield
    finally:
        utils.is_fake_tensor = before  # type: ignore[union-attr]


@contextmanager
def _copies(model: nn.Module, device: torch.device, dtype: torch.dtype | None) -> Iterator[None]:
    stay = device.type == "cuda" and spread(model)
    kept: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, bool]] = []
    copies: dict[Hashable, torch.Tensor] = {}
    try:
        for tensor in _tensors(model):
            if is_lazy(tensor):
                raise Unavailable("it holds lazy modules that were never called; call the model once where it is made")
            grad, tensor.grad = (tensor.grad if tensor.is_leaf else None), None
            kept.append((tensor, tensor.data, grad, tensor.requires_grad))
            place = tensor.device if stay and tensor.is_cuda else device
            try:
                tensor.data = _copy(tensor.data, place, dtype, copies)
            except TypeError as error:
                raise Unavailable(f"its tensors cannot be copied: {error}") from None
        yield
    finally:
        for tensor, data, grad, needed in reversed(kept):
            if tensor.is_leaf:
                tensor.grad = None
            tensor.data = data
            if tensor.is_leaf:
                tensor.grad = grad
                tensor.requires_grad_(needed)


def _copy(
    data: torch.Tensor, device: torch.device, dtype: torch.dtype | None, copies: dict[Hashable, torch.Tensor]
) -> torch.Tensor:
    """Two tensors that are one piece of memory stay one."""
    if data.is_meta:
        raise Unavailable("its weights were not made; they are for models below 1 GiB")
    strided = data.layout is torch.strided and not data.is_quantized
    place = (data.data_ptr(), data.shape, data.stride(), data.dtype) if strided and data.numel() else id(data)
    if place not in copies:
        wanted = dtype if dtype is not None and data.is_floating_point() else data.dtype
        try:
            copies[place] = data.to(device, wanted, copy=True)
        except torch.OutOfMemoryError:
            raise NoRoom("its weights do not fit into the memory of the GPU") from None
    return copies[place]


def _tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    """Parameters, buffers and tensors in plain attributes of any module, each once; what has a history is left out."""
    seen: set[int] = set()
    for module in model.modules():
        for held in (module._parameters, module._buffers, vars(module)):
            for tensor in _held(list(held.values()), 2):
                if id(tensor) not in seen and tensor.grad_fn is None:
                    seen.add(id(tensor))
                    yield tensor


def _held(value: Any, depth: int) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif depth and type(value) in (list, tuple, dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _held(item, depth - 1)
