"""A weight whose elements are all the same number.

## What it does
Reports layers of two units or more whose weight has the same number, not zero, everywhere.

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
Sums and means written as a product, without bias or activation:
```onnx
row_sums (float[N, 3] x) => (float[N, 2] y) <float[3, 2] ones = {1, 1, 1, 1, 1, 1}> {
    y = MatMul(x, ones)
}
```
Box filters of single channels:
```onnx
blur (float[N, 2, 8, 8] x) => (float[N, 2, 7, 7] y)
<float[2, 1, 2, 2] box = {0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25}> {
    y = Conv <group = 2> (x, box)
}
```
One term of a larger sum, as the variances of a Bayesian layer, whose deviations start equal:
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
Weights that are all zero are the matter of `zero-weights`. Whether the layer is trained at all is not known. A model
whose weights were stripped and replaced by fills is not judged.

## References
Goodfellow, Bengio, Courville: Deep Learning (2016), section 8.4, on breaking the symmetry between units.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.layers import Layer, layers
from netlint.analyses.units import Units, units
from netlint.analyses.weights import real_weights
from netlint.rule import ERROR, WARNING, Evidence, Finding, Scope, rule


@rule(
    "INI002",
    "constant-weights",
    level=ERROR,
    also=(WARNING,),
    since="0.1",
    requires=(layers, real_weights, units),
)
def constant_weights(scope: Scope) -> Iterator[Finding]:
    known = scope[real_weights]
    for layer in scope[layers].all:
        stats = known.of(layer.weight)
        if stats is None or not stats.constant or stats.zero or layer.kind == "embedding":
            continue
        if _is_weight(layer) and _is_trained(layer, scope[units]):
            yield _finding(layer, stats.lo, scope[units])


def _is_weight(layer: Layer) -> bool:
    """Whether it connects two units or more, each with two inputs or more."""
    shape = layer.weight.shape
    if shape is None or not all(isinstance(size, int) for size in shape):
        return False
    if layer.kind == "recurrent":
        return True
    if layer.unit_axis is None or layer.input_axis is None:
        return False
    depthwise = layer.kind != "dense" and shape[layer.input_axis] == 1 and layer.node.attrs.get("group", 1) != 1
    return not depthwise and shape[layer.unit_axis] != 1 and _fan_in(layer) > 1


def _fan_in(layer: Layer) -> int:
    size = 1
    for axis, length in enumerate(layer.weight.shape or ()):
        size *= length if axis != layer.unit_axis and isinstance(length, int) else 1
    return size


def _is_trained(layer: Layer, known: Units) -> bool:
    """Whether it looks like a layer of its own, and not like a fixed sum or one term of something larger."""
    return (layer.bias is not None or known.activated(layer)) and known.ends(layer) is not None


def _finding(layer: Layer, value: float, known: Units) -> Finding:
    count = known.count(layer)
    tied = count is not None and known.tied_for_ever(layer, range(count))
    shape = layer.weight.shape or ()
    total = _fan_in(layer) * (int(shape[layer.unit_axis] or 1) if layer.unit_axis is not None else 1)
    message = f"all {total} elements of the weight [{', '.join(map(str, shape))}] are {value:.6g}"
    why = "all units of the layer compute the same at first; "
    if tied:
        why += "their biases and outgoing weights are equal too, so they get the same gradient at every step, for ever"
    else:
        why += "they become different only as far as their biases or what reads them differ"
    return Finding(
        message,
        layer.node,
        (Evidence("weight", layer.weight.name), Evidence("value", value), Evidence("stays equal", bool(tied))),
        "initialise the weight at random, e.g. He or Xavier",
        why,
        level=ERROR if tied else WARNING,
    )
