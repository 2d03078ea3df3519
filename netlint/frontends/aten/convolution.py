"""Convolutions and pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netlint.graph import Value

from .builder import Builder, NotLowered
from .table import operator

Sizes = int | Sequence[int]


def several(sizes: Sizes | None, count: int, default: int = 1) -> tuple[int, ...]:
    """One number per axis, as torch repeats a single one."""
    if sizes is None or (not isinstance(sizes, int) and len(sizes) == 0):
        return (default,) * count
    if isinstance(sizes, int):
        return (int(sizes),) * count
    if len(sizes) == 1:
        return (int(sizes[0]),) * count
    return tuple(int(size) for size in sizes)


def _spatial(b: Builder, weight: Value) -> int:
    return b.rank(weight) - 2


def _pads(padding: Sizes | str, kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """Begins, then ends. For `same` the odd one goes to the end, as torch has it."""
    if padding == "valid":
        return (0,) * 2 * len(kernel)
    if padding == "same":
        whole = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return (*(total // 2 for total in whole), *(total - total // 2 for total in whole))
    if isinstance(padding, str):
        raise NotLowered(f"padding {padding}")
    return several(padding, len(kernel), 0) * 2


def _batched(b: Builder, input: Value, spatial: int) -> tuple[Value, bool]:
    """torch takes a single image without a batch axis; ONNX does not."""
    if b.rank(input) == spatial + 1:
        return b.unsqueeze(input, 0), True
    return input, False


@operator("conv1d", "conv2d", "conv3d")
def conv(
    b: Builder,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Value:
    count = _spatial(b, weight)
    kernel, dilations = b.static(weight)[2:], several(dilation, count)
    x, single = _batched(b, input, count) if input.shape is not None else (input, False)
    found = b(
        "Conv",
        x,
        weight,
        bias,
        shape=None,
        kernel_shape=kernel,
        strides=several(stride, count),
        pads=_pads(padding, kernel, dilations),
        dilations=dilations,
        group=groups,
    )
    return b.squeeze(found, 0) if single else found


@operator("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    b: Builder,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Value:
    count = _spatial(b, weight)
    x, single = _batched(b, input, count) if input.shape is not None else (input, False)
    found = b(
        "ConvTranspose",
        x,
        weight,
        bias,
        shape=None,
        kernel_shape=b.static(weight)[2:],
        strides=several(stride, count),
        pads=several(padding, count, 0) * 2,
        output_padding=several(output_padding, count, 0),
        dilations=several(dilation, count),
        group=groups,
    )
    return b.squeeze(found, 0) if single else found


@operator("convolution", "_convolution")
def convolution(
    b: Builder,
    input: Value,
    weight: Value,
    bias: Value | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
    *rest: object,
) -> Value:
    if transposed:
        return conv_transpose(b, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return conv(b, input, weight, bias, stride, padding, dilation, groups)


def _window(
    b: Builder, input: Value, count: int, kernel: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes
) -> dict[str, Any]:
    size = several(kernel, count)
    return {
        "kernel_shape": size,
        "strides": size if stride is None or stride == [] else several(stride, count),
        "pads": several(padding, count, 0) * 2,
        "dilations": several(dilation, count),
    }


def _max_pool(count: int, indices: bool) -> Any:
    def lower(
        b: Builder,
        input: Value,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        window = _window(b, input, count, kernel_size, stride, padding, dilation)
        x, single = _batched(b, input, count)
        attrs = {**window, "ceil_mode": int(ceil_mode)}
        if not (return_indices or indices):
            found = b("MaxPool", x, shape=None, **attrs)
            return b.squeeze(found, 0) if single else found
        pooled, places = b.several("MaxPool", x, types=[x.dtype, "int64"], attrs=attrs)
        return [pooled, _within_plane(b, x, places, count, single)] if not single else _unbatched(b, x, pooled, places)

    return lower


def _within_plane(b: Builder, x: Value, places: Value, count: int, single: bool) -> Value:
    """ONNX counts indices over the whole tensor, torch within a channel."""
    plane = math.prod(b.count(x, axis) for axis in range(-count, 0))
    return b("Mod", places, b.number(plane, "int64"), shape=None)


def _unbatched(b: Builder, x: Value, pooled: Value, places: Value) -> list[Value]:
    places = _within_plane(b, x, places, b.rank(x) - 2, True)
    return [b("Squeeze", value, b.ints(0), shape=None) for value in (pooled, places)]


for _count in (1, 2, 3):
    operator(f"max_pool{_count}d")(_max_pool(_count, False))
    operator(f"max_pool{_count}d_with_indices")(_max_pool(_count, True))


def _avg_pool(count: int) -> Any:
    def lower(
        b: Builder,
        input: Value,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Value:
        window = _window(b, input, count, kernel_size, stride, padding, 1)
        x, single = _batched(b, input, count)
        attrs = {**window, "ceil_mode": int(ceil_mode), "count_include_pad": int(count_include_pad)}
        if divisor_override:
            area = math.prod(window["kernel_shape"])
            attrs["count_include_pad"] = 1
            found = b("AveragePool", x, shape=None, **attrs)
            found = b("Mul", found, b.number(area / divisor_override, x.dtype))
        else:
            found = b("AveragePool", x, shape=None, **attrs)
        return b.squeeze(found, 0) if single else found

    return lower


for _count in (1, 2, 3):
    operator(f"avg_pool{_count}d")(_avg_pool(_count))


def _lp_pool(count: int) -> Any:
    def lower(
        b: Builder,
        input: Value,
        norm_type: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        ceil_mode: bool = False,
    ) -> Value:
        """torch takes the root of the signed sum, which for an even power is the same."""
        if norm_type not in (2, 4, 6):
            raise NotLowered("an odd norm")
        window = _window(b, input, count, kernel_size, stride, 0, 1)
        x, single = _batched(b, input, count)
        found = b("LpPool", x, shape=None, p=int(norm_type), ceil_mode=int(ceil_mode), **window)
        return b.squeeze(found, 0) if single else found

    return lower


for _count in (1, 2, 3):
    operator(f"lp_pool{_count}d")(_lp_pool(_count))


def _adaptive(count: int, op: str) -> Any:
    def lower(b: Builder, input: Value, output_size: Any, return_indices: bool = False) -> Value:
        """To size 1 a global pool; else windows of equal size, where the lengths divide."""
        if return_indices:
            raise NotLowered("indices of an adaptive pool")
        dims = b.dims(input)
        wanted = _wanted(output_size, dims[-count:], count)
        x, single = _batched(b, input, count)
        if all(size == 1 for size in wanted):
            found = b(f"Global{op}Pool", x, shape=None)
        elif wanted == dims[-count:]:
            return input
        else:
            found = _windows(b, x, f"{op}Pool", dims[-count:], wanted)
        return b.squeeze(found, 0) if single else found

    return lower


def _wanted(size: Any, lengths: Sequence[Any], count: int) -> tuple[Any, ...]:
    given = [size] * count if size is None or isinstance(size, int) else list(size)
    given = given * count if len(given) == 1 else given
    return tuple(old if new is None else new for new, old in zip(given, lengths, strict=True))


def _windows(b: Builder, x: Value, op: str, lengths: Sequence[Any], wanted: Sequence[Any]) -> Value:
    if any(not isinstance(old, int) or old % new for old, new in zip(lengths, wanted, strict=True)):
        return _uneven(b, x, op, lengths, wanted)
    size = tuple(old // new for old, new in zip(lengths, wanted, strict=True))
    return b(op, x, shape=None, kernel_shape=size, strides=size)


def _uneven(b: Builder, x: Value, op: str, lengths: Sequence[Any], wanted: Sequence[Any]) -> Value:
    """Windows of unequal size: every one a Slice and a reduction, axis by axis (averages of averages are exact)."""
    if any(not isinstance(old, int) for old in lengths) or sum(wanted) > _MAX_WINDOWS:
        raise NotLowered("windows of unequal size")
    reduce = "ReduceMean" if op == "AveragePool" else "ReduceMax"
    first = b.rank(x) - len(lengths)
    for place, (old, new) in enumerate(zip(lengths, wanted, strict=True)):
        axis = first + place
        if old == new:
            continue
        bounds = [(nth * old // new, -(-(nth + 1) * old // new)) for nth in range(new)]
        parts = [b(reduce, b.slice(x, axis, *bound), b.ints(axis), keepdims=1) for bound in bounds]
        shape = None if x.shape is None else (*x.shape[:axis], new, *x.shape[axis + 1 :])
        x = b("Concat", *parts, shape=shape, axis=axis)
    return x


_MAX_WINDOWS = 64

for _count in (1, 2, 3):
    operator(f"adaptive_avg_pool{_count}d", f"_adaptive_avg_pool{_count}d")(_adaptive(_count, "Average"))
    operator(f"adaptive_max_pool{_count}d")(_adaptive(_count, "Max"))
