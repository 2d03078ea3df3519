"""A squared or absolute error where the network classifies.

## What it does

Reports a squared error, declared or in the graph, and an absolute one (`l1_loss`, `smooth_l1_loss`, `huber_loss`) on
anything but probabilities,

- where the declared task is classification, multilabel, segmentation or language-model,
- where the number of classes is declared, or the graph itself makes the targets by one-hot encoding,
- where the head is a softmax over two classes or more.

## Why is this bad

Behind a softmax or a sigmoid the gradient of a squared error vanishes where the answer is confidently wrong: the more
wrong, the less is learned. Class ids moreover have no order and no distance, which is what such a loss measures.

## Example

```onnx
# given loss=mse_loss
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)      # want "mse_loss on a softmax head over 2 classes"
}
```

```onnx
# given loss=mae task=classification
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)      # want "l1_loss where the task is classification"
}
```

```onnx
step (float[N, 3] x, int64[N] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, int64 depth = {2}, float[2] ends = {0, 1}>
{
    h = MatMul(x, w)      # want "mse_loss against one-hot targets"
    o = OneHot(t, depth, ends)
    d = Sub(h, o)
    q = Mul(d, d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

One-hot encoding written as a comparison with all class ids:

```onnx
step (float[N, 3] x, int64[N] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, int64[1] last = {-1}, int64[2] ids = {0, 1}>
{
    h = MatMul(x, w)      # want "mse_loss against one-hot targets"
    u = Unsqueeze(t, last)
    e = Equal(u, ids)
    o = Cast <to = 1> (e)
    d = Sub(h, o)
    q = Mul(d, d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

## Use instead

```onnx
# given loss=cross_entropy task=classification
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)
}
```

## Spares

Regression to probabilities, and a Brier score, declared as regression:

```onnx
# given loss=mse_loss task=regression targets=0..1
forecast (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
}
```

Heads without softmax and with no word of classes (regression, action values), and sigmoid heads, which images in
[0, 1] have as well:

```onnx
# given loss=mse_loss
pixels (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)
}
```

Distillation, where the targets come out of a softmax too; and the expectation over bins, where constants weigh the
probabilities:

```onnx
distil (float[N, 3] x, float[N, 2] teacher) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    p = Softmax <axis = 1> (h)
    t = Softmax <axis = 1> (teacher)
    d = Sub(p, t)
    q = Mul(d, d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

## Known limits

An absolute error on probabilities is a warning of `mae-on-probabilities`; a softmax in a declared regression is
reported by `regression-through-softmax`.

In a graph whose losses include a cross-entropy, a distance beside it counts as an auxiliary loss: it is reported only
for one-hot targets or a softmax head.

## References

- P. Golik, P. Doetsch, H. Ney: Cross-entropy vs. squared error training. Interspeech 2013.
- C. Bishop: Neural Networks for Pattern Recognition, section 6.7. 1995.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract, losses
from netlint.analyses.roles import Head, roles
from netlint.analyses.shapes import shapes
from netlint.rule import ERROR, Finding, Scope, rule
from netlint.training import Loss

from ._classes import classifies
from ._heads import head_evidence, loss_evidence


@rule("LOS003", "mse-for-classification", level=ERROR, since="0.1", requires=(roles, contract, losses, shapes))
def mse_for_classification(scope: Scope) -> Iterator[Finding]:
    known, training = scope[roles], scope[contract]
    judged = {head: loss for head, loss in known.reads(training) if _judges(head, loss.value)}
    reasons = {head: found for head in judged if (found := classifies(scope, head, training)) is not None}
    for head in known.certainly(reasons):
        if (at := head.at) is None:
            continue
        yield Finding(
            f"{judged[head].value.name} {reasons[head].text}",
            at,
            evidence=(head_evidence(head), loss_evidence(judged[head]), reasons[head].fact),
            help="use cross_entropy on logits (binary_cross_entropy_with_logits for independent labels); "
            "for a score that is meant to be regressed, declare --task=regression",
            why="its gradient vanishes where the answer is confidently wrong, and class ids have no distance",
        )


def _judges(head: Head, loss: Loss) -> bool:
    """A squared error; an absolute one only where the head gives no probabilities: that is another rule's matter."""
    probabilities = head.sigmoid or (head.softmax is not None and not head.log)
    return loss.kind == "squared" or (loss.kind == "absolute" and not probabilities)
