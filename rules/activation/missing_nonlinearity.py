"""Two weighted layers with nothing non-linear between them, where one layer would do.

## What it does

Reports two dense or convolutional layers that compose linearly: only layout, biases, scales, BatchNormalization,
dropout or averaging lie between them, nothing else reads what flows between them, and one layer in their place would
have no more weights. Layers that follow each other in this way are reported together.

A warning for dense layers, for a convolution before a dense layer, and for convolutions that one convolution of no
greater cost replaces; a note for a cheap 1×1 convolution beside a larger one, which is often a chosen projection, for a
convolution behind a transposed one, for two large convolutions whose product would cost more, and for layers with
nothing but max pooling between them, which is a weak non-linearity.

A whole network without any non-linearity, from an input of the model through convolutions to a dense last layer, is
reported as such, even where no single pair merges into something smaller, as with average pooling between the layers.

## Why is this bad

A product of two matrices is a matrix: both layers together can do no more than one, train more slowly, and cost more.
Nearly always an activation was forgotten, and the network is shallower than it looks. Dropout changes nothing in this:
it is linear in what it keeps.

## Example

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[4] b = {0, 0, 0, 0},
 float[4, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}>
{
    h = Gemm(x, w, b)      # want warning "2 weighted layers without a non-linearity between them"
    y = Gemm(h, v)
}
```

Dropout and BatchNormalization in between are linear, too:

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[4] b = {0, 1, 0, 2},
 float[4] one = {1, 1, 1, 1}, float[4, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}>
{
    h = MatMul(x, w)      # want warning "merge into one"
    s = Add(h, b)
    n = BatchNormalization(s, one, b, b, one)
    d = Dropout(n)
    y = MatMul(d, v)
}
```

A convolution, flattened, before the classifier:

```onnx
cnn (float[N, 1, 3, 3] x) => (float[N, 2] y)
<float[2, 1, 2, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8},
 float[8, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}>
{
    h = Conv(x, w)      # want warning "Conv → Gemm"
    f = Flatten(h)
    y = Gemm(f, v)
}
```

An activation was computed, but its result is never used:

```torch
# given inputs=4,784
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 256)
        self.fc2 = nn.Linear(256, 10)
    def forward(self, x):
        x = self.fc1(x)      # want warning "2 weighted layers without a non-linearity between them"
        F.relu(x)
        return self.fc2(x)
```

A network that is linear as a whole:

```torch
# given inputs=4,1,28,28
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc = nn.Linear(16 * 49, 10)
    def forward(self, x):
        x = F.avg_pool2d(self.conv1(x), 2)      # want warning "the model is linear in its input"
        x = F.avg_pool2d(self.conv2(x), 2)
        return self.fc(x.flatten(1))
```

## Use instead

```onnx
mlp (float[N, 3] x) => (float[N, 2] y)
<float[3, 4] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[4] b = {0, 0, 0, 0},
 float[4, 2] v = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8}>
{
    h = Gemm(x, w, b)
    a = Relu(h)
    y = Gemm(a, v)
}
```

## Spares

Low-rank factorisation, linear bottlenecks and autoencoders without activations: the inner width is smaller than both
others, and one layer would have more weights.

```onnx
low_rank (float[N, 4] x) => (float[N, 4] y)
<float[4, 1] w = {0.1, -0.2, 0.3, 0.4}, float[1, 4] v = {0.1, -0.2, 0.3, 0.4}>
{
    h = MatMul(x, w)
    y = MatMul(h, v)
}
```

Depthwise-separable convolutions, in either order:

```onnx
separable (float[N, 2, 4, 4] x) => (float[N, 2, 3, 3] y)
<float[2, 1, 2, 2] w = {0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8}, float[2, 2, 1, 1] v = {0.1, -0.2, 0.3, 0.4}>
{
    h = Conv <group = 2> (x, w)
    y = Conv(h, v)
}
```

The linear bottleneck of an inverted residual block, whatever its projection meets, such as the next block's expansion:

```onnx
inverted (float[N, 4, 2, 2] x) => (float[N, 4, 2, 2] y)
<float[1, 4, 1, 1] w = {0.1, -0.2, 0.3, 0.4}, float[4, 1, 1, 1] v = {0.1, -0.2, 0.3, 0.4}, float[1] one = {1},
 float[1] zero = {0}>
{
    h = Conv(x, w)
    n = BatchNormalization(h, one, zero, zero, one)
    e = Conv(n, v)
    y = Relu(e)
}
```

Query and key, value and output projections of attention: their results are multiplied with each other first.

```onnx
attention (float[2, 3] x) => (float[2, 3] y)
<float[3, 3] q = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9},
 float[3, 3] k = {0.2, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9},
 float[3, 3] v = {0.3, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9},
 float[3, 3] o = {0.4, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9}>
{
    qx = MatMul(x, q)
    kx = MatMul(x, k)
    vx = MatMul(x, v)
    kt = Transpose(kx)
    s = MatMul(qx, kt)
    p = Softmax(s)
    a = MatMul(p, vx)
    y = MatMul(a, o)
}
```

LoRA: the low-rank way runs beside the layer that it adapts.

```onnx
lora (float[N, 4] x) => (float[N, 2] y)
<float[4, 2] w = {0.1, -0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}, float[4, 1] a = {0.1, -0.2, 0.3, 0.4},
 float[1, 2] b = {0.1, 0.2}>
{
    h = MatMul(x, w)
    d = MatMul(x, a)
    u = MatMul(d, b)
    y = Add(h, u)
}
```

An embedding and its projection:

```onnx
factorised (int64[N] t) => (float[N, 3] y)
<float[4, 2] e = {0.1, -0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}, float[2, 3] w = {0.1, -0.2, 0.3, 0.4, 0.5, 0.6}>
{
    h = Gather(e, t)
    y = MatMul(h, w)
}
```

What flows between the layers is read elsewhere, too:

```onnx
shared (float[N, 3] x) => (float[N, 3] y)
<float[3, 3] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9},
 float[3, 3] v = {0.2, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8, 0.9}>
{
    h = MatMul(x, w)
    k = MatMul(h, v)
    y = Add(h, k)
}
```

## Known limits

Layers that over-parametrise a linear map on purpose (as the deep linear nets that theory studies) are reported. What
passes a pixel shuffle, a split or a recurrent layer is not followed.

## References

- A. Nikanjam, H. Ben Braiek, M. Morovati, F. Khomh: Automatic fault detection for deep learning programs using graph
  transformations. TOSEM 2021.
- M. Sandler et al.: MobileNetV2: inverted residuals and linear bottlenecks. CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.paths import LinearNetwork, LinearPair, paths
from netlint.analyses.roles import roles
from netlint.graph import Node
from netlint.rule import NOTE, WARNING, Evidence, Finding, Level, Option, Scope, rule

# Two 3x3 kernels make one of 5x5, with a stride of 2 one of 7x7. Beyond this the pair is a factorisation.
_FACTORISED = 8
# A 1x1 convolution beside a larger one that costs less than this share of both is a projection that somebody chose.
_CLEAR = 0.25
_WHY = "a product of linear maps is a linear map: the layers together can do no more than one"
_WHY_POOLED = "all but the choice of a maximum is linear here: the layers hardly do more than one"


@rule(
    "ACT006",
    "missing-nonlinearity",
    level=WARNING,
    also=(NOTE,),
    since="0.2",
    requires=(paths, roles),
    options=(Option("min-saving", 0.03, "share of both layers' weights that one layer must save, at least"),),
)
def missing_nonlinearity(scope: Scope) -> Iterator[Finding]:
    chains = list(_chains(scope, float(scope.options["min-saving"])))
    whole = _whole(scope, [chain[0] for chain, level in chains if level == WARNING])
    if whole is not None:
        yield _linear(whole)
    for chain, level in chains:
        if whole is not None and chain[0].first in whole.layers:
            continue
        layers = [chain[0].first, *(pair.second for pair in chain)]
        names = " → ".join(layer.node.op for layer in layers)
        between = [node.op for pair in chain for node in pair.between if not _adds_bias(pair, node)]
        pooled = chain[0].maxpooled
        yield Finding(
            _message(f"{len(layers)} weighted layers", names, chain),
            layers[0].node,
            evidence=(
                Evidence("widths", [chain[0].inputs, *(pair.inner for pair in chain), chain[-1].units]),
                Evidence("weights of each two", [pair.cost for pair in chain]),
                *(() if pooled else (Evidence("weights of one in their place", [pair.merged for pair in chain]),)),
                *((Evidence("between", between),) if between else ()),
            ),
            help="put an activation (ReLU, GELU, SiLU) between the layers, or keep one layer",
            why=_WHY_POOLED if pooled else _WHY,
            related=(
                *(("composes linearly with it", layer.node.loc) for layer in layers[1:]),
                *(("nothing uses its result", node.loc) for pair in chain for node in pair.unread),
            ),
            level=level,
        )


def _whole(scope: Scope, reported: list[LinearPair]) -> LinearNetwork | None:
    """The whole network, if it is linear in its input and no pair of its layers says so already."""
    predictions = scope[roles].predictions
    last = predictions[0].layer if len({head.value for head in predictions}) == 1 else None
    found = scope[paths].whole(last) if last is not None else None
    return found if found is not None and all(pair.first not in found.layers for pair in reported) else None


def _linear(network: LinearNetwork) -> Finding:
    first, *others = network.layers
    names = " → ".join(layer.node.op for layer in network.layers)
    # One convolution under a classifier may stand for a linear model with shared weights.
    shared = len(network.layers) == 2 and network.merged > network.cost
    return Finding(
        f"the model is linear in its input: {len(network.layers)} weighted layers, {names}, make one linear map",
        first.node,
        evidence=(
            Evidence("numbers in and out", [network.inputs, network.units]),
            Evidence("weights", network.cost),
            Evidence("weights of one dense layer in their place", network.merged),
        ),
        help="put an activation (ReLU, GELU, SiLU) behind each layer but the last",
        why=_WHY,
        related=tuple(("composes linearly with it", layer.node.loc) for layer in others),
        level=NOTE if shared else WARNING,
    )


def _chains(scope: Scope, saving: float) -> Iterator[tuple[list[LinearPair], Level]]:
    """Pairs in series of one level and kind, each series as a whole."""
    judged = {pair.first: (pair, level) for pair in scope[paths].linear if (level := _level(pair, saving)) is not None}
    inner = {pair.second for pair, level in judged.values() if _next(judged.get(pair.second), pair, level)}
    for first, (pair, level) in judged.items():
        if first in inner:
            continue
        chain = [pair]
        while (following := _next(judged.get(chain[-1].second), pair, level)) is not None:
            chain.append(following)
        yield chain, level


def _next(following: tuple[LinearPair, Level] | None, pair: LinearPair, level: Level) -> LinearPair | None:
    """The next pair of a series, if it is reported in the same way."""
    same = following is not None and following[1] == level and following[0].maxpooled == pair.maxpooled
    return following[0] if following is not None and same else None


def _level(pair: LinearPair, saving: float) -> Level | None:
    """How sure it is that a non-linearity is missing; None where the pair is a design of its own."""
    if pair.maxpooled:
        return NOTE
    if pair.by_design or pair.inner < min(pair.inputs, pair.units):
        return None
    if pair.merged <= pair.cost * (1 - saving):
        if pair.first.kind == "conv-transpose" != pair.second.kind:
            return NOTE  # upsampled, then projected: a design of detectors
        return NOTE if _projects(pair) and pair.merged > pair.cost * (1 - _CLEAR) else WARNING
    return NOTE if pair.spatial and pair.merged <= _FACTORISED * pair.cost else None


def _projects(pair: LinearPair) -> bool:
    """Whether a 1x1 convolution changes the channels before or after a larger one."""
    return pair.first.kind == pair.second.kind and pair.first.kind != "dense" and not pair.spatial


def _message(layers: str, names: str, chain: list[LinearPair]) -> str:
    if chain[0].maxpooled:
        return f"{layers} with nothing but max pooling between them: {names}"
    costs_more = any(pair.merged > pair.cost for pair in chain)
    makes = "make one linear map, if one of more weights" if costs_more else "merge into one"
    return f"{layers} without a non-linearity between them: {names} {makes}"


def _adds_bias(pair: LinearPair, node: Node) -> bool:
    return pair.first.output in node.outputs
