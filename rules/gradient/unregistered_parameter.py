"""A weight that the model uses and does not hold: no optimizer gets it.

## What it does

Reports a layer whose weight is an `nn.Parameter` that takes part in the forward pass and is not among
`model.parameters()`: a layer kept in a plain list or dict instead of `nn.ModuleList` or `nn.ModuleDict`, one that
belongs to no module at all, or one that the forward pass makes, with other random weights at each call.

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

A layer that is made where it is used, because its width is known only there (kept in an attribute or not):

```torch
# given inputs=4,1,12,12
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
    def forward(self, x):
        x = torch.relu(self.conv(x)).flatten(1)
        return nn.Linear(x.size(1), 3)(x)      # want "the weight [3, 400] of this layer is made in the forward pass"
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

Another model in a training step, which has an optimizer of its own:

```torch
# given inputs=4,8
class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 5)
    def forward(self, z):
        return torch.tanh(self.fc(z))

critic = nn.Linear(5, 1)

def step(model, z):
    return F.binary_cross_entropy_with_logits(critic(model(z)), torch.ones(4, 1))
```

A layer that the first call makes, and the model keeps; a filter that is written by hand:

```torch
# given inputs=4,1,12,12
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = None
    def forward(self, x):
        blur = nn.Conv2d(1, 1, 3, bias=False)
        blur.weight.data.fill_(1 / 9)
        x = torch.relu(blur(x)).flatten(1)
        if self.fc is None:
            self.fc = nn.Linear(x.size(1), 3)
        return self.fc(x)
```

## Known limits

In a training step only what the model itself calls is judged, not what the step calls beside it. In a model file
nothing tells which weights the model held.

## References

- PyTorch documentation: `torch.nn.ModuleList`, `torch.nn.Module.parameters`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from netlint.analyses.layers import Layer, layers
from netlint.analyses.parameters import parameters
from netlint.analyses.paths import paths
from netlint.analyses.shapes import shapes
from netlint.graph import Holder, Node, Value
from netlint.rule import WARNING, Evidence, Finding, Scope, rule


@rule("GRD004", "unregistered-parameter", level=WARNING, since="0.3", requires=(layers, parameters, paths, shapes))
def unregistered_parameter(scope: Scope) -> Iterator[Finding]:
    loose = [layer for layer in scope[layers].all if _holder(scope, layer) in ("aside", "call")]
    if not loose:
        return
    before, behind = _beside_registered(scope)
    for layer in loose:
        drawn = _holder(scope, layer) == "call"
        beside = drawn or layer.data in behind or layer.output in before
        if beside and scope[paths].gradient.reached(layer.output):
            yield _finding(layer, drawn, list(scope[shapes].of(layer.weight) or ()))


def _finding(layer: Layer, drawn: bool, shape: list[object]) -> Finding:
    said = "made in the forward pass: each call draws another one" if drawn else "not among the model's parameters"
    where = "make layers in __init__, and keep them" if drawn else "keep layers"
    return Finding(
        f"the weight {shape} of this layer is {said}",
        layer.node,
        evidence=(Evidence("shape", shape),),
        help=f"{where} in attributes, nn.ModuleList or nn.ModuleDict, and weights as nn.Parameter attributes",
        why="an optimizer over model.parameters() never moves it, and state_dict() does not save it",
    )


def _holder(scope: Scope, layer: Layer) -> Holder | None:
    """What holds a layer's weight, of one that is trained; None where it is not, or nobody says."""
    stored = scope[parameters].stored(layer.weight)
    return stored.value.held if stored is not None and stored.value.trainable else None


def _beside_registered(scope: Scope) -> tuple[set[Value], set[Value]]:
    """The values before and behind layers that the model does hold; a teacher that is kept aside is neither."""
    held = [layer.node for layer in scope[layers].all if _holder(scope, layer) == "model"]
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
