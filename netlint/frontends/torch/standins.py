"""Stand-ins for tensors, and how to make the result of a call again without the call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

from netlint.frontends.torch.trace import Kind

PLAIN = frozenset({int, float, bool, str, type(None), torch.dtype, complex, type(...), torch.memory_format})
"""Types of arguments that hold no tensor."""
_META = torch.device("meta")
_CPU = torch.device("cpu")


def claimed(root: nn.Module | None) -> torch.device:
    for parameter in root.parameters() if root is not None else ():
        if parameter.device.type != "meta":
            return parameter.device
    return _CPU


def named(root: nn.Module | None) -> dict[int, tuple[Kind, str]]:
    found: dict[int, tuple[Kind, str]] = {}
    if root is not None:
        for name, buffer in root.named_buffers():
            found[id(buffer)] = ("buffer", name)
        for name, parameter in root.named_parameters():
            found[id(parameter)] = ("parameter", name)
        for name, module in root.named_modules():
            for key, value in vars(module).items():
                if isinstance(value, torch.Tensor):
                    found.setdefault(id(value), ("constant", f"{name}.{key}" if name else key))
    return found


def made_inside(tensor: torch.Tensor) -> bool:
    """Whether a tensor that nobody knows must come from the run: it has no elements, or a history."""
    with torch._C.DisableTorchFunction():
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            return True
        return tensor.is_meta or tensor.grad_fn is not None


def shaped(tensor: torch.Tensor, kind: Kind) -> torch.Tensor:
    """A meta tensor like this one."""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        return torch.empty(tensor.shape, dtype=torch.float32 if tensor.is_quantized else tensor.dtype, device=_META)
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=_META)


def copied(tensor: torch.Tensor, kind: Kind) -> torch.Tensor:
    """A real tensor like this one, on the CPU; with invented elements if it has none."""
    if not tensor.is_meta and not is_fake(tensor):
        return tensor.detach().to("cpu", copy=True)
    if not tensor.dtype.is_floating_point:
        return torch.zeros(tensor.shape, dtype=tensor.dtype)
    if kind == "parameter" and tensor.dim() < 2:
        return torch.ones(tensor.shape, dtype=tensor.dtype)
    return torch.randn(tensor.shape, dtype=tensor.dtype) * (1.0 if kind == "input" else 0.02)


def is_fake(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, torch._subclasses.FakeTensor)


def like(value: Any, items: list[Any]) -> Any:
    """A tuple of the same kind: torch.Size becomes a tuple, named tuples stay what they are."""
    return type(value)(*items) if hasattr(value, "_fields") else tuple(items)


@cache
def function_for(cls: type) -> Callable[..., Any]:
    """A function of the name of a class, to stand in the graph."""

    def opaque(*args: Any) -> Any:
        raise NotImplementedError

    opaque.__name__, opaque.__qualname__, opaque.__module__ = cls.__name__, cls.__qualname__, cls.__module__
    return opaque


def any_tensor(value: Any) -> bool:
    """Whether a nested structure holds a tensor."""
    if isinstance(value, (tuple, list)):
        return any(map(any_tensor, value))
    if isinstance(value, dict):
        return any(map(any_tensor, value.values()))
    return isinstance(value, torch.Tensor)
