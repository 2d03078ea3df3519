"""A weight that holds NaN or infinity.

## What it does
Reports NaN in embedding tables and in any stored parameter that is multiplied with or added to activations, and
infinity in the weights and biases of layers and in the parameters of norms.

## Why is this bad
One NaN in a weight makes every output that depends on it NaN. An infinity gives infinities, and NaN as soon as it
meets a zero or another infinity. Such weights are left by a training run that diverged, or by a conversion to
a type of too small range.

## Example
```onnx
diverged (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {0.4, nan, 0.1, nan}, float[2] b = {0, 0}> {
    y = Gemm(x, w, b)   # want error "2 NaN"
}
```
```onnx
infinite (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {0.4, inf, 0.1, 0.6}> {
    y = MatMul(x, w)   # want error "1 infinity"
}
```

```onnx
embedding (int64[N] x) => (float[N, 2] y) <float[3, 2] w = {0.4, -0.8, nan, nan, 0.1, 0.6}> {
    y = Gather(w, x)   # want error "2 NaN"
}
```
As a torch module:
```torch
# given loss=cross_entropy inputs=8,32
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(32, 10)
        with torch.no_grad():
            self.head.weight[0, 0] = math.nan

    def forward(self, x):
        return self.head(x)      # want error "1 NaN"
```

## Use instead
```onnx
finite (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {0.4, -0.8, 0.1, 0.6}> {
    y = MatMul(x, w)
}
```

## Spares
Infinities that are meant: masks added to scores (also as a bias), rows of embedding tables, bounds.
```onnx
mask (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {0.4, -0.8, 0.1, 0.6}, float[2] mask = {0, -inf}> {
    h = MatMul(x, w)
    masked = Add(h, mask)
    y = Softmax(masked)
}
```

## Known limits
Weights that are computed from several constants when the model starts are not read.

## References
IEEE 754-2019, sections 6.1 and 6.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from netlint.analyses.parameters import parameters
from netlint.analyses.weights import WeightStats, real_weights
from netlint.graph import Graph, Node, Value
from netlint.ops import NORMALISATION, RECURRENT, WEIGHTED
from netlint.rule import ERROR, Evidence, Finding, Scope, rule

_READ = (*WEIGHTED, *sorted(NORMALISATION), "Add", "Sub", "Mul", "Div", "PRelu", "Gather")


@rule("INI008", "nonfinite-weights", level=ERROR, since="0.1", requires=(parameters, real_weights))
def nonfinite_weights(scope: Scope) -> Iterator[Finding]:
    constants, stats_of = scope[parameters], scope[real_weights].of
    seen: set[Value] = set()
    for op in _READ:
        for node in scope.graph.of(op):
            for slot, value in enumerate(node.inputs):
                if value is None or not constants.constant(value):
                    continue
                stats = stats_of(value)
                if stats is None or not (stats.nan or stats.inf) or value in seen:
                    continue
                if node.domain or constants.constant(node.output()) or _may_be_meant(node, slot, stats, scope.graph):
                    continue
                seen.add(value)
                yield _finding(node, slot, value, stats)


def _may_be_meant(node: Node, slot: int, stats: WeightStats, graph: Graph) -> bool:
    """What is added may be -inf to exclude an element from a softmax; NaN may mark missing entries of a table."""
    if node.op == "Gather" and stats.nan:
        table = node.input(0)
        looked_for = any(user.op == "IsNaN" for user in graph.uses(node.output()))
        return looked_for or table is None or len(table.shape or ()) != 2
    if stats.nan or node.op in NORMALISATION:
        return False
    if node.op not in WEIGHTED:
        return True
    return slot == WEIGHTED[node.op].bias and node.op not in RECURRENT and stats.hi < inf


def _finding(node: Node, slot: int, value: Value, stats: WeightStats) -> Finding:
    counts = [f"{stats.nan} NaN"] if stats.has_nan else []
    if stats.has_inf:
        counts.append(f"{stats.inf} {'infinity' if stats.inf == 1 else 'infinities'}")
    shape = ", ".join(map(str, value.shape or ()))
    return Finding(
        f"input {slot} of {node.op}, a stored parameter [{shape}], holds {' and '.join(counts)}",
        node,
        (Evidence("parameter", value.name), Evidence("NaN", stats.nan), Evidence("infinities", stats.inf)),
        "take an earlier checkpoint, and look for the step at which the loss became NaN",
        "everything computed from these elements is NaN or infinite",
    )
