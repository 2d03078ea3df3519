"""A division by a value that can be zero.

## What it does

Reports `Div` and `Reciprocal` whose divisor is shown to reach 0: a sum over a mask that may be empty, a standard
deviation or a norm with nothing added, a linear layer's output, an exponential or a softplus that underflows. Also
layer normalisation whose epsilon is 0.

## Why is this bad

A number divided by 0 is infinite, and 0 / 0 is NaN. One row of padding, one batch of equal samples, or one dead
feature vector is enough, and the NaN spreads to every weight.

## Example

A standard deviation without epsilon: equal samples have none.

```onnx
standardise (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float two = {2}, int64[1] axis = {0}>
{
    h = Gemm(x, w, b)
    m = ReduceMean(h, axis)
    d = Sub(h, m)
    q = Pow(d, two)
    v = ReduceMean(q, axis)
    s = Sqrt(v)
    y = Div(d, s)      # want warning "by a standard deviation"
}
```

An average over a mask, which may be empty:

```onnx
masked_mean (float[N, 5, 4] x, float[N, 5, 1] mask) => (float[N, 4] y)
<int64[1] axis = {1}>
{
    m = Mul(x, mask)
    s = ReduceSum <keepdims = 0> (m, axis)
    n = ReduceSum <keepdims = 0> (mask, axis)
    y = Div(s, n)      # want warning "that can be 0"
}
```

A vector by its length:

```onnx
direction (float[N, 3] x) => (float[N, 3] y)
<int64[1] axis = {-1}>
{
    n = ReduceL2(x, axis)
    y = Div(x, n)      # want warning "by a norm"
}
```

A variance that a network predicts by its logarithm:

```onnx
gaussian (float[N, 3] x, float[N, 2] e) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    v = Softplus(h)
    y = Div(e, v)      # want warning "0, by rounding"
}
```

Weights scaled by their sum, which were saved before they were filled:

```onnx
scaled (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0, 0, 0, 0, 0, 0}, int64[1] axis = {0}>
{
    h = MatMul(x, w)
    a = Abs(w)
    s = ReduceSum <keepdims = 0> (a, axis)
    y = Div(h, s)      # want warning "a stored 0"
}
```

```torch
# given inputs=4,3
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        h = self.fc(x).relu()
        return h / h.sum(1, keepdim=True)      # want warning "that can be 0"
```

A variance of windows, which is 0 where a picture has one colour:

```torch
# given inputs=2,3,8,8
class Contrast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.register_buffer("window", torch.full((3, 1, 3, 3), 1 / 9))
    def forward(self, x):
        y = self.conv(x)
        mean = F.conv2d(y, self.window, groups=3)
        variance = F.conv2d(y * y, self.window, groups=3) - mean * mean
        return mean / variance  # want "a division by a value that can be 0"
```

## Use instead

```onnx
standardise (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float two = {2}, float eps = {1e-5},
int64[1] axis = {0}>
{
    h = Gemm(x, w, b)
    m = ReduceMean(h, axis)
    d = Sub(h, m)
    q = Pow(d, two)
    v = ReduceMean(q, axis)
    g = Add(v, eps)
    s = Sqrt(g)
    y = Div(d, s)
}
```

```onnx
masked_mean (float[N, 5, 4] x, float[N, 5, 1] mask) => (float[N, 4] y)
<int64[1] axis = {1}, float one = {1}>
{
    m = Mul(x, mask)
    s = ReduceSum <keepdims = 0> (m, axis)
    n = ReduceSum <keepdims = 0> (mask, axis)
    c = Max(n, one)
    y = Div(s, c)
}
```

## Spares

A divisor of which nothing is known, a softmax's own sum once the maximum is taken off, a quotient that is thrown away
where the divisor was 0, and a divisor that is replaced there:

```onnx
fine (float[N, 3] x, float[N, 3] z) => (float[N, 3] a, float[N, 2] p, float[N, 2] c, float[N, 2] d)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {1}, float zero = {0},
float one = {1}>
{
    a = Div(x, z)
    h = Gemm(x, w, b)
    m = ReduceMax(h, axis)
    s = Sub(h, m)
    e = Exp(s)
    t = ReduceSum(e, axis)
    p = Div(e, t)
    r = Relu(h)
    q = Div(p, r)
    none = Equal(r, zero)
    c = Where(none, zero, q)
    u = Where(none, one, r)
    d = Div(p, u)
}
```

The length of a direction that is drawn, as for projections at random: no vector of zeros is.

```onnx
direction (float[N, 3] x) => (float[N, 3] y) <int64[1] axis = {1}>
{
    r = RandomNormalLike(x)
    n = ReduceL2(r, axis)
    y = Div(r, n)
}
```

The length of a vector that a normalisation keeps from vanishing, as in contrastive language-image models:

```onnx
embed (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[3] scale = {1, 1, 1}, float[3] bias = {0.1, 0, 0},
int64[1] axis = {-1}>
{
    l = LayerNormalization(x, scale, bias)
    h = MatMul(l, w)
    n = ReduceL2(h, axis)
    y = Div(h, n)
}
```

A weighted sum of distributions, which sums to its weights, and a part of a product that was joined to it for the
purpose, here the sum of the other columns' weights:

```torch
# given inputs=2,5,8
class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.content, self.place = nn.Linear(8, 5), nn.Linear(8, 5)
        self.gate = nn.Parameter(torch.ones(1))
    def forward(self, x):
        gate = self.gate.sigmoid()
        p = (1 - gate) * self.content(x).softmax(-1) + gate * self.place(x).softmax(-1)
        return p / p.sum(dim=-1, keepdim=True)
```

```torch
# given inputs=2,5,8
class LinearAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 4), nn.Linear(8, 4), nn.Linear(8, 4)
    def forward(self, x):
        q, k, v = self.q(x).relu(), self.k(x).relu(), F.pad(self.v(x), (0, 1), value=1.0)
        y = q @ (k.transpose(1, 2) @ v)
        return y[..., :-1] / (y[..., -1:] + 1e-5)
```

Structural similarity with its constants: a variance, as the mean of squares less the square of the mean over the same
windows, is not negative, whether the windows are pooled or weighted by a filter:

```torch
# given inputs=2,3,8,8
class Restored(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.register_buffer("window", torch.full((3, 1, 3, 3), 1 / 9))
    def average(self, x):
        return F.conv2d(x, self.window, groups=3)
    def forward(self, x):
        y = self.conv(x)
        mean, smooth = F.avg_pool2d(y, 3), self.average(y)
        pooled = F.avg_pool2d(y**2, 3) - mean**2
        weighted = self.average(y * y) - smooth * smooth
        return (mean + 9e-4) / (pooled + 9e-4), (smooth + 9e-4) / (weighted + 9e-4)
```

A count of what a comparison lets pass, where its outcome is the same for all inputs, or follows from numbers in the
code alone:

```onnx
counted (float[N, 3] x, float[N, 3] y) => (float loss) <float far = {250}>
{
    p = Softmax(x)
    same = Equal(p, far)
    keep = Not(same)
    w = Cast <to = 1> (keep)
    kept = Mul(y, w)
    total = ReduceSum <keepdims = 0> (kept)
    count = ReduceSum <keepdims = 0> (w)
    loss = Div(total, count)
}
```

```torch
# given inputs=2,4
class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        h = self.fc(x)
        lengths = torch.ones(len(x), 1) * h.shape[1]
        mask = (torch.arange(h.shape[1]) < lengths).float()
        return (h * mask / mask.sum(1, keepdim=True)).sum(1)
```

A sinc as people write it, whose 0 / 0 is replaced, and no gradient flows back:

```onnx
sinc (float[N, 3] x) => (float[N, 3] y) <float[3] t = {-1, 0, 1}, float zero = {0}, float one = {1}>
{
    s = Sin(t)
    q = Div(s, t)
    middle = Equal(t, zero)
    c = Where(middle, one, q)
    y = Mul(x, c)
}
```

A number that a branch on data may have looked at before:

```torch
# given inputs=2,4
class Step(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
    def forward(self, x):
        h = self.fc(x)
        size = h.square().mean().sqrt()
        return h if size < 1e-5 else h / size
```

## Known limits

A parameter as divisor is taken at its stored value, unless that is 0 or the model says that it is trained. A Where
behind the division saves the value, not the gradient: that is reported where a loss depends on it and the divisor is 0
for many inputs, as behind a ReLU.

## References

- Y. Zhang and others: Detecting numerical bugs in neural network architectures (DEBAR). ESEC/FSE 2020.
- M. Yan and others: Exposing numerical bugs in deep learning via gradient back-propagation (GRIST). ESEC/FSE 2021.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import How
from netlint.analyses.reached.patterns import deviation, logit_of, maker, norm_of, readers
from netlint.analyses.surroundings import surroundings
from netlint.graph import Node, Value, is_float
from netlint.rule import NOTE, WARNING, Evidence, Finding, Scope, rule

from ._witness import NEEDS, behind_where, chain, claim, evidence, how, may_be_checked

_WHY = "a number divided by 0 is infinite, 0 / 0 is NaN, and NaN spreads to every weight"


@rule("NUM002", "division-by-zero", level=WARNING, also=(NOTE,), since="0.2", requires=NEEDS)
def division_by_zero(scope: Scope) -> Iterator[Finding]:
    known = scope[reach]
    for node in scope.graph.of("Div", "Reciprocal"):
        divisor = node.input(1 if node.op == "Div" else 0)
        if not _is_float(known, node):
            continue
        if divisor is not None and known.known.constant(divisor):
            replaced = known.known.constant(node.input(0)) and behind_where(scope, node, divisor) is None
            yield from () if replaced else _by_parameter(known, node, divisor)
            continue
        zero = known.zero(divisor) if divisor is not None else How.NEVER
        onward = behind_where(scope, node, divisor) if zero else None
        if divisor is not None and onward is not None and not _spared(scope, known, node, divisor):
            yield Finding(
                f"a division by {_kind(known, divisor, zero)}{onward}",
                node,
                evidence=evidence(scope, divisor, "divisor"),
                help="add a small constant to the divisor (under the root, if there is one), or clip it from below",
                why=_WHY,
                related=chain(scope, divisor),
                claim=claim(scope, divisor),
            )
    yield from _normalisations(scope)


def _is_float(known: Reached, node: Node) -> bool:
    return is_float(known.shapes.dtype(node.output()) or "float32")


def _kind(known: Reached, divisor: Value, zero: How) -> str:
    x = norm_of(known, divisor)
    made = maker(known, x)
    if made is not None and deviation(known, made):
        return "a standard deviation, which is 0 where all elements are equal"
    if x is not None:
        return "a norm, which is 0 for a vector of zeros"
    return f"a value that can be 0, {how(zero)}"


def _spared(scope: Scope, known: Reached, node: Node, divisor: Value) -> bool:
    """Whether the divisor cannot vanish in practice, or another rule speaks of it."""
    around = scope[surroundings]
    if around.of_framework(node) or known.roles.softmax(node) is not None or _of_softmax(known, node, divisor):
        return True
    if may_be_checked(known, node, divisor):
        return True
    if logit_of(known, node) is not None and any(use.op == "Log" for use, _ in readers(scope.graph, node.output())):
        return True  # inverse-function-domain (NUM007) speaks of it
    length = norm_of(known, divisor) is not None
    return length and known.zero(divisor) == How.POINT and around.steady(divisor)


def _of_softmax(known: Reached, node: Node, divisor: Value) -> bool:
    """Whether the divisor is a sum of exponentials: naive-softmax (NUM005) speaks of it."""
    total = maker(known, divisor)
    inner = maker(known, total.input(0)) if total is not None and total.op == "ReduceSum" else None
    return inner is not None and inner.op == "Exp"


def _by_parameter(known: Reached, node: Node, divisor: Value) -> Iterator[Finding]:
    """A stored 0, or a parameter that training may bring to 0."""
    if _stored_zero(known, divisor):
        yield Finding("a division by a stored 0", node, help="store another number, or add a constant", why=_WHY)
    elif divisor.trainable:
        yield Finding(
            "a division by a parameter that training may bring to 0",
            node,
            evidence=(Evidence("stored", str(known.ranges.of(divisor))),),
            help="train its logarithm instead and multiply with exp(-p), or clip it from below",
            why=_WHY,
            level=NOTE,
        )


def _stored_zero(known: Reached, divisor: Value) -> bool:
    """Whether a constant, or what is computed from weights, has an element that is 0."""
    if known.constants.scalar(divisor) == 0 and divisor.constant is not None:
        return True
    array = known.constants.get(divisor)
    return array is not None and array.dtype.kind == "f" and array.size > 1 and bool((array == 0).any())


def _normalisations(scope: Scope) -> Iterator[Finding]:
    """Normalisations over the sample itself whose epsilon is 0."""
    for node in scope.graph.of("LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization"):
        if float(node.attrs.get("epsilon", 1e-5)) <= 0:
            yield Finding(
                f"{node.op} divides by a standard deviation with epsilon 0",
                node,
                evidence=(Evidence("epsilon", float(node.attrs["epsilon"])),),
                help="set epsilon to 1e-5",
                why=_WHY,
            )
