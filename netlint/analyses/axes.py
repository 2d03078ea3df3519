"""Which axis of each value runs over the samples of the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from netlint.analysis import Scope, analysis
from netlint.graph import Dim, Graph, Node, Shape, Value
from netlint.ops import RECURRENT, TRANSPARENT

from ._axes_ops import TABLE
from ._axes_track import NONE, UNKNOWN, State, Track
from .constants import Constants, constants
from .shapes import Shapes, shapes

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Axes", "axes"]

_MALFORMED = (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError)


class Flow:
    """Follows the batch through a graph, in graph order."""

    def __init__(self, graph: Graph, known: Shapes, constants: Constants) -> None:
        self._shapes = known
        self._constants = constants
        self._states: dict[Value, State] = {}
        self.producer = graph.producer
        self.opset = graph.opset.get("", 1)
        self._seed(graph)
        self.lengths = frozenset(
            state.length
            for state in self._states.values()
            if isinstance(state, Track) and isinstance(state.length, str)
        )
        """The names of batch lengths."""
        for node in graph.nodes:
            self._formals(node)
        for node in graph.nodes:
            self._visit(node)

    def state(self, value: Value | None) -> State:
        return NONE if value is None else self._states.get(value, NONE)

    def of(self, value: Value | None) -> Shape | None:
        return self._shapes.of(value)

    def ints(self, value: Value | None) -> tuple[Dim, ...] | None:
        return self._shapes.ints(value)

    def array(self, value: Value | None) -> np.ndarray[Any, Any] | None:
        return self._constants.get(value)

    def _seed(self, graph: Graph) -> None:
        shapes = {value: self._shapes.of(value) for value in graph.inputs}
        first = [shape[0] for shape in shapes.values() if shape]
        for value, shape in shapes.items():
            time_first = _read_time_first(graph, value)
            self._states[value] = time_first(shape) if time_first else _start(shape, first)

    def _formals(self, node: Node) -> None:
        for body in node.bodies.values():
            self._states.update(dict.fromkeys(body.inputs, UNKNOWN))

    def _visit(self, node: Node) -> None:
        states = self._after(node)
        for nth, out in enumerate(node.outputs):
            if out is not None:
                self._states[out] = states[nth] if nth < len(states) else UNKNOWN

    def _after(self, node: Node) -> Sequence[State]:
        if node.bodies:
            return self._branches(node)
        transfer = TABLE.get(node.full_op)
        if transfer is None:
            alone = all(self.state(value) is NONE for value in node.inputs)
            return [NONE if alone else UNKNOWN] * len(node.outputs)
        try:
            found = transfer(node, self)
        except _MALFORMED:
            return ()
        return [found] * len(node.outputs) if isinstance(found, Track) or not isinstance(found, Sequence) else found

    def _branches(self, node: Node) -> Sequence[State]:
        """What both branches of an If agree on; what loops hand on is not followed."""
        if node.op != "If":
            return ()
        results = [[self.state(out) for out in body.outputs] for body in node.bodies.values()]
        return [one[0] if len(set(one)) == 1 else UNKNOWN for one in zip(*results, strict=False)]


_SAMPLES = frozenset({"batch", "batch_size", "batchsize", "bs"})
_OTHERS = frozenset(
    {"length", "time", "seq", "sequence", "seq_len", "seq_length", "sequence_length", "height", "width"}
)


def _start(shape: Shape | None, first: Sequence[Dim]) -> State:
    """The batch axis of a graph input: the first, unless another axis has the batch's name."""
    if shape is None:
        return UNKNOWN
    if not shape:
        return NONE
    if isinstance(shape[0], str) and shape[0].lower() in _OTHERS:
        said = [place for place, dim in enumerate(shape) if isinstance(dim, str) and dim.lower() in _SAMPLES]
        return Track(said[0], shape[said[0]]) if len(said) == 1 else UNKNOWN
    if isinstance(shape[0], int):
        first = (*first, *_SAMPLES)
        named = [place for place, dim in enumerate(shape) if isinstance(dim, str) and dim in first]
        if len(named) == 1:
            return Track(named[0], shape[named[0]])
    if len(shape) >= 2 or isinstance(shape[0], str):
        return Track(0, shape[0])
    shared = shape[0] is not None and shape[0] != 1 and first.count(shape[0]) > 1
    return Track(0, shape[0]) if shared else UNKNOWN


def _second(shape: Shape | None) -> State:
    return Track(1, shape[1]) if shape is not None and len(shape) == 3 else UNKNOWN


def _neither(shape: Shape | None) -> State:
    return UNKNOWN


def _read_time_first(graph: Graph, value: Value) -> Callable[[Shape | None], State] | None:
    """What an input is whose first axis is time, because a recurrent layer or a Scan reads it as it comes."""
    for node in graph.uses(value):
        if node.op in TRANSPARENT and not node.domain and node.input(0) is value:
            found = [
                user for user in graph.uses(node.output()) if user.op in RECURRENT and user.input(0) is node.output()
            ]
            if any(not user.attrs.get("layout", 0) for user in found):
                return _second
        if _time_first(node) and value in (*node.inputs[:1], *node.inputs[5:7]):
            return _second
        if node.op == "Scan":
            return _neither
    return None


def _time_first(node: Node) -> bool:
    return node.op in RECURRENT and not node.attrs.get("layout", 0)


class Axes:
    """The batch axis of every value.

    It starts at axis 0 of the graph's inputs (axis 1 where a recurrent layer reads the input time first) and is
    followed through the operators. Where a claim cannot be proved the answer is unknown.
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def batch(self, value: Value | None) -> int | None:
        """The axis that runs over the samples; None if there is none, it is merged with others, or it is unknown."""
        state = self._flow.state(value)
        return state.axis if isinstance(state, Track) and state.alone else None

    def state(self, value: Value | None) -> str:
        """`known`: see `batch`. `none`: no axis runs over samples. `mixed`: one axis does, merged with others, as
        after a window partition. `unknown`: nothing is claimed."""
        state = self._flow.state(value)
        return ("known" if state.alone else "mixed") if isinstance(state, Track) else str(state.value)

    def track(self, value: Value | None) -> Track | None:
        """The axis in which the batch lies, alone or merged, with the factors before and after it."""
        state = self._flow.state(value)
        return state if isinstance(state, Track) else None


@analysis(shapes, constants)
def axes(scope: Scope) -> Axes:
    """The batch axis of every value."""
    return Axes(Flow(scope.graph, scope[shapes], scope[constants]))
