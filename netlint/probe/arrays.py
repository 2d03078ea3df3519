"""Statistics of values that come as arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from netlint.graph import Node, Value
from netlint.ops import LAYOUT, NORMALISATION, TRANSPARENT, WEIGHTED, read

from .observed import Seen, Units

if TYPE_CHECKING:
    from .observed import Floats

Array = np.ndarray[Any, Any]

MARGIN = 0.02
"""Elements that are closer to an asymptote than this part of the distance between the two count as saturated."""

SPANS = {"Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0), "Erf": (-1.0, 1.0)}
"""The asymptotes of what saturates."""

_MOVED = (LAYOUT | TRANSPARENT | {"Pad", "MaxPool", "GlobalMaxPool", "Shape", "ConstantOfShape", "Constant"}) - {
    "Gather"
}


def moves(node: Node) -> bool:
    """Whether the elements of a result are those of an input: there is nothing new to see."""
    if node.op != "Gather":
        return node.op in _MOVED
    table = node.input(0)
    return table is None or table.constant is None  # else it is an embedding: rows of a parameter


def softmax_axis(node: Node, rank: int, opset: int = 13) -> int | None:
    """The axis over which a result is a distribution; None: it is none."""
    if node.op != "Softmax" or not rank:
        return None
    return read.softmax_axis(node, opset) % rank


def units_axis(node: Node, rank: int) -> int | None:
    """The axis of units: the second, of sequences the last."""
    if not rank:
        return None
    if node.op.startswith("Conv") or node.op in NORMALISATION - {"LayerNormalization", "RMSNormalization"}:
        return min(1, rank - 1)
    return 1 if rank in (2, 4, 5) and node.op not in WEIGHTED else rank - 1


def placed_axis(value: Value, batch: str | None) -> int | None:
    """The axis of a length with a name; None where there is no such axis, or no name."""
    return value.shape.index(batch) if batch is not None and value.shape is not None and batch in value.shape else None


def seen_in(array: Array, node: Node) -> Seen | None:
    """What a value of floating-point numbers shows; None of what only moves elements."""
    if moves(node):
        return None
    wide = array.astype(np.float64)
    finite = np.isfinite(wide)
    whole = bool(finite.all())
    nans = 0 if whole else int(np.isnan(wide).sum())
    kept = wide if whole else wide[finite]
    ends = wide if not nans else wide[~np.isnan(wide)]
    axis = units_axis(node, array.ndim)
    return Seen(
        node=node,
        count=array.size,
        mean=float(kept.mean()) if kept.size else math.nan,
        std=float(kept.std()) if kept.size else math.nan,
        lo=float(ends.min()) if ends.size else math.nan,
        hi=float(ends.max()) if ends.size else math.nan,
        zeros=float((wide == 0).mean()),
        nonfinite=0 if whole else int(wide.size - finite.sum()),
        nans=nans,
        saturated=_saturated(wide, node),
        units=_units(wide, axis) if axis is not None and whole else None,
    )


def _saturated(wide: Floats, node: Node) -> float | None:
    axis = softmax_axis(node, wide.ndim)
    if axis is not None:
        return float((wide.max(axis) > 1 - MARGIN).mean())
    if node.op not in SPANS:
        return None
    lo, hi = SPANS[node.op]
    reach = (hi - lo) / 2 * (1 - 2 * MARGIN)
    return float((np.abs(wide - (lo + hi) / 2) > reach).mean())


def _units(wide: Floats, axis: int) -> Units:
    others = tuple(place for place in range(wide.ndim) if place != axis)
    return Units(
        lo=wide.min(others),
        hi=wide.max(others),
        mean=wide.mean(others),
        std=wide.std(others),
        zeros=(wide == 0).mean(others),
    )
