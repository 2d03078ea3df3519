"""How wide weighted layers are: features, channels, kernels."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from .layers import Layer


@dataclass(frozen=True, slots=True)
class Conv:
    """One convolution; `extent` is the kernel with its dilation, `cost` the numbers in the weight."""

    inputs: int
    units: int
    groups: int
    extent: tuple[int, ...]
    strides: tuple[int, ...]
    cost: int


def composed(one: Conv, two: Conv, first: str, second: str) -> list[int] | None:
    """The kernel of both convolutions in one, along each axis; None where one convolution cannot do it."""
    if first == "conv-transpose" and second == "conv":
        fine = all(stride == 1 for stride in two.strides)
        return [a + b - 1 for a, b in zip(one.extent, two.extent, strict=True)] if fine else None
    if first == "conv" and second == "conv-transpose" and any(stride != 1 for stride in one.strides):
        return None
    near, far = (one, two) if second == "conv" else (two, one)
    return [a + (b - 1) * s for a, b, s in zip(near.extent, far.extent, near.strides, strict=True)]


def _shape_of(layer: Layer) -> tuple[int, ...] | None:
    shape = layer.weight.shape
    if shape is None and layer.weight.constant is not None:
        shape = layer.weight.constant.shape
    sizes = tuple(size for size in shape or () if isinstance(size, int))
    return sizes if shape and len(sizes) == len(shape) else None


def dense_widths(layer: Layer) -> tuple[int, int] | None:
    """Inputs and units of a dense layer that multiplies the last axis."""
    shape = _shape_of(layer)
    if shape is None or len(shape) != 2 or layer.unit_axis is None or layer.input_axis is None:
        return None
    if layer.node.op == "MatMul" and layer.node.input(0) is not layer.data:
        return None  # W x mixes positions, not features
    if layer.node.op == "Gemm" and (layer.node.attrs.get("transA", 0) or layer.node.input(0) is not layer.data):
        return None
    return shape[layer.input_axis], shape[layer.unit_axis]


def conv_of(layer: Layer) -> Conv | None:
    shape = _shape_of(layer)
    if shape is None or len(shape) < 3:
        return None
    attrs, rank = layer.node.attrs, len(shape) - 2
    groups = int(attrs.get("group", 1))
    strides = tuple(attrs.get("strides", (1,) * rank))
    dilations = tuple(attrs.get("dilations", (1,) * rank))
    if groups < 1 or len(strides) != rank or len(dilations) != rank:
        return None
    extent = tuple((size - 1) * d + 1 for size, d in zip(shape[2:], dilations, strict=True))
    inputs, units = (shape[0], shape[1] * groups) if layer.kind == "conv-transpose" else (shape[1] * groups, shape[0])
    return Conv(inputs, units, groups, extent, strides, prod(shape))
