"""The model cannot learn a single small batch by heart.

## What it does
Reports a training on one small batch that came to a halt with more than `share` (20 %) of the avoidable loss left: the
loss did not fall any further in the last half of the steps. It is an error where the data were given, a warning where
they are made up.

## Why is this bad
A network with more weights than the batch has targets can learn it by heart. One that cannot has a fault that no
amount of data will hide: gradients that are cut off, the wrong loss, an output that cannot reach its targets.

## Example
Softmax before a loss that applies it again: with 10 classes the loss cannot fall below 1.461.
```torch
# given probe=cpu loss=cross_entropy inputs=16,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x))).softmax(1)     # want "of the avoidable loss is left"
```

## Use instead
```torch
# given probe=cpu loss=cross_entropy inputs=16,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))
```

## Spares
Models that are too small to know the batch by heart:
```torch
# given probe=cpu loss=cross_entropy inputs=16,2 stage=init
class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2, 3)

    def forward(self, x):
        return self.head(x)
```

## Known limits
Where training moves too few weights, nothing is said, unless it moves nothing but the bias of the last layer. Nor is it
where the loss was still falling when the time was up: `--probe-budget` gives it more. With made-up targets, models that
answer every position (segmentation, autoencoders, language models) are not judged: noise cannot be learnt by structure.

## References
Karpathy: A Recipe for Training Neural Networks (2019), "overfit one batch". TheDeepChecker wants a loss below 1e-5 on
16 samples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import isfinite, prod

from netlint.analyses.layers import layers
from netlint.analyses.parameters import parameters
from netlint.analyses.roles import roles
from netlint.analyses.shapes import shapes
from netlint.graph import Value
from netlint.probe.observed import Overfit, Passes
from netlint.probe.stages import overfit, passes
from netlint.rule import ERROR, WARNING, Evidence, Finding, Option, Scope, rule

from ._measured import FEW, setting

_SHARE = Option("share", 0.2, "the share of the avoidable loss that may be left")
_HALTED = 0.97
"""A last half of the steps that leaves more than this of what the first half left has not learnt any further."""
_STEPS = 20
_WEIGHTS = 4
"""Weights for each number that is to be learnt by heart."""


@rule(
    "PRB007",
    "cannot-overfit-one-batch",
    level=ERROR,
    also=(WARNING,),
    since="0.3",
    status="preview",
    requires=(overfit, passes, parameters, layers, roles, shapes),
    options=(_SHARE,),
)
def cannot_overfit_one_batch(scope: Scope) -> Iterator[Finding]:
    found = scope[overfit]
    if not found.setup.true_loss or found.share <= scope.options["share"] or not _halted(found):
        return
    heads = scope[roles].predictions
    at = heads[0].at if heads else None
    if at is None or not _can(scope, found):
        return
    first, best = found.losses[0], min(found.losses)
    yield Finding(
        f"{found.share:.0%} of the avoidable loss is left after {len(found.losses) - 1} steps on one batch, and it no "
        f"longer falls: {first:.3g} at first, {best:.3g} at best",
        at,
        (
            Evidence("losses", [float(f"{loss:.4g}") for loss in found.losses[:: max(len(found.losses) // 8, 1)]]),
            Evidence("least possible", found.least),
            Evidence("optimizer", f"{found.optimizer}, learning rate {found.rate:g}"),
            *setting(found.setup),
        ),
        help="check that the loss fits the output, that no activation bounds it, and that gradients reach every layer",
        level=WARNING if found.setup.synthetic else ERROR,
    )


def _halted(found: Overfit) -> bool:
    losses = found.losses
    if len(losses) <= _STEPS or not all(map(isfinite, losses)):
        return False
    half = min(losses[: len(losses) // 2 + 1]) - found.least
    return min(losses) - found.least > _HALTED * half


def _can(scope: Scope, found: Overfit) -> bool:
    """Whether it has enough weights, and whether its targets can be learnt by heart at all."""
    if found.setup.samples < FEW or _alike(scope[passes], found.setup.samples):
        return False
    shape = scope[shapes].of(scope[roles].predictions[0].value)
    numbers = [dim for dim in (shape or ())[1:] if isinstance(dim, int)]
    if shape is None or (found.setup.synthetic and len(shape) > 2):
        return False
    moved = _moved(scope)
    enough = sum(prod(value.constant.shape) for value in moved if value.constant is not None)
    return enough >= _WEIGHTS * found.setup.samples * prod(numbers) or _is_bias_alone(scope, moved)


def _alike(run: Passes, samples: int) -> bool:
    """Whether two samples look the same to the model, so that nothing can learn them apart."""
    every = [given[:samples] for given in (run.outputs or {}).values()]
    rows = [tuple(row.tobytes() for row in one) for one in zip(*every, strict=False)]
    return len(set(rows)) < len(rows)


def _moved(scope: Scope) -> set[Value]:
    """The weights that gradient descent moves."""
    read = (scope[parameters].stored(value) for node in scope.graph.nodes for value in node.inputs)
    stored = {one.value for one in read if one is not None}
    return {value for value in stored if value.constant is not None and value.trainable is not False}


def _is_bias_alone(scope: Scope, moved: Collection[Value]) -> bool:
    """Whether all that training moves is the bias of a frozen layer that ends in the output: it adds the same to the
    prediction for every sample."""
    known = scope[parameters]
    last = [layer for layer in scope[layers].all if scope.graph.is_output(layer.output)]
    held = [(known.stored(layer.bias), known.stored(layer.weight)) for layer in last]
    frozen = {bias.value for bias, weight in held if bias and weight and weight.value.trainable is False}
    return bool(moved) and frozen.issuperset(moved)
