"""How the units of a layer lie in a value, and what operators that only move, join or crop elements make of that.

Along axis 1 with space behind, along the only axis behind the batch, along the last axis of any rank, or as runs of
equal length along axis 1 of a matrix. None: cannot be told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from netlint.graph import Node, Shape, Value
from netlint.ops import POOLING
from netlint.ops.read import axes, small_ints

ShapeOf: TypeAlias = Callable[[Value | None], Shape | None]
CHANNELS, MATRIX, LAST, RUNS = "channels", "matrix", "last", "runs"
_SPATIAL_POOLING = POOLING - {"MaxRoiPool", "RoiAlign"}
_REDUCTIONS = frozenset({"ReduceMean", "ReduceMax", "ReduceSum"})
_RESIZES = frozenset({"Resize", "Upsample", "Pad"})


def through_space(node: Node, rank: int, shape_of: ShapeOf) -> str | None:
    """What pooling over space, resizing and flattening it make of channels; `rank` is that of the data."""
    if node.op in _SPATIAL_POOLING or (node.op in _RESIZES and _keeps(node, 1, shape_of)):
        return CHANNELS
    if node.op == "Flatten":
        return RUNS if node.attrs.get("axis", 1) == 1 else None
    if node.op == "Reshape":
        return RUNS if _flattens(node, shape_of) else None
    if node.op not in _REDUCTIONS and node.op != "Squeeze":
        return None
    given = axes(node)
    if given is None or {axis % rank for axis in given} != set(range(2, rank)):
        return None
    return CHANNELS if node.op != "Squeeze" and node.attrs.get("keepdims", 1) else MATRIX


def through_rows(node: Node, layout: str, shape_of: ShapeOf) -> str | None:
    """What joining tokens makes of units along the last axis, and flattening of those in a matrix."""
    if layout == MATRIX:
        return MATRIX if node.op == "Flatten" and node.attrs.get("axis", 1) == 1 else None
    given = axes(node) if node.op in _REDUCTIONS and layout == LAST else None
    shape = shape_of(node.input(0)) if given else None
    if not given or not shape:
        return None
    return LAST if all(axis % len(shape) < len(shape) - 1 for axis in given) else None


def _flattens(node: Node, shape_of: ShapeOf) -> bool:
    """Whether a Reshape leaves the batch and puts all other axes into one."""
    shape = small_ints(node.input(1))
    if shape is not None and len(shape) == 2 and shape[0] in (0, 1, -1):
        return True
    made = shape_of(node.output())
    return made is not None and len(made) == 2 and _keeps(node, 0, shape_of)


def _keeps(node: Node, axis: int, shape_of: ShapeOf) -> bool:
    """Whether an axis has the same known length before and after."""
    before, after = shape_of(node.input(0)) or (), shape_of(node.output()) or ()
    return axis < min(len(before), len(after)) and before[axis] is not None and before[axis] == after[axis]
