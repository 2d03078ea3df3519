"""Many units of a rectified layer give zero for every sample.

## What it does
Counts the units of an activation that gave exactly 0 at every position of every sample, and through which no gradient
passed. Reports the layer if more than `share` (30 %) of the units are dead and the units that were never zero do not
balance them.

## Why is this bad
A ReLU that is off for all data passes no gradient: the unit never recovers. What is left of the layer is narrower than
it was meant to be. Large learning rates, biases far below zero and inputs that are not centred bring it about.

## Example
A bias that shuts every unit:
```torch
# given probe=cpu loss=cross_entropy inputs=32,20
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)
        nn.init.constant_(self.hidden.bias, -5.0)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))      # want "64 of 64 units are zero for every sample"
```

## Use instead
```torch
# given probe=cpu loss=cross_entropy inputs=32,20
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))
```

## Spares
Units behind a pooled value: random images have nearly the same mean, so half of the units are off for all of them and
the other half on. That says something of the batch, not of the layer.
```torch
# given probe=cpu loss=cross_entropy inputs=16,3,32,32
class Squeeze(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 32, 3)
        self.squeeze = nn.Linear(32, 64)
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        pooled = torch.relu(self.conv(x)).mean((2, 3))
        return self.head(torch.relu(self.squeeze(pooled)))
```

## Known limits
Fewer than 8 samples or 16 values of a unit say nothing. In layers of fewer than 9 units even a layer that is off as a
whole may be chance. Leaky activations have no dead units.

## References
Lu et al.: Dying ReLU and Initialization (2019). Other tools take a share of 50 % of the layer (SageMaker Debugger,
TheDeepChecker) or 70 % (AUTOTRAINER).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from netlint.analyses.roles import Roles, roles
from netlint.graph import Node
from netlint.probe.observed import Seen
from netlint.probe.stages import passes
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

from ._measured import setting, sources

_SHARE = Option("share", 0.3, "the share of a layer's units that may be zero for every sample")
_SAMPLES = 8
_VALUES = 16
_ERRORS = 3.0
"""Standard deviations that the difference of always-off and always-on units may be off by chance."""
_PLATEAUS = frozenset({"Relu", "ThresholdedRelu", "HardSwish", "HardSigmoid", "Clip"})


@rule(
    "PRB001",
    "dead-units",
    level=WARNING,
    since="0.3",
    status="preview",
    requires=(passes, roles),
    options=(_SHARE,),
)
def dead_units(scope: Scope) -> Iterator[Finding]:
    found = scope[passes]
    if found.setup.samples < _SAMPLES:
        return
    for seen in found.seen.values():
        if not _rectifies(seen.node, scope[roles]) or seen.units is None:
            continue
        total = len(seen.units.zeros)
        dead, always_on = _dead(scope, seen), int((seen.units.lo > 0).sum())
        excess = dead - always_on
        if seen.count < _VALUES * total or excess <= scope.options["share"] * total:
            continue
        if excess < _ERRORS * sqrt(dead + always_on):  # with inputs that hardly vary, on or off is a coin's throw
            continue
        yield Finding(
            f"{dead} of {total} units are zero for every sample",
            seen.node,
            (Evidence("dead units", dead), Evidence("never zero", always_on), *setting(found.setup)),
            help="raise the bias, lower the learning rate, centre the inputs, or use LeakyReLU or GELU",
            why="no gradient passes a unit that is off for all data: it cannot recover",
        )


def _rectifies(node: Node, known: Roles) -> bool:
    return (node.op in _PLATEAUS and not node.domain) or known.rectifier(node) == 0


def _dead(scope: Scope, seen: Seen) -> int:
    """Units that are zero everywhere, and before which no gradient is left."""
    assert seen.units is not None
    off = seen.units.zeros >= 1
    for value in sources(scope.graph, scope[passes], seen.node.input(0)):
        before = scope[passes].seen.get(value)
        gradient = before.units.grad if before is not None and before.units is not None else None
        if gradient is not None and gradient.shape == off.shape:
            off = off & (gradient == 0)
    return int(off.sum())
