"""The table of operators: bare name -> the function that lowers a call of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import CO_VARARGS
from types import CodeType
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
Lower = Callable[..., Any]
"""Takes the builder and the arguments of a call, tensors as `Value`; its signature binds them, under torch's names
(`input` for `self`). Returns a `Value`, or a nested list of them that mirrors the results; raises `NotLowered`."""

Inverse = Callable[..., Any]
"""Takes the builder, the base as it was, a view's new elements and the arguments of the call that made the view;
returns the base with these elements in their places."""


@dataclass(slots=True)
class Entry:
    """What is known of an operator."""

    lower: Lower
    inplace: int | None
    """Where the signature has `inplace`, counted from the first argument."""
    variadic: bool
    """Whether it takes sizes or axes one by one."""


OPERATORS: dict[str, Entry] = {}
"""By bare name."""
BY_ORIGIN: dict[str, Entry] = {}
"""By the whole name, where another function of the same bare name takes other arguments."""
VIEWS: dict[str, Inverse | None] = {}
"""Operators whose result lies in the memory of their first argument (at least sometimes)."""


def operator(*names: str, origin: bool = False) -> Callable[[Function], Function]:
    """Enter a function under bare names, or with `origin` under whole ones."""

    def enter(lower: Function) -> Function:
        code: CodeType = lower.__code__
        known = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        variadic = bool(code.co_flags & CO_VARARGS)
        entry = Entry(lower, known.index("inplace") if "inplace" in known else None, variadic)
        for name in names:
            (BY_ORIGIN if origin else OPERATORS)[name] = entry
        return lower

    return enter


def view(*names: str) -> Callable[[Function], Function]:
    """Enter the inverse of views."""

    def enter(inverse: Function) -> Function:
        VIEWS.update(dict.fromkeys(names, inverse))
        return inverse

    return enter
