"""A softmax whose every input can be masked with minus infinity.

## What it does

Reports `Softmax` over scores that are set to -inf (or to a number that is -inf in their type) so that nothing is left
in a row: a mask of pairs that hides every key from a hidden query, a stored mask with a row of -inf.

Where an input of the model decides which keys are hidden, and for all queries alike, it is a note: a row is masked as a
whole only if a sample holds nothing but padding.

## Why is this bad

exp(-inf - max) with max = -inf is exp(NaN): a row in which all is masked gives NaN for all its probabilities, and the
NaN reaches every weight. A large finite number gives equal weights instead.

## Example

```onnx
attention (float[N, 5, 5] scores, bool[N, 1, 5] keep, bool[N, 5, 1] kept, float[N, 5, 4] v) => (float[N, 5, 4] y)
<float low = {-inf}>
{
    pairs = And(keep, kept)
    s = Where(pairs, scores, low)
    p = Softmax(s)      # want warning "all scores of a row that kept hides are masked with -inf"
    y = MatMul(p, v)
}
```

```torch
# given inputs=int64:2,7
class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 16)
        self.key = nn.Linear(16, 16)
    def forward(self, ids):
        x, pad = self.embed(ids), ids == 0
        scores = x @ self.key(x).transpose(1, 2) / 4
        scores = scores.masked_fill(pad[:, None, :] | pad[:, :, None], float("-inf"))
        return scores.softmax(-1) @ x      # want warning "all scores of a row that ids hides"
```

A mask of keys, which hides a whole row only from a sample of padding alone:

```onnx
keys (float[N, 5, 5] scores, bool[N, 1, 5] keep, float[N, 5, 4] v) => (float[N, 5, 4] y)
<float low = {-inf}>
{
    s = Where(keep, scores, low)
    p = Softmax(s)      # want note "every score can be masked with -inf"
    y = MatMul(p, v)
}
```

A mask that is added, made from an attention mask of ones and zeros:

```onnx
additive (float[N, 5, 5] scores, int64[N, 1, 5] mask, float[N, 5, 4] v) => (float[N, 5, 4] y)
<float low = {-inf}, float zero = {0}, int64 none = {0}>
{
    hide = Equal(mask, none)
    m = Where(hide, low, zero)
    s = Add(scores, m)
    p = Softmax(s)      # want note "every score can be masked with -inf"
    y = MatMul(p, v)
}
```

## Use instead

The smallest finite number of the type:

```onnx
attention (float[N, 5, 5] scores, bool[N, 1, 5] keep, float[N, 5, 4] v) => (float[N, 5, 4] y)
<float low = {-3.4e38}>
{
    s = Where(keep, scores, low)
    p = Softmax(s)
    y = MatMul(p, v)
}
```

## Spares

A stored mask that leaves something in each row, such as a causal one:

```onnx
causal (float[N, 2, 2] scores, float[N, 2, 4] v) => (float[N, 2, 4] y)
<float[2, 2] mask = {0, -inf, 0, 0}>
{
    s = Add(scores, mask)
    p = Softmax(s)
    y = MatMul(p, v)
}
```

The padding mask of the framework's own attention, whose fill nobody chooses:

```torch
# given inputs=int64:2,7
class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 16)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
    def forward(self, ids):
        x = self.embed(ids)
        return self.attention(x, x, x, key_padding_mask=ids == 0)[0]
```

A mask of pairs that leaves each query itself:

```onnx
itself (float[N, 2, 2] scores, bool[N, 1, 2] hide, bool[N, 2, 1] hidden, float[N, 2, 4] v) => (float[N, 2, 4] y)
<float low = {-inf}, bool[2, 2] others = {0, 1, 1, 0}>
{
    pairs = Or(hide, hidden)
    some = And(pairs, others)
    s = Where(some, low, scores)
    p = Softmax(s)
    y = MatMul(p, v)
}
```

A result that is replaced where it is NaN:

```onnx
replaced (float[N, 5, 5] scores, bool[N, 1, 5] keep, float[N, 5, 4] v) => (float[N, 5, 4] y)
<float low = {-inf}, float zero = {0}>
{
    s = Where(keep, scores, low)
    p = Softmax(s)
    bad = IsNaN(p)
    q = Where(bad, zero, p)
    y = MatMul(q, v)
}
```

## Known limits

Whether the data ever holds a sample that is masked as a whole is for the user to know. Padding on the left together
with a causal mask, which hides all keys from the first queries, is not told from padding on the right.

## References

- The documentation of `scaled_dot_product_attention` in PyTorch, on boolean masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netlint.analyses.ranges.rounding import FORMATS
from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import INF
from netlint.analyses.reached.patterns import guarded_behind, maker
from netlint.analyses.surroundings import surroundings
from netlint.graph import Dim, Node, Value
from netlint.ops import read
from netlint.rule import NOTE, WARNING, Evidence, Finding, Scope, rule

from ._witness import NEEDS

_MOST = 40
_LOGIC = frozenset({"And", "Not", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Cast", "Where", "Xor"})
_LOGIC |= {"Mul", "Sub", "Gather", "GatherND", "GatherElements", "Expand", "Unsqueeze", "Reshape", "Squeeze", "Slice"}
_LOGIC |= {"Transpose", "Identity", "Concat", "Tile"}
_PARTS = frozenset({"Add", "Where", "Mul", "Sub"})


@dataclass(frozen=True, slots=True)
class _Masked:
    """What sets scores to -inf."""

    by: Node
    source: str
    """What decides where."""
    row: str = ""
    """The input that hides whole rows; empty: none is known to."""


@rule("NUM010", "fully-masked-softmax", level=WARNING, also=(NOTE,), since="0.2", requires=NEEDS)
def fully_masked_softmax(scope: Scope) -> Iterator[Finding]:
    known = scope[reach]
    for node in scope.graph.of("Softmax", "LogSoftmax"):
        found = _masked(scope, known, node)
        if found is None or guarded_behind(scope.graph, known, node, node.input(0)):
            continue
        certain = found.row or found.by.op == "Add"
        if not certain and scope[surroundings].of_framework(node):
            continue
        yield Finding(
            f"all scores of a row that {found.row} hides are masked with -inf"
            if found.row
            else f"every score {'of a row is' if certain else 'can be'} masked with -inf",
            node,
            evidence=(Evidence("mask from", found.source),),
            help="mask with the smallest finite number of the type, or keep one element in each row",
            why="a row that is masked as a whole gives NaN, which reaches every weight",
            related=((f"the mask is applied by {found.by.op}", found.by.loc),),
            level=WARNING if certain else NOTE,
        )


def _masked(scope: Scope, known: Reached, softmax: Node) -> _Masked | None:
    due = [softmax.input(0)]
    for _, value in zip(range(_MOST), due, strict=False):
        node = maker(known, value)
        if node is None or node.op not in _PARTS or node.domain:
            continue
        hides = next(
            (place == 1 for place in (1, 2) if node.op == "Where" and _endless(known, node.input(place))), None
        )
        if hides is not None:
            row = _row(scope, known, softmax, node.input(0), hides)
            source = f"input {row}" if row else _decided_by_input(scope, known, node.input(0))
            if source is not None:
                return _Masked(node, source, row)
        if node.op == "Add" and any(_hides_a_row(scope, known, softmax, v) for v in node.inputs):
            return _Masked(node, "a stored mask with a row of -inf")
        due += node.inputs[1:] if node.op == "Where" else node.inputs
    return None


def _row(scope: Scope, known: Reached, softmax: Node, mask: Value | None, hides: bool) -> str:
    """The input that hides whole rows of a mask by itself; `hides`: whether the mask is true where it hides."""
    if read.softmax_axis(softmax, scope.graph.opset.get("", 0)) not in (-1, _rank(known, softmax.input(0)) - 1):
        return ""
    keys, due = _last(known, softmax.input(0)), [(mask, hides)]
    for _, (value, when) in zip(range(_MOST), due, strict=False):
        node = maker(known, value)
        if value is None or keys == 1 or known.known.constant(value):
            continue
        if _last(known, value) == 1:
            source = _decided_by_input(scope, known, value)
            if source is not None:
                return source.removeprefix("input ")
        elif node is not None and not node.domain:
            due += [(part, not when if node.op in _TURNING else when) for part in _deciding(known, node, value, when)]
    return ""


_TURNING = frozenset({"Not", "Equal"})
_LAYOUT = frozenset({"Expand", "Unsqueeze", "Reshape", "Transpose", "Cast", "Identity", "Tile", "Squeeze"})


def _deciding(known: Reached, node: Node, value: Value, when: bool) -> Sequence[Value | None]:
    """The operands each of which makes a value `when` by itself, in the same columns."""
    if node.op == ("Or" if when else "And") or (node.op == "Mul" and not when):
        return node.inputs
    if node.op == "Equal":  # to zero: of what is not zero where it keeps
        return [node.input(0)] if when and known.number(node.input(1)) == 0 else []
    if node.op == "Greater" and not when and known.number(node.input(1)) == 0:
        return [node.input(0)]
    alike = node.op in _LAYOUT and (_last(known, node.input(0)) in (_last(known, value), 1))
    return [node.input(0)] if node.op == "Not" or alike else []


def _last(known: Reached, value: Value | None) -> Dim:
    shape = known.shapes.of(value)
    return shape[-1] if shape else None


def _rank(known: Reached, value: Value | None) -> int:
    return known.shapes.rank(value) or 0


def _endless(known: Reached, value: Value | None) -> bool:
    """Whether a value is -inf, or rounds to it in its type."""
    number = known.number(value)
    form = FORMATS.get(known.shapes.dtype(value) or "float32", FORMATS["float32"])
    return number is not None and (number == -INF or number < -form.largest)


def _hides_a_row(scope: Scope, known: Reached, softmax: Node, value: Value | None) -> bool:
    """Whether a stored mask is -inf along the whole axis of the softmax somewhere."""
    array = known.constants.get(value) if known.known.constant(value) else None
    if array is None or array.dtype.kind != "f" or not array.ndim:
        return False
    axis = read.softmax_axis(softmax, scope.graph.opset.get("", 0))
    last = axis == -1 or axis == (known.shapes.rank(softmax.input(0)) or 0) - 1
    return last and array.shape[-1] > 1 and bool((array == -INF).all(axis=-1).any())


def _decided_by_input(scope: Scope, known: Reached, condition: Value | None) -> str | None:
    """The name of the input that a mask comes from, by logic and layout alone; None if anything else is in it."""
    due, names = [condition], []
    for _, value in zip(range(_MOST), due, strict=False):
        if value is None or known.known.constant(value):
            continue
        node = scope.graph.producer(value)
        if node is None:
            names.append(value.name if value in scope.graph.inputs else None)
        elif node.op == "Shape" or known.constants.get(value) is not None:
            continue
        elif node.op not in _LOGIC or node.domain:
            return None
        else:
            due += node.inputs
    return f"input {names[0]}" if names and None not in names else None
