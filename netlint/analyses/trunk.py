"""Which nodes all signal passes: cut one, and no output depends on any input of the model."""

from __future__ import annotations

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Value

from .layers import Layers, layers

_OF_SHAPE = frozenset({"Shape", "Size"})


class _Sweep:
    """One pass in graph order: a node is a bottleneck if no signal from before it is read behind it."""

    def __init__(self, graph: Graph, known: Layers) -> None:
        self._graph = graph
        self._sources = _sources(graph, known)
        self._end = len(graph.nodes)
        self._leaves = {value: place for place, node in enumerate(graph.nodes) for value in _handed_out(node)}
        self._signal: set[Value] = set()
        self._last = -1

    def run(self) -> dict[Node, int]:
        for value in self._sources:
            self._add(value)
        for node in self._graph.nodes:
            for body in node.bodies.values():
                for value in body.inputs:
                    self._add(value)
        found = {}
        for place, node in enumerate(self._graph.nodes):
            if not any(value in self._signal for value in node.inputs) and not node.bodies:
                continue
            if self._last <= place and not node.bodies:
                found[node] = place
            if node.op not in _OF_SHAPE:
                for output in node.outputs:
                    self._add(output)
        return found

    def _add(self, value: Value | None) -> None:
        """Note a value that depends on the inputs, and where it is read last."""
        if value is None or value.constant is not None:
            return
        self._signal.add(value)
        if self._graph.is_output(value):
            self._last = self._end
        for node in reversed(self._graph.uses(value)):
            if node.op not in _OF_SHAPE:
                self._last = max(self._last, self._graph.position[node])
                break
        self._last = max(self._last, self._leaves.get(value, -1))


def _sources(graph: Graph, known: Layers) -> list[Value]:
    """The inputs that a weighted layer depends on: targets come in behind the last one, and carry no signal."""
    todo = [layer.data for layer in known.all]
    before = set(todo)
    while todo:
        node = graph.producer(todo.pop())
        if node is not None:
            if node.bodies:
                return list(graph.inputs)  # bodies read what is no input of their holder
            new = [value for value in node.inputs if value is not None and value not in before]
            before.update(new)
            todo.extend(new)
    return [value for value in graph.inputs if value in before] or list(graph.inputs)


def _handed_out(node: Node) -> list[Value]:
    return [value for body in node.bodies.values() for value in body.outputs if value is not None]


@analysis(layers)
def trunk(scope: Scope) -> dict[Node, int]:
    """The nodes that all signal passes, with their place in graph order. Bodies of control flow count as bypasses."""
    return _Sweep(scope.graph, scope[layers]).run()
