"""What a picture of a finding shows: the node, and a few operators before and behind it, as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeAlias

from .analyses.shapes import Shapes
from .graph import Graph, Node, Value
from .reported import Box, BoxKind, Neighbourhood
from .rule import Level

STEPS = 2
"""How far the picture reaches in each direction."""
WIDEST = 4
"""Boxes side by side; what is more is counted."""
MOST = 1_000
"""Pictures of findings of one level."""
_CONSTANTS = 3
_LOOKED_AT = 64
"""Neighbours of a node that are looked at: a value may have as many readers as the graph has nodes."""

_End: TypeAlias = tuple[str, Value]
"""`("input", value)` or `("output", value)`: where the graph, or a body in it, begins or ends."""


class Pictures:
    """The pictures of a target's findings: of each level the first thousand, more than anybody looks at."""

    def __init__(self, graph: Graph, shapes: Callable[[], Shapes | None]) -> None:
        """`shapes` is asked only for a picture."""
        self._graph = graph
        self._shapes = shapes
        self._drawn: Counter[Level] = Counter()

    def of(self, node: Node | None, level: Level) -> Neighbourhood | None:
        """The picture of a node; None for a finding about the model, too."""
        if node is None or self._drawn[level] >= MOST:
            return None
        self._drawn[level] += 1
        return around(self._graph, self._shapes(), node)


def around(graph: Graph, shapes: Shapes | None, node: Node) -> Neighbourhood:
    """The picture of a node; types are empty where `shapes` could not be had."""
    drawing = _Drawing(graph, shapes, node)
    for direction in (-1, 1):
        drawing.grow(direction)
    return drawing.done()


class _Drawing:
    def __init__(self, graph: Graph, shapes: Shapes | None, node: Node) -> None:
        self._graph = graph
        self._shapes = shapes
        self._node = node
        self._steps: dict[Node | _End, int] = {node: 0}
        self._arrows: dict[tuple[Node | _End, Node | _End], None] = {}
        self._folded: dict[int, dict[Node | _End, set[Node]]] = {}
        """By step: what found no place, and which nodes are connected with it."""

    def grow(self, direction: int) -> None:
        """Place the neighbours, and theirs. What is met again farther out moves there, so that arrows point down."""
        border: list[Node] = [self._node]
        for step in range(direction, direction * (STEPS + 1), direction):
            met: dict[Node, None] = {}
            for node in border:
                for other in islice(self._neighbours(node, direction), _LOOKED_AT):
                    if self._place(other, step, node, direction) and isinstance(other, Node):
                        met[other] = None
            border = list(met)

    def _place(self, other: Node | _End, step: int, node: Node, direction: int) -> bool:
        known = self._steps.get(other)
        full = sum(placed == step for placed in self._steps.values()) >= WIDEST
        if known is None and full:
            self._folded.setdefault(step, {}).setdefault(other, set()).add(node)
            return False
        self._arrows[(other, node) if direction < 0 else (node, other)] = None
        if known is None or (known * direction > 0 and not full):
            self._steps[other] = step
        return known is None or known * direction > 0

    def _neighbours(self, node: Node, direction: int) -> Iterator[Node | _End]:
        graph = self._graph
        if direction < 0:
            for value in dict.fromkeys(node.inputs):
                if value is not None and value.constant is None:
                    yield graph.producer(value) or ("input", value)
            return
        for value in node.outputs:
            yield from graph.uses(value)
            if value is not None and graph.is_output(value):
                yield ("output", value)

    def done(self) -> Neighbourhood:
        steps = self._steps
        down = [(start, end) for start, end in self._arrows if steps[start] < steps[end]]
        joined = {self._node, *(entry for arrow in down for entry in arrow)}  # others lie too far out to be joined
        order = sorted((entry for entry in steps if entry in joined), key=steps.__getitem__)
        index = {entry: place for place, entry in enumerate(order)}
        boxes = [self._box(entry) for entry in order]
        arrows = [(index[start], index[end]) for start, end in down]
        for step, folded in self._folded.items():
            ends = [index[node] for node in set().union(*folded.values()) if node in index]
            arrows += [(len(boxes), end) if step < 0 else (end, len(boxes)) for end in ends]
            count = f"+{len(folded)} more" if len(folded) < _LOOKED_AT - WIDEST else "many more"
            boxes.append(Box("more", count, "", "", step))
        return Neighbourhood(tuple(boxes), tuple(sorted(arrows)))

    def _box(self, entry: Node | _End) -> Box:
        step = self._steps[entry]
        if isinstance(entry, Node):
            kind: BoxKind = "flagged" if entry is self._node else "node"
            out = next((value for value in entry.outputs if value is not None), None)
            constants = tuple(self._type(value) for value in _constants(entry.inputs))[:_CONSTANTS]
            return Box(kind, entry.full_op, self._type(out), entry.loc.path, step, constants)
        end, value = entry
        return Box("input" if end == "input" else "output", value.name, self._type(value), "", step)

    def _type(self, value: Value | None) -> str:
        return self._shapes.describe(value) if self._shapes and value is not None else ""


def _constants(inputs: Iterable[Value | None]) -> Iterator[Value]:
    return (value for value in inputs if value is not None and value.constant is not None)
