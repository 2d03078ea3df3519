"""Which weights gradient descent cannot move: their gradient is identically zero, and no update changes that.

Two facts are followed through the graph, both in the sense "proved whatever the inputs": a value is zero, and the
gradient that arrives at it is zero. For `y = W x + b` the gradient of W is the product of the gradient of y and x, that
of x the product of W and the gradient of y; so a zero factor blocks what lies on its other side. A parameter that is
zero at first is taken as non-zero once a gradient may reach it, and what that opens is followed in turn. What is
closed at the end stays closed for ever. Gradients arrive at every output of the graph; inputs are not zero; an operator
that nobody taught neither zeroes nor blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Value

from ._zero_flow import passes, zero
from .layers import Layer, Layers, layers
from .parameters import Parameters, parameters
from .weights import Weights, weights

Slot: TypeAlias = tuple[Value, Value | None]
"""A value as something reads it. Exporters merge equal biases of unrelated layers into one constant, so a bias
counts once for each weight it goes with."""


class State:
    """What may be non-zero (`live`) and where a gradient may arrive (`reached`)."""

    def __init__(self, live: Iterable[Slot] = (), reached: Iterable[Slot] = ()) -> None:
        self.live = set(live)
        self.reached = set(reached)

    def copy(self) -> State:
        return State(self.live, self.reached)


class Gradient:
    """The state at initialisation (`first`) and the one that training can lead to at best (`last`)."""

    def __init__(self, graph: Graph, known: Parameters, all_layers: Layers, stats: Weights) -> None:
        self._graph = graph
        self._known = known
        self._layers = all_layers
        self._stats = stats
        self._partner = _partners(graph, all_layers)
        self._zeros: dict[Slot, list[Node]] = {}
        self.first = self._at_initialisation()
        self.last = self._in_the_end()

    def always_zero(self, value: Value) -> bool:
        """Whether a computed value stays zero in training."""
        return (value, None) not in self.last.live

    def unreached(self, value: Value) -> bool:
        """Whether the gradient of a computed value stays zero in training."""
        return (value, None) not in self.last.reached

    def blocked(self, layer: Layer) -> bool:
        """Whether the weight of a layer keeps a zero gradient for ever."""
        stored = self._known.stored(layer.weight)
        weight = stored.value if stored is not None else self._known.fill(layer.weight)
        return weight is not None and (weight, None) not in self.last.reached

    def obstacles(self, layer: Layer) -> list[Node]:
        """The nodes behind a layer at which the gradient stops for good, nearest first."""
        found: dict[Node, None] = {}
        seen = {layer.output}
        todo = [layer.output]
        for value in todo:
            for node in self._graph.uses(value):
                outputs = [out for out in node.outputs if out is not None]
                if any((out, None) in self.last.reached for out in outputs):
                    found[node] = None
                else:
                    todo.extend(out for out in outputs if out not in seen)
                    seen.update(outputs)
        return list(found)

    def _slot(self, node: Node, index: int) -> Slot | None:
        value = node.input(index)
        return None if value is None else (value, self._partner.get((node, value)))

    def _at_initialisation(self) -> State:
        state = State(reached=((value, None) for value in self._ends()))
        for node in self._graph.nodes:
            for index, value in enumerate(node.inputs):
                if value is not None and self._graph.producer(value) is None:
                    self._start(state, node, index, value)
            self._forward(node, state)
        for node in reversed(self._graph.nodes):
            self._backward(node, state)
        return state

    def _ends(self) -> list[Value]:
        bodies = [body for node in self._graph.nodes for body in node.bodies.values()]
        return [*self._graph.outputs, *(value for body in bodies for value in body.outputs if value is not None)]

    def _start(self, state: State, node: Node, index: int, value: Value) -> None:
        slot = self._slot(node, index)
        if slot is None or slot in state.live:
            return
        stats = self._stats.of(value)
        if stats is not None and stats.zero:
            self._zeros.setdefault(slot, []).append(node)
        else:
            state.live.add(slot)

    def _forward(self, node: Node, state: State) -> list[Value]:
        """Outputs that turn out not to be zero."""
        outputs = [value for value in node.outputs if value is not None and (value, None) not in state.live]
        if not outputs or self._zero(node, state):
            return []
        state.live.update((value, None) for value in outputs)
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
        return zero(node, lambda index: self._slot(node, index) not in state.live)

    def _backward(self, node: Node, state: State) -> list[Slot]:
        """Inputs that a gradient turns out to reach."""
        for value in node.outputs:
            if value is not None and (value, None) in state.reached:
                break
        else:
            return []
        found = []
        slots = [self._slot(node, index) for index in range(len(node.inputs))]
        for index, slot in enumerate(slots):
            if slot is not None and slot not in state.reached and self._passes(node, index, state):
                state.reached.add(slot)
                found.append(slot)
        return found

    def _passes(self, node: Node, index: int, state: State) -> bool:
        return passes(node, index, lambda other: self._slot(node, other) not in state.live)

    def _in_the_end(self) -> State:
        """Every change is followed to the nodes it concerns; each fact changes once, so this takes linear time."""
        state = self.first.copy()
        todo: list[Node] = []
        for slot in [slot for slot in self._zeros if slot in state.reached]:
            self._release(slot, state, todo)
        todo.extend(layer.node for layer in self._layers.all)
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
        if slot not in state.live:
            state.live.add(slot)
            todo.extend(self._zeros[slot] or self._graph.uses(slot[0]))

    def _unseen_bias(self, node: Node, state: State) -> list[Value]:
        """Exporters leave out a bias of zeros; training moves it all the same where a gradient arrives."""
        layer = self._layers.of(node)
        if layer is None or layer.bias is not None or layer.kind == "embedding":
            return []
        outputs = [value for value in dict.fromkeys((*node.outputs, layer.output)) if value is not None]
        if not any((value, None) in state.reached for value in outputs):
            return []
        opened = [value for value in outputs if (value, None) not in state.live]
        state.live.update((value, None) for value in opened)
        return opened


def _partners(graph: Graph, all_layers: Layers) -> dict[tuple[Node, Value], Value]:
    """For each bias as a node reads it, the weight it goes with."""
    found = {}
    for layer in all_layers.all:
        if layer.bias is None:
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
