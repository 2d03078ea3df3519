"""Which emitted nodes make up the graph.

What the program computed for nothing stays, as a finding may want to name it. What only the lowering left over, and
updates of buffers (running statistics, counters of batches) do not: they are no part of what the model computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netlint.graph import Node, Value

from .builder import Builder
from .calls import Call


@dataclass(slots=True)
class _Span:
    """The nodes that one call of the program became."""

    start: int
    end: int
    results: Sequence[Value]
    updates_buffer: bool


class Pruning:
    """Follows the lowering call by call."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._spans: list[_Span] = []
        self._start = 0
        self._updates_buffer = False
        self.read: set[Value] = set()
        """What the program used, whether or not the lowering had a use for it."""

    def begin(self, call: Call) -> None:
        self._start = len(self._builder.nodes)
        self._updates_buffer = False

    def updates_buffer(self) -> None:
        """The call at hand writes into a buffer."""
        self._updates_buffer = True

    def end(self, results: Sequence[Value]) -> None:
        stop = len(self._builder.nodes)
        if stop > self._start:
            self._spans.append(_Span(self._start, stop, results, self._updates_buffer))

    def kept(self, outputs: Iterable[Value]) -> list[Node]:
        """The nodes of the graph, in the order of the program."""
        live: set[Node] = set()
        self._mark(outputs, live)
        nodes = self._builder.nodes
        for span in reversed(self._spans):
            own = nodes[span.start : span.end]
            used = any(node in live for node in own) or any(value in self.read for value in span.results)
            if not used and not span.updates_buffer:
                self._mark((out for node in own for out in node.outputs if out is not None), live)
        return [node for node in nodes if node in live]

    def _mark(self, values: Iterable[Value | None], live: set[Node]) -> None:
        producers = self._builder.producers
        stack = [producers[value] for value in values if value in producers]
        while stack:
            node = stack.pop()
            if node not in live:
                live.add(node)
                stack += [producers[value] for value in node.inputs if value in producers]
