"""The square root of a value that can be negative, or exactly zero where a gradient passes.

## What it does

Reports `Sqrt` (and the power 0.5) where the operand is shown to fall below 0: an unguarded layer's output, or a
difference that is negative by rounding only, such as E[x²] - E[x]². Where the operand is not negative but reaches 0
for many inputs (equal points of a distance, a ReLU, a constant batch) and a gradient passes the root, it reports that.

It is an error where the operand is proved to be negative for every input. A root that is kept from 0 only behind,
before something is divided by it, is a note.

## Why is this bad

The root of a negative number is NaN. At 0 the value is right, but its derivative is infinite: multiplied with the
inner derivative, which is 0 there, it makes NaN. Training breaks on the first pair of equal points.

## Example

A distance between two embeddings:

```onnx
siamese (float[N, 3] x, float[N, 3] z) => (float[N] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float two = {2}, int64[1] axis = {-1}>
{
    u = Gemm(x, w, b)
    v = Gemm(z, w, b)
    d = Sub(u, v)
    q = Pow(d, two)
    s = ReduceSum <keepdims = 0> (q, axis)
    y = Sqrt(s)      # want warning "infinite gradient"
}
```

A variance as the difference of two averages:

```onnx
spread (float[N, 3] x) => (float[N, 1] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {1}>
{
    h = Gemm(x, w, b)
    q = Mul(h, h)
    a = ReduceMean(q, axis)
    m = ReduceMean(h, axis)
    c = Mul(m, m)
    v = Sub(a, c)
    y = Sqrt(v)      # want warning "negative by rounding"
}
```

A layer's output without any guard:

```onnx
sigma (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float half = {0.5}, float one = {1}>
{
    h = Gemm(x, w, b)
    y = Sqrt(h)      # want warning "can be negative"
    e = Exp(h)
    s = Add(e, one)
    n = Neg(s)
    z = Pow(n, half)      # want error "is always negative"
}
```

```torch
# given inputs=4,3
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return torch.sqrt(self.fc(x).relu())      # want warning "infinite gradient"
```

## Use instead

```onnx
siamese (float[N, 3] x, float[N, 3] z) => (float[N] y, float[N, 1] d)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float two = {2}, int64[1] axis = {-1},
float eps = {1e-8}>
{
    u = Gemm(x, w, b)
    v = Gemm(z, w, b)
    e = Sub(u, v)
    q = Pow(e, two)
    s = ReduceSum <keepdims = 0> (q, axis)
    g = Add(s, eps)
    y = Sqrt(g)
    p = Mul(u, u)
    a = ReduceMean(p, axis)
    m = ReduceMean(u, axis)
    c = Mul(m, m)
    f = Sub(a, c)
    k = Clip(f, eps)
    d = Sqrt(k)
}
```

## Spares

A root through which no gradient flows to a weight: the magnitude of a spectrum, or the order of distances.

```onnx
spectrum (float[N, 1, 64] x) => (float[N, 1, 61] y)
<float[2, 1, 4] w = {1, 0, -1, 0, 0, 1, 0, -1}, int64[1] a = {0}, int64[1] b = {1}, int64[1] c = {2},
int64[1] axis = {1}>
{
    h = Conv(x, w)
    re = Slice(h, a, b, axis)
    im = Slice(h, b, c, axis)
    p = Mul(re, re)
    q = Mul(im, im)
    s = Add(p, q)
    y = Sqrt(s)
}
```

```onnx
nearest (float[N, 3] x, float[N, 3] z) => (int64[1] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float two = {2}, int64[1] axis = {-1}>
{
    u = Gemm(x, w, b)
    v = Gemm(z, w, b)
    d = Sub(u, v)
    q = Pow(d, two)
    s = ReduceSum <keepdims = 0> (q, axis)
    r = Sqrt(s)
    y = ArgMin(r)
}
```

A standard deviation of the framework's own, which takes the gradient 0 where it is 0:

```torch
# given inputs=4,8
class Spread(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)
    def forward(self, x):
        return torch.relu(self.fc(x)).std(dim=1)
```

An operand of which nothing is known:

```onnx
given (float[N, 3] x) => (float[N, 3] y)
{
    y = Sqrt(x)
}
```

A root that something is divided by is reported once, by division-by-zero (NUM002):

```onnx
standardise (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {0}>
{
    h = Gemm(x, w, b)
    m = ReduceMean(h, axis)
    d = Sub(h, m)
    q = Mul(d, d)
    v = ReduceMean(q, axis)
    s = Sqrt(v)
    y = Div(d, s)
}
```

## Known limits

The length of a single layer's output, which is 0 at one point only, is a note of norm-gradient-at-zero (NUM011).

## References

- Y. Zhang and others: Detecting numerical bugs in neural network architectures (DEBAR). ESEC/FSE 2020.
- T. Chan, G. Golub, R. LeVeque: Algorithms for computing the sample variance. The American Statistician 37, 1983.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import How
from netlint.analyses.reached.patterns import deviation, maker, readers, root_of, square_sum
from netlint.analyses.surroundings import surroundings
from netlint.graph import Graph, Node, Value
from netlint.rule import ERROR, NOTE, WARNING, Finding, Level, Scope, rule

from ._witness import NEEDS, behind_where, chain, claim, evidence, goes_below, how, may_be_checked

_TINY = -1e-3


@rule("NUM004", "sqrt-domain", level=WARNING, also=(ERROR, NOTE), since="0.2", requires=NEEDS)
def sqrt_domain(scope: Scope) -> Iterator[Finding]:
    known = scope[reach]
    for node in scope.graph.of("Sqrt", "Pow"):
        operand = root_of(known, node)
        if operand is None or known.known.constant(operand) or scope[surroundings].of_framework(node):
            continue
        if may_be_checked(known, node, operand):
            continue
        said, onward = (
            _domain(known, operand) or _gradient(scope, known, node, operand),
            behind_where(scope, node, operand),
        )
        if said is not None and onward is not None:
            text, level = said
            yield Finding(
                f"the square root of {text}{onward}",
                node,
                evidence=evidence(scope, operand),
                help="add a small constant under the root, or clip it there from below",
                why="the root of a negative number is NaN, and the derivative at 0 is infinite: times 0 it is NaN",
                level=level,
                related=chain(scope, operand),
                claim=claim(scope, operand),
            )


def _domain(known: Reached, operand: Value) -> tuple[str, Level] | None:
    """What is wrong with the value of the root."""
    found, proved = known.of(operand), known.ranges.of(operand)
    if found is None or not goes_below(known, operand):
        return None
    if proved.hi < 0 and found.hi < 0 and not found.fixed:
        return "a value that is always negative", ERROR
    if found.at_lo == How.ROUNDED and found.lo > _TINY:
        return "a difference that can be negative by rounding", WARNING
    return "a value that can be negative", WARNING


def _gradient(scope: Scope, known: Reached, node: Node, operand: Value) -> tuple[str, Level] | None:
    """What is wrong with the gradient of the root."""
    zero, around = known.zero(operand), scope[surroundings]
    length = square_sum(known, operand)
    if zero < How.SOLID and (length is not None or zero == How.NEVER):
        return None
    if _divides(scope.graph, node) or not around.learns(node):
        return None
    if around.gradient_is_safe(node) or _corrected(known, operand) or _nearly_half(known, node):
        return None
    level = NOTE if _bounded_behind(known, scope.graph, node) else WARNING
    return f"a value that can be 0, {how(zero)}: an infinite gradient", level


def _divides(graph: Graph, node: Node) -> bool:
    """Whether something is divided by the root itself."""
    due = [node.output()]
    for _, value in zip(range(6), due, strict=False):
        for use, copy in readers(graph, value):
            if use.op == "Reciprocal" or (use.op == "Div" and use.input(1) is copy):
                return True
            if use.op == "Mul":
                due.append(use.output())
    return False


def _corrected(known: Reached, operand: Value) -> bool:
    """Whether a variance is scaled by n / (n - 1), as a framework's own standard deviation is."""
    for _ in range(4):
        node = maker(known, operand)
        if node is None or node.op not in ("Mul", "Div"):
            return False
        inner = next((v for v in node.inputs if v is not None and _is_variance(known, v)), None)
        if inner is not None:
            return True
        moving = next((v for v in node.inputs if v is not None and not known.known.constant(v)), None)
        if moving is None:
            return False
        operand = moving
    return False


def _bounded_behind(known: Reached, graph: Graph, node: Node) -> bool:
    """Whether the root, kept from 0 behind, is what something is divided by: a normalisation by the spread or the
    length, as it is usually guarded."""
    uses = [use for use, _ in readers(graph, node.output())]
    return bool(uses) and all(
        use.op in ("Max", "Clip", "Add") and known.ranges.of(use.output()).lo > 0 and _divides(graph, use)
        for use in uses
    )


def _nearly_half(known: Reached, node: Node) -> bool:
    """Whether the exponent is 1 / (2 + eps), as a framework's own distance is exported, which loses its guard."""
    return node.op == "Pow" and known.number(node.input(1)) != 0.5


def _is_variance(known: Reached, value: Value) -> bool:
    x = maker(known, square_sum(known, value))
    return x is not None and deviation(known, x)
