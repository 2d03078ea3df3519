"""A value was seen outside the range that netlint had proved for it: a mistake in netlint.

## What it does
Compares every value that the run shows with the range that the static analysis gives it, for the weights as stored and
inputs inside the stated range. Reports the first value that lies outside, or is NaN where NaN was excluded.

## Why is this bad
Not for your model: one of netlint's own proofs is wrong, and findings that rest on it may be. Please report it.

## Example
No example is known: each would be mended. What would be reported is a ReLU whose output is negative.
```torch
# given probe=cpu loss=cross_entropy inputs=16,20
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(20, 5)

    def forward(self, x):
        return torch.relu(self.head(x))      # todo want "outside"
```

## Use instead
There is nothing to do but to report it.
```torch
# given probe=cpu loss=cross_entropy inputs=16,20
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(20, 5)

    def forward(self, x):
        return torch.relu(self.head(x))
```

## Spares
Data outside the stated range, which the proof does not speak of, and the last digits, in which kernels differ:
```torch
# given probe=cpu loss=cross_entropy inputs=16,20 input_range=0..1
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(20, 5)

    def forward(self, x):
        return self.head(x).softmax(1)
```

## Known limits
Values of low precision and of mixed-precision regions are compared with more slack.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from netlint.analyses.contract import contract
from netlint.analyses.ranges import Range, Ranges, ranges
from netlint.analyses.shapes import shapes
from netlint.probe.observed import Passes, Seen
from netlint.probe.stages import passes
from netlint.rule import ERROR, Evidence, Finding, Scope, rule
from netlint.training import Known

from ._measured import setting

_SLACK = {"float64": 2.0**-49, "float32": 2.0**-20, "float16": 2.0**-7}
"""How far, relatively, a value may pass its bound: eight units in the last place. Ranges are rounded outward, but
fused kernels keep intermediate results in another precision and approximate functions in ways of their own."""
_COARSE = 2.0**-4
"""The same for bfloat16, and for matrix products that a GPU may compute with ten bits."""


@rule(
    "PRB013",
    "contradicts-static",
    level=ERROR,
    since="0.3",
    status="preview",
    requires=(passes, contract, ranges, shapes),
)
def contradicts_static(scope: Scope) -> Iterator[Finding]:
    found, proved = scope[passes], scope[ranges]
    fair = _fair(scope, found)
    for value, seen in found.seen.items():
        known = proved.of(value)
        if known.assumed and not fair:
            continue
        slack = _SLACK.get(scope[shapes].dtype(value) or "", _COARSE) if found.setup.device == "cpu" else _COARSE
        what = _outside(known, seen, slack)
        if what:
            yield _finding(what, known, seen, proved, found)
            return  # what hangs on it is wrong for the same reason


def _fair(scope: Scope, found: Passes) -> bool:
    """Whether all inputs kept to the range that the proof assumes."""
    span = scope[contract].input_range
    if not isinstance(span, Known):
        return True
    return all(span.value.lo <= lo and hi <= span.value.hi for lo, hi in found.inputs.values())


def _outside(known: Range, seen: Seen, slack: float) -> str:
    """What contradicts the range; empty: nothing does."""
    if seen.nans and not known.nan:
        return f"{seen.nans} NaN"
    least, largest = (end * (1 - slack) if end > 0 else end * (1 + slack) for end in (known.lo, -known.hi))
    if seen.lo < least and isfinite(known.lo):
        return f"{seen.lo:.9g}"
    if -seen.hi < largest and isfinite(known.hi):
        return f"{seen.hi:.9g}"
    return ""


def _finding(what: str, known: Range, seen: Seen, proved: Ranges, found: Passes) -> Finding:
    return Finding(
        f"{what} was seen, outside the proved range {known}: a mistake in netlint, not in the model",
        seen.node,
        (Evidence("proof", proved.step(seen.node)), *setting(found.setup)),
        help="please report it with the model, or a part of it that still shows this",
    )
