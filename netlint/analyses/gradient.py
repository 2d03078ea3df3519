"""Which weights gradient descent cannot move: their gradient is identically zero, and no update changes that.

Two facts are followed through the graph, both in the sense "proved whatever the inputs": a value is zero, and the
gradient that arrives at it is zero. For `y = W x + b` the gradient of W is the product of the gradient of y and x, that
of x the product of W and the gradient of y; so a zero factor blocks what lies on its other side. A parameter that is
zero at first is taken as non-zero once a gradient may reach it, and what that opens is followed in turn. What is
closed at the end stays closed for ever. Gradients arrive at every output of the graph; inputs are not zero; an operator
that nobody taught neither zeroes nor blocks. Only what is zero and what is not reached is kept, and found by starting
from the zeros, so that a large model with one zero layer costs little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import TypeAlias

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Value

from ._zero_flow import OF_SHAPE, passes, zero
from .layers import Layer, Layers, layers
from .parameters import Parameters, parameters
from .weights import Weights, weights

Slot: TypeAlias = tuple[Value, Value | None]
"""A value as something reads it. Exporters merge equal biases of unrelated layers into one constant, so a bias
counts once for each weight it goes with."""


class State:
    """What is zero for certain (`dead`) and where certainly no gradient arrives (`unreached`)."""

    def __init__(self, dead: Iterable[Slot] = (), unreached: Iterable[Slot] = ()) -> None:
        self.dead = set(dead)
        self.unreached = set(unreached)

    def copy(self) -> State:
        return State(self.dead, self.unreached)


class Gradient:
    """The state at initialisation (`first`) and the one that training can lead to at best (`last`)."""

    def __init__(self, graph: Graph, known: Parameters, all_layers: Layers, stats: Weights) -> None:
        self._graph = graph
        self._known = known
        self._layers = all_layers
        self._stats = stats
        self._partner = _partners(graph, all_layers, stats)
        self._zeros: dict[Slot, list[Node]] = {}
        self._ends = {*graph.outputs, *_body_outputs(graph)}
        self.first = self._at_initialisation()
        self.last = self._in_the_end()

    def always_zero(self, value: Value) -> bool:
        """Whether a computed value stays zero in training."""
        return (value, None) in self.last.dead

    def unreached(self, value: Value) -> bool:
        """Whether the gradient of a computed value stays zero in training."""
        return (value, None) in self.last.unreached

    def blocked(self, layer: Layer) -> bool:
        """Whether the weight of a layer keeps a zero gradient for ever."""
        weight = self._known.parameter(layer.weight) or self._known.fill(layer.weight)
        return weight is not None and (weight, None) in self.last.unreached

    def obstacles(self, layer: Layer) -> list[Node]:
        """The nodes behind a layer at which the gradient stops for good, nearest first."""
        found: dict[Node, None] = {}
        seen = {layer.output}
        todo = [layer.output]
        for value in todo:
            for node in self._graph.uses(value):
                outputs = [out for out in node.outputs if out is not None]
                if self._is_reached(node, self.last):
                    found[node] = None
                else:
                    todo.extend(out for out in outputs if out not in seen)
                    seen.update(outputs)
        return list(found)

    def _slot(self, node: Node, index: int) -> Slot | None:
        value = node.input(index)
        return None if value is None else (value, self._partner.get((node, value)))

    def _at_initialisation(self) -> State:
        state = State()
        self._spread_zeros(state)
        self._spread_blocks(state)
        return state

    def _start(self, state: State) -> Iterator[Node]:
        """Note the stored zeros; the nodes that read them, or make zeros."""
        for node in self._graph.nodes:
            for index, value in enumerate(node.inputs):
                if value is None or value.constant is None:
                    continue
                stats = self._stats.of(value)
                slot = self._slot(node, index)
                if slot is not None and stats is not None and stats.zero:
                    if value.trainable is not False:  # else it stays what it is
                        self._zeros.setdefault(slot, []).append(node)
                    state.dead.add(slot)
                    yield node
        yield from self._graph.of("ConstantOfShape")

    def _spread_zeros(self, state: State) -> None:
        """In graph order: what a node reads is known before it."""
        place = self._graph.position
        met = set(self._start(state))
        todo = sorted(place[node] for node in met)
        while todo:
            node = self._graph.nodes[heappop(todo)]
            if not self._zero(node, state):
                continue
            for value in (value for value in node.outputs if value is not None):
                state.dead.add((value, None))
                for user in self._graph.uses(value):
                    if user not in met:
                        met.add(user)
                        heappush(todo, place[user])

    def _spread_blocks(self, state: State) -> None:
        """Against graph order: a value is judged at its first reader, when all that any reader makes has been."""
        place = self._graph.position
        todo: list[tuple[int, int, Slot]] = []
        met: set[Slot] = set()

        def doubt(node: Node) -> None:
            for index in range(len(node.inputs)):
                slot = self._slot(node, index)
                if slot is not None and slot not in met:
                    met.add(slot)
                    heappush(todo, (-place[self._graph.uses(slot[0])[0]], len(met), slot))

        for value in {value for value, _ in state.dead}:
            for node in self._graph.uses(value):
                doubt(node)
        for node in self._graph.of(*OF_SHAPE):
            doubt(node)
        while todo:
            *_, slot = heappop(todo)
            if slot[0] in self._ends or any(self._supports(user, slot, state) for user in self._graph.uses(slot[0])):
                continue
            state.unreached.add(slot)
            producer = self._graph.producer(slot[0])
            if producer is not None and not self._is_reached(producer, state):
                doubt(producer)

    def _supports(self, node: Node, slot: Slot, state: State) -> bool:
        """Whether a gradient may come to a slot from one of its readers."""
        if not self._is_reached(node, state):
            return False
        places = [index for index, value in enumerate(node.inputs) if value is slot[0]]
        return any(self._slot(node, index) == slot and self._passes(node, index, state) for index in places)

    def _is_reached(self, node: Node, state: State) -> bool:
        """Whether a gradient may arrive at one of the outputs; none does where nothing reads it."""
        for value in node.outputs:
            if value is None or (value, None) in state.unreached:
                continue
            if value in self._ends or self._graph.uses(value):
                return True
        return False

    def _forward(self, node: Node, state: State) -> list[Value]:
        """Outputs that turn out not to be zero."""
        outputs = [value for value in node.outputs if value is not None and (value, None) in state.dead]
        if not outputs or self._zero(node, state):
            return []
        state.dead.difference_update((value, None) for value in outputs)
        return outputs

    def _zero(self, node: Node, state: State) -> bool:
        value = node.output()
        if node.op == "ConstantOfShape" and not node.domain and value is not None:
            stats = self._stats.of(value)
            if stats is None or not stats.zero:
                return False
            if self._known.constant(value):  # else it is no parameter: a state to start from
                self._zeros.setdefault((value, None), [])
            return True
        return zero(node, lambda index: self._is_dead(node, index, state))

    def _is_dead(self, node: Node, index: int, state: State) -> bool:
        slot = self._slot(node, index)
        return slot is None or slot in state.dead

    def _backward(self, node: Node, state: State) -> list[Slot]:
        """Inputs that a gradient turns out to reach."""
        if not self._is_reached(node, state):
            return []
        found = []
        for index in range(len(node.inputs)):
            slot = self._slot(node, index)
            if slot in state.unreached and slot is not None and self._passes(node, index, state):
                state.unreached.discard(slot)
                found.append(slot)
        return found

    def _passes(self, node: Node, index: int, state: State) -> bool:
        return passes(node, index, lambda other: self._is_dead(node, other, state))

    def _in_the_end(self) -> State:
        """Every change is followed to the nodes it concerns; each fact changes once, so this takes linear time."""
        state = self.first.copy()
        todo: list[Node] = []
        for slot in [slot for slot in self._zeros if slot not in state.unreached]:
            self._release(slot, state, todo)
        todo.extend(
            layer.node for layer in self._layers.all if any((value, None) in state.dead for value in layer.node.outputs)
        )
        while todo:
            node = todo.pop()
            live = self._forward(node, state) + self._unseen_bias(node, state)
            for value in live:
                todo.extend(self._graph.uses(value))
            for slot in self._backward(node, state):
                if slot in self._zeros:
                    self._release(slot, state, todo)
                elif (producer := self._graph.producer(slot[0])) is not None:
                    todo.append(producer)
        return state

    def _release(self, slot: Slot, state: State, todo: list[Node]) -> None:
        if slot in state.dead:
            state.dead.discard(slot)
            todo.extend(self._zeros[slot] or self._graph.uses(slot[0]))

    def _unseen_bias(self, node: Node, state: State) -> list[Value]:
        """Exporters leave out a bias of zeros; training moves it all the same where a gradient arrives."""
        layer = self._layers.of(node)
        if layer is None or layer.bias is not None or layer.kind == "embedding":
            return []
        outputs = [value for value in dict.fromkeys((*node.outputs, layer.output)) if value is not None]
        if all((value, None) in state.unreached for value in outputs):
            return []
        opened = [value for value in outputs if (value, None) in state.dead]
        state.dead.difference_update((value, None) for value in opened)
        return opened


def _body_outputs(graph: Graph) -> Iterator[Value]:
    for node in graph.nodes:
        for body in node.bodies.values():
            yield from (value for value in body.outputs if value is not None)


def _partners(graph: Graph, all_layers: Layers, stats: Weights) -> dict[tuple[Node, Value], Value]:
    """For each stored bias of zeros as a node reads it, the weight it goes with."""
    found = {}
    for layer in all_layers.all:
        if layer.bias is None or layer.bias.constant is None:
            continue
        about = stats.of(layer.bias)
        if about is None or not about.zero:
            continue
        adds = layer.output is not layer.node.output()
        node = graph.producer(layer.output) if adds else layer.node
        if node is not None:
            found[node, layer.bias] = layer.weight
    return found


@analysis(parameters, layers, weights)
def gradient(scope: Scope) -> Gradient:
    """Which weights gradient descent cannot move."""
    return Gradient(scope.graph, scope[parameters], scope[layers], scope[weights])
