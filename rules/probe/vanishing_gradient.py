"""Next to no gradient, or none at all, arrives at the first layers.

## What it does
Compares the gradients of weights, relative to the size of the weights, along the layers that all signal passes. Reports
if those of the first layers are less than `ratio` (1e-4) of the largest behind them, and no other value there gets more
gradient either. With a true loss it also reports weights that no gradient reaches at all although layers that read from
them get some: something on the way cuts it off.

## Why is this bad
Layers learn in proportion to their gradient. At a ten-thousandth of the others' they stay as they were initialised, and
the rest of the model learns from random features.

## Example
Each sigmoid takes at least three quarters of the gradient:
```torch
# given probe=cpu loss=cross_entropy inputs=16,32 stage=init
class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(20))
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        for layer in self.layers:
            x = torch.sigmoid(layer(x))     # want "of the largest behind it"
        return self.head(x)
```
A branch that is cut off by mistake:
```torch
# given probe=cpu loss=cross_entropy inputs=16,32 stage=init
class Cut(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(32, 32)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        hidden = torch.relu(self.encoder(x))     # want "no gradient reaches"
        return self.head(hidden.detach())
```

## Use instead
```torch
# given probe=cpu loss=cross_entropy inputs=16,32 stage=init
class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(20))
        self.head = nn.Linear(32, 5)
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)
```
```torch
# given probe=cpu loss=cross_entropy inputs=16,32 stage=init
class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(32, 32)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        return self.head(torch.relu(self.encoder(x)))
```

## Spares
Blocks beside a shortcut, which may begin with next to no weight:
```torch
# given probe=cpu loss=cross_entropy inputs=16,32 stage=init
class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(32, 32)
        self.block = nn.Linear(32, 32)
        self.scale = nn.Parameter(torch.full((32,), 1e-6))
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.scale * torch.relu(self.block(x)))
```
A frozen encoder:
```torch
# given probe=cpu loss=cross_entropy inputs=16,32 stage=init
class Probe(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(32, 32).requires_grad_(False)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        return self.head(torch.relu(self.encoder(x)))
```

## Known limits
Embeddings are not compared with other layers: most rows of their gradient are zero. A head of zeros keeps all gradient
from the layers before it in the first step only, and is not reported.

## References
Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks (2010). AUTOTRAINER takes a
ratio of 1e-3 between the first and the last layer, DeepDiagnosis and SageMaker Debugger a mean gradient below 1e-7.
Plain networks of ten layers that train come near 1e-3; hence 1e-4.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from math import isfinite

from netlint.analyses.layers import Layer
from netlint.analyses.trunk import trunk
from netlint.graph import Graph, Node, Value
from netlint.probe.observed import Passes
from netlint.probe.stages import passes
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

from ._measured import LAYERED, Measured, measured, opens, setting

_RATIO = Option("ratio", 1e-4, "how small the first layers' gradient may be beside the largest behind them")
_SHOWN = 8


@rule(
    "PRB003",
    "vanishing-gradient",
    level=WARNING,
    since="0.3",
    status="preview",
    requires=(passes, trunk, *LAYERED),
    options=(_RATIO,),
)
def vanishing_gradient(scope: Scope) -> Iterator[Finding]:
    found = scope[passes]
    every = [each for each in measured(scope, found) if each.weight is not None]
    cut = _cut_off(scope, every, found) if found.setup.true_loss and found.whole else []
    if cut:
        yield _none_at_all(cut, every, found)
        return
    trained = [each for each in every if each.layer.kind != "embedding"]
    chain = [each for each in trained if each.layer.node in scope[trunk] and _ratio(each) is not None]
    if len(chain) > 1:
        yield from _faded(chain, scope, found)


def _ratio(each: Measured) -> float | None:
    """Of the gradient to the weight; None for a weight of zeros, beside which any gradient is large."""
    return each.weight.ratio if each.weight is not None else None


def _faded(chain: Sequence[Measured], scope: Scope, found: Passes) -> Iterator[Finding]:
    ratios = [(_ratio(each) or 0.0, each) for each in chain]
    largest, at = max(ratios, key=lambda entry: entry[0])
    smallest, first = ratios[0]
    bound = float(scope.options["ratio"])
    if (
        not isfinite(smallest + largest)
        or smallest >= bound * largest
        or _arrives(first.layer, found, bound)
        or (smallest == 0 and opens(scope.graph, found))
    ):
        return
    step = max(len(ratios) // _SHOWN, 1)
    shown = {each.layer.node.loc.path: float(f"{ratio:.2g}") for ratio, each in ratios[::step]}
    yield Finding(
        f"the gradient of this layer's weight is {smallest / largest:.1e} of the largest behind it, relative to the "
        f"weights ({len(ratios)} layers in a row)",
        first.layer.node,
        (Evidence("gradient of the weight, relative to it", shown), *setting(found.setup)),
        help="use ReLU-like activations with He's initialisation, norms, or shortcuts",
        related=(("the largest", at.layer.node.loc),),
    )


def _arrives(first: Layer, found: Passes, bound: float) -> bool:
    """Whether some value up to the first layer's output gets gradient, so that something there can learn."""
    largest = before = 0.0
    passed = False
    for value, seen in found.seen.items():
        norm = (seen.grad or 0.0) * seen.count**0.5
        largest = max(largest, norm)
        before = max(before, 0.0 if passed else norm)
        passed = passed or value is first.output
    return passed and before >= bound * largest


def _cut_off(scope: Scope, trained: Sequence[Measured], found: Passes) -> list[Measured]:
    """Layers whose weights get no gradient, while a layer that reads from them gets some; all of them, where a layer
    gets some and yet nothing of the inputs is found in the outputs: values have left torch and come back.

    A table that is also compared with what is looked up is a codebook, which averages may move.
    """
    fed = {each.layer.node for each in trained if each.weight is not None and each.weight.grad}
    none = [each for each in trained if each.weight is not None and each.weight.grad is None and each.out is not None]
    none = [each for each in none if each.layer.kind != "embedding" or len(scope.graph.uses(each.layer.weight)) == 1]
    left = any(weight.grad for weight in found.weights) and _left_torch(scope.graph)
    return [each for each in none if left or _reaches(scope.graph, each.layer.output, fed)]


def _left_torch(graph: Graph) -> bool:
    ends = {node for value in graph.outputs if (node := graph.producer(value)) is not None}
    return bool(graph.inputs) and not any(_reaches(graph, value, ends) for value in graph.inputs)


def _reaches(graph: Graph, start: Value, goals: Container[Node]) -> bool:
    todo, met = [start], {start}
    while todo:
        for node in graph.uses(todo.pop()):
            if node in goals:
                return True
            new = [value for value in node.outputs if value is not None and value not in met]
            met.update(new)
            todo += new
    return False


def _none_at_all(cut: Sequence[Measured], trained: Sequence[Measured], found: Passes) -> Finding:
    names = [each.weight.name for each in cut if each.weight is not None]
    return Finding(
        f"no gradient reaches {len(cut)} of {len(trained)} trainable weights, though layers behind them get some",
        cut[-1].layer.node,
        (Evidence("without gradient", ", ".join(names[:_SHOWN])), *setting(found.setup)),
        help="look behind this layer for detach(), .data, .item(), .tolist(), numpy(), no_grad or an in-place copy; "
        "if the layer is meant to be frozen, say so with requires_grad_(False)",
    )
