"""A weight whose elements are all the same number.

## What it does
Reports layers of two units or more whose weight has the same number, not zero, everywhere, and recurrent layers whose
recurrence weight has. If most layers of the model are like that, reports it whatever the number and the layers.

- **error** if the units can never become different: their biases and all outgoing weights are equal too.
- **warning** otherwise: all units compute the same at first, and only the differences beside the weight separate them.

## Why is this bad
Units with equal weights compute the same. If what reads them weighs them equally too, they get the same gradient, and
every step of gradient descent keeps them equal: the layer has the capacity of one unit, whatever its width.

## Example
```onnx
constant_for_ever (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, float[2] b1 = {0, 0}, float[2, 2] w2 = {0.5, -0.3, 0.5, -0.3}> {
    h = Gemm(x, w1, b1)   # want error "all 6 elements of the weight [3, 2] are 0.1"
    a = Relu(h)
    y = MatMul(a, w2)
}
```
Outgoing weights that differ pull the units apart, slowly:
```onnx
constant_at_first (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, float[2] b1 = {0, 0}, float[2, 2] w2 = {0.5, -0.3, 0.2, 0.7}> {
    h = Gemm(x, w1, b1)   # want warning "all 6 elements of the weight [3, 2] are 0.1"
    a = Relu(h)
    y = MatMul(a, w2)
}
```

Queries that are all the same, in a layer without bias and activation:
```onnx
constant_queries (float[N, 3] x, float[N, 4] k) => (float[N, N] y)
<float[3, 4] w = {0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3}> {
    q = MatMul(x, w)   # want warning "all 12 elements of the weight [3, 4] are 0.3"
    t = Transpose(k)
    s = MatMul(q, t)
    y = Softmax(s)
}
```
A recurrence in which each unit reads the sum of all states:
```onnx
constant_recurrence (float[T, N, 1] x) => (float[T, 1, N, 2] y)
<float[1, 2, 1] w = {0.4, -0.8}, float[1, 2, 2] r = {0.3, 0.3, 0.3, 0.3}> {
    y = RNN <hidden_size = 2> (x, w, r)   # want warning "all 4 elements of the weight [1, 2, 2] are 0.3"
}
```
A product written as an Einsum:
```onnx
constant_einsum (float[N, T, 3] x) => (float[N, T, 2] y)
<float[3, 2] w = {0.3, 0.3, 0.3, 0.3, 0.3, 0.3}, float[2] b = {0, 0}> {
    h = Einsum <equation = "ntd,dh->nth"> (x, w)   # want warning "all 6 elements of the weight [3, 2] are 0.3"
    y = Add(h, b)
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
        for layer in (self.hidden, self.head):
            nn.init.constant_(layer.weight, 0.1)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        h = torch.relu(self.hidden(x))      # want error "all 2048 elements of the weight"
        return self.head(h)      # want warning "all 640 elements of the weight"
```
Most layers of the model, though each alone could be a filter:
```onnx
constant_everywhere (float[N, 2, 8, 8] x) => (float[N, 2, 6, 6] y)
<float[2, 1, 2, 2] w1 = {0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3},
 float[2, 1, 2, 2] w2 = {0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3}> {
    h = Conv <group = 2> (x, w1)   # want warning "2 of 2 layers"
    a = Relu(h)
    y = Conv <group = 2> (a, w2)
}
```

## Use instead
```onnx
random_weights (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w1 = {0.4, -0.8, 0.1, 0.6, -0.5, 0.3}, float[2] b1 = {0, 0}, float[2, 2] w2 = {0.5, -0.3, 0.2, 0.7}> {
    h = Gemm(x, w1, b1)
    a = Relu(h)
    y = MatMul(a, w2)
}
```

## Spares
Sums, means and transforms written as a product, without bias or activation: whole numbers, 1/n or 1/√n for a size n
of the weight, and powers of 1/2.
```onnx
row_sums_and_means (float[N, 3] x) => (float[N, 2] sums, float[N, 2] means)
<float[3, 2] ones = {1, 1, 1, 1, 1, 1},
 float[3, 2] thirds = {0.333333, 0.333333, 0.333333, 0.333333, 0.333333, 0.333333}> {
    sums = MatMul(x, ones)
    means = MatMul(x, thirds)
}
```
Means over the nodes of a graph or the positions of a sequence, whose bias and activation belong to the features:
```onnx
mean_of_nodes (float[3, 2] x) => (float[3, 2] y)
<float[2, 2] w = {0.4, -0.8, 0.1, 0.6}, float[2] b = {0.1, 0.2},
 float[3, 3] thirds = {0.333333, 0.333333, 0.333333, 0.333333, 0.333333, 0.333333, 0.333333, 0.333333, 0.333333}> {
    h = MatMul(x, w)
    m = MatMul(thirds, h)
    s = Add(m, b)
    y = Relu(s)
}
```
Box filters of single channels:
```onnx
blur (float[N, 2, 8, 8] x) => (float[N, 2, 7, 7] y)
<float[2, 1, 2, 2] box = {0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25}> {
    y = Conv <group = 2> (x, box)
}
```
What weighs squares or feeds a square root, as the variances of a Bayesian layer, whose deviations start equal:
```onnx
variances (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] mean = {0.4, -0.8, 0.1, 0.6}, float[2, 2] variance = {0.01, 0.01, 0.01, 0.01}, float[2] b = {0.01, 0.01}> {
    m = MatMul(x, mean)
    square = Mul(x, x)
    v = Gemm(square, variance, b)
    s = Sqrt(v)
    y = Add(m, s)
}
```
A single output unit, and what is no weight of a layer: scales of norms, biases, positional tables.
```onnx
one_unit (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0.5, 0.5, 0.5}, float[1] b = {0.1}> {
    y = Gemm(x, w, b)
}
```

## Known limits
Weights that are all zero are the matter of `zero-weights`. Whether the layer is trained at all is known only of torch
modules. One layer of filters that each read a channel of their own is not judged alone, nor an embedding table, nor an
Einsum with several axes of units. A model whose weights were stripped and replaced by fills is not judged.

## References
Goodfellow, Bengio, Courville: Deep Learning (2016), section 8.4, on breaking the symmetry between units.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from netlint.analyses.layers import Layer
from netlint.analyses.parameters import parameters
from netlint.analyses.uniform import Uniform, uniform
from netlint.analyses.units import Units, units
from netlint.analyses.weights import real_weights
from netlint.graph import Node, Value
from netlint.rule import ERROR, WARNING, Evidence, Finding, Scope, rule

from ._meant import is_fixed_sum, is_of_variances, is_shared_by_units, mixes_positions

_HELP = "initialise the weight at random, e.g. He or Xavier"


@rule(
    "INI002",
    "constant-weights",
    level=ERROR,
    also=(WARNING,),
    since="0.1",
    requires=(parameters, real_weights, uniform, units),
)
def constant_weights(scope: Scope) -> Iterator[Finding]:
    known, follow = scope[uniform], scope[units]
    left, quiet = [], True
    for layer, stats in known.found:
        if stats.zero or layer.kind == "embedding" or scope[parameters].frozen(layer.weight):
            continue
        shape = scope[real_weights].shape(layer.weight) or ()
        meant = is_fixed_sum(layer, shape, stats.lo) or is_of_variances(layer, stats.lo, scope.graph)
        trained = _is_trained(layer, shape, follow)
        if is_shared_by_units(layer, shape) and (trained or not meant):
            quiet = False
            yield _finding(layer, shape, stats.lo, follow)
        elif layer.bias is not None or not meant:
            left.append(_systematic(layer, shape, stats.lo, known))
    if quiet and left and known.systematic:
        yield left[0]
    yield from _recurrences(scope)


def _is_trained(layer: Layer, shape: tuple[int, ...], known: Units) -> bool:
    """Whether the layer is followed as one that is trained, whatever the number."""
    if mixes_positions(layer, shape) or not (layer.bias is not None or known.activated(layer)):
        return False
    return known.ends(layer) is not None


def _recurrences(scope: Scope) -> Iterator[Finding]:
    """Recurrence weights that are constant where the input weights are not: those are the matter of the loop above."""
    for node in scope.graph.of("LSTM", "GRU", "RNN"):
        weight, matrix = node.input(1), node.input(2)
        stats, other = scope[real_weights].of(matrix), scope[real_weights].of(weight)
        if matrix is None or stats is None or not stats.constant or stats.zero or (other and other.constant):
            continue
        shape = scope[real_weights].shape(matrix) or ()
        if not node.domain and shape[-1:] != (1,) and not scope[parameters].frozen(matrix):
            why = "each unit reads only the sum of all states at first"
            yield _report(node, matrix, shape, stats.lo, why, False)


def _finding(layer: Layer, shape: tuple[int, ...], value: float, known: Units) -> Finding:
    count = known.count(layer)
    tied = count is not None and known.tied_for_ever(layer, range(count))
    of = "of each group " if layer.node.attrs.get("group", 1) != 1 else "of the layer "
    why = f"all units {of}compute the same at first; "
    if tied:
        why += "their biases and outgoing weights are equal too, so they get the same gradient at every step, for ever"
    else:
        why += "they become different only as far as their biases or what reads them differ"
    return _report(layer.node, layer.weight, shape, value, why, bool(tied))


def _report(node: Node, weight: Value, shape: tuple[int, ...], value: float, why: str, tied: bool) -> Finding:
    return Finding(
        f"all {prod(shape)} elements of the weight [{', '.join(map(str, shape))}] are {value:.6g}",
        node,
        (Evidence("weight", weight.name), Evidence("value", value), Evidence("stays equal", tied)),
        _HELP,
        why,
        level=ERROR if tied else WARNING,
    )


def _systematic(layer: Layer, shape: tuple[int, ...], value: float, known: Uniform) -> Finding:
    """Any one of these may be meant; so many are not."""
    sizes, count = ", ".join(map(str, shape)), known.phrase(zero=False)
    return Finding(
        f"all elements of the weight [{sizes}] are {value:.6g}; {count} have such a constant weight",
        layer.node,
        (Evidence("weight", layer.weight.name), Evidence("value", value)),
        _HELP,
        "a fixed sum or average may be meant in one layer, but not in most of them",
        level=WARNING,
    )
