"""The arguments of a run with stand-ins for tensors, and the outputs of a run."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from netlint.frontends.torch.held import fields_of, with_fields
from netlint.frontends.torch.mode import Recorder
from netlint.frontends.torch.trace import Slot, slots_in

_MAX_DEPTH = 4
_MAX_ITEMS = 10_000
_PLAIN = (int, float, bool, str, bytes, type(None), torch.dtype, torch.device, nn.Module, type)


class Arguments:
    """Arguments with names."""

    def __init__(self, target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.args = tuple(args)
        self.kwargs = dict(kwargs)
        self.names = _names(target, len(self.args))

    def tensors(self) -> Iterator[torch.Tensor]:
        """Those in plain containers, in order."""
        yield from _tensors((self.args, self.kwargs))

    def changed(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Arguments:
        """The same with other tensors."""
        made = Arguments.__new__(Arguments)
        made.args, made.kwargs = _changed(self.args, change), _changed(self.kwargs, change)
        made.names = self.names
        return made

    def modules(self) -> list[nn.Module]:
        return [value for value in (*self.args, *self.kwargs.values()) if isinstance(value, nn.Module)]

    def entered(self, recorder: Recorder) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments for the model; every tensor in them is an input of the recording."""
        named = dict(zip(self.names, self.args, strict=True))
        args = tuple(_stood_in(value, name, recorder) for name, value in named.items())
        return args, {name: _stood_in(value, name, recorder) for name, value in self.kwargs.items()}


def _names(target: Callable[..., Any], count: int) -> list[str]:
    called = target.forward if isinstance(target, nn.Module) else target
    try:
        parameters = list(inspect.signature(called).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}_{place}" for place in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    names += [f"input_{place}" for place in range(len(names), count)]
    return names[:count]


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
    elif type(value) is dict or (value := fields_of(value)) is not None:
        for item in value.values():
            yield from _tensors(item)


def _changed(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_changed(item, change) for item in value))
    if type(value) in (tuple, list):
        return type(value)(_changed(item, change) for item in value)
    if type(value) is dict:
        return {key: _changed(item, change) for key, item in value.items()}
    held = fields_of(value)
    return value if held is None else with_fields(value, {key: _changed(item, change) for key, item in held.items()})


def _stood_in(value: Any, name: str, recorder: Recorder) -> Any:
    if isinstance(value, torch.Tensor):
        if isinstance(value, nn.Parameter) and recorder.names(value):
            return value
        return recorder.adopt(value, "input", name).tensor
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(
            *(_stood_in(item, f"{name}_{key}", recorder) for key, item in zip(value._fields, value, strict=True))
        )
    if type(value) in (tuple, list):
        return type(value)(_stood_in(item, f"{name}_{place}", recorder) for place, item in enumerate(value))
    if type(value) is dict:
        return {key: _stood_in(item, f"{name}_{key}", recorder) for key, item in value.items()}
    held = fields_of(value)
    if held is not None:
        return with_fields(value, {key: _stood_in(item, f"{name}_{key}", recorder) for key, item in held.items()})
    _await(value, name, recorder, 0)
    return value


def _await(value: Any, name: str, recorder: Recorder, depth: int) -> None:
    """Tensors inside an object of the user's are inputs as well."""
    if isinstance(value, torch.Tensor):
        recorder.awaited[id(value)] = value, name
    elif depth < _MAX_DEPTH and not isinstance(value, _PLAIN) and len(recorder.awaited) < _MAX_ITEMS:
        for key, item in _parts(value):
            _await(item, f"{name}_{key}", recorder, depth + 1)


def _parts(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, (tuple, list)):
        return list(enumerate(value[:_MAX_ITEMS]))
    if isinstance(value, dict):
        return list(value.items())
    return list(getattr(value, "__dict__", {}).items())


def outputs_of(recorder: Recorder, result: Any) -> Any:
    """The result of a run as slots; None for what holds no tensor.

    Objects of unknown kinds (caches, distributions) are looked into where there is nothing else. A run that returns no
    tensor has as outputs what it differentiated, or else whatever nothing else used.
    """
    found = _output(recorder, result, 0)
    if not _any(found):
        found = _output(recorder, result, 2)
    losses = [slot for slot in recorder.losses if slot not in set(slots_in(found))]
    if _any(found):
        return (found, *losses) if losses else found
    return losses or _unused(recorder)


def _any(value: Any) -> bool:
    return any(True for _ in slots_in(value))


def _output(recorder: Recorder, value: Any, depth: int) -> Any:
    """`depth`: how far to look into objects."""
    if isinstance(value, torch.Tensor):
        return recorder.slot(value)
    if isinstance(value, (tuple, list)):
        return tuple(_output(recorder, item, depth) for item in value)
    if isinstance(value, Mapping):
        return {str(key): _output(recorder, item, depth) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _output(recorder, getattr(value, field.name), depth) for field in dataclasses.fields(value)}
    if isinstance(value, _PLAIN) or not depth:
        return None
    inside = {str(key): _output(recorder, item, depth - 1) for key, item in _parts(value) if not callable(item)}
    return inside if _any(inside) else None


def _unused(recorder: Recorder) -> list[Slot]:
    used = {id(slot) for step in recorder.trace.steps for slot in slots_in((step.args, list(step.kwargs.values())))}
    return [slot for step in recorder.trace.steps for slot in slots_in(step.result) if id(slot) not in used]
