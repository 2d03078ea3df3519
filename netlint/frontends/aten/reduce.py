"""Reductions, sorting and running sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netlint.graph import Value

from .builder import Builder, NotLowered
from .compare import maximum, minimum
from .table import operator
from .types import is_integral

Axes = int | Sequence[int] | None


def reduced(b: Builder, op: str, x: Value, dim: Axes, keepdim: bool = False) -> Value:
    """One of ONNX's reductions over some axes, or all of them."""
    axes = b.axes(x, dim)
    if x.shape == ():  # one number: nothing to reduce, but ONNX has no axis to name
        x, axes, keepdim = b.unsqueeze(x, 0), None, False
    listed = None if axes is None else b.ints(*axes)
    shape = None
    if x.shape is not None:
        gone = set(range(len(x.shape)) if axes is None else axes)
        shape = tuple(1 if axis in gone else n for axis, n in enumerate(x.shape) if keepdim or axis not in gone)
    return b(op, x, listed, shape=shape, keepdims=int(keepdim))


def _accumulated(b: Builder, input: Value, dtype: str | None) -> Value:
    """Sums of integers are int64 unless told otherwise."""
    return b.cast(input, dtype or ("int64" if is_integral(input.dtype) else None))


@operator("sum")
def total(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False, *, dtype: str | None = None) -> Value:
    return reduced(b, "ReduceSum", _accumulated(b, input, dtype), dim, keepdim)


@operator("prod")
def prod(b: Builder, input: Value, dim: int | None = None, keepdim: bool = False, *, dtype: str | None = None) -> Value:
    return reduced(b, "ReduceProd", _accumulated(b, input, dtype), dim, keepdim)


@operator("mean")
def mean(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False, *, dtype: str | None = None) -> Value:
    return reduced(b, "ReduceMean", b.cast(input, dtype), dim, keepdim)


@operator("logsumexp", "special_logsumexp")
def logsumexp(b: Builder, input: Value, dim: Axes, keepdim: bool = False) -> Value:
    return reduced(b, "ReduceLogSumExp", b.floating(input), dim, keepdim)


@operator("amax")
def amax(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    return reduced(b, "ReduceMax", input, dim, keepdim)


@operator("amin")
def amin(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    return reduced(b, "ReduceMin", input, dim, keepdim)


@operator("aminmax")
def aminmax(b: Builder, input: Value, *, dim: int | None = None, keepdim: bool = False) -> list[Value]:
    return [amin(b, input, dim, keepdim), amax(b, input, dim, keepdim)]


def _extreme(reduce: str, arg: str, elementwise: Any) -> Any:
    def lower(b: Builder, input: Value, dim: Any = None, keepdim: bool = False, other: Value | None = None) -> Any:
        """Of all elements, along an axis with its places, or of two tensors."""
        second = dim if isinstance(dim, Value) else other
        if second is not None:
            return elementwise(b, input, second)
        if dim is None:
            return reduced(b, reduce, input, None)
        return [reduced(b, reduce, input, dim, keepdim), _place(b, arg, input, dim, keepdim)]

    return lower


def _place(b: Builder, op: str, input: Value, dim: int, keepdim: bool) -> Value:
    x = b.unsqueeze(input, 0) if input.shape == () else input
    axis = b.axis(x, dim)
    found = b(op, x, dtype="int64", shape=None, axis=axis, keepdims=int(keepdim))
    return b.reshape(found) if input.shape == () and keepdim else found


operator("max")(_extreme("ReduceMax", "ArgMax", maximum))
operator("min")(_extreme("ReduceMin", "ArgMin", minimum))


def _argument(op: str) -> Any:
    def lower(b: Builder, input: Value, dim: int | None = None, keepdim: bool = False) -> Value:
        if dim is not None:
            return _place(b, op, input, dim, keepdim)
        found = _place(b, op, b.reshape(input, -1), 0, False)
        return found if not keepdim else b.reshape(found, *(1 for _ in range(b.rank(input))))

    return lower


operator("argmax")(_argument("ArgMax"))
operator("argmin")(_argument("ArgMin"))


def _truth(op: str) -> Any:
    def lower(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False) -> Value:
        found = reduced(b, op, b.cast(input, "bool"), dim, keepdim)
        return b.cast(found, b.dtype)

    return lower


operator("any")(_truth("ReduceMax"))
operator("all", "_is_all_true")(_truth("ReduceMin"))


def spread(b: Builder, input: Value, dim: Axes, correction: float | None, keepdim: bool) -> tuple[Value, Value]:
    """Variance and mean (kept axes). The sum of squares is divided by the number of elements less the correction."""
    correction = 1 if correction is None else correction
    centre = reduced(b, "ReduceMean", input, dim, True)
    distance = b("Sub", input, centre)
    squares = b("Mul", distance, distance)
    if correction == 0:
        return reduced(b, "ReduceMean", squares, dim, keepdim), centre
    summed = reduced(b, "ReduceSum", squares, dim, keepdim)
    axes = b.axes(input, dim)
    dims = b.dims(input)
    lengths = [dims[axis] for axis in (range(len(dims)) if axes is None else axes)]
    if all(isinstance(length, int) for length in lengths):
        return b("Div", summed, b.number(max(math.prod(lengths) - correction, 0), input.dtype)), centre  # type: ignore[arg-type]
    count = b.cast(b("ReduceProd", b.sizes(lengths, input), shape=(), keepdims=0), input.dtype)
    return b("Div", summed, b("Sub", count, b.number(correction, input.dtype))), centre


def _spread(root: bool, with_mean: bool) -> Any:
    def lower(
        b: Builder,
        input: Value,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> Any:
        """`var(x, unbiased)`, `var(x, dim, unbiased, keepdim)` and `var(x, dim, correction=, keepdim=)`."""
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if unbiased is not None:
            correction = int(unbiased) if isinstance(unbiased, bool) else unbiased
        variance, centre = spread(b, input, dim, correction, keepdim)
        found = b("Sqrt", variance) if root else variance
        if not with_mean:
            return found
        return [found, centre if keepdim else reduced(b, "ReduceMean", input, dim, False)]

    return lower


operator("var")(_spread(False, False))
operator("std")(_spread(True, False))
operator("var_mean")(_spread(False, True))
operator("std_mean")(_spread(True, True))


@operator("norm", "frobenius_norm", "linalg_norm")
def norm(
    b: Builder,
    input: Value,
    p: float | str | None = 2,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: str | None = None,
    ord: float | str | None = None,
) -> Value:
    kind = p if ord is None else ord
    if isinstance(kind, str):
        if kind != "fro":
            raise NotLowered(f"the norm {kind}")
        kind = 2
    return vector_norm(b, input, 2 if kind is None else kind, dim, keepdim, dtype=dtype)


@operator("vector_norm", "linalg_vector_norm")
def vector_norm(
    b: Builder, x: Value, ord: float = 2, dim: Axes = None, keepdim: bool = False, *, dtype: str | None = None
) -> Value:
    x = b.cast(x, dtype)
    if ord in (1, 2):
        return reduced(b, f"ReduceL{int(ord)}", x, dim, keepdim)
    size = b("Abs", x)
    if math.isinf(ord):
        return reduced(b, "ReduceMax" if ord > 0 else "ReduceMin", size, dim, keepdim)
    if ord == 0:
        counted = b.cast(b("Not", b("Equal", x, b.number(0, x.dtype))), x.dtype)
        return reduced(b, "ReduceSum", counted, dim, keepdim)
    total = reduced(b, "ReduceSum", b("Pow", size, b.number(ord, x.dtype)), dim, keepdim)
    return b("Pow", total, b.number(1 / ord, x.dtype))


@operator("dist")
def dist(b: Builder, input: Value, other: Value, p: float = 2) -> Value:
    return vector_norm(b, b("Sub", input, other), p)


@operator("renorm")
def renorm(b: Builder, input: Value, p: float, dim: int, maxnorm: float) -> Value:
    """Slices along an axis with a greater norm are scaled down to it."""
    axes = [axis for axis in range(b.rank(input)) if axis != b.axis(input, dim)]
    length, most = vector_norm(b, input, p, axes, True), b.number(maxnorm, input.dtype)
    scale = b("Div", most, b("Add", length, b.number(1e-7, input.dtype)))
    return b("Mul", input, b("Where", b("Greater", length, most), scale, b.number(1, input.dtype)), shape=input.shape)


@operator("cumsum")
def cumsum(b: Builder, input: Value, dim: int, *, dtype: str | None = None) -> Value:
    x = _accumulated(b, input, dtype)
    return b("CumSum", x, b.number(b.axis(x, dim), "int64")) if x.shape != () else x


@operator("topk")
def topk(b: Builder, input: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> list[Value]:
    attrs = {"axis": b.axis(input, dim), "largest": int(largest), "sorted": int(sorted)}
    return b.several("TopK", input, b.sizes([k]), types=[input.dtype, "int64"], attrs=attrs)


@operator("sort", "msort")
def sort(b: Builder, input: Value, dim: Any = -1, descending: bool = False, *, stable: bool = False) -> list[Value]:
    """A TopK of as many elements as there are."""
    axis = b.axis(input, dim)
    attrs = {"axis": axis, "largest": int(descending), "sorted": 1}
    return b.several("TopK", input, b.size(input, axis), types=[input.dtype, "int64"], attrs=attrs)


@operator("argsort")
def argsort(b: Builder, input: Value, dim: int = -1, descending: bool = False, stable: bool = False) -> Value:
    return sort(b, input, dim, descending)[1]


@operator("kthvalue")
def kthvalue(b: Builder, input: Value, k: int, dim: int = -1, keepdim: bool = False) -> list[Value]:
    axis = b.axis(input, dim)
    attrs = {"axis": axis, "largest": 0, "sorted": 1}
    found = b.several("TopK", input, b.ints(k), types=[input.dtype, "int64"], attrs=attrs)
    parts = [b("Slice", x, b.ints(k - 1), b.ints(k), b.ints(axis), shape=None) for x in found]
    return parts if keepdim else [b("Squeeze", x, b.ints(axis), shape=None) for x in parts]


@operator("median")
def median(b: Builder, input: Value, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the two in the middle."""
    if dim is None:
        count = math.prod(b.static(input))
        return kthvalue(b, b.reshape(input, -1), (count + 1) // 2, 0)[0]
    length = b.count(input, b.axis(input, dim))
    return kthvalue(b, input, (length + 1) // 2, dim, keepdim)


@operator("nonzero", "argwhere")
def nonzero(b: Builder, input: Value, *, as_tuple: bool = False) -> Any:
    rank = b.rank(input)
    places = b("NonZero", input, dtype="int64", shape=(rank, None))
    if not as_tuple:
        return b("Transpose", places, shape=(None, rank), perm=(1, 0))
    return [b("Gather", places, b.number(axis, "int64"), shape=(None,), axis=0) for axis in range(rank)]


@operator("count_nonzero")
def count_nonzero(b: Builder, input: Value, dim: Axes = None) -> Value:
    return reduced(b, "ReduceSum", b.cast(b.cast(input, "bool"), "int64"), dim)


@operator("diff")
def diff(b: Builder, input: Value, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Value:
    axis = b.axis(input, dim)
    parts = [part for part in (prepend, input, append) if part is not None]
    x = b("Concat", *parts, shape=None, axis=axis) if len(parts) > 1 else input
    for _ in range(n):
        later = b("Slice", x, b.ints(1), b.ints((1 << 63) - 1), b.ints(axis), shape=None)
        earlier = b("Slice", x, b.ints(0), b.ints(-1), b.ints(axis), shape=None)
        x = b("Not", b("Equal", later, earlier)) if x.dtype == "bool" else b("Sub", later, earlier)
    return x
