"""The output is the same whatever the input.

## What it does
Reports an output that did not change from sample to sample, relative to its size, and hidden layers all of whose units
computed the same.

## Why is this bad
Such an output knows nothing of the input: something on the way is zero, saturated or not read at all. Equal units get
equal gradients and stay equal, so the layer is as good as one unit.

## Example
The input is read and forgotten:
```torch
# given probe=cpu loss=cross_entropy inputs=16,20 stage=init
class Forgotten(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = nn.Parameter(torch.randn(64))
        self.hidden = nn.Linear(64, 64)
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        h = self.start.expand(x.shape[0], 64) + 0 * x[:, :1]
        return self.head(torch.relu(self.hidden(h)))      # want "the output is the same for all"
```
All weights begin with the same number:
```torch
# given probe=cpu loss=cross_entropy inputs=16,20 stage=init
class Equal(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)
        nn.init.constant_(self.hidden.weight, 0.1)
        nn.init.zeros_(self.hidden.bias)

    def forward(self, x):
        h = self.hidden(x)      # want "all 64 units compute the same"
        return self.head(torch.relu(h))
```

## Use instead
```torch
# given probe=cpu loss=cross_entropy inputs=16,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))
```

## Spares
A head of zeros, which gets a gradient and leaves zero with the first step:
```torch
# given probe=cpu loss=cross_entropy inputs=16,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)
        nn.init.zeros_(self.head.weight)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))
```

## Known limits
Outputs that are constants by design beside others that are not, as anchors and prior boxes, are not reported.

## References
Goodfellow, Bengio, Courville: Deep Learning, section 8.4, on breaking symmetry.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING

from netlint.analyses.layers import layers
from netlint.analyses.weights import weights
from netlint.probe.observed import Passes
from netlint.probe.stages import passes
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

from ._measured import LAYERED, Measured, measured, opens, setting

if TYPE_CHECKING:
    from netlint.probe.observed import Floats

_CHANGE = Option("change", 1e-6, "the change between samples, relative to the size of the output, that is rounding")
_UNITS = 4
_ROUNDING = 1e-5
"""Of sums that are added in another order, relative to the largest element."""


@rule(
    "PRB010",
    "constant-output",
    level=WARNING,
    since="0.3",
    status="preview",
    requires=(passes, weights, *LAYERED),
    options=(_CHANGE,),
)
def constant_output(scope: Scope) -> Iterator[Finding]:
    found = scope[passes]
    change = float(scope.options["change"])
    yield from _constant(scope, found, change)
    for each in measured(scope, found):
        if _equal(each):
            assert each.out is not None and each.out.units is not None
            yield Finding(
                f"all {len(each.out.units.mean)} units compute the same",
                each.layer.node,
                (Evidence("mean and deviation of each", [each.out.mean, each.out.std]), *setting(found.setup)),
                help="initialise the weights at random",
                why="equal units get equal gradients, and stay equal",
            )


def _constant(scope: Scope, found: Passes, change: float) -> Iterator[Finding]:
    outputs = dict(found.outputs or {})
    rows = [given for given in outputs.values() if given.shape[0] > 1 and given.size]
    if all(lo == hi for lo, hi in found.inputs.values()) and found.inputs:
        return  # zeros in place of data
    if not rows or not all(_same(given, change) for given in rows) or _may_open(scope, found):
        return
    value, given = next(iter(outputs.items()))
    at = scope.graph.producer(value)
    if at is not None:
        yield Finding(
            f"the output is the same for all of {len(given)} samples",
            at,
            (Evidence("output", [float(f"{x:.4g}") for x in given[0][:6]]), *setting(found.setup)),
            help="follow the input: something on the way is zero, saturated, or does not read it",
        )


def _same(rows: Floats, change: float) -> bool:
    """Whether the samples' rows are equal but for rounding."""
    size = float(abs(rows).max())
    return isfinite(size) and bool(abs(rows - rows[:1]).max() <= change * max(size, 1e-30))


def _may_open(scope: Scope, found: Passes) -> bool:
    """Whether a weight of zeros explains it, which the first step changes. Where no gradient was computed, any does."""
    if found.weights:
        return opens(scope.graph, found)
    stats = [scope[weights].of(layer.weight) for layer in scope[layers].all]
    return any(about is not None and about.zero for about in stats)


def _equal(each: Measured) -> bool:
    """Whether the units of a trained layer had the same extremes and mean."""
    units = each.out.units if each.out is not None else None
    if units is None or each.weight is None or each.layer.kind == "embedding" or len(units.mean) < _UNITS:
        return False
    size = float(max(abs(units.hi).max(), abs(units.lo).max()))
    if not isfinite(size):
        return False
    spread = max(float(abs(part - part[0]).max()) for part in (units.lo, units.hi, units.mean))
    return bool(spread <= _ROUNDING * size) and size > 0 and each.weight.rms > 0
