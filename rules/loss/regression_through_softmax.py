"""A regression whose head ends in softmax.

## What it does

Reports a head that ends in softmax under a squared or absolute error, where the task is declared as regression or
autoencoder, or where the declared targets reach below 0. Targets that are declared to lie within 0..1 are spared: they
may be probabilities.

## Why is this bad

The outputs of a softmax are positive and sum to 1. Values that do not sum to 1 can never be reached, and no output can
change without all the others.

## Example

```onnx
# given loss=mse_loss task=regression
regressor (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)      # want error "a regression ends in softmax: its 2 outputs sum to 1"
}
```

```onnx
# given loss=l1_loss targets=-1..1
regressor (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)      # want error "its 2 outputs sum to 1, targets lie in [-1, 1]"
}
```

```onnx
# given task=autoencoder loss=mse_loss
autoencoder (float[N, 2] x) => (float[N, 2] y)
<float[2, 3] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[3, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    r = Relu(h)
    o = MatMul(r, v)
    y = Softmax <axis = 1> (o)      # want error "a regression ends in softmax"
}
```

```torch
# given task=regression loss=mse_loss inputs=4,3 targets=4,2
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return self.fc(x).softmax(-1)      # want error "a regression ends in softmax"
```

## Use instead

```onnx
# given loss=mse_loss task=regression
regressor (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)
}
```

## Spares

Regression to probabilities, declared by the range of the targets:

```onnx
# given loss=mse_loss task=regression targets=0..1
forecast (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
}
```

The expectation over bins, where constants weigh the probabilities:

```onnx
# given loss=mse_loss task=regression
expectation (float[N, 3] x) => (float[N, 1] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 1] bins = {0, 10}>
{
    h = MatMul(x, w)
    p = Softmax <axis = 1> (h)
    y = MatMul(p, bins)
}
```

## Known limits

A softmax over one unit is reported by `softmax-over-one-unit`, one whose task is not declared by
`mse-for-classification`, a ReLU head for negative targets by `relu-on-signed-output`.

## References

- E. Schoop, F. Huang, B. Hartmann: UMLAUT: Debugging deep learning programs using program structure and model
  behavior. CHI 2021.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract
from netlint.analyses.roles import Head, roles
from netlint.analyses.shapes import shapes
from netlint.rule import ERROR, Evidence, Finding, Scope, rule
from netlint.training import Known, Training

from ._heads import classes_of, head_evidence, loss_evidence, probabilities_declared, regression_declared


@rule("LOS008", "regression-through-softmax", level=ERROR, since="0.2", requires=(roles, contract, shapes))
def regression_through_softmax(scope: Scope) -> Iterator[Finding]:
    known, training = scope[roles], scope[contract]
    judged = {head: loss for head, loss in known.reads(training) if loss.value.kind in ("squared", "absolute")}
    if not judged or not regression_declared(training) or probabilities_declared(training):
        return
    counts = {head: classes_of(head, scope[shapes], scope.graph) for head in judged if _softmax(head)}
    for head in known.certainly(head for head, count in counts.items() if count != 1):
        count = f" {counts[head]}" if counts[head] else ""
        assert head.softmax is not None
        yield Finding(
            f"a regression ends in softmax: its{count} outputs sum to 1{_reach(training)}",
            head.softmax,
            evidence=(head_evidence(head), loss_evidence(judged[head]), *_said(training)),
            help="drop the softmax; for targets that are probabilities, declare --targets=0..1",
            why="values that do not sum to 1 cannot be reached, and no output can change without the others",
        )


def _softmax(head: Head) -> bool:
    return head.softmax is not None and not head.log


def _reach(training: Training) -> str:
    return f", targets lie in {training.targets.value}" if isinstance(training.targets, Known) else ""


def _said(training: Training) -> Iterator[Evidence]:
    """Who says that it is a regression."""
    task, targets = training.task, training.targets
    if isinstance(task, Known):
        yield Evidence("task", task.value, task.origin)
    if isinstance(targets, Known):
        yield Evidence("targets", [targets.value.lo, targets.value.hi], targets.origin)
