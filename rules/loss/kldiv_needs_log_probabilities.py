"""A Kullback-Leibler divergence that is handed something else than log-probabilities.

## What it does

Reports a head under `kl_div` (torch's `KLDivLoss`, from the declared loss or in the graph) that certainly gives no
log-probabilities: a softmax, a sigmoid, values that are never negative, logits straight from a layer.

## Why is this bad

`kl_div(q, t)` computes `t * (log t - q)` and takes q for a logarithm. With probabilities in its place it is bounded,
its gradient is the target itself whatever the network answers, and it may be negative; with logits it is unbounded
below, so training drives the logits to infinity. Nothing raises an exception.

## Example

```onnx
# given loss=KLDivLoss
student (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)      # want error "kl_div takes log-probabilities, the head gives probabilities"
}
```

```onnx
# given loss=kl_div
student (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)      # want error "the head gives logits"
}
```

The loss as it is written out, with the logarithm of the targets only:

```onnx
step (float[N, 3] x, float[N, 2] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    p = Softmax <axis = 1> (h)      # want error "the head gives probabilities"
    l = Log(t)
    d = Sub(l, p)
    m = Mul(t, d)
    loss = ReduceSum <keepdims = 0> (m)
}
```

```torch
# given loss=kl_div inputs=4,3 targets=4,2
class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return self.fc(x).softmax(-1)      # want error "kl_div takes log-probabilities"
```

## Use instead

```onnx
# given loss=KLDivLoss
student (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = LogSoftmax <axis = 1> (h)
}
```

## Spares

A logarithm taken as a step of its own, and divergences that take probabilities, like Keras's `KLDivergence`:

```onnx
# given loss=kl_div
student (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    p = Softmax <axis = 1> (h)
    y = Log(p)
}
```

```onnx
# given loss=KLDivergence
student (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
}
```

The divergence of two Gaussians, as in a variational autoencoder, has no such argument:

```onnx
vae (float[N, 3] x, float[N, 3] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[3, 2] v = {0.3, -0.1, 0.2, 0.5, -0.4, 0.1},
 float one = {1}, float half = {-0.5}>
{
    mu = MatMul(x, w)
    logvar = MatMul(x, v)
    a = Add(logvar, one)
    q = Mul(mu, mu)
    b = Sub(a, q)
    e = Exp(logvar)
    c = Sub(b, e)
    s = ReduceSum <keepdims = 0> (c)
    loss = Mul(s, half)
}
```

## Known limits

The head is judged where it leaves the network: whether its log-softmax runs over the axis that the targets sum to 1
over is not checked.

## References

- S. Kullback, R. Leibler: On information and sufficiency. Annals of Mathematical Statistics 22, 1951.
- PyTorch documentation: torch.nn.KLDivLoss.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract
from netlint.analyses.ranges import ranges
from netlint.analyses.roles import roles
from netlint.rule import ERROR, Evidence, Finding, Scope, rule

from ._heads import head_evidence, loss_evidence, no_log_probability


@rule("LOS011", "kldiv-needs-log-probabilities", level=ERROR, since="0.2", requires=(roles, contract, ranges))
def kldiv_needs_log_probabilities(scope: Scope) -> Iterator[Finding]:
    known = scope[roles]
    judged = {head: loss for head, loss in known.reads(scope[contract]) if loss.value.name == "kl_div"}
    gives = {head: found for head in judged if (found := no_log_probability(known, scope[ranges], head))}
    for head in known.certainly(gives):
        if (at := head.at) is None:
            continue
        yield Finding(
            f"kl_div takes log-probabilities, the head gives {gives[head]}",
            at,
            evidence=(head_evidence(head), Evidence("the head gives", gives[head]), loss_evidence(judged[head])),
            help="end the head with LogSoftmax; only the targets are probabilities",
            why="the loss takes its first argument for a logarithm: it is computed from something else",
        )
