"""A deep network whose gradient explodes or vanishes on its way back through the initial weights.

## What it does
In a freshly initialised model, predicts how the size of the gradient changes from the head back to each layer, and that
of the signal from the inputs to the head. Reports, once for the model, a change of more than `ratio` times (10,000, in
root mean square) at a layer that all signal passes.

## Why is this bad
Every layer multiplies the gradient by about `√fan_in · std(W)` times the derivative of its activation. With thirty
sigmoids, or fifty ReLUs under weights a little too small, nothing of it gets to the first layers, and they do not
learn; with weights too large the first step throws them away.

## Example
```onnx
# given stage=init
eight_sigmoids (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w = {0.4, -0.6, 0.5, 0.3, -0.5, 0.4, -0.6, 0.6, 0.3, -0.4, 0.5, -0.3, 0.6, 0.5, -0.4, 0.4},
 float[4, 2] v = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2}> {
    h1 = MatMul(x, w)   # want warning "shrinks"
    a1 = Sigmoid(h1)
    h2 = MatMul(a1, w)
    a2 = Sigmoid(h2)
    h3 = MatMul(a2, w)
    a3 = Sigmoid(h3)
    h4 = MatMul(a3, w)
    a4 = Sigmoid(h4)
    h5 = MatMul(a4, w)
    a5 = Sigmoid(h5)
    h6 = MatMul(a5, w)
    a6 = Sigmoid(h6)
    h7 = MatMul(a6, w)
    a7 = Sigmoid(h7)
    h8 = MatMul(a7, w)
    a8 = Sigmoid(h8)
    y = MatMul(a8, v)
}
```
```onnx
# given stage=init
large_weights (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w = {5.1, -3.2, 4.4, 6.0, -4.8, 2.9, -5.5, 3.1, 4.2, -6.3, 2.2, -3.9, 5.0, 4.7, -2.5, 3.3},
 float[4, 2] v = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2}> {
    h1 = MatMul(x, w)   # want warning "grows"
    a1 = Relu(h1)
    h2 = MatMul(a1, w)
    a2 = Relu(h2)
    h3 = MatMul(a2, w)
    a3 = Relu(h3)
    h4 = MatMul(a3, w)
    a4 = Relu(h4)
    h5 = MatMul(a4, w)
    a5 = Relu(h5)
    h6 = MatMul(a5, w)
    a6 = Relu(h6)
    h7 = MatMul(a6, w)
    a7 = Relu(h7)
    h8 = MatMul(a7, w)
    a8 = Relu(h8)
    y = MatMul(a8, v)
}
```
As a torch module, with torch's default initialisation, which is made for shallow networks:
```torch
# given loss=cross_entropy inputs=8,64
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(20))
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        for layer in self.layers:
            x = torch.sigmoid(layer(x))     # want warning "shrinks"
        return self.head(x)
```

## Use instead
He's initialisation, which keeps the gradient of ReLU networks as it is:
```onnx
# given stage=init
he (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w = {0.7, -0.8, 0.6, 0.7, -0.6, 0.8, -0.7, 0.7, 0.6, -0.7, 0.8, -0.6, 0.7, 0.6, -0.8, 0.7},
 float[4, 2] v = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2}> {
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
    h6 = MatMul(a5, w)
    a6 = Relu(h6)
    h7 = MatMul(a6, w)
    a7 = Relu(h7)
    h8 = MatMul(a7, w)
    a8 = Relu(h8)
    y = MatMul(a8, v)
}
```

## Spares
A head that starts small, so that a diffusion model or a residual begins with next to nothing:
```onnx
# given stage=init
small_head (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w = {0.4, -0.6, 0.5, 0.3, -0.5, 0.4, -0.6, 0.6, 0.3, -0.4, 0.5, -0.3, 0.6, 0.5, -0.4, 0.4},
 float[4, 2] v = {5e-6, -3e-6, 2e-6, 7e-6, -6e-6, 1e-6, 4e-6, -2e-6}> {
    h = MatMul(x, w)
    a = Relu(h)
    y = MatMul(a, v)
}
```
Shortcuts, which let the gradient pass, and norms, which take the scale of the weights away:
```onnx
# given stage=init
with_shortcuts (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w = {0.4, -0.6, 0.5, 0.3, -0.5, 0.4, -0.6, 0.6, 0.3, -0.4, 0.5, -0.3, 0.6, 0.5, -0.4, 0.4},
 float[4, 2] v = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2}> {
    h1 = MatMul(x, w)
    a1 = Sigmoid(h1)
    s1 = Add(x, a1)
    h2 = MatMul(s1, w)
    a2 = Sigmoid(h2)
    s2 = Add(s1, a2)
    h3 = MatMul(s2, w)
    a3 = Sigmoid(h3)
    s3 = Add(s2, a3)
    h4 = MatMul(s3, w)
    a4 = Sigmoid(h4)
    s4 = Add(s3, a4)
    h5 = MatMul(s4, w)
    a5 = Sigmoid(h5)
    s5 = Add(s4, a5)
    h6 = MatMul(s5, w)
    a6 = Sigmoid(h6)
    s6 = Add(s5, a6)
    h7 = MatMul(s6, w)
    a7 = Sigmoid(h7)
    s7 = Add(s6, a7)
    h8 = MatMul(s7, w)
    a8 = Sigmoid(h8)
    s8 = Add(s7, a8)
    y = MatMul(s8, v)
}
```
```onnx
# given stage=init
with_norms (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w = {0.4, -0.6, 0.5, 0.3, -0.5, 0.4, -0.6, 0.6, 0.3, -0.4, 0.5, -0.3, 0.6, 0.5, -0.4, 0.4},
 float[4, 2] v = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2},
 float[4] one = {1, 1, 1, 1}> {
    h1 = MatMul(x, w)
    n1 = LayerNormalization(h1, one)
    a1 = Relu(n1)
    h2 = MatMul(a1, w)
    n2 = LayerNormalization(h2, one)
    a2 = Relu(n2)
    h3 = MatMul(a2, w)
    n3 = LayerNormalization(h3, one)
    a3 = Relu(n3)
    h4 = MatMul(a3, w)
    n4 = LayerNormalization(h4, one)
    a4 = Relu(n4)
    h5 = MatMul(a4, w)
    n5 = LayerNormalization(h5, one)
    a5 = Relu(n5)
    h6 = MatMul(a5, w)
    n6 = LayerNormalization(h6, one)
    a6 = Relu(n6)
    h7 = MatMul(a6, w)
    n7 = LayerNormalization(h7, one)
    a7 = Relu(n7)
    h8 = MatMul(a7, w)
    n8 = LayerNormalization(h8, one)
    a8 = Relu(n8)
    y = MatMul(a8, v)
}
```

## Known limits
Exporters fold batch normalisation into the convolution before it, which then has no bias or one of zeros: where most
layers of a model file are such, nothing is said, unless their weights bear the names of the modules' own parameters.
The prediction holds on average over random weights, in the limit of wide layers; inputs of mean 0 and standard
deviation 1 are assumed unless the contract says otherwise. Behind an operator that netlint does not know, and through
recurrent cells, nothing is predicted. Weights with a common sign make gradients add up: their explosion is
underestimated. Nothing is said of trained models, and of models whose stage is unknown (state it with `--stage`).

## References
Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks (2010). He et al.: Delving
Deep into Rectifiers (2015). Poole et al.: Exponential expressivity in deep neural networks through transient chaos
(2016). Schoenholz et al.: Deep Information Propagation (2017). Zhang et al.: AUTOTRAINER (2021) takes a ratio of 1,000
between first and last layer as vanishing; plain networks of ten layers that train come near that, hence 10,000.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log10, sqrt

from netlint.analyses.layers import Layer, layers
from netlint.analyses.stage import stage
from netlint.analyses.trunk import trunk
from netlint.analyses.variance import Variance, variance
from netlint.analyses.weights import Weights, real_weights
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

from ._surroundings import fans, fresh_model, may_hide_norm

_RATIO = Option("ratio", 1e4, "how many times the root mean square of the gradient or the signal may change")
_SHOWN = 8


@rule(
    "INI005",
    "signal-explodes-or-vanishes",
    level=WARNING,
    since="0.2",
    status="preview",
    requires=(layers, real_weights, stage, trunk, variance),
    options=(_RATIO,),
)
def signal_explodes_or_vanishes(scope: Scope) -> Iterator[Finding]:
    if not fresh_model(scope[stage]):
        return
    bound, known = log10(float(scope.options["ratio"])), scope[variance]
    found = [
        (gradient, layer)
        for layer in scope[layers].all
        if layer.node in scope[trunk] and (gradient := _gradient(layer, known)) is not None
    ]
    if not found:
        return
    worst, layer = max(found, key=lambda entry: abs(entry[0]))
    grown = _grown(known, scope[real_weights])
    if _hidden([layer for _, layer in found], scope[real_weights]):
        return
    own = max((_smallness(head, scope[real_weights]) for head in known.heads), default=0.0)
    if abs(_without(own, worst)) > bound:
        yield _finding(layer, worst, [(path.node.loc.path, size) for size, path in found], scope)
        return
    if grown is not None and abs(grown[0]) > bound:
        yield _signal(grown[1], grown[0], scope)


def _hidden(passed: list[Layer], stats: Weights) -> bool:
    """Whether half of the layers may have a norm folded into them."""
    return 2 * sum(may_hide_norm(layer, stats) for layer in passed) >= len(passed)


def _gradient(layer: Layer, known: Variance) -> float | None:
    """log10 of the gradient at a layer's output. A small signal under a norm has a large one, without harm."""
    gradient, size = known.gradient(layer.output), known.change(layer)
    if layer.kind == "embedding" or gradient is None or gradient <= 0:
        return None if layer.kind == "embedding" else gradient
    return max(gradient + min(size or 0.0, 0.0), 0.0)


def _grown(known: Variance, stats: Weights) -> tuple[float, Layer] | None:
    """The change of the signal from the inputs to the head that it changes most at."""
    changes = [
        (_without(_smallness(head, stats), change), head)
        for head in known.heads
        if (change := known.change(head)) is not None
    ]
    return max(changes, key=lambda entry: abs(entry[0]), default=None)


def _without(own: float, change: float) -> float:
    """A shrinking but for what the head itself does."""
    return change - max(own, change) if change < 0 else change


def _smallness(head: Layer, stats: Weights) -> float:
    """log10 of how much smaller than usual the weight of a head is: it often starts small, and the loss moves it."""
    fan, rms = fans(head, stats), stats.rms(head.weight)
    return min(log10(rms * sqrt(fan.wide)), 0.0) if fan is not None and rms else 0.0


def _finding(layer: Layer, size: float, all_of_them: list[tuple[str, float]], scope: Scope) -> Finding:
    step = max(len(all_of_them) // _SHOWN, 1)
    shown = {path: round(gradient, 1) for path, gradient in all_of_them[::step]}
    word = "shrinks" if size < 0 else "grows"
    count = len(all_of_them)
    return Finding(
        f"the gradient {word} by a factor of 10^{abs(size):.1f} from the head to this layer ({count} layers in a row)",
        layer.node,
        (
            Evidence("log10 of the gradient, relative to the head", shown, scope[variance].assumed),
            Evidence("stage", "init", scope[stage].origin),
        ),
        "add shortcuts or norms, or initialise for the activation: He for ReLU, Xavier for tanh; no sigmoid in between",
        f"on average a factor of {10 ** (size / max(count, 1)):.2g} at each layer",
    )


def _signal(layer: Layer, change: float, scope: Scope) -> Finding:
    word = "shrinks" if change < 0 else "grows"
    return Finding(
        f"the signal {word} by a factor of 10^{abs(change):.1f} from the inputs to the head",
        layer.node,
        (
            Evidence("log10 of the change", round(change, 1), scope[variance].assumed),
            Evidence("stage", "init", scope[stage].origin),
        ),
        "initialise for the activation: He for ReLU, Xavier for tanh, or add norms",
        "what the head computes at the first step has nothing of the scale that the loss expects",
    )
