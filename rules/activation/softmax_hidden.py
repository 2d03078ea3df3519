"""A softmax as the non-linearity between two weighted layers.

## What it does

Reports a softmax or log-softmax (also written out) that stands between weighted layers as their ordinary activation:
layers feed it, its result is multiplied with no other computed tensor, and a layer with a bias (its own or that of a
normalisation behind it) reads it, through layout, pooling, normalisation or dropout at most.

## Why is this bad

The outputs of a softmax sum to 1: with many units each is tiny, all compete, and what the next layer sees shrinks with
the width. Its derivative is small wherever one unit wins. Hidden layers need activations that act on each unit alone.

## Example

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 5] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5},
 float[5, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9, 1}, float[2] b = {0, 0}>
{
    h = MatMul(x, w)
    s = Softmax(h)      # want warning "a softmax between weighted layers"
    y = Gemm(s, v, b)
}
```

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 5] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5},
 float[5, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9, 1}, float[2] b = {0, 0}>
{
    h = MatMul(x, w)
    s = LogSoftmax(h)      # want "a log-softmax between weighted layers"
    m = MatMul(s, v)
    y = Add(m, b)
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
        h = F.softmax(self.fc1(x), dim=1)      # want warning "a softmax between weighted layers"
        return self.fc2(h)
```

## Use instead

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 5] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5, 0.1, -0.2, 0.3, 0.4, -0.5},
 float[5, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9, 1}, float[2] b = {0, 0}>
{
    h = MatMul(x, w)
    s = Relu(h)
    y = Gemm(s, v, b)
}
```

## Spares

Attention, mixtures of experts and gates: the softmax weights other computed values.

```onnx
experts (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[3, 2] e = {0.3, -0.2, 0.3, 0.4, -0.5, 0.6},
 float[2, 2] v = {0.1, -0.2, 0.3, 0.4}, float[2] b = {0, 0}>
{
    g = MatMul(x, w)
    s = Softmax(g)
    h = MatMul(x, e)
    m = Mul(h, s)
    y = Gemm(m, v, b)
}
```

Attention whose heads are mixed by layers before and behind the softmax (talking heads): it runs over positions, the
layers' units are the heads.

```torch
# given inputs=2,4,6,6
class TalkingHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.before = nn.Linear(4, 4)
        self.behind = nn.Linear(4, 4)
    def forward(self, scores):
        mixed = self.before(scores.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.behind(mixed.softmax(dim=-1).permute(0, 2, 3, 1))
```

A category that is drawn: noise is added to the scores (Gumbel's trick, the concrete distribution).

```onnx
drawn (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.1, -0.2, 0.3, 0.4}, float[2] b = {0, 0},
 float tiny = {1e-7}, float temperature = {0.5}>
{
    h = Gemm(x, w, b)
    u = RandomUniformLike(h)
    p = Add(u, tiny)
    l = Log(p)
    n = Neg(l)
    q = Add(n, tiny)
    g = Log(q)
    z = Sub(h, g)
    t = Div(z, temperature)
    s = Softmax(t)
    y = Gemm(s, v, b)
}
```

Expert routers: the best experts are picked.

```onnx
router (float[N, 3] x) => (float[N, 1] weight, int64[N, 1] expert)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, int64[1] one = {1}>
{
    g = MatMul(x, w)
    s = Softmax(g)
    weight, expert = TopK(s, one)
}
```

A distribution over the entries of a codebook, or over the bins of a number (as in distribution focal loss), and its
expectation: a product without a bias.

```onnx
expectation (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 1] bins = {0, 1}, float[1, 2] v = {0.1, 0.2},
 float[2] b = {0, 0}>
{
    h = MatMul(x, w)
    s = Softmax(h)
    e = MatMul(s, bins)
    y = Gemm(e, v, b)
}
```

Class probabilities that are an output themselves and feed a later stage, or join other features before they do:

```onnx
cascade (float[N, 3] x) => (float[N, 2] p, float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.1, -0.2, 0.3, 0.4}, float[2] b = {0, 0}>
{
    h = MatMul(x, w)
    p = Softmax(h)
    y = Gemm(p, v, b)
}
```

## Known limits

A hidden softmax before a layer without a bias looks like an expectation and is not reported. The text generator of a
GAN is reported where the graph holds its discriminator, but not the data that this reads as well.

## References

- I. Goodfellow, Y. Bengio, A. Courville: Deep Learning, section 6.2.2.3. MIT Press 2016.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.axes import axes
from netlint.analyses.axes_units import units_axis
from netlint.analyses.layers import Layer
from netlint.analyses.roles import Roles, SoftmaxLike, roles
from netlint.analyses.shapes import shapes
from netlint.graph import Graph, Node, Value
from netlint.ops import NORMALISATION, RANDOM
from netlint.rule import WARNING, Evidence, Finding, Scope, rule

_ADDED = frozenset({"Add", "Sub", "Mul", "Div", "Neg", "Log", "Exp", "Clip", "Max", "Reshape", "Cast"})
_NOISE = 10
"""Operators from the scores back to the noise: two logarithms, their guards and a temperature."""


@rule("ACT011", "softmax-hidden", level=WARNING, since="0.2", requires=(roles, shapes, axes, units_axis))
def softmax_hidden(scope: Scope) -> Iterator[Finding]:
    known = scope[roles]
    for node in scope.graph.of("Softmax", "LogSoftmax", "Div", "Mul", "Sub"):
        soft = known.softmax(node)
        if soft is None or not _between_layers(scope.graph, known, node):
            continue
        if _over_positions(scope, soft) or _drawn(scope.graph, soft):
            continue
        before, after = known.before(node), known.after(node)
        yield Finding(
            f"a {'log-' if soft.log else ''}softmax between weighted layers: "
            f"{_names(before)} → {node.op} → {_names(after)}",
            node,
            evidence=(
                Evidence("before", [layer.node.loc.path for layer in before]),
                Evidence("after", [layer.node.loc.path for layer in after]),
            ),
            help="use ReLU, GELU or SiLU between layers; keep the softmax for the head and for attention",
            why="its outputs sum to 1: the wider the layer, the smaller each of them, and its gradient",
        )


def _between_layers(graph: Graph, known: Roles, node: Node) -> bool:
    if known.role(node) != "body":
        return False
    ahead, behind = known.ahead(node), known.behind(node)
    if not (ahead.complete and behind.complete and behind.layers) or ahead.ends or ahead.stops or ahead.joins:
        return False
    if any(known.reads_inputs_too(layer) for layer in ahead.layers):
        return False  # what a generator makes, and a discriminator compares with the data
    return bool(ahead.layers) and all(_biased(graph, layer) for layer in ahead.layers)


def _drawn(graph: Graph, soft: SoftmaxLike) -> bool:
    """Whether noise is added to the scores: a category is drawn, as Gumbel's trick has it."""
    values: list[Value | None] = [soft.data]
    for _ in range(_NOISE):
        producers = [producer for value in values if (producer := graph.producer(value)) is not None]
        if any(producer.op in RANDOM for producer in producers):
            return True
        values = [value for producer in producers if producer.op in _ADDED for value in producer.inputs]
    return False


def _over_positions(scope: Scope, soft: SoftmaxLike) -> bool:
    """Whether it normalises over neither units nor samples: it weights positions, as attention does."""
    rank = scope[shapes].rank(soft.data)
    over = scope[roles].softmax_axes(soft, rank) if rank else None
    units = scope[units_axis].counting(soft.data)
    if not over or not units or None in units:
        return False
    return not units & {*over} and scope[axes].state(soft.data) == "known" and scope[axes].batch(soft.data) not in over


def _biased(graph: Graph, layer: Layer) -> bool:
    """Whether a layer adds a bias: its own, that of a normalisation, or the zeros that an exporter left out."""
    normalised = any(node.op in NORMALISATION for node in graph.uses(layer.output))
    return layer.bias is not None or normalised or layer.node.op == "Gemm"


def _names(layers: tuple[Layer, ...]) -> str:
    return ", ".join(dict.fromkeys(layer.node.op for layer in layers))
