"""Rules, as in `sizes`, for convolution and pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from netlint.frontends.torch.sizes import alike, enter, fresh


def spatial(input: Any, shape: Sequence[int], channels: int | None = None) -> Any:
    """A new image of other lengths and channels, its axes in memory in the order of the input's."""
    full = (input.shape[0], input.shape[1] if channels is None else channels, *shape)
    if input.dim() == 4 and not input.is_contiguous() and input.is_contiguous(memory_format=torch.channels_last):
        return alike(fresh((full[0], full[2], full[3], full[1]), input.dtype).permute(0, 3, 1, 2))
    return fresh(full, input.dtype)


def _each(value: Any, axes: int) -> Any:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    values = values * axes if len(values) == 1 else values
    return values if len(values) == axes and all(type(part) is int for part in values) else None


def _conv(axes: int) -> Callable[..., Any]:
    def rule(
        input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Any:
        if input.dim() != axes + 2 or weight.dim() != axes + 2 or padding == "valid":
            return None
        dilations, strides = _each(dilation, axes), _each(stride, axes)
        pads = None if padding == "same" else _each(padding, axes)
        if dilations is None or strides is None or not _fit(input, weight, bias, 1, groups):
            return None
        kernel = [d * (k - 1) + 1 for d, k in zip(dilations, weight.shape[2:], strict=True)]
        if padding == "same" and set(strides) == {1}:
            return spatial(input, input.shape[2:], weight.shape[0])
        if pads is None:
            return None
        sizes = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(input.shape[2:], pads, kernel, strides, strict=True)]
        return spatial(input, sizes, weight.shape[0]) if min(sizes) > 0 else None

    return rule


def _fit(input: Any, weight: Any, bias: Any, inner: int, groups: int) -> bool:
    """Whether channels and types agree; `inner` is the axis of the weight that is split into groups."""
    outer = weight.shape[1 - inner] * (groups if inner == 0 else 1)
    taken = weight.shape[inner] * (groups if inner == 1 else 1)
    same = input.dtype is weight.dtype and (bias is None or (bias.dtype is input.dtype and bias.shape == (outer,)))
    return same and input.shape[1] == taken and weight.shape[0] % groups == 0 and bool(input.dtype.is_floating_point)


def _conv_transpose(axes: int) -> Callable[..., Any]:
    def rule(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        parts = [_each(value, axes) for value in (stride, padding, output_padding, dilation)]
        if input.dim() != axes + 2 or weight.dim() != axes + 2 or None in parts:
            return None
        if not _fit(input, weight, bias, 0, groups):
            return None
        sizes = [
            (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
            for n, k, s, p, extra, d in zip(input.shape[2:], weight.shape[2:], *parts, strict=True)
        ]
        if min(sizes) < 1 or any(extra >= s for extra, s in zip(parts[2], parts[0], strict=True)):
            return None
        return spatial(input, sizes, weight.shape[1] * groups)

    return rule


def _pooled(input: Any, axes: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Any:
    parts = [_each(value, axes) for value in (kernel, stride or kernel, padding, dilation)]
    if input.dim() != axes + 2 or None in parts or not input.dtype.is_floating_point:
        return None
    sizes = []
    for n, k, s, p, d in zip(input.shape[2:], *parts, strict=True):
        if 2 * p > k or s < 1:
            return None
        size = -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1 if ceil else (n + 2 * p - d * (k - 1) - 1) // s + 1
        sizes.append(size - 1 if ceil and (size - 1) * s >= n + p else size)
    return spatial(input, sizes) if min(sizes) > 0 and input.numel() else None


def _max_pool(axes: int) -> Callable[..., Any]:
    def rule(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        made = _pooled(input, axes, kernel_size, stride, padding, dilation, ceil_mode)
        return made if made is None or not return_indices else (made, alike(made, torch.int64))

    return rule


def _avg_pool(axes: int) -> Callable[..., Any]:
    def rule(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, *a: Any, **kw: Any
    ) -> Any:
        return _pooled(input, axes, kernel_size, stride, padding, 1, ceil_mode)

    return rule


for _axes in (1, 2, 3):
    enter(_conv(_axes), f"conv{_axes}d")
    enter(_conv_transpose(_axes), f"conv_transpose{_axes}d")
    enter(_max_pool(_axes), f"max_pool{_axes}d")
    enter(_avg_pool(_axes), f"avg_pool{_axes}d")
