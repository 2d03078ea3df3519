"""A head that cannot be negative, for targets that are.

## What it does

Reports a head whose last activation is a rectifier (ReLU, ReLU6, a Clip or Max with a lower bound, Abs, and a choice
written out as `x if x > 0 else 0` or `x * (x > 0)`), and whose
result is proved to be at least 0, where the targets' range reaches below 0.

The same for logits, which have to take both signs: an error where the loss applies a sigmoid (no probability below 1/2
can be answered), a warning where it applies a softmax, or where the head ends in a softmax of such logits.

Where the targets' range is not known, a ReLU as the very last operator of a narrow dense head gives one note, which
names the flag that settles the matter.

## Why is this bad

The network can never answer with a negative number: every negative target costs at least its own distance from 0.
Units that learn to answer 0 get no gradient any more, so they stay there.

## Example

```onnx
# given targets=-1..1
regressor (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    y = Relu(h)      # want error "cannot be negative: it is at least 0, targets lie in [-1, 1]"
}
```

```onnx
# given targets=-1..1
regressor (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] zeros = {0, 0}>
{
    h = MatMul(x, w)
    up = Greater(h, zeros)
    y = Where(up, h, zeros)      # want "cannot be negative"
}
```

Logits:

```onnx
# given loss=binary_cross_entropy_with_logits
detector (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)
    y = Relu(h)      # want error "the logits cannot be negative: no probability is below 0.5"
}
```

```onnx
# given loss=cross_entropy
classifier (float[N, 3] x) => (float[N, 2] y) <float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Relu(h)      # want warning "the logits of cross_entropy cannot be negative"
}
```

```onnx
# given loss=nll_loss
classifier (float[N, 3] x) => (float[N, 2] y) <float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    r = Relu(h)      # want warning "the logits of LogSoftmax cannot be negative"
    y = LogSoftmax(r)
}
```

A policy, of which no loss is known:

```onnx
policy (float[N, 3] x) => (float[N, 2] y) <float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    r = Relu(h)      # want warning "the logits of Softmax cannot be negative"
    y = Softmax(r)
}
```

Without the targets' range the same head is only worth a question:

```onnx
regressor (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = MatMul(x, w)
    s = Add(h, b)
    y = Relu(s)      # want note "is the last operator of the output"
}
```

```torch
# given loss=mse_loss targets=-1..1 inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)
    def forward(self, x):
        return F.relu(self.fc(x))      # want error "cannot be negative"
```

## Use instead

```onnx
# given targets=-1..1
regressor (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    y = Gemm(x, w, b)
}
```

## Spares

ReLU inside the body, and targets that are known not to be negative:

```onnx
# given targets=0..1
counter (float[N, 3] x) => (float[N, 1] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 1] v = {1, 2}>
{
    h = MatMul(x, w)
    a = Relu(h)
    s = MatMul(a, v)
    y = Relu(s)
}
```

A ReLU that is shifted afterwards, so that the head does reach the targets:

```onnx
# given targets=-1..1
shifted (float[N, 3] x) => (float[N, 1] y)
<float[3, 1] w = {0.1, -0.2, 0.3}, float one = {1}>
{
    h = MatMul(x, w)
    a = Relu(h)
    y = Sub(a, one)
}
```

A choice that leaves negative numbers, such as a leaky ReLU:

```onnx
# given targets=-1..1
leaky (float[N, 3] x) => (float[N, 1] y)
<float[3, 1] w = {0.1, -0.2, 0.3}, float zero = {0}, float slope = {0.1}>
{
    h = MatMul(x, w)
    up = Greater(h, zero)
    low = Mul(h, slope)
    y = Where(up, h, low)
}
```

Logits that are averaged behind the ReLU, as fully convolutional classifiers do:

```onnx
# given loss=cross_entropy
pooled (float[N, 1, 4, 4] x) => (float[N, 2] y) <float[2, 1, 1, 1] w = {0.1, -0.2}>
{
    h = Conv(x, w)
    r = Relu(h)
    p = GlobalAveragePool(r)
    y = Flatten(p)
}
```

Feature extractors: a ReLU after convolution or normalisation, and wide outputs, give no note.

```onnx
features (float[N, 3, 8, 8] x) => (float[N, 2, 6, 6] y)
<float[2, 3, 3, 3] w = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}>
{
    h = Conv(x, w)
    y = Relu(h)
}
```

## Known limits

With several outputs and no loss in the graph, netlint does not know which one the targets belong to: it reports only
if every prediction is non-negative.

## References

- X. Glorot, A. Bordes, Y. Bengio: Deep sparse rectifier neural networks. AISTATS 2011.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netlint.analyses.contract import contract, known_targets
from netlint.analyses.ranges import ranges
from netlint.analyses.roles import Head, roles
from netlint.analyses.shapes import shapes
from netlint.graph import Node
from netlint.rule import ERROR, NOTE, WARNING, Claim, Evidence, Finding, Scope, Unavailable, rule
from netlint.training import Known, Loss, Training

# A regressor answers with few numbers; a wide ReLU output is an embedding.
_WIDEST = 16


@rule(
    "ACT001",
    "relu-on-signed-output",
    level=ERROR,
    also=(WARNING, NOTE),
    since="0.1",
    requires=(roles, contract, ranges, shapes),
)
def relu_on_signed_output(scope: Scope) -> Iterator[Finding]:
    training = scope[contract]
    yield from _logits(scope)
    if not training.targets.known and _open_ended(training):
        yield from _questions(scope)
    targets = known_targets(training)
    if targets.value.lo >= 0 or (isinstance(training.loss, Known) and training.loss.value.wants == "logits"):
        return
    floors = {head: floor for head in scope[roles].predictions if (floor := _floor(scope, head)) is not None}
    for head in scope[roles].certainly(floors):
        floor = floors[head]
        assert head.activation is not None
        yield Finding(
            f"the output cannot be negative: it is at least {floor:g}, targets lie in {targets.value}",
            head.activation,
            evidence=(
                Evidence("last activation", head.activation.op),
                Evidence("least output", floor),
                *_assumed(scope, head),
                Evidence("targets", [targets.value.lo, targets.value.hi], targets.origin),
            ),
            help="end the head with the affine layer, or with an activation whose range covers the targets",
            why="negative targets cannot be reached, and units that answer 0 get no gradient",
            claim=Claim(head.value, floor, float("inf")),
        )


def _logits(scope: Scope) -> Iterator[Finding]:
    """Heads of a loss that applies sigmoid or softmax itself, and so needs numbers of both signs."""
    try:
        pairs = dict(scope[roles].reads(scope[contract]))
    except Unavailable:
        yield from _softmax_logits(scope, dict.fromkeys(scope[roles].predictions))
        return
    yield from _softmax_logits(scope, pairs)
    cut = [head for head, loss in pairs.items() if loss.value.wants == "logits" and head.exact and head.floor == 0.0]
    for head in scope[roles].certainly(cut):
        loss, each = pairs[head], pairs[head].value.over == "units"
        says = "cannot be negative: no probability is below 0.5" if each else "cannot be negative"
        assert head.activation is not None
        yield Finding(
            f"the logits {says}" if each else f"the logits of {loss.value.name} {says}",
            head.activation,
            evidence=(
                Evidence("last activation", head.activation.op),
                Evidence("least output", 0.0),
                Evidence("loss", loss.value.name, loss.origin),
            ),
            help="end the head with the affine layer: the loss applies its own activation",
            why="logits need both signs, and units that answer 0 get no gradient",
            level=ERROR if each else WARNING,
            claim=Claim(head.value, 0.0, float("inf")),
        )


def _softmax_logits(scope: Scope, pairs: Mapping[Head, Known[Loss] | None]) -> Iterator[Finding]:
    """Heads that end in the softmax of rectified logits, whatever reads their probabilities."""
    cut = {head: node for head in pairs if (node := _rectified_logits(scope, head)) is not None}
    for head in scope[roles].certainly(cut):
        loss = pairs[head]
        assert head.softmax is not None
        yield Finding(
            f"the logits of {head.softmax.op} cannot be negative",
            cut[head],
            evidence=(
                Evidence("last activation before it", cut[head].op),
                Evidence("least logit", 0.0),
                *((Evidence("loss", loss.value.name, loss.origin),) if loss is not None else ()),
            ),
            help="let the softmax read the affine layer",
            why="logits need both signs, and units that answer 0 get no gradient",
            level=WARNING,
        )


def _rectified_logits(scope: Scope, head: Head) -> Node | None:
    """The rectifier whose result a head's softmax reads, with nothing but layout in between."""
    soft = scope[roles].softmax(head.softmax) if head.softmax is not None else None
    node = scope[roles].source_node(soft.data) if soft is not None else None
    return node if node is not None and scope[roles].rectifier(node) == 0.0 else None


def _open_ended(training: Training) -> bool:
    """Whether the output may be a regression of anything: nobody has declared a task, nor a loss over classes."""
    loss = training.loss
    return not training.task.known and not (isinstance(loss, Known) and loss.value.kind == "cross-entropy")


def _floor(scope: Scope, head: Head) -> float | None:
    """The least value of a rectified head; None if the head is not rectified, or may be negative."""
    if head.activation is None or scope[roles].rectifier(head.activation) is None:
        return None
    # Behind layout alone the rectifier's own bound holds; behind arithmetic the proved range has the last word.
    floor = head.floor if head.exact else None
    proved = scope[ranges].of(head.value)
    bounds = [bound for bound in (floor, proved.lo if proved.known else None) if bound is not None]
    return max(bounds) if bounds and max(bounds) >= 0 else None


def _assumed(scope: Scope, head: Head) -> Iterator[Evidence]:
    """The declared input range, where the proved output rests on it."""
    declared = scope[contract].input_range
    if not head.exact and scope[ranges].of(head.value).assumed and isinstance(declared, Known):
        yield Evidence("inputs", [declared.value.lo, declared.value.hi], declared.origin)


def _questions(scope: Scope) -> Iterator[Finding]:
    predictions = scope[roles].predictions
    if len(predictions) != 1:
        return
    head = predictions[0]
    rectified = head.activation is not None and head.activation.op == "Relu" and head.floor is not None
    if head.activation is not None and rectified and _narrow_dense(scope, head):
        yield Finding(
            "a ReLU is the last operator of the output, which cannot be negative",
            head.activation,
            evidence=(Evidence("least output", 0.0),),
            help="fine for targets that are never negative; --targets=LOW..HIGH tells their range",
            level=NOTE,
        )


def _narrow_dense(scope: Scope, head: Head) -> bool:
    """Whether a head looks like a regressor: one dense layer of few units, no normalisation, a vector per sample."""
    shape = scope[shapes].of(head.value)
    if head.layer is None or head.layer.kind != "dense" or shape is None or not 1 <= len(shape) <= 2:
        return False
    if any(node is not head.activation and node.op == "BatchNormalization" for node in head.chain):
        return False
    return isinstance(shape[-1], int) and shape[-1] <= _WIDEST
