"""Picks out and puts in elements: `x[...]` and its relatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netlint.graph import Value

from .builder import Builder, NotLowered
from .calls import Length
from .literals import Literal
from .places import Index, Slice, parsed
from .reduce import renorm
from .table import operator


@operator("getitem", "index")
def getitem(b: Builder, input: Value, index: Any, select: bool = True) -> Value:
    found = parsed(b, input, index, select)
    x = picked(b, input, found)
    if found.tensors:
        x = _gathered(b, x, _shifted(found))
    elif found.new_axes:
        x = b.unsqueeze(x, *found.new_axes)
    return x


def picked(b: Builder, input: Value, index: Index) -> Value:
    """The slices of an index, all at once; single places are left out (Gather) where nothing else is indexed."""
    cuts = [cut for cut in index.slices if not cut.single]
    x = input
    if cuts:
        starts = _bounds(b, [cut.start for cut in cuts])
        ends = _bounds(b, [cut.end for cut in cuts])
        steps = [b.ints(*(cut.step for cut in cuts))] if any(cut.step != 1 for cut in cuts) else []
        axes = b.ints(*(cut.axis for cut in cuts))
        x = b("Slice", x, starts, ends, axes, *steps, shape=_cut_shape(input, cuts))
    for cut in reversed([cut for cut in index.slices if cut.single]):
        shape = None if x.shape is None else (*x.shape[: cut.axis], *x.shape[cut.axis + 1 :])
        place = cut.start if isinstance(cut.start, Value) else b.number(cut.start, "int64")
        x = b("Gather", x, b.cast(place, "int64"), shape=shape, axis=cut.axis)
    return x


def _bounds(b: Builder, bounds: Sequence[Any]) -> Value:
    return b.sizes([_symbolic(bound) for bound in bounds])


def _symbolic(bound: Any) -> Any:
    return bound.symbol if isinstance(bound, Length) else bound


def _cut_shape(input: Value, cuts: Sequence[Slice]) -> Any:
    if input.shape is None:
        return None
    dims = list(input.shape)
    for cut in cuts:
        length = dims[cut.axis]
        literal = isinstance(length, int) and type(cut.start) is int and type(cut.end) is int
        dims[cut.axis] = len(range(length)[cut.start : cut.end : cut.step]) if literal else None  # type: ignore[arg-type]
    return tuple(dims)


def _shifted(index: Index) -> tuple[dict[int, Value], list[int]]:
    """Index tensors by axis of what the slices leave, and the places of new axes among the other axes."""
    gone = [cut.axis for cut in index.slices if cut.single]
    tensors = {axis - sum(g < axis for g in gone): value for axis, value in index.tensors.items()}
    return tensors, index.new_axes


def _gathered(b: Builder, x: Value, index: tuple[dict[int, Value], list[int]]) -> Value:
    tensors, new_axes = index
    if new_axes:  # new axes become axes of length 1 of the tensor itself
        x = b.unsqueeze(x, *new_axes)
        for place in new_axes:
            tensors = {axis + (axis >= place): value for axis, value in tensors.items()}
    axes = sorted(tensors)
    if len(axes) == 1:
        return b("Gather", x, b.cast(tensors[axes[0]], "int64"), shape=None, axis=axes[0])
    front, places = to_front(b, x, axes), stacked(b, [tensors[axis] for axis in axes])
    found = b("GatherND", front, places, shape=None)
    adjacent = axes == list(range(axes[0], axes[-1] + 1))
    if not adjacent or axes[0] == 0:
        return found
    indexed = b.rank(places) - 1
    rank = b.rank(x) - len(axes) + indexed
    order = [*range(indexed, indexed + axes[0]), *range(indexed), *range(indexed + axes[0], rank)]
    return b("Transpose", found, shape=None, perm=tuple(order))


def to_front(b: Builder, x: Value, axes: Sequence[int]) -> Value:
    return b.transpose(x, front_order(b.rank(x), axes)) if axes != list(range(len(axes))) else x


def front_order(rank: int, axes: Sequence[int]) -> list[int]:
    return [*axes, *(axis for axis in range(rank) if axis not in axes)]


def stacked(b: Builder, tensors: Sequence[Value]) -> Value:
    """Index tensors broadcast together, one column each along a new last axis."""
    cast = [b.cast(tensor, "int64") for tensor in tensors]
    ranks = {b.rank(tensor) for tensor in cast}
    shapes = {tensor.shape for tensor in cast}
    if len(shapes) > 1 or (None in next(iter(shapes)) and len(cast) > 1 and not _same_source(b, cast)):  # type: ignore[operator]
        total = cast[0]
        for tensor in cast[1:]:
            total = b("Add", total, tensor)
        lengths = b("Shape", total, dtype="int64", shape=(max(ranks),))
        cast = [b("Expand", tensor, lengths, shape=total.shape) for tensor in cast]
    columns = [b.unsqueeze(tensor, b.rank(tensor)) for tensor in cast]
    shape = None if columns[0].shape is None else (*columns[0].shape[:-1], len(columns))
    return b("Concat", *columns, shape=shape, axis=max(ranks)) if len(columns) > 1 else columns[0]


def _same_source(b: Builder, tensors: Sequence[Value]) -> bool:
    """Whether all come from the same mask, and so have the same unknown length."""
    sources = {id(node.input(0)) for tensor in tensors if (node := b.producers.get(tensor)) is not None}
    return len(sources) == 1 and all(tensor in b.producers for tensor in tensors)


@operator("aten.index.Tensor", "aten._unsafe_index.Tensor", origin=True)
def aten_index(b: Builder, input: Value, indices: Any) -> Value:
    """aten writes None for an axis that is taken whole."""
    return getitem(b, input, [slice(None) if item is None else item for item in indices], select=False)


@operator("select", "select_copy")
def select(b: Builder, input: Value, dim: int, index: Any) -> Value:
    axis = b.axis(input, dim)
    return getitem(b, input, [slice(None)] * axis + [index])


@operator("slice", "slice_copy")
def slice_(b: Builder, input: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Value:
    axis = b.axis(input, dim)
    return getitem(b, input, [slice(None)] * axis + [slice(start, end, step)])


@operator("narrow", "narrow_copy")
def narrow(b: Builder, input: Value, dim: int, start: Any, length: Any) -> Value:
    axis = b.axis(input, dim)
    dims = b.dims(input)
    if isinstance(start, int) and start < 0:
        size = dims[axis]
        if not isinstance(size, int):
            raise NotLowered("a start from the end of an unknown length")
        start += size
    end = b("Add", b.tensor(start, "int64"), b.tensor(length, "int64")) if _computed(start, length) else start + length
    return getitem(b, input, [slice(None)] * axis + [slice(start, end)])


def _computed(*numbers: Any) -> bool:
    return any(isinstance(x, Value | Length) for x in numbers)


@operator("index_select")
def index_select(b: Builder, input: Value, dim: int, index: Value) -> Value:
    places = index if b.rank(index) else b.unsqueeze(index, 0)
    return b("Gather", input, b.cast(places, "int64"), shape=None, axis=b.axis(input, dim))


@operator("gather", "take_along_dim")
def gather(b: Builder, input: Value, dim: int, index: Value, **given: object) -> Value:
    if isinstance(dim, Value):  # take_along_dim has the index first
        raise NotLowered("take_along_dim")
    return b("GatherElements", input, b.cast(index, "int64"), shape=index.shape, axis=b.axis(input, dim))


@operator("take")
def take(b: Builder, input: Value, index: Value) -> Value:
    return b("Gather", b.reshape(input, -1), b.cast(index, "int64"), shape=index.shape, axis=0)


@operator("masked_select")
def masked_select(b: Builder, input: Value, mask: Value) -> Value:
    if input.shape != mask.shape:
        raise NotLowered("a mask of another shape")
    flat = b("Reshape", b.cast(mask, "bool"), b.ints(-1), shape=(None,))
    return b("Compress", input, flat, shape=(None,))


@operator("embedding")
def embedding(b: Builder, weight: Value, indices: Value, *rest: object, **given: object) -> Value:
    return b("Gather", weight, indices, dtype=weight.dtype, shape=None, axis=0)


@operator("torch.nn.functional.embedding", origin=True)
def functional_embedding(
    b: Builder,
    input: Value,
    weight: Value,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    *rest: object,
    **given: object,
) -> Value:
    """Of the rows of a limited norm only those that are read are scaled; no other is seen here."""
    return embedding(b, weight if max_norm is None else renorm(b, weight, norm_type, 0, max_norm), input)


@operator("one_hot")
def one_hot(b: Builder, input: Value, num_classes: int = -1) -> Value:
    if not isinstance(num_classes, int) or num_classes < 0:
        raise NotLowered("a number of classes that depends on the data")
    values = b.constant(Literal("int64", (2,), (0, 1)))
    return b("OneHot", input, b.number(num_classes, "int64"), values, dtype="int64", shape=None, axis=-1)
