"""A softmax head that normalises over the samples of the batch, or over positions instead of classes.

## What it does

Reports a softmax or log-softmax head whose normalised axis runs over the samples of the batch, and, where a loss over
classes or a task is declared (classification, segmentation, language-model), one that normalises over positions
(pixels, time steps) while the classes lie on another axis. The axis of the classes is the one that counts the units of
the last layer, followed through layout operators. Of other log-softmaxes, those over the axis that a recurrent layer
before them takes for the batch are reported, as a warning.

## Why is this bad

The probabilities of one sample no longer sum to 1; they depend on which other samples happen to be in the batch. With
a batch of one, every output is 1. In PyTorch, `nn.Softmax()` without `dim` picks axis 0 for tensors of three axes.

## Example

```onnx
classifier (float[N, 3] x) => (float[N, 2] y) <float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 0> (h)      # want error "normalises over axis 0, which runs over the samples"
}
```

```onnx
written_out (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, int64[1] first = {0}>
{
    h = MatMul(x, w)
    e = Exp(h)
    s = ReduceSum(e, first)
    y = Div(e, s)      # want error "which runs over the samples"
}
```

```onnx
# given task=segmentation
segmenter (float[N, 1, 4, 4] x) => (float[N, 2, 4, 4] y) <float[2, 1, 1, 1] w = {0.1, -0.2}>
{
    h = Conv(x, w)
    y = Softmax <axis = 3> (h)      # want error "normalises over axis 3, but the 2 classes lie on axis 1"
}
```

```torch
# given loss=nll_loss inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)
    def forward(self, x):
        return F.log_softmax(self.fc(x), dim=0)      # want error "which runs over the samples"
```

The weights of a mixture for each step of each sequence, which come before the loss:

```torch
# given inputs=x:float32:7,4,5;y:float32:7,4,1
class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.means, self.parts = nn.LSTM(5, 6), nn.Linear(6, 3), nn.Linear(6, 3)
    def forward(self, x):
        h, _ = self.lstm(x)
        return self.means(h), self.parts(h).log_softmax(-2)      # want warning "over axis 1, which the recurrent layer"

def step(model, x, y):
    means, parts = model(x)
    return -torch.logsumexp(parts - (means - y) ** 2, -1).mean()
```

## Use instead

```onnx
classifier (float[N, 3] x) => (float[N, 2] y) <float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
}
```

## Spares

Attention: what is normalised over the keys weights the values.

```onnx
# given task=classification
attention (float[N, 4, 3] q, float[N, 4, 3] k, float[N, 4, 2] v) => (float[N, 4, 2] y)
{
    t = Transpose <perm = [0, 2, 1]> (k)
    s = MatMul(q, t)
    p = Softmax <axis = 2> (s)
    y = MatMul(p, v)
}
```

A spatial softmax that feeds a weighted sum:

```onnx
# given task=classification
keypoints (float[N, 1, 4, 4] x, float[16, 2] grid) => (float[N, 3, 2] y) <float[3, 1, 1, 1] w = {0.1, -0.2, 0.3},
int64[3] flat = {0, 3, 16}>
{
    h = Conv(x, w)
    r = Reshape(h, flat)
    p = Softmax <axis = 2> (r)
    y = MatMul(p, grid)
}
```

Channels-last outputs:

```onnx
# given task=segmentation
channels_last (float[N, 1, 4, 4] x) => (float[N, 4, 4, 2] y) <float[2, 1, 1, 1] w = {0.1, -0.2}>
{
    h = Conv(x, w)
    t = Transpose <perm = [0, 2, 3, 1]> (h)
    y = Softmax <axis = 3> (t)
}
```

One score for each candidate, all candidates being one sample:

```onnx
ranking (float[N, 3] candidates) => (float[N, 1] y) <float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(candidates, w)
    y = Softmax <axis = 0> (h)
}
```

Time first, and the log-probabilities of each step over the last axis, as CTC reads them:

```torch
# given inputs=7,4,5
class Recogniser(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.letters = nn.LSTM(5, 6), nn.Linear(6, 3)
    def forward(self, x):
        return self.letters(self.lstm(x)[0]).log_softmax(2)
```

## Known limits

The first axis of an input is taken to run over the samples (the second one where a recurrent layer reads it time
first); the finding says so. A model that takes one sample without a batch axis and has several outputs for each of its
rows is misread.

## References

- ONNX operators: Softmax, version 13.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.axes import axes
from netlint.analyses.axes_units import units_axis
from netlint.analyses.contract import contract
from netlint.analyses.layers import layers
from netlint.analyses.roles import Head, roles
from netlint.analyses.shapes import shapes
from netlint.analyses.streams import streams
from netlint.graph import Node, Shape
from netlint.rule import ERROR, WARNING, Evidence, Finding, Scope, rule
from netlint.training import Known

_LABELLED = ("classification", "segmentation", "language-model")


@rule(
    "ACT010",
    "softmax-wrong-axis",
    level=ERROR,
    also=(WARNING,),
    since="0.2",
    requires=(roles, layers, axes, shapes, contract, units_axis, streams),
)
def softmax_wrong_axis(scope: Scope) -> Iterator[Finding]:
    if not scope[layers].all:
        return  # an operator alone, no network
    yield from _heads(scope)
    heads = {head.softmax for head in scope[roles].predictions}
    yield from _hidden(scope, [node for node in scope.graph.of("LogSoftmax") if node not in heads])


def _heads(scope: Scope) -> Iterator[Finding]:
    for head in scope[roles].predictions:
        soft = scope[roles].softmax(head.softmax) if head.softmax is not None else None
        shape = scope[shapes].of(soft.data) if soft is not None else None
        over = scope[roles].softmax_axes(soft, len(shape)) if soft is not None and shape else None
        if soft is None or not shape or not over:
            continue
        batch = scope[axes].batch(soft.data)
        if batch in over and _several(shape, over):
            says = f"normalises over axis {batch}, which runs over the samples of the batch"
            taken: tuple[Evidence, ...] = (Evidence("assumed", "the first axis of the inputs runs over the samples"),)
        elif (units := _misplaced(scope, head, shape, over)) is not None:
            axis = ", ".join(map(str, over))
            says = f"normalises over axis {axis}, but the {shape[units]} classes lie on axis {units}"
            taken = tuple(_stated(scope))
        else:
            continue
        yield Finding(
            f"the softmax head {says}",
            soft.node,
            evidence=(Evidence("shape", list(shape)), Evidence("normalised axes", list(over)), *taken),
            help="normalise over the axis that counts the classes: name it (`dim=1` for [batch, classes, ...])",
            why="the probabilities of a sample do not sum to 1, and depend on other samples or positions",
        )


def _hidden(scope: Scope, nodes: list[Node]) -> Iterator[Finding]:
    """Log-probabilities inside a network, over the axis that a recurrent layer before them takes for the batch."""
    for node in nodes:
        soft, shape = scope[roles].softmax(node), scope[shapes].of(node.input(0))
        over = scope[roles].softmax_axes(soft, len(shape)) if soft is not None and shape else None
        batch = scope[streams].axis(node.input(0))
        if shape and over and batch in over and _several(shape, over):
            yield Finding(
                f"the log-softmax normalises over axis {batch}, which the recurrent layer before takes for the batch",
                node,
                level=WARNING,
                evidence=(Evidence("shape", list(shape)), Evidence("normalised axes", list(over))),
                help="normalise over the axis that counts the classes or components, mostly the last: `dim=-1`",
                why="the probabilities of a sequence do not sum to 1, and depend on other sequences",
            )


def _several(shape: Shape, over: tuple[int, ...]) -> bool:
    """Whether each sample has several numbers, all of known count; one number a row may be a ranking of candidates."""
    rest = [size for place, size in enumerate(shape) if place not in over]
    return any(isinstance(size, int) and size > 1 for size in rest)


def _misplaced(scope: Scope, head: Head, shape: Shape, over: tuple[int, ...]) -> int | None:
    """The axis of the classes, where a head of known purpose normalises over others."""
    if not any(_stated(scope)) or head.layer is None or head.softmax is None:
        return None
    units = scope[units_axis].of(head, head.softmax)
    several = units is not None and isinstance(shape[units], int) and shape[units] != 1
    return units if several and units not in over and len(shape) > 2 else None


def _stated(scope: Scope) -> Iterator[Evidence]:
    """What tells that the output means classes."""
    training = scope[contract]
    loss, task = training.loss, training.task
    if isinstance(loss, Known) and loss.value.over == "classes" and loss.value.kind == "cross-entropy":
        yield Evidence("loss", loss.value.name, loss.origin)
    if isinstance(task, Known) and task.value in _LABELLED:
        yield Evidence("task", task.value, task.origin)
