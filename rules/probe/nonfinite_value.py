"""A value or a gradient became NaN or infinite.

## What it does
Reports NaN or infinity in an output, the loss or a gradient, and names the operator that made the first of it out of
finite inputs. It is an error where the data were given or keep to a stated `--input-range`, and where weights are to
blame; else a warning: made-up data may be what no one would feed.

## Why is this bad
One such element makes the loss NaN, the next step makes every weight NaN.

## Example
The logarithm of a zero, and of what is negative:
```torch
# given probe=cpu loss=mse_loss inputs=16,8 input_range=-1..1
class Logarithm(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return torch.log(self.fc(x))      # want error "Log makes NaN out of finite inputs"
```
The gradient of a root at zero, where something is compared with itself:
```torch
# given probe=cpu loss=mse_loss inputs=16,8 input_range=-1..1
class Distance(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        h = self.fc(x)
        square = (h[:, :, None] - h[:, None, :]) ** 2
        return torch.sqrt(square)      # want error "the gradient that passes Sqrt is not finite"
```

## Use instead
```torch
# given probe=cpu loss=mse_loss inputs=16,8 input_range=-1..1
class Logarithm(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return torch.log(F.softplus(self.fc(x)) + 1e-6)
```
```torch
# given probe=cpu loss=mse_loss inputs=16,8 input_range=-1..1
class Distance(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        h = self.fc(x)
        square = (h[:, :, None] - h[:, None, :]) ** 2
        return torch.sqrt(square + 1e-6)
```

## Spares
Masks of minus infinity before a softmax, and what is infinite but thrown away:
```torch
# given probe=cpu loss=mse_loss inputs=4,6,8 input_range=-1..1
class Causal(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(1, 2) / 8 ** 0.5
        mask = torch.ones(6, 6, dtype=torch.bool).triu(1)
        return scores.masked_fill(mask, float("-inf")).softmax(-1) @ self.v(x)
```

## Known limits
One batch. Minus infinity alone in an output is taken for the logarithm of zero or a mask, as long as loss and gradients
stay finite.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite

from netlint.analyses.contract import contract
from netlint.analyses.weights import weights
from netlint.graph import Node, Value
from netlint.ops import WEIGHTED
from netlint.probe.observed import Passes, Seen
from netlint.probe.stages import passes
from netlint.rule import ERROR, WARNING, Evidence, Finding, Level, Scope, rule

from ._measured import reader, setting, sources

_BAD_WEIGHTS = "weights that are not finite"
_HELP = "guard the operand: add a small constant, clamp it, or use a stable form (log_softmax, logsumexp, logaddexp)"


@rule(
    "PRB005",
    "nonfinite-value",
    level=ERROR,
    also=(WARNING,),
    since="0.3",
    status="preview",
    requires=(passes, contract, weights),
)
def nonfinite_value(scope: Scope) -> Iterator[Finding]:
    found = scope[passes]
    grads = [weight.name for weight in found.weights if weight.grad is not None and not isfinite(weight.grad)]
    sick = [value for value in scope.graph.outputs if _sick(found.seen.get(value))]
    lost = found.loss is not None and not isfinite(found.loss)
    if not (grads or sick or lost):
        return
    origins = _origins(scope)
    ends = sick or [value for value in scope.graph.outputs if value in origins] or list(origins)
    maker = next((made for value in ends if (made := origins.get(value)) is not None), None)
    if maker is not None:
        yield _forward(scope, maker)
    elif grads:
        yield from _backward(scope, grads)


def _sick(seen: Seen | None) -> bool:
    return seen is not None and (seen.nans > 0 or seen.hi == inf)


def _origins(scope: Scope) -> dict[Value, Node | None]:
    """For each value that is not finite throughout the node that began it; None: a constant that is meant so (a mask).

    In order of execution, so that what a node reads is known before it.
    """
    found, origins = scope[passes], dict[Value, Node | None]()
    for value, seen in found.seen.items():
        if not seen.nonfinite:
            continue
        read = [given for operand in seen.node.inputs for given in sources(scope.graph, found, operand)]
        bad = [given for given in read if given in origins]
        made = next((origin for given in bad if (origin := origins[given]) is not None), None)
        if made is None and not any(found.seen[given].nans for given in bad):
            # What is made of a mask may be as infinite as the mask, but not NaN.
            meant = bool(bad) or (seen.node.op not in WEIGHTED and any(_infinite(scope, given) for given in read))
            made = seen.node if seen.nans or not meant else None
        origins[value] = made
    return origins


def _infinite(scope: Scope, given: Value) -> bool:
    """Whether a value that nothing computes from data holds infinity."""
    node, about = scope.graph.producer(given), scope[weights].of(given)
    return (node is not None and not node.inputs) or (about is not None and about.has_inf and not about.has_nan)


def _level(scope: Scope) -> Level:
    fair = not scope[passes].setup.synthetic or scope[contract].input_range.known
    return ERROR if fair else WARNING


def _forward(scope: Scope, node: Node) -> Finding:
    found = scope[passes]
    seen = next(each for each in found.seen.values() if each.node is node and each.nonfinite)
    read = [(place, given) for place, value in enumerate(node.inputs) for given in sources(scope.graph, found, value)]
    operands = [(place, found.seen[given]) for place, given in read if given in found.seen]
    spans = (Evidence(f"input {place} of {node.op}", f"[{one.lo:g}, {one.hi:g}]") for place, one in operands)
    made_of = _operands(scope, node, operands)
    return Finding(
        f"{node.op} makes {'NaN' if seen.nans else 'infinity'} out of {made_of}: {seen.nonfinite:,} of {seen.count:,} "
        "elements",
        node,
        (*spans, *_loss(found), *setting(found.setup)),
        help=_HELP,
        level=ERROR if made_of == _BAD_WEIGHTS else _level(scope),
    )


def _operands(scope: Scope, node: Node, operands: list[tuple[int, Seen]]) -> str:
    stored = [about for value in node.inputs if (about := scope[weights].of(value)) is not None]
    if any(about.has_nan or about.has_inf for about in stored):
        return _BAD_WEIGHTS
    return "infinite inputs" if any(one.nonfinite for _, one in operands) else "finite inputs"


def _loss(found: Passes) -> tuple[Evidence, ...]:
    return (Evidence("value of the loss", str(found.loss)),) if found.loss is not None else ()


def _backward(scope: Scope, names: list[str]) -> Iterator[Finding]:
    """All values are finite; a gradient is not. Points at the node at whose output it still was."""
    found = scope[passes]
    evidence = (Evidence("weights without a finite gradient", ", ".join(names[:6])), *setting(found.setup))
    bad = [value for value, seen in found.seen.items() if seen.grad is not None and not isfinite(seen.grad)]
    nodes = [node for value in bad[-1:] for node in scope.graph.uses(value)]
    at = nodes[-1] if nodes else reader(scope.graph, names[0])
    text = f"the gradient that passes {at.op} is not finite" if at is not None else ""
    if at is not None:
        yield Finding(text, at, evidence, help=_HELP, level=_level(scope))
