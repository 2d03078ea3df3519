"""A reshape where an axis was to be moved: its positions come out mixed.

## What it does

Reports a Reshape whose result has an axis of the same length as one of its operand, at another place, where the
elements along the one are not those along the other: the lengths before them differ. Several reshapes in a row count as
one, and lengths that can be explained by splitting and merging neighbouring axes are left alone.

## Why is this bad

A reshape (in PyTorch `view`, `reshape`) keeps the order of the elements in memory. From [batch, heads, time, 64] to
[batch, time, heads · 64] the shape is right, but each position then holds pieces of several positions of one head. The
layers behind see no position as it was; the network trains, and stays far below what it could reach.

## Example

```onnx
time_last (float[N, 5, 7] x) => (float[N, 7, 2] y)
<int64[3] shape = {-1, 7, 5}, float[5, 2] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}>
{
    s = Reshape(x, shape)      # want "a reshape from [N, 5, 7] to [N, 7, 5] mixes the positions"
    y = MatMul(s, w)
}
```

Frequencies that are to be features, and become positions:

```torch
# given inputs=2,4,9,5
class Speech(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(20, 6, batch_first=True)
    def forward(self, x):
        x = x.view(2, -1, 9, 1).squeeze(-1)      # want "mixes the positions of the axis of length 9"
        return self.lstm(x.permute(0, 2, 1))[0]
```

Heads of attention that are merged without being moved back:

```torch
# given inputs=2,10,24
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(24, 72), nn.Linear(24, 24)
    def forward(self, x):
        q, k, v = self.qkv(x).view(2, 10, 3, 4, 6).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / 6**0.5).softmax(-1)
        return self.out((weights @ v).reshape(2, 10, 24))      # want "mixes the positions of the axis of length 10"
```

Heads that are split by a view alone, whatever the lengths:

```torch
# given inputs=2,16,32
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32)
    def forward(self, x):
        q = self.q(x).view(2, 4, 16, 8)      # want "mixes the positions of the axis of length 16"
        k, v = (layer(x).view(2, 16, 4, 8).transpose(1, 2) for layer in (self.k, self.v))
        return ((q @ k.transpose(2, 3) / 8**0.5).softmax(-1) @ v).transpose(1, 2).reshape(2, 16, 32)
```

## Use instead

```onnx
time_last (float[N, 5, 7] x) => (float[N, 7, 2] y) <float[5, 2] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}>
{
    s = Transpose <perm = [0, 2, 1]> (x)
    y = MatMul(s, w)
}
```

## Spares

Axes that are split or merged where they stand, such as heads, windows and flattened maps:

```onnx
heads (float[N, 5, 12] x) => (float[N, 5, 12] y)
<int64[4] split = {-1, 5, 3, 4}, int64[3] merged = {-1, 5, 12}>
{
    s = Reshape(x, split)
    t = Transpose <perm = [0, 2, 1, 3]> (s)
    a = Relu(t)
    b = Transpose <perm = [0, 2, 1, 3]> (a)
    y = Reshape(b, merged)
}
```

Positions that are shifted against each other by a padded reshape, as relative attention does:

```onnx
shifted (float[N, 5, 7] x) => (float[N, 5, 7] y) <int64[6] pads = {0, 0, 1, 0, 0, 0}, int64[3] turned = {-1, 8, 5},
int64[1] one = {1}, int64[1] end = {8}, int64[1] axis = {1}, int64[3] back = {-1, 5, 7}>
{
    p = Pad(x, pads)
    v = Reshape(p, turned)
    c = Slice(v, one, end, axis)
    y = Reshape(c, back)
}
```

A batch of one that an exporter has written into a shape, beside the name of its length elsewhere:

```onnx
fixed (float[N, 6, 4] x) => (float[1, 6, N, 4] y) <int64[4] shape = {1, 6, -1, 4}>
{
    y = Reshape(x, shape)
}
```

Windows that are moved back and merged, where the merged axis is then split into a grid:

```onnx
regrouped (float[N, 3, 8, 5] x) => (float[N, 8, 3, 5] y)
<int64[3] merged = {-1, 8, 15}, int64[4] grid = {-1, 8, 5, 3}>
{
    t = Transpose <perm = [0, 2, 1, 3]> (x)
    m = Reshape(t, merged)
    g = Reshape(m, grid)
    y = Transpose <perm = [0, 1, 3, 2]> (g)
}
```

What is only flattened afterwards: no layer looks for positions any more.

```onnx
flattened (float[N, 5, 7] x) => (float[N, 35] y) <int64[3] shape = {-1, 7, 5}>
{
    s = Reshape(x, shape)
    y = Flatten(s)
}
```

## Known limits

Lengths that divide each other can be explained as a split and a merge; they are reported of the heads of attention
alone.

## References

- PyTorch documentation: `torch.Tensor.view`, `torch.permute`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise
from operator import mul

from netlint.analyses.axes import axes
from netlint.analyses.parameters import parameters
from netlint.analyses.shapes import shapes
from netlint.graph import Dim, Graph, Node, Shape, Value
from netlint.rule import WARNING, Evidence, Finding, Scope, rule

_RESHAPES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
_SHIFTS = frozenset({"Pad", "Slice", "Concat"})
_PRIME = 1_000_003


@rule("SHP006", "view-scrambles", level=WARNING, since="0.3", requires=(shapes, axes, parameters))
def view_scrambles(scope: Scope) -> Iterator[Finding]:
    for node in scope.graph.of(*_RESHAPES):  # of a row, the last
        origin = _origin(scope.graph, node)
        if _reshaped_on(scope.graph, node) or scope[axes].state(origin) == "none" or _shifts(scope, node, origin):
            continue
        before, after = scope[shapes].of(origin), scope[shapes].of(node.output())
        length = (_mixed(before, after) or _of_heads(scope, node, origin, before, after)) if before and after else None
        if before and after and length is not None and not _regrouped(scope, node, origin):
            yield Finding(
                f"a reshape from {_said(before)} to {_said(after)} mixes the positions of the axis of length {length}",
                node,
                evidence=(Evidence("before", list(before)), Evidence("after", list(after))),
                help="move the axis, then merge or split: `transpose` or `permute` before the reshape",
                why="a reshape keeps the order of the elements and moves no axis",
            )


def _origin(graph: Graph, node: Node) -> Value | None:
    """The value before a row of reshapes, which are one reshape together."""
    value = node.input(0)
    producer = graph.producer(value)
    while producer is not None and producer.op in _RESHAPES and not producer.domain:
        value = producer.input(0)
        producer = graph.producer(value)
    return value


def _regrouped(scope: Scope, node: Node, origin: Value | None) -> bool:
    """Whether axes that were moved side by side are merged, and the merged one is split anew: windows, then a grid."""
    moved = scope.graph.producer(origin)
    if moved is None or moved.op != "Transpose":
        return False
    shape, after, before = scope[shapes].of, scope[shapes].of(node.output()), scope[shapes].of(origin)
    value = node.input(0)
    while value is not origin and (producer := scope.graph.producer(value)) is not None:
        between = shape(value)
        if before and between and after and _mixed(before, between) is None and _mixed(between, after) is None:
            return True
        value = producer.input(0)
    return False


def _reshaped_on(graph: Graph, node: Node) -> bool:
    """Whether a result is only reshaped again: what it is reshaped to is what counts."""
    users = graph.uses(node.output())
    return bool(users) and all(user.op in _RESHAPES and not user.domain for user in users)


def _shifts(scope: Scope, node: Node, origin: Value | None) -> bool:
    """Whether padding or cutting stands around: rows of another length, by which positions are shifted on purpose.

    An exporter writes what was cut back to where it was cut from.
    """
    before, users = scope.graph.producer(origin), list(scope.graph.uses(node.output()))
    moved = [user for one in users if one.op == "Transpose" for user in scope.graph.uses(one.output())]
    cut = any(user.op in ("Pad", "Slice", "ScatterND") for user in (*users, *moved))
    if before is None or before.op not in _SHIFTS:
        return cut
    filled = any(scope[axes].state(value) == "none" for value in before.inputs if value is not None)
    return cut or before.op != "Concat" or filled


def _mixed(before: Shape, after: Shape) -> Dim:
    """The length of an axis that both shapes have, at places where it cannot be the same; None if there is none."""
    old, new = _differing(before, after)
    starts, ends = _products(old), _products(new)
    bounds = sorted({*starts, *ends})
    if not starts or not ends or starts[-1] != ends[-1] or _fixed_at_one(old, new):
        return None  # unknown
    if all(large % small == 0 for small, large in pairwise(bounds)):
        return None  # neighbours are split or merged
    for place, length in enumerate(new):
        if length != 1 and length in old and starts[old.index(length)] != ends[place]:
            return length
    return None


def _of_heads(scope: Scope, node: Node, origin: Value | None, before: Shape, after: Shape) -> Dim:
    """The positions of an attention whose heads are merged or split unmoved, of whatever lengths."""
    if len(before) > 3 >= len(after) >= 2 and _product(scope, scope.graph.producer(origin)):
        whole = before[-2] if len(after) == 2 else after[-2]  # two axes: the batch is merged with the positions
        return before[-2] if _merged(before, (*before[:-3], whole, after[-1])) else None
    users = scope.graph.uses(node.output())
    moved = [user for one in users if one.op == "Transpose" for user in scope.graph.uses(one.output())]
    return before[-2] if _merged(after, before) and any(_product(scope, user) for user in (*users, *moved)) else None


def _merged(heads: Shape, whole: Shape) -> bool:
    """Whether [.., heads, positions, size] and [.., positions, heads * size] are the shapes."""
    if len(heads) != len(whole) + 1 or len(whole) < 2 or heads[:-3] != whole[:-2]:
        return False
    count, positions, size = heads[-3:]
    if not isinstance(count, int) or not isinstance(size, int) or count == positions or 1 in (count, positions):
        return False
    return whole[-2:] == (positions, count * size)


def _product(scope: Scope, node: Node | None) -> bool:
    """Whether a node multiplies two computed matrices."""
    constant = scope[parameters].constant
    return node is not None and node.op in ("MatMul", "Einsum", "Attention") and not any(map(constant, node.inputs[:2]))


def _fixed_at_one(old: Shape, new: Shape) -> bool:
    """Whether a named length may be 1 in fact: exporters write the batch of one that they saw beside its name."""
    return any(isinstance(dim, str) for dim in (*old, *new)) and 1 in (*old, *new)


def _differing(before: Shape, after: Shape) -> tuple[Shape, Shape]:
    """Both shapes without what they have in common at their ends."""
    first = 0
    while first < min(len(before), len(after)) and before[first] == after[first] is not None:
        first += 1
    old, new = before[first:], after[first:]
    while old and new and old[-1] == new[-1] is not None:
        old, new = old[:-1], new[:-1]
    return old, new


def _products(shape: Shape) -> list[int]:
    """How many elements lie before each axis, and in all; empty where a length is unknown.

    A named length counts as a prime number of its own, which no other length is a multiple of.
    """
    names = sorted({dim for dim in shape if isinstance(dim, str)})
    if 0 in shape or None in shape or not all(map(str.isidentifier, names)) or len(names) > 1:
        return []
    return list(accumulate((_PRIME if isinstance(dim, str) else dim or 1 for dim in shape), mul, initial=1))


def _said(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"
