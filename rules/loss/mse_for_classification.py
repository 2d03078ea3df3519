"""A squared or absolute error where the network classifies.

## What it does

Reports `mse_loss`, `l1_loss`, `smooth_l1_loss` or `huber_loss`, declared or in the graph,

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
# given loss=mse_loss task=regression
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

In a graph whose losses include a cross-entropy, a distance beside it counts as an auxiliary loss: it is reported only
for one-hot targets or a softmax head.

## References

- P. Golik, P. Doetsch, H. Ney: Cross-entropy vs. squared error training. Interspeech 2013.
- C. Bishop: Neural Networks for Pattern Recognition, section 6.7. 1995.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract, losses
from netlint.analyses.roles import Head, Roles, roles
from netlint.analyses.shapes import shapes
from netlint.graph import Node
from netlint.rule import ERROR, Evidence, Finding, Scope, rule
from netlint.training import Known, Training

from ._heads import classes_of, head_evidence, loss_evidence

_CLASSIFY = frozenset({"classification", "multilabel", "segmentation", "language-model"})


@rule("LOS003", "mse-for-classification", level=ERROR, since="0.1", requires=(roles, contract, losses, shapes))
def mse_for_classification(scope: Scope) -> Iterator[Finding]:
    known, training = scope[roles], scope[contract]
    judged = {head: loss for head, loss in known.reads(training) if loss.value.kind in ("squared", "absolute")}
    reasons = {head: found for head in judged if (found := _reason(scope, head, training)) is not None}
    for head in known.certainly(reasons):
        why, fact = reasons[head]
        if (at := head.at) is None:
            continue
        yield Finding(
            f"{judged[head].value.name} {why}",
            at,
            evidence=(head_evidence(head), loss_evidence(judged[head]), fact),
            help="use cross_entropy on logits (binary_cross_entropy_with_logits for independent labels); "
            "for a score that is meant to be regressed, declare --task=regression",
            why="its gradient vanishes where the answer is confidently wrong, and class ids have no distance",
        )


def _reason(scope: Scope, head: Head, training: Training) -> tuple[str, Evidence] | None:
    """Why the head classifies, as the end of a sentence, and the fact behind it."""
    task, classes = training.task, training.classes
    if isinstance(task, Known) and task.value not in _CLASSIFY:
        return None
    if _one_hot(scope[roles], head):
        return "against one-hot targets", Evidence("targets", "one-hot")
    # Beside a cross-entropy, a distance may belong to another part of the task.
    alone = all(site.loss.kind in ("squared", "absolute") for site in scope[losses])
    if isinstance(task, Known) and alone:
        return f"where the task is {task.value}", Evidence("task", task.value, task.origin)
    if isinstance(classes, Known) and alone:
        return f"where there are {classes.value} classes", Evidence("classes", classes.value, classes.origin)
    return None if _soft_targets(scope[roles], head) else _softmax_head(scope, head)


def _softmax_head(scope: Scope, head: Head) -> tuple[str, Evidence] | None:
    count = classes_of(head, scope[shapes], scope.graph) if head.softmax is not None else 0
    if head.softmax is None or head.log or count == 1:
        return None
    over = f"{count} classes" if count else "classes"
    return f"on a softmax head over {over}", Evidence("assumption", "the head is a distribution over classes")


def _one_hot(known: Roles, head: Head) -> bool:
    targets = head.site.targets if head.site is not None else None
    made = known.maker(targets) if targets is not None else None
    return made is not None and (made.op == "OneHot" or (made.op == "Equal" and _with_class_ids(known, made)))


def _with_class_ids(known: Roles, equal: Node) -> bool:
    """Whether a comparison is with a list of several integers, as exporters write one-hot encoding."""
    listed = [value for value in equal.inputs if value is not None and value.constant is not None]
    ids = listed[0].constant if len(listed) == 1 else None
    return ids is not None and ids.dtype.startswith("int") and known.number(listed[0]) is None


def _soft_targets(known: Roles, head: Head) -> bool:
    targets = head.site.targets if head.site is not None else None
    made = known.maker(targets) if targets is not None else None
    return made is not None and known.softmax(made) is not None
