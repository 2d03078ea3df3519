"""A head with another number of units than there are classes.

## What it does

Compares the width of the head with what the loss needs:

- one unit under a loss over classes (`cross_entropy`, `nll_loss`, ...): there must be one for each class,
- fewer units than classes, as declared (`--classes`), or than the largest class id, as declared (`--targets=0..9`),
- more units than classes (warning), beyond one for a background or "other" class,
- two units under a binary cross-entropy, where each target is one class id, or two classes are declared (warning).

## Why is this bad

Over one class softmax always gives 1: the loss is 0 and nothing is learned. A class without a unit stops training with
an index error, on some devices with a read outside the tensor. A unit without a class costs memory and takes
probability. A binary cross-entropy scores each unit on its own: held against one class id, both learn the same answer.

## Example

```onnx
# given loss=cross_entropy
classifier (float[N, 3] x) => (float[N, 1] y)
<float[3, 1] w = {0.1, -0.2, 0.3}>
{
    y = MatMul(x, w)      # want error "1 unit under cross_entropy: over one class its softmax is always 1"
}
```

```onnx
# given loss=cross_entropy classes=5
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)      # want error "2 units for 5 classes"
}
```

```onnx
# given loss=cross_entropy targets=0..9
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)      # want error "2 units for class ids up to 9"
}
```

```onnx
# given loss=cross_entropy classes=3
classifier (float[N, 3] x) => (float[N, 6] y)
<float[3, 6] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)      # want warning "6 units for 3 classes"
}
```

The loss in the graph, a score for each of two classes against one class id:

```onnx
step (float[N, 3] x, float[N, 1] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float one = {1}>
{
    h = MatMul(x, w)
    p = Sigmoid(h)      # want error "2 units under binary_cross_entropy, against one target a sample"
    l = Log(p)
    a = Mul(t, l)
    u = Sub(one, t)
    q = Sub(one, p)
    k = Log(q)
    b = Mul(u, k)
    s = Add(a, b)
    m = ReduceMean <keepdims = 0> (s)
    loss = Neg(m)
}
```

```onnx
step (float[N, 3] x, int64[N] t) => (float loss)
<float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)      # want error "1 unit under cross_entropy"
    loss = SoftmaxCrossEntropyLoss <reduction = "mean"> (h, t)
}
```

```torch
# given loss=cross_entropy classes=10 inputs=4,3
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 9)      # the last digit was forgotten
    def forward(self, x):
        return self.fc(x)      # want error "9 units for 10 classes"
```

## Use instead

```onnx
# given loss=cross_entropy classes=2
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)
}
```

```onnx
# given loss=BCEWithLogitsLoss classes=2
classifier (float[N, 3] x) => (float[N, 1] y)
<float[3, 1] w = {0.1, -0.2, 0.3}>
{
    y = MatMul(x, w)
}
```

## Spares

The logarithm of one probability, weighed by hand, as focal losses, rewards and rates are:

```torch
# given inputs=4,3;labels:4,1
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 1)
    def forward(self, x):
        return self.fc(x).sigmoid()

def step(model, x, labels):
    p = model(x).clamp(1e-6, 1 - 1e-6)
    right = torch.where(labels == 1, p, 1 - p)
    weight = torch.where(labels == 1, 0.25, 0.75)
    return -(weight * (1 - right) ** 2 * right.log()).mean()
```

```onnx
step (float[N, 3] x, float[N, 1] reward) => (float loss)
<float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)
    p = Sigmoid(h)
    l = Log(p)
    a = Mul(reward, l)
    m = ReduceMean <keepdims = 0> (a)
    loss = Neg(m)
}
```

A mask for each sample, which is no target:

```torch
# given inputs=4,3;labels:4,2;mask:4,1
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return self.fc(x).sigmoid()

def step(model, x, labels, mask):
    p = model(x).clamp(1e-6, 1 - 1e-6)
    return -((labels * p.log() + (1 - labels) * (1 - p).log()) * mask).mean()
```

A background class beyond the declared ones:

```onnx
# given loss=cross_entropy classes=1 task=segmentation
segmenter (float[N, 3, 4, 4] x) => (float[N, 2, 4, 4] y)
<float[2, 3, 1, 1] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = Conv(x, w)
}
```

Token axes, of which one holds the classes, and a vocabulary padded beyond them:

```onnx
# given loss=cross_entropy classes=3
tokens (int64[N, 7] ids) => (float[N, 7, 4] y)
<float[3, 2] table = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}>
{
    h = Gather(table, ids)
    y = MatMul(h, w)
}
```

One score for each choice, put side by side as classes:

```onnx
# given loss=cross_entropy classes=4
choices (float[N, 4, 3] x) => (float[N, 4] y)
<float[3, 1] w = {0.1, -0.2, 0.3}, int64[1] last = {2}>
{
    h = MatMul(x, w)
    y = Squeeze(h, last)
}
```

A pair of independent labels:

```onnx
# given loss=BCEWithLogitsLoss classes=2 task=multilabel
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)
}
```

## Options

- `extra` (default 1): units beyond the classes that are accepted, for a background or "other" class.

## Known limits

With three axes or more only too few units are reported: other axes may hold classes, and vocabularies are padded. A
softmax over one unit is reported by `softmax-over-one-unit`. A loss over classes that is written out is judged only on
softmax heads: other logarithms may be of rates or likelihoods.

## References

- PyTorch documentation: torch.nn.CrossEntropyLoss, shape of input and target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netlint.analyses.contract import contract
from netlint.analyses.roles import Head, roles
from netlint.analyses.shapes import shapes
from netlint.rule import ERROR, WARNING, Evidence, Finding, Level, Option, Scope, rule
from netlint.training import Interval, Known, Loss, Training

from ._heads import classes_of, head_evidence, loss_evidence, units_of

_NO_CLASSES = frozenset({"regression", "autoencoder", "gan"})


@dataclass(frozen=True, slots=True)
class _Misfit:
    """What does not fit, as the message says it, and how bad it is."""

    text: str
    level: Level
    fact: Evidence
    help: str


@rule(
    "LOS007",
    "head-width-mismatch",
    level=ERROR,
    also=(WARNING,),
    since="0.2",
    requires=(roles, contract, shapes),
    options=(Option("extra", 1, "units beyond the classes that are accepted, for a background class"),),
)
def head_width_mismatch(scope: Scope) -> Iterator[Finding]:
    known, training = scope[roles], scope[contract]
    task = training.task.value if isinstance(training.task, Known) else ""
    judged = {head: loss for head, loss in known.reads(training) if loss.value.kind == "cross-entropy"}
    found = {
        head: misfit
        for head, loss in judged.items()
        if task not in _NO_CLASSES and (misfit := _misfit(scope, head, loss.value, training)) is not None
    }
    if len(found) < len(judged):  # a head that fits is the one that was declared; others may have classes of their own
        found = {head: misfit for head, misfit in found.items() if not misfit.fact.origin}
    for head in known.certainly(found):
        misfit = found[head]
        at = head.at or scope.graph.producer(head.value)
        if at is None:
            continue
        yield Finding(
            misfit.text,
            at,
            evidence=(head_evidence(head), misfit.fact, loss_evidence(judged[head])),
            help=misfit.help,
            why="the loss and the head do not speak of the same classes",
            level=misfit.level,
        )


def _misfit(scope: Scope, head: Head, loss: Loss, training: Training) -> _Misfit | None:
    shape = scope[shapes].of(head.value)
    if shape is None or len(shape) < 2:
        return None
    flat = len(shape) == 2
    width = shape[1] if flat or (head.site is not None and loss.over == "classes") else units_of(head, scope[shapes])
    if not isinstance(width, int) or (not flat and width not in (shape[1], shape[-1])):
        return None
    if loss.over == "classes":
        if head.site is not None and head.site.written_out and (head.softmax is None or width == 1):
            return None  # the logarithm of a rate, of a likelihood, of a probability of the target
        alone = _one_class(scope, head, loss, training, width, flat)
        return alone or _against_classes(scope, shape, width, training) or _against_ids(shape, width, training)
    return _binary(scope, head, loss, training, width) if flat else None


def _one_class(scope: Scope, head: Head, loss: Loss, training: Training, width: int, flat: bool) -> _Misfit | None:
    """One unit where the loss normalises over classes. In a map, one channel may be normalised over places."""
    told = flat or head.site is not None or (isinstance(training.task, Known) and training.task.value == "segmentation")
    if width != 1 or not told or classes_of(head, scope[shapes], scope.graph) == 1:
        return None
    return _Misfit(
        f"1 unit under {loss.name}: over one class its softmax is always 1",
        ERROR,
        Evidence("units", 1),
        "give each class a unit, or use binary_cross_entropy_with_logits with one",
    )


def _against_classes(scope: Scope, shape: tuple[object, ...], width: int, training: Training) -> _Misfit | None:
    classes, extra = training.classes, int(scope.options["extra"])
    if not isinstance(classes, Known) or any(size in (classes.value, classes.value + extra) for size in shape[1:]):
        return None
    fits = classes.value <= width <= classes.value + extra
    if fits or (width > classes.value and len(shape) > 2):
        return None
    return _count(width, f"{classes.value} classes", classes, width < classes.value)


def _against_ids(shape: tuple[object, ...], width: int, training: Training) -> _Misfit | None:
    """Class ids are counted from 0; targets up to 1 may be probabilities."""
    targets = training.targets
    if training.classes.known or not isinstance(targets, Known) or not targets.value.hi.is_integer():
        return None
    top = int(targets.value.hi)
    if top < 2 or targets.value.lo < 0 or width > top or top + 1 in shape[1:]:
        return None
    return _count(width, f"class ids up to {top}", targets, True)


def _count(width: int, wanted: str, said: Known[int] | Known[Interval], short: bool) -> _Misfit:
    return _Misfit(
        f"{width} unit{'' if width == 1 else 's'} for {wanted}",
        ERROR if short else WARNING,
        Evidence("classes", str(said.value), said.origin),
        "give the last layer one unit for each class",
    )


def _binary(scope: Scope, head: Head, loss: Loss, training: Training, width: int) -> _Misfit | None:
    """Units that are scored one by one: one for two classes, else one for each label."""
    classes = training.classes
    targets = scope[shapes].of(head.site.targets) if head.site is not None else None
    two = "use one unit, or cross_entropy over the two"
    if width == 2 and targets is not None and len(targets) == 2 and targets[1] == 1:
        text = f"2 units under {loss.name}, against one target a sample"
        return _Misfit(text, ERROR, Evidence("target", [str(size) for size in targets]), two)
    if not isinstance(classes, Known) or (width == 1 and classes.value <= 2):
        return None
    single = isinstance(training.task, Known) and training.task.value == "classification"
    if width == classes.value == 2 and single and head.site is None:
        text = f"2 units under {loss.name} for 2 classes that exclude each other"
        return _Misfit(text, WARNING, Evidence("classes", 2, classes.origin), two)
    if width == classes.value or classes.value < width <= classes.value + int(scope.options["extra"]):
        return None
    return _count(width, f"{classes.value} classes", classes, width < classes.value)
