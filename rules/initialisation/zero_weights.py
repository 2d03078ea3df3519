"""A weight that is all zero and so keeps the model, or a part of it, from learning.

## What it does
Reports layers whose weight is all zero, where that stops gradient descent:

- **error** if the weight can never leave zero: a factor of its gradient is zero, and stays zero whatever the other
  parameters do; or if all hidden units of the layer are equal now (weights, biases, outgoing weights) and so for ever.
- **warning** if it is the weight of a hidden layer that can recover, and whose output goes to other layers alone, or
  that all signal passes: at the first step no gradient gets to what lies before it, and what lies behind sees no input.
- **warning** if three quarters of all layers are zero, though none of them stops anything alone.

## Why is this bad
For `y = W x + b` the gradient of `W` is the gradient of `y` times `x`, and that of `x` is `W` times the gradient of
`y`. With `W = 0` nothing before the layer learns; with ReLU behind it nothing gets back to `W` either, since the
derivative of ReLU at 0 is 0. The model then learns its last bias at most.

## Example
```onnx
dead_hidden_layer (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0, 0, 0, 0, 0, 0}, float[2, 2] w2 = {0.5, -0.3, 0.2, 0.7}> {
    h = MatMul(x, w1)   # want error "all zero"
    a = Relu(h)
    y = MatMul(a, w2)
}
```
Two zero layers in a row close each other, with any activation between:
```onnx
two_zero_layers (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0, 0, 0, 0, 0, 0}, float[2, 2] w2 = {0, 0, 0, 0}> {
    h = MatMul(x, w1)   # want error "all zero"
    a = Tanh(h)
    y = MatMul(a, w2)   # want error "all zero"
}
```
With a sigmoid between them they do get gradients, but all hidden units get the same:
```onnx
equal_units (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0, 0, 0, 0, 0, 0}, float[2] b1 = {0, 0}, float[2, 2] w2 = {0, 0, 0, 0}> {
    h = Gemm(x, w1, b1)   # want error "2 hidden units"
    a = Sigmoid(h)
    y = MatMul(a, w2)
}
```
A zero hidden layer that recovers after the first step:
```onnx
slow_start (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0, 0, 0, 0, 0, 0}, float[2, 2] w2 = {0.5, -0.3, 0.2, 0.7}> {
    h = MatMul(x, w1)   # want warning "all zero"
    a = Tanh(h)
    y = MatMul(a, w2)
}
```

The same where a shortcut starts behind the layer:
```onnx
zero_embedding (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0, 0, 0, 0, 0, 0}, float[2, 2] w2 = {0.4, -0.8, 0.1, 0.6}, float[2, 2] w3 = {0.5, -0.3, 0.2, 0.7}> {
    h = MatMul(x, w1)   # want warning "hidden layer"
    d = MatMul(h, w2)
    a = Tanh(d)
    s = Add(h, a)
    y = MatMul(s, w3)
}
```
Layers that may start as nothing, but not all of them:
```onnx
all_zero (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w1 = {0, 0, 0, 0}, float[2, 2] w2 = {0, 0, 0, 0}> {
    d = MatMul(x, w1)   # want warning "2 of 2 layers"
    s = Add(x, d)
    e = MatMul(s, w2)
    y = Add(s, e)
}
```
As a torch module:
```torch
# given loss=cross_entropy inputs=8,32
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(32, 64)
        self.head = nn.Linear(64, 10)
        nn.init.zeros_(self.hidden.weight)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.hidden.bias)

    def forward(self, x):
        h = torch.relu(self.hidden(x))      # want error "all zero"
        return self.head(h)      # want error "all zero"
```

## Use instead
```onnx
random_hidden_layer (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0.4, -0.8, 0.1, 0.6, -0.5, 0.3}, float[2, 2] w2 = {0.5, -0.3, 0.2, 0.7}> {
    h = MatMul(x, w1)
    a = Relu(h)
    y = MatMul(a, w2)
}
```

## Spares
Zero weights that learn from the first step on. A zero head on a body that is not zero, as in logistic regression:
```onnx
logistic_regression (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0, 0, 0}, float[1] b = {0}> {
    z = Gemm(x, w, b)
    y = Sigmoid(z)
}
```
A residual branch that starts as nothing; `B` of a low-rank update and ControlNet's zero convolutions are the same case:
```onnx
zero_branch (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w1 = {0.4, -0.8, 0.1, 0.6}, float[2, 2] w2 = {0, 0, 0, 0}, float[2, 2] w3 = {0.5, -0.3, 0.2, 0.7}> {
    h = MatMul(x, w1)
    a = Relu(h)
    d = MatMul(a, w2)
    s = Add(x, d)
    y = MatMul(s, w3)
}
```
Modulation and gates (adaLN-Zero, queries at zero), even under a zero head, which learns first and opens the way:
```onnx
zero_gate (float[N, 2] x, float[N, 2] c) => (float[N, 2] y)
<float[2, 2] w1 = {0.4, -0.8, 0.1, 0.6}, float[2, 2] w2 = {0, 0, 0, 0}, float[2, 2] w3 = {0, 0, 0, 0}> {
    h = MatMul(x, w1)
    gate = MatMul(c, w2)
    d = Mul(gate, h)
    s = Add(x, d)
    y = MatMul(s, w3)
}
```

## Known limits
Which parameters are frozen is known only of torch modules: all others are taken to be trained. An operator that is not
known is taken to pass gradients. Zero scales of norms are followed, but not reported. In a model of several inputs a
layer that all signal of one of them passes is not reported for that: conditioning often starts at zero.

## References
Goodfellow, Bengio, Courville: Deep Learning (2016), section 8.4. Goyal et al.: Accurate, Large Minibatch SGD (2017) on
zero scales in residual branches. Hu et al.: LoRA (2021). Zhang et al.: ControlNet (2023). Peebles, Xie: DiT (2023).
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.gradient import Gradient, gradient
from netlint.analyses.layers import Layer, layers
from netlint.analyses.parameters import parameters
from netlint.analyses.trunk import trunk
from netlint.analyses.uniform import uniform
from netlint.analyses.units import units
from netlint.analyses.weights import real_weights
from netlint.graph import Node
from netlint.rule import ERROR, WARNING, Evidence, Finding, Scope, rule

_HELP = "initialise the weight at random, e.g. He or Xavier"


@rule(
    "INI001",
    "zero-weights",
    level=ERROR,
    also=(WARNING,),
    since="0.1",
    requires=(layers, parameters, real_weights, uniform, gradient, units, trunk),
)
def zero_weights(scope: Scope) -> Iterator[Finding]:
    known = scope[uniform]
    zero = [layer for layer, stats in known.found if stats.zero and not scope[parameters].frozen(layer.weight)]
    quiet = True
    for layer in zero:
        finding = _blocked(layer, scope) or _equal(layer, scope) or _hidden(layer, scope)
        if finding is not None:
            quiet = False
            yield finding
    if quiet and zero and known.systematic:
        yield _systematic(zero[0], scope)


def _blocked(layer: Layer, scope: Scope) -> Finding | None:
    flow = scope[gradient]
    factors = list(_zero_factors(layer, flow)) if flow.blocked(layer) else []
    if not factors:
        return None
    why = f"the gradient of the weight is the gradient of the output times the input: {', and '.join(factors)}"
    message = f"the weight {_shape(layer, scope)} is all zero, and so is its gradient, for ever"
    return Finding(message, layer.node, _evidence(layer, factors), _HELP, f"{why}; no other parameter changes that")


def _zero_factors(layer: Layer, flow: Gradient) -> Iterator[str]:
    """The factors of the weight's gradient that are zero for ever, each with the reason."""
    if flow.unreached(layer.output):
        reasons = list(dict.fromkeys(_reason(node) for node in flow.obstacles(layer)))
        if reasons:
            yield f"the gradient of the output is zero because {' and '.join(reasons[:2])}"
    if flow.always_zero(layer.data):
        yield "the input is zero whatever the model's inputs"


def _reason(node: Node) -> str:
    if node.op in ("Relu", "Abs"):
        return f"the {node.op} behind it is at 0, where its derivative is 0"
    if node.op in ("Mul", "Div", "Einsum"):
        return f"it is multiplied by zero ({node.op})"
    return f"the {node.op} behind it multiplies it with zero weights"


def _equal(layer: Layer, scope: Scope) -> Finding | None:
    count = scope[units].count(layer)
    if count is None or count < 2 or not scope[units].tied_for_ever(layer, range(count)):
        return None
    message = f"the weight {_shape(layer, scope)} is all zero and the {count} hidden units are equal, for ever"
    why = (
        "biases and outgoing weights of the units are equal too: all receive the same gradient at every step, so the "
        "layer works like a single unit (without dropout)"
    )
    return Finding(message, layer.node, _evidence(layer, ["equal units"]), _HELP, why)


def _hidden(layer: Layer, scope: Scope) -> Finding | None:
    ends = scope[units].ends(layer)
    alone = ends is not None and not ends.is_output and ends.readers
    if not alone and not _in_trunk(layer, scope):
        return None
    shape = _shape(layer, scope)
    message = f"the weight {shape} of a hidden layer is all zero: at the first step no gradient passes it"
    why = (
        "its output is the same for every input, and the gradient of its input is the weight times the gradient of the "
        "output; the weight itself gets a gradient, so training starts a step late"
    )
    return Finding(message, layer.node, _evidence(layer, []), _HELP, why, level=WARNING)


def _in_trunk(layer: Layer, scope: Scope) -> bool:
    """Whether all signal passes it and reaches other layers only behind it."""
    place = scope[trunk].get(layer.node)
    return place is not None and scope.graph.position[scope[layers].all[-1].node] > place


def _systematic(layer: Layer, scope: Scope) -> Finding:
    """Any one of these may be meant; so many are not."""
    count = scope[uniform].phrase(zero=True)
    message = f"the weight {_shape(layer, scope)} is all zero, as the weights of {count} are"
    why = "a layer may be meant to start as nothing: a branch, a gate, a head; most of a model is not"
    return Finding(message, layer.node, _evidence(layer, []), _HELP, why, level=WARNING)


def _evidence(layer: Layer, factors: list[str]) -> tuple[Evidence, ...]:
    found = (Evidence("weight", layer.weight.name),)
    return (*found, Evidence("zero factors", factors)) if factors else found


def _shape(layer: Layer, scope: Scope) -> str:
    return "[" + ", ".join(str(size) for size in scope[real_weights].shape(layer.weight) or ("?",)) + "]"
