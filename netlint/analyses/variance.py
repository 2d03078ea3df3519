"""How large signals are at initialisation, and how gradients grow or shrink on their way back, value by value.

Mean-field propagation: weights are independent draws with the stored second moments, pre-activations are Gaussian,
branches that join are independent (Glorot, Bengio 2010; He et al. 2015; Poole et al. 2016; Schoenholz et al. 2017).
Going back, E‖g‖² of a layer's input is fan-in × E w² times that of its output; an activation multiplies it with E f'²,
a norm with γ²/Var. Contributions of several readers add up. Norms count as in training. One pass each way; an operator
that nobody taught makes what depends on it unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite, log10

from netlint.analysis import Scope, Unavailable, analysis
from netlint.graph import Graph, Node, Value
from netlint.training import Known, Training

from ._variance_functions import UNARY, Expression, X, expression, gaussian_moments
from ._variance_signals import Facts, Signal, Step
from ._variance_steps import step
from .constants import constants
from .contract import contract
from .layers import Layer, layers
from .parameters import parameters
from .roles import Head, roles
from .shapes import shapes
from .weights import real_weights

__all__ = ["Signal", "Variance", "variance"]

_MOST_NODES = 50_000
"""A node costs some 30 µs each way; nobody initialises larger graphs than that."""
_JOINS = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"})


@dataclass(slots=True)
class _Made:
    """A value as an elementwise function of another."""

    base: Value
    how: Expression


class Variance:
    """Signals and gradients at initialisation. Unknown is None."""

    def __init__(self, graph: Graph, facts: Facts, inputs: Signal, heads: Iterable[Head], assumed: str) -> None:
        self._graph = graph
        self._facts = facts
        self._inputs = inputs
        self._signals: dict[Value, Signal | None] = {}
        self._made: dict[Value, _Made] = {}
        self._steps: dict[Node, Step] = {}
        self._gradients: dict[Value, float | None] = {}
        heads = tuple(heads)
        self.heads = tuple(dict.fromkeys(head.layer for head in heads if head.layer is not None))
        """The last layers of the heads."""
        seeds = (head.layer.output if head.layer is not None else head.value for head in heads)
        self.seeds = tuple(dict.fromkeys(seeds))
        """The values at whose gradient those of all others are measured: what the heads' last layers compute."""
        self.assumed = assumed
        """What is taken of the model's inputs, and from where."""
        for node in graph.nodes:
            self._forward(node)
        self._backward()

    def signal(self, value: Value | None) -> Signal | None:
        """The moments of a value's elements."""
        if value is None:
            return None
        if value not in self._signals:
            self._signals[value] = self._start(value)
        return self._signals[value]

    def gradient(self, value: Value | None) -> float | None:
        """log10 of √E‖∂L/∂value‖², relative to the gradient at the head; None if unknown, or if none arrives."""
        found = self._gradients.get(value) if value is not None else None
        return log10(found) / 2 if found is not None and 0 < found < inf else None

    def change(self, layer: Layer) -> float | None:
        """log10 of the root mean square of what a layer computes, over that of the model's inputs."""
        found = self.signal(layer.output)
        if found is None or not 0 < found.square < inf or not self._inputs.square > 0:
            return None
        return log10(found.square / self._inputs.square) / 2

    def _start(self, value: Value) -> Signal | None:
        if value.constant is not None:
            return self._facts.stored(value)
        floating = value.dtype is None or value.dtype.startswith(("float", "bfloat", "double"))
        return self._inputs if value in self._graph.inputs and floating else None

    # -- forward

    def _forward(self, node: Node) -> None:
        made = self._function(node)
        output = node.output()
        if made is not None and output is not None:
            self._made[output] = made
            self._signals[output] = self._apply(made)
            return
        found = step(node, self.signal, self._facts)
        self._steps[node] = found
        signal = found.signal if found.signal is not None and found.signal.known else None
        for value in node.outputs:
            if value is not None:
                self._signals[value] = signal

    def _apply(self, made: _Made) -> Signal | None:
        base = self._signals.get(made.base) or self.signal(made.base)
        found = gaussian_moments(made.how, base.mean, base.variance) if base is not None else None
        return Signal(found[0], found[1]) if found is not None else None

    def _function(self, node: Node) -> _Made | None:
        """What the node computes, if that is an elementwise function of one computed value."""
        if node.domain or (node.op not in UNARY and node.op not in _JOINS):
            return None
        operands: list[Expression] = []
        base: Value | None = None
        for value in node.inputs[: 1 if node.op in UNARY else 2]:
            number = self._facts.number(value)
            if number is not None:
                operands.append(number)
                continue
            if value is None or value.constant is not None:
                return None
            made = self._made.get(value, _Made(value, X))
            if base is not None and made.base is not base:
                return None
            base = made.base
            operands.append(made.how)
        how = expression(node, operands) if base is not None else None
        if how is None or base is None:
            return None
        return _Made(base, how)

    # -- backward

    def _backward(self) -> None:
        for value in self.seeds:
            self._send(value, 1.0)
        for node in reversed(self._graph.nodes):
            output = node.output()
            made = self._made.get(output) if output is not None else None
            if made is not None and output is not None:
                self._through_function(output, made)
            else:
                self._through_step(node)

    def _through_function(self, output: Value, made: _Made) -> None:
        arriving = self._gradients.get(output, 0.0)
        if arriving == 0.0:
            return
        base = self.signal(made.base)
        found = gaussian_moments(made.how, base.mean, base.variance) if base is not None else None
        self._send(made.base, None if arriving is None or found is None else arriving * found[2])

    def _through_step(self, node: Node) -> None:
        parts = [self._gradients.get(value, 0.0) for value in node.outputs if value is not None]
        known = [part for part in parts if part is not None]
        if known == parts and not any(known):
            return
        arriving = sum(known) if len(known) == len(parts) else None
        for slot, factor in self._steps[node].back.items():
            self._send(node.input(slot), None if arriving is None or factor is None else arriving * factor)

    def _send(self, value: Value | None, amount: float | None) -> None:
        if value is None or value.constant is not None:
            return
        before = self._gradients.get(value, 0.0)
        self._gradients[value] = None if before is None or amount is None else before + amount


def _inputs(training: Training) -> tuple[Signal, str]:
    """What the contract says of the inputs; otherwise they are taken as standardised."""
    span, mean, std = training.input_range, training.input_mean, training.input_std
    if isinstance(std, Known):
        centre = mean.value if isinstance(mean, Known) else 0.0
        text = f"inputs of mean {centre:g} and std {std.value:g} ({std.origin})"
        return Signal(centre, centre**2 + std.value**2), text
    if isinstance(span, Known) and isfinite(span.value.hi - span.value.lo):
        lo, hi = span.value.lo, span.value.hi
        square = (lo * lo + lo * hi + hi * hi) / 3
        return Signal((lo + hi) / 2, square), f"inputs spread evenly over {span.value} ({span.origin})"
    return Signal(0.0, 1.0), "inputs of mean 0 and std 1 (assumed: nobody has stated their range)"


@analysis(contract, parameters, layers, real_weights, shapes, constants, roles)
def variance(scope: Scope) -> Variance:
    """Signals and gradients at initialisation, relative to the heads."""
    if len(scope.graph.nodes) > _MOST_NODES:
        raise Unavailable(f"signals are not followed through more than {_MOST_NODES} nodes")
    facts = Facts(scope[parameters], scope[layers], scope[real_weights], scope[shapes], scope[constants])
    inputs, assumed = _inputs(scope[contract])
    return Variance(scope.graph, facts, inputs, scope[roles].predictions, assumed)
