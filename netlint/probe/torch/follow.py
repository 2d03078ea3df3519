"""Follows a real run call by call along the recording, so that its tensors are known by the graph's names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from netlint.frontends.torch import functions, guard, standins
from netlint.frontends.torch.beneath import Watching
from netlint.frontends.torch.special import SPECIAL, few_literals

from . import attention
from .plan import Call, See

_T = torch.Tensor
_NONE: Mapping[str, Any] = MappingProxyType({})
_RECORDED = frozenset({_T.to, _T.type, torch.autograd.grad})
"""Calls that the recorder answers in a way of its own, and writes down."""


_IDLE = frozenset({"contiguous", "detach"})
"""Written down where memory is laid out otherwise, which it may be without elements, and where `no_grad` ends."""


class Follower(TorchFunctionMode):
    """Counts the calls that the recorder would write down, and shows the results that are wanted."""

    def __init__(self, calls: Sequence[Call], see: See, samples: int | None = None) -> None:
        super().__init__()
        self._calls = calls
        self._see = see
        self._samples = samples
        self.position = 0
        self.lost = ""
        """Why the run and the recording are not the same from here on."""
        self.loose = False
        """Whether lengths may depend on the data by now."""
        self.quiet = 0
        self.busy = False
        self._known = functions.known_names()
        self._infos: dict[Any, functions.Info] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.quiet or self.lost or func in functions.ASKING:
            return func(*args, **kwargs)
        if func in SPECIAL and func not in _RECORDED:
            return self._special(func, args, kwargs)
        self.busy, busy = True, self.busy
        try:
            info = self._infos.get(func)
            if info is None:
                info = self._infos[func] = functions.info_of(func, self._known)
            if info.inner is not None:
                self.busy = False
                with self:
                    return info.inner(*args, **kwargs)
            result = func(*args, **kwargs)
            if _counts(info.name, result, args, kwargs):
                self._called(info.name, result, args, kwargs)
            return result
        finally:
            self.busy = busy

    def _special(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Of these only what makes tensors of tensors is written down."""
        result = func(*args, **kwargs)
        if func not in functions.FROM_DATA or not args or result is args[0]:
            return result
        if standins.any_tensor(args[0]) or few_literals(args[0], result):
            self._called(functions.bare_name(func), result)
        return result

    def _called(self, name: str, result: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] = _NONE) -> None:
        if self.position >= len(self._calls):
            self.lost = f"the run makes more calls than were recorded: {name}"
            return
        call = self._calls[self.position]
        while call.name != name and call.name in _IDLE and self.position + 1 < len(self._calls):
            self.position += 1
            call = self._calls[self.position]
        if call.name != name and name in _IDLE:
            return
        self.loose = self.loose or name_only(name)
        if call.name != name or not self._fits(call, result):
            self.lost = f"call {self.position} is {name} in the run, and {call.name} in the recording"
            return
        self.position += 1
        with torch.no_grad(), torch._C.DisableTorchFunction():
            for watched in call.watched:
                tensor = _part(result, watched.key)
                if isinstance(tensor, _T) and (watched.statistics or watched.output):
                    self._see(watched, tensor, attention.largest(args, kwargs) if name == attention.NAME else None)

    def _fits(self, call: Call, result: Any) -> bool:
        """Whether a tensor has the recorded shape as far as that is a matter of numbers."""
        if call.shape is None or not isinstance(result, _T):
            return True
        return len(call.shape) == result.dim() and all(
            self.loose or self._length(dim) in (None, length)
            for dim, length in zip(call.shape, result.shape, strict=True)
        )

    def _length(self, dim: int | str | None) -> int | None:
        return self._samples if dim == "batch" else dim if isinstance(dim, int) else None

    # What `guard.whole_functions` and `Watching` ask of a recorder

    def custom(self, cls: type, forward: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A user-written autograd function is one call."""
        self.quiet += 1
        try:
            result = forward(*args, **kwargs)
        finally:
            self.quiet -= 1
        if not self.quiet and not self.lost:
            self._called(cls.__name__, result)
        return result

    def beneath(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """An operator that did not come through the API."""
        with torch._C.DisableTorchFunction():
            result = func(*args, **kwargs)
        name = functions.bare_name(func)
        if not self.lost and _counts(name, result, args, kwargs):
            self._called(name, result)
        return result


def name_only(name: str) -> bool:
    """Calls whose shapes depend on elements."""
    return name in functions.DYNAMIC or name in functions.MASKED


def _counts(name: str, result: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether the recorder writes such a call down: not where it gives back what it was given, or no tensor."""
    writing = functions.writes(name, kwargs) or "out" in kwargs
    if writing:
        return True
    if not isinstance(result, _T):
        return standins.any_tensor(result)
    if name == "to" and args and isinstance(args[0], _T) and result.dtype is args[0].dtype and not kwargs.get("copy"):
        return False  # to another device: there is only one in a recording
    same = any(result is arg for arg in (*args, *kwargs.values()))
    return not (same and name in functions.SAME_OBJECT)


def _part(result: Any, key: tuple[Any, ...]) -> Any:
    for step in key:
        try:
            result = result[step]
        except (TypeError, LookupError):
            return None
    return result


@contextmanager
def following(follower: Follower, thorough: bool) -> Iterator[None]:
    """The follower is told of what happens within."""
    with ExitStack() as stack:
        stack.enter_context(guard.whole_functions(follower))
        if thorough:
            stack.enter_context(Watching(follower))
        stack.enter_context(follower)
        yield
