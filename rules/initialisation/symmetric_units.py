"""Hidden units that are copies of each other.

## What it does
Compares the units of each layer: rows or filters of the weight, their biases, and the outgoing weights in all layers
that read them through activations, pooling and norms.

- **error** for units that are equal in all of these.
- **warning** if all units of a layer have equal incoming weights, although what reads them differs.

## Why is this bad
Units that are equal in all their weights compute the same and get the same gradient: gradient descent never separates
them. All but one are wasted.

## Example
```onnx
twins (float[N, 3] x) => (float[N, 2] y)
<float[3, 3] w1 = {0.4, 0.4, 0.1, 0.6, 0.6, 0.3, -0.2, -0.2, 0.7}, float[3] b1 = {0.1, 0.1, 0.2},
 float[3, 2] w2 = {0.5, -0.3, 0.5, -0.3, 0.2, 0.7}> {
    h = Gemm(x, w1, b1)   # want error "units 0 and 1 of 3 are equal"
    a = Relu(h)
    y = MatMul(a, w2)
}
```
```onnx
all_alike (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w1 = {0.4, 0.4, 0.6, 0.6}, float[2, 2] w2 = {0.5, -0.3, 0.2, 0.7}> {
    h = MatMul(x, w1)   # want warning "all 2 units have the same incoming weights"
    a = Relu(h)
    y = MatMul(a, w2)
}
```
Units are followed through the mean over tokens, learned slopes, and what resizes or pads the map:
```onnx
joined_tokens (float[N, 4, 2] x) => (float[N, 2] y)
<float[2, 2] w1 = {0.4, 0.4, 0.6, 0.6}, float[2] slope = {0.1, 0.1}, int64[1] tokens = {1},
 float[2, 2] w2 = {0.5, -0.3, 0.5, -0.3}> {
    h = MatMul(x, w1)   # want error "units 0 and 1 of 2 are equal"
    a = PRelu(h, slope)
    m = ReduceMean <keepdims = 0> (a, tokens)
    y = MatMul(m, w2)
}
```
```onnx
resized_map (float[N, 1, 4, 4] x) => (float[N, 1, 8, 8] y)
<float[2, 1, 1, 2] w1 = {0.4, 0.6, 0.4, 0.6}, float[2] b1 = {0, 0}, float[0] roi = {}, float[4] by = {1, 1, 2, 2},
 float[2, 1, 1] slope = {0.1, 0.1}, float[1, 2, 1, 1] w2 = {0.5, 0.5}> {
    h = Conv <pads = [0, 0, 0, 1]> (x, w1, b1)   # want error "units 0 and 1 of 2 are equal"
    a = PRelu(h, slope)
    r = Resize(a, roi, by)
    y = Conv(r, w2)
}
```

Through depthwise convolutions that are equal as well, and into transposed convolutions:
```onnx
depthwise_between (float[N, 1, 4, 4] x) => (float[N, 1, 4, 4] y)
<float[2, 1, 1, 2] w1 = {0.4, 0.6, 0.4, 0.6}, float[2, 1, 1, 2] d = {0.3, -0.2, 0.3, -0.2},
 float[2, 1, 1, 3] w2 = {0.5, 0.2, -0.1, 0.5, 0.2, -0.1}> {
    h = Conv(x, w1)   # want error "units 0 and 1 of 2 are equal"
    a = Relu(h)
    f = Conv <group = 2> (a, d)
    y = ConvTranspose(f, w2)
}
```
Into a recurrent layer, which weighs them equally at every gate:
```onnx
before_a_cell (float[T, N, 2] x) => (float[T, 1, N, 1] y)
<float[2, 2] w1 = {0.4, 0.4, 0.6, 0.6}, float[1, 1, 2] w = {0.3, 0.3}, float[1, 1, 1] r = {0.5}> {
    h = MatMul(x, w1)   # want error "units 0 and 1 of 2 are equal"
    a = Tanh(h)
    y = RNN <hidden_size = 1> (a, w, r)
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
        nn.init.constant_(self.head.weight, 0.1)
        with torch.no_grad():
            self.hidden.weight[:] = self.hidden.weight[0].clone()
            self.hidden.bias.zero_()

    def forward(self, x):
        h = torch.relu(self.hidden(x))      # want error "of 64 are equal"
        return self.head(h)
```

## Use instead
```onnx
different_units (float[N, 3] x) => (float[N, 2] y)
<float[3, 3] w1 = {0.4, -0.8, 0.1, 0.6, -0.5, 0.3, -0.2, 0.9, 0.7}, float[3] b1 = {0.1, 0.1, 0.2},
 float[3, 2] w2 = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1}> {
    h = Gemm(x, w1, b1)
    a = Relu(h)
    y = MatMul(a, w2)
}
```

## Spares
Units that learned slopes tell apart, and what is reduced over the units themselves:
```onnx
different_slopes (float[N, 4, 2] x) => (float[N, 2] y)
<float[2, 3] w1 = {0.4, 0.4, 0.1, 0.6, 0.6, 0.3}, float[3] slope = {0.1, 0.2, 0.1}, int64[1] tokens = {1},
 float[3, 2] w2 = {0.5, -0.3, 0.5, -0.3, 0.2, 0.7}> {
    h = MatMul(x, w1)
    a = PRelu(h, slope)
    m = ReduceMean <keepdims = 0> (a, tokens)
    y = MatMul(m, w2)
}
```
```onnx
mean_of_units (float[N, 3, 2] x) => (float[N, 3] y)
<float[2, 3] w1 = {0.4, 0.4, 0.1, 0.6, 0.6, 0.3}, int64[1] features = {2},
 float[3, 3] w2 = {0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7}> {
    h = MatMul(x, w1)
    a = Relu(h)
    n = ReduceMean <keepdims = 0> (a, features)
    y = MatMul(n, w2)
}
```
Some equal filters that are read by different weights: they separate, and fixed filters are often repeated.
```onnx
separating (float[N, 3] x) => (float[N, 2] y)
<float[3, 3] w1 = {0.4, 0.4, 0.1, 0.6, 0.6, 0.3, -0.2, -0.2, 0.7}, float[3] b1 = {0.1, 0.1, 0.2},
 float[3, 2] w2 = {0.5, -0.3, 0.2, 0.7, -0.6, 0.1}> {
    h = Gemm(x, w1, b1)
    a = Relu(h)
    y = MatMul(a, w2)
}
```
Units that are pruned (all zero), and those of a binary net, which agree by chance:
```onnx
pruned_and_binary (float[N, 2] x) => (float[N, 2] y)
<float[2, 4] w1 = {0, 0, 1, 1, 0, 0, -1, -1}, float[4, 2] w2 = {0, 0, 0, 0, 1, 1, 1, 1}> {
    h = MatMul(x, w1)
    a = Relu(h)
    y = MatMul(a, w2)
}
```
Products without bias and activation, and a matrix that is applied twice, as the adjacency of a graph is:
```onnx
two_hops (float[N, 3] x) => (float[N, 3] y) <float[3, 3] a = {0.4, 0.4, 0.2, 0.4, 0.4, 0.2, 0.2, 0.2, 0.6}> {
    h = MatMul(x, a)
    y = MatMul(h, a)
}
```
Filters that different depthwise convolutions tell apart, and units in different groups of a group norm:
```onnx
told_apart (float[N, 1, 4, 4] x) => (float[N, 1, 4, 3] y)
<float[4, 1, 1, 2] w1 = {0.4, 0.6, -0.1, 0.3, 0.4, 0.6, 0.7, -0.2}, float[4, 1, 1, 1] d = {0.3, 0.5, -0.2, 0.1},
 float[4] one = {1, 1, 1, 1}, float[4] b = {0, 0, 0, 0}, float[1, 4, 1, 1] w2 = {0.5, 0.1, 0.5, -0.3},
 float[4, 1, 1, 2] w3 = {0.4, 0.6, -0.1, 0.3, 0.4, 0.6, 0.2, 0.5}> {
    h = Conv(x, w1, b)
    f = Conv <group = 4> (h, d)
    p = Conv(f, w2)
    i = Conv(x, w3, b)
    n = GroupNormalization <num_groups = 2> (i, one, b)
    q = Conv(n, w2)
    y = Add(p, q)
}
```
Two layers that share one stored weight, which is no evidence of anything: exporters merge equal constants.

## Known limits
Units are compared within one layer only, without groups, and only where everything that reads them is understood: not
through residual sums, gates, attention or recurrent cells. Dropout between the layers, which treats equal units
differently, is not seen in a model exported for inference.

Not compared at all: recurrent layers, embedding tables, frozen weights, units that are outputs of the model,
weights that are computed or quantised, layers of more than 131,072 units. Only equal bits count: units that differ by
rounding, sign or scale, and units of different layers, are not held against each other.

## References
Goodfellow, Bengio, Courville: Deep Learning (2016), section 8.4, on breaking the symmetry between units.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.layers import Layer, layers
from netlint.analyses.parameters import parameters
from netlint.analyses.units import Units, units
from netlint.analyses.weights import real_weights
from netlint.rule import ERROR, WARNING, Evidence, Finding, Scope, rule

_KINDS = ("dense", "conv", "conv-transpose")
_HELP = "initialise each unit at random on its own"


@rule(
    "INI003",
    "symmetric-units",
    level=ERROR,
    also=(WARNING,),
    since="0.1",
    requires=(layers, parameters, real_weights, units),
)
def symmetric_units(scope: Scope) -> Iterator[Finding]:
    stats, known = scope[real_weights], scope[units]
    for layer in scope[layers].all:
        if layer.kind in _KINDS and layer.unit_axis is not None and not scope[parameters].frozen(layer.weight):
            groups = stats.equal_units(layer.weight, layer.unit_axis)
            if groups:
                yield from _judge(layer, groups, known)


def _judge(layer: Layer, groups: list[tuple[int, ...]], known: Units) -> Iterator[Finding]:
    count = known.count(layer)
    if count is None or not _is_trained(layer, known):
        return
    for group in groups:
        tied = [members for members in _split(layer, group, known) if len(members) > 1]
        for members in tied:
            yield _tied(layer, members, count)
        if not tied and len(group) == count:
            yield _alike(layer, count)


def _is_trained(layer: Layer, known: Units) -> bool:
    """Whether its units are followed, and have a bias or activation as those of trained layers do.

    A matrix that is applied twice, as the adjacency of a graph, has equal columns where nodes have equal neighbours.
    """
    outgoing = known.outgoing(layer)
    if outgoing is None or layer.bias is not None:
        return outgoing is not None
    return known.activated(layer) and all(reader.weight is not layer.weight for reader in outgoing.readers)


def _split(layer: Layer, group: tuple[int, ...], known: Units) -> list[list[int]]:
    """The members of a group by their biases and outgoing weights."""
    parts: dict[tuple[bytes, ...], list[int]] = {}
    for unit, key in zip(group, known.keys(layer, group) or (), strict=False):
        parts.setdefault(key, []).append(unit)
    return list(parts.values())


def _tied(layer: Layer, members: list[int], count: int) -> Finding:
    shown = [str(unit) for unit in members[:6]]
    listed = f"{', '.join(shown)}, …" if len(members) > 6 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return Finding(
        f"units {listed} of {count} are equal in all incoming and outgoing weights",
        layer.node,
        (Evidence("weight", layer.weight.name), Evidence("units", members)),
        _HELP,
        "they compute the same, z; the gradient of each row is f'(z) times the sum of the outgoing weights times the "
        "gradients behind, times the input: all factors agree, at every step, so gradient descent never separates them",
    )


def _alike(layer: Layer, count: int) -> Finding:
    return Finding(
        f"all {count} units have the same incoming weights",
        layer.node,
        (Evidence("weight", layer.weight.name),),
        _HELP,
        "they become different only as far as their biases or what reads them differ",
        level=WARNING,
    )
