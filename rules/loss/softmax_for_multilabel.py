"""A softmax over labels of which several may hold at once.

## What it does

Reports, where the declared task is multilabel, the one head that ends in softmax or log-softmax over its labels
(error), and logits under a loss that applies softmax (`cross_entropy`; warning).

## Why is this bad

Softmax makes the labels compete: its outputs sum to 1, so two labels can never both have a probability above 0.5.

## Example

```onnx
# given task=multilabel
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)      # want error "softmax over 2 labels, where the task is multilabel"
}
```

```onnx
# given task=multilabel loss=BCELoss
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)      # want error "softmax over 2 labels"
}
```

```onnx
# given task=multilabel loss=cross_entropy
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)      # want warning "cross_entropy applies softmax over the labels"
}
```

```torch
# given task=multilabel loss=binary_cross_entropy inputs=4,3 targets=4,2
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return self.fc(x).softmax(-1)      # want error "softmax over 2 labels"
```

## Use instead

```onnx
# given task=multilabel loss=BCELoss
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)
}
```

## Spares

The same head where labels exclude each other:

```onnx
# given task=classification
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
}
```

A softmax over yes and no of each label, and one head for each group of labels that exclude each other:

```onnx
# given task=multilabel
tagger (float[N, 3] x) => (float[N, 2, 2] y)
<float[3, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.1, 0.2, 0.3, 0.4}, int64[3] pairs = {0, 2, 2}>
{
    h = MatMul(x, w)
    g = Reshape(h, pairs)
    y = Softmax <axis = 2> (g)
}
```

```onnx
# given task=multilabel
groups (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[3, 2] v = {0.3, -0.1, 0.2, 0.5, -0.4, 0.1}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
    g = MatMul(x, v)
    z = Softmax <axis = 1> (g)
}
```

## Known limits

A cross-entropy against targets that share one unit of probability among the labels is a known, if rare, way to train
on several labels: that is why logits under `cross_entropy` are a warning only.

## References

- J. Nam et al.: Large-scale multi-label text classification: revisiting neural networks. ECML PKDD 2014.
- D. Mahajan et al.: Exploring the limits of weakly supervised pretraining. ECCV 2018, section 2.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract, known_task
from netlint.analyses.roles import Head, Roles, roles
from netlint.analyses.shapes import shapes
from netlint.rule import ERROR, WARNING, Evidence, Finding, Scope, rule
from netlint.training import Known, Loss, Training

from ._heads import classes_of, head_evidence, loss_evidence, units_of


@rule("LOS009", "softmax-for-multilabel", level=ERROR, also=(WARNING,), since="0.2", requires=(roles, contract, shapes))
def softmax_for_multilabel(scope: Scope) -> Iterator[Finding]:
    known, training = scope[roles], scope[contract]
    task = known_task(training)
    # With several heads each may answer for a group of labels that exclude each other.
    if task.value != "multilabel" or len(known.predictions) != 1:
        return
    head = known.predictions[0]
    said = Evidence("task", task.value, task.origin)
    if head.softmax is not None and _over_labels(scope, head):
        labels = classes_of(head, scope[shapes], scope.graph)
        yield Finding(
            f"softmax over {labels or 'the'} labels, where the task is multilabel",
            head.softmax,
            evidence=(head_evidence(head), said),
            help="use a sigmoid for each label, or return the logits and use binary_cross_entropy_with_logits",
            why="the outputs sum to 1: two labels can never both have a probability above 0.5",
        )
    elif (
        (loss := _softmax_loss(known, training, head)) is not None
        and head.affine
        and head.at
        and units_of(head, scope[shapes]) != 1
    ):
        yield Finding(
            f"{loss.value.name} applies softmax over the labels, where the task is multilabel",
            head.at,
            evidence=(head_evidence(head), loss_evidence(loss), said),
            help="use binary_cross_entropy_with_logits: it scores each label on its own",
            why="softmax makes the labels compete: two can never both have a probability above 0.5",
            level=WARNING,
        )


def _over_labels(scope: Scope, head: Head) -> bool:
    """Whether softmax runs over all labels, not over the two answers to each."""
    shape = scope[shapes].of(head.value)
    count = classes_of(head, scope[shapes], scope.graph)
    if shape is None or count == 1:
        return False
    return not (len(shape) > 2 and (count is None or count == 2))


def _softmax_loss(known: Roles, training: Training, head: Head) -> Known[Loss] | None:
    if not training.loss.known and head.site is None:
        return None
    loss = dict(known.reads(training)).get(head)
    return loss if loss is not None and loss.value.wants == "logits" and loss.value.over == "classes" else None
