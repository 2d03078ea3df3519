"""Operators that run bodies: branches and loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from netlint.analysis import Unavailable
from netlint.graph import Body, Node

Run: TypeAlias = Callable[[Body, Sequence[Tensor]], list[Tensor]]
"""Runs a body on its inputs, and gives its outputs."""


def branch(node: Node, inputs: Sequence[Tensor | None], run: Run) -> list[Tensor]:
    """If."""
    condition = inputs[0]
    assert condition is not None
    return run(node.bodies["then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"], ())


def loop(node: Node, inputs: Sequence[Tensor | None], run: Run) -> list[Tensor]:
    """Loop: what is carried from step to step, and what each step adds to the results."""
    limit, going = inputs[0], inputs[1] is None or bool(inputs[1])
    carried = [tensor for tensor in inputs[2:] if tensor is not None]
    rows: list[list[Tensor]] = []
    step, steps = 0, math.inf if limit is None else int(limit)
    while going and step < steps:
        first, *rest = run(node.bodies["body"], (torch.tensor(step), torch.tensor(going), *carried))
        carried, added = rest[: len(carried)], rest[len(carried) :]
        rows.append(added)
        going, step = bool(first), step + 1
    return [*carried, *_stacked(node, rows, [0] * (len(node.outputs) - len(carried)))]


def scan(node: Node, inputs: Sequence[Tensor | None], run: Run) -> list[Tensor]:
    """Scan: a loop over the rows of some inputs, as it is since opset 9."""
    count = int(node.attrs["num_scan_inputs"])
    given = [tensor for tensor in inputs if tensor is not None]
    carried, sequences = given[: len(given) - count], given[len(given) - count :]
    results = len(node.outputs) - len(carried)
    axes = _listed(node, "scan_input_axes", count)
    turned = _listed(node, "scan_input_directions", count)
    steps = [list(_rows(*each)) for each in zip(sequences, axes, turned, strict=True)]
    rows: list[list[Tensor]] = []
    for step in zip(*steps, strict=True):
        found = run(node.bodies["body"], (*carried, *step))
        carried, added = found[: len(carried)], found[len(carried) :]
        rows.append(added)
    ends, back = _listed(node, "scan_output_axes", results), _listed(node, "scan_output_directions", results)
    made = _stacked(node, rows, ends)
    return [*carried, *(out.flip(axis) if flip else out for out, flip, axis in zip(made, back, ends, strict=True))]


def _listed(node: Node, name: str, count: int) -> list[int]:
    return [int(number) for number in node.attrs.get(name) or (0,) * count]


def _rows(tensor: Tensor, axis: int, backwards: int) -> Iterator[Tensor]:
    return iter((tensor.flip(axis) if backwards else tensor).unbind(axis))


def _stacked(node: Node, rows: Sequence[Sequence[Tensor]], axes: Sequence[int]) -> list[Tensor]:
    """Results with an axis of steps. Raises `Unavailable` where there was no step to tell their shape."""
    if not rows and axes:
        raise Unavailable(f"{node.op} at {node.loc.path} makes no step")
    return [torch.stack(list(column), axis) for column, axis in zip(zip(*rows, strict=True), axes, strict=True)]


BODIES: dict[str, Callable[[Node, Sequence[Tensor | None], Run], list[Tensor]]] = {
    "If": branch,
    "Loop": loop,
    "Scan": scan,
}
"""By operator."""
