"""Takes tensors apart, turns, pads and cuts them into windows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from netlint.graph import Value

from .builder import END, Builder, NotLowered
from .convolution import several
from .layout import Ints, listed
from .pointwise import mul
from .table import operator


def _split(b: Builder, input: Value, sizes: Sequence[int], axis: int) -> list[Value]:
    if len(sizes) == 1:
        return [input]
    types = [input.dtype] * len(sizes)
    return b.several("Split", input, b.ints(*sizes), types=types, attrs={"axis": axis})


@operator("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "split_copy")
def split(b: Builder, input: Value, split_size: int | Sequence[int], dim: int = 0, **given: Any) -> list[Value]:
    axis = b.axis(input, dim)
    if not isinstance(split_size, int):
        return _split(b, input, [int(size) for size in split_size], axis)
    length = b.dims(input)[axis]
    if not isinstance(length, int):
        raise NotLowered("parts of an unknown length")
    b.bounded(-(-length // split_size))
    sizes = [min(split_size, length - start) for start in range(0, length, split_size)]
    return _split(b, input, sizes or [0], axis)


@operator("chunk", "unsafe_chunk")
def chunk(b: Builder, input: Value, chunks: int, dim: int = 0) -> list[Value]:
    axis = b.axis(input, dim)
    length = b.dims(input)[axis]
    if not isinstance(length, int):
        raise NotLowered("parts of an unknown length")
    return split(b, input, -(-length // chunks), axis)


@operator("tensor_split")
def tensor_split(b: Builder, input: Value, indices_or_sections: Any, dim: int = 0, **given: Any) -> list[Value]:
    axis = b.axis(input, dim)
    length = b.count(input, axis)
    if isinstance(indices_or_sections, int):
        size, more = divmod(length, b.bounded(indices_or_sections))
        return _split(b, input, [size + (nth < more) for nth in range(indices_or_sections)], axis)
    bounds = [0, *(min(max(i + length if i < 0 else i, 0), length) for i in indices_or_sections), length]
    return _split(b, input, [max(end - start, 0) for start, end in pairwise(bounds)], axis)


@operator("unbind", "unbind_copy")
def unbind(b: Builder, input: Value, dim: int = 0) -> list[Value]:
    axis = b.axis(input, dim)
    count = b.bounded(b.count(input, axis))
    shape = tuple(length for place, length in enumerate(b.dims(input)) if place != axis)
    return [b("Gather", input, b.number(nth, "int64"), shape=shape, axis=axis) for nth in range(count)]


@operator("flip")
def flip(b: Builder, input: Value, *dims: Any) -> Value:
    axes = [b.axis(input, axis) for axis in listed(dims)]
    if not axes or not b.rank(input):
        return input
    lists = [b.ints(*(number for _ in axes)) for number in (-1, -END - 1)]
    return b("Slice", input, *lists, b.ints(*axes), b.ints(*(-1 for _ in axes)), shape=input.shape)


@operator("fliplr")
def fliplr(b: Builder, input: Value) -> Value:
    return flip(b, input, 1)


@operator("flipud")
def flipud(b: Builder, input: Value) -> Value:
    return flip(b, input, 0)


@operator("rot90")
def rot90(b: Builder, input: Value, k: int = 1, dims: Sequence[int] = (0, 1)) -> Value:
    order = list(range(b.rank(input)))
    first, second = (b.axis(input, axis) for axis in dims)
    order[first], order[second] = order[second], order[first]
    if k % 4 == 0:
        return input
    if k % 4 == 2:
        return flip(b, input, first, second)
    turned = flip(b, input, second if k % 4 == 1 else first)
    return b.transpose(turned, order)


@operator("roll")
def roll(b: Builder, input: Value, shifts: Ints, dims: Ints | None = None, **given: Any) -> Value:
    dims = given.get("dim", dims)
    if dims is None or dims == []:
        if not isinstance(shifts, int):
            raise NotLowered("a roll")
        flat = _rolled(b, b.reshape(input, -1), 0, shifts)
        return b("Reshape", flat, b.shape_of(input), shape=input.shape)
    axes = [dims] if isinstance(dims, int) else dims
    x = input
    for shift, axis in zip([shifts] if isinstance(shifts, int) else shifts, axes, strict=True):
        x = _rolled(b, x, b.axis(x, axis), shift)
    return x


def _rolled(b: Builder, x: Value, axis: int, shift: int) -> Value:
    length = x.shape[axis] if x.shape is not None else None
    if isinstance(length, int):
        shift = shift % length if length else 0
    if shift == 0:
        return x
    parts = [b.slice(x, axis, -shift, END), b.slice(x, axis, 0, -shift)]
    return b("Concat", *parts, shape=x.shape, axis=axis)


@operator("repeat_interleave")
def repeat_interleave(b: Builder, input: Value, repeats: Any, dim: int | None = None, **given: Any) -> Value:
    """Every element several times in a row: a new axis of that length behind its own, folded into it."""
    if not isinstance(repeats, int):
        raise NotLowered("a number of repetitions that is computed")
    x = input if dim is not None else b.reshape(input, -1)
    axis = b.axis(x, dim or 0)
    rank = 1 if dim is None else b.rank(x)
    wide = b.unsqueeze(x, axis + 1) if dim is not None else b("Unsqueeze", x, b.ints(1), shape=None)
    counts = [1] * (rank + 1)
    counts[axis + 1] = repeats
    tiled = b("Expand", wide, b.ints(*counts), shape=None)
    dims: list[Any] = [0] * rank
    if dim is None:
        return b("Reshape", tiled, b.ints(-1), shape=b.shape)
    old = b.dims(x)
    dims = [length if isinstance(length, int) else 0 for length in old[:axis]] + [-1]
    for length in old[axis + 1 :]:
        if not isinstance(length, int):
            raise NotLowered("unknown lengths")
        dims.append(length)
    return b("Reshape", tiled, b.ints(*dims), shape=b.shape)


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@operator("pad")
def pad(b: Builder, input: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
    """torch lists the last axis first, begin and end together."""
    rank = b.rank(input)
    begins, ends = [0] * rank, [0] * rank
    for place in range(len(pad) // 2):
        begins[rank - 1 - place], ends[rank - 1 - place] = pad[2 * place], pad[2 * place + 1]
    pads = b.sizes([*begins, *ends])
    fill = b.tensor(value or 0, input.dtype) if mode == "constant" else None
    return b("Pad", input, pads, fill, shape=None, mode=_PAD_MODES[mode])


@operator("constant_pad_nd")
def constant_pad_nd(b: Builder, input: Value, padding: Sequence[int], value: float = 0) -> Value:
    return pad(b, input, padding, "constant", value)


def _padded(mode: str) -> Any:
    def lower(b: Builder, input: Value, padding: Sequence[int]) -> Value:
        return pad(b, input, padding, mode)

    return lower


for _count in (1, 2, 3):
    operator(f"reflection_pad{_count}d")(_padded("reflect"))
    operator(f"replication_pad{_count}d")(_padded("replicate"))


@operator("unfold", "unfold_copy")
def unfold(b: Builder, input: Value, dimension: int, size: int, step: int) -> Value:
    """Windows along an axis, each a new last axis: a Gather with the places of every window."""
    axis = b.axis(input, dimension)
    length = b.count(input, axis)
    starts = range(0, length - size + 1, step)
    b.bounded(len(starts) * size)
    places = b.ints(*(start + nth for start in starts for nth in range(size)))
    table = b.reshape(places, len(starts), size)
    found = b("Gather", input, table, shape=None, axis=axis)
    rank = b.rank(input) + 1
    order = [place for place in range(rank) if place != axis + 1] + [axis + 1]
    return b("Transpose", found, shape=b.shape, perm=tuple(order)) if order != list(range(rank)) else found


@operator("im2col")
def im2col(b: Builder, input: Value, kernel_size: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Value:
    """Windows of an image as columns: a Gather along each spatial axis."""
    if b.rank(input) != 4:
        raise NotLowered("an image without batch axis")
    kernel, step, gap = (several(x, 2) for x in (kernel_size, stride, dilation))
    border = several(padding, 2, 0)
    x = input
    if any(border):
        x = pad(b, x, [border[1], border[1], border[0], border[0]])
    height, width = (b.count(input, axis) + 2 * border[axis - 2] for axis in (2, 3))
    for axis, length, k, s, d in ((2, height, kernel[0], step[0], gap[0]), (4, width, kernel[1], step[1], gap[1])):
        count = (length - d * (k - 1) - 1) // s + 1
        b.bounded(k * count)
        places = b.reshape(b.ints(*(nth * d + at * s for nth in range(k) for at in range(count))), k, count)
        x = b("Gather", x, places, shape=None, axis=axis)
    channels = b.dims(input)[1]
    turned = b("Transpose", x, shape=None, perm=(0, 1, 2, 4, 3, 5))
    if not isinstance(channels, int):
        raise NotLowered("an unknown number of channels")
    return b("Reshape", turned, b.ints(0, channels * kernel[0] * kernel[1], -1), shape=b.shape)


@operator("torch.nn.functional.unfold", origin=True)
def functional_unfold(
    b: Builder, input: Value, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Value:
    return im2col(b, input, kernel_size, dilation, padding, stride)


@operator("fold", "col2im")
def fold(
    b: Builder,
    input: Value,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Value:
    image, block = (b.ints(*several(x, 2)) for x in (output_size, kernel_size))
    x = b.unsqueeze(input, 0) if b.rank(input) == 2 else input
    attrs: dict[str, Any] = {
        "dilations": several(dilation, 2),
        "pads": several(padding, 2, 0) * 2,
        "strides": several(stride, 2),
    }
    found = b("Col2Im", x, image, block, shape=None, **attrs)
    return found if x is input else b.squeeze(found, 0)


@operator("diagonal", "diagonal_copy", "linalg_diagonal")
def diagonal_of(b: Builder, input: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """The two axes first, then a GatherND of the places, then the diagonal last."""
    rank = b.rank(input)
    first, second = dim1 % rank, dim2 % rank
    rows, columns = b.count(input, first), b.count(input, second)
    count = b.bounded(max(min(rows + min(offset, 0), columns - max(offset, 0)), 0))
    order = [first, second, *(axis for axis in range(rank) if axis not in (first, second))]
    places = [(nth - min(offset, 0), nth + max(offset, 0)) for nth in range(count)]
    table = b.reshape(b.ints(*(place for pair in places for place in pair)), count, 2)
    found = b("GatherND", b.transpose(input, order), table, shape=None)
    return b("Transpose", found, shape=b.shape, perm=(*range(1, rank - 1), 0)) if rank > 2 else found


@operator("diag")
def diag(b: Builder, input: Value, diagonal: int = 0) -> Value:
    if b.rank(input) == 2:
        return diagonal_of(b, input, diagonal)
    return diag_embed(b, input, diagonal)


@operator("diag_embed")
def diag_embed(b: Builder, input: Value, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Value:
    """The vector along the columns, times a matrix of ones on the diagonal."""
    if offset or (dim1, dim2) != (-2, -1):
        raise NotLowered("another diagonal")
    length = b.count(input, -1) if b.dims(input) else 0
    blank = b("Expand", b.number(0, input.dtype), b.ints(length, length), shape=(length, length))
    return mul(b, b.unsqueeze(input, b.rank(input) - 1), b("EyeLike", blank, shape=(length, length)))
