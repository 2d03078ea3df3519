"""Sums of a value and of what a branch makes of the same value: residual shortcuts."""

from __future__ import annotations

from dataclasses import dataclass

from netlint import ops
from netlint.graph import ONNX, Graph, Node, Value

from ._idioms import both_orders, through
from .layers import Layer, Layers
from .parameters import Parameters

_MAX_BRANCH = 40


@dataclass(frozen=True, eq=False, slots=True)
class Shortcut:
    """One residual sum. Compared by identity."""

    sum: Node
    source: Value
    """What the shortcut carries unchanged."""
    end: Node
    """The last node of the branch, before layout and dropout."""
    layers: tuple[Layer, ...]
    """The weighted layers of the branch, last first."""


def shortcuts(graph: Graph, known: Parameters, layers: Layers, end: str) -> list[Shortcut]:
    """The sums whose one operand is computed from the other one within a few nodes, the last of them an `end`.

    In graph order. Only branches that end so are walked: a large model has many sums.
    """
    found, ends = [], ops.LAYOUT | ops.TRANSPARENT | {end}
    for node in graph.of("Add"):
        for source, branch in both_orders(node):
            made = graph.producer(branch)
            if made is None or made.op not in ends or source is None or branch is None:
                continue
            if known.constant(source) or known.constant(branch):
                continue
            last = graph.producer(through(graph, known, branch))
            shortcut = _between(graph, known, layers, (node, source, branch, last)) if last and last.op == end else None
            if shortcut is not None:
                found.append(shortcut)
                break
    return found


def _between(
    graph: Graph, known: Parameters, layers: Layers, about: tuple[Node, Value, Value, Node]
) -> Shortcut | None:
    """The shortcut, if everything in the branch comes from the source within a few nodes."""
    node, source, branch, last = about
    todo, seen, met = [branch], {branch}, dict[Layer, None]()
    arrived = False
    while todo:
        made = graph.producer(todo.pop())
        if made is None or made.domain != ONNX or made.bodies or len(seen) > _MAX_BRANCH:
            return None
        layer = layers.of(made)
        if layer is not None:
            met[layer] = None
        for value in made.inputs:
            if value is source:
                arrived = True
            elif value is not None and value not in seen and not known.constant(value):
                seen.add(value)
                todo.append(value)
    if not arrived or not met:
        return None
    return Shortcut(node, source, last, tuple(met))
