"""Transfer functions of operators that move, copy, cut or glue elements, and the relations that survive that."""

from __future__ import annotations

from collections.abc import Mapping

from netlint.graph import TensorUnreadable, Value

from . import relations
from .facts import match_axes, match_long_axes
from .interval import INF, TOP, ZERO, Range, hull, point
from .step import Step, Transfer


def keep(step: Step) -> Range:
    """The elements of input 0, wherever they go."""
    return step.arg(0)


def identity(step: Step) -> Range:
    relations.rename(step)
    return step.arg(0)


def _ends(step: Step) -> tuple[Value, Value] | None:
    source, out = step.node.input(0), step.node.output()
    return None if source is None or out is None else (source, out)


def expand(step: Step) -> Range:
    """Broadcasting keeps trailing axes in place, so what lines up still does."""
    ends = _ends(step)
    if ends is not None:
        step.state.facts.add_upper(ends[1], *step.state.facts.uppers(ends[0]))
    return step.arg(0)


def _listed_axes(step: Step, rank: int | None) -> tuple[int, ...] | None:
    """The axes of Squeeze or Unsqueeze, counted from 0."""
    listed = step.attrs.get("axes") or (step.state.shapes.ints(step.node.inputs[1]) if step.has(1) else None)
    if not listed or rank is None or not all(isinstance(axis, int) for axis in listed):
        return None
    return tuple(axis % rank for axis in listed if isinstance(axis, int))


def unsqueeze(step: Step) -> Range:
    ends = _ends(step)
    if ends is None or not _related(step, ends[0]):
        return step.arg(0)
    axes = _listed_axes(step, step.state.rank(ends[1]))
    if axes is not None:
        rank = step.state.rank(ends[1]) or 0
        old = iter(range(rank))
        _move(step, *ends, [None if place in axes else next(old) for place in range(rank)])
    return step.arg(0)


def squeeze(step: Step) -> Range:
    ends = _ends(step)
    if ends is None or not _related(step, ends[0]):
        return step.arg(0)
    shape = step.shape(0)
    axes = _listed_axes(step, step.state.rank(ends[0]))
    if axes is None and shape is not None and not step.has(1) and not step.attrs.get("axes") and None not in shape:
        axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    if axes is not None:
        _move(step, *ends, [axis for axis in range(step.state.rank(ends[0]) or 0) if axis not in axes])
    return step.arg(0)


def transpose(step: Step) -> Range:
    ends = _ends(step)
    if ends is None or not _related(step, ends[0]):
        return step.arg(0)
    rank = step.state.rank(ends[0])
    order = step.ints("perm") or (tuple(range(rank))[::-1] if rank is not None else ())
    if order:
        _move(step, *ends, list(order))
    return step.arg(0)


def reshape(step: Step) -> Range:
    ends = _ends(step)
    if ends is None or not _related(step, ends[0]):
        return step.arg(0)
    before, after = step.state.shape(ends[0]), step.state.shape(ends[1])
    pairs = match_long_axes(before, after)
    if pairs is not None and after is not None:
        old = {new: axis for axis, new in pairs}
        _move_uppers(step, *ends, [old.get(place) for place in range(len(after))])
    _move_axes(step, *ends, match_axes(before, after))
    return step.arg(0)


def _move_axes(step: Step, source: Value, out: Value, new: Mapping[int, int]) -> None:
    """What holds along axes still does if these stay apart; `new` maps old axes to new ones."""
    facts = step.state.facts
    total, unit = facts.total(source), facts.unit(source)
    if total is not None and all(axis in new for axis in total):
        facts.set_total(out, tuple(new[axis] for axis in total))
    if unit is not None and all(axis in new for axis in unit):
        facts.set_unit(out, tuple(new[axis] for axis in unit))


def _related(step: Step, value: Value) -> bool:
    facts = step.state.facts
    return bool(facts.uppers(value)) or facts.total(value) is not None or facts.unit(value) is not None


def _move(step: Step, source: Value, out: Value, old: list[int | None] | list[int]) -> None:
    """`old` lists, for each axis of the result, the axis it was; None for a new one of length 1."""
    _move_uppers(step, source, out, old)
    _move_axes(step, source, out, {axis: place for place, axis in enumerate(old) if axis is not None})


def _move_uppers(step: Step, source: Value, out: Value, old: list[int | None] | list[int]) -> None:
    facts = step.state.facts
    for upper in facts.uppers(source):
        places = upper.placed()
        if places is not None and all(axis is None or axis < len(places) for axis in old):
            moved = tuple(None if axis is None else places[axis] for axis in old)
            facts.add_upper(out, upper._replace(axes=moved))


def _along(step: Step, axis: int | None, *, parts: bool = False) -> None:
    """Sums to one survive what happens along another axis; to all parts of a Concat if `parts`."""
    out = step.node.output()
    rank = step.state.rank(out)
    facts = step.state.facts
    inputs = [value for value in step.node.inputs if value is not None]
    totals = {facts.total(value) for value in (inputs if parts else inputs[:1])}
    total = totals.pop() if len(totals) == 1 else None
    if total is None or axis is None or rank is None or axis % rank in total or min(total) < 0:
        return
    for value in step.node.outputs:
        if value is not None:
            facts.set_total(value, total)


def concat(step: Step) -> Range:
    axis = step.attrs.get("axis")
    _along(step, axis if isinstance(axis, int) else None, parts=True)
    return hull(step.args())


def split(step: Step) -> tuple[Range, ...]:
    _along(step, int(step.number("axis", 0)))
    return (step.arg(0),) * len(step.node.outputs)


def slice_(step: Step) -> Range:
    """Sums survive a cut along another axis, a bound one along axes where it is constant."""
    ends = _ends(step)
    axes = step.ints("axes") or (step.state.shapes.ints(step.node.inputs[3]) if step.has(3) else None)
    whole = tuple(axis for axis in axes or () if isinstance(axis, int))
    if ends is None or axes is None or len(whole) != len(axes):
        return step.arg(0)
    if len(whole) == 1:
        _along(step, whole[0])
    rank = step.state.rank(ends[0])
    for upper in step.state.facts.uppers(ends[0]) if rank else ():
        places = upper.placed()
        if rank and places is not None and len(places) == rank and all(places[axis % rank] is None for axis in whole):
            step.state.facts.add_upper(ends[1], upper)
    return step.arg(0)


def gather(step: Step) -> Range:
    """Elements of the data; along another axis than the sum's, with one axis of indices, sums stay."""
    if step.state.rank(step.node.input(1)) == 1:
        _along(step, int(step.number("axis", 0)))
    return step.arg(0)


def pad(step: Step) -> Range:
    """The data, joined with the fill value in `constant` mode; other modes repeat elements."""
    data = step.arg(0)
    if step.text("mode", "constant") != "constant":
        return data
    if step.has(2):
        return data.join(step.arg(2))
    return data.join(point(step.number("value", 0.0)))


def padded_with_zero(step: Step) -> Range:
    """The data or 0: Trilu, CenterCropPad, MaxUnpool, MaxRoiPool."""
    return step.arg(0).join(ZERO)


def scatter(step: Step) -> Range:
    """The data or an update; sums and products of them only where signs tell."""
    data, updates = step.arg(0), step.arg(2)
    how = step.text("reduction", "none")
    if how in ("none", "max", "min"):
        return data.join(updates)
    if how == "add" and data.lo >= 0 and updates.lo >= 0:
        return Range(data.lo, INF, nan=data.nan or updates.nan, assumed=data.assumed or updates.assumed)
    return TOP


def tensor_scatter(step: Step) -> Range:
    return step.arg(0).join(step.arg(1))


def one_hot(step: Step) -> Range:
    """The off and the on value, input 2."""
    return step.arg(2)


def constant_of_shape(step: Step) -> Range:
    value = step.attrs.get("value")
    if value is None:
        return ZERO
    try:
        return point(float(value.load().reshape(-1)[0]))
    except (TensorUnreadable, AttributeError, ValueError, TypeError, IndexError):
        return TOP


def join_all(step: Step) -> Range:
    return hull(step.args())


LAYOUT: dict[str, Transfer] = {
    **dict.fromkeys(("Tile", "GatherElements", "GatherND", "DepthToSpace", "SpaceToDepth", "ReverseSequence"), keep),
    **dict.fromkeys(("Compress", "SplitToSequence", "SequenceAt", "ConcatFromSequence", "SequenceErase"), keep),
    **dict.fromkeys(("Optional", "OptionalGetElement"), keep),
    **dict.fromkeys(("Trilu", "CenterCropPad", "MaxUnpool", "MaxRoiPool"), padded_with_zero),
    "Identity": identity,
    "Reshape": reshape,
    "Flatten": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Expand": expand,
    "Split": split,
    "Slice": slice_,
    "Concat": concat,
    "Gather": gather,
    "Pad": pad,
    "Scatter": scatter,
    "ScatterElements": scatter,
    "ScatterND": scatter,
    "TensorScatter": tensor_scatter,
    "OneHot": one_hot,
    "ConstantOfShape": constant_of_shape,
    "SequenceConstruct": join_all,
    "SequenceInsert": lambda step: step.arg(0).join(step.arg(1)),
}
"""Operators whose results are elements of their inputs."""
