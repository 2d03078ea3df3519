"""Layout operators on arrays at hand, for numbers as well as for the symbolic elements of shape arithmetic.

Imported only where there is an array to work on, because it needs numpy. A kernel takes the node, the arrays of its
inputs (None: left out) and the opset; it raises `Unfoldable`, `ValueError` or `IndexError` where it cannot tell. The
caller has made sure that the result is small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from netlint.graph import Node

from ._shapes_dims import known

Array = np.ndarray[Any, Any]
Inputs = Sequence[Array | None]
Kernel = Callable[[Node, Inputs, int], Array | list[Array]]


class Unfoldable(Exception):
    """The result is not determined by what is known."""


def given(inputs: Inputs, slot: int) -> Array:
    """An input that must be there."""
    array = inputs[slot] if slot < len(inputs) else None
    if array is None:
        raise Unfoldable
    return array


def whole(array: Array) -> list[int]:
    """The elements as Python integers."""
    numbers = known(array.reshape(-1).tolist())
    if numbers is None:
        raise Unfoldable
    return list(numbers)


def listed(node: Node, inputs: Inputs, name: str, slot: int) -> list[int] | None:
    """Integers given as an attribute or as an input; None where not given."""
    stated = node.attrs.get(name)
    if isinstance(stated, tuple):
        return list(stated)
    return whole(given(inputs, slot)) if slot < len(inputs) and inputs[slot] is not None else None


def _identity(node: Node, inputs: Inputs, opset: int) -> Array:
    return given(inputs, 0)


def _reshape(node: Node, inputs: Inputs, opset: int) -> Array:
    data, target = given(inputs, 0), listed(node, inputs, "shape", 1)
    if target is None:
        raise Unfoldable
    if not node.attrs.get("allowzero", 0):
        target = [data.shape[place] if size == 0 else size for place, size in enumerate(target)]
    return data.reshape(target)


def _flatten(node: Node, inputs: Inputs, opset: int) -> Array:
    data = given(inputs, 0)
    axis = node.attrs.get("axis", 1)
    rows = int(np.prod(data.shape[:axis], dtype=np.int64))
    return data.reshape(rows, data.size // max(rows, 1))


def _transpose(node: Node, inputs: Inputs, opset: int) -> Array:
    return given(inputs, 0).transpose(node.attrs.get("perm"))


def _squeeze(node: Node, inputs: Inputs, opset: int) -> Array:
    axes = listed(node, inputs, "axes", 1)
    return given(inputs, 0).squeeze(None if axes is None else tuple(axes))


def _unsqueeze(node: Node, inputs: Inputs, opset: int) -> Array:
    return np.expand_dims(given(inputs, 0), tuple(listed(node, inputs, "axes", 1) or ()))


def _concat(node: Node, inputs: Inputs, opset: int) -> Array:
    return np.concatenate([given(inputs, slot) for slot in range(len(inputs))], node.attrs.get("axis", 1))


def _gather(node: Node, inputs: Inputs, opset: int) -> Array:
    data, picked = given(inputs, 0), given(inputs, 1)
    taken = np.take(data, np.array(whole(picked), np.int64).reshape(picked.shape), node.attrs.get("axis", 0))
    return np.asarray(taken, data.dtype)


def _slice(node: Node, inputs: Inputs, opset: int) -> Array:
    data = given(inputs, 0)
    starts, ends = listed(node, inputs, "starts", 1), listed(node, inputs, "ends", 2)
    if starts is None or ends is None or len(starts) != len(ends):
        raise Unfoldable
    axes = listed(node, inputs, "axes", 3) or list(range(len(starts)))
    steps = listed(node, inputs, "steps", 4) or [1] * len(starts)
    cut = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis] = slice(start, end, step)
    return np.asarray(data[tuple(cut)])


def _split(node: Node, inputs: Inputs, opset: int) -> list[Array]:
    data, axis, count = given(inputs, 0), node.attrs.get("axis", 0), len(node.outputs)
    parts = listed(node, inputs, "split", 1)
    if parts is None:
        part = -(-data.shape[axis] // int(node.attrs.get("num_outputs", count)))
        parts = [part] * count
    return np.split(data, np.cumsum(parts)[:-1].tolist(), axis)


def _expand(node: Node, inputs: Inputs, opset: int) -> Array:
    data, target = given(inputs, 0), listed(node, inputs, "shape", 1) or []
    return np.broadcast_to(data, np.broadcast_shapes(data.shape, tuple(1 if size == -1 else size for size in target)))


def _tile(node: Node, inputs: Inputs, opset: int) -> Array:
    return np.tile(given(inputs, 0), whole(given(inputs, 1)))


def _gather_nd(node: Node, inputs: Inputs, opset: int) -> Array:
    data, picked = given(inputs, 0), given(inputs, 1)
    if node.attrs.get("batch_dims", 0):
        raise Unfoldable
    places = tuple(np.moveaxis(np.array(whole(picked), np.int64).reshape(picked.shape), -1, 0))
    return np.asarray(data[places], data.dtype)


def _scatter_nd(node: Node, inputs: Inputs, opset: int) -> Array:
    data, picked, updates = given(inputs, 0), given(inputs, 1), given(inputs, 2)
    if node.attrs.get("reduction", "none") != "none":
        raise Unfoldable
    result = data.copy()
    result[tuple(np.moveaxis(np.array(whole(picked), np.int64).reshape(picked.shape), -1, 0))] = updates
    return result


LAYOUT: dict[str, Kernel] = {
    "Identity": _identity,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "ScatterND": _scatter_nd,
    "Slice": _slice,
    "Split": _split,
    "Expand": _expand,
    "Tile": _tile,
}
"""Kernels that treat elements as opaque."""
