"""Most outputs of a saturating activation lie at its limits.

## What it does
Reports a sigmoid, tanh or another bounded activation of which more than `share` (50 %) of the outputs lie within 2 % of
an asymptote, and a softmax that gives one entry nearly everything for more than that share of its rows. Activations in
the body are judged at any stage, attention weights only in a model that is not yet trained.

## Why is this bad
The derivative there is close to zero: within 2 % of its limits that of a sigmoid is below 0.02, of a tanh below 0.04.
Hardly any gradient passes, and the layers before learn slowly or not at all. The weights are too large, or the inputs
are not scaled.

## Example
```torch
# given probe=cpu loss=cross_entropy inputs=32,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)
        nn.init.normal_(self.hidden.weight, std=3.0)

    def forward(self, x):
        return self.head(torch.tanh(self.hidden(x)))      # want "of the outputs lie within 2 % of a limit"
```
Attention without the division by the root of the width:
```torch
# given probe=cpu loss=cross_entropy inputs=4,16,64 stage=init
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)
        self.head = nn.Linear(64, 5)
        for layer in (self.q, self.k):
            nn.init.normal_(layer.weight, std=0.5)

    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(1, 2)
        weights = scores.softmax(-1)      # want "of the rows give one entry more than 98 %"
        return self.head((weights @ self.v(x)).mean(1))
```

## Use instead
```torch
# given probe=cpu loss=cross_entropy inputs=32,20 stage=init
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)
        nn.init.xavier_normal_(self.hidden.weight)

    def forward(self, x):
        return self.head(torch.tanh(self.hidden(x)))
```
```torch
# given probe=cpu loss=cross_entropy inputs=4,16,64 stage=init
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)
        self.head = nn.Linear(64, 5)
        for layer in (self.q, self.k):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(1, 2) / 8
        return self.head((scores.softmax(-1) @ self.v(x)).mean(1))
```

## Spares
Gates, which are there to be open or shut:
```torch
# given probe=cpu loss=cross_entropy inputs=32,20 stage=init
class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.value, self.gate = nn.Linear(20, 64), nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)
        nn.init.constant_(self.gate.bias, 6.0)

    def forward(self, x):
        return self.head(self.value(x) * torch.sigmoid(self.gate(x)))
```

## Known limits
What happens inside a recurrent layer is not seen. Heads are not judged: a bias that knows how rare a class is starts a
sigmoid near 0. A softmax that is written out is not judged. Of fused attention some queries are looked at, in models
that torch runs from their code.

## References
Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks (2010). DeepDiagnosis takes
inputs beyond ±5 for more than half of the values, TheDeepChecker outputs beyond 85 % of the range for half the units.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.roles import roles
from netlint.analyses.stage import stage
from netlint.ops import SOFTMAX
from netlint.probe.observed import Seen
from netlint.probe.stages import passes
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

from ._measured import setting, sources

_SHARE = Option("share", 0.5, "the share of an activation's outputs that may lie within 2 % of its limits")
_DISTRIBUTIONS = SOFTMAX | {"Attention"}
_ALWAYS = frozenset({"body"})
_FRESH = frozenset({"body", "attention", "router"})


@rule(
    "PRB002",
    "saturated-units",
    level=WARNING,
    since="0.3",
    status="preview",
    requires=(passes, roles, stage),
    options=(_SHARE,),
)
def saturated_units(scope: Scope) -> Iterator[Finding]:
    found = scope[passes]
    for seen in found.seen.values():
        share = seen.saturated
        if share is None or share <= scope.options["share"] or not _judged(seen, scope):
            continue
        rows = seen.node.op in _DISTRIBUTIONS
        where = "rows give one entry more than 98 %" if rows else "outputs lie within 2 % of a limit"
        yield Finding(
            f"{share:.0%} of the {where} of {seen.node.op}",
            seen.node,
            (Evidence("saturated share", round(share, 4)), *_before(scope, seen), *setting(found.setup)),
            help="initialise the layer before for this activation (Xavier), scale its inputs, or put a norm before it",
            why="the derivative there is close to zero: hardly any gradient passes",
        )


def _judged(seen: Seen, scope: Scope) -> bool:
    if seen.node.domain or seen.lo == seen.hi:  # a softmax over one entry is 1
        return False
    fresh = scope[stage].whole == "init"
    if seen.node.op == "Attention":
        return fresh
    return scope[roles].role(seen.node) in (_FRESH if fresh else _ALWAYS)


def _before(scope: Scope, seen: Seen) -> tuple[Evidence, ...]:
    given = (scope[passes].seen.get(value) for value in sources(scope.graph, scope[passes], seen.node.input(0)))
    stds = [round(before.std, 3) for before in given if before is not None]
    return (Evidence("standard deviation of its input", stds[0]),) if stds else ()
