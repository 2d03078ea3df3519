"""Resampling of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netlint.graph import Value

from .builder import Builder, NotLowered
from .table import operator

_MODES = {
    "nearest": "nearest",
    "linear": "linear",
    "bilinear": "linear",
    "trilinear": "linear",
    "bicubic": "cubic",
    "nearest-exact": "nearest",
}


@operator("interpolate")
def interpolate(
    b: Builder,
    input: Value,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Value:
    if mode == "area":
        raise NotLowered("the mode area")
    count = b.rank(input) - 2
    if size is not None or recompute_scale_factor:
        return _to_size(b, input, _output(b, input, size, scale_factor, count), mode, bool(align_corners), antialias)
    scales = (
        [float(scale_factor)] * count if isinstance(scale_factor, int | float) else [float(x) for x in scale_factor]
    )
    return _resize(b, input, (b.floats(1.0, 1.0, *scales), None), mode, bool(align_corners), antialias)


def _output(b: Builder, input: Value, size: Any, scale: Any, count: int) -> list[Any]:
    if size is not None:
        given = [size] * count if not isinstance(size, list | tuple) else list(size)
        return list(b.shape[2:]) if b.shape is not None else given
    if b.shape is None:
        raise NotLowered("a size that is computed")
    return list(b.shape[2:])


def _to_size(b: Builder, x: Value, size: Sequence[Any], mode: str, corners: bool, antialias: bool) -> Value:
    sizes = b.sizes([*b.dims(x)[:2], *size], x)
    return _resize(b, x, (None, sizes), mode, corners, antialias)


def _resize(
    b: Builder, x: Value, target: tuple[Value | None, Value | None], mode: str, corners: bool, antialias: bool
) -> Value:
    attrs: dict[str, Any] = {"mode": _MODES[mode]}
    if mode == "nearest":
        attrs |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    elif mode == "nearest-exact":
        attrs |= {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}
    else:
        kind = "align_corners" if corners else "pytorch_half_pixel"
        attrs["coordinate_transformation_mode"] = kind if not antialias or corners else "half_pixel"
    if mode == "bicubic":
        attrs["cubic_coeff_a"] = -0.5 if antialias else -0.75
    if antialias:
        attrs |= {"antialias": 1, "exclude_outside": 1}
    return b("Resize", x, None, *target, shape=None, **attrs)


@operator("upsample")
def upsample(
    b: Builder,
    input: Value,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Value:
    return interpolate(b, input, size, scale_factor, mode, align_corners)


def _aten(mode: str, corners: bool, antialias: bool = False) -> Any:
    def lower(b: Builder, input: Value, output_size: Any, *rest: Any, **given: Any) -> Value:
        """aten: (size, align_corners, scales…), or (size, scales…) for the nearest neighbour."""
        aligned = bool(given.get("align_corners", rest[0] if corners and rest else False))
        scales = given.get("scale_factors")
        if scales is None and rest and isinstance(rest[-1], list):
            scales = rest[-1]
        if output_size is None and scales is not None:
            return interpolate(b, input, None, list(scales), mode, aligned, None, antialias)
        per_axis = [x for x in rest[1 if corners else 0 :] if isinstance(x, float)]
        if len(per_axis) == b.rank(input) - 2:
            return interpolate(b, input, None, per_axis, mode, aligned, None, antialias)
        return interpolate(b, input, output_size, None, mode, aligned, None, antialias)

    return lower


for _name, _mode, _corners in (
    *((f"upsample_nearest{count}d", "nearest", False) for count in (1, 2, 3)),
    *((f"_upsample_nearest_exact{count}d", "nearest-exact", False) for count in (1, 2, 3)),
    ("upsample_linear1d", "linear", True),
    ("upsample_bilinear2d", "bilinear", True),
    ("upsample_trilinear3d", "trilinear", True),
    ("upsample_bicubic2d", "bicubic", True),
):
    operator(_name)(_aten(_mode, _corners))
operator("_upsample_bilinear2d_aa")(_aten("bilinear", True, True))
operator("_upsample_bicubic2d_aa")(_aten("bicubic", True, True))


@operator("pixel_shuffle")
def pixel_shuffle(b: Builder, input: Value, upscale_factor: int) -> Value:
    if b.rank(input) != 4:
        raise NotLowered("an image without batch axis")
    return b("DepthToSpace", input, shape=None, blocksize=upscale_factor, mode="CRD")


@operator("pixel_unshuffle")
def pixel_unshuffle(b: Builder, input: Value, downscale_factor: int) -> Value:
    """ONNX's SpaceToDepth puts the channels last, so this is written out."""
    channels, height, width = (b.count(input, axis) for axis in (1, 2, 3))
    factor = downscale_factor
    cut = b.reshape(input, 0, channels, height // factor, factor, width // factor, factor)
    turned = b("Transpose", cut, shape=None, perm=(0, 1, 3, 5, 2, 4))
    dims = (0, channels * factor * factor, height // factor, width // factor)
    return b("Reshape", turned, b.ints(*dims), shape=b.shape)


@operator("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(b: Builder, input: Value, groups: int) -> Value:
    batch, channels, *rest = b.dims(input)
    if not isinstance(channels, int):
        raise NotLowered("an unknown number of channels")
    cut = b("Reshape", input, b.ints(0, groups, channels // groups, -1), shape=None)
    turned = b("Transpose", cut, shape=None, perm=(0, 2, 1, 3))
    if any(not isinstance(length, int) for length in rest):
        return b("Reshape", turned, b.sizes([batch, channels, *rest], input), shape=input.shape)
    return b("Reshape", turned, b.ints(0, channels, *(int(length or 0) for length in rest)), shape=input.shape)


@operator("grid_sample", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def grid_sample(
    b: Builder,
    input: Value,
    grid: Value,
    mode: str | int = "bilinear",
    padding_mode: str | int = "zeros",
    align_corners: bool | None = None,
) -> Value:
    kind = ("bilinear", "nearest", "bicubic")[mode] if isinstance(mode, int) else mode
    border = ("zeros", "border", "reflection")[padding_mode] if isinstance(padding_mode, int) else padding_mode
    attrs: dict[str, Any] = {"mode": _MODES[kind], "padding_mode": border, "align_corners": int(bool(align_corners))}
    return b("GridSample", input, grid, shape=None, **attrs)


@operator("affine_grid", "affine_grid_generator")
def affine_grid(b: Builder, theta: Value, size: Sequence[Any], align_corners: bool | None = None) -> Value:
    return b("AffineGrid", theta, b.sizes(list(size), theta), shape=None, align_corners=int(bool(align_corners)))
