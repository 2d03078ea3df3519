"""Batch normalisation with running statistics that cannot be right.

## What it does
Reports batch normalisation for inference whose stored statistics are broken:

- **error** for a running variance that, with `epsilon` added, is zero or negative: the square root is NaN, or divides
  by zero.
- **warning** for a negative running variance, and for running variances that are all zero: no batch has them.
- **warning** for statistics as they were created (mean 0, variance 1) beside trained scales and shifts, or in a model
  that is stated to be trained.

## Why is this bad
In inference the layer divides by the running standard deviation. If that was never updated, the model computes
something else than it did in training: the statistics were not saved, the momentum was 0 (in TensorFlow, 1), or the
updates were not run.

## Example
```onnx
negative (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y)
<float[2] s = {1.1, 0.8}, float[2] b = {0.1, -0.2}, float[2] mean = {0.3, 0.5}, float[2] var = {0.4, -0.3}> {
    y = BatchNormalization(x, s, b, mean, var)   # want error "running variance of -0.3"
}
```
```onnx
wiped (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y)
<float[2] s = {1.1, 0.8}, float[2] b = {0.1, -0.2}, float[2] mean = {0.3, 0.5}, float[2] var = {0, 0}> {
    y = BatchNormalization(x, s, b, mean, var)   # want warning "all 2 running variances are 0"
}
```
```onnx
# given stage=trained
never_updated (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y)
<float[2] s = {1.1, 0.8}, float[2] b = {0.1, -0.2}, float[2] mean = {0, 0}, float[2] var = {1, 1}> {
    y = BatchNormalization(x, s, b, mean, var)   # want warning "never updated"
}
```
As a torch module:
```torch
# given stage=trained inputs=2,3,8,8 mode=eval
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        nn.init.normal_(self.norm.weight, 1.0, 0.2)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))      # want warning "never updated"
```

## Use instead
```onnx
# given stage=trained
updated (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y)
<float[2] s = {1.1, 0.8}, float[2] b = {0.1, -0.2}, float[2] mean = {0.3, 0.5}, float[2] var = {0.4, 0.7}> {
    y = BatchNormalization(x, s, b, mean, var)
}
```

## Spares
Single channels of variance 0, which `epsilon` saves: a channel that is constant in training has it. Fresh models.
```onnx
# given stage=init
fresh (float[N, 2, 4, 4] x) => (float[N, 2, 4, 4] y)
<float[2] s = {1, 1}, float[2] b = {0, 0}, float[2] mean = {0, 0}, float[2] var = {1, 1},
 float[2] mean2 = {0.2, 0}, float[2] var2 = {1.2, 0}> {
    h = BatchNormalization(x, s, b, mean, var)
    y = BatchNormalization(h, s, b, mean2, var2)
}
```

## Known limits
Converters that write a plain scale and shift as batch normalisation give it mean 0 and variance 1 as well: without a
stated stage, such a layer is reported only beside others whose statistics were updated. Batch normalisation that
normalises with the batch's own statistics (training mode) is not judged.

## References
Ioffe, Szegedy: Batch Normalization (2015), algorithm 2. Ben Braiek, Khomh: TheDeepChecker (2023).
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.stage import Stages, stage
from netlint.analyses.weights import Weights, WeightStats, real_weights
from netlint.graph import Node
from netlint.rule import ERROR, WARNING, Evidence, Finding, Scope, rule

_EPSILON = 1e-5
_NOTHING = 1e-30


@rule(
    "INI011",
    "batchnorm-statistics",
    level=WARNING,
    also=(ERROR,),
    since="0.2",
    status="preview",
    requires=(real_weights, stage),
)
def batchnorm_statistics(scope: Scope) -> Iterator[Finding]:
    nodes = [node for node in scope.graph.of("BatchNormalization") if not node.attrs.get("training_mode", 0)]
    stats = scope[real_weights]
    fresh = [node for node in nodes if _untouched(node, stats)]
    known = {node for node in nodes if stats.of(node.input(4)) is not None}
    for node in nodes:
        variances = stats.of(node.input(4))
        if variances is not None and not variances.nan:
            yield from _broken(node, variances, stats)
    for node in fresh:
        if _is_trained(node, scope[stage], some_updated=len(fresh) < len(known)):
            yield _stale(node, scope)


def _broken(node: Node, variances: WeightStats, stats: Weights) -> Iterator[Finding]:
    epsilon = float(node.attrs.get("epsilon", _EPSILON))
    evidence = (Evidence("least variance", variances.lo), Evidence("epsilon", epsilon))
    advice = "take an earlier checkpoint, or let training batches pass again to estimate the statistics"
    if variances.lo + epsilon <= 0:
        text = f"a running variance of {variances.lo:.3g} with epsilon {epsilon:.3g}"
        yield Finding(
            text, node, evidence, advice, "the layer divides by its square root: NaN or infinity", level=ERROR
        )
    elif variances.lo < 0:
        text = f"a running variance of {variances.lo:.3g}"
        yield Finding(text, node, evidence, advice, "no batch has a negative variance: the statistics are corrupted")
    elif variances.hi < _NOTHING and (count := _channels(node, stats)) > 1:
        why = f"what the layer reads is multiplied by 1/√epsilon = {epsilon**-0.5:.3g}"
        yield Finding(f"all {count} running variances are 0", node, evidence, advice, why)


def _channels(node: Node, stats: Weights) -> int:
    value = node.input(4)
    shape = stats.shape(value) if value is not None else None
    return shape[0] if shape else 0


def _untouched(node: Node, stats: Weights) -> bool:
    mean, variances = stats.of(node.input(3)), stats.of(node.input(4))
    return mean is not None and variances is not None and mean.zero and variances.constant and variances.lo == 1


def _is_trained(node: Node, stages: Stages, some_updated: bool) -> bool:
    """Whether the layer has been trained: its own parameters, or the whole model by statement."""
    if stages.whole != "trained":
        return False
    return stages.stated or (stages.touched(node) is True and some_updated)


def _stale(node: Node, scope: Scope) -> Finding:
    return Finding(
        "the running statistics are mean 0 and variance 1, never updated",
        node,
        (Evidence("stage", "trained", scope[stage].origin),),
        "save and load the buffers with the weights; check momentum and training mode",
        "in inference the layer does not normalise, unlike in training",
    )
