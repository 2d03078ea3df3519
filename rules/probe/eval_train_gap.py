"""Inference mode gives far other outputs than training mode.

## What it does
Runs one batch in both modes, batch statistics brought up to date, and compares the difference of the outputs with that
between two runs in training mode, which dropout makes. Reports a difference of more than `gap` (half) of the outputs'
spread that is also more than `times` (6) what chance explains. Runs in training mode that differ from each other by
more than `noise` (6; beside dropout of more than 0.9, 1) times the spread are reported, too: dropout leaves nothing to
learn from (a rate of 0.5 makes about 1.5, of 0.95 about 6). So are models with dropout, and no other source of chance,
of which two runs in inference mode differ: some dropout is never switched off. And so are batch norms of whose running
statistics one batch leaves less than `kept` (0.11): a momentum of 0.9 and more means that in libraries where it is the
part that is kept, and forgets at once in PyTorch.

## Why is this bad
What is measured in training says nothing of what the model will do in use. Usual reasons: running statistics that
never move (a momentum of 0) or forget at once (a momentum of 1), code of one's own that asks for `self.training`.

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

A momentum that is meant as another library has it:
```torch
# given probe=cpu loss=cross_entropy inputs=32,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(20, momentum=0.99)
        self.head = nn.Linear(20, 5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(x)))     # want "one batch leaves 1% of a batch norm"
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

An average over all batches:
```torch
# given probe=cpu loss=cross_entropy inputs=32,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(20, momentum=None)
        self.head = nn.Linear(20, 5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(x)))
```

## Known limits
Of norms that are no modules of torch's it is not known what they keep. Trained statistics are compared with those of
the batch at hand: with made-up data they may well differ, so a trained model is judged only on data of its own.

## References
Ioffe, Szegedy: Batch Normalization (2015). Li et al.: Understanding the Disharmony between Dropout and Batch
Normalization by Variance Shift (2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from netlint.analyses.constants import constants
from netlint.analyses.stage import stage
from netlint.ops import RANDOM
from netlint.probe.observed import Modes
from netlint.probe.stages import modes
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

from ._measured import FEW, setting

_GAP = Option("gap", 0.5, "the difference of the modes, relative to the spread of the outputs, that may be")
_TIMES = Option("times", 6.0, "how many times what dropout and batch statistics explain it may be")
_NOISE = Option("noise", 6.0, "the difference of two runs in training mode, relative to the same, that may be")
_KEPT = Option("kept", 0.11, "the part of running statistics that one batch has to leave, at least")

_CALM = 0.01
"""Of the spread: rounding is far below."""
_RATE, _HEAVY = 0.9, 1.0
"""Where dropout drops more than the first, the second is the noise that may be."""


@rule(
    "PRB012",
    "eval-train-gap",
    level=WARNING,
    since="0.3",
    status="preview",
    requires=(modes, stage, constants),
    options=(_GAP, _TIMES, _NOISE, _KEPT),
)
def eval_train_gap(scope: Scope) -> Iterator[Finding]:
    found = scope[modes]
    if found.setup.synthetic and scope[stage].whole == "trained":
        return
    said = _differs(scope, found) or _forgets(scope, found) or _never_calm(scope, found) or _drowned(scope, found)
    at = scope.graph.producer(scope.graph.outputs[0]) if scope.graph.outputs else None
    if at is not None and said is not None:
        evidence = (Evidence("gap", found.gap), Evidence("explained", found.expected), *said.evidence)
        yield Finding(said.message, at, (*evidence, *setting(found.setup)), help=said.help)


class _Said(NamedTuple):
    message: str
    help: str
    evidence: tuple[Evidence, ...] = ()


def _differs(scope: Scope, found: Modes) -> _Said | None:
    bound = max(scope.options["gap"], scope.options["times"] * found.expected)
    if found.setup.samples < FEW or found.gap <= bound:
        return None
    return _Said(
        f"inference mode differs from training mode by {found.gap:.2g} of the outputs' spread, where chance explains "
        f"{found.expected:.2g}",
        "check the momentum of batch norms, and every use of self.training",
    )


def _forgets(scope: Scope, found: Modes) -> _Said | None:
    if found.kept is None or found.kept >= scope.options["kept"]:
        return None
    return _Said(
        f"one batch leaves {found.kept:.0%} of a batch norm's running statistics: in inference mode those of the last "
        "batch alone decide",
        "momentum is the share of the new batch here, 0.1 by default; in other libraries it is what is kept",
    )


def _never_calm(scope: Scope, found: Modes) -> _Said | None:
    if found.restless <= _CALM or not _drops_alone(scope):
        return None
    return _Said(
        f"two runs in inference mode differ by {found.restless:.2g} of the outputs' spread: dropout is not off",
        "pass training=self.training to functions that drop; if samples of the output are wanted, draw them where the "
        "model is called",
    )


def _drowned(scope: Scope, found: Modes) -> _Said | None:
    rate = _rate(scope)
    bound = _HEAVY if rate > _RATE else scope.options["noise"]
    if found.setup.samples < FEW or found.expected <= bound:
        return None
    return _Said(
        f"two runs in training mode differ by {found.expected:.2g} times the outputs' spread: noise drowns it",
        "lower the rate of dropout",
        (Evidence("largest rate of dropout", rate),),
    )


def _rate(scope: Scope) -> float:
    """The largest share that a dropout is known to drop; 0 where none is known."""
    rates = [scope[constants].get(node.input(1)) for node in scope.graph.of("Dropout")]
    return max((float(rate.max()) for rate in rates if rate is not None and rate.size), default=0.0)


def _drops_alone(scope: Scope) -> bool:
    """Whether dropout is all that draws numbers: models that sample do so in either mode."""
    return bool(scope.graph.of("Dropout")) and not scope.graph.of(*RANDOM)
