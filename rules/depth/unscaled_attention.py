"""Attention whose scores grow with the width: they are not divided by the root of it before the softmax.

## What it does

Reports a softmax over products of queries and keys, both computed by layers, that no constant scales, where

- a constant of 1/√d, d being the length of queries and keys, follows the softmax instead, or
- the layers are freshly initialised, and the deviation of the scores that follows from their weights is `largest` (4)
  or more.

## Why is this bad

A score sums d products: with entries of deviation 1 its own is √d. At 8 the softmax is all but an arg-max: it picks
one position at random, and its gradient vanishes. Behind the softmax the same constant makes the outputs small, and
leaves the scores as they are.

## Example

```torch
# given inputs=2,12,256
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(256, 256), nn.Linear(256, 256), nn.Linear(256, 256)
    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(1, 2)
        return torch.softmax(scores, -1) @ self.v(x)      # want "of 256 products each, have a deviation of 5.3"
```

```torch
# given inputs=2,12,128
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(128, 3 * 128), nn.Linear(128, 128)
    def forward(self, x):
        q, k, v = self.qkv(x).view(2, 12, 3, 8, 16).permute(2, 0, 3, 1, 4)
        weights = torch.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1) * 16**-0.5      # want "0.25 = 1/√16 follows the"
        return self.out((weights @ v).transpose(1, 2).reshape(2, 12, 128))
```

## Use instead

```torch
# given inputs=2,12,256
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(256, 256), nn.Linear(256, 256), nn.Linear(256, 256)
    def forward(self, x):
        scores = self.q(x) @ self.k(x).transpose(1, 2) / 256**0.5
        return torch.softmax(scores, -1) @ self.v(x)
```

## Spares

Weights that are small enough from the start, as T5 draws them:

```torch
# given inputs=2,12,256
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(256, 256, bias=False) for _ in range(3))
        nn.init.normal_(self.q.weight, std=1 / 256)
        nn.init.normal_(self.k.weight, std=1 / 16)
    def forward(self, x):
        return (self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1) @ self.v(x)
```

Cosines with a learned temperature, and a scale on the queries:

```torch
# given inputs=2,12,256
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(256, 256), nn.Linear(256, 256), nn.Linear(256, 256)
        self.temperature = nn.Parameter(torch.tensor(10.0))
    def forward(self, x):
        q, k = self.q(x), self.k(x).transpose(1, 2)
        cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=1) * self.temperature
        return (cosines.softmax(-1) + (q / 16 @ k).softmax(-1)) @ self.v(x)
```

## Known limits

Queries and keys that are normalised, rotated or given positions behind their layers are not judged by their size.
Nothing is said of the scores' size in a trained model.

## References

- Vaswani et al.: Attention Is All You Need (2017), section 3.2.1. Raffel et al.: T5 (2020), appendix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netlint.analyses.layers import layers
from netlint.analyses.parameters import parameters
from netlint.analyses.roles import roles
from netlint.analyses.shapes import shapes
from netlint.analyses.stage import stage
from netlint.analyses.variance import variance
from netlint.graph import Node, Value
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

_LARGEST = Option("largest", 4.0, "the deviation of the scores at initialisation from which on they are reported")
_PRODUCTS = ("MatMul", "Einsum")
_STEPS = 6


@dataclass(frozen=True, slots=True)
class _Scores:
    """Products of computed queries and keys that no constant scales."""

    queries: Value
    keys: Value
    width: int


@rule(
    "DEP007",
    "unscaled-attention",
    level=WARNING,
    since="0.3",
    status="preview",
    requires=(roles, parameters, layers, shapes, stage, variance),
    options=(_LARGEST,),
)
def unscaled_attention(scope: Scope) -> Iterator[Finding]:
    for node in scope.graph.of("Softmax"):
        scores, behind = _scores(scope, node), _behind(scope, node)
        if scores is None or behind is None:
            continue
        size = _size(scope, scores)
        if abs(behind * scores.width**0.5 - 1) < 1e-3 and scores.width > 1:
            said = f"the constant {behind:.3g} = 1/√{scores.width} follows the softmax, and nothing scales its scores"
        elif size is not None and size >= float(scope.options["largest"]):
            said = f"the scores, sums of {scores.width} products each, have a deviation of {size:.1f} at initialisation"
        else:
            continue
        yield Finding(
            said,
            node,
            evidence=(Evidence("width of queries and keys", scores.width),),
            help=f"divide the scores by √{scores.width} before the softmax",
            why="the softmax of large scores picks one position, and its gradient vanishes",
        )


def _scores(scope: Scope, softmax: Node) -> _Scores | None:
    """What a softmax is of, where that is a product of two computed values; through masks that are added."""
    known = scope[roles]
    node = known.source_node(softmax.inputs[0]) if softmax.inputs[0] is not None else None
    for _ in range(_STEPS):
        if node is None or node.domain or known.rescaled(node) is not None:
            return None  # scaled
        if node.op in _PRODUCTS:
            return _product(scope, node)
        parts = [known.source_node(value) for value in node.inputs if value is not None]
        products = [part for part in parts if part is not None and part.op in (*_PRODUCTS, "Add", "Where")]
        if node.op not in ("Add", "Where") or len(products) != 1:
            return None
        node = products[0]
    return None


def _product(scope: Scope, node: Node) -> _Scores | None:
    queries, keys = node.input(0), node.input(1)
    if queries is None or keys is None or len(node.inputs) != 2:
        return None
    width = _contracted(scope, node, queries, keys)
    projected = all(_projection(scope, value) for value in (queries, keys))
    return _Scores(queries, keys, width) if width is not None and projected else None


def _projection(scope: Scope, value: Value) -> bool:
    """Whether a value is what a layer computes, moved and cut at most."""
    source = scope[roles].source(value)
    layer = scope[layers].ending_in(source)
    return layer is not None and layer.kind in ("dense", "conv")


def _contracted(scope: Scope, node: Node, left: Value, right: Value) -> int | None:
    """The length of the axis that a product sums over; None where it is unknown, or there are several."""
    shape, other = scope[shapes].of(left), scope[shapes].of(right)
    if not shape or not other:
        return None
    if node.op == "MatMul":
        length = shape[-1]
        return length if isinstance(length, int) else None
    terms, _, result = str(node.attrs.get("equation", "")).replace(" ", "").partition("->")
    first, _, second = terms.partition(",")
    summed = [label for label in first if label in second and label not in result]
    length = shape[first.index(summed[0])] if len(summed) == 1 and len(first) == len(shape) else None
    return length if isinstance(length, int) else None


def _behind(scope: Scope, softmax: Node) -> float | None:
    """The constant that scales what a softmax gives, 1 where none does, before it weighs values; None: it does not."""
    value, scale = softmax.output(), 1.0
    for _ in range(_STEPS):
        users = [user for user in scope.graph.uses(value) if user.op not in ("Shape", "Size")]
        if any(user.op in _PRODUCTS and not any(map(scope[parameters].constant, user.inputs)) for user in users):
            return scale
        found = scope[roles].rescaled(users[0]) if len(users) == 1 else None
        if found is None:
            return None
        scale *= found[0]
        value = users[0].output()
    return None


def _size(scope: Scope, scores: _Scores) -> float | None:
    """The deviation of the scores of fresh layers."""
    if scope[stage].whole != "init":
        return None
    queries, keys = (scope[variance].signal(value) for value in (scores.queries, scores.keys))
    return (scores.width * queries.variance * keys.variance) ** 0.5 if queries and keys else None
