"""A weight that the model uses and does not hold: no optimizer gets it.

## What it does

Reports a layer whose weight is an `nn.Parameter` that takes part in the forward pass and is not among
`model.parameters()`: a layer kept in a plain list or dict instead of `nn.ModuleList` or `nn.ModuleDict`, or one that
belongs to no module at all.

## Why is this bad

An optimizer is given `model.parameters()`. What the model does not hold keeps its initial values for ever, is missing
from `state_dict()` when the model is saved, and stays behind on the CPU in `model.to(device)`. Nothing fails.

## Example

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(8, 8) for _ in range(1)]
        self.head = nn.Linear(8, 3)
    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))      # want "the weight [8, 8] of this layer is not among the model's parameters"
        return self.head(x)
```

## Use instead

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(2)])
        self.head = nn.Linear(8, 3)
    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)
```

## Spares

What is kept aside on purpose and not trained: a teacher without gradients.

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.student = nn.Linear(8, 3)
        self.teacher = [nn.Linear(8, 3)]
        self.frozen = [nn.Linear(8, 3).requires_grad_(False)]
    def forward(self, x):
        with torch.no_grad():
            target = self.teacher[0](x)
        return self.student(x) + self.frozen[0](x), target
```

## Known limits

A training step may well use the weights of another model, which has an optimizer of its own; where a loss is recorded
nothing is said. In a model file nothing tells which weights the model held.

## References

- PyTorch documentation: `torch.nn.ModuleList`, `torch.nn.Module.parameters`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from netlint.analyses.contract import losses
from netlint.analyses.layers import Layer, layers
from netlint.analyses.parameters import parameters
from netlint.analyses.paths import paths
from netlint.analyses.shapes import shapes
from netlint.graph import Graph, Value
from netlint.rule import WARNING, Evidence, Finding, Scope, rule


@rule(
    "GRD004", "unregistered-parameter", level=WARNING, since="0.3", requires=(layers, parameters, losses, paths, shapes)
)
def unregistered_parameter(scope: Scope) -> Iterator[Finding]:
    if scope[losses]:
        return
    for layer in scope[layers].all:
        if _registered(scope, layer) is not False or not scope[paths].gradient.reached(layer.output):
            continue
        if not _beside_registered(scope, layer):
            continue
        shape = list(scope[shapes].of(layer.weight) or ())
        yield Finding(
            f"the weight {shape} of this layer is not among the model's parameters",
            layer.node,
            evidence=(Evidence("shape", shape),),
            help="keep layers in nn.ModuleList, nn.ModuleDict or attributes, and weights as nn.Parameter attributes",
            why="an optimizer over model.parameters() never moves it, and state_dict() does not save it",
        )


def _registered(scope: Scope, layer: Layer) -> bool | None:
    """Whether the model holds a layer's weight, of one that is trained; None where it is not, or nobody says."""
    stored = scope[parameters].stored(layer.weight)
    return stored.value.registered if stored is not None and stored.value.trainable else None


def _beside_registered(scope: Scope, layer: Layer) -> bool:
    """Whether a layer lies in series with one that the model does hold; a teacher that is kept aside does not."""
    graph, found = scope.graph, scope[layers]
    behind = [
        user for value in _closure([layer.output], lambda value: _made(graph, value)) for user in graph.uses(value)
    ]
    before = _closure([layer.data], lambda value: _read(graph, value))
    nodes = [*behind, *(graph.producer(value) for value in before)]
    return any(other is not None and _registered(scope, other) for other in map(found.of, nodes))


def _closure(start: list[Value], onward: Callable[[Value], Iterable[Value]]) -> list[Value]:
    met = dict.fromkeys(start)
    todo = list(start)
    for value in todo:
        fresh = [other for other in onward(value) if other not in met]
        met.update(dict.fromkeys(fresh))
        todo += fresh
    return list(met)


def _made(graph: Graph, value: Value) -> list[Value]:
    return [out for user in graph.uses(value) for out in user.outputs if out is not None]


def _read(graph: Graph, value: Value) -> list[Value]:
    node = graph.producer(value)
    return [one for one in node.inputs if one is not None] if node is not None else []
