"""Stand-ins for tensors, and how to make the result of a call again without the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


# The same call on tensors of the same shapes gives results of the same shapes.


def key(values: Any) -> tuple[Any, ...]:
    return tuple(map(key_of, values))


def key_of(value: Any) -> Any:
    kind = type(value)
    if kind is torch.Tensor:
        return value.shape, value.dtype, value.stride()
    if kind is tuple or kind is list:
        return kind, key(value)
    if kind in PLAIN:
        return kind, value
    if kind is slice or kind is torch.device:
        return kind, str(value)
    if isinstance(value, torch.Size):
        return tuple(value)
    raise TypeError


def template(result: Any) -> Any:
    """How to make such a result again; None if it lies in the memory of an argument."""
    if type(result) is torch.Tensor:
        if result._is_view() or not result.is_meta:
            return None
        return torch.Tensor, tuple(result.shape), result.stride(), result.dtype
    if type(result) in (tuple, list) and result:
        parts = [template(item) for item in result]
        return None if None in parts else (type(result), parts)
    return None


def from_template(template: Any) -> Any:
    if template[0] is torch.Tensor:
        return torch.empty_strided(template[1], template[2], dtype=template[3], device=_META)
    return template[0](from_template(part) for part in template[1])


def by_rule(rule: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    try:
        return rule(*args, **kwargs)
    except (TypeError, AttributeError, IndexError, ValueError, RuntimeError):
        return None


_SMALL = 1 << 18


def executed(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The result of the call on zeros, without elements; None if they would be many, or the CPU cannot do it.

    Other errors are the model's.
    """
    count = 0

    def zeros(value: Any) -> Any:
        nonlocal count
        if isinstance(value, torch.Tensor):
            count += value.numel()
            if count > _SMALL:
                raise MemoryError
            return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=_CPU).zero_()
        if isinstance(value, (tuple, list)):
            return type(value)([zeros(item) for item in value])
        return _CPU if isinstance(value, torch.device) else value

    try:
        result = func(*map(zeros, args), **{name: zeros(value) for name, value in kwargs.items()})
    except MemoryError:
        return None
    except RuntimeError as error:
        if "not implemented" in str(error):
            return None
        raise
    return _without_elements(result)


def _without_elements(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=_META)
    if isinstance(value, (tuple, list)):
        return type(value)([_without_elements(item) for item in value])
    return value


def counted(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The result of a call that takes numbers alone; None if it may be large."""
    product = 1.0
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor):
            return None
        if isinstance(value, (int, float)) and value:
            product *= max(abs(value), 1.0)
    if product > _SMALL:
        return None
    return _without_elements(func(*args, **{**kwargs, "device": _CPU}))
