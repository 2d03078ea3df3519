"""A loss that takes (log-)probabilities, on a head that gives something else.

## What it does

Reports a head without softmax under a loss that wants log-probabilities (`nll_loss`, torch's `ctc_loss`) or
probabilities over classes
(`categorical_cross_entropy`, Keras's `KLDivergence`, or `-sum(t * log p)` written out): logits straight from a layer,
probabilities where their logarithm is wanted, or logarithms where the probabilities are.

## Why is this bad

The loss does not notice: it is computed from numbers that are no probabilities. `nll_loss` of logits is unbounded
below, so training drives the logits of the true class to infinity; the logarithm of a negative logit is NaN.

## Example

```onnx
# given loss=nll_loss
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)      # want "nll_loss takes log-probabilities, the head gives logits"
}
```

```onnx
# given loss=nll_loss
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)      # want "the head gives probabilities"
}
```

The loss may also be in the graph, as an operator or written out:

```onnx
step (float[N, 3] x, float[N, 2] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, int64[1] axis = {1}>
{
    h = MatMul(x, w)      # want "categorical_cross_entropy takes probabilities, the head gives logits"
    l = Log(h)
    p = Mul(t, l)
    s = ReduceSum <keepdims = 0> (p, axis)
    m = ReduceMean <keepdims = 0> (s)
    loss = Neg(m)
}
```

CTC takes log-probabilities too:

```torch
# given inputs=4,7,3;labels:int64:4,2
class Letters(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 27)
    def forward(self, x):
        return self.fc(x)      # want error "ctc_loss takes log-probabilities, the head gives logits"

def step(model, x, labels):
    scores = model(x).transpose(0, 1)
    return F.ctc_loss(scores, labels, torch.full((4,), 7), torch.full((4,), 2))
```

## Use instead

```torch
# given inputs=4,7,3;labels:int64:4,2
class Letters(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 27)
    def forward(self, x):
        return self.fc(x).log_softmax(-1)

def step(model, x, labels):
    scores = model(x).transpose(0, 1)
    return F.ctc_loss(scores, labels, torch.full((4,), 7), torch.full((4,), 2))
```

```onnx
# given loss=nll_loss
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = LogSoftmax <axis = 1> (h)
}
```

## Spares

Heads that end in a (log-)softmax up to layout, also where it is written out:

```onnx
# given loss=nll_loss
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, int64[1] axis = {1}>
{
    h = MatMul(x, w)
    z = ReduceLogSumExp <keepdims = 1> (h, axis)
    y = Sub(h, z)
}
```

A fixed matrix behind the softmax, which mixes distributions (a label-noise transition, for instance):

```onnx
# given loss=categorical_cross_entropy
noisy (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] noise = {0.9, 0.1, 0.2, 0.8}>
{
    h = MatMul(x, w)
    p = Softmax <axis = 1> (h)
    y = MatMul(p, noise)
}
```

## Known limits

torch's `kl_div` has a rule of its own, `kldiv-needs-log-probabilities`. Silent on heads it does not understand, and on
sigmoid heads under a categorical loss. A CTC loss that is only declared is not judged: TensorFlow's takes logits.
Keras's categorical cross-entropy takes logits if told so (`from_logits=True`): say `--loss=cross_entropy` then.

## References

- C. Bishop: Pattern Recognition and Machine Learning, section 4.3.4. 2006.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract
from netlint.analyses.ranges import Ranges, ranges
from netlint.analyses.roles import Head, Roles, roles
from netlint.rule import ERROR, Evidence, Finding, Scope, rule
from netlint.training import Loss

from ._heads import head_evidence, loss_evidence, mixes_distributions, straight

_TAKES = {
    "nll_loss": "log-probabilities",
    "ctc_loss": "log-probabilities",
    "categorical_cross_entropy": "probabilities",
    "kl_divergence": "probabilities",
}
_HELP = {
    "kl_divergence": "end the head with Softmax",
    "ctc_loss": "end the head with LogSoftmax over the classes",
    "nll_loss": "end the head with LogSoftmax, or return the logits and use cross_entropy",
    "categorical_cross_entropy": "end the head with Softmax, or return the logits and use cross_entropy",
}


@rule("LOS001", "missing-softmax", level=ERROR, since="0.1", requires=(roles, contract, ranges))
def missing_softmax(scope: Scope) -> Iterator[Finding]:
    known = scope[roles]
    judged = {head: loss for head, loss in known.reads(scope[contract]) if _takes(head, loss.value)}
    gives = {head: wrong for head, loss in judged.items() if (wrong := _gives(known, scope[ranges], head, loss.value))}
    for head in known.certainly(gives):
        loss, at = judged[head], head.at
        if at is None:
            continue
        yield Finding(
            f"{loss.value.name} takes {_TAKES[loss.value.name]}, the head gives {gives[head]}",
            at,
            evidence=(head_evidence(head), Evidence("the head gives", gives[head]), loss_evidence(loss)),
            help=_HELP[loss.value.name],
            why="the loss is computed from numbers that do not mean what it takes them for",
        )


def _takes(head: Head, loss: Loss) -> bool:
    """Whether the loss takes probabilities as they are; what is called CTC elsewhere than in torch takes logits."""
    return loss.name in _TAKES and (loss.name != "ctc_loss" or head.site is not None)


def _gives(known: Roles, proved: Ranges, head: Head, loss: Loss) -> str:
    """What the head gives where the loss certainly wants something else; empty where it may be right."""
    wants_log = loss.wants == "log-probabilities"
    if head.softmax is not None:
        return "" if head.log == wants_log else "log-probabilities" if head.log else "probabilities"
    bounds = proved.of(head.value)
    if wants_log and (head.sigmoid or head.floor == 0 or (bounds.known and bounds.lo >= 0 and bounds.hi > 0)):
        return "values that are never negative"
    fits = bounds.known and (bounds.hi <= 0 if wants_log else bounds.lo >= 0 and bounds.hi <= 1)
    # Behind a softmax a constant matrix may mix distributions: what comes out can be one again.
    if not (head.affine or head.summed) or fits or mixes_distributions(known, head):
        return ""
    return straight(head)
