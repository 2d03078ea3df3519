"""Values that are joined from pieces: a part of one need not reach what the whole does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netlint import ops
from netlint.graph import Node, Value

if TYPE_CHECKING:
    from . import Reached

_FAR = 12
_ELEMENTWISE = ops.ARITHMETIC | ops.ACTIVATIONS | ops.TRANSPARENT


def joined(known: Reached, value: Value | None, axis: int, far: int = _FAR) -> bool:
    """Whether what lies along an axis (counted from the last, which is -1) is joined from pieces.

    The columns of a matrix product are made of those of its right factor, the rows of those of its left.
    """
    node, rank = known.graph.producer(value), known.shapes.rank(value)
    if node is None or node.domain or not rank or not far or -axis > rank:
        return False
    if node.op == "Concat":
        return int(node.attrs.get("axis", 0)) % rank == axis + rank
    if node.op == "Pad":
        return _padded(known, node, axis + rank, rank)
    if node.op == "MatMul" and axis in (-1, -2):
        return joined(known, node.input(1 if axis == -1 else 0), axis, far - 1)
    if node.op == "Transpose":
        order = node.attrs.get("perm") or tuple(reversed(range(rank)))
        return joined(known, node.input(0), int(order[axis]) - rank, far - 1)
    if node.op in _ELEMENTWISE and not known.known.constant(value):
        return any(joined(known, source, axis, far - 1) for source in node.inputs)
    return False


def _padded(known: Reached, node: Node, axis: int, rank: int) -> bool:
    pads = node.attrs.get("pads") or known.shapes.ints(node.input(1))
    if not pads or len(pads) != 2 * rank:
        return True  # it may be
    return pads[axis] != 0 or pads[axis + rank] != 0


def axes_picked(known: Reached, node: Node) -> tuple[int, ...]:
    """The axes, counted from the last, of which a Slice, Split or Gather takes a part; all where nobody knows."""
    rank = known.shapes.rank(node.input(0)) or 0
    if node.op == "Slice":
        named = node.attrs.get("axes") or known.shapes.ints(node.input(3))
    else:
        named = (int(node.attrs.get("axis", 0)),)
    axes = named if named and all(isinstance(axis, int) for axis in named) else range(rank)
    return tuple(int(axis) % rank - rank for axis in axes if isinstance(axis, int)) if rank else ()
