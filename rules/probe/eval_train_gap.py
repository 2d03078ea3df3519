"""Inference mode gives far other outputs than training mode.

## What it does
Runs one batch in both modes, batch statistics brought up to date, and compares the difference of the outputs with that
between two runs in training mode, which dropout makes. Reports a difference of more than `gap` (half) of the outputs'
spread that is also more than `times` (6) what chance explains. Runs in training mode that differ from each other by
more than `noise` (6) times the spread are reported, too: dropout leaves nothing to learn from (a rate of 0.5 makes
about 1.5, of 0.95 more than 6). So are models with dropout, and no other source of chance, of which two runs in
inference mode differ: some dropout is never switched off.

## Why is this bad
What is measured in training says nothing of what the model will do in use. Usual reasons: running statistics that
never move (a momentum of 0), an epsilon of the size of the variance, code of one's own that asks for `self.training`.

## Example
```torch
# given probe=cpu loss=cross_entropy inputs=32,20 stage=init input_mean=3 input_std=2
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(20, momentum=0.0)
        self.head = nn.Linear(20, 5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(x)))     # want "inference mode differs from training mode"
```

Dropout that nobody switches off:
```torch
# given probe=cpu loss=cross_entropy inputs=32,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        h = nn.functional.dropout(torch.relu(self.hidden(x)), 0.5)
        return self.head(h)     # want "dropout is not off"
```

## Use instead
```torch
# given probe=cpu loss=cross_entropy inputs=32,20 stage=init input_mean=3 input_std=2
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(20)
        self.head = nn.Linear(20, 5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(x)))
```

## Spares
Dropout, which differs from run to run in training as well:
```torch
# given probe=cpu loss=cross_entropy inputs=32,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        return self.head(self.drop(torch.relu(self.hidden(x))))
```

## Known limits
Trained statistics are compared with those of the batch at hand: with made-up data they may well differ, so a trained
model is judged only on data of its own.

## References
Ioffe, Szegedy: Batch Normalization (2015). Li et al.: Understanding the Disharmony between Dropout and Batch
Normalization by Variance Shift (2019).
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.stage import stage
from netlint.ops import RANDOM
from netlint.probe.stages import modes
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

from ._measured import setting

_GAP = Option("gap", 0.5, "the difference of the modes, relative to the spread of the outputs, that may be")
_TIMES = Option("times", 6.0, "how many times what dropout and batch statistics explain it may be")
_NOISE = Option("noise", 6.0, "the difference of two runs in training mode, relative to the same, that may be")

_CALM = 0.01
"""Of the spread: rounding is far below."""


@rule(
    "PRB012",
    "eval-train-gap",
    level=WARNING,
    since="0.3",
    status="preview",
    requires=(modes, stage),
    options=(_GAP, _TIMES, _NOISE),
)
def eval_train_gap(scope: Scope) -> Iterator[Finding]:
    found = scope[modes]
    if found.setup.synthetic and scope[stage].whole == "trained":
        return
    at = scope.graph.producer(scope.graph.outputs[0]) if scope.graph.outputs else None
    evidence = (Evidence("gap", found.gap), Evidence("explained", found.expected), *setting(found.setup))
    differ = found.gap > max(scope.options["gap"], scope.options["times"] * found.expected)
    if at is not None and differ:
        yield Finding(
            f"inference mode differs from training mode by {found.gap:.2g} of the outputs' spread, where chance "
            f"explains {found.expected:.2g}",
            at,
            evidence,
            help="check the momentum and epsilon of batch norms, and every use of self.training",
        )
    elif at is not None and found.restless > _CALM and _drops_alone(scope):
        yield Finding(
            f"two runs in inference mode differ by {found.restless:.2g} of the outputs' spread: dropout is not off",
            at,
            evidence,
            help="pass training=self.training to functions that drop; if samples of the output are wanted, draw them "
            "where the model is called",
        )
    elif at is not None and found.expected > scope.options["noise"]:
        yield Finding(
            f"two runs in training mode differ by {found.expected:.2g} times the outputs' spread: noise drowns it",
            at,
            evidence,
            help="lower the rate of dropout",
        )


def _drops_alone(scope: Scope) -> bool:
    """Whether dropout is all that draws numbers: models that sample do so in either mode."""
    return bool(scope.graph.of("Dropout")) and not scope.graph.of(*RANDOM)
