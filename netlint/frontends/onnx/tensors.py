"""TensorProto -> `Tensor`: where the bytes lie, and whether there are as many as the shape says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from netlint.graph import Tensor

from .external import ExternalDataError, ExternalFiles
from .storage import (
    ELEMENT_TYPES,
    FileStorage,
    ListedTensor,
    MemoryStorage,
    MissingTensor,
    Storage,
    StoredTensor,
    element_count,
    stored_bytes,
)
from .strings import shown, text
from .wire import CUT_KEY, Cut

Report = Callable[[str, str, str], None]
"""Takes the kind of a defect, its message and the way out."""

# The list that holds the elements of a type when they are not raw bytes.
_LISTS = {
    **dict.fromkeys(("float32", "complex64"), "float_data"),
    **dict.fromkeys(("float64", "complex128"), "double_data"),
    "int64": "int64_data",
    **dict.fromkeys(("uint32", "uint64"), "uint64_data"),
    "string": "string_data",
}
_MAX_ELEMENTS = 1 << 48
_MAX_RANK = 1000


class TensorReader:
    """Makes the tensors of one model; nothing is read from disk here."""

    def __init__(self, whole: Storage, cuts: Sequence[Cut], external: ExternalFiles) -> None:
        self._whole = whole
        self._cuts = cuts
        self._external = external

    def read(self, proto: Any, report: Report) -> Tensor | None:
        """The tensor, or None if its type or shape makes no sense; what is wrong goes to `report`."""
        shape = tuple(proto.dims[:])
        element = ELEMENT_TYPES.get(proto.data_type)
        data = proto.raw_data
        # What nearly every tensor of a model with many is, in as few steps as can be.
        plain = len(shape) <= _MAX_RANK and min(shape, default=0) >= 0 and not proto.data_location
        if plain and data and element is not None and 8 * len(data) == element[1] * prod(shape):
            return StoredTensor(element[0], shape, MemoryStorage(data), 0, len(data))
        if element is None:
            name = shown(proto.name)
            report("tensor", f"tensor '{name}' has the unknown element type {proto.data_type}", "export again")
            return None
        if len(shape) > _MAX_RANK or min(shape, default=0) < 0 or element_count(shape) > _MAX_ELEMENTS:
            message = f"tensor '{shown(proto.name)}' has the impossible shape {shown(list(shape[:_MAX_RANK]))}"
            report("size", message, "export again")
            return None
        return self._locate(proto, element[0], shape, report)

    def _locate(self, proto: Any, dtype: str, shape: tuple[int, ...], report: Report) -> Tensor:
        entries = {text(entry.key): text(entry.value) for entry in proto.external_data}
        if proto.data_location == 1:
            return self._from_file(proto.name, dtype, shape, entries, report)
        cut = self._cut(entries, "raw_data") or self._cut(entries, _LISTS.get(dtype, ""))
        if cut is not None:
            return self._stored(proto.name, dtype, shape, self._whole, cut.offset, cut.length, report)
        if proto.HasField("raw_data"):
            data = proto.raw_data
            return self._stored(proto.name, dtype, shape, MemoryStorage(data), 0, len(data), report)
        return self._listed(proto, dtype, shape, report)

    def _cut(self, entries: dict[str, str], field: str) -> Cut | None:
        index = entries.get(CUT_KEY + field, "")
        return self._cuts[int(index)] if index.isdecimal() and int(index[:9]) < len(self._cuts) else None

    def _stored(
        self,
        name: str,
        dtype: str,
        shape: tuple[int, ...],
        storage: Storage,
        offset: int,
        length: int,
        report: Report,
    ) -> Tensor:
        wanted = stored_bytes(dtype, shape)
        if length != wanted or dtype == "string":
            declared = f"of shape {shown(list(shape))} and type {dtype}"
            message = f"tensor '{shown(name)}' {declared} takes {wanted} bytes, but {length} are stored"
            report("size", message, "export the model again")
            return MissingTensor(dtype, shape, message)
        return StoredTensor(dtype, shape, storage, offset, length)

    def _listed(self, proto: Any, dtype: str, shape: tuple[int, ...], report: Report) -> Tensor:
        items = getattr(proto, _LISTS.get(dtype, "int32_data"))
        count = len(items)
        wanted = element_count(shape) * (2 if dtype.startswith("complex") else 1)
        if dtype in ("uint4", "int4", "float4e2m1", "uint2", "int2"):
            wanted = stored_bytes(dtype, shape)
        if count != wanted:
            message = f"tensor '{shown(proto.name)}' of shape {shown(list(shape))} holds {count} elements, not {wanted}"
            report("size", message, "export the model again")
            return MissingTensor(dtype, shape, message)
        return ListedTensor(dtype, shape, items, bits=_LISTS.get(dtype) is None)

    def _from_file(
        self, name: str, dtype: str, shape: tuple[int, ...], entries: dict[str, str], report: Report
    ) -> Tensor:
        location = entries.get("location", "")
        try:
            storage, size = self._external.find(location)
        except ExternalDataError as error:
            report(error.kind, f"tensor '{shown(name)}': {error}", error.help)
            return MissingTensor(dtype, shape, str(error))
        message = ""
        offset, length = _span(entries, stored_bytes(dtype, shape))
        if offset < 0 or length < 0:
            given = ", ".join(f"{key} '{shown(entries[key])}'" for key in ("offset", "length") if key in entries)
            message = f"the place of tensor '{shown(name)}' in '{shown(location)}' is not a number of bytes: {given}"
        elif offset + length > size:
            message = f"tensor '{shown(name)}' ends at byte {offset + length} of '{shown(location)}', which has {size}"
        if message:
            report("short", message, "fetch the file again or export the model again")
            return MissingTensor(dtype, shape, message)
        return self._stored(name, dtype, shape, storage, offset, length, report)


def _span(entries: dict[str, str], default: int) -> tuple[int, int]:
    """Offset and length in bytes; -1 where the file writes something else than a number."""

    def number(key: str, otherwise: int) -> int:
        text = entries.get(key, "")
        return otherwise if not text else int(text) if text.isdecimal() and len(text) < 20 else -1

    return number("offset", 0), number("length", default)


__all__ = ["FileStorage", "MemoryStorage", "TensorReader"]
