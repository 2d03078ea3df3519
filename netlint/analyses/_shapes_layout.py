"""Shapes after operators that move, cut, copy or glue elements, or make tensors from shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netlint.graph import Dim, Node, Shape

from ._shapes_dims import (
    MAX_RANK,
    Known,
    axis_of,
    broadcast,
    known,
    plus,
    reshape,
    same,
    times,
    total,
    unknown,
)

Single = Callable[[Node, Known], Shape | None]
Multiple = Callable[[Node, Known], Sequence[Shape | None]]


def ints_of(node: Node, facts: Known, name: str, slot: int) -> tuple[Dim, ...] | None:
    """A list of integers given as an attribute (older opsets) or as an input."""
    listed = node.attrs.get(name)
    if isinstance(listed, tuple):
        return listed
    return facts.ints(node.input(slot)) if node.input(slot) is not None else None


def axes_of(node: Node, facts: Known, rank: int, slot: int = 1) -> tuple[int, ...] | None:
    """The axes listed, counted from 0; None where they are not all known."""
    listed = ints_of(node, facts, "axes", slot)
    if listed is None:
        return None
    found = [axis_of(axis, rank) for axis in listed]
    return tuple(axis for axis in found if axis is not None) if None not in found else None


def _same(node: Node, facts: Known) -> Shape | None:
    return facts.of(node.input(0))


def _reshape(node: Node, facts: Known) -> Shape | None:
    shape, target = facts.of(node.input(0)), ints_of(node, facts, "shape", 1)
    if target is not None:
        return reshape(shape, target, bool(node.attrs.get("allowzero", 0)))
    length = facts.of(node.input(1))
    if length is not None and len(length) == 1 and isinstance(length[0], int) and length[0] <= MAX_RANK:
        return unknown(length[0])
    return None


def _flatten(node: Node, facts: Known) -> Shape | None:
    shape = facts.of(node.input(0))
    if shape is None:
        return (None, None)
    axis = node.attrs.get("axis", 1)
    split = axis if axis == len(shape) else axis_of(axis, len(shape))
    return (None, None) if split is None else (total(shape[:split]), total(shape[split:]))


def _transpose(node: Node, facts: Known) -> Shape | None:
    shape = facts.of(node.input(0))
    order = node.attrs.get("perm")
    if shape is None:
        return unknown(len(order)) if isinstance(order, tuple) and len(order) <= MAX_RANK else None
    if order is None:
        return shape[::-1]
    return tuple(shape[axis] for axis in order) if sorted(order) == list(range(len(shape))) else None


def _squeeze(node: Node, facts: Known) -> Shape | None:
    shape = facts.of(node.input(0))
    if shape is None:
        return None
    if "axes" not in node.attrs and node.input(1) is None:
        # Every axis of length 1 goes: the rank is known only if every length is.
        return tuple(dim for dim in shape if dim != 1) if known(shape) is not None else None
    axes = axes_of(node, facts, len(shape))
    return None if axes is None else tuple(dim for place, dim in enumerate(shape) if place not in axes)


def _unsqueeze(node: Node, facts: Known) -> Shape | None:
    shape, listed = facts.of(node.input(0)), ints_of(node, facts, "axes", 1)
    if shape is None or listed is None or len(listed) > MAX_RANK:
        return None
    rank = len(shape) + len(listed)
    axes = {axis_of(axis, rank) for axis in listed}
    if None in axes or len(axes) != len(listed):
        return None
    rest = iter(shape)
    return tuple(1 if place in axes else next(rest) for place in range(rank))


def _concat(node: Node, facts: Known) -> Shape | None:
    shapes = [facts.of(value) for value in node.inputs]
    first = next((shape for shape in shapes if shape is not None), None)
    if first is None:
        return None
    axis = axis_of(node.attrs.get("axis", 1), len(first))
    if axis is None or any(shape is not None and len(shape) != len(first) for shape in shapes):
        return None
    result = list(first)
    length: Dim = 0
    for shape in shapes:
        length = plus(length, shape[axis] if shape is not None else None)
        if shape is not None and shape is not first:
            result = [same(one, other) for one, other in zip(result, shape, strict=True)]
    result[axis] = length
    return tuple(result)


def _slice(node: Node, facts: Known) -> Shape | None:
    shape = facts.of(node.input(0))
    if shape is None:
        return None
    starts, ends = ints_of(node, facts, "starts", 1), ints_of(node, facts, "ends", 2)
    steps = facts.ints(node.input(4)) if node.input(4) is not None else None
    count = _count(node, facts)
    axes = ints_of(node, facts, "axes", 3)
    if axes is None and node.input(3) is None and count is not None:
        axes = tuple(range(count))
    places = [axis_of(axis, len(shape)) for axis in axes] if axes is not None else [None]
    if None in places:
        return unknown(len(shape))
    if node.input(4) is None:
        steps = (1,) * len(places)
    result = list(shape)
    for nth, place in enumerate(places):
        if place is not None:
            start, end, step = (_nth(listed, nth) for listed in (starts, ends, steps))
            result[place] = sliced(shape[place], start, end, step)
    return tuple(result)


def _count(node: Node, facts: Known) -> int | None:
    """How many axes a Slice names by its starts."""
    listed = node.attrs.get("starts")
    if isinstance(listed, tuple):
        return len(listed)
    for slot in (1, 2):
        shape = facts.of(node.input(slot))
        if shape is not None and len(shape) == 1 and isinstance(shape[0], int) and shape[0] <= MAX_RANK:
            return shape[0]
    return None


def _nth(listed: Sequence[Dim] | None, place: int) -> Dim:
    return listed[place] if listed is not None and place < len(listed) else None


_FAR = 1 << 30
"""Exporters write the end of an axis as the largest integer of some type."""


def sliced(length: Dim, start: Dim, end: Dim, step: Dim) -> Dim:
    """The length of `x[start:end:step]`; numpy clamps as the specification does."""
    if not isinstance(step, int) or step == 0:
        return None
    if isinstance(length, int) and isinstance(start, int) and isinstance(end, int):
        return len(range(*slice(start, end, step).indices(length)))
    forward = step == 1 and start == 0 and (end == length or (isinstance(end, int) and end >= _FAR))
    from_last = start == -1 or (isinstance(start, int) and start >= _FAR)
    reversed_ = step == -1 and from_last and isinstance(end, int) and end <= -_FAR
    return length if forward or reversed_ else None


def _gather(node: Node, facts: Known) -> Shape | None:
    data, picked = facts.of(node.input(0)), facts.of(node.input(1))
    axis = axis_of(node.attrs.get("axis", 0), len(data)) if data is not None else None
    if data is None or picked is None or axis is None:
        return None
    return data[:axis] + picked + data[axis + 1 :]


def _indices(node: Node, facts: Known) -> Shape | None:
    return facts.of(node.input(1))


def _gather_nd(node: Node, facts: Known) -> Shape | None:
    data, picked = facts.of(node.input(0)), facts.of(node.input(1))
    skip = node.attrs.get("batch_dims", 0)
    if data is None or not picked or not isinstance(picked[-1], int) or skip + picked[-1] > len(data):
        return None
    return picked[:-1] + data[skip + picked[-1] :]


def _expand(node: Node, facts: Known) -> Shape | None:
    shape, target = facts.of(node.input(0)), ints_of(node, facts, "shape", 1)
    if target is None:
        length = facts.of(node.input(1))
        if shape is None or length is None or len(length) != 1 or not isinstance(length[0], int):
            return None
        target = unknown(min(length[0], MAX_RANK))
    # -1 is outside the specification, but common in exports, and runs: the axis stays as it is.
    return broadcast(shape, tuple(1 if dim == -1 else dim for dim in target))


def _tile(node: Node, facts: Known) -> Shape | None:
    shape, repeats = facts.of(node.input(0)), facts.ints(node.input(1))
    if shape is None or facts.opset < 6:
        return None
    if repeats is None or len(repeats) != len(shape):
        return unknown(len(shape))
    return tuple(map(times, shape, repeats))


def _pad(node: Node, facts: Known) -> Shape | None:
    shape = facts.of(node.input(0))
    if shape is None:
        return None
    pads = ints_of(node, facts, "pads", 1) or ints_of(node, facts, "paddings", 1)
    axes = axes_of(node, facts, len(shape), 3) if node.input(3) is not None else tuple(range(len(shape)))
    if pads is None or axes is None or len(pads) != 2 * len(axes):
        return unknown(len(shape))
    result = list(shape)
    for nth, axis in enumerate(axes):
        result[axis] = plus(shape[axis], plus(pads[nth], pads[nth + len(axes)]))
    return tuple(dim if not isinstance(dim, int) or dim >= 0 else None for dim in result)


def _split(node: Node, facts: Known) -> Sequence[Shape | None]:
    shape, count = facts.of(node.input(0)), len(node.outputs)
    axis = axis_of(node.attrs.get("axis", 0), len(shape)) if shape is not None else None
    if shape is None or axis is None:
        return [None] * count
    parts = ints_of(node, facts, "split", 1)
    if parts is None and node.input(1) is None:
        parts = _even(shape[axis], node.attrs.get("num_outputs", count))
    if parts is None or len(parts) < count:
        parts = unknown(count)
    return [(*shape[:axis], part, *shape[axis + 1 :]) for part in parts[:count]]


def _even(length: Dim, count: int) -> tuple[Dim, ...]:
    """Equal parts, the last one smaller if need be."""
    if count == 1:
        return (length,)
    if not isinstance(length, int) or not 0 < count <= 1 << 16:
        return unknown(min(max(count, 0), 1 << 16))
    part = -(-length // count)
    return (*(part,) * (count - 1), max(length - part * (count - 1), 0))


def _sequence_at(node: Node, facts: Known) -> Shape | None:
    """A member of the sequence that a SplitToSequence made."""
    split, place = facts.producer(node.input(0)), facts.ints(node.input(1))
    shape = facts.of(split.input(0)) if split is not None and split.op == "SplitToSequence" else None
    axis = axis_of(split.attrs.get("axis", 0), len(shape)) if split is not None and shape is not None else None
    if split is None or shape is None or axis is None:
        return None
    if split.input(1) is None:
        kept = (1,) if split.attrs.get("keepdims", 1) else ()
        return (*shape[:axis], *kept, *shape[axis + 1 :])
    return (*shape[:axis], _member(shape[axis], split, facts, place[0] if place else None), *shape[axis + 1 :])


def _member(length: Dim, split: Node, facts: Known, place: Dim) -> Dim:
    """The length of one member: of a list of lengths, or of parts of one length, of which the last may be shorter."""
    parts, shape = facts.ints(split.input(1)), facts.of(split.input(1))
    if not parts or not isinstance(place, int):
        return None
    if shape == () and isinstance(length, int) and isinstance(parts[0], int) and parts[0] > 0:
        count = -(-length // parts[0])
        inside = -count <= place < count
        return min(parts[0], length - parts[0] * (place % count)) if inside else None
    return parts[place] if shape != () and -len(parts) <= place < len(parts) else None


SINGLE: dict[str, Single] = {
    "SequenceAt": _sequence_at,
    **dict.fromkeys(("Identity", "CastLike", "Cast", "ReverseSequence", "Trilu", "ScatterElements", "Scatter"), _same),
    **dict.fromkeys(("ScatterND", "TensorScatter", "RandomNormalLike", "RandomUniformLike", "EyeLike"), _same),
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": _indices,
    "GatherND": _gather_nd,
    "Expand": _expand,
    "Tile": _tile,
    "Pad": _pad,
}

MULTIPLE: dict[str, Multiple] = {"Split": _split}
