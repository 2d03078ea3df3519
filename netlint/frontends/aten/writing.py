"""Puts elements into tensors. Nothing is changed in place: the result is the tensor after the write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netlint.graph import Shape, Value

from .builder import END, Builder, NotLowered
from .indexing import front_order, stacked
from .places import Index, Slice, parsed
from .pointwise import Operand
from .table import operator


@operator("setitem")
def setitem(b: Builder, input: Value, index: Any, value: Operand) -> Value:
    masked = _masked(b, input, index, value)
    if masked is not None:
        return masked
    found = parsed(b, input, index)
    new = value if isinstance(value, Value) else b.number(value, input.dtype)
    new = b.cast(new, input.dtype)
    return write(b, input, found, new) if found.basic else _scattered(b, input, found, new)


def _masked(b: Builder, input: Value, index: Any, value: Operand) -> Value | None:
    """One number written where a mask says so is a choice between two tensors."""
    mask = index[0] if isinstance(index, list | tuple) and len(index) == 1 else index
    if not isinstance(mask, Value) or mask.dtype != "bool" or mask.shape is None or input.shape is None:
        return None
    if isinstance(value, Value) and value.shape != ():
        return None
    rest = len(input.shape) - len(mask.shape)
    if rest:
        mask = b.unsqueeze(mask, *range(len(mask.shape), len(input.shape)))
    return b("Where", mask, b.tensor(value, input.dtype), input, dtype=input.dtype, shape=input.shape)


def write(b: Builder, base: Value, index: Index, new: Value) -> Value:
    """The base with new elements, broadcast to the place, where slices and numbers point."""
    region, dims = _region(b, base, index)
    kept = list(region)
    for cut in sorted((cut for cut in index.slices if cut.single), key=lambda cut: -cut.axis):
        del kept[cut.axis]
    shown = list(kept)
    for place in index.new_axes:
        shown.insert(place, 1)
    new = _fitted(b, new, tuple(shown), base)
    if tuple(shown) != tuple(dims):
        new = b("Reshape", new, b.sizes(dims, base, new), shape=tuple(dims))
    return _replaced(b, base, index.slices, new)


def _region(b: Builder, base: Value, index: Index) -> tuple[list[Any], list[Any]]:
    """The lengths of the place written, axis by axis of the base; twice, as the caller edits one."""
    dims: list[Any] = list(b.dims(base))
    for cut in index.slices:
        length = dims[cut.axis]
        if cut.single:
            dims[cut.axis] = 1
        elif isinstance(length, int) and type(cut.start) is int and type(cut.end) is int:
            dims[cut.axis] = len(range(length)[cut.start : cut.end : cut.step])
        else:
            raise NotLowered("a write into a part of unknown length")
    return dims, list(dims)


def _fitted(b: Builder, new: Value, shape: Shape, base: Value) -> Value:
    """The new elements broadcast; torch lets them have further leading axes of length 1."""
    if new.shape is not None and len(new.shape) > len(shape):
        new = b.squeeze(new, *range(len(new.shape) - len(shape)))
    return b.expand(new, shape, base)


def _replaced(b: Builder, base: Value, slices: Sequence[Slice], new: Value) -> Value:
    """The base with a block exchanged: one axis after the other."""
    if not slices:
        return new
    first, rest = slices[0], slices[1:]
    if rest:
        new = _replaced(b, b.slice(base, first.axis, first.start, first.end, first.step), rest, new)
    return replaced(b, base, first, new)


def replaced(b: Builder, base: Value, cut: Slice, new: Value) -> Value:
    """The base with part of one axis exchanged: what lies before, the new, what lies behind."""
    if cut.step != 1:
        return _interleaved(b, base, cut, new)
    length = b.dims(base)[cut.axis]
    start, end = cut.start, cut.end
    if isinstance(length, int) and isinstance(start, int) and isinstance(end, int):
        start, end, _ = slice(start, end).indices(length)
        end = max(end, start)
    parts = [new]
    if not (isinstance(start, int) and start == 0):
        parts.insert(0, b.slice(base, cut.axis, 0, start))
    if not (isinstance(end, int) and end in (END, length)):
        parts.append(b.slice(base, cut.axis, end, END))
    if len(parts) == 1:
        return new
    return b("Concat", *parts, dtype=base.dtype, shape=base.shape, axis=cut.axis)


def _interleaved(b: Builder, base: Value, cut: Slice, new: Value) -> Value:
    """Every n-th place of an axis exchanged."""
    length = b.dims(base)[cut.axis]
    if not isinstance(length, int) or type(cut.start) is not int or type(cut.end) is not int:
        raise NotLowered("every n-th place of an axis of unknown length")
    places = range(length)[cut.start : cut.end : cut.step]
    order = front_order(b.rank(base), [cut.axis])
    b.bounded(len(places))
    indices = b.unsqueeze(b.ints(*places), 1)
    found = b("ScatterND", b.transpose(base, order), indices, b.transpose(new, order), shape=None)
    found.shape = tuple(base.shape[axis] for axis in order) if base.shape is not None else None
    return b.transpose(found, inverse(order))


def inverse(order: Sequence[int]) -> list[int]:
    return [order.index(axis) for axis in range(len(order))]


def _scattered(b: Builder, base: Value, index: Index, new: Value, reduction: str = "none") -> Value:
    """The base with new elements at the places that index tensors name; slices beside them must be whole."""
    if index.slices or index.new_axes:
        return _part_scattered(b, base, index, new, reduction)
    axes = sorted(index.tensors)
    order = front_order(b.rank(base), axes)
    front = b.transpose(base, order)
    places = stacked(b, [index.tensors[axis] for axis in axes])
    indexed = b.rank(places) - 1
    rest = b.dims(front)[len(axes) :]
    adjacent = axes == list(range(axes[0], axes[-1] + 1))
    before = axes[0] if adjacent else 0
    updates = _updates(b, new, b.dims(places)[:-1], rest, before, places, base)
    if before:
        rank = indexed + len(rest)
        updates = b.transpose(
            updates, [*range(before, before + indexed), *range(before), *range(before + indexed, rank)]
        )
    attrs = {} if reduction == "none" else {"reduction": reduction}
    found = b("ScatterND", front, places, updates, shape=front.shape, **attrs)
    return b.transpose(found, inverse(order))


def _updates(b: Builder, new: Value, indexed: Shape, rest: Shape, before: int, places: Value, base: Value) -> Value:
    """The new elements in the shape that the index gives: indexed axes stand at place `before` of the others."""
    shape = (*rest[:before], *indexed, *rest[before:])
    if new.shape is not None and len(new.shape) == len(shape) and None in shape and 1 not in new.shape:
        return new  # as many as a mask has true elements, which torch checked
    if None in shape:
        lengths = [b("Shape", places, dtype="int64", shape=(len(indexed),), start=0, end=len(indexed))]
        before_it, after_it = rest[:before], rest[before:]
        parts = [
            *([b.sizes(before_it, base)] if before_it else []),
            *lengths,
            *([b.sizes(after_it, base)] if after_it else []),
        ]
        target = b("Concat", *parts, dtype="int64", shape=(len(shape),), axis=0) if len(parts) > 1 else lengths[0]
        return b("Expand", new, target, shape=shape)
    return b.expand(new, shape, places, base)


def _part_scattered(b: Builder, base: Value, index: Index, new: Value, reduction: str) -> Value:
    """Slices beside index tensors: the part that the slices cut is scattered into, then put back."""
    if index.new_axes:
        raise NotLowered("new axes beside index tensors")
    part = base
    for cut in index.slices:
        part = b.slice(part, cut.axis, cut.start, cut.end, cut.step)
    gone = [cut.axis for cut in index.slices if cut.single]
    tensors = {axis - sum(place < axis for place in gone): value for axis, value in index.tensors.items()}
    part = b.squeeze(part, *gone) if gone else part
    changed = _scattered(b, part, Index([], [], tensors), new, reduction)
    return _replaced(b, base, index.slices, b.unsqueeze(changed, *gone) if gone else changed)


@operator("index_put", "_unsafe_index_put", "_index_put_impl")
def index_put(b: Builder, input: Value, indices: Any, values: Value, accumulate: bool = False, *rest: object) -> Value:
    items = [slice(None) if item is None else item for item in indices]
    if not accumulate:
        return setitem(b, input, items, values)
    found = parsed(b, input, items)
    if found.basic:
        raise NotLowered("an index without tensors")
    return _scattered(b, input, found, b.cast(values, input.dtype), "add")


@operator("copy")
def copy(b: Builder, input: Value, src: Value, non_blocking: bool = False) -> Value:
    new = b.cast(src, input.dtype)
    if input.shape is None:
        return b("Expand", new, b("Shape", input, dtype="int64"), shape=None)
    return _fitted(b, new, input.shape, input)


@operator("fill")
def fill(b: Builder, input: Value, value: Operand) -> Value:
    return copy(b, input, b.tensor(value, input.dtype))


@operator("zero")
def zero(b: Builder, input: Value) -> Value:
    return fill(b, input, 0)


@operator("scatter")
def scatter(
    b: Builder,
    input: Value,
    dim: int,
    index: Value,
    src: Operand | None = None,
    *,
    value: float | None = None,
    reduce: str | None = None,
) -> Value:
    given = src if src is not None else value
    if given is None:
        raise NotLowered("nothing to scatter")
    return _elements(b, input, dim, index, given, {None: "none", "add": "add", "multiply": "mul"}[reduce])


@operator("scatter_add")
def scatter_add(b: Builder, input: Value, dim: int, index: Value, src: Value) -> Value:
    return _elements(b, input, dim, index, src, "add")


@operator("scatter_reduce")
def scatter_reduce(
    b: Builder, input: Value, dim: int, index: Value, src: Value, reduce: str, *, include_self: bool = True
) -> Value:
    kinds = {"sum": "add", "prod": "mul", "amax": "max", "amin": "min"}
    if reduce not in kinds or not include_self:
        raise NotLowered("a mean of scattered elements")
    return _elements(b, input, dim, index, src, kinds[reduce])


def _elements(b: Builder, input: Value, dim: int, index: Value, src: Operand, reduction: str) -> Value:
    """torch takes the part of `src` that has the shape of the index; ONNX wants it cut."""
    if not isinstance(src, Value) or src.shape == ():
        updates = b.expand(b.tensor(src, input.dtype), b.dims(index), index)
    else:
        updates = b.cast(src, input.dtype)
        for axis, (have, want) in enumerate(zip(b.dims(src), b.dims(index), strict=True)):
            if have != want:
                updates = b.slice(updates, axis, 0, b.length(want, [index]))
    attrs = {} if reduction == "none" else {"reduction": reduction}
    places = b.cast(index, "int64")
    return b("ScatterElements", input, places, updates, shape=input.shape, axis=b.axis(input, dim), **attrs)


@operator("masked_scatter")
def masked_scatter(b: Builder, input: Value, mask: Value, source: Value) -> Value:
    """The true places in order take the elements of the source in order."""
    mask = b.expand(b.cast(mask, "bool"), b.dims(input), input)
    places = b("Transpose", b("NonZero", mask, dtype="int64", shape=(b.rank(input), None)), shape=None, perm=(1, 0))
    count = b("Shape", places, dtype="int64", shape=(1,), start=0, end=1)
    flat = b.reshape(b.cast(source, input.dtype), -1)
    updates = b("Slice", flat, b.ints(0), count, b.ints(0), shape=(None,))
    return b("ScatterND", input, places, updates, shape=input.shape)


@operator("index_fill")
def index_fill(b: Builder, input: Value, dim: int, index: Value, value: Operand) -> Value:
    return setitem(b, input, [slice(None)] * b.axis(input, dim) + [index], value)


@operator("index_copy")
def index_copy(b: Builder, input: Value, dim: int, index: Value, source: Value) -> Value:
    return setitem(b, input, [slice(None)] * b.axis(input, dim) + [index], source)


@operator("index_add")
def index_add(b: Builder, input: Value, dim: int, index: Value, source: Value, *, alpha: float = 1) -> Value:
    new = source if alpha == 1 else b("Mul", source, b.number(alpha, source.dtype))
    return _scattered(b, input, Index([], [], {b.axis(input, dim): index}), b.cast(new, input.dtype), "add")


@operator("select_scatter")
def select_scatter(b: Builder, input: Value, src: Value, dim: int, index: Any) -> Value:
    return setitem(b, input, [slice(None)] * b.axis(input, dim) + [index], src)


@operator("slice_scatter")
def slice_scatter(
    b: Builder, input: Value, src: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Value:
    return setitem(b, input, [slice(None)] * b.axis(input, dim) + [slice(start, end, step)], src)
