"""Shapes after operators that make tensors from shapes and numbers, or change the grid of an image."""

from __future__ import annotations

from math import ceil

from netlint.graph import Dim, Node, Shape

from ._shapes_dims import MAX_RANK, Known, axis_of, float32, times, unknown
from ._shapes_layout import Single


def _shape(node: Node, facts: Known) -> Shape | None:
    shape = facts.of(node.input(0))
    if shape is None:
        return (None,)
    start, end = node.attrs.get("start", 0), node.attrs.get("end", len(shape))
    return (len(shape[start:end]),)


def _scalar(node: Node, facts: Known) -> Shape | None:
    return ()


def _made(node: Node, facts: Known) -> Shape | None:
    """ConstantOfShape: the input holds the shape."""
    target = facts.ints(node.input(0))
    if target is not None:
        return target if len(target) <= MAX_RANK else None
    length = facts.of(node.input(0))
    return unknown(min(length[0], MAX_RANK)) if length and isinstance(length[0], int) else None


def _random(node: Node, facts: Known) -> Shape | None:
    listed = node.attrs.get("shape")
    return listed if isinstance(listed, tuple) and len(listed) <= MAX_RANK else None


def _range(node: Node, facts: Known) -> Shape | None:
    ends = [facts.ints(value) or facts.numbers(value) for value in node.inputs[:3]]
    if len(ends) != 3 or any(end is None or len(end) != 1 for end in ends):
        return (None,)
    start, limit, step = (end[0] for end in ends if end is not None)
    if isinstance(start, int) and isinstance(limit, int) and isinstance(step, int) and step:
        return (max(-((start - limit) // step), 0),)
    if isinstance(start, float) and isinstance(limit, float) and isinstance(step, float) and step:
        return (max(ceil((limit - start) / step), 0),)
    return (limit,) if start == 0 and step == 1 and isinstance(limit, str) else (None,)


def _one_hot(node: Node, facts: Known) -> Shape | None:
    shape, depth = facts.of(node.input(0)), facts.ints(node.input(1))
    axis = axis_of(node.attrs.get("axis", -1), len(shape) + 1) if shape is not None else None
    if shape is None or axis is None:
        return None
    return (*shape[:axis], depth[0] if depth and len(depth) == 1 else None, *shape[axis:])


def _block(node: Node, facts: Known, grow: bool) -> Shape | None:
    shape, block = facts.of(node.input(0)), node.attrs.get("blocksize")
    if shape is None or len(shape) != 4 or not isinstance(block, int) or block < 1:
        return None
    batch, channels, height, width = shape
    if grow:
        return (batch, _part(channels, block * block), times(height, block), times(width, block))
    return (batch, times(channels, block * block), _part(height, block), _part(width, block))


def _part(length: Dim, divisor: int) -> Dim:
    if divisor == 1:
        return length
    return length // divisor if isinstance(length, int) and length % divisor == 0 else None


def _depth_to_space(node: Node, facts: Known) -> Shape | None:
    return _block(node, facts, grow=True)


def _space_to_depth(node: Node, facts: Known) -> Shape | None:
    return _block(node, facts, grow=False)


def _resize(node: Node, facts: Known) -> Shape | None:
    shape = facts.of(node.input(0))
    if shape is None:
        return None
    sizes = facts.ints(node.input(3)) if node.input(3) is not None else None
    if sizes is not None or node.input(3) is not None:
        return _resized(shape, sizes, node)
    scales = node.attrs.get("scales")
    if scales is None:
        scales = facts.numbers(node.input(1 if node.op == "Upsample" or facts.opset < 11 else 2))
    axes = _resize_axes(node, len(shape))
    if scales is None or axes is None or len(scales) != len(axes):
        return unknown(len(shape))
    result = list(shape)
    for axis, scale in zip(axes, scales, strict=True):
        result[axis] = _scaled(shape[axis], scale)
    return tuple(result)


def _resized(shape: Shape, sizes: tuple[Dim, ...] | None, node: Node) -> Shape:
    axes = _resize_axes(node, len(shape))
    stretch = node.attrs.get("keep_aspect_ratio_policy", "stretch") == "stretch"
    if sizes is None or axes is None or len(sizes) != len(axes) or not stretch:
        return unknown(len(shape))
    result = list(shape)
    for axis, size in zip(axes, sizes, strict=True):
        result[axis] = size
    return tuple(result)


def _resize_axes(node: Node, rank: int) -> tuple[int, ...] | None:
    listed = node.attrs.get("axes")
    if not isinstance(listed, tuple):
        return tuple(range(rank))
    axes = [axis_of(axis, rank) for axis in listed]
    return tuple(axis for axis in axes if axis is not None) if None not in axes else None


def _scaled(length: Dim, scale: float | None) -> Dim:
    """`floor(length · scale)`, multiplied in float32 as runtimes do."""
    if scale == 1:
        return length
    if not isinstance(length, int) or scale is None or not 0 < scale < 1e6:
        return None
    return int(float32(length * float32(scale)))


SINGLE: dict[str, Single] = {
    **dict.fromkeys(("RandomNormal", "RandomUniform"), _random),
    "Shape": _shape,
    "Size": _scalar,
    "ConstantOfShape": _made,
    "Range": _range,
    "OneHot": _one_hot,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Resize": _resize,
    "Upsample": _resize,
}
