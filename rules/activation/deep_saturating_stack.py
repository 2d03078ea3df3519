"""Many tanh or sigmoid layers in series, with no shortcut and no normalisation between them.

## What it does

Counts tanh, softsign and sigmoid activations (in any spelling) that stand one behind the other between weighted layers,
and reports series of more than `max-depth` (4). The count follows the easiest way: at a sum, a concatenation or a
product it goes on from the operand with the fewest, behind a normalisation it starts anew.

## Why is this bad

The derivative of a sigmoid is at most 1/4, that of tanh is 1 at 0 only and falls off fast. The gradient that reaches
the first layer is multiplied with all of these factors, so the first layers of a deep stack hardly learn.

## Example

```onnx
deep (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {0.1, -0.2, 0.3, 0.4}>
{
    h1 = MatMul(x, w)
    a1 = Sigmoid(h1)
    h2 = MatMul(a1, w)
    a2 = Sigmoid(h2)
    h3 = MatMul(a2, w)
    a3 = Sigmoid(h3)
    h4 = MatMul(a3, w)
    a4 = Sigmoid(h4)
    h5 = MatMul(a4, w)
    a5 = Sigmoid(h5)      # want warning "5 saturating activations in series"
    y = MatMul(a5, w)
}
```

```torch
# given inputs=4,16
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(16, 16), nn.Tanh())])
        self.head = nn.Linear(16, 2)
    def forward(self, x):
        return self.head(self.body(x))      # want warning "6 saturating activations in series"
```

## Use instead

```onnx
deep (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {0.1, -0.2, 0.3, 0.4}>
{
    h1 = MatMul(x, w)
    a1 = Relu(h1)
    h2 = MatMul(a1, w)
    a2 = Relu(h2)
    h3 = MatMul(a2, w)
    a3 = Relu(h3)
    h4 = MatMul(a3, w)
    a4 = Relu(h4)
    h5 = MatMul(a4, w)
    a5 = Relu(h5)
    y = MatMul(a5, w)
}
```

## Spares

Residual nets: the shortcut carries the gradient.

```onnx
residual (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {0.1, -0.2, 0.3, 0.4}>
{
    h1 = MatMul(x, w)
    a1 = Tanh(h1)
    h2 = MatMul(a1, w)
    a2 = Tanh(h2)
    h3 = MatMul(a2, w)
    a3 = Tanh(h3)
    r = Add(a3, a1)
    h4 = MatMul(r, w)
    a4 = Tanh(h4)
    h5 = MatMul(a4, w)
    a5 = Tanh(h5)
    y = MatMul(a5, w)
}
```

Normalisation between the layers:

```onnx
normalised (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {0.1, -0.2, 0.3, 0.4}, float[2] g = {1, 1}>
{
    h1 = MatMul(x, w)
    a1 = Tanh(h1)
    h2 = MatMul(a1, w)
    a2 = Tanh(h2)
    n2 = LayerNormalization(a2, g)
    h3 = MatMul(n2, w)
    a3 = Tanh(h3)
    h4 = MatMul(a3, w)
    a4 = Tanh(h4)
    n4 = LayerNormalization(a4, g)
    h5 = MatMul(n4, w)
    a5 = Tanh(h5)
    y = MatMul(a5, w)
}
```

Recurrent cells, as operators and written out: at every step the new input joins.

```onnx
cell (float[N, 2] x1, float[N, 2] x2, float[N, 2] x3, float[N, 2] x4, float[N, 2] x5) => (float[N, 2] y)
<float[2, 2] w = {0.1, -0.2, 0.3, 0.4}>
{
    h1 = Tanh(x1)
    r1 = MatMul(h1, w)
    s2 = Add(x2, r1)
    h2 = Tanh(s2)
    r2 = MatMul(h2, w)
    s3 = Add(x3, r2)
    h3 = Tanh(s3)
    r3 = MatMul(h3, w)
    s4 = Add(x4, r3)
    h4 = Tanh(s4)
    r4 = MatMul(h4, w)
    s5 = Add(x5, r4)
    h5 = Tanh(s5)
    y = MatMul(h5, w)
}
```

## Known limits

Behind a layer that an exporter has folded a norm into no count goes on: names or metadata tell of it, and where they
are missing every convolution of a model file may be such a layer. Nothing is assumed of the weights: orthogonal or very
large initial weights can keep a deep tanh net trainable. A division by a computed value counts as a normalisation,
whatever it divides by.

## References

- Y. Bengio, P. Simard, P. Frasconi: Learning long-term dependencies with gradient descent is difficult. 1994.
- X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks. AISTATS 2010.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.paths import paths
from netlint.analyses.roles import roles
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule


@rule(
    "ACT005",
    "deep-saturating-stack",
    level=WARNING,
    since="0.2",
    requires=(paths, roles),
    options=(Option("max-depth", 4, "saturating activations in series that are still accepted"),),
)
def deep_saturating_stack(scope: Scope) -> Iterator[Finding]:
    limit = int(scope.options["max-depth"])
    for stack in scope[paths].depths.stacks(limit):
        # Only hidden activations count: the last one may be the head's own.
        hidden = stack if scope[roles].after(stack[-1]) else stack[:-1]
        if len(hidden) <= limit:
            continue
        kinds = sorted({node.op for node in hidden})
        yield Finding(
            f"{len(hidden)} saturating activations in series without shortcut or normalisation: {', '.join(kinds)}",
            hidden[-1],
            evidence=(
                Evidence("activations", [node.loc.path for node in hidden]),
                Evidence("accepted in series", limit),
            ),
            help="use ReLU, GELU or SiLU, add shortcuts, or normalise between the layers",
            why="the gradient of the first layer is a product of all their derivatives, most of them far below 1",
            related=(("the first of them", hidden[0].loc),),
        )
