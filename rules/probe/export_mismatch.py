"""An exported model computes something else than the model it was made from.

## What it does
Runs both on the same inputs, in inference mode: the PyTorch model, and the ONNX file that `--against` names. Reports an
output that differs by more than `tolerance` (0.001) of its largest element, and outputs that do not pair up.

## Why is this bad
What was trained and measured is not what will be used. Usual reasons: an export in training mode, one of other weights,
a branch that was frozen for the example input, an operator that rounds or pads differently.

## Example
The model was trained on after it had been exported:
```torch
# given probe=cpu inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(x)      # want error "the output differs from the export's"

def exported(model):
    other = Net()
    return other
```

## Use instead
Export again, from the same weights and in inference mode:
```torch
# given probe=cpu inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(x)

def exported(model):
    return model
```

## Spares
Rounding: kernels of different libraries add in different order.
```torch
# given probe=cpu inputs=4,8
class Halves(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, x):
        left, right = self.head.weight[:, :4], self.head.weight[:, 4:]
        return self.head.bias + F.linear(x[:, 4:], right) + F.linear(x[:, :4], left)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(x)

def exported(model):
    return Halves(model.head)
```

## Known limits
One batch; outputs are paired by their order. Models that draw random numbers in inference cannot be compared.

## References
Polygraphy compares each element with a tolerance of 1e-5, torch.onnx.verification with 1e-3.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.graph import Location, Node
from netlint.probe.observed import Compared
from netlint.probe.stages import against
from netlint.rule import ERROR, Evidence, Finding, Option, Scope, rule

from ._measured import setting

_TOLERANCE = Option("tolerance", 1e-3, "the largest difference that may be, relative to the output's largest element")
_HELP = "export again from the same weights, in inference mode, with an example that takes the same branches"


@rule(
    "PRB014",
    "export-mismatch",
    level=ERROR,
    since="0.3",
    status="preview",
    requires=(against,),
    options=(_TOLERANCE,),
)
def export_mismatch(scope: Scope) -> Iterator[Finding]:
    found = scope[against]
    evidence = (Evidence("export", found.file), *setting(found.setup))
    if found.unequal:
        at = _at(scope, found.outputs)
        yield Finding(f"the model and its export do not pair up: {found.unequal}", at, evidence, help=_HELP)
    for pair in found.outputs:
        if pair.difference > float(scope.options["tolerance"]) * pair.size:
            yield Finding(
                f"the output differs from the export's '{pair.name}' by {pair.difference:.3g}, where the largest "
                f"element is {pair.size:.3g}",
                scope.graph.producer(pair.value) or Location(pair.value.name),
                evidence,
                help=_HELP,
            )


def _at(scope: Scope, pairs: tuple[Compared, ...]) -> Node | Location:
    value = pairs[0].value if pairs else scope.graph.outputs[0] if scope.graph.outputs else None
    return scope.graph.producer(value) or Location("model")
