"""The output for one sample depends on another sample.

## What it does
In inference mode, differentiates the output of each sample by the input of every other one. Reports a derivative that
is not zero.

## Why is this bad
The result for an image depends on what else is in the batch. It cannot be reproduced one by one, it is better in
validation than it will be in use, and during training labels may leak from one sample to the next. Mostly a reshape
that moves the wrong axis, or a reduction or softmax over axis 0.

## Example
```torch
# given probe=cpu loss=cross_entropy inputs=8,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 32)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        h = torch.relu(self.hidden(x))
        weights = h.softmax(0)      # want "depends on the input of another sample"
        return self.head(h * weights)
```

## Use instead
```torch
# given probe=cpu loss=cross_entropy inputs=8,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 32)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        h = torch.relu(self.hidden(x))
        return self.head(h * h.softmax(1))
```

## Spares
Batch norm, which mixes the batch in training only:
```torch
# given probe=cpu loss=cross_entropy inputs=8,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 32)
        self.norm = nn.BatchNorm1d(32)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.hidden(x))))
```

## Known limits
Outputs that compare samples with each other on purpose, one row and one column for each, are not reported, nor is
dynamic quantisation, whose scale depends on the batch, nor anything where it is not known which axis the batch is.

## References
Karpathy: A Recipe for Training Neural Networks (2019), "use backprop to chart dependencies".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from netlint.analyses.axes import axes
from netlint.analyses.constants import constants
from netlint.analyses.shapes import shapes
from netlint.graph import Node, Value
from netlint.ops import SOFTMAX, read
from netlint.probe.stages import leak
from netlint.rule import ERROR, Evidence, Finding, Option, Scope, rule

from ._measured import setting

_RATIO = Option("ratio", 1e-6, "how large another sample's derivative may be beside that of the sample itself")


@rule(
    "PRB009",
    "batch-leak",
    level=ERROR,
    since="0.3",
    status="preview",
    requires=(leak, axes, constants, shapes),
    options=(_RATIO,),
)
def batch_leak(scope: Scope) -> Iterator[Finding]:
    found = scope[leak]
    leaks = [pair for pair in found.pairs if pair[2] > float(scope.options["ratio"]) * found.own]
    if not leaks or any(_compares(scope, value) for value in scope.graph.outputs):
        return
    if scope.graph.of("DynamicQuantizeLinear") or any(scope[axes].state(v) == "unknown" for v in scope.graph.inputs):
        return  # the scale is meant to be that of the batch; or nobody knows where the samples lie
    source, target, size = max(leaks, key=lambda pair: pair[2])
    at = _mixer(scope) or scope.graph.producer(scope.graph.outputs[0])
    if at is None:
        return
    samples = found.setup.samples
    yield Finding(
        f"the output of a sample depends on the input of another sample: {len(leaks)} of {samples * (samples - 1)} "
        f"pairs, derivative {size:.2g} beside {found.own:.2g} by the sample's own input",
        at,
        (Evidence("largest", f"input {source}, output {target}: {size:.3g}"), *setting(found.setup)),
        help="look for a reshape or transpose that moves axis 0, and for reductions, norms and softmax over axis 0",
    )


def _compares(scope: Scope, value: Value) -> bool:
    """Whether an output has a row and a column for each sample, as similarities within a batch."""
    shape = scope[shapes].of(value) or ()
    names = [dim for dim in shape if isinstance(dim, str)]
    return len(names) > len(set(names)) or (scope.graph.inputs != () and not shape)


def _mixer(scope: Scope) -> Node | None:
    """The first node that works along the batch, or behind which it is no longer an axis of its own; None where that
    is not known."""
    for node in scope.graph.nodes:
        data, out = node.input(0), node.output()
        if data is None or out is None or data.constant is not None:
            continue
        lost = scope[axes].state(out) in ("none", "mixed", "unknown")
        if scope[axes].state(data) == "known" and (lost or _along(scope, node, data)):
            return node
    return None


def _along(scope: Scope, node: Node, data: Value) -> bool:
    """Whether a softmax, a layer norm or a running sum runs over the samples."""
    rank = scope[shapes].rank(data)
    if node.domain or rank is None:
        return False
    return scope[axes].batch(data) in _axes_of(scope, node, rank)


def _axes_of(scope: Scope, node: Node, rank: int) -> Collection[int]:
    """The axes along which such an operator works, from the front; empty for others, and where that is not known."""
    if node.op in SOFTMAX:
        return read.softmax_axes(node, scope.graph.opset.get("", 1), rank)
    if node.op == "LayerNormalization":
        return range(int(node.attrs.get("axis", -1)) % rank, rank)
    axis = scope[constants].get(node.input(1)) if node.op == "CumSum" else None
    return () if axis is None or axis.size != 1 else (int(axis.item()) % rank,)
