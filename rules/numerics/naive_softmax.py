"""A softmax written out without taking the maximum off.

## What it does

Reports `exp(x) / sum(exp(x))` and `log(sum(exp(x)))` where x is neither shifted by its maximum nor bounded, also where
the sum is taken over groups, by a scatter; at the exponential, which overflows. A bound from above alone is not enough:
all exponentials may underflow, which is reported at the division or the logarithm.

## Why is this bad

The exponential of 89 is infinite in float32 (of 11.1 in float16), and infinity divided by infinity is NaN; where all
logits are below -104 the sum is 0, and 0 / 0 is NaN as well. The result does not change when the maximum is taken off
first, and the operators do so.

## Example

```onnx
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {1}>
{
    h = Gemm(x, w, b)
    e = Exp(h)      # want "a softmax written out"
    s = ReduceSum(e, axis)
    y = Div(e, s)
}
```

```onnx
log_sum_exp (float[N, 3] x) => (float[N, 1] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {1}>
{
    h = Gemm(x, w, b)
    e = Exp(h)      # want "a log-sum-exp written out"
    s = ReduceSum(e, axis)
    y = Log(s)
}
```

```onnx
attention (float[N, 5, 4] q, float[N, 5, 4] k) => (float[N, 5, 5] y)
<int64[1] axis = {2}>
{
    t = Transpose <perm = [0, 2, 1]> (k)
    h = MatMul(q, t)
    e = Exp(h)      # want "a softmax written out"
    s = ReduceSum(e, axis)
    r = Reciprocal(s)
    y = Mul(e, r)
}
```

Logits that are cut off above only, and the scores of edges normalised over their nodes:

```onnx
clipped (float[N, 3] x, float[6, 1] score, int64[6, 1] target) => (float[N, 2] y, float[6, 1] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {1}, float top = {80},
float[6, 1] zeros = {0, 0, 0, 0, 0, 0}, float eps = {1e-16}>
{
    h = Gemm(x, w, b)
    c = Min(h, top)
    e = Exp(c)
    s = ReduceSum(e, axis)
    y = Div(e, s)      # want "the sum can be 0"
    f = Exp(score)      # want "a softmax written out"
    t = ScatterElements <axis = 0, reduction = "add"> (zeros, target, f)
    g = GatherElements <axis = 0> (t, target)
    u = Add(g, eps)
    z = Div(f, u)
}
```

```torch
# given inputs=4,3
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        e = torch.exp(self.fc(x))      # want "a softmax written out"
        return e / e.sum(-1, keepdim=True)
```

## Use instead

```onnx
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    y = Softmax <axis = 1> (h)
}
```

```onnx
log_sum_exp (float[N, 3] x) => (float[N, 1] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {1}>
{
    h = Gemm(x, w, b)
    y = ReduceLogSumExp(h, axis)
}
```

## Spares

The maximum taken off, in any spelling:

```onnx
stable (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {1}, float low = {-3e38}>
{
    h = Gemm(x, w, b)
    m = ReduceMax(h, axis)
    n = Max(m, low)
    d = Sub(h, n)
    e = Exp(d)
    s = ReduceSum(e, axis)
    y = Div(e, s)
}
```

```onnx
groups (float[6, 1] score, int64[6, 1] target) => (float[6, 1] y)
<float[6, 1] zeros = {0, 0, 0, 0, 0, 0}, float[6, 1] low = {-3e38, -3e38, -3e38, -3e38, -3e38, -3e38}>
{
    p = ScatterElements <axis = 0, reduction = "max"> (low, target, score)
    m = GatherElements <axis = 0> (p, target)
    d = Sub(score, m)
    e = Exp(d)
    t = ScatterElements <axis = 0, reduction = "add"> (zeros, target, e)
    s = GatherElements <axis = 0> (t, target)
    y = Div(e, s)
}
```

Logits that cannot be large, such as cosines divided by a temperature:

```onnx
contrastive (float[N, 8] x, float[N, 8] z) => (float[N, 1] y)
<int64[1] axis = {1}, float eps = {1e-6}, float t = {0.1}>
{
    a = ReduceL2(x, axis)
    c = Max(a, eps)
    u = Div(x, c)
    b = ReduceL2(z, axis)
    d = Max(b, eps)
    v = Div(z, d)
    w = Transpose <perm = [1, 0]> (v)
    h = MatMul(u, w)
    g = Div(h, t)
    e = Exp(g)
    s = ReduceSum(e, axis)
    y = Log(s)
}
```

## Known limits

Exponentials that are masked or weighted before they are summed are reported by exp-overflow (NUM003) and
division-by-zero (NUM002), not here.

## References

- P. Blanchard, D. Higham, N. Higham: Accurately computing the log-sum-exp and softmax functions. IMA Journal of
  Numerical Analysis 41, 2021.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.patterns import lowered, maker, normalised_by_norm
from netlint.analyses.surroundings import surroundings
from netlint.graph import Node, Value
from netlint.rule import WARNING, Evidence, Finding, Scope, rule

from ._witness import NEEDS, chain, claim, evidence, limit, precision

_DEPTH = 6


@rule("NUM005", "naive-softmax", level=WARNING, since="0.2", requires=NEEDS)
def naive_softmax(scope: Scope) -> Iterator[Finding]:
    known, declared = scope[reach], precision(scope)
    told: set[Node] = set()
    for node, exp, what in known.sums_of_exponentials:
        logits = exp.input(0)
        most = limit(known, logits, declared)
        if logits is None or scope[surroundings].of_framework(node):
            continue
        large = not _bounded(known, logits, most)
        at, other = (exp, node) if large else (node, exp)  # the exponential is what overflows
        if at in told or not (large or _vanishes(known, node, logits)):
            continue
        told.add(at)
        yield Finding(
            f"a {what} written out without taking the maximum off" + ("" if large else ": the sum can be 0"),
            at,
            evidence=(*evidence(scope, logits, "logits"), Evidence("largest finite argument", round(most, 2))),
            help="use the operator (softmax, log_softmax, logsumexp), or subtract the maximum first",
            why="exp(89) is infinite in float32, and infinity divided by infinity is NaN"
            if large
            else "exp(-104) is 0 in float32; 0 divided by 0 is NaN, and the logarithm of 0 is -inf",
            related=((f"its {other.op}", other.loc), *chain(scope, logits)),
            claim=claim(scope, logits),
        )


def _bounded(known: Reached, logits: Value, most: float) -> bool:
    """Whether the logits cannot pass the limit, or nothing speaks for their doing so."""
    if known.ranges.of(logits).hi <= most:
        return True
    found = known.of(logits)
    if found is not None:
        return not found.raw and found.hi <= most
    return _cosines(known, logits)


def _vanishes(known: Reached, node: Node, logits: Value) -> bool:
    """Whether all exponentials may underflow together: the logits are low, and nothing was taken off them."""
    return bool(known.zero(node.input(1 if node.op == "Div" else 0))) and not lowered(known, logits)


def _cosines(known: Reached, value: Value, depth: int = _DEPTH) -> bool:
    """Whether normalised vectors are behind a value."""
    node = maker(known, value)
    if node is None or node.domain or not depth:
        return False
    if normalised_by_norm(known, value):
        return True
    return any(v is not None and _cosines(known, v, depth - 1) for v in node.inputs[:2])
