"""Tells the watch on a run which tensors are the inputs of the model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from .asked import COMPARES, of_call
from .held import fields_of
from .watch import Watch, watching

WATCHES: list[Watch] = []
"""The watch on the run in progress; whoever calls the model tells it the inputs."""


@contextlib.contextmanager
def watched(model: nn.Module) -> Iterator[Watch]:
    """A watch on the runs inside."""
    with watching(model) as watch:
        WATCHES.append(watch)
        try:
            yield watch
        finally:
            WATCHES.pop()


def tell(args: Any, kwargs: Any) -> None:
    """A model is about to run with these arguments, as the recorder hands them over."""
    if WATCHES:
        WATCHES[-1].start([*_flat(args), *_flat(kwargs)])


def heard(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """A call that compares predictions with targets, as the model makes it: beneath, both have one shape."""
    if WATCHES and name in COMPARES:
        with contextlib.suppress(Exception):  # a demand that cannot be read is none
            of_call(WATCHES[-1], name, args, kwargs)


def shown(func: Any, made: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `made` gives in the place of a call; the watch sees the call, and nothing of how it is carried out."""

    def unseen(*args: Any, **kwargs: Any) -> Any:
        return made(*args, **kwargs)

    unseen.__name__ = getattr(func, "__name__", "")
    with torch._C.DisableTorchFunction():
        return WATCHES[-1].__torch_function__(unseen, (), args, kwargs) if WATCHES else made(*args, **kwargs)


@contextlib.contextmanager
def telling(model: nn.Module) -> Iterator[None]:
    """While a search watches, its watch is told what the model is called with."""
    if not WATCHES:
        yield
        return
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: tell(args, kwargs), with_kwargs=True, prepend=True
    )
    try:
        yield
    finally:
        hook.remove()


def _flat(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif (held := value if isinstance(value, dict) else fields_of(value)) is not None:
        for item in held.values():
            yield from _flat(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _flat(item)
