"""Predictions and targets of different shapes that an elementwise loss broadcasts against each other.

## What it does

Reports an elementwise loss in the graph (squared and absolute errors, binary cross-entropies, divergences, margins)
whose predictions and targets have shapes that broadcast to something larger than both, like [N, 1] and [N] to [N, N].

## Why is this bad

Every prediction is compared with the targets of all samples. The best answer is then the mean of the targets for each
input: the loss falls, the network learns that mean, and nothing raises an exception.

## Example

```onnx
step (float[N, 3] x, float[N] t) => (float loss)
<float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)
    d = Sub(h, t)      # want error "prediction [N, 1] and target [N] broadcast to [N, N] in mse_loss"
    q = Mul(d, d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

```onnx
step (float[N, 3] x, float[N, 1] t) => (float loss)
<float[3, 1] w = {0.1, -0.2, 0.3}, int64[1] last = {1}>
{
    h = MatMul(x, w)
    s = Squeeze(h, last)
    d = Sub(s, t)      # want error "prediction [N] and target [N, 1] broadcast to [N, N] in l1_loss"
    a = Abs(d)
    loss = ReduceMean <keepdims = 0> (a)
}
```

Images whose targets lack the channel axis:

```onnx
step (float[8, 3, 4, 4] x, float[8, 4, 4] t) => (float loss)
<float[1, 3, 1, 1] w = {0.1, -0.2, 0.3}>
{
    h = Conv(x, w)
    d = Sub(h, t)      # want error "broadcast to [8, 8, 4, 4]"
    q = Mul(d, d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

```torch
# given inputs=8,3;8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 1)
    def forward(self, x):
        return self.fc(x)

def step(model, x, t):
    return F.mse_loss(model(x), t)      # want error "broadcast"
```

## Use instead

```onnx
step (float[N, 3] x, float[N] t) => (float loss)
<float[3, 1] w = {0.1, -0.2, 0.3}, int64[1] last = {1}>
{
    h = MatMul(x, w)
    s = Squeeze(h, last)
    d = Sub(s, t)
    q = Mul(d, d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

## Spares

Broadcasting that one of the two asks for: weights and masks, one target for several predictions (quantiles, ensembles),
one target for all:

```onnx
quantiles (float[N, 3] x, float[N, 1] t, float[N, 1] weight) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    d = Sub(h, t)
    q = Mul(d, d)
    m = Mul(q, weight)
    loss = ReduceMean <keepdims = 0> (m)
}
```

```onnx
step (float[N, 3] x, float t) => (float loss)
<float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)
    d = Sub(h, t)
    q = Mul(d, d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

Distances of all pairs, where an axis is put in for the purpose:

```onnx
prototypes (float[N, 3] x, float[M, 2] centres) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, int64[1] middle = {1}>
{
    h = MatMul(x, w)
    e = Unsqueeze(h, middle)
    d = Sub(e, centres)
    q = Mul(d, d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

```onnx
levels (float[8, 3] x, float[5] t) => (float loss)
<float[3, 1] w = {0.1, -0.2, 0.3}>
{
    h = MatMul(x, w)
    d = Sub(h, t)
    q = Mul(d, d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

## Known limits

Says nothing where a length is unknown, or where one of the lengths in question is 1: a batch of one sample hides the
fault. Where both sides depend on layers, only losses that the framework names are judged.

## References

- PyTorch documentation: broadcasting semantics, and the warning of `mse_loss` about sizes that differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import LossSite, losses
from netlint.analyses.shapes import shapes
from netlint.graph import Dim, Graph, Shape, Value
from netlint.rule import ERROR, Evidence, Finding, Scope, rule
from netlint.training import Loss

_KINDS = frozenset({"squared", "absolute", "divergence"})
_NAMES = frozenset({"poisson_nll_loss", "hinge_loss", "soft_margin_loss"})


@rule("LOS010", "loss-broadcasts", level=ERROR, since="0.2", requires=(losses, shapes))
def loss_broadcasts(scope: Scope) -> Iterator[Finding]:
    known, told = scope[shapes], set[object]()
    for site in scope[losses]:
        prediction, target = known.of(site.predictions), known.of(site.targets)
        if not _elementwise(site.loss) or prediction is None or target is None or site.node in told:
            continue
        result = _larger(prediction, target)
        if result is None or _pairwise(scope.graph, site, prediction, target):
            continue
        told.add(site.node)
        shapes_of = f"prediction {_text(prediction)} and target {_text(target)}"
        yield Finding(
            f"{shapes_of} broadcast to {_text(result)} in {site.loss.name}",
            site.node,
            evidence=(
                Evidence("prediction", _text(prediction)),
                Evidence("target", _text(target)),
                Evidence("compared", _text(result)),
                Evidence("loss", site.loss.name, site.origin),
            ),
            help="give both the same shape: squeeze the prediction's last axis, or unsqueeze the target",
            why="every prediction is compared with the targets of all samples: the network learns their mean",
        )


def _elementwise(loss: Loss) -> bool:
    return loss.kind in _KINDS or loss.name in _NAMES or (loss.kind == "cross-entropy" and loss.over == "units")


def _larger(one: Shape, other: Shape) -> Shape | None:
    """The broadcast shape, if one length stands in it twice that stands once in each of the two."""
    rank = max(len(one), len(other))
    a, b = ((1,) * (rank - len(shape)) + shape for shape in (one, other))
    if any(x != y and 1 not in (x, y) for x, y in zip(a, b, strict=True)) or None in a or None in b:
        return None
    grown = [y for x, y in zip(a, b, strict=True) if x == 1 and y != 1]
    shrunk = [x for x, y in zip(a, b, strict=True) if y == 1 and x != 1]
    if not any(_alike(x, y) for x in grown for y in shrunk):
        return None
    return tuple(y if x == 1 else x for x, y in zip(a, b, strict=True))


def _alike(one: Dim, other: Dim) -> bool:
    """Whether both may count the samples of one batch: equal numbers, or unknown lengths by whatever name."""
    return one == other if isinstance(one, int) or isinstance(other, int) else True


def _pairwise(graph: Graph, site: LossSite, one: Shape, other: Shape) -> bool:
    """Whether all pairs are meant: shapes of one rank that complete each other, or an axis put in before others."""
    if len(one) == len(other):
        return len(one) != 2
    return max(len(one), len(other)) > 2 and any(_put_in(graph, v) for v in (site.predictions, site.targets))


def _put_in(graph: Graph, value: Value | None) -> bool:
    node = graph.producer(value)
    return node is not None and node.op in ("Unsqueeze", "Reshape", "Expand")


def _text(shape: Shape) -> str:
    return "[" + ", ".join(str(size) for size in shape) + "]"
