"""How to write through a view: the base, once the view holds new elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netlint.graph import Value

from .builder import Builder, NotLowered
from .layout import listed, reshaped
from .places import Slice, parsed
from .table import VIEWS, view
from .writing import inverse, replaced, write

MAYBE_COPIES = frozenset(
    (
        *("reshape", "flatten", "contiguous", "to", "type", "ravel", "reshape_as", "cpu", "cuda", "unflatten"),
        *("float", "double", "half", "bfloat16", "long", "int", "short", "char", "byte", "bool", "type_as"),
    )
)
"""Views only if the elements lie as the result wants them, or have its type already."""

_CONVERSIONS = ("to", "type", "float", "double", "half", "bfloat16", "long", "int", "short", "char", "byte", "bool")


@view("view", "reshape", "_unsafe_view", "_reshape_alias", "flatten", "ravel", "unflatten", "view_as", "reshape_as")
@view("squeeze", "unsqueeze")
def reshaped_back(b: Builder, base: Value, new: Value, place: int, *rest: Any, **given: Any) -> Value:
    return reshaped(b, new, b.dims(base))


@view("contiguous", "detach", "alias", "data", "requires_grad", "cpu", "cuda", "type_as", "lift_fresh", *_CONVERSIONS)
def same(b: Builder, base: Value, new: Value, place: int, *rest: Any, **given: Any) -> Value:
    """Where the type is another the result is a copy, and nobody comes here."""
    return b.cast(new, base.dtype)


@view("t", "T")
def transposed_all(b: Builder, base: Value, new: Value, place: int) -> Value:
    return b.transpose(new, list(reversed(range(b.rank(base)))))


@view("mT", "mH", "H")
def transposed_matrix(b: Builder, base: Value, new: Value, place: int) -> Value:
    return transposed(b, base, new, place, -2, -1)


@view("transpose", "swapaxes", "swapdims")
def transposed(b: Builder, base: Value, new: Value, place: int, dim0: int, dim1: int) -> Value:
    order = list(range(b.rank(base)))
    first, second = b.axis(base, dim0), b.axis(base, dim1)
    order[first], order[second] = order[second], order[first]
    return b.transpose(new, order)


@view("permute")
def permuted(b: Builder, base: Value, new: Value, place: int, *dims: Any) -> Value:
    return b.transpose(new, inverse([b.axis(base, axis) for axis in listed(dims)]))


@view("movedim", "moveaxis")
def moved(b: Builder, base: Value, new: Value, place: int, source: Any, destination: Any) -> Value:
    from .layout import movedim

    return movedim(b, new, destination, source)


@view("getitem")
def got(b: Builder, base: Value, new: Value, place: int, index: Any) -> Value:
    return write(b, base, parsed(b, base, index), new)


@view("select")
def selected(b: Builder, base: Value, new: Value, place: int, dim: int, index: Any) -> Value:
    return got(b, base, new, place, [slice(None)] * b.axis(base, dim) + [index])


@view("slice")
def sliced(
    b: Builder, base: Value, new: Value, place: int, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Value:
    return got(b, base, new, place, [slice(None)] * b.axis(base, dim) + [slice(start, end, step)])


@view("narrow")
def narrowed(b: Builder, base: Value, new: Value, place: int, dim: int, start: int, length: int) -> Value:
    axis = b.axis(base, dim)
    first = start if start >= 0 else start + b.count(base, axis)
    return replaced(b, base, Slice(axis, first, first + length), new)


@view("chunk", "unsafe_chunk")
def chunk(b: Builder, base: Value, new: Value, place: int, chunks: int, dim: int = 0) -> Value:
    return _part(b, base, new, dim, place * -(-b.count(base, b.axis(base, dim)) // chunks))


@view("split", "split_with_sizes", "unsafe_split")
def split(b: Builder, base: Value, new: Value, place: int, sections: int | Sequence[int], dim: int = 0) -> Value:
    return _part(b, base, new, dim, place * sections if isinstance(sections, int) else sum(sections[:place]))


def _part(b: Builder, base: Value, new: Value, dim: int, start: int) -> Value:
    axis = b.axis(base, dim)
    return replaced(b, base, Slice(axis, start, start + b.count(new, axis)), new)


@view("unbind")
def unbound(b: Builder, base: Value, new: Value, place: int, dim: int = 0) -> Value:
    return selected(b, base, new, place, dim, place)


@view("diagonal")
def on_diagonal(
    b: Builder, base: Value, new: Value, place: int, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Value:
    if b.rank(base) != 2 or offset or (dim1, dim2) not in ((0, 1), (-2, -1)):
        raise NotLowered("a diagonal of a batch")
    count = b.bounded(min(b.static(base)))
    places = b.unsqueeze(b.ints(*range(count)), 1)
    return b("ScatterND", base, b("Concat", places, places, shape=(count, 2), axis=1), new, shape=base.shape)


for _name in (
    "expand",
    "expand_as",
    "broadcast_to",
    "as_strided",
    "unfold",
    "view_as_real",
    "view_as_complex",
    "real",
    "tensor_split",
):
    VIEWS[_name] = None
