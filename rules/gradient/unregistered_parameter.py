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
from netlint.graph import Node, Value
from netlint.rule import WARNING, Evidence, Finding, Scope, rule


@rule(
    "GRD004", "unregistered-parameter", level=WARNING, since="0.3", requires=(layers, parameters, losses, paths, shapes)
)
def unregistered_parameter(scope: Scope) -> Iterator[Finding]:
    loose = [layer for layer in scope[layers].all if _registered(scope, layer) is False]
    if scope[losses] or not loose:
        return
    before, behind = _beside_registered(scope)
    for layer in loose:
        if not scope[paths].gradient.reached(layer.output) or (layer.data not in behind and layer.output not in before):
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


def _beside_registered(scope: Scope) -> tuple[set[Value], set[Value]]:
    """The values before and behind layers that the model does hold; a teacher that is kept aside is neither."""
    held = [layer.node for layer in scope[layers].all if _registered(scope, layer)]
    before = _closure(_inputs(held), lambda value: _inputs([scope.graph.producer(value)]))
    return before, _closure(_outputs(held), lambda value: _outputs(scope.graph.uses(value)))


def _closure(start: Iterable[Value], onward: Callable[[Value], Iterable[Value]]) -> set[Value]:
    met = set(start)
    todo = list(met)
    for value in todo:
        fresh = set(onward(value)) - met
        met |= fresh
        todo += fresh
    return met


def _inputs(nodes: Iterable[Node | None]) -> Iterator[Value]:
    return (value for node in nodes if node is not None for value in node.inputs if value is not None)


def _outputs(nodes: Iterable[Node]) -> Iterator[Value]:
    return (value for node in nodes for value in node.outputs if value is not None)
