"""The loss of the untrained model is far above that of a guess.

## What it does
Compares the loss of a freshly initialised model with that of a prediction that knows nothing: the logarithm of the
number of classes for cross-entropy, ln 2 for binary cross-entropy, the mean square of the targets for squared errors.
Reports a loss of more than `ratio` (2) times that; for squared errors twice the root mean square error.

## Why is this bad
The model is sure of itself before it has seen anything. The first epochs go into taking that back, in large steps that
may shut units for good. The head's weights are too large, its bias is wrong, or the loss reads something else than the
model gives.

## Example
```torch
# given probe=cpu loss=cross_entropy inputs=64,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 10)
        nn.init.normal_(self.head.weight, std=5.0)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))     # want "a guess among 10 classes has 2.3"
```

## Use instead
```torch
# given probe=cpu loss=cross_entropy inputs=64,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))
```

## Spares
Models that are trained: on data they do not know, their loss may be anything.
```torch
# given probe=cpu loss=cross_entropy inputs=64,20 stage=trained
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(20, 10)
        nn.init.normal_(self.head.weight, std=5.0)

    def forward(self, x):
        return self.head(x)
```

## Known limits
A loss that is too small is not reported: a head whose bias knows how frequent the classes are has one. Losses with
weights for classes, several terms or a sum instead of a mean are not understood and not compared.

## References
Karpathy: A Recipe for Training Neural Networks (2019), "verify loss at init". TheDeepChecker compares it, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, log, sqrt

from netlint.analyses.contract import contract, known_loss
from netlint.analyses.roles import Head, roles
from netlint.analyses.shapes import shapes
from netlint.analyses.stage import stage
from netlint.probe.observed import Passes
from netlint.probe.stages import passes
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule
from netlint.training import Known

from ._measured import FEW, setting

_RATIO = Option("ratio", 2.0, "how many times the loss of a guess it may be (of squared errors: their root)")
_OVER_CLASSES = frozenset({"cross_entropy", "nll_loss", "categorical_cross_entropy"})
_OVER_UNITS = frozenset({"binary_cross_entropy", "binary_cross_entropy_with_logits"})


@dataclass(frozen=True, slots=True)
class _Guess:
    """The loss of a prediction that knows nothing."""

    loss: float
    text: str
    squared: bool = False


@rule(
    "PRB006",
    "initial-loss",
    level=WARNING,
    since="0.3",
    status="preview",
    requires=(passes, contract, roles, shapes, stage),
    options=(_RATIO,),
)
def initial_loss(scope: Scope) -> Iterator[Finding]:
    found = scope[passes]
    loss = known_loss(scope[contract]).value.name
    if found.loss is None or not isfinite(found.loss) or scope[stage].whole != "init" or found.setup.samples < FEW:
        return
    guess, head = _guess(scope, loss, found), _head(scope)
    at = head.at if head is not None else None
    if guess is None or guess.loss <= 0 or at is None:
        return
    ratio = found.loss / guess.loss
    if (sqrt(ratio) if guess.squared else ratio) <= scope.options["ratio"]:
        return
    yield Finding(
        f"the loss of the untrained model is {found.loss:.3g}; {guess.text} has {guess.loss:.3g}",
        at,
        (*_size(scope, found), *setting(found.setup)),
        help="make the weights of the last layer smaller, start its bias at what the targets are on average, and check "
        "that the loss reads what it expects",
    )


def _guess(scope: Scope, loss: str, found: Passes) -> _Guess | None:
    if loss in _OVER_UNITS:
        return _Guess(log(2), "a guess of one half")
    if loss in _OVER_CLASSES:
        count = _classes(scope)
        return _Guess(log(count), f"a guess among {count} classes") if count else None
    if loss == "mse_loss" and found.targets is not None:
        mean, std = found.targets
        return _Guess(mean * mean + std * std, "a prediction of 0", squared=True)
    return None


def _head(scope: Scope) -> Head | None:
    """The only prediction; None where there are several."""
    heads = scope[roles].predictions
    return heads[0] if len(heads) == 1 else None


def _classes(scope: Scope) -> int | None:
    """As stated, else the length of the axis that the loss reads classes along: axis 1, of language models the last."""
    stated, head = scope[contract].classes, _head(scope)
    if isinstance(stated, Known):
        return int(stated.value)
    shape = scope[shapes].of(head.value) if head is not None else None
    if not shape or len(shape) < 2 or (len(shape) == 3 and head is not None and head.site is None):
        return None
    count = shape[1]
    return count if isinstance(count, int) and count > 1 else None


def _size(scope: Scope, found: Passes) -> tuple[Evidence, ...]:
    seen = next((found.seen[value] for value in scope.graph.outputs if value in found.seen), None)
    return (Evidence("standard deviation of the output", round(seen.std, 3)),) if seen is not None else ()
