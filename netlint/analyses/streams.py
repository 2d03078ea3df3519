"""Which axis of each value counts the sequences that a recurrent layer reads side by side."""

from __future__ import annotations

from collections.abc import Sequence

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Value
from netlint.ops import RECURRENT

from ._axes_track import State, Track
from .axes import Flow
from .constants import constants
from .shapes import shapes

__all__ = ["Streams", "streams"]


class _Streams(Flow):
    """The axis that a recurrent layer itself takes for the batch, followed from there on."""

    def _seed(self, graph: Graph) -> None:
        """No input counts sequences before a layer has read them."""

    def _after(self, node: Node) -> Sequence[State]:
        shape = self.of(node.input(0))
        if node.op not in RECURRENT or node.domain or shape is None or len(shape) != 3:
            return super()._after(node)
        first = bool(node.attrs.get("layout", 0))
        length = shape[0 if first else 1]
        last = Track(0 if first else 1, length)
        return [Track(0 if first else 2, length), last, last][: len(node.outputs)]


class Streams:
    """The sequences of recurrent layers: what it takes for the batch, whatever that axis means."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def axis(self, value: Value | None) -> int | None:
        """The axis that counts the sequences; None where no recurrent layer lies before, or where it is unknown."""
        state = self._flow.state(value)
        return state.axis if isinstance(state, Track) and state.alone else None


@analysis(shapes, constants)
def streams(scope: Scope) -> Streams:
    """The axis that recurrent layers take for the batch, in what follows from them."""
    return Streams(_Streams(scope.graph, scope[shapes], scope[constants]))
