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
from math import prod, sqrt

from netlint.analyses.layers import Layer
from netlint.analyses.uniform import Uniform, uniform
from netlint.analyses.units import Units, units
from netlint.analyses.weights import real_weights
from netlint.graph import Graph, Node, Value
from netlint.ops import TRANSPARENT
from netlint.ops.read import scalar
from netlint.rule import ERROR, WARNING, Evidence, Finding, Scope, rule

_HELP = "initialise the weight at random, e.g. He or Xavier"
_SAME = 2e-3
"""Two numbers that differ by less, relatively, may be the same in the coarsest type of 16 bits."""
_SPREADS = frozenset({"Exp", "Softplus", "Abs"})
_STEPS = 4


@rule(
    "INI002",
    "constant-weights",
    level=ERROR,
    also=(WARNING,),
    since="0.1",
    requires=(real_weights, uniform, units),
)
def constant_weights(scope: Scope) -> Iterator[Finding]:
    known, follow = scope[uniform], scope[units]
    left, quiet = [], True
    for layer, stats in known.found:
        if stats.zero or layer.kind == "embedding":
            continue
        shape = scope[real_weights].shape(layer.weight) or ()
        meant = _is_fixed_sum(layer, shape, stats.lo) or _is_of_variances(layer, stats.lo, scope.graph)
        trained = (layer.bias is not None or follow.activated(layer)) and follow.ends(layer) is not None
        if _is_shared_by_units(layer, shape) and (trained or not meant):
            quiet = False
            yield _finding(layer, shape, stats.lo, follow)
        elif layer.bias is not None or not meant:
            left.append(_systematic(layer, shape, stats.lo, known))
    if quiet and left and known.systematic:
        yield left[0]
    yield from _recurrences(scope)


def _recurrences(scope: Scope) -> Iterator[Finding]:
    """Recurrence weights that are constant where the input weights are not: those are the matter of the loop above."""
    for node in scope.graph.of("LSTM", "GRU", "RNN"):
        weight, matrix = node.input(1), node.input(2)
        stats, other = scope[real_weights].of(matrix), scope[real_weights].of(weight)
        if matrix is None or stats is None or not stats.constant or stats.zero or (other and other.constant):
            continue
        shape = scope[real_weights].shape(matrix) or ()
        if not node.domain and shape[-1:] != (1,):
            why = "each unit reads only the sum of all states at first"
            yield _report(node, matrix, shape, stats.lo, why, False)


def _counts(layer: Layer, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """How many units read the same inputs, and how many inputs that are; None where unknown."""
    if layer.unit_axis is None or layer.unit_axis >= len(shape):
        return None
    groups = int(layer.node.attrs.get("group", 1)) or 1
    shared, inputs = shape[layer.unit_axis], prod(shape) // max(shape[layer.unit_axis], 1)
    if layer.kind == "conv":
        return shared // groups, inputs
    return (shared, inputs // groups) if layer.kind == "conv-transpose" else (shared, inputs)


def _is_shared_by_units(layer: Layer, shape: tuple[int, ...]) -> bool:
    """Whether it connects two units or more, each with the same two inputs or more."""
    if layer.kind == "recurrent":
        return layer.node.attrs.get("hidden_size", 0) != 1
    counts = _counts(layer, shape)
    return counts is not None and min(counts) > 1


def _is_fixed_sum(layer: Layer, shape: tuple[int, ...], value: float) -> bool:
    """Whether the number is one that a sum, a mean or an orthogonal transform has: whole, 2^-k, 1/n, 1/√n."""
    size = abs(value)
    if size >= 1 or layer.kind == "recurrent":
        return size == round(size)
    kernel = prod(shape[2:]) if layer.kind.startswith("conv") else 1
    scales = {2**power for power in range(1, 11)} | {*shape, *(_counts(layer, shape) or ()), kernel, prod(shape)}
    return any(abs(size * scale - 1) < _SAME for known in scales for scale in (known, sqrt(known)))


def _is_of_variances(layer: Layer, value: float, graph: Graph) -> bool:
    """Whether it weighs squares or feeds a square root: variances of random weights, which start equal."""
    producer = graph.producer(layer.data)
    while producer is not None and producer.op in TRANSPARENT:
        producer = graph.producer(producer.input(0))
    return value > 0 and ((producer is not None and _spreads(producer)) or _feeds_root(layer, graph))


def _spreads(node: Node) -> bool:
    if node.op == "Mul":
        return node.input(0) is node.input(1)
    return node.op in _SPREADS or (node.op == "Pow" and scalar(node.input(1)) == 2)


def _feeds_root(layer: Layer, graph: Graph) -> bool:
    values = [layer.output]
    for _ in range(_STEPS):
        nodes = [node for value in values for node in graph.uses(value)]
        if any(node.op == "Sqrt" or (node.op == "Pow" and scalar(node.input(1)) == 0.5) for node in nodes):
            return True
        on = [node for node in nodes if node.op in TRANSPARENT or node.op in ("Add", "Sum", "Clip", "Max")]
        values = [value for node in on for value in node.outputs if value is not None]
    return False


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
