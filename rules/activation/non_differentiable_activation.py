"""A rounding, a sign, a threshold or an arg-max through which no gradient passes, on the way from weights to the loss.

## What it does

Reports Round, Floor, Ceil, Sign, a Cast to integers, a comparison or ArgMax turned into numbers (in training, also the
one-hot vector of a layer's largest unit, or the row of an embedding that it chooses), and a choice between two
constants, where a trained layer feeds it, its result alone goes on to another weighted layer or to the loss, and at
least one layer behind it gets a gradient on no other way.

In a model without its loss, a step behind the last layer is post-processing; it is reported only where a loss has been
declared and nothing but the step's result leaves the model.

## Why is this bad

The derivative of a step is 0 wherever it exists: every weight before it has a zero gradient and keeps its initial value
for ever. Training goes on without an error, with the layers behind the step alone.

## Example

```onnx
steps (float[N, 3] x) => (float[N, 2] y)
<float[3, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6},
 float[4, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}>
{
    h = MatMul(x, w)
    s = Round(h)      # want warning "no gradient passes Round: 1 trained layer before it never learns"
    y = MatMul(s, v)
}
```

```onnx
threshold (float[N, 3] x) => (float[N, 2] y)
<float[3, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6},
 float[4, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}, float zero = {0}>
{
    h = MatMul(x, w)
    up = Greater(h, zero)      # want "no gradient passes Greater"
    s = Cast <to = 1> (up)
    y = MatMul(s, v)
}
```

```onnx
# given loss=mse_loss
rounded (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)
    p = Sigmoid(h)
    y = Round(p)      # want "no gradient passes Round"
}
```

```torch
# given loss=mse_loss inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)
    def forward(self, x):
        return (torch.sigmoid(self.fc(x)) > 0.5).float()      # want warning "no gradient passes Greater"
```

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)
    def forward(self, x):
        return torch.sigmoid(self.fc(x))

def step(model, x):
    hard = torch.round(model(x))      # want warning "no gradient passes Round"
    return F.mse_loss(hard, torch.zeros(4, 1))
```

```torch
# given loss=mse_loss inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 4)
        self.decoder = nn.Linear(4, 8)
    def forward(self, x):
        z = torch.sigmoid(self.encoder(x))
        code = torch.where(z > 0.5, torch.ones_like(z), torch.zeros_like(z))      # want "no gradient passes Greater"
        return self.decoder(code)
```

```torch
# given loss=cross_entropy inputs=4,10
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.choose = nn.Linear(10, 20)
        self.head = nn.Linear(20, 5)
    def forward(self, x):
        chosen = self.choose(x).argmax(-1)      # want "no gradient passes ArgMax"
        return self.head(F.one_hot(chosen, 20).float())
```

The largest class of one network as the word that the next one reads:

```torch
# given inputs=x:float32:4,8;y:int64:4
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 10))
        self.words, self.second = nn.Embedding(10, 6), nn.Linear(6, 3)
    def forward(self, x):
        word = self.first(x).argmax(1)      # want "no gradient passes ArgMax: 2 trained layers before it never learn"
        return self.second(torch.tanh(self.words(word)))

def step(model, x, y):
    return F.cross_entropy(model(x), y)
```

## Use instead

```onnx
smooth (float[N, 3] x) => (float[N, 2] y)
<float[3, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6},
 float[4, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}>
{
    h = MatMul(x, w)
    s = Tanh(h)
    y = MatMul(s, v)
}
```

## Spares

Straight-through estimators, where the step's error is added to the value itself:

```onnx
straight_through (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.1, -0.2, 0.3, 0.4}>
{
    h = MatMul(x, w)
    r = Round(h)
    d = Sub(r, h)
    s = Add(h, d)
    y = MatMul(s, v)
}
```

Quantisers, as operators and written out (scaled, rounded, cut off, scaled back):

```onnx
fake_quantised (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.1, -0.2, 0.3, 0.4}, float scale = {0.05},
 float low = {-128}, float high = {127}>
{
    h = MatMul(x, w)
    d = Div(h, scale)
    r = Round(d)
    c = Clip(r, low, high)
    q = Mul(c, scale)
    y = MatMul(q, v)
}
```

Indices into a codebook:

```onnx
codebook (float[N, 3] x) => (float[N, 2] y)
<float[3, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6},
 float[4, 2] entries = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}>
{
    h = MatMul(x, w)
    i = ArgMin <axis = 1, keepdims = 0> (h)
    y = Gather(entries, i)
}
```

```onnx
# given loss=mse_loss
one_hot_codebook (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] entries = {0.1, -0.2, 0.3, 0.4}, int64 two = {2},
 float[2] values = {0, 1}>
{
    h = MatMul(x, w)
    t = Transpose(entries)
    d = MatMul(h, t)
    i = ArgMax <axis = 1, keepdims = 0> (d)
    o = OneHot(i, two, values)
    y = MatMul(o, entries)
}
```

Masks: the gradient takes the way of what is masked.

```onnx
masked (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.1, -0.2, 0.3, 0.4}, float zero = {0}>
{
    h = MatMul(x, w)
    up = Greater(h, zero)
    m = Cast <to = 1> (up)
    s = Mul(h, m)
    y = MatMul(s, v)
}
```

Post-processing after the head:

```onnx
labels (float[N, 3] x) => (float[N, 2] y, float[N, 2] label)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)
    label = Round(y)
}
```

## Known limits

A model file does not tell whether training replaced the gradient of a step (a custom autograd function, the surrogate
gradients of spiking networks, binary networks without binary weights): such layers are reported. A rounding of a
bounded value that is scaled afterwards counts as a quantiser.

## References

- Y. Bengio, N. Léonard, A. Courville: Estimating or propagating gradients through stochastic neurons for conditional
  computation. 2013.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract
from netlint.analyses.paths import COMPARES, PICKS, STEPS, GradientPaths, Onward, cuts_decimals, paths
from netlint.analyses.roles import roles
from netlint.graph import Graph, Node, Value, is_float
from netlint.rule import WARNING, Evidence, Finding, Scope, rule
from netlint.training import Known


@rule("ACT012", "non-differentiable-activation", level=WARNING, since="0.2", requires=(paths, roles, contract))
def non_differentiable_activation(scope: Scope) -> Iterator[Finding]:
    steps = scope.graph.of(*STEPS, *COMPARES, *PICKS, "Cast")
    candidates = [node for node in steps if node.op != "Cast" or cuts_decimals(node)]
    gradient = scope[paths].gradient if candidates else None
    for node in candidates:
        if gradient is None or not any(gradient.learned(value) for value in node.inputs):
            continue
        if (node.op in STEPS and gradient.quantises(node)) or _binary_weights(gradient, node):
            continue
        onward = gradient.onward(_numbers(scope.graph, node))
        if onward is None or (onward.encoded and not _one_hot(scope, node, onward)):
            continue
        why = _trained_through(scope, onward)
        lost = gradient.cut_off(node) if why is not None else []
        if why is None or not lost:
            continue
        layers = f"{len(lost)} trained layer{'s' * (len(lost) > 1)}"
        yield Finding(
            f"no gradient passes {node.op}: {layers} before it never learn{'s' * (len(lost) == 1)}",
            node,
            evidence=(Evidence("cut off", [layer.node.loc.path for layer in lost]), why),
            help="use a smooth activation in training, or a straight-through estimator: `x + (step(x) - x).detach()`",
            why="the derivative of a step is 0 wherever it exists",
            related=tuple(("never learns", layer.node.loc) for layer in lost[:3]),
        )


def _numbers(graph: Graph, node: Node) -> Node:
    """The node that turns a comparison into numbers, where it is a choice between constants; else the node itself."""
    uses = graph.uses(node.output())
    chooses = len(uses) == 1 and uses[0].op == "Where" and uses[0].input(0) is node.output()
    constants = chooses and all(value is not None and _repeats(graph, value) for value in uses[0].inputs[1:3])
    return uses[0] if constants else node


def _repeats(graph: Graph, value: Value) -> bool:
    """Whether a value is given, or repeats what is given in a computed shape (`ones_like(x)`)."""
    made = graph.producer(value)
    while made is not None and made.op in ("Expand", "Identity", "Cast"):
        made = graph.producer(made.input(0))
    return made is None or made.op == "ConstantOfShape"


def _trained_through(scope: Scope, onward: Onward) -> Evidence | None:
    """What tells that training needs a gradient through what goes onward; None where nothing does."""
    if onward.layers:
        return Evidence("feeds", [layer.node.loc.path for layer in onward.layers])
    known, training = scope[roles], scope[contract]
    read = next((head for head in known.heads if head.site is not None and head.value in onward.ends), None)
    if read is not None and read.site is not None:
        return Evidence("loss", read.site.loss.name, read.site.origin)
    alone = len(scope.graph.outputs) == 1 and scope.graph.outputs[0] in onward.ends
    floating = alone and is_float(scope.graph.outputs[0].dtype)
    if floating and isinstance(training.loss, Known) and all(head.site is None for head in known.heads):
        return Evidence("loss", training.loss.value.name, training.loss.origin)
    return None


def _one_hot(scope: Scope, node: Node, onward: Onward) -> bool:
    """Whether a layer's largest unit, as a one-hot vector or an index, goes into layers of their own, in training.

    In a codebook, distances to the entries choose the index; without a loss, tokens may be fed back.
    """
    gradient = scope[paths].gradient
    trained = scope[contract].loss.known or any(head.site is not None for head in scope[roles].heads)
    return trained and gradient.picks_a_unit(node) and all(gradient.own(layer) for layer in onward.layers)


def _binary_weights(gradient: GradientPaths, node: Node) -> bool:
    """Whether a sign belongs to a binary network: the weights that read it are signs, too."""
    onward = gradient.onward(node) if node.op == "Sign" else None
    return onward is not None and any(gradient.binary(layer) for layer in onward.layers)
