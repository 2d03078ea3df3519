"""A value or a weight beyond the largest number of its type.

## What it does

In float16, whose largest number is 65,504: sums of squares of values that are not bounded, attention scores without
a scale, and products that are shown to pass the limit. Where `--precision` declares float16, also stored weights
beyond it, and the same sums in a model that is stored in float32.

## Why is this bad

What passes the limit is infinite, and infinity minus infinity, or divided by infinity, is NaN. A value of 256 is
enough for its square, and a mean over squares adds them up before it divides.

## Example

A root-mean-square normalisation computed in half precision:

```onnx
rms (float16[N, 4] x, float16[4, 4] w) => (float16[N, 4] y)
<float16[4] b = {0, 0, 0, 0}, float16 eps = {1678}, int64[1] axis = {-1}, float16[4, 4] v = {
1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}>
{
    h = Gemm(x, v, b)
    q = Mul(h, h)
    m = ReduceMean(q, axis)      # want "squares are summed in float16"
    g = Add(m, eps)
    s = Sqrt(g)
    y = Div(h, s)
}
```

Attention scores without the scale 1/sqrt(d):

```onnx
attention (float16[N, 5, 4] x) => (float16[N, 5, 4] y)
<float16[4, 4] v = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, float16[4, 4] w = {
16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}>
{
    q = MatMul(x, v)
    k = MatMul(x, w)
    t = Transpose <perm = [0, 2, 1]> (k)
    s = MatMul(q, t)      # want "attention scores in float16 without a scale"
    p = Softmax(s)
    y = MatMul(p, x)
}
```

```onnx
# given precision=float16
loud (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w = {1, 2, 3, 100000}, float[2] b = {0, 0}>
{
    y = Gemm(x, w, b)      # want "weights up to 1e+05"
}
```

## Use instead

Sums of squares in float32:

```onnx
rms (float16[N, 4] x) => (float[N, 4] y)
<float16[4] b = {0, 0, 0, 0}, float eps = {1e-6}, int64[1] axis = {-1}, float16[4, 4] v = {
1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}>
{
    h = Gemm(x, v, b)
    f = Cast <to = 1> (h)
    q = Mul(f, f)
    m = ReduceMean(q, axis)
    g = Add(m, eps)
    s = Sqrt(g)
    y = Div(f, s)
}
```

## Spares

The scale on either side of the product, or on its result; bounded values; masks of the size of infinity:

```onnx
attention (float16[N, 5, 4] x, float16[N, 5, 5] mask) => (float16[N, 5, 4] y, float16[N, 1] z)
<float16[4, 4] v = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, float16[4, 4] w = {
16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, float16 scale = {14336}, int64[2] axes = {-1, -2}>
{
    q = MatMul(x, v)
    k = MatMul(x, w)
    t = Transpose <perm = [0, 2, 1]> (k)
    u = Mul(q, scale)
    s = MatMul(u, t)
    m = Add(s, mask)
    p = Softmax(m)
    y = MatMul(p, x)
    b = Tanh(q)
    c = Mul(b, b)
    z = ReduceSum <keepdims = 0> (c, axes)
}
```

```onnx
single (float[N, 4] x) => (float[N, 1] y)
<int64[1] axis = {-1}>
{
    q = Mul(x, x)
    y = ReduceMean(q, axis)
}
```

## Known limits

Linear layers are not judged: with wide layers and large inputs they overflow in float16 as well.

## References

- P. Micikevicius and others: Mixed precision training. ICLR 2018.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from netlint.analyses.layers import layers
from netlint.analyses.ranges.rounding import FORMATS
from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import INF
from netlint.analyses.reached.patterns import maker, same, squared
from netlint.analyses.surroundings import surroundings
from netlint.analyses.weights import weights
from netlint.graph import Node, Value
from netlint.rule import WARNING, Evidence, Finding, Scope, rule

from ._witness import NEEDS, chain, evidence, precision

_MOST = FORMATS["float16"].largest
_SUMS = frozenset({"ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceL2"})
_DEPTH = 6


@rule("NUM008", "overflows-precision", level=WARNING, since="0.2", requires=(*NEEDS, layers, weights))
def overflows_precision(scope: Scope) -> Iterator[Finding]:
    known, declared = scope[reach], precision(scope)
    for node in scope.graph.of(*_SUMS):
        if _half(known, node, declared) and (vector := _squares(known, node)) is not None:
            yield from _sum_of_squares(scope, known, node, vector)
    for node in scope.graph.of("Softmax"):
        product = _unscaled(known, node) if _half(known, node, declared) else None
        if product is not None:
            yield Finding(
                "attention scores in float16 without a scale",
                product,
                help="divide the queries by the square root of their width before the product",
                why="a sum of many products soon passes 65504, and a row of infinities gives NaN",
                related=(("the softmax", node.loc),),
            )
    for node in scope.graph.of("Mul", "Div", "Cast"):
        if _half(known, node, ""):
            yield from _beyond(scope, known, node)
    if declared in ("float16", "mixed-float16"):
        yield from _weights(scope)


def _half(known: Reached, node: Node, declared: str) -> bool:
    dtype = known.shapes.dtype(node.output()) or ""
    return dtype == "float16" or (declared == "float16" and dtype == "float32")


def _squares(known: Reached, node: Node) -> Value | None:
    """x, where a node sums or averages x * x."""
    if node.op in ("ReduceSumSquare", "ReduceL2"):
        return node.input(0)
    return squared(known, node.input(0))


def _sum_of_squares(scope: Scope, known: Reached, node: Node, vector: Value) -> Iterator[Finding]:
    found, proved = known.of(vector), known.ranges.of(vector)
    if found is None or found.raw or known.known.constant(vector) or proved.magnitude**2 <= _MOST / 16:
        return
    if max(-found.lo, found.hi) < INF or scope[surroundings].of_framework(node):
        return
    yield Finding(
        f"squares are summed in float16, which ends at {_MOST:g}: values of {math.isqrt(int(_MOST))} overflow",
        node,
        evidence=evidence(scope, vector, "value"),
        help="cast to float32 before squaring, and back after the root",
        why="the sum is infinite, and dividing by it or subtracting it gives 0 or NaN",
        related=chain(scope, vector),
    )


def _unscaled(known: Reached, softmax: Node) -> Node | None:
    """The product of two computed values that a softmax reads with nothing but a mask in between."""
    node = maker(known, softmax.input(0))
    for _ in range(_DEPTH):
        if node is None or node.op not in ("Add", "Where"):
            break
        parts = [maker(known, v) for v in node.inputs]
        node = next((part for part in parts if part is not None and part.op in ("MatMul", "Einsum", "Add")), None)
    if node is None or node.op not in ("MatMul", "Einsum") or known.layer(node) is not None:
        return None
    operands = [maker(known, v) for v in node.inputs]
    plain = all(made is not None and (known.layer(made) is not None or _biased(known, made)) for made in operands)
    return node if plain and not same(known, node.input(0), node.input(1)) else None


def _biased(known: Reached, node: Node) -> bool:
    """A layer's product with its bias added."""
    return node.op == "Add" and any(known.layer(maker(known, v)) is not None for v in node.inputs)


def _beyond(scope: Scope, known: Reached, node: Node) -> Iterator[Finding]:
    """A result that is shown to pass the limit, by operands that do not."""
    found = known.of(node.output())
    if found is None or found.raw or found.fixed or not math.isfinite(found.hi - found.lo):
        return
    largest, proved = max(-found.lo, found.hi), known.ranges.of(node.output())
    if largest <= _MOST or (proved.bounded and proved.magnitude <= _MOST):
        return
    before = [known.of(value) for value in node.inputs]
    if node.op == "Cast" or all(part is not None and max(-part.lo, part.hi) <= _MOST for part in before):
        yield Finding(
            f"a value of up to {largest:.4g} in float16, which ends at {_MOST:g}",
            node,
            evidence=evidence(scope, node.output(), "value"),
            help="scale less, or compute this part in float32",
            why="what passes the limit is infinite",
            related=chain(scope, node.output()),
        )


def _weights(scope: Scope) -> Iterator[Finding]:
    """Stored weights that the declared precision does not hold."""
    for layer in scope[layers].all:
        stats = scope[weights].of(layer.weight)
        if stats is None or stats.has_nan or stats.has_inf or stats.lo > stats.hi:
            continue
        largest = max(-stats.lo, stats.hi)
        if largest > _MOST:
            yield Finding(
                f"weights up to {largest:.4g} in a model that is to run in float16, which ends at {_MOST:g}",
                layer.node,
                evidence=(Evidence("largest weight", largest),),
                help="rescale the layer, or keep it in float32",
                why="what passes the limit is infinite",
            )
