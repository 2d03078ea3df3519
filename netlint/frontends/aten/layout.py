"""What moves elements, or gives them other axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netlint.graph import Shape, Value, is_float
from netlint.ops import STOPS_GRADIENT

from .builder import Builder, NotLowered
from .calls import Length
from .table import operator
from .types import ONNX_CODES, dtype_name

Ints = int | Sequence[int]


def listed(given: Sequence[Any]) -> list[Any]:
    """Numbers given one by one or as a list."""
    return list(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else list(given)


@operator("view", "reshape", "_unsafe_view", "_reshape_alias", "view_copy")
def reshape(b: Builder, input: Value, *shape: Any) -> Value:
    dims = listed(shape)
    if len(dims) == 1 and isinstance(dims[0], str):  # the same bits under another type
        raise NotLowered("a view of bits")
    return to_shape(b, input, dims)


def to_shape(b: Builder, input: Value, dims: Sequence[Any]) -> Value:
    """A Reshape to the recorded shape. Symbols in it are not written as the numbers of this one run."""
    result = b.shape
    if result is not None and len(result) == len(dims):
        return reshaped(b, input, result)
    literal = [dim if not isinstance(dim, Length) else -1 for dim in dims]
    if all(type(dim) is int for dim in literal) and literal.count(-1) < 2:
        return b("Reshape", input, b.ints(*literal), shape=result)
    return b("Reshape", input, b.sizes(dims, input), shape=result)


def reshaped(b: Builder, input: Value, shape: Shape) -> Value:
    """A Reshape to a shape: numbers, 0 for a length that stays at its axis, -1 for one other length."""
    dims: list[Any] = list(shape)
    if 0 in shape:  # where a 0 is a length, it cannot stand for one that stays
        return b("Reshape", input, b.sizes(shape, input), shape=shape, allowzero=1)
    wanting = [place for place, dim in enumerate(dims) if not isinstance(dim, int)]
    for place in wanting[:-1]:
        if input.shape is not None and dims[place] is not None and input.shape[place : place + 1] == (dims[place],):
            dims[place] = 0
    wanting = [place for place, dim in enumerate(dims) if not isinstance(dim, int)]
    if wanting:
        dims[min(wanting, key=lambda place: dims[place] is not None)] = -1
    return b("Reshape", input, b.sizes(dims, input), shape=shape)


@operator("view_as", "reshape_as")
def view_as(b: Builder, input: Value, other: Value) -> Value:
    if b.shape is not None:
        return reshaped(b, input, b.shape)
    return b("Reshape", input, b.shape_of(other), shape=other.shape)


@operator("flatten", "ravel")
def flatten(b: Builder, input: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """A Flatten where the first axis stays, else a Reshape."""
    if input.shape is not None:
        rank = len(input.shape)
        start, end = b.axis(input, start_dim), b.axis(input, end_dim)
        if rank > 1 and start == 1 and end == rank - 1:
            return b("Flatten", input, axis=1, shape=b.shape)
        if rank and start == end:
            return input
        if b.shape is not None:
            return reshaped(b, input, b.shape)
        if start == 0 and end == max(rank - 1, 0):
            return b.reshape(input, -1)
    elif (start_dim, end_dim) == (1, -1):
        return b("Flatten", input, axis=1, shape=None)
    elif (start_dim, end_dim) == (0, -1):
        return b.reshape(input, -1)
    raise NotLowered("a tensor of unknown rank")


@operator("unflatten")
def unflatten(b: Builder, input: Value, dim: int, sizes: Sequence[int]) -> Value:
    axis = b.axis(input, dim)
    dims = b.dims(input)
    return to_shape(b, input, [*dims[:axis], *sizes, *dims[axis + 1 :]])


@operator("squeeze", "squeeze_copy")
def squeeze(b: Builder, input: Value, dim: Ints | None = None) -> Value:
    dims = b.dims(input)
    axes = range(len(dims)) if dim is None else b.axes(input, dim) or ()
    found = [axis for axis in axes if axis < len(dims) and dims[axis] == 1]
    if any(not isinstance(dims[axis], int) for axis in axes if axis < len(dims)) and b.shape is None:
        raise NotLowered("axes of unknown length")
    return b.squeeze(input, *found) if found else input


@operator("unsqueeze", "unsqueeze_copy")
def unsqueeze(b: Builder, input: Value, dim: int) -> Value:
    axis = dim if input.shape is None or dim >= 0 else dim + len(input.shape) + 1
    return b.unsqueeze(input, axis)


@operator("transpose", "swapaxes", "swapdims", "transpose_copy", "transpose_int")
def transpose(b: Builder, input: Value, dim0: int, dim1: int) -> Value:
    perm = list(range(b.rank(input)))
    if not perm:
        return input
    first, second = b.axis(input, dim0), b.axis(input, dim1)
    perm[first], perm[second] = perm[second], perm[first]
    return b.transpose(input, perm)


@operator("permute", "permute_copy")
def permute(b: Builder, input: Value, *dims: Any) -> Value:
    axes = listed(dims)
    if input.shape is None:
        axes = [axis % len(axes) for axis in axes]
    return b.transpose(input, [b.axis(input, axis) for axis in axes])


@operator("torch.permute", origin=True)
def permute_list(b: Builder, input: Value, dims: Sequence[int]) -> Value:
    return permute(b, input, dims)


@operator("t", "T", "adjoint", "numpy_T")
def t(b: Builder, input: Value) -> Value:
    return b.transpose(input, list(reversed(range(b.rank(input)))))


@operator("mT", "mH", "matrix_H", "H")
def matrix_transpose(b: Builder, input: Value) -> Value:
    return transpose(b, input, -2, -1)


@operator("movedim", "moveaxis")
def movedim(b: Builder, input: Value, source: Ints, destination: Ints) -> Value:
    rank = b.rank(input)
    sources = [axis % rank for axis in ([source] if isinstance(source, int) else source)]
    places = [axis % rank for axis in ([destination] if isinstance(destination, int) else destination)]
    moved = dict(zip(places, sources, strict=True))
    rest = iter(axis for axis in range(rank) if axis not in sources)
    return b.transpose(input, [moved[place] if place in moved else next(rest) for place in range(rank)])


@operator("expand", "broadcast_to", "expand_copy")
def expand(b: Builder, input: Value, *size: Any, implicit: bool = False) -> Value:
    dims = listed(size)
    return _expanded(b, input, b.shape if b.shape is not None and len(b.shape) == len(dims) else dims)


def _expanded(b: Builder, input: Value, dims: Sequence[Any]) -> Value:
    """-1 keeps a length, which a 1 does in ONNX."""
    if input.shape is not None and tuple(dims) == input.shape:
        return input
    wanted = [_kept(input, dim, place - len(dims)) for place, dim in enumerate(dims)]
    return b("Expand", input, b.sizes(wanted, input), shape=None)


def _kept(input: Value, dim: Any, axis: int) -> Any:
    same = input.shape is not None and -axis <= len(input.shape) and input.shape[axis] == dim and dim is not None
    return 1 if same or (type(dim) is int and dim == -1) else dim


@operator("expand_as")
def expand_as(b: Builder, input: Value, other: Value) -> Value:
    return _expanded(b, input, other.shape) if other.shape is not None else b("Expand", input, b.shape_of(other))


@operator("broadcast_tensors")
def broadcast_tensors(b: Builder, *tensors: Any) -> list[Value]:
    if b.shape is None:
        raise NotLowered("shapes that are not known")
    return [_expanded(b, tensor, b.shape) for tensor in listed(tensors)]


@operator("repeat", "tile")
def repeat(b: Builder, input: Value, *repeats: Any) -> Value:
    counts = listed(repeats)
    rank = b.rank(input)
    x = input
    if len(counts) > rank:
        x = b.unsqueeze(input, *range(len(counts) - rank))
    counts = [1] * (rank - len(counts)) + counts
    return x if all(type(n) is int and n == 1 for n in counts) else b("Tile", x, b.sizes(counts), shape=None)


@operator("cat", "concat", "concatenate")
def cat(b: Builder, tensors: Sequence[Value], dim: int = 0) -> Value:
    """Tensors of shape (0,) do not count, whatever the others' rank."""
    kept = [x for x in tensors if x.shape != (0,)] or list(tensors)[:1]
    if len(kept) == 1:
        return b.cast(kept[0], b.dtype)
    return b("Concat", *b.promoted(*kept), shape=None, axis=b.axis(kept[0], dim))


@operator("stack")
def stack(b: Builder, tensors: Sequence[Value], dim: int = 0) -> Value:
    first = tensors[0]
    axis = dim if dim >= 0 else dim + b.rank(first) + 1
    parts = [b.unsqueeze(x, axis) for x in b.promoted(*tensors)]
    return b("Concat", *parts, shape=None, axis=axis)


@operator("vstack", "row_stack")
def vstack(b: Builder, tensors: Sequence[Value]) -> Value:
    rows = [b.unsqueeze(x, *range(2 - b.rank(x))) if b.rank(x) < 2 else x for x in tensors]
    return b("Concat", *b.promoted(*rows), shape=None, axis=0)


@operator("hstack")
def hstack(b: Builder, tensors: Sequence[Value]) -> Value:
    return cat(b, tensors, 0 if b.rank(tensors[0]) == 1 else 1)


@operator("detach", "detach_copy", "data")
def detached(b: Builder, input: Value) -> Value:
    """The same elements, without the gradient: where there can be one, a mark for analyses says so."""
    same(b, input)
    learned = input in b.producers or input.trainable
    if not learned or not is_float(input.dtype or "float32"):
        return input
    mark: Any = {STOPS_GRADIENT: 1}
    return b("Identity", input, shape=input.shape, **mark)


@operator("clone", "contiguous", "alias", "lift_fresh", "lift_fresh_copy", "lift")
@operator("requires_grad", "positive", "cpu", "cuda", "pin_memory", "resolve_conj", "resolve_neg", "alias_copy")
@operator("share_memory", "identity", "conj", "real", "graph_break", "_assert_tensor_metadata")
def same(b: Builder, input: Value, *rest: object, **given: object) -> Value:
    """What leaves every element as it is."""
    if input.dtype is not None and input.dtype.startswith("complex"):
        raise NotLowered("complex numbers")
    return input


@operator("to", "_to_copy", "type", "_autocast_to_full_precision", "_autocast_to_reduced_precision")
def to(b: Builder, input: Value, *rest: Any, dtype: str | None = None, copy: bool = False, **given: Any) -> Value:
    """A Cast to the recorded type; devices do not matter."""
    wanted = b.dtype or dtype or next((_type(x) for x in rest if _type(x)), None)
    return b.cast(input, wanted)


def _type(argument: Any) -> str | None:
    if isinstance(argument, Value):
        return argument.dtype
    name = dtype_name(argument) if isinstance(argument, str) else ""
    return name if is_float(name) or name.startswith(("int", "uint", "bool")) else None


@operator("type_as")
def type_as(b: Builder, input: Value, other: Value) -> Value:
    return b.cast(input, other.dtype)


def _conversion(dtype: str) -> Any:
    def lower(b: Builder, input: Value) -> Value:
        if input.dtype is None:
            return b("Cast", input, dtype=dtype, shape=input.shape, to=ONNX_CODES[dtype])
        return b.cast(input, dtype)

    return lower


for _name in ("float", "double", "half", "bfloat16", "long", "int", "short", "char", "byte", "bool"):
    operator(_name)(_conversion(dtype_name(_name)))
