"""AttributeProto -> plain Python, or the constant that a Constant node makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netlint.graph import Tensor

from .storage import ListedTensor

TENSOR, GRAPH = 4, 5
"""AttributeProto.type of what holds a TensorProto (`t`) and a GraphProto (`g`)."""
# AttributeProto.type -> the field that holds the value, for what is decoded to plain Python.
_FIELDS = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints", 8: "strings"}

ReadTensor = Callable[[Any], Tensor | None]


def decoded(attribute: Any, read: ReadTensor) -> Any:
    """A number, a text, a tuple of these or a `Tensor`; None for kinds that no analysis reads."""
    if attribute.type == TENSOR:
        return read(attribute.t)
    if attribute.type not in _FIELDS:
        return None
    value = getattr(attribute, _FIELDS[attribute.type])
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int | float):
        return value
    return tuple(item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in value)


def constant(attribute: Any, read: ReadTensor) -> Tensor | None:
    """The tensor that a Constant node with this attribute makes; None if it is of no kind that can be read."""
    if attribute.type == TENSOR:
        return read(attribute.t)
    if attribute.type not in _FIELDS:
        return None
    field = _FIELDS[attribute.type]
    value = getattr(attribute, field)
    dtype = {"f": "float32", "i": "int64"}.get(field[0], "string")
    single = len(field) == 1
    items = [value] if single else list(value)
    return ListedTensor(dtype, () if single else (len(items),), items)
