"""A loss from which no gradient arrives at any weight.

## What it does

Reports a training step in which every way from what it gives back to a trained weight passes `detach`, `torch.no_grad`
or a tensor made anew from another one's numbers: before the loss, or behind it. Arg-max, rounding and thresholds have a
rule of their own, `non-differentiable-activation` (ACT012).

## Why is this bad

The loss does not depend on the weights in a way that training sees. Where the error that PyTorch raises is silenced, by
`requires_grad_(True)` on the result, training goes on, and every weight keeps its initial value.

## Example

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)
    def forward(self, x):
        return self.fc(x)

def step(model, x):
    out = model(x).detach()      # want error "no gradient passes from the loss to any weight: detach cuts off the only"
    return F.mse_loss(out, torch.zeros(4, 1))
```

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
    def forward(self, x):
        with torch.no_grad():
            return self.head(torch.relu(self.body(x)))      # want "cuts off all 2 trained layers"

def step(model, x):
    return F.cross_entropy(model(x), torch.tensor([0, 1, 2, 0]))
```

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)
    def forward(self, x):
        return self.fc(x)

def step(model, x):
    out = torch.tensor(model(x), requires_grad=True)      # want "cuts off the only trained layer"
    return F.mse_loss(out, torch.zeros(4, 1))
```

The loss itself, made a new tensor so that `backward` does not complain:

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)
    def forward(self, x):
        return self.fc(x)

def step(model, x):
    loss = F.cross_entropy(model(x), torch.tensor([0, 1, 2, 0]))
    return torch.autograd.Variable(loss.data, requires_grad=True)      # want "cuts off the only trained layer"
```

## Use instead

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)
    def forward(self, x):
        return self.fc(x)

def step(model, x):
    out = model(x)
    return F.mse_loss(out, torch.zeros(4, 1))
```

## Spares

What is held back on purpose while something else learns: a target, a teacher, a generator while its critic is trained.

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.online, self.target = nn.Linear(8, 3), nn.Linear(8, 3)
    def forward(self, x):
        return self.online(x), self.target(x).detach()

def step(model, x):
    out, target = model(x)
    return F.mse_loss(out, target)
```

A loss that has been differentiated before its number is handed on:

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)
    def forward(self, x):
        return self.fc(x)

def step(model, x):
    loss = F.cross_entropy(model(x), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    return loss.detach()
```

## Known limits

A model file does not tell which of its constants are trained, and is not judged. Only what is cut off as a whole is
reported: while something else learns, the rest may be held back on purpose.

## References

- PyTorch documentation: `torch.Tensor.detach`, and the notes on autograd.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import losses
from netlint.analyses.layers import layers
from netlint.analyses.paths import paths
from netlint.graph import Node
from netlint.ops import STOPS_GRADIENT
from netlint.rule import ERROR, Evidence, Finding, Scope, rule


@rule("GRD002", "no-gradient-path", level=ERROR, since="0.3", requires=(paths, layers, losses))
def no_gradient_path(scope: Scope) -> Iterator[Finding]:
    if not scope[losses]:
        return
    gradient = scope[paths].gradient
    trained = [layer for layer in scope[layers].all if gradient.trainable(layer)]
    weights = {value for node in scope.graph.nodes for value in node.inputs if value is not None and value.trainable}
    if not weights or not trained:
        return  # a file does not tell what is trained
    stops = [node for node in scope.graph.nodes if STOPS_GRADIENT in node.attrs]
    if any(map(gradient.reached, weights)):
        cuts = _behind_the_loss(scope, stops)
    else:
        cuts = [node for node in stops if gradient.cut_off(node)]
    if not cuts:
        return  # steps, which have a rule of their own, or weights that the loss does not read
    node = cuts[-1]
    many = "the only trained layer" if len(trained) == 1 else f"all {len(trained)} trained layers"
    call = node.loc.path.rpartition(" ▸ ")[2]
    yield Finding(
        f"no gradient passes from the loss to any weight: {call} cuts off {many}",
        node,
        evidence=(Evidence("cut off", [layer.node.loc.path for layer in trained]),),
        help="compute the loss from what the model returns: no detach, no_grad, .item(), numpy or torch.tensor between",
        why="training prints a loss and moves nothing",
        related=tuple(("never learns", layer.node.loc) for layer in trained[:3]),
    )


def _behind_the_loss(scope: Scope, stops: list[Node]) -> list[Node]:
    """Where a loss itself is cut off from all that the step gives."""
    if any(map(scope[paths].gradient.learned, scope.graph.outputs)):
        return []
    met = {value for site in scope[losses] for value in site.node.outputs}
    for node in scope.graph.nodes:
        if any(value in met for value in node.inputs):
            met.update(node.outputs)
    return [node for node in stops if node.input(0) in met]
