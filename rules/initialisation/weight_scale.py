"""Initial weights that are far too large or too small for their layer.

## What it does
In a freshly initialised model, holds the root mean square of each weight against the range that LeCun's, Xavier's and
He's initialisers give for its fan-in and fan-out. Reports, once for the model,

- layers whose weight is more than `factor` times (3) above that range, where the layer's predicted output is that
  much too large and no norm behind it takes the scale away;
- hidden layers that all signal passes and whose weights are more than `factor` times below it, where together they
  shrink the signal more than a hundredfold, and no norm behind them restores it.

## Why is this bad
The signal's size is multiplied by `√fan_in · std(W)` at each layer. Weights of standard deviation 1 in a layer of 1,000
inputs make sums of size 30: tanh and sigmoid saturate, their derivatives vanish, the first loss is huge. With weights
too small the signal, and with it the gradient of the layers before, fades.

## Example
Weights from a normal distribution of standard deviation 1, instead of about 0.1:
```onnx
# given stage=init
much_too_large (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w1 = {5.1, -3.2, 4.4, 6.0, -4.8, 2.9, -5.5, 3.1, 4.2, -6.3, 2.2, -3.9, 5.0, 4.7, -2.5, 3.3},
 float[4, 2] w2 = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2}> {
    h = MatMul(x, w1)   # want warning "6.2 times as large"
    a = Tanh(h)
    y = MatMul(a, w2)
}
```
Layers that shrink the signal together:
```onnx
# given stage=init
too_small (float[N, 4] x) => (float[N, 2] y)
<float[4, 3] w1 = {0.02, -0.03, 0.04, 0.01, -0.02, 0.03, -0.04, 0.02, 0.01, -0.02, 0.04, -0.03},
 float[3, 4] w2 = {0.03, -0.02, 0.04, 0.01, -0.02, 0.02, -0.04, 0.03, 0.01, -0.03, 0.04, -0.02},
 float[4, 2] w3 = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2}> {
    h = MatMul(x, w1)   # want warning "as large as LeCun, Xavier or He initialisation"
    a = Relu(h)
    i = MatMul(a, w2)
    b = Relu(i)
    y = MatMul(b, w3)
}
```
As a torch module:
```torch
# given loss=cross_entropy inputs=8,256
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(256, 256)
        self.head = nn.Linear(256, 10)
        nn.init.normal_(self.hidden.weight)

    def forward(self, x):
        h = torch.tanh(self.hidden(x))      # want warning "times as large"
        return self.head(h)
```

A standard deviation of 0.001 for every layer, seen in a training step:
```torch
# given loss=cross_entropy inputs=8,256
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(256, 256) for _ in range(4))
        self.head = nn.Linear(256, 10)
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=0.001)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()      # want warning "as large as LeCun, Xavier or He initialisation"
        return self.head(x)

def step(model, x, labels=torch.arange(8)):
    return F.cross_entropy(model(x), labels)
```

## Use instead
```onnx
# given stage=init
xavier (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w1 = {0.51, -0.32, 0.44, 0.6, -0.48, 0.29, -0.55, 0.31, 0.42, -0.63, 0.22, -0.39, 0.5, 0.47, -0.25, 0.33},
 float[4, 2] w2 = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2}> {
    h = MatMul(x, w1)
    a = Tanh(h)
    y = MatMul(a, w2)
}
```

## Spares
What a norm reads, since it takes the scale away:
```onnx
# given stage=init
normalised (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w1 = {5.1, -3.2, 4.4, 6.0, -4.8, 2.9, -5.5, 3.1, 4.2, -6.3, 2.2, -3.9, 5.0, 4.7, -2.5, 3.3},
 float[4] one = {1, 1, 1, 1}, float[4] zero = {0, 0, 0, 0},
 float[4, 2] w2 = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2}> {
    h = MatMul(x, w1)
    n = LayerNormalization(h, one, zero)
    a = Relu(n)
    y = MatMul(a, w2)
}
```
Heads, which often start small; branches of a sum, whose small weights leave the shortcut alone (Fixup, T-Fixup,
1/√(2L)); what a constant factor corrects (equalised learning rates, NTK and µ-parametrisation); layers under a sine or
cosine, whose scale is a frequency (SIREN, Fourier features).
```onnx
# given stage=init
small_branch_and_head (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w1 = {0.01, -0.02, 0.01, 0.01, -0.02, 0.01, -0.01, 0.02, 0.01, -0.01, 0.02, -0.01, 0.02, 0.01, -0.01, 0},
 float[4, 2] w2 = {0.001, -0.001, 0.001, 0.002, -0.001, 0.001, 0.002, -0.001}> {
    h = MatMul(x, w1)
    s = Add(x, h)
    y = MatMul(s, w2)
}
```
```onnx
# given stage=init
scaled_behind (float[N, 4] x, float[N, 4] t) => (float[N, 2] y)
<float[4, 4] w1 = {5.1, -3.2, 4.4, 6.0, -4.8, 2.9, -5.5, 3.1, 4.2, -6.3, 2.2, -3.9, 5.0, 4.7, -2.5, 3.3},
 float c = {0.1},
 float[8, 2] w2 = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2, 0.3, 0.2, -0.1, 0.6, -0.4, 0.2, 0.1, -0.5}> {
    h = MatMul(x, w1)
    hc = Mul(h, c)
    a = Tanh(hc)
    f = MatMul(t, w1)
    s = Sin(f)
    both = Concat <axis = 1> (a, s)
    y = MatMul(both, w2)
}
```

Standardised weights, whose scale is made, not drawn:
```onnx
# given stage=init
standardised (float[N, 4] x) => (float[N, 2] y)
<float[4, 4] w1 = {5.1, -3.2, 4.4, 6.0, -4.8, 2.9, -5.5, 3.1, 4.2, -6.3, 3.2, -3.9, -4.5, 6.6, -2.1, -5.2},
 float[4, 2] w2 = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1, 0.4, -0.2}> {
    h = MatMul(x, w1)
    a = Tanh(h)
    y = MatMul(a, w2)
}
```

## Known limits
Exporters fold batch normalisation into the convolution before it, which then may have a bias of zeros: such
convolutions of a model file are not said to be too large or too small, unless their weight bears the name of the
module's own parameter. Weights that an exporter has computed are left out: names tell of them, and so do standardised
weights, whose elements add up to 0 in each unit.
Nothing is said of trained models, of models whose stage is unknown (state it with `--stage`), of embedding tables and
recurrent layers, and of weights that are computed. Large weights in front of the softmax of an attention are judged
like all others. Inputs of mean 0 and standard deviation 1 are assumed unless the contract says otherwise.

## References
LeCun et al.: Efficient BackProp (1998), section 4.6. Glorot, Bengio: Understanding the difficulty of training deep
feedforward neural networks (2010). He et al.: Delving Deep into Rectifiers (2015). The factor leaves out what torch,
Keras, JAX and transformers start from by default, which lies within a factor of 2.5 of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log10, prod, sqrt

from netlint.analyses.constants import constants
from netlint.analyses.folded import folded
from netlint.analyses.layers import Layer, layers
from netlint.analyses.parameters import parameters
from netlint.analyses.roles import roles
from netlint.analyses.stage import stage
from netlint.analyses.trunk import trunk
from netlint.analyses.variance import variance
from netlint.analyses.weights import Moments, Weights, real_weights
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

from ._surroundings import (
    Behind,
    Fans,
    behind,
    fans,
    fresh_model,
    heads,
    may_hide_norm,
    recommended,
)

_KINDS = ("dense", "conv", "conv-transpose")
_FACTOR = Option("factor", 3.0, "how many times above or below the usual range a weight may be")
_TAIL = 6.0
"""No drawn number is larger than so many standard deviations."""
_UNKNOWN_SIGNAL = 10.0
_SHRINKS = 0.01
"""What small weights may do to the signal together before they are reported."""


@dataclass(frozen=True, slots=True)
class _Case:
    layer: Layer
    found: Moments
    fan: Fans
    behind: Behind

    @property
    def size(self) -> float:
        return self.found.rms * self.behind.scale

    @property
    def above(self) -> float:
        """Over the largest that He's initialiser gives."""
        return self.size / sqrt(2 / self.fan.narrow)

    @property
    def below(self) -> float:
        """Over the smallest that LeCun's gives."""
        return self.size * sqrt(self.fan.wide)

    @property
    def ratio(self) -> float:
        """Over the nearest end of the usual range; 1 within."""
        return _ratio(self.size, self.fan)


@rule(
    "INI004",
    "weight-scale",
    level=WARNING,
    since="0.2",
    status="preview",
    requires=(layers, parameters, real_weights, stage, roles, trunk, variance, constants),
    options=(_FACTOR,),
)
def weight_scale(scope: Scope) -> Iterator[Finding]:
    if not fresh_model(scope[stage]):
        return
    factor = float(scope.options["factor"])
    cases = list(_cases(scope))
    large = [case for case in cases if case.above > factor and _overflows(case, factor, scope)]
    small = [case for case in cases if case.below < 1 / factor and _counts(case, scope)]
    if large:
        yield _finding(max(large, key=lambda case: case.above), large, scope)
    if small and _starve(small, scope):
        yield _finding(min(small, key=lambda case: case.below), small, scope)


def _cases(scope: Scope) -> Iterator[_Case]:
    """The fresh layers whose weight, on its own and with the constant factors behind it, is out of the usual range."""
    stats, last, factor = scope[real_weights], heads(scope[roles]), float(scope.options["factor"])
    for layer in scope[layers].all:
        about = stats.of(layer.weight) if layer.kind in _KINDS else None
        fan = fans(layer, stats) if about is not None and not about.constant else None
        if about is None or fan is None or _usual(max(-about.lo, about.hi), fan, factor):
            continue
        size = stats.rms(layer.weight)
        if size is None or 1 / factor <= _ratio(size, fan) <= factor:
            continue
        if layer in last or scope[parameters].frozen(layer.weight) or _computed(layer, stats):
            continue
        after, found = behind(layer, scope.graph, scope[constants].scalar), stats.moments(layer.weight)
        if found is not None and scope[stage].fresh(layer) and not after.normalised and not after.periodic:
            yield _Case(layer, found, fan, after)


def _computed(layer: Layer, stats: Weights) -> bool:
    """Whether an exporter has worked the weight out: a folded norm, a standardised kernel."""
    return folded(layer) or (layer.unit_axis is not None and stats.standardised(layer.weight, layer.unit_axis))


def _ratio(size: float, fan: Fans) -> float:
    """A root mean square over the nearest end of the usual range; 1 within."""
    return max(size / sqrt(2 / fan.narrow), 1.0) * min(size * sqrt(fan.wide), 1.0)


def _counts(case: _Case, scope: Scope) -> bool:
    """Whether the smallness of a weight matters: all signal passes it, and no norm is hidden behind it."""
    return case.layer.node in scope[trunk] and not may_hide_norm(case.layer, scope[real_weights])


def _usual(largest: float, fan: Fans, factor: float) -> bool:
    """Whether the largest of some drawn numbers already shows that they are neither too large nor too small."""
    return _TAIL / factor < largest * sqrt(fan.wide) and largest * sqrt(fan.narrow / 2) < factor


def _overflows(case: _Case, factor: float, scope: Scope) -> bool:
    """Whether what the layer computes is too large as well: what comes in may be scaled down to match."""
    if may_hide_norm(case.layer, scope[real_weights]):
        return False
    signal = scope[variance].signal(case.layer.output)
    if signal is None:
        return case.above > _UNKNOWN_SIGNAL
    return sqrt(signal.square) * case.behind.scale > factor


def _starve(cases: list[_Case], scope: Scope) -> bool:
    """Whether they shrink the signal together, and no norm restores it: the gradient in front of them is small too."""
    gradients = [scope[variance].gradient(case.layer.data) for case in cases]
    least = min((gradient for gradient in gradients if gradient is not None), default=0.0)
    return prod(case.below for case in cases) < _SHRINKS and least < log10(_SHRINKS)


def _finding(worst: _Case, cases: list[_Case], scope: Scope) -> Finding:
    name, usual = recommended(worst.behind.activation, worst.fan)
    more = len(cases) - 1
    others = f", and {more} more {'layer is' if more == 1 else 'layers are'} alike" if more else ""
    shape = ", ".join(map(str, scope[real_weights].shape(worst.layer.weight) or ()))
    signal = scope[variance].signal(worst.layer.output)
    size = f"{signal.square**0.5:.3g}" if signal is not None else "unknown"
    follows = f" and {worst.behind.activation} behind it" if worst.behind.activation else ""
    return Finding(
        f"the initial weight [{shape}] of std {worst.found.std:.3g} is {worst.ratio:.2g} times as large as LeCun, "
        f"Xavier or He initialisation makes it{others}",
        worst.layer.node,
        (
            Evidence("std", worst.found.std),
            Evidence("fan-in", worst.fan.into),
            Evidence("usual std", usual, f"{name} for this fan-in{follows}"),
            Evidence("size of the output", size, scope[variance].assumed),
            Evidence("stage", "init", scope[stage].origin),
        ),
        f"initialise with {name}: std {usual:.3g} here",
        f"the layer multiplies the size of the signal by √fan_in · std = {worst.fan.into**0.5 * worst.size:.3g}",
        related=tuple((f"std {case.found.std:.3g}", case.layer.node.loc) for case in cases[:8] if case is not worst),
    )
