"""Values or gradients grow without bound from layer to layer.

## What it does
Compares the size of values at the outputs of weighted layers with that at the first, or of the inputs where they are
smaller; where they do not grow, the size of gradients, along the layers that all signal passes, with that at the last.
Reports, once for the model, a growth of more than `growth` (10,000) times.

## Why is this bad
The gradient of a weight is the product of the two. Steps become so large that the first one throws the weights away;
in half precision the values overflow.

## Example
```torch
# given probe=cpu loss=mse_loss inputs=16,32 stage=init
class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(20))
        self.head = nn.Linear(32, 1)
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=1.0)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))     # want "values grow"
        return self.head(x)
```
A recurrence whose matrix amplifies:
```torch
# given probe=cpu loss=mse_loss inputs=8,30,16 stage=init
class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.again = nn.Linear(16, 16), nn.Linear(16, 16, bias=False)
        self.head = nn.Linear(16, 1)
        with torch.no_grad():
            self.again.weight.copy_(2 * torch.eye(16))

    def forward(self, x):
        h = torch.zeros(x.shape[0], 16)
        for t in range(30):
            h = self.enter(x[:, t]) + self.again(h)     # want "values grow"
        return self.head(h)
```

## Use instead
```torch
# given probe=cpu loss=mse_loss inputs=16,32 stage=init
class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(20))
        self.head = nn.Linear(32, 1)
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)
```

## Spares
Inputs that are large already, and norms that take the scale away:
```torch
# given probe=cpu loss=cross_entropy inputs=4,3,16,16 stage=init input_range=0..255
class Raw(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3)
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
```

## Known limits
Growth inside a recurrent layer shows only in its output, which is compared with the inputs. Values below 1 may grow to
1 unnoticed.

## References
Pascanu et al.: On the difficulty of training recurrent neural networks (2013). AUTOTRAINER takes a ratio of 70 between
the gradients of neighbouring layers as exploding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

from netlint.analyses.trunk import trunk
from netlint.probe.observed import Passes
from netlint.probe.stages import passes
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

from ._measured import LAYERED, Measured, measured, setting

_GROWTH = Option("growth", 1e4, "how many times values or gradients may grow between the first and the last layer")
_SHOWN = 8
_HELP = "initialise for the activation (He for ReLU, orthogonal for recurrences), add norms, or clip gradients"


@rule(
    "PRB004",
    "exploding-gradient",
    level=WARNING,
    since="0.3",
    status="preview",
    requires=(passes, trunk, *LAYERED),
    options=(_GROWTH,),
)
def exploding_gradient(scope: Scope) -> Iterator[Finding]:
    found = scope[passes]
    all_of_them = measured(scope, found)
    growth = float(scope.options["growth"])
    sizes = [(each.size, each) for each in all_of_them if each.size is not None]
    trunk_only = [each for each in reversed(all_of_them) if each.layer.node in scope[trunk]]
    norms = [(norm, each) for each in trunk_only if (norm := _scaled(each)) is not None]
    finding = _values(sizes, growth, found) or _gradients(norms, growth, found)
    if finding is not None:
        yield finding


def _scaled(each: Measured) -> float | None:
    """The gradient of a layer's output, times the size of that where it is small: under a norm a tiny output has a
    large gradient, without harm."""
    if each.gradient is None or each.size is None:
        return None
    return each.gradient * min(each.size, 1.0)


def _values(sizes: Sequence[tuple[float, Measured]], growth: float, found: Passes) -> Finding | None:
    first = max(_least(sizes, found), 1.0)  # what is small may well grow to 1: norms do that
    crossing = next((each for size, each in sizes if size > growth * first), None)
    if crossing is None:
        return None
    largest, many = max(size for size, _ in sizes), len(sizes)
    start = f"inputs up to {first:.2g}" if sizes[0][0] > growth * first else f"{sizes[0][0]:.2g}"
    return Finding(
        f"values grow from {start} to {largest:.2g} (root mean square) over {many} layer{'s' * (many != 1)}",
        crossing.layer.node,
        (Evidence("root mean square of the output", _shown(sizes)), *setting(found.setup)),
        help=_HELP,
    )


def _least(sizes: Sequence[tuple[float, Measured]], found: Passes) -> float:
    """The size of values at the first layer, or before it: a recurrent layer may be all there is."""
    given = [max(abs(lo), abs(hi)) for lo, hi in found.inputs.values() if isfinite(lo) and isfinite(hi)]
    return min([size for size, _ in sizes[:1]] + given, default=0.0)


def _gradients(norms: Sequence[tuple[float, Measured]], growth: float, found: Passes) -> Finding | None:
    """`norms` begins at the last layer."""
    last = norms[0][0] if norms else 0.0
    crossing = next((each for norm, each in norms if norm > growth * last), None) if last > 0 else None
    if crossing is None:
        return None
    largest = max(norm for norm, _ in norms)
    return Finding(
        f"the gradient grows from {last:.2g} at the last layer to {largest:.2g} (norm) over {len(norms)} layers",
        crossing.layer.node,
        (Evidence("norm of the gradient at the output", _shown(norms)), *setting(found.setup)),
        help=_HELP,
    )


def _shown(sizes: Sequence[tuple[float, Measured]]) -> dict[str, float]:
    step = max(len(sizes) // _SHOWN, 1)
    return {each.layer.node.loc.path: float(f"{size:.3g}") for size, each in sizes[::step]}
