"""A norm whose epsilon is as large as the variances that it divides by.

## What it does

Reports a batch, layer, group, instance or RMS norm whose `epsilon` is `largest` (0.01) or more, times the variance that
a trained batch norm has stored where that is above 1.

## Why is this bad

A norm divides by √(variance + epsilon). The epsilon is there for variances of zero; one of 10 makes a deviation of 0.3
of what should have one of 1, and what has little variance vanishes. Layers behind it begin with other scales than they
were initialised for.

## Example

```torch
# given inputs=8,20
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 32)
        self.norm = nn.BatchNorm1d(32, eps=10.0)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.hidden(x))))     # want "an epsilon of 10"
```

```onnx
net (float[N, 4] x) => (float[N, 4] y) <float[4] scale = {1, 1, 1, 1}, float[4] bias = {0, 0, 0, 0}>
{
    y = LayerNormalization <epsilon = 0.5> (x, scale, bias)      # want "an epsilon of 0.5"
}
```

The momentum in the place of the epsilon, which shows in values that vary little:

```onnx
swapped (float[N, 4] x) => (float[N, 4] y) <float[4] scale = {1, 1, 1, 1}, float[4] bias = {0, 0, 0, 0}>
{
    y = LayerNormalization <epsilon = 0.02> (x, scale, bias)      # want "what has a deviation of 0.1 gets one of 0.58"
}
```

## Use instead

```torch
# given inputs=8,20
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 32)
        self.norm = nn.BatchNorm1d(32)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.hidden(x))))
```

```onnx
net (float[N, 4] x) => (float[N, 4] y) <float[4] scale = {1, 1, 1, 1}, float[4] bias = {0, 0, 0, 0}>
{
    y = LayerNormalization <epsilon = 1e-3> (x, scale, bias)
}
```

## Spares

A batch norm of large values, of which the epsilon is still a small part:

```onnx
net (float[N, 4] x) => (float[N, 4] y) <float[4] scale = {1, 1, 1, 1}, float[4] bias = {0, 0, 0, 0},
float[4] mean = {120, 118, 103, 99}, float[4] variance = {5200, 4900, 5100, 5000}>
{
    y = BatchNormalization <epsilon = 1.0> (x, scale, bias, mean, variance)
}
```

## Known limits

Norms that are written out are not seen. Epsilons that are too small for half precision are not reported: norms compute
in single.

## References

- Ioffe, Szegedy: Batch Normalization (2015). The libraries' defaults lie between 1e-12 and 1e-3.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.constants import constants
from netlint.graph import Node
from netlint.ops import NORMALISATION
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

_FUSED = ("com.microsoft::SkipLayerNormalization", "com.microsoft::SkipSimplifiedLayerNormalization")
_FELT = 0.1
"""Epsilons above it change what has a deviation of 1."""
_LARGEST = Option("largest", 0.01, "the epsilon that is too large, as a part of the variance where that is above 1")


@rule(
    "NRM006", "norm-epsilon", level=WARNING, since="0.3", status="preview", requires=(constants,), options=(_LARGEST,)
)
def norm_epsilon(scope: Scope) -> Iterator[Finding]:
    for node in scope.graph.of(*sorted(NORMALISATION), *_FUSED):
        epsilon = node.attrs.get("epsilon")
        if not isinstance(epsilon, float):
            continue
        variance = _variance(scope, node)
        if epsilon >= float(scope.options["largest"]) * max(variance, 1.0):
            deviation = 1.0 if epsilon > _FELT else 0.1
            left = deviation / (deviation**2 + epsilon) ** 0.5
            yield Finding(
                f"an epsilon of {epsilon:g}: what has a deviation of {deviation:g} gets one of {left:.2g}",
                node,
                (Evidence("variance", variance),) if variance != 1 else (),
                help="leave it at the default, 1e-5",
            )


def _variance(scope: Scope, node: Node) -> float:
    """The middle one of those that a batch norm has stored; 1 where it has none."""
    stored = scope[constants].get(node.input(4)) if node.op == "BatchNormalization" else None
    if stored is None or not stored.size:
        return 1.0
    return float(sorted(stored.astype(float).reshape(-1))[stored.size // 2])
