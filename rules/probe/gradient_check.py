"""The gradient that the model computes is not that of what it computes.

## What it does
Compares, in float64, the derivative in a random direction that the backward pass gives with that of the forward pass,
from central differences. Reports a relative difference of more than `tolerance` (1 %): an error if a hand-written
`autograd.Function` makes it, else a note, since a part of the way from a weight to the loss may be detached on purpose.
A backward pass of the loss that raises in training mode is an error as well.

## Why is this bad
Training follows a direction that does not lower the loss. It may look like slow learning for a long time.

## Example
```torch
# given probe=cpu loss=mse_loss inputs=8,6 stage=init
class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 2 * x ** 2

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.head = nn.Linear(6, 16), nn.Linear(16, 1)

    def forward(self, x):
        return self.head(Cube.apply(self.enter(x)))      # want error "backward of Cube"
```

Values that the backward pass needs are written over:
```torch
# given probe=cpu loss=mse_loss inputs=8,6 stage=init
class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.head = nn.Linear(6, 16), nn.Linear(16, 1)

    def forward(self, x):
        h = torch.sigmoid(self.enter(x))
        h.mul_(2.0)
        return self.head(h)      # want error "the backward pass of the loss raises"
```

## Use instead
```torch
# given probe=cpu loss=mse_loss inputs=8,6 stage=init
class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x ** 2

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.head = nn.Linear(6, 16), nn.Linear(16, 1)

    def forward(self, x):
        return self.head(Cube.apply(self.enter(x)))
```
```torch
# given probe=cpu loss=mse_loss inputs=8,6 stage=init
class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.head = nn.Linear(6, 16), nn.Linear(16, 1)

    def forward(self, x):
        return self.head(torch.sigmoid(self.enter(x)) * 2.0)
```

## Spares
Functions that are there for their gradient: those that give back what they are given, as a reversal does, and steps
whose true gradient is zero everywhere.
```torch
# given probe=cpu loss=mse_loss inputs=8,6 stage=init
class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -grad

class Adversary(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.head = nn.Linear(6, 16), nn.Linear(16, 1)

    def forward(self, x):
        return self.head(Reverse.apply(self.enter(x)))
```
```torch
# given probe=cpu loss=mse_loss inputs=8,6 stage=init
class Binary(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.head = nn.Linear(6, 16), nn.Linear(16, 1)

    def forward(self, x):
        h = self.enter(x)
        return self.head(h + (torch.sign(h) - h).detach())
```

## Known limits
One point and one direction for each weight. What random numbers or batch statistics change between runs cannot be
checked. Weights without any gradient are the business of `vanishing-gradient`. Embeddings are left out: the gradient of
their padding is zero on purpose.

## References
TheDeepChecker takes a relative error of 1 %. torch.autograd.gradcheck compares element by element, for one function.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.layers import layers
from netlint.graph import Node
from netlint.probe.observed import GradientCheck, Passes
from netlint.probe.stages import gradient_check as check
from netlint.probe.stages import passes
from netlint.rule import ERROR, NOTE, Evidence, Finding, Level, Option, Scope, rule

from ._measured import reader, setting, sources

_TOLERANCE = Option("tolerance", 0.01, "the relative difference of the two derivatives that may be")
_FLAT = 1e-9
"""A derivative this small beside the largest is zero: there is nothing to compare."""
_STEPS = ("Round", "Floor", "Ceil", "Sign", "ArgMax", "ArgMin", "OneHot", "TopK", "Bernoulli", "QuantizeLinear")
"""What has no gradient, so that models make one up for it."""
_SHOWN = 6
_CUT_HELP = "compute the loss from the prediction, without detach(), argmax, rounding or no_grad on the way"
_RAISED_HELP = (
    "values that the backward pass needs may not be written over: replace in-place operations before it; "
    "torch.autograd.set_detect_anomaly(True) names the operation"
)


@rule(
    "PRB008",
    "gradient-check",
    level=ERROR,
    also=(NOTE,),
    since="0.3",
    status="preview",
    requires=(check, passes, layers),
    options=(_TOLERANCE,),
)
def gradient_check(scope: Scope) -> Iterator[Finding]:
    if scope[passes].raised:
        yield from _raised(scope, scope[passes])
        return
    found = scope[check]
    tables = {layer.weight.name for layer in scope[layers].all if layer.kind == "embedding"}
    wrong = [name for name in _wrong(found, float(scope.options["tolerance"])) if name not in tables]
    at, level = _culprit(scope, wrong)
    if not wrong or at is None or scope.graph.of(*_STEPS):
        return
    worst = max(wrong, key=found.error)
    analytic, numerical = found.derivatives[worst]
    what = f"backward of {at.op}" if level is ERROR else f"gradient of {worst}"
    yield Finding(
        f"the {what} is wrong: a derivative of {analytic:.5g}, where the values change by {numerical:.5g}",
        at,
        (
            Evidence("relative difference", {name: round(found.error(name), 4) for name in wrong[:_SHOWN]}),
            Evidence("checked", f"{len(found.derivatives)} derivatives, {len(wrong)} differ"),
            *setting(found.setup),
        ),
        help="check the function with torch.autograd.gradcheck"
        if level is ERROR
        else "look for detach(), .data or no_grad on one of several ways from the weight to the loss",
        level=level,
    )


def _raised(scope: Scope, found: Passes) -> Iterator[Finding]:
    """There is no gradient to check."""
    at = scope.graph.producer(scope.graph.outputs[0]) if scope.graph.outputs else None
    if at is not None:
        yield Finding(
            f"the backward pass of the loss raises {found.raised}",
            at,
            setting(found.setup),
            help=_CUT_HELP if "does not require grad" in found.raised else _RAISED_HELP,
            level=ERROR,
        )


def _wrong(found: GradientCheck, tolerance: float) -> list[str]:
    """Those whose derivatives differ, worst last checked aside where one of the two is zero: that is meant, or is
    another rule's."""
    largest = max((abs(one) for pair in found.derivatives.values() for one in pair), default=0.0)
    compared = [name for name, pair in found.derivatives.items() if min(map(abs, pair)) > _FLAT * largest]
    return [name for name in compared if found.error(name) > tolerance]


def _culprit(scope: Scope, wrong: list[str]) -> tuple[Node | None, Level]:
    """The hand-written function that explains it, else the layer of the last weight that is wrong."""
    custom = [node for node in scope.graph.nodes if node.domain == "torch" and node.op[:1].isupper()]
    if custom:
        changing = [node for node in custom if not _gives_back(scope, node)]
        return (changing[-1], ERROR) if changing else (None, ERROR)
    return (reader(scope.graph, wrong[-1]) if wrong else None), NOTE


def _gives_back(scope: Scope, node: Node) -> bool:
    """Whether what a function gives is what it was given: it is there for its gradient alone."""
    found = scope[passes]
    out = found.seen.get(node.outputs[0]) if node.outputs and node.outputs[0] is not None else None
    given = [one for value in sources(scope.graph, found, node.input(0)) if (one := found.seen.get(value)) is not None]
    return out is not None and any(
        (out.mean, out.std, out.lo, out.hi) == (one.mean, one.std, one.lo, one.hi) for one in given
    )
