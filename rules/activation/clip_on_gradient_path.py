"""A narrow Clip between weighted layers, whose gradient is zero for a large share of what it sees.

## What it does

Notes a Clip (clamp, hardtanh) with constant bounds that stands between weighted layers, or between the last layer and a
declared loss, where a share of at least `min-share` (0.25) of its inputs lies outside the bounds. The share is the
smaller of two: the part of the proved input range that lies outside, where that range is bounded, and the part of a
standard normal distribution, the common scale of what a layer gives at initialisation. A lower bound of 0 counts as the
ReLU that it is: only what lies above the upper bound is held against it.

## Why is this bad

Outside its bounds a Clip passes no gradient: a unit that has drifted there gets no signal to come back. Inside the
network the non-linearity should keep a slope, or be cut off on one side only.

## Example

```onnx
clipped (float[N, 3] x) => (float[N, 2] y)
<float[3, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6},
 float[4, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}, float low = {-0.5}, float high = {0.5}>
{
    h = MatMul(x, w)
    c = Clip(h, low, high)      # want note "no gradient passes this Clip outside [-0.5, 0.5]"
    y = MatMul(c, v)
}
```

```onnx
# given loss=mse_loss
head (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0.1, -0.2, 0.3}, float low = {-1}, float high = {1}>
{
    h = MatMul(x, w)
    y = Clip(h, low, high)      # want note "no gradient passes this Clip"
}
```

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(8, 16)
        self.fc2 = nn.Linear(16, 3)
    def forward(self, x):
        h = self.fc1(x).clamp(-0.5, 0.5)      # want note "no gradient passes this Clip"
        return self.fc2(h)
```

## Use instead

```onnx
smooth (float[N, 3] x) => (float[N, 2] y)
<float[3, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6},
 float[4, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}>
{
    h = MatMul(x, w)
    c = Tanh(h)
    y = MatMul(c, v)
}
```

## Spares

ReLU6:

```onnx
relu6 (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.1, -0.2, 0.3, 0.4}, float low = {0},
 float high = {6}>
{
    h = MatMul(x, w)
    c = Clip(h, low, high)
    y = MatMul(c, v)
}
```

Hard-swish, and gates in general:

```onnx
hard_swish (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.1, -0.2, 0.3, 0.4}, float three = {3},
 float low = {0}, float high = {1}>
{
    h = MatMul(x, w)
    t = Div(h, three)
    c = Clip(t, low, high)
    g = Mul(h, c)
    y = MatMul(g, v)
}
```

The clamp of a log-variance before its exponential, and of divisors:

```onnx
variance (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.1, -0.2, 0.3, 0.4}, float low = {-0.5},
 float high = {0.5}>
{
    h = MatMul(x, w)
    c = Clip(h, low, high)
    s = Exp(c)
    y = MatMul(s, v)
}
```

Guards against outliers, far from what a layer gives:

```onnx
guard (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.1, -0.2, 0.3, 0.4}, float low = {-10},
 float high = {10}>
{
    h = MatMul(x, w)
    c = Clip(h, low, high)
    y = MatMul(c, v)
}
```

## Known limits

The scale of the inputs is an assumption unless their range is proved; a trained layer may well keep inside the bounds.

## References

- M. Courbariaux et al.: Binarized neural networks. 2016, section 1.3: hard tanh cancels the gradient where it
  saturates.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import erf, inf, isfinite, sqrt

from netlint.analyses.contract import contract
from netlint.analyses.ranges import ranges
from netlint.analyses.roles import Roles, roles
from netlint.graph import Node
from netlint.ops.read import clip_bounds
from netlint.rule import NOTE, Evidence, Finding, Option, Scope, rule
from netlint.training import Known


@rule(
    "ACT013",
    "clip-on-gradient-path",
    level=NOTE,
    since="0.2",
    requires=(roles, ranges, contract),
    options=(Option("min-share", 0.25, "share of the inputs outside the bounds from which a Clip is reported"),),
)
def clip_on_gradient_path(scope: Scope) -> Iterator[Finding]:
    for node in scope.graph.of("Clip"):
        bounds = clip_bounds(node)
        if bounds is None or None in bounds or not _trains_through(scope, node):
            continue
        low, high = float(bounds[0] or 0.0), float(bounds[1] or 0.0)
        proved = scope[ranges].of(node.input(0))
        ends = (proved.lo, proved.hi) if proved.known and isfinite(proved.lo) and isfinite(proved.hi) else None
        share = _outside(low, high, ends)
        if low >= high or share < float(scope.options["min-share"]):
            continue
        yield Finding(
            f"no gradient passes this Clip outside [{low:g}, {high:g}]: {share:.0%} of inputs of unit variance",
            node,
            evidence=(
                Evidence("bounds", [low, high]),
                Evidence("share without gradient", round(share, 3)),
                Evidence("inputs between", list(ends)) if ends else Evidence("assumed", "inputs of unit variance"),
            ),
            help="use a smooth activation, or one that is cut off on one side; clip the targets, not the head",
            why="a unit outside the bounds gets no gradient that could bring it back",
        )


def _trains_through(scope: Scope, node: Node) -> bool:
    """Whether a Clip is all that lies between weighted layers, or between the last one and a loss."""
    known = scope[roles]
    if known.sigmoid(node) is not None:
        return False
    behind = known.behind(node)
    if not behind.complete or not behind.layers or behind.stops:
        return False
    return _hidden(known, node) or any(
        head.activation is node and head.exact and (head.site is not None or isinstance(scope[contract].loss, Known))
        for head in known.predictions
    )


def _hidden(known: Roles, node: Node) -> bool:
    ahead = known.ahead(node)
    plain = ahead.complete and not (ahead.stops or ahead.ends or ahead.joins)
    return plain and bool(ahead.layers) and known.role(node) == "body"


def _outside(low: float, high: float, ends: tuple[float, float] | None) -> float:
    """The share of inputs outside of [low, high]; below 0 it is the ReLU's own, and does not count."""
    floor = -inf if low == 0 else low
    share = _normal(floor) + 1 - _normal(high)
    if ends is None or ends[1] <= ends[0]:
        return share
    width = ends[1] - ends[0]
    beyond = max(0.0, ends[1] - max(high, ends[0])) + max(0.0, min(floor, ends[1]) - ends[0])
    return min(share, beyond / width)


def _normal(x: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * (1 + erf(x / sqrt(2)))
