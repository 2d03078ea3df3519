"""A head whose bias starts at zero, though the targets are known to lie elsewhere.

## What it does
In a freshly initialised model, with the class counts or the mean of the targets in the training contract, reports heads
whose bias is near zero (or missing) where

- the most frequent class has more than `skew` times (10) the samples of the rarest, or
- the mean target is more than `distance` (3) away from zero, measured in standard deviations of what the head
  computes at the start, or in units where that is not known.

## Why is this bad
The first thing the network learns is then the bias, and until it has, all layers below are pushed to imitate it: the
loss falls steeply and uselessly, and in detection rare classes can make the first steps diverge.

## Example
```onnx
# given stage=init loss=cross_entropy class-counts=9000,500,100
skewed (float[N, 4] x) => (float[N, 3] y)
<float[4, 3] w = {0.4, -0.8, 0.1, 0.6, -0.5, 0.3, 0.2, -0.1, 0.7, -0.4, 0.3, 0.2}, float[3] b = {0, 0, 0}> {
    y = Gemm(x, w, b)   # want note "counts differ by a factor of 90"
}
```
```onnx
# given stage=init loss=mse_loss target-mean=180
far_targets (float[N, 4] x) => (float[N, 1] y) <float[4, 1] w = {0.4, -0.8, 0.1, 0.6}> {
    y = MatMul(x, w)   # want note "the mean target is 180"
}
```
As a torch module:
```torch
# given loss=cross_entropy inputs=8,32 class-counts=9000,500,100
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(32, 64)
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        h = torch.relu(self.hidden(x))
        return self.head(h)      # want note "counts differ by a factor of 90"
```

## Use instead
The logarithms of the shares of the classes; for a regression the mean of the targets.
```onnx
# given stage=init loss=cross_entropy class-counts=9000,500,100
logs_of_shares (float[N, 4] x) => (float[N, 3] y)
<float[4, 3] w = {0.4, -0.8, 0.1, 0.6, -0.5, 0.3, 0.2, -0.1, 0.7, -0.4, 0.3, 0.2}, float[3] b = {-0.06, -2.96, -4.56}> {
    y = Gemm(x, w, b)
}
```

## Spares
Balanced classes, targets around zero, and everything where neither is stated.
```onnx
# given stage=init loss=cross_entropy class-counts=900,500,700
balanced (float[N, 4] x) => (float[N, 3] y)
<float[4, 3] w = {0.4, -0.8, 0.1, 0.6, -0.5, 0.3, 0.2, -0.1, 0.7, -0.4, 0.3, 0.2}, float[3] b = {0, 0, 0}> {
    y = Gemm(x, w, b)
}
```

## Known limits
Targets that are standardised before training need no such bias: state the mean that the loss sees. Class weights and
resampling in the loss, which do the same, are not seen.

## References
Lin et al.: Focal Loss for Dense Object Detection (2017), section 4.1, on the prior in the bias. Karpathy: A Recipe for
Training Neural Networks (2019), "init well".
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from netlint.analyses.contract import contract
from netlint.analyses.roles import Head, roles
from netlint.analyses.stage import fan_in, stage
from netlint.analyses.variance import variance
from netlint.analyses.weights import real_weights
from netlint.rule import NOTE, Evidence, Finding, Option, Scope, Unavailable, rule
from netlint.training import Known

from ._surroundings import fresh_model

_SKEW = Option("skew", 10.0, "how many times as frequent as the rarest class the most frequent one may be")
_DISTANCE = Option("distance", 3.0, "how far from zero the mean target may be, in standard deviations of the output")
_SMALL = 0.2


@rule(
    "INI007",
    "output-bias-ignores-prior",
    level=NOTE,
    since="0.2",
    status="preview",
    requires=(contract, roles, stage, real_weights, variance),
    options=(_SKEW, _DISTANCE),
)
def output_bias_ignores_prior(scope: Scope) -> Iterator[Finding]:
    training = scope[contract]
    counts, mean = training.class_counts, training.target_mean
    if not isinstance(counts, Known) and not isinstance(mean, Known):
        raise Unavailable("needs the class counts or the mean target: --class-counts or --target-mean")
    if not fresh_model(scope[stage]):
        return
    for head in scope[roles].predictions:
        if head.layer is None or not scope[stage].fresh(head.layer) or not _near_zero(head, scope):
            continue
        if isinstance(counts, Known):
            yield from _classes(head, counts, scope)
        elif isinstance(mean, Known) and head.affine:
            yield from _regression(head, mean, scope)


def _near_zero(head: Head, scope: Scope) -> bool:
    """Whether the bias is missing, or within what initialisers draw."""
    layer, stats = head.layer, scope[real_weights]
    if layer is None or layer.kind in ("recurrent", "embedding"):
        return False
    if layer.bias is None:
        return True
    bounds, inputs = stats.bounds(layer.bias), fan_in(layer, stats)
    if bounds is None:
        return False
    return max(abs(bounds[0]), abs(bounds[1])) <= max(_SMALL, 1.01 / sqrt(inputs or 1))


def _classes(head: Head, counts: Known[tuple[int, ...]], scope: Scope) -> Iterator[Finding]:
    layer = head.layer
    shape = scope[real_weights].shape(layer.weight) if layer is not None else None
    if layer is None or shape is None or layer.unit_axis is None:
        return
    units, classes = shape[layer.unit_axis], len(counts.value)
    ratio = max(counts.value) / max(min(counts.value), 1)
    if ratio <= float(scope.options["skew"]) or (units != classes and (units, classes) != (1, 2)):
        return
    yield Finding(
        f"the bias of the head starts at 0, but the class counts differ by a factor of {ratio:.3g}",
        layer.node,
        (
            Evidence("class counts", list(counts.value), counts.origin),
            Evidence("stage", "init", scope[stage].origin),
        ),
        "start the bias at the logarithms of the classes' shares",
        "the first steps go into learning the shares, and push all layers below to imitate them",
    )


def _regression(head: Head, mean: Known[float], scope: Scope) -> Iterator[Finding]:
    layer = head.layer
    signal = scope[variance].signal(layer.output) if layer is not None else None
    size = sqrt(signal.square) if signal is not None else 1.0
    if layer is None or abs(mean.value) <= float(scope.options["distance"]) * max(size, 1e-12):
        return
    yield Finding(
        f"the bias of the head starts at 0, but the mean target is {mean.value:g}",
        layer.node,
        (
            Evidence("mean target", mean.value, mean.origin),
            Evidence("size of the output at the start", size, scope[variance].assumed),
            Evidence("stage", "init", scope[stage].origin),
        ),
        "start the bias at the mean of the targets, or standardise the targets",
        "the first steps go into learning the mean, and push all layers below to imitate it",
    )
