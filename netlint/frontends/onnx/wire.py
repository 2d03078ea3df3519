"""Cut large tensors out of a serialized model before it is parsed.

Walks only the headers of the protobuf wire format (https://protobuf.dev/programming-guides/encoding). The payload of a
large tensor is left where it is, and its place remembered; everything else is handed to the protobuf parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

PAYLOAD = 4096
"""Payloads of at least this many bytes stay in the file."""

# message -> {field: message it holds}; only what can lead to a tensor.
_CHILDREN = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
}
# Fields of a tensor whose bytes are its little-endian elements: raw_data, packed float_data and double_data.
_PAYLOADS = {4: "float_data", 9: "raw_data", 10: "double_data"}
_EXTERNAL_DATA = 13
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 100

CUT_KEY = "netlint.cut."
"""Followed by a field's name: the `external_data` key that stands for a payload left in the file; its value is an index
into the cuts."""


class NotProtobuf(Exception):
    """The bytes do not follow the wire format; the message says at which offset."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The place of a payload in the file."""

    offset: int
    length: int


def strip(data: mmap | bytes) -> tuple[bytes, list[Cut]]:
    """The model without its large payloads, and where these lie. Raises `NotProtobuf`."""
    cuts: list[Cut] = []
    parts: list[memoryview | bytes] = []
    with memoryview(data) as view:
        try:
            _strip(view, (0, len(data)), "Model", parts, cuts)
            return b"".join(parts), cuts
        finally:
            # A view left over, in an error's traceback say, would keep the file mapped.
            for part in parts:
                if isinstance(part, memoryview):
                    part.release()


def _strip(
    data: memoryview,
    span: tuple[int, int],
    message: str,
    parts: list[memoryview | bytes],
    cuts: list[Cut],
    depth: int = 0,
) -> int:
    """Append what is kept of a message; returns its length. Nothing is copied before all parts are joined."""
    if depth > _MAX_DEPTH:
        raise NotProtobuf(f"messages are nested deeper than {_MAX_DEPTH} at byte {span[0]}")
    children = _CHILDREN.get(message, {})
    first, kept_from = len(parts), span[0]
    for field, at, begin, stop in _fields(data, *span):
        if stop - begin < PAYLOAD:
            continue
        if message == "Tensor" and field in _PAYLOADS:
            parts += [data[kept_from:at], _marker(_PAYLOADS[field], len(cuts))]
            cuts.append(Cut(begin, stop - begin))
        elif field in children:
            parts += [data[kept_from:at], b""]
            header = len(parts) - 1
            inner = _strip(data, (begin, stop), children[field], parts, cuts, depth + 1)
            parts[header] = _encode(field << 3 | _LENGTH) + _encode(inner)
        else:
            continue
        kept_from = stop
    parts.append(data[kept_from : span[1]])
    return sum(map(len, parts[first:]))


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Each length-delimited field in [start, end): its number, where its tag begins, where its content lies."""
    at = start
    while at < end:
        tag, here = _varint(data, at, end)
        field, wire = tag >> 3, tag & 7
        if field == 0:
            raise NotProtobuf(f"byte {at} begins no field")
        if wire == _LENGTH:
            length, begin = _varint(data, here, end)
            stop = begin + length
            if stop > end:
                raise NotProtobuf(f"the field at byte {at} runs {stop - end} bytes past the end: the file is truncated")
            yield field, at, begin, stop
        else:
            stop = _skip(data, here, end, wire, at)
        at = stop


def _skip(data: memoryview, here: int, end: int, wire: int, at: int) -> int:
    if wire == _VARINT:
        return _varint(data, here, end)[1]
    width = {_FIXED64: 8, _FIXED32: 4}.get(wire)
    if width is None or here + width > end:
        raise NotProtobuf(f"byte {at} begins no field of a known kind")
    return here + width


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise NotProtobuf(f"the number at byte {at} does not end: the file is truncated or not a model")


def _encode(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tagged(field: int, content: bytes) -> bytes:
    return _encode(field << 3 | _LENGTH) + _encode(len(content)) + content


def _marker(field: str, index: int) -> bytes:
    entry = _tagged(1, (CUT_KEY + field).encode()) + _tagged(2, str(index).encode())
    return _tagged(_EXTERNAL_DATA, entry)
