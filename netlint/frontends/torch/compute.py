"""The results of calls on meta tensors: by rule, from memory, executed on zeros, or by torch."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import torch

from netlint.frontends.torch import convolution, functions, layers, recurrent, shapes, standins
from netlint.frontends.torch.call import CONVOLUTIONS, Call
from netlint.frontends.torch.functions import Info
from netlint.frontends.torch.sizes import RULES
from netlint.frontends.torch.special import autocast
from netlint.frontends.torch.telling import shown

_META = torch.device("meta")
_CPU = torch.device("cpu")
RULE_FILES = (convolution, layers, recurrent, shapes)
"""These enter their rules when they are imported."""


class MetaCalls:
    """Carries out the calls of one run."""

    def __init__(self, known: Container[int], device: str, shown: bool = False) -> None:
        self._known = known
        """The ids of the run's tensors."""
        self._device = device
        """The type of the device that the tensors claim to be on."""
        self._shown = shown
        """Whether a watch is to see the calls: torch carries out few of them."""
        self._memo: dict[Any, Any] = {}
        self._views: set[Any] = set()

    def result(self, func: Any, info: Info, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What the call returns."""
        if torch._C._is_any_autocast_enabled():
            args, kwargs = autocast(info.name, self._device, args, kwargs)
        if info.name in _ONE_DTYPE:
            _alike(args)
        if self._shown:
            return shown(func, lambda *args, **kwargs: self._made(func, info, args, kwargs), args, kwargs)
        return self._made(func, info, args, kwargs)

    def _made(self, func: Any, info: Info, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if info.name in CONVOLUTIONS:
            _fitting(Call(info.name, args, kwargs))
        rule = RULES.get(func)
        if rule is not None and (made := _by_rule(rule, args, kwargs)) is not None:
            return made
        if func in self._views or info.extra or functions.writes(info.name, kwargs) or "out" in kwargs:
            return func(*args, **kwargs)
        return self._remembered(func, info, args, kwargs)

    def _remembered(self, func: Any, info: Info, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        try:
            key = (func, _key(args), _key(kwargs.items()) if kwargs else None)
            template = self._memo.get(key)
        except TypeError:
            return func(*args, **kwargs)
        if template is not None:
            return _from_template(template)
        result = _quickly(func, info, args, kwargs)
        if result is None:
            result = func(*args, **kwargs)
        template = None if id(result) in self._known else _template(result)
        if template is None:
            self._views.add(func)
        else:
            self._memo[key] = template
        return result


_ONE_DTYPE = frozenset(
    ("linear", "matmul", "__matmul__", "mm", "bmm", "addmm", "baddbmm", *(f"conv{n}d" for n in (1, 2, 3)))
)


def _alike(args: Sequence[Any]) -> None:
    """Refuses factors of two precisions, which meta tensors let pass."""
    kinds = {arg.dtype for arg in args[:2] if isinstance(arg, torch.Tensor) and arg.dtype.is_floating_point}
    if len(kinds) > 1:
        names = sorted(str(kind).removeprefix("torch.") for kind in kinds)
        raise RuntimeError(f"factors must have the same dtype, and are {names[0]} and {names[1]}")


def _fitting(call: Call) -> None:
    """Refuses other channels than a convolution takes, in the words that tell which on real tensors."""
    value, weight = call.value, call.arg(1, "weight")
    if value.dim() == weight.dim() and value.shape[1] != call.channels():
        how = "transposed=1" if "transpose" in call.name else f"groups={call.arg(6, 'groups') or 1}"
        taken = f"{call.channels()} channels, but got {value.shape[1]} channels instead"
        given = f"expected input{list(value.shape)} to have {taken}"
        raise RuntimeError(f"Given {how}, weight of size {list(weight.shape)}, {given}")


def _quickly(func: Any, info: Info, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if func in functions.COUNTING:
        return _counted(func, args, kwargs)
    return _executed(func, args, kwargs) if info.name in functions.EXECUTED else None


# The same call on tensors of the same shapes gives results of the same shapes.


def _key(values: Any) -> tuple[Any, ...]:
    return tuple(map(_key_of, values))


def _key_of(value: Any) -> Any:
    kind = type(value)
    if kind is torch.Tensor:
        return value.shape, value.dtype, value.stride()
    if kind is tuple or kind is list:
        return kind, _key(value)
    if kind in standins.PLAIN:
        return kind, value
    if kind is slice or kind is torch.device:
        return kind, str(value)
    if isinstance(value, torch.Size):
        return tuple(value)
    raise TypeError


def _template(result: Any) -> Any:
    """How to make such a result again; None if it lies in the memory of an argument."""
    if type(result) is torch.Tensor:
        if result._is_view() or not result.is_meta:
            return None
        return torch.Tensor, tuple(result.shape), result.stride(), result.dtype
    if type(result) in (tuple, list) and result:
        parts = [_template(item) for item in result]
        return None if None in parts else (type(result), parts)
    return None


def _from_template(template: Any) -> Any:
    if template[0] is torch.Tensor:
        return torch.empty_strided(template[1], template[2], dtype=template[3], device=_META)
    return template[0](_from_template(part) for part in template[1])


def _by_rule(rule: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    try:
        return rule(*args, **kwargs)
    except (TypeError, AttributeError, IndexError, ValueError, RuntimeError):
        return None


_SMALL = 1 << 18


def _executed(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
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


def _counted(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
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
