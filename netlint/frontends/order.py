"""A canonical order of nodes: depth first from the outputs, producers before users.

It depends on the structure alone, so renaming values or shuffling the file changes neither the order nor anything
counted along it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from netlint.graph import Body, Node, Value

MAX_CYCLES = 100
"""Cycles noted in one level; further ones are as long again and say no more."""


def canonical(
    nodes: Sequence[Node], outputs: Iterable[Value | None], producers: Mapping[Value, Node]
) -> tuple[list[Node], list[list[Node]]]:
    """The nodes of one graph level in order, and the cycles met. Each of these is cut at the edge that closes it.

    Nodes that no output needs come last, in the order of the file.
    """
    ordered: list[Node] = []
    cycles: list[list[Node]] = []
    state: dict[Node, bool] = {}  # False while on the stack, True when done
    roots = [producers[value] for value in outputs if value is not None and value in producers]
    for root in (*roots, *nodes):
        if root not in state:
            _visit(root, producers, state, ordered, cycles)
    return ordered, cycles


def _visit(
    root: Node,
    producers: Mapping[Value, Node],
    state: dict[Node, bool],
    ordered: list[Node],
    cycles: list[list[Node]],
) -> None:
    stack = [(root, _needs(root, producers))]
    state[root] = False
    while stack:
        node, needs = stack[-1]
        for needed in needs:
            done = state.get(needed)
            if done is None:
                state[needed] = False
                stack.append((needed, _needs(needed, producers)))
                break
            if not done and _cut(node, needed, producers) and len(cycles) < MAX_CYCLES:
                path = [entry for entry, _ in stack]
                cycles.append(path[path.index(needed) :])
        else:
            stack.pop()
            state[node] = True
            ordered.append(node)


def _cut(node: Node, producer: Node, producers: Mapping[Value, Node]) -> bool:
    """Let a node and its bodies read, instead of what `producer` computes, values that nobody does.

    Whoever walks along a graph may rely on coming to an end. False if there is nothing to cut (any more).
    """
    orphans: dict[Value, Value] = {}
    readers = [node]
    while readers:
        reader = readers.pop()
        reader.inputs = _without(reader.inputs, producer, producers, orphans)
        for name, body in reader.bodies.items():
            readers += body.nodes
            outputs = _without(body.outputs, producer, producers, orphans)
            if outputs != body.outputs:
                reader.bodies = {**reader.bodies, name: replace(body, outputs=outputs)}
    return bool(orphans)


def _without(
    values: tuple[Value | None, ...], producer: Node, producers: Mapping[Value, Node], orphans: dict[Value, Value]
) -> tuple[Value | None, ...]:
    for value in values:
        if value is not None and value not in orphans and producers.get(value) is producer:
            orphans[value] = Value(value.name, value.dtype, value.shape)
    return tuple(value if value is None else orphans.get(value, value) for value in values)


def _needs(node: Node, producers: Mapping[Value, Node]) -> Iterator[Node]:
    found = [producers[value] for value in node.inputs if value is not None and value in producers]
    if node.bodies:
        for body in node.bodies.values():
            found += _captured(body, producers)
    return iter(found)


def _captured(body: Body, producers: Mapping[Value, Node]) -> list[Node]:
    """The outer nodes whose values a body reads."""
    found = [needed for inner in body.nodes for needed in _needs(inner, producers)]
    return found + [producers[value] for value in body.outputs if value is not None and value in producers]


def flatten(ordered: Iterable[Node]) -> Iterator[Node]:
    """All nodes, those of bodies just before their holder."""
    for node in ordered:
        if node.bodies:
            for body in node.bodies.values():
                yield from flatten(body.nodes)
        yield node
