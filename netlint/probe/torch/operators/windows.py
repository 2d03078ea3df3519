"""Convolutions and pools: operators with a window that moves along the axes of space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from .call import Call, Function

_CONV: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_BACK: dict[int, Callable[..., Tensor]] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MOST: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def _listed(call: Call, name: str, count: int) -> list[int]:
    return list(call.attr(name) or (1,) * count)


def _pads(call: Call, x: Tensor, window: Sequence[int], strides: Sequence[int]) -> tuple[list[int], list[int]]:
    """Before and after each axis of space; `window`: its length on each axis, with what it leaps over."""
    count, how = len(window), call.attr("auto_pad", "NOTSET")
    if how in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max((-(-length // stride) - 1) * stride + reach - length, 0)
            for length, reach, stride in zip(x.shape[2:], window, strides, strict=True)
        ]
        small, large = [each // 2 for each in total], [each - each // 2 for each in total]
        return (small, large) if how == "SAME_UPPER" else (large, small)
    stated = list(call.attr("pads") or (0,) * (2 * count))
    return stated[:count], stated[count:]


def _padded(x: Tensor, before: Sequence[int], after: Sequence[int], number: float = 0.0) -> Tensor:
    flat = [end for pair in reversed(list(zip(before, after, strict=True))) for end in pair]
    return F.pad(x, flat, value=number) if any(flat) else x


def _reach(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    return [(length - 1) * gap + 1 for length, gap in zip(kernel, dilations, strict=True)]


def _spatial(call: Call) -> int:
    count = call.x.dim() - 2
    if count not in _CONV:
        raise call.refused(f"works on {count} axes of space")
    return count


def _conv(call: Call) -> Tensor:
    count = _spatial(call)
    strides, dilations = _listed(call, "strides", count), _listed(call, "dilations", count)
    before, after = _pads(call, call.x, _reach(call[1].shape[2:], dilations), strides)
    groups = call.attr("group", 1)
    if before == after:
        return _CONV[count](call.x, call[1], call.get(2), strides, before, dilations, groups)
    return _CONV[count](_padded(call.x, before, after), call[1], call.get(2), strides, 0, dilations, groups)


def _conv_transpose(call: Call) -> Tensor:
    count = _spatial(call)
    strides, dilations = _listed(call, "strides", count), _listed(call, "dilations", count)
    further = list(call.attr("output_padding") or (0,) * count)
    reach = _reach(call[1].shape[2:], dilations)
    full = [
        (length - 1) * stride + window + more
        for length, stride, window, more in zip(call.x.shape[2:], strides, reach, further, strict=True)
    ]
    before, after = _cropped(call, full, strides)
    whole = _BACK[count](call.x, call[1], call.get(2), strides, 0, 0, call.attr("group", 1), dilations)
    missing = [wanted - length for wanted, length in zip(full, whole.shape[2:], strict=True)]
    if any(missing):  # torch takes no output padding beyond the stride
        bias = call.get(2)
        bare = whole if bias is None else whole - bias.reshape(-1, *[1] * count)
        bare = _padded(bare, [0] * count, missing)
        whole = bare if bias is None else bare + bias.reshape(-1, *[1] * count)
    cuts = [slice(start, length - end) for start, end, length in zip(before, after, whole.shape[2:], strict=True)]
    return whole[(..., *cuts)]


def _cropped(call: Call, full: Sequence[int], strides: Sequence[int]) -> tuple[list[int], list[int]]:
    """What is cut off before and after each axis."""
    shape, how = call.attr("output_shape"), call.attr("auto_pad", "NOTSET")
    if shape is None and how not in ("SAME_UPPER", "SAME_LOWER"):
        return _pads(call, call.x, full, strides)
    wanted = shape or [length * stride for length, stride in zip(call.x.shape[2:], strides, strict=True)]
    total = [length - want for length, want in zip(full, wanted, strict=True)]
    if min(total) < 0:
        raise call.refused("is longer than what it computes")
    small, large = [each // 2 for each in total], [each - each // 2 for each in total]
    return (small, large) if how == "SAME_UPPER" else (large, small)


def _pooled(call: Call) -> tuple[list[int], list[int], list[int], list[int], list[int], list[int]]:
    """Kernel, strides, dilations, pads before and after, and what the last window reaches beyond them."""
    count = _spatial(call)
    kernel, strides = list(call.attr("kernel_shape")), _listed(call, "strides", count)
    dilations = _listed(call, "dilations", count)
    reach = _reach(kernel, dilations)
    before, after = _pads(call, call.x, reach, strides)
    beyond = [0] * count
    if call.attr("ceil_mode", 0):
        for axis, length in enumerate(call.x.shape[2:]):
            room = length + before[axis] + after[axis] - reach[axis]
            steps = -(-room // strides[axis])
            if steps * strides[axis] >= length + before[axis]:  # the last window may not begin in the padding
                steps -= 1
            beyond[axis] = max(steps * strides[axis] - room, 0)
    return kernel, strides, dilations, before, after, beyond


def _max_pool(call: Call) -> Tensor:
    if call.wants(1):
        raise call.refused("tells where the largest elements were")
    kernel, strides, dilations, before, after, beyond = _pooled(call)
    ends = [end + more for end, more in zip(after, beyond, strict=True)]
    low = -torch.inf if call.x.is_floating_point() else torch.iinfo(call.x.dtype).min
    x = _padded(call.x, before, ends, low)
    return _MOST[len(kernel)](x, kernel, strides, 0, dilations)


def _average_pool(call: Call) -> Tensor:
    """Sums over counts: what counts is what lies inside, with or without the padding."""
    kernel, strides, dilations, before, after, beyond = _pooled(call)
    inside = torch.ones((1, 1, *call.x.shape[2:]), dtype=call.x.dtype, device=call.x.device)
    counted = _padded(inside, before, after, 1.0 if call.attr("count_include_pad", 0) else 0.0)
    x = _padded(_padded(call.x, before, after), [0] * len(kernel), beyond)
    counted = _padded(counted, [0] * len(kernel), beyond)
    return _sums(x, kernel, strides, dilations) / _sums(counted, kernel, strides, dilations)


def _sums(x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Tensor:
    """Over each window."""
    count, flat = len(kernel), x.reshape(-1, 1, *x.shape[2:])
    ones = torch.ones((1, 1, *kernel), dtype=x.dtype, device=x.device)
    if max(dilations) == 1 and count < 4:
        pool: Callable[..., Tensor] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[count]
        return pool(x, kernel, strides) * prod(kernel)
    found = _CONV[count](flat, ones, None, strides, 0, dilations)
    return found.reshape(*x.shape[:2], *found.shape[2:])


def _power_pool(call: Call) -> Tensor:
    kernel, strides, dilations, before, after, beyond = _pooled(call)
    power = float(call.attr("p", 2))
    x = _padded(call.x.abs() ** power, before, [end + more for end, more in zip(after, beyond, strict=True)])
    return _sums(x, kernel, strides, dilations) ** (1 / power)


def _space(call: Call) -> tuple[int, ...]:
    return tuple(range(2, call.x.dim()))


def _global_average(call: Call) -> Tensor:
    return call.x.mean(_space(call), keepdim=True)


def _global_max(call: Call) -> Tensor:
    return call.x.amax(_space(call), keepdim=True)


_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def _resize(call: Call) -> Tensor:
    """As torch does it, which is one of ONNX's many ways. Raises `Unavailable` for the others."""
    scales, sizes = call.numbers(2, "scales"), call.numbers(3, "sizes")
    axes = call.attr("axes")
    rank = call.x.dim()
    if axes is not None:
        scales = _spread(scales, axes, [1.0] * rank) if scales else None
        sizes = _spread(sizes, axes, list(call.x.shape)) if sizes else None
    return _resampled(call, [float(each) for each in scales] if scales else None, sizes or None)


def _spread(given: Sequence[float], axes: Sequence[int], whole: list[float]) -> list[float]:
    for axis, number in zip(axes, given, strict=True):
        whole[axis] = number
    return whole


def _upsample(call: Call) -> Tensor:
    return _resampled(call, [float(each) for each in call.numbers(1, "scales") or []], None)


def _resampled(call: Call, scales: Sequence[float] | None, sizes: Sequence[float] | None) -> Tensor:
    count = _spatial(call)
    mode, corners = _mode(call, count)
    kept = {"align_corners": corners} if "nearest" not in mode else {}
    smooth = bool(call.attr("antialias", 0))
    lengths = call.x.shape[2:]
    if scales is not None:
        factors, others = list(scales[2:]), any(scale != 1 for scale in scales[:2])
        target = [int(length * factor) for length, factor in zip(lengths, factors, strict=True)]
        whole = all(length * factor == to for length, factor, to in zip(lengths, factors, target, strict=True))
    else:
        given = [int(length) for length in sizes or ()]
        target, others, whole = given[2:], given[:2] != list(call.x.shape[:2]), True
    if others or _off(call, target, whole, corners, smooth):
        raise call.refused("resamples in a way that torch does not")
    if scales is None or whole:
        return F.interpolate(call.x, target, mode=mode, antialias=smooth, **kept)
    return F.interpolate(
        call.x, scale_factor=factors, mode=mode, antialias=smooth, recompute_scale_factor=False, **kept
    )


def _off(call: Call, target: Sequence[int], whole: bool, corners: bool, smooth: bool) -> bool:
    """Whether the two mean something else by the same words."""
    if call.attr("keep_aspect_ratio_policy", "stretch") != "stretch" or (corners and not whole):
        return True
    if smooth:
        return not call.attr("exclude_outside", 0)
    if call.attr("coordinate_transformation_mode") == "pytorch_half_pixel" and 1 in target:
        return True
    down = call.attr("nearest_mode", "round_prefer_floor") == "round_prefer_floor"
    return call.attr("mode", "nearest") == "nearest" and down and _halfway(call, target)


def _halfway(call: Call, target: Sequence[int]) -> bool:
    """Whether a place lies in the middle between two elements: they round it to different sides."""
    pairs = zip(call.x.shape[2:], target, strict=True)
    return any((2 * at + 1) * length % (2 * to) == 0 for length, to in pairs for at in range(to))


def _mode(call: Call, count: int) -> tuple[str, bool]:
    """As torch calls it, and whether the corners are aligned."""
    mode = str(call.attr("mode", "nearest"))
    old = call.node.op == "Upsample" or call.opset < 11
    places = "asymmetric" if old else str(call.attr("coordinate_transformation_mode", "half_pixel"))
    if mode == "nearest":
        rounding = "floor" if old else str(call.attr("nearest_mode", "round_prefer_floor"))
        if (places, rounding) == ("asymmetric", "floor"):
            return "nearest", False
        if places in ("half_pixel", "pytorch_half_pixel") and rounding.startswith("round"):
            return "nearest-exact", False
    elif places in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        if mode == "linear" and count in _LINEAR:
            return _LINEAR[count], places == "align_corners"
        cubic = -0.5 if call.attr("antialias", 0) else -0.75
        if mode == "cubic" and count == 2 and call.attr("cubic_coeff_a", -0.75) == cubic:
            return "bicubic", places == "align_corners"
    raise call.refused(f"resamples in a way that torch has none for: {mode}, {places}")


def _grid_sample(call: Call) -> Tensor:
    mode = str(call.attr("mode", "linear"))
    names = {
        "linear": "bilinear",
        "bilinear": "bilinear",
        "nearest": "nearest",
        "cubic": "bicubic",
        "bicubic": "bicubic",
    }
    border = str(call.attr("padding_mode", "zeros"))
    return F.grid_sample(call.x, call[1], names[mode], border, bool(call.attr("align_corners", 0)))


def _affine_grid(call: Call) -> Tensor:
    return F.affine_grid(call.x, call.numbers(1, "") or [], bool(call.attr("align_corners", 0)))


def _blocks_to_image(call: Call) -> Tensor:
    """Col2Im."""
    image, block = call.numbers(1, "") or [], call.numbers(2, "") or []
    count = len(image)
    pads = list(call.attr("pads") or (0,) * (2 * count))
    if count != 2 or pads[:count] != pads[count:]:
        raise call.refused("glues blocks of other shapes")
    return F.fold(call.x, image, block, _listed(call, "dilations", 2), pads[:count], _listed(call, "strides", 2))


TABLE: dict[str, Function] = {
    "AffineGrid": _affine_grid,
    "AveragePool": _average_pool,
    "Col2Im": _blocks_to_image,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": _global_average,
    "GlobalMaxPool": _global_max,
    "GridSample": _grid_sample,
    "LpPool": _power_pool,
    "MaxPool": _max_pool,
    "Resize": _resize,
    "Upsample": _upsample,
}
