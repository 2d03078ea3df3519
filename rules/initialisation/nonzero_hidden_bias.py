"""A hidden layer whose bias starts far from zero.

## What it does
In a freshly initialised model, reports hidden layers whose bias has a root mean square of more than `limit` (0.2) and
goes beyond what torch draws by default, ±1/√fan_in. Once for the model. A bias that is not one number must be ten times
as large, unless the stage is stated: folded norms leave such.

## Why is this bad
At the start the bias says the same for every input. A large one drowns the signal: sigmoid and tanh saturate, ReLU lets
nothing or everything pass, and the layer is a constant or a linear map until training has undone it.

## Example
```onnx
# given stage=init
large_bias (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0.4, -0.8, 0.1, 0.6, -0.5, 0.3}, float[2] b1 = {5, 5}, float[2, 2] w2 = {0.5, -0.3, 0.2, 0.7}> {
    h = Gemm(x, w1, b1)   # want note "root mean square of 5"
    a = Tanh(h)
    y = MatMul(a, w2)
}
```
As a torch module:
```torch
# given loss=cross_entropy inputs=8,64
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(64, 64)
        self.head = nn.Linear(64, 10)
        nn.init.ones_(self.hidden.bias)

    def forward(self, x):
        h = torch.tanh(self.hidden(x))      # want note "root mean square of 1"
        return self.head(h)
```

## Use instead
```onnx
# given stage=init
zero_bias (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0.4, -0.8, 0.1, 0.6, -0.5, 0.3}, float[2] b1 = {0, 0}, float[2, 2] w2 = {0.5, -0.3, 0.2, 0.7}> {
    h = Gemm(x, w1, b1)
    a = Tanh(h)
    y = MatMul(a, w2)
}
```

## Spares
Small positive biases before ReLU, the bias of the head (which may well say what is frequent), and gates that start open
or closed, as those of a highway network:
```onnx
# given stage=init
highway (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w1 = {0.4, -0.8, 0.1, 0.6}, float[2] b1 = {0.1, 0.1}, float[2, 2] wg = {0.3, 0.2, -0.4, 0.5},
 float[2] bg = {-3, -3}, float[2, 2] w2 = {0.5, -0.3, 0.2, 0.7}, float[2] b2 = {-4.6, -4.6}> {
    h = Gemm(x, w1, b1)
    a = Relu(h)
    t = Gemm(x, wg, bg)
    g = Sigmoid(t)
    m = Mul(a, g)
    y = Gemm(m, w2, b2)
}
```

## Known limits
Recurrent layers and norms are not judged, nor models whose stage is unknown (state it with `--stage`). What is added
to every position separately, as positions are, is no bias.

## References
Goodfellow, Bengio, Courville: Deep Learning (2016), section 8.4: biases start at zero or at small values; it lists the
exceptions that are spared here. Srivastava et al.: Highway Networks (2015).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from netlint.analyses.constants import constants
from netlint.analyses.layers import Layer, layers
from netlint.analyses.roles import roles
from netlint.analyses.stage import fan_in, stage
from netlint.analyses.weights import Moments, real_weights
from netlint.rule import NOTE, Evidence, Finding, Option, Scope, rule

from ._surroundings import behind, fresh_model, heads

_LIMIT = Option("limit", 0.2, "the largest root mean square of a bias that is taken as near zero")
_VARYING = 10
"""Exporters fold batch normalisation into the layer before it, and its shift and mean into the bias: biases that are
not one number are reported only where they are much larger than such, unless the stage is stated."""
_KINDS = ("dense", "conv", "conv-transpose")


@rule(
    "INI006",
    "nonzero-hidden-bias",
    level=NOTE,
    since="0.2",
    status="preview",
    requires=(layers, real_weights, stage, roles, constants),
    options=(_LIMIT,),
)
def nonzero_hidden_bias(scope: Scope) -> Iterator[Finding]:
    if not fresh_model(scope[stage]):
        return
    last = heads(scope[roles])
    found = [
        (about, layer)
        for layer in scope[layers].all
        if layer.kind in _KINDS and layer not in last and (about := _large(layer, scope)) is not None
        if not _gates(layer, scope)
    ]
    if not found:
        return
    worst, layer = max(found, key=lambda entry: entry[0].rms)
    others = f", and {len(found) - 1} more hidden layers are alike" if len(found) > 1 else ""
    yield Finding(
        f"the initial bias of a hidden layer has a root mean square of {worst.rms:.3g} and a mean of {worst.mean:.3g}"
        f"{others}",
        layer.node,
        (
            Evidence("bias", layer.bias.name if layer.bias is not None else ""),
            Evidence("stage", "init", scope[stage].origin),
        ),
        "start hidden biases at 0",
        "at first it says the same for every input, and drowns what differs",
    )


def _large(layer: Layer, scope: Scope) -> Moments | None:
    stats, bias = scope[real_weights], layer.bias
    about, limit = stats.of(bias), float(scope.options["limit"])
    if bias is None or about is None or max(-about.lo, about.hi) <= limit:
        return None
    found, inputs, shape = stats.moments(bias), fan_in(layer, stats), stats.shape(layer.weight)
    if found is None or inputs is None or not shape or not scope[stage].fresh(layer):
        return None
    groups = int(layer.node.attrs.get("group", 1)) if layer.kind == "conv-transpose" else 1
    units = shape[layer.unit_axis or 0] * groups
    if bias.trainable is False or prod(stats.shape(bias) or ()) not in (1, units):
        return None
    usual = max(abs(about.lo), abs(about.hi)) * inputs**0.5 <= 1.01
    limit *= 1 if about.constant or scope[stage].stated else _VARYING
    return None if usual or found.rms <= limit else found


def _gates(layer: Layer, scope: Scope) -> bool:
    """Whether the layer opens and closes a gate, or sets rates by an exponential or a softplus."""
    after = behind(layer, scope.graph, scope[constants].scalar)
    rates = ("Exp", "Softplus", "Split", "Slice", "Add", "Mul", "Softmax", "Sin", "Cos")
    return any(node.op in rates or scope[roles].role(node) in ("gate", "attention") for node in after.nodes)
