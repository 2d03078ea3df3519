"""What a node means, whatever opset it is written in."""

from __future__ import annotations

from netlint.graph import Node, Tensor, TensorUnreadable, Value

_SMALL = 4096


def small_ints(value: Value | None) -> tuple[int, ...] | None:
    """The elements of a small constant of integers, flat; None where there is none or it cannot be read."""
    tensor = value.constant if value is not None else None
    if tensor is None or tensor.nbytes > 8 * _SMALL or not tensor.dtype.startswith(("int", "uint")):
        return None
    return tuple(int(item) for item in _flat(tensor))


def scalar(value: Value | None) -> float | None:
    """The number in a constant of one element; None where there is none."""
    tensor = value.constant if value is not None else None
    if tensor is None or tensor.dtype in ("string", "bool") or tensor.dtype.startswith("complex"):
        return None
    if any(size != 1 for size in tensor.shape):
        return None
    items = _flat(tensor)
    return float(items[0]) if items else None


def _flat(tensor: Tensor) -> list[float]:
    try:
        found: list[float] = tensor.load().reshape(-1).tolist()
    except TensorUnreadable:
        return []
    return found


def axes(node: Node, slot: int = 1) -> tuple[int, ...] | None:
    """The axes of a reduction, Squeeze or Unsqueeze, in either spelling; None where not given or not constant.

    A reduction without axes reduces all of them, unless `noop_with_empty_axes` is set.
    """
    listed = node.attrs.get("axes")
    if isinstance(listed, tuple):
        return tuple(int(axis) for axis in listed)
    return small_ints(node.input(slot))


def has_axes(node: Node, slot: int = 1) -> bool:
    """Whether the node states axes at all, readable or not."""
    return "axes" in node.attrs or node.input(slot) is not None


def softmax_axis(node: Node, opset: int) -> int:
    """The axis of a Softmax, LogSoftmax or Hardmax. Below opset 13 it normalises over this axis and all after it."""
    return int(node.attrs.get("axis", -1 if opset >= 13 else 1))


def softmax_axes(node: Node, opset: int, rank: int) -> tuple[int, ...]:
    """The axes, counted from 0, over which a Softmax, LogSoftmax or Hardmax normalises together."""
    axis = softmax_axis(node, opset) % max(rank, 1)
    return (axis,) if opset >= 13 else tuple(range(axis, rank))


def clip_bounds(node: Node) -> tuple[float | None, float | None] | None:
    """The lower and upper bound of a Clip (None: not bounded); None if a bound is given but not constant."""
    bounds: list[float | None] = []
    for slot, name in ((1, "min"), (2, "max")):
        given = node.input(slot)
        bound = scalar(given) if given is not None else node.attrs.get(name)
        if given is not None and bound is None:
            return None
        bounds.append(None if bound is None else float(bound))
    return bounds[0], bounds[1]


def dropout_active(node: Node, opset: int) -> bool:
    """Whether a Dropout drops anything: a training graph with a rate above 0."""
    if opset >= 12:
        mode = node.input(2)
        return mode is not None and (mode.constant is None or bool(_flat(mode.constant)[:1] != [False]))
    return False
