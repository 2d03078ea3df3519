"""A sigmoid or tanh head whose targets lie on its asymptotes, under a squared or absolute error.

## What it does

Reports a head that ends in a sigmoid or tanh, possibly rescaled by constants, where the declared targets reach a value
that the head only approaches, and the loss is a squared or absolute error.

A note only where the output is an image or another signal (several axes, a convolution before the activation, or more
units than `max-units`, 16) and for the tasks `autoencoder` and `gan`: there few targets lie at the very ends.

## Why is this bad

A tanh reaches ±1 at infinity only. To come close the weights must grow without end, and the derivative that the loss is
multiplied with goes to zero on the way: an answer of 0.99 learns 50 times slower than one of 0, and a unit that is
wrong at the other end does not come back.

## Example

```onnx
# given loss=mse_loss targets=-1..1
regressor (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)
    y = Tanh(h)      # want warning "targets reach -1 and 1, which tanh only approaches"
}
```

```onnx
# given loss=l1_loss targets=0..5
scaled (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0.1, -0.2, 0.3}, float ten = {10}>
{
    h = MatMul(x, w)
    s = Sigmoid(h)      # want warning "targets reach 0, which a sigmoid only approaches"
    y = Mul(s, ten)
}
```

```torch
# given loss=mse_loss targets=0..1 inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)
    def forward(self, x):
        return torch.sigmoid(self.fc(x))      # want warning "targets reach 0 and 1"
```

## Use instead

A margin between the targets and the limits (targets from -1 to 1 scaled to ±0.8, or the head scaled up):

```onnx
# given loss=mse_loss targets=-1..1
regressor (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0.1, -0.2, 0.3}, float wide = {1.7159}>
{
    h = MatMul(x, w)
    t = Tanh(h)
    y = Mul(t, wide)
}
```

## Spares

Sigmoid and binary cross-entropy: the loss undoes the saturation.

```onnx
# given loss=binary_cross_entropy targets=0..1
classifier (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)
}
```

Image generators with tanh are worth a note only:

```onnx
# given loss=mse_loss targets=-1..1
generator (float[N, 1, 4, 4] x) => (float[N, 1, 3, 3] y) <float[1, 1, 2, 2] w = {0.1, -0.2, 0.3, 0.4}>
{
    h = Conv(x, w)
    y = Tanh(h)      # want note "only approaches"
}
```

Targets inside the limits:

```onnx
# given loss=mse_loss targets=-0.9..0.9
regressor (float[N, 3] x) => (float[N, 1] y) <float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)
    y = Tanh(h)
}
```

## Known limits

The declared range tells that targets may reach a limit, not how many do. Targets beyond the limits are another fault,
`output-range-misses-targets`.

## References

- Y. LeCun, L. Bottou, G. Orr, K.-R. Müller: Efficient BackProp. 1998, section 4.5: choosing target values.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from netlint.analyses.contract import contract, known_targets
from netlint.analyses.roles import Head, Roles, roles
from netlint.analyses.shapes import shapes
from netlint.rule import NOTE, WARNING, Evidence, Finding, Option, Scope, rule
from netlint.training import Known

_NEAR = 1e-6


@rule(
    "ACT003",
    "saturating-head-at-limits",
    level=WARNING,
    also=(NOTE,),
    since="0.2",
    requires=(roles, contract, shapes),
    options=(Option("max-units", 16, "outputs of more units get a note only"),),
)
def saturating_head_at_limits(scope: Scope) -> Iterator[Finding]:
    targets = known_targets(scope[contract])
    pairs = dict(scope[roles].reads(scope[contract]))
    found = {head: ends for head in pairs if (ends := _limits(scope[roles], head)) is not None}
    at_ends = {head: _reached(ends, targets.value.lo, targets.value.hi) for head, ends in found.items()}
    for head in scope[roles].certainly(head for head, ends in at_ends.items() if ends):
        loss = pairs[head]
        if loss.value.kind not in ("squared", "absolute") or head.activation is None:
            continue
        name = "a sigmoid" if head.activation.op != "Tanh" else "tanh"
        reached = " and ".join(f"{end:g}" for end in at_ends[head])
        yield Finding(
            f"the targets reach {reached}, which {name} only approaches: the gradient of {loss.value.name} dies there",
            head.activation,
            evidence=(
                Evidence("output between", list(found[head])),
                Evidence("targets", [targets.value.lo, targets.value.hi], targets.origin),
                Evidence("loss", loss.value.name, loss.origin),
            ),
            help="scale the targets well inside the limits, end in the affine layer, or use cross-entropy for labels",
            why="the head reaches its limits for infinite weights only, and its derivative vanishes on the way",
            level=NOTE if _signal(scope, head) else WARNING,
        )


def _limits(known: Roles, head: Head) -> tuple[float, float] | None:
    """The asymptotes of a head that ends in a sigmoid or tanh, rescaled by constants or not."""
    node = head.activation
    squash = node is not None and (node.op == "Tanh" or known.sigmoid(node) is not None)
    if node is None or not squash or node.op == "HardSigmoid":
        return None
    scale, shift = 1.0, 0.0
    for after in takewhile(lambda one: one is not node, head.chain):
        taken = known.rescaled(after)
        if taken is None:
            return None
        shift, scale = shift + scale * taken[1], scale * taken[0]
    ends = [scale * end + shift for end in ((-1.0, 1.0) if node.op == "Tanh" else (0.0, 1.0))]
    return min(ends), max(ends)


def _reached(limits: tuple[float, float], low: float, high: float) -> tuple[float, ...]:
    """The limits that targets reach; none where targets go beyond them."""
    near = _NEAR * (limits[1] - limits[0])
    if low < limits[0] - near or high > limits[1] + near:
        return ()
    return tuple(end for end, target in zip(limits, (low, high), strict=True) if abs(end - target) <= near)


def _signal(scope: Scope, head: Head) -> bool:
    """Whether an output is an image or another signal, whose elements seldom lie at the ends."""
    task = scope[contract].task
    if isinstance(task, Known) and task.value in ("autoencoder", "gan"):
        return True
    shape = scope[shapes].of(head.value)
    if head.layer is None or head.layer.kind != "dense" or shape is None or len(shape) > 2:
        return True
    return not isinstance(shape[-1], int) or shape[-1] > int(scope.options["max-units"])
