"""A trained layer many of whose filters are all zero.

## What it does
In a trained model, reports convolution and dense layers of which more than `share` (0.1) of the filters or units hold
nothing but zeros and denormal numbers. Once for the model.

## Why is this bad
Such filters compute a constant. They cost as much as all others, and mostly tell of a training run in which units died:
a rate that was too high with ReLU, or weight decay on what had stopped to receive gradients. Denormal weights are slow
on many processors as well.

## Example
```onnx
# given stage=trained
dead (float[N, 1, 8, 8] x) => (float[N, 2, 6, 6] y)
<float[4, 1, 2, 2] w1 = {0.4, -0.8, 0.1, 0.6, 0, 0, 0, 0, 0, 0, 0, 0, -0.5, 0.3, 0.2, -0.7},
 float[4] b1 = {0.1, 0, 0, 0.2},
 float[2, 4, 2, 2] w2 = {0.4, -0.8, 0.1, 0.6, 0.1, 0.3, 0.2, 0.5, -0.5, 0.3, 0.2, -0.7, 0.3, 0.2, -0.1, 0.6,
 0.2, -0.3, 0.1, 0.5, -0.1, 0.4, 0.2, 0.6, 0.5, -0.3, 0.1, 0.7, 0.3, -0.2, -0.1, 0.4}> {
    h = Conv(x, w1, b1)   # want note "2 of 4 filters"
    a = Relu(h)
    y = Conv(a, w2)
}
```
As a torch module:
```torch
# given stage=trained inputs=2,3,8,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3)
        self.head = nn.Conv2d(16, 4, 1)
        with torch.no_grad():
            self.conv.weight[::2] = 0

    def forward(self, x):
        h = torch.relu(self.conv(x))      # want note "8 of 16 filters"
        return self.head(h)
```

## Use instead
```onnx
# given stage=trained
alive (float[N, 1, 8, 8] x) => (float[N, 2, 6, 6] y)
<float[2, 1, 2, 2] w1 = {0.4, -0.8, 0.1, 0.6, -0.5, 0.3, 0.2, -0.7}, float[2] b1 = {0.1, 0.2},
 float[2, 2, 2, 2] w2 = {0.4, -0.8, 0.1, 0.6, 0.1, 0.3, 0.2, 0.5, -0.5, 0.3, 0.2, -0.7, 0.3, 0.2, -0.1, 0.6}> {
    h = Conv(x, w1, b1)
    a = Relu(h)
    y = Conv(a, w2)
}
```

## Spares
Sparse weights, whose zeros are spread over all filters; fixed transforms that read the input of the model without bias;
whole layers of zeros, which are the matter of `zero-weights`.
```onnx
# given stage=trained
sparse (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w1 = {0.4, 0, 0, 0, 0, 0, 0, -0.8, 0, 0, 0.6, 0, 0, 0, 0, 0}, float[4] b1 = {0.1, 0.2, 0.3, 0.1},
 float[4, 2] w2 = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2}> {
    h = Gemm(x, w1, b1)
    a = Relu(h)
    y = MatMul(a, w2)
}
```

## Known limits
Filters that were pruned on purpose, to be cut out later, look the same. Units that are dead because of their bias are
not seen.

## References
Lu et al.: Dying ReLU and Initialization (2019). Mehta et al.: On Implicit Filter Level Sparsity in Convolutional Neural
Networks (2019), on dead filters by weight decay.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.layers import Layer, layers
from netlint.analyses.stage import stage
from netlint.analyses.weights import real_weights
from netlint.rule import NOTE, Evidence, Finding, Option, Scope, Unavailable, rule

_SHARE = Option("share", 0.1, "the share of dead filters or units above which a layer is reported")
_SPREAD = 0.15
"""Zeros beyond those of dead filters: above this share of the weight they are sparsity."""


@rule(
    "INI010",
    "dead-filters",
    level=NOTE,
    since="0.2",
    status="preview",
    requires=(layers, stage, real_weights),
    options=(_SHARE,),
)
def dead_filters(scope: Scope) -> Iterator[Finding]:
    if scope[stage].whole is None:
        raise Unavailable("needs to know that the weights are trained: --stage=trained")
    if scope[stage].whole == "init":
        return
    found = [(*dead, layer) for layer in scope[layers].all if (dead := _dead(layer, scope)) is not None]
    if not found:
        return
    count, total, layer = max(found, key=lambda entry: entry[0] / entry[1])
    more = len(found) - 1
    others = f"; {more} more {'layer has' if more == 1 else 'layers have'} such" if more else ""
    yield Finding(
        f"{count} of {total} {'units' if layer.kind == 'dense' else 'filters'} are all zero{others}",
        layer.node,
        (Evidence("weight", layer.weight.name), Evidence("stage", "trained", scope[stage].origin)),
        "cut them out, or train again with a lower rate or a leaky activation",
        "they compute a constant at full cost",
        related=tuple((f"{dead} of {of}", other.node.loc) for dead, of, other in found[:8] if other is not layer),
    )


def _dead(layer: Layer, scope: Scope) -> tuple[int, int] | None:
    """The dead filters of a layer that has too many, and the number of all."""
    if layer.kind not in ("dense", "conv") or layer.unit_axis is None or layer.weight.trainable is False:
        return None
    if layer.bias is None and layer.data in scope.graph.inputs:
        return None
    stats = scope[real_weights]
    found, about = stats.moments(layer.weight), stats.of(layer.weight)
    if found is None or about is None or about.constant:
        return None
    dead = stats.dead_units(layer.weight, layer.unit_axis)
    if dead is None or dead[0] <= float(scope.options["share"]) * dead[1] or dead[0] == dead[1]:
        return None
    return dead if found.tiny < dead[0] / dead[1] + _SPREAD else None
