"""A head that cannot reach its targets.

## What it does

Reports a head whose last activation bounds it (sigmoid, tanh, softplus, softsign, a clip, arctangent …), where the
proved range of the output does not contain the targets' range. A rectifier with negative targets is reported by
relu-on-signed-output (ACT001).

Of a loss over probabilities of each unit (binary cross-entropy, Dice) the targets are 0 and 1, whatever else is known:
a sigmoid that cannot get to the other side of 1/2 is reported.

## Why is this bad

Targets outside the range can never be predicted: their error has a floor, and the units are driven into saturation,
where the gradient vanishes.

## Example

```onnx
# given targets=0..10
regressor (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    y = Sigmoid(h)      # want error "lies in (0, 1), targets in [0, 10]"
}
```

```onnx
# given targets=0..255
decoder (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    y = Tanh(h)      # want "lies in (-1, 1), targets in [0, 255]"
}
```

```onnx
# given targets=-1..1
positive (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    y = Softplus(h)      # want "lies in (0, inf), targets in [-1, 1]"
}
```

```onnx
# given targets=0..10
scaled_too_little (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float five = {5}>
{
    h = Gemm(x, w, b)
    s = Sigmoid(h)      # want "lies in (0, 5), targets in [0, 10]"
    y = Mul(s, five)
}
```

A ReLU before the sigmoid:

```onnx
# given loss=binary_cross_entropy
detector (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)
    r = Relu(h)
    y = Sigmoid(r)      # want error "the output lies in [0.5, 1"
}
```

## Use instead

```onnx
# given targets=0..10
regressor (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    y = Gemm(x, w, b)
}
```

## Spares

A range whose ends the targets touch, and a head that is scaled to them:

```onnx
# given targets=0..1
probabilities (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    y = Sigmoid(h)
}
```

```onnx
# given targets=-2..2
action (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float most = {2}>
{
    h = Gemm(x, w, b)
    t = Tanh(h)
    y = Mul(t, most)
}
```

```onnx
# given targets=-1..1
rescaled (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float two = {2}, float one = {1}>
{
    h = Gemm(x, w, b)
    s = Sigmoid(h)
    t = Mul(s, two)
    y = Sub(t, one)
}
```

Targets that are numbers of classes, not values:

```onnx
# given targets=0..9 task=classification
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    y = Softmax(h)
}
```

A last layer behind the activation, whose weights may scale it to any range:

```onnx
# given targets=0..10
hidden (float[N, 3] x) => (float[N, 1] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float[2, 1] v = {0.1, 0.2}>
{
    h = Gemm(x, w, b)
    s = Tanh(h)
    y = MatMul(s, v)
}
```

## Known limits

With several outputs and no loss in the graph, netlint does not know which one the targets belong to: it reports only
if every prediction misses them.

## References

- C. Bishop: Pattern recognition and machine learning, 2006, section 4.3.6, on output activations and their targets.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract, known_targets
from netlint.analyses.parameters import Parameters, parameters
from netlint.analyses.ranges import Range, training_ranges
from netlint.analyses.roles import Head, Roles, roles
from netlint.analyses.shapes import shapes
from netlint.rule import ERROR, Claim, Evidence, Finding, Option, Scope, Unavailable, rule
from netlint.training import Interval, Known, Training

_OF_VALUES = frozenset({"squared", "absolute"})
_TASKS = frozenset({"regression", "autoencoder", "gan"})
_CURE = "scale the head to the targets, scale the targets to the head, or end with the affine layer"


@rule(
    "ACT002",
    "output-range-misses-targets",
    level=ERROR,
    since="0.2",
    requires=(roles, contract, parameters, shapes, training_ranges),
    options=(Option("tolerance", 0.01, "share of the targets' range that may lie outside"),),
)
def output_range_misses_targets(scope: Scope) -> Iterator[Finding]:
    training = scope[contract]
    yield from _one_sided(scope)
    targets = known_targets(training)
    if _of_classes(training):
        return
    missed = {}
    for head in scope[roles].predictions:
        proved = _bounded(scope, head)
        if proved is None or not _misses(proved, targets.value, float(scope.options["tolerance"])):
            continue
        if _class_numbers(scope, head, training, targets.value) or _rectified(scope, head, proved, targets):
            continue
        missed[head] = proved
    for head in scope[roles].certainly(missed):
        yield from _finding(head, missed[head], targets)


def _one_sided(scope: Scope) -> Iterator[Finding]:
    """Probabilities of a loss over labels 0 and 1 that stay on one side of 1/2, as a sigmoid of a ReLU does."""
    try:
        pairs = dict(scope[roles].reads(scope[contract]))
    except Unavailable:
        return
    units = [head for head, loss in pairs.items() if (loss.value.wants, loss.value.over) == ("probabilities", "units")]
    proved = {head: found for head in units if head.sigmoid and (found := _bounded(scope, head)) is not None}
    for head in scope[roles].certainly(head for head, found in proved.items() if found.lo >= 0.5 or found.hi <= 0.5):
        labels = Known(Interval(0.0, 1.0), f"{pairs[head].value.name}, {pairs[head].origin}")
        yield from _finding(head, proved[head], labels, "let the sigmoid read the affine layer, without a ReLU")


def _finding(head: Head, proved: Range, targets: Known[Interval], cure: str = _CURE) -> Iterator[Finding]:
    assert head.activation is not None
    low, high = max(proved.lo - targets.value.lo, 0.0), max(targets.value.hi - proved.hi, 0.0)
    yield Finding(
        f"the output lies in {proved}, targets in {targets.value}",
        head.activation,
        evidence=(
            Evidence("last activation", head.activation.op),
            Evidence("output", [proved.lo, proved.hi]),
            Evidence("targets", [targets.value.lo, targets.value.hi], targets.origin),
            Evidence("out of reach", [low, high]),
        ),
        help=cure,
        why="targets out of range keep their error whatever is learned, and drive the units into saturation",
        claim=Claim(head.value, proved.lo, proved.hi),
    )


def _of_classes(training: Training) -> bool:
    """Whether the targets are classes, which are counted and not reached."""
    loss, task = training.loss, training.task
    if isinstance(loss, Known):
        return loss.value.kind not in _OF_VALUES
    return (isinstance(task, Known) and task.value not in _TASKS) or (not task.known and training.classes.known)


def _bounded(scope: Scope, head: Head) -> Range | None:
    """The proved range of a head that an activation bounds, whatever the weights are; None for others."""
    if head.activation is None or (head.softmax is not None and not scope[contract].loss.known):
        return None
    after = head.chain[: head.chain.index(head.activation)]
    if any(node.op == "BatchNormalization" for node in after) or not all(
        _one_number(scope[roles], scope[parameters], value) for node in after for value in node.inputs
    ):
        return None
    proved = scope[training_ranges].of(head.value)
    return proved if proved.known and not proved.assumed else None


def _one_number(known: Roles, stored: Parameters, value: object) -> bool:
    """Whether an operand is no vector of weights: training may change these."""
    from netlint.graph import Value

    if not isinstance(value, Value) or not stored.constant(value):
        return True
    integer = (value.dtype or "").startswith(("int", "bool"))
    return not value.trainable and (integer or known.number(value) is not None)


def _misses(proved: Range, targets: Interval, tolerance: float) -> bool:
    width = targets.hi - targets.lo
    slack = tolerance * (width if 0 < width < float("inf") else max(abs(targets.lo), 1.0))
    return proved.lo > targets.lo + slack or proved.hi < targets.hi - slack


def _class_numbers(scope: Scope, head: Head, training: Training, targets: Interval) -> bool:
    """Whether the targets may be the numbers of the head's own units."""
    if training.loss.known or training.task.known:
        return False
    shape = scope[shapes].of(head.value)
    last = shape[-1] if shape else None
    return targets.lo == 0 and isinstance(last, int) and last > 1 and targets.hi in (last - 1, last)


def _rectified(scope: Scope, head: Head, proved: Range, targets: Known[Interval]) -> bool:
    """Whether all that is missed are negative targets of a rectifier: relu-on-signed-output speaks of it."""
    assert head.activation is not None
    rectifier = scope[roles].rectifier(head.activation) is not None
    return rectifier and proved.lo >= 0 > targets.value.lo and proved.hi >= targets.value.hi
