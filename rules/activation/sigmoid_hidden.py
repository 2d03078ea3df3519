"""A sigmoid as the non-linearity between two weighted layers.

## What it does

Reports a sigmoid (Sigmoid, HardSigmoid, 1 / (1 + exp(-x)), exp(x) / (1 + exp(x)), (1 + tanh(x)) / 2, a hard sigmoid
written as clip(x + 3, 0, 6) / 6) that stands between weighted layers as their ordinary activation: layers feed it, and
everything that reads it leads to further layers, through pooling, layout, normalisation or dropout at most.

## Why is this bad

The derivative of a sigmoid is at most 1/4, and almost 0 for inputs beyond ±5: gradients shrink by a factor of four or
more at every such layer. Its outputs are all positive, so all weights of a unit in the next layer are pushed in the
same direction at each step.

## Example

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 5] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5},
 float[5, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9, 1}>
{
    h = Gemm(x, w)
    s = Sigmoid(h)      # want warning "sigmoid between weighted layers"
    y = Gemm(s, v)
}
```

The same, as some exporters write it:

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 5] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5},
 float[5, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9, 1}, float one = {1}>
{
    h = MatMul(x, w)
    n = Neg(h)
    e = Exp(n)
    d = Add(e, one)
    s = Div(one, d)      # want "sigmoid between weighted layers"
    y = MatMul(s, v)
}
```

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 5] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5},
 float[5, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9, 1}, float one = {1}>
{
    h = MatMul(x, w)
    e = Exp(h)
    d = Add(e, one)
    s = Div(e, d)      # want "sigmoid between weighted layers"
    y = MatMul(s, v)
}
```

A hard sigmoid as a clipped line:

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 5] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5},
 float[5, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9, 1}, float three = {3}, float zero = {0},
 float six = {6}>
{
    h = MatMul(x, w)
    t = Add(h, three)
    c = Clip(t, zero, six)
    s = Div(c, six)      # want "sigmoid between weighted layers"
    y = MatMul(s, v)
}
```

In a training run of torch modules:

```torch
# given inputs=4,16
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 8, 3)
        self.fc = nn.Linear(8 * 14, 10)
    def forward(self, x):
        h = torch.sigmoid(self.conv(x.unsqueeze(1)))      # want warning "a sigmoid between weighted layers"
        return self.fc(h.flatten(1))
```

## Use instead

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 5] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5},
 float[5, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9, 1}>
{
    h = Gemm(x, w)
    s = Relu(h)
    y = Gemm(s, v)
}
```

## Spares

Gates: a sigmoid whose result is multiplied with another tensor, as in SiLU, GLU, squeeze-excite, attention gates,
highway layers, LSTM and GRU cells.

```onnx
silu (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.1, -0.2, 0.3, 0.4}>
{
    h = MatMul(x, w)
    s = Sigmoid(h)
    g = Mul(h, s)
    y = MatMul(g, v)
}
```

A sigmoid that is a head, even if a later stage reads it as well:

```onnx
cascade (float[N, 3] x) => (float[N, 5] coarse, float[N, 2] y)
<float[3, 5] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5},
 float[5, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9, 1}>
{
    h = MatMul(x, w)
    coarse = Sigmoid(h)
    y = MatMul(coarse, v)
}
```

The output of a generator, which a discriminator reads as it reads the data:

```onnx
gan (float[N, 3] z, float[N, 2] data) => (float[N, 1] fake, float[N, 1] real)
<float[3, 2] g = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 1] d = {0.1, -0.2}>
{
    h = MatMul(z, g)
    image = Sigmoid(h)
    fake = MatMul(image, d)
    real = MatMul(data, d)
}
```

A few coordinates in [0, 1] that are embedded into many more units, and probabilities that join other features before
the next layer:

```onnx
refine (float[N, 3] x) => (float[N, 2] y)
<float[3, 1] w = {0.1, -0.2, 0.3}, float[4, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}>
{
    h = MatMul(x, w)
    p = Sigmoid(h)
    c = Concat <axis = 1> (x, p)
    y = MatMul(c, v)
}
```

## Known limits

A sigmoid whose result is concatenated with anything but other sigmoids is left alone, and so is one that is read by an
operator netlint does not know.

## References

- X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural networks. AISTATS 2010.
- Y. LeCun, L. Bottou, G. Orr, K.-R. Müller: Efficient BackProp. 1998, section 4.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.layers import Layer
from netlint.analyses.roles import Reach, Roles, roles
from netlint.analyses.sigmoids import sigmoids
from netlint.graph import Node
from netlint.ops import ACTIVATIONS
from netlint.rule import WARNING, Evidence, Finding, Scope, rule

_COORDINATES = 4
_EMBEDDING_GAIN = 8


@rule("ACT004", "sigmoid-hidden", level=WARNING, since="0.1", requires=(roles, sigmoids))
def sigmoid_hidden(scope: Scope) -> Iterator[Finding]:
    known = scope[roles]
    for node in scope[sigmoids]:
        if not _between_layers(known, node):
            continue
        before, after = known.before(node), known.after(node)
        yield Finding(
            f"a sigmoid between weighted layers: {_names(before)} → {node.op} → {_names(after)}",
            node,
            evidence=(
                Evidence("before", [layer.node.loc.path for layer in before]),
                Evidence("after", [layer.node.loc.path for layer in after]),
                Evidence("largest derivative", 0.25 if node.op != "HardSigmoid" else _slope(node)),
            ),
            help="use ReLU, GELU or SiLU between layers; keep the sigmoid for gates and for the head",
            why="the gradient shrinks at least by this derivative at every such layer, and all outputs are positive",
        )


def _between_layers(known: Roles, node: Node) -> bool:
    if known.role(node) != "body":
        return False
    ahead, behind = known.ahead(node), known.behind(node)
    if not (ahead.complete and behind.complete and ahead.layers and behind.layers):
        return False
    if ahead.ends or not (_passable(ahead) and _passable(behind)) or (behind.ends and not behind.joins):
        return False
    if any(known.reads_inputs_too(layer) for layer in ahead.layers):
        return False  # what a generator makes, and a discriminator compares with the data
    mixed = any(not _only_sigmoids(known, join) for join in ahead.joins if join.op == "Concat")
    return not mixed and not _coordinates(behind.layers, ahead.layers)


def _passable(reach: Reach) -> bool:
    """Whether the way ends at layers only, or, past a residual sum, at the activations of its other branches."""
    summed = any(join.op != "Concat" for join in reach.joins)
    return not reach.stops or (summed and all(stop.op in ACTIVATIONS for stop in reach.stops))


def _only_sigmoids(known: Roles, concat: Node) -> bool:
    """Whether all that a Concat glues together are activations of this kind."""
    made = [known.maker(value) for value in concat.inputs if value is not None]
    return all(node is not None and known.sigmoid(node) is not None for node in made)


def _coordinates(before: tuple[Layer, ...], after: tuple[Layer, ...]) -> bool:
    """Whether a few numbers in [0, 1] are embedded into many units: positions, not features."""
    narrow = [_units(layer) for layer in before]
    wide = [_units(layer) for layer in after]
    few = max((units for units in narrow if units), default=0)
    return 0 < few <= _COORDINATES and all(units is None or units >= few * _EMBEDDING_GAIN for units in wide)


def _units(layer: Layer) -> int | None:
    shape = layer.weight.shape
    axis = layer.unit_axis
    units = shape[axis] if shape is not None and axis is not None and axis < len(shape) else None
    return units if isinstance(units, int) else None


def _slope(node: Node) -> float:
    return float(node.attrs.get("alpha", 0.2))


def _names(layers: tuple[Layer, ...]) -> str:
    return ", ".join(dict.fromkeys(layer.node.op for layer in layers))
