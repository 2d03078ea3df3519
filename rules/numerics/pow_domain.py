"""A power whose base leaves the domain of its exponent.

## What it does

Reports `Pow` where a fractional exponent meets a base that can be negative, where a negative exponent meets a base
that can be 0, and where an exponent between 0 and 1 meets a base that is 0 for many inputs while a gradient passes.
The power 0.5 is a square root: sqrt-domain (NUM004) has it.

## Why is this bad

A negative number to a fractional power is NaN; 0 to a negative power is infinite; and the derivative of x to a power
below 1 is infinite at 0, which makes NaN with the inner derivative.

## Example

A gamma correction of a layer's output:

```onnx
gamma (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float g = {2.2}>
{
    h = Gemm(x, w, b)
    y = Pow(h, g)      # want "a negative number to a fractional power"
}
```

The degrees of a graph's nodes to the power -1/2: a node without neighbours has degree 0.

```onnx
normalised_graph (float[N, 5, 5] a, float[N, 5, 4] x) => (float[N, 5, 4] y)
<int64[1] axis = {-1}, float e = {-0.5}>
{
    d = ReduceSum(a, axis)
    r = Pow(d, e)      # want "0 to a negative power"
    s = Mul(r, x)
    m = MatMul(a, s)
    y = Mul(r, m)
}
```

A loss with the exponent 0.7, as the generalised cross-entropy has it:

```onnx
generalised (float[N, 3] x, float[N, 2] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float e = {0.7}, float one = {1}>
{
    h = Gemm(x, w, b)
    p = Softmax(h)
    s = Pow(p, e)      # want "infinite gradient"
    d = Sub(one, s)
    m = Mul(d, t)
    loss = ReduceMean <keepdims = 0> (m)
}
```

```torch
# given inputs=4,3
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return self.fc(x) ** 1.5      # want "a negative number to a fractional power"
```

## Use instead

```onnx
gamma (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float g = {2.2}, float eps = {1e-6}>
{
    h = Gemm(x, w, b)
    c = Clip(h, eps)
    y = Pow(c, g)
}
```

```onnx
normalised_graph (float[N, 5, 5] a, float[N, 5, 4] x) => (float[N, 5, 4] y)
<int64[1] axis = {-1}, float e = {-0.5}, float one = {1}>
{
    d = ReduceSum(a, axis)
    c = Max(d, one)
    r = Pow(c, e)
    s = Mul(r, x)
    m = MatMul(a, s)
    y = Mul(r, m)
}
```

## Spares

Whole exponents, exponents above 1 of what is not negative, a base of which nothing is known, and an infinity that is
replaced:

```onnx
fine (float[N, 3] x, float[N, 5, 5] a) => (float[N, 2] y, float[N, 2] z, float[N, 3] u, float[N, 5, 1] v)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float three = {3}, float e = {1.5},
float f = {-0.5}, int64[1] axis = {-1}, float zero = {0}>
{
    h = Gemm(x, w, b)
    y = Pow(h, three)
    p = Sigmoid(h)
    z = Pow(p, e)
    u = Pow(x, e)
    d = ReduceSum(a, axis)
    r = Pow(d, f)
    none = IsInf(r)
    v = Where(none, zero, r)
}
```

Generalised mean pooling with its lower bound:

```onnx
gem (float[N, 3] x) => (float[N, 1] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float[1] p = {3.1}, float eps = {1e-6},
float[1] q = {0.32}, int64[1] axis = {1}>
{
    h = Gemm(x, w, b)
    c = Clip(h, eps)
    s = Pow(c, p)
    m = ReduceMean(s, axis)
    y = Pow(m, q)
}
```

## Known limits

A whole exponent that is a parameter is taken at its stored value unless the model says that it is trained.

## References

- L. Li and others: Reliability assurance for deep neural network architectures against numerical defects (RANUM).
  ICSE 2023.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import How
from netlint.analyses.reached.patterns import guarded_behind, root_of, square_sum
from netlint.analyses.surroundings import surroundings
from netlint.graph import Node, Value
from netlint.rule import WARNING, Finding, Scope, rule

from ._witness import NEEDS, chain, claim, evidence, goes_below, how


@rule("NUM006", "pow-domain", level=WARNING, since="0.2", requires=NEEDS)
def pow_domain(scope: Scope) -> Iterator[Finding]:
    known, around = scope[reach], scope[surroundings]
    for node in scope.graph.of("Pow"):
        base = node.input(0)
        if base is None or known.known.constant(base) or around.of_framework(node):
            continue
        if root_of(known, node) is not None or guarded_behind(scope.graph, known, node, base):
            continue
        text = _said(scope, known, node, base)
        if text is not None:
            yield Finding(
                text,
                node,
                evidence=evidence(scope, base, "base"),
                help="clip the base from below at a small positive number",
                why="the result is NaN or infinite, or its derivative is",
                related=chain(scope, base),
                claim=claim(scope, base),
            )


def _said(scope: Scope, known: Reached, node: Node, base: Value) -> str | None:
    """What is wrong with a power; None where nothing is shown."""
    least, whole = _exponent(known, node.input(1))
    if not whole and goes_below(known, base):
        return "a negative number to a fractional power: the base can be negative"
    zero = known.zero(base)
    if least is None or not zero:
        return None
    steady = zero == How.POINT and square_sum(known, base) is not None and scope[surroundings].steady(base)
    if least < 0 and not steady:
        return f"0 to a negative power: the base can be 0, {how(zero)}"
    if 0 < least < 1 and zero != How.POINT and scope[surroundings].learns(node):
        return f"a power of {least:g} of a value that can be 0, {how(zero)}: an infinite gradient"
    return None


def _exponent(known: Reached, exponent: Value | None) -> tuple[float | None, bool]:
    """The least exponent, None where unknown; whether all are whole numbers, and stay so in training."""
    if exponent is None:
        return None, True
    array = known.constants.get(exponent) if known.known.constant(exponent) else None
    if array is None or not array.size or array.dtype.kind not in "fiu":
        proved = known.ranges.of(exponent)
        return (proved.lo if proved.lo > float("-inf") else None), proved.integral
    whole = not exponent.trainable and bool((array == array.round()).all())
    return float(array.min()), whole
