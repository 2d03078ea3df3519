"""Builds a module from its factory without running out of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.overrides import TorchFunctionMode

from netlint.frontends.torch import frames, functions

LIMIT = 1 << 30
"""Bytes of parameters up to which a module gets real ones."""

_ONE = 64 << 20
_SUM = 128 << 20
"""Bytes of one parameter, and of all so far, from which on it pays to count first what the whole module has."""
_LARGE = 16 << 20
"""Bytes of tensors that are not made for real in a module without elements."""
_META = torch.device("meta")


class _TooLarge(BaseException):
    """The parameters so far come near the limit."""


def build(factory: Callable[[], nn.Module], limit: int = LIMIT) -> tuple[nn.Module, bool]:
    """The module that `factory()` returns, and whether its parameters are on the meta device, without elements.

    They are where they would exceed `limit` bytes; the memory for them is never touched. The factory may be called
    up to three times. What it raises passes through.
    """
    first = _Real(min(_ONE, limit), min(_SUM, limit))
    try:
        return _built(factory, first), False
    except _TooLarge:
        pass
    counting = _Faked()
    model = _built(factory, counting)
    if counting.total > limit:
        return model, True
    del model
    return _built(factory, _Real(limit, limit)), False


def _built(factory: Callable[[], nn.Module], mode: _Builder) -> nn.Module:
    with _registered(mode), mode:
        return factory()


frames.ends_here(_built.__code__)


class _Builder(TorchFunctionMode):
    """What happens to parameters and large tensors while a module is built."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def parameter(self, value: nn.Parameter) -> nn.Parameter:
        """A parameter is registered."""
        raise NotImplementedError


class _Real(_Builder):
    """Leaves all as it is, up to a limit."""

    def __init__(self, one: int, whole: int) -> None:
        super().__init__()
        self._one = one
        self._whole = whole

    def parameter(self, value: nn.Parameter) -> nn.Parameter:
        nbytes = value.numel() * value.element_size()
        self.total += nbytes
        if nbytes > self._one or self.total > self._whole:
            raise _TooLarge
        return value

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        # Weights made with values (`torch.randn(…)`) are seen before they are registered.
        if (
            func in functions.MAKING
            and (kwargs or {}).get("device") != _META
            and _nbytes(args, kwargs or {}) > self._one
        ):
            raise _TooLarge
        return func(*args, **(kwargs or {}))


class _Faked(_Builder):
    """Puts parameters and large tensors on the meta device; initialising them does nothing."""

    def parameter(self, value: nn.Parameter) -> nn.Parameter:
        self.total += value.numel() * value.element_size()
        if value.is_meta:
            return value
        shell = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=_META)
        made = nn.Parameter(shell, requires_grad=value.requires_grad)
        vars(made).update(vars(value))
        return made

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func in functions.MAKING and _nbytes(args, given) > _LARGE:
            given = {**given, "device": _META}
            given.pop("generator", None)
        first = args[0] if args else given.get("tensor")
        if isinstance(first, torch.Tensor) and _without_elements(first) and _initialises(func):
            return first
        try:
            return func(*args, **given)
        except (RuntimeError, NotImplementedError):
            tensors = [value for value in (*args, *given.values()) if isinstance(value, torch.Tensor)]
            if not any(map(_without_elements, tensors)):
                raise
            return func(*map(_moved, args), **{name: _moved(value) for name, value in given.items()})


def _without_elements(tensor: torch.Tensor) -> bool:
    with torch._C.DisableTorchFunction():
        return tensor.is_meta


def _moved(value: Any) -> Any:
    with torch._C.DisableTorchFunction():
        return value.to(_META) if isinstance(value, torch.Tensor) else value


def _initialises(func: Any) -> bool:
    """Whether a call only writes elements."""
    name = functions.bare_name(func)
    return name.endswith("_") and not name.endswith("__") and name not in _SHAPING


_SHAPING = frozenset(
    {"requires_grad_", "resize_", "transpose_", "t_", "squeeze_", "unsqueeze_", "set_", "resize_as_", "as_strided_"}
)


def _nbytes(args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """The size of what a maker like `torch.zeros` makes: the product of its sizes, in 4-byte elements."""
    sizes = kwargs.get("size", args)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    product = 4
    for size in sizes:
        if not isinstance(size, int):
            break
        product *= size
    return product


@contextmanager
def _registered(mode: _Builder) -> Iterator[None]:
    """Hands every parameter that is registered to the mode, and remembers where each module is made."""
    register, start = nn.Module.register_parameter, nn.Module.__init__

    def register_parameter(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
        if isinstance(param, torch.Tensor) and not isinstance(param, UninitializedParameter):
            with torch._C.DisableTorchFunction():
                param = mode.parameter(param)
        register(self, name, param)

    def init(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        line = frames.here(2)
        start(self, *args, **kwargs)
        if line is not None:
            frames.BORN[self] = line

    nn.Module.register_parameter = register_parameter  # type: ignore[method-assign]
    nn.Module.__init__ = init  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
        nn.Module.__init__ = start  # type: ignore[method-assign]
