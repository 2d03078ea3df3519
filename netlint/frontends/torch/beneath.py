"""Modes that see operators below torch's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from netlint.frontends.torch.errors import Demanded

if TYPE_CHECKING:
    from netlint.frontends.torch.mode import Recorder

_META = torch.device("meta")
_ASKING = frozenset({torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output})


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, (tuple, list)):
        items = [_each(item, change) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in value.items()}
    return value


def _to_meta(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_meta:
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=_META)


def _to_zeros(tensor: torch.Tensor) -> torch.Tensor:
    return torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else tensor


def on_meta(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """One operator on tensors without elements; where torch has no rule for its result it is executed on zeros."""
    if any(tag in _ASKING for tag in func.tags):
        raise Demanded
    args, named = _each(args, _to_meta), _each(dict(kwargs), _to_meta)
    if isinstance(named.get("device"), torch.device):
        named["device"] = _META
    try:
        return func(*args, **named)
    except NotImplementedError:
        if named.get("device") is not None:
            named["device"] = torch.device("cpu")
        result = func(*_each(args, _to_zeros), **_each(named, _to_zeros))
    return _each(result, _to_meta)


class Helping(TorchDispatchMode):
    """Carries a call through that fails on meta tensors: other devices in between, operators without a rule."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return on_meta(func, args, kwargs or {})


def helped(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], error: Exception) -> Any:
    """A call that failed on meta tensors; raises its error where that is the model's."""
    if not isinstance(error, NotImplementedError) and "meta" not in str(error):
        raise error
    with Helping():
        return func(*args, **kwargs)


class Watching(TorchDispatchMode):
    """Records the operators that reach torch without a call of its API: compiled and scripted code, transforms."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._recorder.busy or self._recorder.quiet or func is torch.ops.aten.lift_fresh.default:
            with torch._C.DisableTorchFunction():
                return func(*args, **(kwargs or {}))
        return self._recorder.beneath(func, args, kwargs or {})
