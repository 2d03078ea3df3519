"""What a model file declares of its values: type and shape."""

from __future__ import annotations

from typing import Any

from netlint.graph import Shape, Value

from .storage import ELEMENT_TYPES
from .strings import text


def typed(info: Any) -> Value:
    """A value with the type and shape that a ValueInfoProto declares."""
    kind = info.type.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type"):
        return Value(text(info.name), kind and kind.removesuffix("_type"))
    tensor = getattr(info.type, kind)
    dtype = ELEMENT_TYPES.get(tensor.elem_type, (None,))[0]
    return Value(text(info.name), dtype, _shape(tensor.shape) if tensor.HasField("shape") else None)


def _shape(proto: Any) -> Shape:
    return tuple(
        text(dim.dim_param) or None if not dim.HasField("dim_value") else _size(dim.dim_value) for dim in proto.dim
    )


def _size(length: int) -> int | None:
    """Exporters of old wrote 0 or -1 for an axis of unknown length."""
    return length if length > 0 else None
