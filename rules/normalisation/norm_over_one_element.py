"""A norm that takes its mean over a single element: its output is the same for every input.

## What it does

Reports a norm whose mean and variance are those of one element: a layer norm over an axis of length 1, and behind a
global pooling an instance norm, or a group norm with one channel to a group.

## Why is this bad

An element minus its own mean is 0. The output is the norm's bias, whatever comes in: what lies before the norm is
computed for nothing and gets no gradient, and a model that ends in it answers with one number.

## Example

```torch
# given inputs=6,4,1
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix, self.norm, self.head = nn.Linear(1, 1), nn.LayerNorm(1), nn.Linear(1, 1)
    def forward(self, x):
        x = self.norm(x + self.mix(x))      # want error "the norm takes its mean over 1 element"
        return self.head(torch.relu(x))
```

```onnx
pooled (float[N, 6, 8, 8] x) => (float[N, 6, 1, 1] y)
<float[6] scale = {1, 1, 1, 1, 1, 1}, float[6] bias = {0, 0, 0, 0, 0, 0}>
{
    p = GlobalAveragePool(x)
    y = InstanceNormalization(p, scale, bias)      # want "the norm takes its mean over 1 element"
}
```

## Use instead

```torch
# given inputs=6,4,1
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Linear(1, 16)
        self.mix, self.norm, self.head = nn.Linear(16, 16), nn.LayerNorm(16), nn.Linear(16, 1)
    def forward(self, x):
        x = self.wide(x)
        return self.head(torch.relu(self.norm(x + self.mix(x))))
```

## Spares

A group of several channels, over one pixel each:

```torch
# given inputs=2,6,8,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.squeeze, self.norm = nn.Conv2d(6, 8, 1), nn.GroupNorm(2, 8)
    def forward(self, x):
        return torch.relu(self.norm(self.squeeze(x.mean((2, 3), keepdim=True))))
```

A map of one pixel that is so for the size of the example alone:

```torch
# given inputs=2,3,8,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.deep, self.norm = nn.Conv2d(3, 6, 3, stride=8), nn.GroupNorm(6, 6)
    def forward(self, x):
        return torch.relu(self.norm(self.deep(x)))
```

Lengths that the model leaves open:

```onnx
open (float[N, 6, H, W] x) => (float[N, 6, H, W] y)
<float[6] scale = {1, 1, 1, 1, 1, 1}, float[6] bias = {0, 0, 0, 0, 0, 0}>
{
    y = InstanceNormalization(x, scale, bias)
}
```

## Known limits

Norms that are written out, as older exporters do with layer norms, are not seen. A batch norm over a batch of one is
not judged: the batch is longer in training.

## References

- Ba, Kiros, Hinton: Layer Normalization (2016). Wu, He: Group Normalization (2018).
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.shapes import shapes
from netlint.graph import Graph, Node, Shape, Value
from netlint.rule import ERROR, Evidence, Finding, Scope, rule

_POOLS = frozenset({"GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax"})
_FAR = 12
_NORMS = ("LayerNormalization", "GroupNormalization", "InstanceNormalization")


@rule("NRM008", "norm-over-one-element", level=ERROR, since="0.3", status="preview", requires=(shapes,))
def norm_over_one_element(scope: Scope) -> Iterator[Finding]:
    for node in scope.graph.of(*_NORMS):
        shape = scope[shapes].of(node.input(0))
        joined = _joined(node, shape) if shape else ()
        if not shape or not joined or any(length != 1 for length in joined):
            continue
        if node.op == "LayerNormalization" or _pooled(scope.graph, node.input(0)):
            yield Finding(
                "the norm takes its mean over 1 element: its output is its bias, whatever comes in",
                node,
                evidence=(Evidence("shape", list(shape)),),
                help="normalise over several features: widen them before, or leave the norm out",
                why="an element minus its own mean is 0",
            )


def _joined(node: Node, shape: Shape) -> Shape:
    """The lengths over which a norm takes its mean; of the channels, how many make a group."""
    if node.op == "LayerNormalization":
        return shape[node.attrs.get("axis", -1) % len(shape) :]
    groups, channels = node.attrs.get("num_groups", 0), shape[1] if len(shape) > 1 else None
    if node.op == "InstanceNormalization":
        return (1, *shape[2:])
    return (channels // groups if isinstance(channels, int) and groups else None, *shape[2:])


def _pooled(graph: Graph, value: Value | None) -> bool:
    """Whether a value comes from a global pooling: else its maps are of one pixel for the size of an example alone."""
    for _ in range(_FAR):
        node = graph.producer(value)
        if node is None or node.op in _POOLS:
            return node is not None
        value = node.input(0)
    return False
