"""How a program may spell a call, brought to one spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .calls import Call
from .table import BY_ORIGIN, OPERATORS, Entry

_DUNDERS = {
    **{name: name for name in ("add", "sub", "mul", "matmul", "pow")},
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
    "invert": "bitwise_not",
    "mod": "remainder",
    "truediv": "div",
    "floordiv": "floor_divide",
    "div": "div",
}
_SWAPPED = frozenset(f"__r{name}__" for name in _DUNDERS)

_RENAMED = {"self": "input", "axis": "dim", "keepdims": "keepdim", "train": "training"}
"""Argument names of aten and of numpy -> torch's."""

_IGNORED = frozenset(
    (
        *("device", "layout", "pin_memory", "memory_format", "requires_grad", "non_blocking", "generator", "out"),
        *("_stacklevel", "names", "split_with_sizes_mode"),
    )
)
"""Arguments that change no number."""


def bare(name: str) -> tuple[str, bool, bool]:
    """The name in the table, whether the call writes into its first argument, whether operands are swapped."""
    if name.startswith("__") and name.endswith("__"):
        inner = name[2:-2]
        if name in _SWAPPED:
            return _DUNDERS[inner[1:]], False, True
        inplace = inner not in _DUNDERS and inner[:1] == "i" and inner[1:] in _DUNDERS
        if inplace:
            inner = inner[1:]
        return _DUNDERS.get(inner, inner), inplace or inner == "setitem", False
    if name == "setitem":
        return name, True, False
    if name.endswith("_") and not name.endswith("__"):
        return name if name in OPERATORS else name[:-1], True, False
    return name, False, False


def entry_of(call: Call, name: str) -> Entry | None:
    """The table's entry for a call."""
    return BY_ORIGIN.get(call.origin) or OPERATORS.get(name)


def arguments(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments under torch's names, without those that change no number."""
    return {_RENAMED.get(name, name): value for name, value in kwargs.items() if name not in _IGNORED}


def spread(args: Sequence[Any], kwargs: dict[str, Any]) -> Sequence[Any]:
    """Positional arguments with what a call may give one by one or as a list under a name: `expand(size=(2, 3))`."""
    for name in _ONE_BY_ONE:
        if name in kwargs:
            args = (*args, kwargs.pop(name))
    return args


_ONE_BY_ONE = ("size", "sizes", "shape", "dims", "repeats", "tensors", "operands")


def writes(entry: Entry | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call says `inplace=True`."""
    if entry is None or entry.inplace is None:
        return False
    return bool(args[entry.inplace] if len(args) > entry.inplace else kwargs.get("inplace", False))
