"""What findings of the probe share: how the model was run, and what was measured at its weighted layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt

from netlint.analyses.layers import Layer, layers
from netlint.analyses.parameters import parameters
from netlint.graph import Graph, Node, Value
from netlint.ops import NORMALISATION, WEIGHTED
from netlint.probe.observed import Passes, Seen, Setup, WeightSeen
from netlint.rule import Evidence, Scope

LAYERED = (layers, parameters)
"""What `measured` reads."""
FEW = 4
"""With fewer samples than that, chance decides what their outputs and losses are on average."""


def setting(setup: Setup) -> tuple[Evidence, ...]:
    """How the model was run, as evidence."""
    found = [Evidence("run", f"{setup.runner} on {setup.device}, seed {setup.seed}"), Evidence("batch", setup.batch)]
    if setup.loss:
        found.append(Evidence("loss", setup.loss))
    return (*found, *(Evidence("note", note) for note in setup.notes))


@dataclass(frozen=True, slots=True)
class Measured:
    """A weighted layer with what the passes showed of it; None: nothing."""

    layer: Layer
    out: Seen | None
    weight: WeightSeen | None

    @property
    def size(self) -> float | None:
        """Root mean square of what the layer computes; None where nothing finite was seen."""
        if self.out is None:
            return None
        size = sqrt(self.out.mean**2 + self.out.std**2) if isfinite(self.out.mean) else self.out.mean
        return size if isfinite(size) else None

    @property
    def gradient(self) -> float | None:
        """Euclidean norm of the gradient at the output: unlike the mean square it does not depend on whether few or
        many positions share it. None where there is none, or none that is finite."""
        if self.out is None or self.out.grad is None or not isfinite(self.out.grad):
            return None
        return self.out.grad * sqrt(self.out.count)


def measured(scope: Scope, found: Passes) -> list[Measured]:
    """The weighted layers in graph order."""
    weights = {weight.name: weight for weight in found.weights}
    known = scope[parameters]

    def weight_of(layer: Layer) -> WeightSeen | None:
        weight = known.parameter(layer.weight)
        return weights.get(weight.name) if weight is not None else None

    return [Measured(layer, found.seen.get(layer.output), weight_of(layer)) for layer in scope[layers].all]


def sources(graph: Graph, found: Passes, value: Value | None) -> list[Value]:
    """The nearest values at or before a value that statistics were taken of, or that nothing computes.

    None are taken of what only moves elements.
    """
    todo = [value] if value is not None else []
    nearest: dict[Value, None] = {}
    met = set(todo)
    while todo:
        each = todo.pop()
        node = graph.producer(each)
        if each in found.seen or node is None or not node.inputs:
            nearest[each] = None
            continue
        moved = node.inputs if node.op == "Concat" else node.inputs[:1]
        new = [before for before in moved if before is not None and before not in met]
        met.update(new)
        todo += new
    return list(nearest)


def reader(graph: Graph, name: str) -> Node | None:
    """The first node that reads the weight of that name."""
    return next(
        (node for node in graph.nodes for value in node.inputs if value is not None and value.name == name), None
    )


def opens(graph: Graph, found: Passes) -> bool:
    """Whether a factor of zeros that gets a gradient may be all that keeps signal or gradient back: many heads and
    blocks begin so, and after the first step it is zero no more."""
    zeros = {weight.name for weight in found.weights if weight.rms == 0 and weight.grad}
    return any(
        value is not None and value.name in zeros and _multiplies(node, place)
        for node in graph.nodes
        for place, value in enumerate(node.inputs)
    )


def _multiplies(node: Node, place: int) -> bool:
    slots = WEIGHTED.get(node.op)
    if slots is not None and place == slots.bias:
        return False
    return slots is not None or node.op in ("Mul", "Transpose") or (node.op in NORMALISATION and place == 1)
