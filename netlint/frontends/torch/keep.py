"""Keeps what a training step can reach besides its tensors: optimizers, schedulers, counters, lists of losses.

Tensors are stand-ins while a run is recorded, so that nothing can be written into the real ones.
"""

from __future__ import annotations

import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from netlint.frontends.torch import frames

HOLDERS = frozenset({list, dict, set, OrderedDict, defaultdict, deque})
MAX_ITEMS = 1000
"""A container with more is data."""
_MAX_OBJECTS = 5000
_MAX_DEPTH = 6
_NO_STATE = (torch.Tensor, type, types.ModuleType, int, float, str, bytes, bool, type(None), torch.dtype, torch.device)


@contextmanager
def kept(target: Any) -> Iterator[None]:
    """Puts back, as far as plain Python can tell, what a function or an object of the user's can reach."""
    undo: list[Callable[[], None]] = []
    if not isinstance(target, nn.Module):
        _Walk(undo).visit(target, 0)
    try:
        yield
    finally:
        for each in undo:
            each()


class _Walk:
    """Visits everything once, and notes how it is put back."""

    def __init__(self, undo: list[Callable[[], None]]) -> None:
        self._undo = undo
        self._seen: dict[int, Any] = {}

    def visit(self, value: Any, depth: int) -> None:
        if isinstance(value, _NO_STATE) or id(value) in self._seen:
            return
        if depth > _MAX_DEPTH or len(self._seen) >= _MAX_OBJECTS:
            return
        self._seen[id(value)] = value
        for part in self._parts(value):
            self.visit(part, depth + 1)

    def _parts(self, value: Any) -> list[Any]:
        """What lies in an object, noted as it is now."""
        if type(value) in HOLDERS:
            return self._held(value)
        if isinstance(value, tuple):
            return list(value[:MAX_ITEMS])
        if isinstance(value, types.FunctionType):
            return self._around(value)
        if isinstance(value, types.MethodType):
            return [value.__self__, value.__func__]
        if isinstance(value, torch.Generator):
            state = value.get_state()
            self._undo.append(lambda: value.set_state(state) and None)
            return []
        return self._attributes(value)

    def _held(self, value: Any) -> list[Any]:
        if len(value) > MAX_ITEMS:
            return []
        before = value.copy()
        self._undo.append(lambda: refill(value, before))
        return list(value.values() if isinstance(value, dict) else value)

    def _attributes(self, value: Any) -> list[Any]:
        """Those of a module are kept by whoever runs it; what they hold is not."""
        attributes = getattr(value, "__dict__", None)
        if type(attributes) is not dict:
            return []
        if not isinstance(value, nn.Module):
            before = dict(attributes)
            self._undo.append(lambda: refill(attributes, before))
        methods = (each for each in vars(type(value)).values() if isinstance(each, types.FunctionType))
        return [*attributes.values(), *(each for each in methods if frames.is_users(each.__code__.co_filename))]

    def _around(self, function: types.FunctionType) -> list[Any]:
        """What a function closes over, and the globals that its code names."""
        found = [getattr(function, "__wrapped__", None), *map(self._cell, function.__closure__ or ())]
        if frames.is_users(function.__code__.co_filename):
            scope = function.__globals__
            found += [self._global(scope, name) for name in set(_names(function.__code__)) & scope.keys()]
        return found

    def _cell(self, cell: types.CellType) -> Any:
        try:
            before = cell.cell_contents
        except ValueError:
            return None
        self._undo.append(lambda: setattr(cell, "cell_contents", before))
        return before

    def _global(self, scope: dict[str, Any], name: str) -> Any:
        before = scope[name]
        self._undo.append(lambda: scope.__setitem__(name, before))
        return before


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def refill(holder: Any, before: Any) -> None:
    """A container with what it held before, if that is not what it holds."""
    if isinstance(holder, dict):
        same = list(map(id, holder)) == list(map(id, before)) and all(
            one is other for one, other in zip(holder.values(), before.values(), strict=True)
        )
    else:
        same = list(map(id, holder)) == list(map(id, before))
    if not same:
        holder.clear()
        (holder.extend if isinstance(holder, (list, deque)) else holder.update)(before)
