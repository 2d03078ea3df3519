"""An inverse function at or beyond the ends of its domain.

## What it does

Reports `Acos`, `Asin`, `Atanh`, `Acosh` and the logit `log(p / (1 - p))` where the operand is shown to reach the ends
of the function's domain or to leave it: the cosine of two vectors, which rounding takes past 1; a tanh, which is
exactly 1 in float32 from 9 on; a layer's output. An operand that is cut off exactly at the ends is a note where a
gradient passes: the value is right and its derivative infinite.

## Why is this bad

Beyond the ends the result is NaN, at the ends it is infinite (atanh, logit) or has an infinite derivative (acos, asin,
acosh). Two equal vectors are enough: their cosine comes out as 1.0000001.

## Example

The angle between two vectors:

```onnx
angle (float[N, 1, 3] x, float[N, 3, 1] z) => (float[N, 1, 1] y)
<int64[1] last = {2}, int64[1] middle = {1}, float eps = {1e-8}>
{
    a = ReduceL2(x, last)
    c = Max(a, eps)
    u = Div(x, c)
    b = ReduceL2(z, middle)
    d = Max(b, eps)
    v = Div(z, d)
    p = MatMul(u, v)
    y = Acos(p)      # want warning "which rounding can take past 1"
}
```

The inverse of a tanh, and of a sigmoid:

```onnx
squash (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float one = {1}>
{
    h = Gemm(x, w, b)
    t = Tanh(h)
    y = Atanh(t)      # want warning "that can be 1"
    p = Sigmoid(h)
    q = Sub(one, p)
    r = Div(p, q)
    z = Log(r)      # want warning "the logit"
}
```

```onnx
cut (float[N, 3] x) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float lo = {-1}, float hi = {1}>
{
    h = Gemm(x, w, b)
    c = Clip(h, lo, hi)
    a = Acos(c)      # want note "infinite gradient"
    loss = ReduceMean <keepdims = 0> (a)
}
```

An angle in a loss, whose cosine is cut off at the very ends:

```torch
# given inputs=x:float32:8,6;y:float32:8,3
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)
    def forward(self, x):
        return self.fc(x)

def step(model, x, y):
    cosine = (model(x) * y).sum(1).clamp(-1, 1)
    return torch.acos(cosine).mean()      # want note "acos of a value that is cut off at the end of its domain"
```

## Use instead

```onnx
squash (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float lo = {-0.999999}, float hi = {0.999999},
float low = {0.000001}, float one = {1}>
{
    h = Gemm(x, w, b)
    t = Tanh(h)
    c = Clip(t, lo, hi)
    y = Atanh(c)
    p = Sigmoid(h)
    k = Clip(p, low, hi)
    q = Sub(one, k)
    r = Div(k, q)
    z = Log(r)
}
```

## Spares

An operand of which nothing is known, and one that stays inside:

```onnx
inside (float[N, 3] x) => (float[N, 3] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float half = {0.5}>
{
    y = Acos(x)
    h = Gemm(x, w, b)
    t = Tanh(h)
    s = Mul(t, half)
    z = Asin(s)
}
```

```onnx
given (float[N, 3] p) => (float[N, 3] y)
<float one = {1}>
{
    q = Sub(one, p)
    r = Div(p, q)
    y = Log(r)
}
```

## Known limits

Angles by `Atan2` or by the difference of unit vectors are not recognised as the better way; they are simply silent.

## References

- W. Kahan: How futile are mindless assessments of roundoff in floating-point computation? 2006, section 12.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import INF, How
from netlint.analyses.reached.patterns import guarded_behind, logit_of, maker
from netlint.analyses.surroundings import surroundings
from netlint.graph import Node, Value
from netlint.rule import NOTE, WARNING, Finding, Level, Scope, rule

from ._witness import NEEDS, chain, claim, evidence

_DOMAINS = {"Acos": (-1.0, 1.0), "Asin": (-1.0, 1.0), "Atanh": (-1.0, 1.0), "Acosh": (1.0, INF)}


@rule("NUM007", "inverse-function-domain", level=WARNING, also=(NOTE,), since="0.2", requires=NEEDS)
def inverse_function_domain(scope: Scope) -> Iterator[Finding]:
    known, around = scope[reach], scope[surroundings]
    for node in scope.graph.of(*_DOMAINS, "Log"):
        operand = node.input(0) if node.op in _DOMAINS else logit_of(known, maker(known, node.input(0)))
        if operand is None or known.known.constant(operand) or around.of_framework(node):
            continue
        if guarded_behind(scope.graph, known, node, operand):
            continue
        said = _logit(known, operand) if node.op == "Log" else _said(known, node, operand, around.learns(node))
        if said is not None:
            text, level = said
            yield Finding(
                text,
                node,
                evidence=evidence(scope, operand),
                help="clip the operand a little inside the domain, e.g. at 1 - 1e-6",
                why="the result is NaN beyond the ends of the domain, and it or its derivative is infinite at them",
                level=level,
                related=chain(scope, operand),
                claim=claim(scope, operand),
            )


def _said(known: Reached, node: Node, operand: Value, learns: bool) -> tuple[str, Level] | None:
    """What is wrong with an operand; None where nothing is shown."""
    found, proved = known.of(operand), known.ranges.of(operand)
    lo, hi = _DOMAINS[node.op]
    name = node.op.lower()
    if learns and node.op in ("Acos", "Asin") and (proved.lo, proved.hi) == (lo, hi) and _cut(known, operand):
        return f"{name} of a value that is cut off at the end of its domain: an infinite gradient", NOTE
    if found is None or found.raw or (lo < proved.lo and proved.hi < hi):
        return None
    if (found.lo < lo and proved.lo < lo) or (found.hi > hi and proved.hi > hi):
        return f"{name} of a value that can leave [{lo:g}, {hi:g}]", WARNING
    low, high = (found.lo == lo and found.at_lo > 0), (found.hi == hi and found.at_hi > 0)
    if not (low or high):
        return None
    if (high and proved.hi > hi) or (low and proved.lo < lo):
        return f"{name} of a value which rounding can take past 1", WARNING
    if node.op == "Atanh":
        return f"{name} of a value that can be 1, which is infinite", WARNING
    return (f"{name} of a value that can be at the end of its domain: an infinite gradient", NOTE) if learns else None


def _cut(known: Reached, operand: Value) -> bool:
    """Whether a value is cut off by bounds: whoever did so has met what lies beyond."""
    made = maker(known, operand)
    return made is not None and made.op in ("Clip", "Min", "Max") and not made.domain


def _logit(known: Reached, p: Value) -> tuple[str, Level] | None:
    """Whether p of log(p / (1 - p)) reaches 0 or 1."""
    found, proved = known.of(p), known.ranges.of(p)
    if found is None or found.raw:
        return None
    low = proved.lo <= 0 and (found.lo < 0 or found.zero > How.NEVER)
    high = proved.hi >= 1 and (found.hi > 1 or (found.hi == 1 and found.at_hi > How.NEVER))
    ends = " and ".join(text for text, reached in (("0", low), ("1", high)) if reached)
    return (f"the logit of a value that can be {ends}", WARNING) if ends else None
