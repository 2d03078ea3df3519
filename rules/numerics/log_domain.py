"""The logarithm of a value that can be zero or negative.

## What it does

Reports `Log` where its operand is shown to reach 0 or less: exactly (a ReLU, a sum of squares, a clip at 0), by
passing through (a linear layer's output), or by rounding (1 - sigmoid(x) is 0 in float32 from x = 17 on). It is an
error where the operand is proved to be at most 0 for every input.

The logarithm of a softmax or of a sigmoid itself is left to log-of-softmax (LOS006), which knows the operator to use
instead, and that of a sum of exponentials to naive-softmax (NUM005). A cross-entropy by hand in a model with its loss
is reported here at both logarithms, since that rule gives a note only where one call may have made the two steps.

## Why is this bad

The logarithm of 0 is -inf, that of a negative number NaN. One such element makes the loss infinite and the next
gradients NaN, and every weight they touch stays NaN. It happens late, on the sample the network is most certain of.

## Example

A binary cross-entropy written out: 1 - p rounds to 0 from x = 17 on. (Of log p log-of-softmax, LOS006, speaks.)

```onnx
bce (float[N, 3] x, float[N, 2] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float one = {1}>
{
    h = Gemm(x, w, b)
    p = Sigmoid(h)
    l = Log(p)
    q = Sub(one, p)
    k = Log(q)      # want warning "0, by rounding"
    u = Sub(one, t)
    a = Mul(t, l)
    c = Mul(u, k)
    s = Add(a, c)
    m = ReduceMean <keepdims = 0> (s)
    loss = Neg(m)
}
```

An epsilon that vanishes: 1 + 1e-10 is 1 in float32, so the guard does nothing.

```onnx
lost (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float one = {1}, float eps = {1e-10}>
{
    h = Gemm(x, w, b)
    p = Sigmoid(h)
    s = Add(one, eps)
    q = Sub(s, p)
    y = Log(q)      # want warning "0, by rounding"
}
```

A logarithm of what a ReLU has set to 0, and of a linear layer:

```onnx
features (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    r = Relu(h)
    y = Log(r)      # want warning "can be 0"
    z = Log(h)      # want warning "can be negative"
}
```

```onnx
never (float[N, 3] x) => (float[N, 3] y)
{
    r = Relu(x)
    n = Neg(r)
    y = Log(n)      # want error "is never positive"
}
```

An entropy of probabilities that the model is given:

```onnx
entropy (float[N, 4] p) => (float loss)
<int64[1] axis = {-1}>
{
    l = Log(p)      # want warning "of an input"
    m = Mul(p, l)
    s = ReduceSum <keepdims = 0> (m, axis)
    n = Neg(s)
    loss = ReduceMean <keepdims = 0> (n)
}
```

A Where that does not take the logarithm of 0, in a model that is trained: the gradient of what is not taken is 0 times
infinity, which is NaN.

```onnx
masked (float[N, 3] x) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float zero = {0}>
{
    h = Gemm(x, w, b)
    r = Relu(h)
    l = Log(r)      # want warning "the gradient is 0 times infinity"
    some = Greater(r, zero)
    k = Where(some, l, zero)
    loss = ReduceMean <keepdims = 0> (k)
}
```

```torch
# given inputs=4,3
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        p = torch.sigmoid(self.fc(x))
        return -torch.log(1 - p).mean()      # want warning "0, by rounding"
```

The share of a class, summed over all positions: where it is nowhere seen, every term is rounded to 0.

```onnx
aggregated (float[N, 7, 4] x) => (float[N, 3] y) <float[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
int64[1] positions = {1}>
{
    h = MatMul(x, w)
    p = Softmax <axis = 2> (h)
    s = ReduceSum <keepdims = 0> (p, positions)
    y = Log(s)      # want "can be 0, by rounding"
}
```

## Use instead

```onnx
guarded (float[N, 3] x, float[N, 2] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float one = {1}, float eps = {1e-7}>
{
    h = Gemm(x, w, b)
    p = Sigmoid(h)
    q = Sub(one, p)
    g = Add(q, eps)
    k = Log(g)
    m = Mul(t, k)
    loss = ReduceMean <keepdims = 0> (m)
}
```

Better still, the logarithm of 1 - sigmoid(x) in one step, which is exact everywhere: -softplus(x).

```onnx
exact (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    s = Softplus(h)
    y = Neg(s)
}
```

## Spares

An operand of which nothing is known, such as an input, or one that is kept away from 0:

```onnx
unknown (float[N, 3] x) => (float[N, 3] y)
{
    y = Log(x)
}
```

```onnx
clipped (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float lo = {1e-7}, float hi = {0.9999999}>
{
    h = Gemm(x, w, b)
    p = Sigmoid(h)
    c = Clip(p, lo, hi)
    y = Log(c)
}
```

Gumbel's noise: the largest number that a uniform distribution gives rounds to 1 at most when its guard is added.

```onnx
gumbel (float[N, 3] x) => (float[N, 3] y) <float tiny = {1e-7}>
{
    u = RandomUniformLike(x)
    p = Add(u, tiny)
    l = Log(p)
    n = Neg(l)
    q = Add(n, tiny)
    g = Log(q)
    y = Sub(x, g)
}
```

A result that is thrown away where the operand was 0, and one that is cut off below, as frameworks write their losses:

```onnx
chosen (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float zero = {0}, float floor = {-100}>
{
    h = Gemm(x, w, b)
    r = Relu(h)
    l = Log(r)
    some = Greater(r, zero)
    y = Where(some, l, zero)
    s = Sin(h)
    a = Abs(s)
    k = Log(a)
    z = Max(k, floor)
}
```

A sum of exponentials with the maximum taken off, which is at least 1:

```onnx
logsumexp (float[N, 3] x) => (float[N, 1] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {1}>
{
    h = Gemm(x, w, b)
    m = ReduceMax(h, axis)
    d = Sub(h, m)
    e = Exp(d)
    s = ReduceSum(e, axis)
    y = Log(s)
}
```

The cross-entropy with logits as one exporter writes it, although the framework computes it safely:

```onnx
step (float[N, 3] x, float[N, 2] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float[1] one = {1}>
{
    h = Gemm(x, w, b)
    p = Sigmoid(h)
    l = Log(p)
    q = Sub(one, p)
    k = Log(q)
    u = Sub(one, t)
    a = Mul(t, l)
    c = Mul(u, k)
    s = Add(a, c)
    n = Neg(s)
    loss = ReduceMean <keepdims = 0> (n)
}
```

## Known limits

A choice by `Where` makes the value safe, not the gradient: 0 times infinity is NaN on the branch not taken. Exporters
write safe framework calls in the same way, so nothing is said there.

## References

- Y. Zhang and others: Detecting numerical bugs in neural network architectures (DEBAR). ESEC/FSE 2020.
- L. Li and others: Reliability assurance for deep neural network architectures against numerical defects (RANUM).
  ICSE 2023.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import How
from netlint.analyses.reached.patterns import logit_of, maker, readers
from netlint.analyses.surroundings import surroundings
from netlint.graph import Graph, Node
from netlint.rule import ERROR, WARNING, Finding, Scope, rule

from ._witness import NEEDS, behind_where, chain, claim, evidence, goes_below, how, may_be_checked, never_above


@rule("NUM001", "log-domain", level=WARNING, also=(ERROR,), since="0.2", requires=NEEDS)
def log_domain(scope: Scope) -> Iterator[Finding]:
    known = scope[reach]
    for node in scope.graph.of("Log", "ReduceLogSum"):
        operand = node.input(0)
        if known.known.constant(operand) or _spared(scope, known, node):
            continue
        what, onward = _what(scope.graph, known, node), behind_where(scope, node, operand)
        if what is not None and onward is not None:
            yield Finding(
                f"the logarithm of {what}{onward}",
                node,
                evidence=evidence(scope, operand),
                help="keep the operand away from 0 (add or clip at 1e-7), or take the operator that does both in one",
                why="the logarithm of 0 is -inf, of a negative number NaN; either spoils the loss and all gradients",
                level=ERROR if never_above(known, operand) else WARNING,
                related=chain(scope, operand),
                claim=claim(scope, operand),
            )


def _what(graph: Graph, known: Reached, node: Node) -> str | None:
    """What the operand is that its logarithm should not be taken of; None where nothing is shown."""
    operand = node.input(0)
    if never_above(known, operand):
        return "what is never positive"
    zero, below = known.zero(operand), goes_below(known, operand)
    reached = known.of(operand)
    if below and reached is not None and reached.at_lo == How.ROUNDED and reached.lo > -1e-3:
        return "a difference that rounding can make 0 or negative"
    if below:
        return "a value that can be negative"
    if zero:
        return f"a value that can be 0, {how(zero)}"
    if (
        reached is not None
        and reached.raw
        and operand is not None
        and known.source(operand) in graph.inputs
        and _expected(graph, known, node)
    ):
        return "an input, which may be 0, in a sum of logarithms times something"
    return None


def _expected(graph: Graph, known: Reached, log: Node) -> bool:
    """Whether the logarithm is weighted and summed: an entropy or a cross-entropy by hand, where 0 is no rare case."""
    due = [log.output()]
    for step, value in zip(range(8), due, strict=False):
        for use, _ in readers(graph, value):
            if use.op in ("ReduceSum", "ReduceMean") and step:
                return True
            weighted = use.op == "Mul" and not any(known.known.constant(v) for v in use.inputs)
            if use.op in ("Neg", "Add", "Sub") or weighted:
                due.append(use.output())
    return False


def _spared(scope: Scope, known: Reached, node: Node) -> bool:
    """Whether the result is cut off at 0, the framework wrote it, or another rule speaks of it."""
    if scope[surroundings].of_framework(node) or known.roles.floored(node):
        return True
    if may_be_checked(known, node, node.input(0)):
        return True
    if logit_of(known, maker(known, node.input(0))) is not None:
        return True  # inverse-function-domain (NUM007) speaks of it
    if scope[surroundings].exported_with_logits(node) or _log_sum_exp(known, node):
        return True
    found = known.roles.log_of_probability(node)
    return found is not None and not found.guarded  # log-of-softmax (LOS006) speaks of it


def _log_sum_exp(known: Reached, node: Node) -> bool:
    """Whether the operand is a sum of exponentials: naive-softmax (NUM005) speaks of it."""
    total = maker(known, node.input(0))
    inner = maker(known, total.input(0)) if total is not None and total.op == "ReduceSum" else None
    return inner is not None and inner.op == "Exp"
