"""Calls of torch operators -> `Graph`, without torch: live recordings and `.pt2` files go through the same table."""

from __future__ import annotations

from . import (
    activations,
    attention,
    compare,
    convolution,
    divide,
    indexing,
    layout,
    linear,
    losses,
    makers,
    margins,
    normal,
    packed,
    pointwise,
    recurrent,
    reduce,
    resampling,
    views,
    writing,
)
from .lowering import lower
from .table import BY_ORIGIN, OPERATORS

KNOWN = frozenset(OPERATORS) | {name.rpartition(".")[2] for name in BY_ORIGIN}
"""The bare names of all operators that `lower` expresses; in-place variants and `__add__` and the like besides."""

__all__ = ["KNOWN", "lower"]

_TOPICS = (
    *(
        activations,
        attention,
        compare,
        convolution,
        divide,
        indexing,
        layout,
        linear,
        losses,
        makers,
        margins,
        normal,
        pointwise,
    ),
    *(packed, recurrent, reduce, resampling, views, writing),
)
"""Importing a topic enters its operators."""
