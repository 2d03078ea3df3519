"""Which readers of a value matter: a result that nothing reads is no second use of what it was made of."""

from __future__ import annotations

from functools import cached_property

from netlint import ops
from netlint.graph import ONNX, Graph, Node, Value

_MAX_UNREAD = 16
_OF_SHAPE = frozenset({"Shape", "Size"})


class Readers:
    """Readers in one graph, with those told apart whose results lead nowhere."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def split(self, value: Value) -> tuple[list[Node], list[Node]]:
        """The readers of a value's numbers that may matter, and those from which nothing comes to an output or a loss.

        One reader alone always matters: something must be computed for a reason. Who asks for the shape reads nothing.
        """
        uses = self._graph.uses(value)
        if not 1 < len(uses) <= _MAX_UNREAD:
            return uses, []
        uses = [node for node in uses if node.op not in _OF_SHAPE]
        live = [node for node in uses if not self._leads_nowhere(node)]
        return (live, [node for node in uses if node not in live]) if live else (uses, [])

    @cached_property
    def _handed(self) -> frozenset[Value | None]:
        """What bodies hand to the node that holds them."""
        holders = self._graph.of(*ops.HOLDS_BODIES)
        return frozenset(value for node in holders for body in node.bodies.values() for value in body.outputs)

    def _leads_nowhere(self, node: Node) -> bool:
        """Whether only operators of numbers follow, and nobody reads the last of them."""
        todo, seen = [node], {node}
        for one in todo:
            if len(seen) > _MAX_UNREAD or one.domain != ONNX or one.bodies or one.op in ops.LOSSES:
                return False
            if one.op not in ops.KNOWN_OPS:
                return False
            for made in one.outputs:
                if made is not None and (self._graph.is_output(made) or made in self._handed):
                    return False
                fresh = [user for user in self._graph.uses(made) if user not in seen]
                todo.extend(fresh)
                seen.update(fresh)
        return True
