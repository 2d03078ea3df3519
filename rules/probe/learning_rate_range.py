"""The stated learning rate lies outside what the model was seen to bear.

## What it does
Raises the learning rate step by step until the loss blows up, and compares the largest rate before that with the stated
one (`--lr`). Reports a stated rate that is larger (a warning, unless a schedule is stated, which may warm up), or more
than `below` (10,000) times smaller (a note; a warning from ten million on). Where no rate is stated it tells the
largest stable one.

## Why is this bad
Above that rate every step makes the loss worse. Far below it, training takes as many times longer as it need.

## Example
```torch
# given probe=cpu loss=mse_loss inputs=32,20 stage=init optimizer=sgd lr=100
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 1)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))     # want warning "the learning rate 100 is above"
```

## Use instead
```torch
# given probe=cpu loss=mse_loss inputs=32,20 stage=init optimizer=sgd lr=0.01
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 1)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))
```

## Spares
A rate that is large and is warmed up to:
```torch
# given probe=cpu loss=mse_loss inputs=32,20 stage=init optimizer=sgd lr=100 schedule=linear-warmup
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 1)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)))     # want note "the learning rate 100 is above"
```
Models whose loss is not known:
```torch
# given probe=cpu inputs=32,20 stage=init optimizer=sgd lr=100
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(20, 1)

    def forward(self, x):
        return self.head(x)
```

## Known limits
One batch, and a few steps: what is stable here may still be too large for a long training, and larger batches bear
larger rates.

## References
Smith: Cyclical Learning Rates for Training Neural Networks (2017). UMLAUT warns above 0.01 (Adam), DeepDiagnosis
outside [1e-5, 0.1]: fixed bounds, where a short run tells.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract
from netlint.graph import Location, Node
from netlint.probe.observed import Ramp
from netlint.probe.stages import ramp
from netlint.rule import NOTE, WARNING, Evidence, Finding, Option, Scope, rule
from netlint.training import Known

from ._measured import setting

_BELOW = Option("below", 1e4, "how many times smaller than the largest stable rate the stated one may be")
_IDLE = 1e7
"""So many times below, weights of float32 hardly change."""
_PLACE = Location("model")


@rule(
    "PRB011",
    "learning-rate-range",
    level=NOTE,
    also=(WARNING,),
    since="0.3",
    status="preview",
    requires=(ramp, contract),
    options=(_BELOW,),
)
def learning_rate_range(scope: Scope) -> Iterator[Finding]:
    found = scope[ramp]
    stated, largest = scope[contract].lr, found.largest
    if largest is None or not found.setup.true_loss:
        return
    evidence = (*_course(found), *setting(found.setup))
    if not isinstance(stated, Known):
        text = f"the largest stable learning rate of {found.optimizer} is about {largest:.2g}"
        yield Finding(text, _at(scope), evidence, help="begin with a third to a tenth of it")
        return
    rate = Evidence("learning rate", stated.value, stated.origin)
    if stated.value > largest:
        yield Finding(
            f"the learning rate {stated.value:g} is above the largest stable one, {largest:.2g}",
            _at(scope),
            (rate, *evidence),
            help="take a third to a tenth of the largest stable one, or warm up",
            level=NOTE if scope[contract].schedule.known else WARNING,
        )
    elif stated.value * float(scope.options["below"]) < largest:
        text = f"the learning rate {stated.value:g} is {largest / stated.value:.0e} times below the largest stable one"
        idle = stated.value * _IDLE < largest and not scope[contract].schedule.known
        help_ = "try a larger one: training would be faster"
        yield Finding(text, _at(scope), (rate, *evidence), help=help_, level=WARNING if idle else NOTE)


def _course(found: Ramp) -> tuple[Evidence, ...]:
    step = max(len(found.rates) // 8, 1)
    pairs = list(zip(found.rates, found.losses, strict=False))[::step]
    return (Evidence("loss by learning rate", {f"{rate:.1g}": float(f"{loss:.3g}") for rate, loss in pairs}),)


def _at(scope: Scope) -> Node | Location:
    """The model as a whole has no line of its own: its output stands for it."""
    node = scope.graph.producer(scope.graph.outputs[0]) if scope.graph.outputs else None
    return node or _PLACE
