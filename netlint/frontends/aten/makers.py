"""Tensors made from nothing: filled, counted, random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netlint.graph import Dim, Value, is_float

from .builder import Builder, NotLowered
from .calls import Length
from .layout import detached, listed
from .literals import Literal
from .pointwise import Operand
from .table import operator
from .types import ONNX_CODES

_MAX_ITEMS = 4096
"""A tensor of literals with more elements than this is not written out."""


def _dims(b: Builder, given: Sequence[Any]) -> list[Any]:
    """The lengths of the result: as recorded, else as written."""
    if b.shape is not None and None not in b.shape:
        return list(b.shape)
    return [dim.symbol if isinstance(dim, Length) else dim for dim in listed(given)]


def _filled(b: Builder, dims: Sequence[Value | Dim], number: Operand, dtype: str | None) -> Value:
    """A constant where all lengths are numbers, else an Expand of one number."""
    dtype = b.dtype or dtype or "float32"
    if isinstance(number, Value):
        return b.expand(b.cast(number, dtype), tuple(dims)) if dims else b.cast(number, dtype)  # type: ignore[arg-type]
    if all(isinstance(dim, int) for dim in dims):
        sizes = [dim for dim in dims if isinstance(dim, int)]
        tensor = b.number(number, dtype).constant
        return b("Expand", b.number(number, dtype), b.ints(*sizes), shape=tuple(sizes)) if tensor else b.ints()
    return b("Expand", b.number(number, dtype), b.sizes(dims), shape=None)


def _maker(number: float) -> Any:
    def lower(b: Builder, *size: Any, dtype: str | None = None) -> Value:
        return _filled(b, _dims(b, size), number, dtype)

    return lower


operator("zeros")(_maker(0))
operator("ones")(_maker(1))
operator("empty", "empty_strided", "new_empty_strided", "empty_permuted")(_maker(0))


def _maker_like(number: float) -> Any:
    def lower(b: Builder, input: Value, *rest: Any, dtype: str | None = None, **given: Any) -> Value:
        return _like(b, input, number, dtype)

    return lower


def _like(b: Builder, input: Value, number: Operand, dtype: str | None) -> Value:
    dims = b.shape if b.shape is not None else input.shape
    if dims is None:
        return b("Expand", b.tensor(number, dtype or input.dtype), b.shape_of(input), shape=None)
    if all(isinstance(dim, int) for dim in dims):
        return _filled(b, dims, number, dtype or input.dtype)
    filler = b.tensor(number, b.dtype or dtype or input.dtype)
    return b("Expand", filler, b.shape_of(input) if dims == input.shape else b.sizes(dims, input), shape=dims)


operator("zeros_like")(_maker_like(0))
operator("ones_like")(_maker_like(1))
operator("empty_like")(_maker_like(0))


def _new(number: float) -> Any:
    def lower(b: Builder, input: Value, *size: Any, dtype: str | None = None) -> Value:
        return _filled(b, _dims(b, size), number, dtype or input.dtype)

    return lower


operator("new_zeros")(_new(0))
operator("new_ones")(_new(1))
operator("new_empty")(_new(0))


@operator("full")
def full(b: Builder, size: Sequence[Any], fill_value: Operand, *, dtype: str | None = None) -> Value:
    return _filled(b, _dims(b, [size]), fill_value, dtype)


@operator("full_like")
def full_like(b: Builder, input: Value, fill_value: Operand, *, dtype: str | None = None) -> Value:
    return _like(b, input, fill_value, dtype)


@operator("new_full")
def new_full(b: Builder, input: Value, size: Any, fill_value: Operand, *, dtype: str | None = None) -> Value:
    return _filled(b, _dims(b, [size]), fill_value, dtype or input.dtype)


@operator("tensor", "new_tensor", "scalar_tensor", "from_numpy")
def copied(b: Builder, data: Any, *rest: Any, dtype: str | None = None, **given: Any) -> Value:
    """What is made of a tensor's numbers has no gradient to it."""
    made = tensor(b, data, *rest, dtype=dtype, **given)
    return detached(b, made) if isinstance(data, Value) else made


@operator("as_tensor", "asarray")
def tensor(b: Builder, data: Any, *rest: Any, dtype: str | None = None, **given: Any) -> Value:
    """Literals; a tensor goes through as it is."""
    if rest and isinstance(data, Value):
        data = rest[0]
    if isinstance(data, Value):
        return b.cast(data, b.dtype or dtype)
    items, shape = _flat(data)
    if any(isinstance(item, Value | Length) for item in items):
        raise NotLowered("a tensor of computed numbers")
    kind = b.dtype or dtype or ("float32" if any(isinstance(item, float) for item in items) else "int64")
    convert = float if is_float(kind) else bool if kind == "bool" else int
    return b.constant(Literal(kind, shape, tuple(convert(item) for item in items)))


def _flat(data: Any) -> tuple[list[Any], tuple[int, ...]]:
    """Elements and shape of nested lists."""
    if not isinstance(data, list | tuple):
        if not isinstance(data, bool | int | float | Value):
            raise NotLowered("a tensor of other things than numbers")
        return [data], ()
    parts = [_flat(item) for item in data]
    if len({shape for _, shape in parts}) > 1:
        raise NotLowered("lists of unequal length")
    items = [item for part, _ in parts for item in part]
    if len(items) > _MAX_ITEMS:
        raise NotLowered("a long list")
    return items, (len(parts), *(parts[0][1] if parts else ()))


@operator("arange")
def arange(
    b: Builder, start: Operand, end: Operand | None = None, step: Operand = 1, *, dtype: str | None = None
) -> Value:
    first, last = (0, start) if end is None else (start, end)
    if b.shape is not None and type(last) is int and not isinstance(b.shape[0], int):
        if b.shape[0] is None or (first, step) != (0, 1):
            raise NotLowered("as many numbers as the data say")
        last = Length(last, b.shape[0])
    kind = b.dtype or dtype or "int64"
    if kind not in ("int64", "int32", "int16", "float32", "float64"):
        return b.cast(b("Range", *(b.tensor(x, "float32") for x in (first, last, step)), shape=None), kind)
    if is_float(kind):
        return b("Range", *(b.tensor(x, kind) for x in (first, last, step)), dtype=kind, shape=b.shape)
    numbers = (first, last, step)
    if any(isinstance(x, float) and x != int(x) for x in numbers):
        return b.cast(b("Range", *(b.tensor(x, "float32") for x in numbers), shape=b.shape), kind)
    return b("Range", *(b.tensor(x, kind) for x in numbers), dtype=kind, shape=b.shape)


@operator("linspace")
def linspace(b: Builder, start: float, end: float, steps: int, *, dtype: str | None = None) -> Value:
    if isinstance(start, Value) or isinstance(end, Value) or not isinstance(steps, int) or steps > _MAX_ITEMS:
        raise NotLowered("computed bounds")
    kind = b.dtype or dtype or "float32"
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    items = [start + step * nth if nth < steps / 2 else end - step * (steps - 1 - nth) for nth in range(steps)]
    return b.constant(Literal(kind, (steps,), tuple(items)))


@operator("logspace")
def logspace(
    b: Builder, start: float, end: float, steps: int, base: float = 10.0, *, dtype: str | None = None
) -> Value:
    exponents = linspace(b, start, end, steps, dtype=dtype)
    return b("Pow", b.number(base, exponents.dtype), exponents, shape=exponents.shape)


@operator("eye")
def eye(b: Builder, n: int, m: int | None = None, *, dtype: str | None = None) -> Value:
    kind = b.dtype or dtype or "float32"
    rows, columns = _dims(b, [[n, n if m is None else m]])
    blank = _filled(b, [rows, columns], 0, kind)
    return b("EyeLike", blank, dtype=kind, shape=(rows, columns))


def _triangle(upper: int) -> Any:
    def lower(b: Builder, input: Value, diagonal: int = 0) -> Value:
        k = () if diagonal == 0 else (b.number(diagonal, "int64"),)
        return b("Trilu", input, *k, shape=input.shape, upper=upper)

    return lower


operator("tril")(_triangle(0))
operator("triu")(_triangle(1))


@operator("meshgrid")
def meshgrid(b: Builder, *tensors: Any, indexing: str = "ij") -> list[Value]:
    parts = listed(tensors)
    count = len(parts)
    order = list(range(count))
    if indexing == "xy" and count > 1:
        order[0], order[1] = 1, 0
    lengths = [b.size(parts[order.index(axis)], 0) for axis in range(count)]
    shape = b("Concat", *lengths, dtype="int64", shape=(count,), axis=0)
    found = []
    for place, part in enumerate(parts):
        others = [axis for axis in range(count) if axis != order[place]]
        found.append(b("Expand", b.unsqueeze(part, *others) if others else part, shape, shape=None))
    return found


def _random(op: str, **attrs: Any) -> Any:
    """Into memory that is there, or of a given size; nothing is said of the numbers but their distribution."""

    def lower(b: Builder, *given: Any, dtype: str | None = None) -> Value:
        kind = b.dtype or dtype or "float32"
        if given and isinstance(given[0], Value) and given[0].shape is not None:
            return b(f"{op}Like", given[0], dtype=kind, shape=given[0].shape, dtype_=ONNX_CODES[kind], **attrs)
        dims = _dims(b, given)
        if all(isinstance(dim, int) for dim in dims):
            return b(op, dtype=kind, shape=tuple(dims), dtype_=ONNX_CODES[kind], shape_=tuple(dims), **attrs)
        return b(f"{op}Like", _filled(b, dims, 0, kind), dtype=kind, shape=None, **attrs)

    return lower


operator("randn", "randn_like")(_random("RandomNormal"))
operator("rand", "rand_like")(_random("RandomUniform"))


@operator("normal_")
def normal_(b: Builder, input: Value, mean: float = 0, std: float = 1) -> Value:
    return b("RandomNormalLike", input, shape=input.shape, mean=float(mean), scale=float(std))


@operator("uniform_")
def uniform_(b: Builder, input: Value, low: float = 0, high: float = 1, **given: float) -> Value:
    bounds: dict[str, Any] = {"low": float(given.get("from", low)), "high": float(given.get("to", high))}
    return b("RandomUniformLike", input, shape=input.shape, **bounds)


@operator("bernoulli")
def bernoulli(b: Builder, input: Value, p: float | None = None) -> Value:
    if p is not None:
        raise NotLowered("one probability for all")
    return b("Bernoulli", input, shape=input.shape)


@operator("bernoulli_")
def bernoulli_(b: Builder, input: Value, p: Operand = 0.5) -> Value:
    if isinstance(p, Value):
        return b.cast(b("Bernoulli", p, shape=p.shape), input.dtype)
    return b("Bernoulli", _like(b, input, p, input.dtype), shape=input.shape)


@operator("multinomial")
def multinomial(b: Builder, input: Value, num_samples: int, replacement: bool = False) -> Value:
    """ONNX draws by logarithms. Those of a softmax are at hand; nobody wrote the others, and they would be judged."""
    if not replacement and num_samples != 1:
        raise NotLowered("drawing without replacement")
    softmax = b.producers.get(input)
    if softmax is None or softmax.op != "Softmax" or softmax.attrs.get("axis", -1) not in (-1, b.rank(input) - 1):
        raise NotLowered("drawing by probabilities that are no softmax")
    logits = softmax.inputs[0]
    assert logits is not None
    x = logits if b.rank(input) == 2 else b.unsqueeze(logits, 0)
    found = b("Multinomial", x, dtype="int64", shape=None, sample_size=num_samples, dtype_=7)
    return found if x is logits else b.squeeze(found, 0)


@operator("sym_size", "size")
def size(b: Builder, input: Value, dim: int) -> Value:
    """The length of one axis, as a number."""
    return b("Squeeze", b._length_of(input, b.axis(input, dim)), b.ints(0), shape=())


@operator("sym_numel", "numel")
def numel(b: Builder, input: Value) -> Value:
    return b("Size", input, dtype="int64", shape=())


@operator("hann_window")
def hann_window(b: Builder, window_length: int, periodic: bool = True, *, dtype: str | None = None) -> Value:
    return b(
        "HannWindow", b.number(window_length, "int64"), dtype="float32", shape=(window_length,), periodic=int(periodic)
    )
