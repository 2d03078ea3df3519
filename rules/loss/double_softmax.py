"""A softmax head under a loss that applies softmax itself.

## What it does

Reports a head that ends in softmax (error) or in log-softmax (warning) under a loss over classes that takes logits:
`cross_entropy`, from the graph's `SoftmaxCrossEntropyLoss`, from the model's metadata, or declared.

## Why is this bad

The loss normalises the probabilities once more. They lie in [0, 1], so even a perfect answer comes out of the second
softmax as e / (e + C - 1): with 10 classes the loss cannot fall below 1.461, and gradients are small everywhere. A
log-softmax is left unchanged by the second one: it costs time and hides what the head returns.

## Example

```onnx
# given loss=cross_entropy
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)      # want error "the head ends in softmax, and cross_entropy applies softmax again"
}
```

```onnx
step (float[N, 3] x, int64[N] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    p = LogSoftmax <axis = 1> (h)      # want warning "log-softmax"
    loss = SoftmaxCrossEntropyLoss <reduction = "mean"> (p, t)
}
```

Resampling, averages and a guard behind the softmax change nothing about it:

```onnx
# given loss=cross_entropy
segmenter (float[N, 3, 4, 4] x) => (float[N, 2, 8, 8] y)
<float[2, 3, 1, 1] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[4] scales = {1, 1, 2, 2}>
{
    h = Conv(x, w)
    p = Softmax <axis = 1> (h)      # want error "the head ends in softmax"
    y = Resize <mode = "linear"> (p, , scales)
}
```

## Use instead

```onnx
# given loss=cross_entropy
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)
}
```

## Spares

A softmax head where only the task is declared: an inference export ends in softmax as a rule.

```onnx
# given task=classification
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
}
```

Probabilities beside the logits, which the loss can read:

```onnx
# given loss=cross_entropy
classifier (float[N, 3] x) => (float[N, 2] h, float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
}
```

## Known limits

With several outputs and no loss in the graph it reports only if every prediction is a softmax. Sums and concatenations
of several softmax heads are not looked into. Where the task is declared as multilabel, `softmax-for-multilabel` reports
the softmax alone.

## References

- J. Bridle: Probabilistic interpretation of feedforward classification network outputs. Neurocomputing, 1990.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from netlint.analyses.contract import contract
from netlint.analyses.roles import Head, Roles, roles
from netlint.analyses.shapes import shapes
from netlint.graph import Node, Value
from netlint.rule import ERROR, WARNING, Evidence, Finding, Scope, rule
from netlint.training import Known, Loss

from ._heads import classes_of, head_evidence, loss_evidence


@rule("LOS002", "double-softmax", level=ERROR, also=(WARNING,), since="0.1", requires=(roles, contract, shapes))
def double_softmax(scope: Scope) -> Iterator[Finding]:
    known, training = scope[roles], scope[contract]
    if isinstance(training.task, Known) and training.task.value == "multilabel":
        return  # no softmax at all is right there, which another rule says
    judged = {head: loss for head, loss in known.reads(training) if _applies_softmax(loss.value)}
    ends = {head: end for head in judged if (end := _end(known, head)) is not None}
    # Several outputs may be made of one softmax: the class probabilities and the largest of them.
    for head in {ends[head][0]: head for head in reversed(known.certainly(ends))}.values():
        node, log = ends[head]
        yield _logarithmic(head, node, judged[head]) if log else _plain(scope, head, node, judged[head])


def _applies_softmax(loss: Loss) -> bool:
    return loss.wants == "logits" and loss.over == "classes"


def _end(known: Roles, head: Head) -> tuple[Node, bool] | None:
    """The softmax a head ends in and whether its logarithm is taken; None if it ends otherwise."""
    if head.softmax is not None:
        return head.softmax, head.log
    if (moved := _softmax_at(known, known.source(head.value, guards=True))) is not None:
        return moved
    log = head.activation
    if log is None or not head.exact or log.op != "Log" or (data := log.input(0)) is None:
        return None
    inner = known.maker(known.source(data, guards=True))
    return (log, True) if inner is not None and known.softmax(inner) is not None else None


def _softmax_at(known: Roles, value: Value) -> tuple[Node, bool] | None:
    """The softmax behind layout, resampling and averages, which keep its bounds; and whether it is a log-softmax."""
    made = known.maker(value)
    soft = known.softmax(made) if made is not None else None
    return (soft.node, soft.log) if soft is not None else None


def _plain(scope: Scope, head: Head, node: Node, loss: Known[Loss]) -> Finding:
    classes = classes_of(head, scope[shapes], scope.graph, of_loss=True)
    least = math.log(math.e + classes - 1) - 1 if classes is not None and classes > 1 else None
    reachable = (Evidence("classes", classes), Evidence("least loss", round(least, 3))) if least is not None else ()
    limit = f"; for {classes} classes the loss cannot fall below {least:.3f}" if least is not None else ""
    return Finding(
        f"the head ends in softmax, and {loss.value.name} applies softmax again{limit}",
        node,
        evidence=(head_evidence(head), Evidence("output", [0, 1]), loss_evidence(loss), *reachable),
        help="return the logits; apply softmax at inference only",
        why="the second softmax sees numbers between 0 and 1 only: its answer stays near uniform, gradients small",
    )


def _logarithmic(head: Head, node: Node, loss: Known[Loss]) -> Finding:
    return Finding(
        f"the head ends in log-softmax, and {loss.value.name} applies it again",
        node,
        evidence=(head_evidence(head), loss_evidence(loss)),
        help="return the logits, or keep the log-softmax and use nll_loss",
        why="the second log-softmax changes nothing and hides that the head returns log-probabilities",
        level=WARNING,
    )
