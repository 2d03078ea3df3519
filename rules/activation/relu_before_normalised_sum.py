"""A residual branch that ends in a ReLU, right before it is added to its shortcut.

## What it does

Notes sums of an identity shortcut and a branch whose last operator is a ReLU (layout and dropout aside): the branch
leaves from the shortcut's own value and has at most `max-layers` (3) weighted layers. One note for the whole model.

## Why is this bad

Such a branch can add, but never take away: along the shortcuts the signal can only grow, block after block, and half of
what a residual could express is lost. In the experiments of He et al. this order was clearly worse than a branch that
ends in a convolution or a normalisation.

## Example

```onnx
block (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w = {0.1, -0.2, 0.3, 0.4}, float[2, 2] v = {0.4, -0.2, 0.3, 0.1}>
{
    a = MatMul(x, w)
    r = Relu(a)      # want note "1 residual branch ends in a ReLU before the sum"
    s = Add(x, r)
    y = MatMul(s, v)
}
```

A ReLU on the branch and one on the sum:

```onnx
block (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w = {0.1, -0.2, 0.3, 0.4}, float[2, 2] v = {0.4, -0.2, 0.3, 0.1}>
{
    a = MatMul(x, w)
    b = Relu(a)
    c = MatMul(b, v)
    r = Relu(c)      # want note "ends in a ReLU before the sum"
    s = Add(r, x)
    t = Relu(s)
    y = MatMul(t, v)
}
```

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(8, 8)
        self.fc2 = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)
    def forward(self, x):
        h = F.relu(self.fc1(x))
        h = F.relu(self.fc2(h))      # want note "ends in a ReLU before the sum"
        return self.head(h + x)
```

## Use instead

```onnx
block (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w = {0.1, -0.2, 0.3, 0.4}, float[2, 2] v = {0.4, -0.2, 0.3, 0.1}>
{
    a = MatMul(x, w)
    b = Relu(a)
    c = MatMul(b, v)
    s = Add(c, x)
    t = Relu(s)
    y = MatMul(t, v)
}
```

## Spares

Two parallel branches, neither of which is the other's source:

```onnx
parallel (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w = {0.1, -0.2, 0.3, 0.4}, float[2, 2] v = {0.4, -0.2, 0.3, 0.1}>
{
    a = MatMul(x, w)
    r = Relu(a)
    b = MatMul(x, v)
    s = Add(b, r)
    y = MatMul(s, v)
}
```

Pre-activation blocks, where the ReLU stands before the layer:

```onnx
preactivation (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w = {0.1, -0.2, 0.3, 0.4}, float[2, 2] v = {0.4, -0.2, 0.3, 0.1}>
{
    r = Relu(x)
    a = MatMul(r, w)
    s = Add(x, a)
    y = MatMul(s, v)
}
```

## Known limits

Shortcuts with a projection, and the long skips of encoder-decoders, are not judged.

## References

- K. He, X. Zhang, S. Ren, J. Sun: Identity mappings in deep residual networks. ECCV 2016, section 4.1, "ReLU before
  addition".
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.paths import Shortcut, paths
from netlint.rule import NOTE, Evidence, Finding, Option, Scope, rule


@rule(
    "ACT014",
    "relu-before-normalised-sum",
    level=NOTE,
    since="0.2",
    requires=(paths,),
    options=(Option("max-layers", 3, "weighted layers of a branch that still counts as a residual block"),),
)
def relu_before_normalised_sum(scope: Scope) -> Iterator[Finding]:
    found = [shortcut for shortcut in scope[paths].rectified if _residual(scope, shortcut)]
    if not found:
        return
    first = found[0]
    yield Finding(
        f"{len(found)} residual branch{'es end' if len(found) > 1 else ' ends'} in a ReLU before the sum: "
        "the signal can only grow along the shortcut",
        first.end,
        evidence=(
            Evidence("sums", [shortcut.sum.loc.path for shortcut in found]),
            Evidence("layers in the branch", len(first.layers)),
        ),
        help="end the branch in its layer or its normalisation; put the ReLU behind the sum or before the layer",
        why="a branch that is never negative can add to the shortcut, but not take away from it",
        related=tuple(("the sum", shortcut.sum.loc) for shortcut in found[:3]),
    )


def _residual(scope: Scope, shortcut: Shortcut) -> bool:
    """Whether a branch is a block of a few layers, and its sum goes on inside the network."""
    few = 0 < len(shortcut.layers) <= int(scope.options["max-layers"])
    return few and bool(scope.graph.uses(shortcut.sum.output()))
