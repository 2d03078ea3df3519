"""What the table does not express stays as the program wrote it: `torch.foo`, `aten.foo`, unknown to every analysis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netlint.graph import Value

from .builder import Builder
from .calls import Call, Ref

_MAX_ITEMS = 64
_MAX_DEPTH = 4


def emit(
    builder: Builder, call: Call, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], results: Sequence[Ref]
) -> list[Value]:
    """The call as one node: its tensors as inputs, its literals as attributes, `arg2` where they have no name."""
    inputs = list(_tensors([args, kwargs]))
    attrs: dict[str, Any] = {}
    for key, given in (*((f"arg{place}", arg) for place, arg in enumerate(args)), *kwargs.items()):
        literal = _literal(given)
        if literal is not None:
            attrs[key] = literal
    domain = call.origin.partition(".")[0] if call.overload else "torch"
    types = [ref.dtype for ref in results]
    return builder.several(name, *inputs, types=types, domain=domain or "torch", attrs=attrs)


def unsure(builder: Builder, ref: Ref, *values: Value) -> Value:
    """A tensor of which only is known that it depends on others: memory was written that it may share."""
    return builder("overlapping_write", *values, dtype=ref.dtype, shape=ref.shape, domain="torch")


def _tensors(structure: Any) -> Iterator[Value]:
    if isinstance(structure, Value):
        yield structure
    elif isinstance(structure, list | tuple):
        for item in structure:
            yield from _tensors(item)
    elif isinstance(structure, dict):
        for item in structure.values():
            yield from _tensors(item)
    elif isinstance(structure, slice):
        yield from _tensors([structure.start, structure.stop, structure.step])


def _literal(given: Any, depth: int = 0) -> Any:
    """A literal as an attribute: a number, a text or a tuple of these; None for tensors and what is neither."""
    if isinstance(given, bool):
        return int(given)
    if isinstance(given, int | float | str):
        return given
    if isinstance(given, list | tuple) and depth < _MAX_DEPTH:
        items = [_literal(item, depth + 1) for item in given[:_MAX_ITEMS]]
        flat = [item for item in items if isinstance(item, int | float | str)]
        return tuple(flat) if flat and len(flat) == len(given) else None
    return None
