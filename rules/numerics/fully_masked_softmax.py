"""A softmax whose every input can be masked with minus infinity.

## What it does

Reports `Softmax` over scores that are set to -inf (or to a number that is -inf in their type) by a mask that an input
of the model decides, or by a stored mask with a row that hides everything.

## Why is this bad

exp(-inf - max) with max = -inf is exp(NaN): a row in which all is masked, such as a sequence of padding alone, gives
NaN for all its probabilities, and the NaN reaches every weight. A large finite number gives equal weights instead.

## Example

```onnx
attention (float[N, 5, 5] scores, bool[N, 1, 5] keep, float[N, 5, 4] v) => (float[N, 5, 4] y)
<float low = {-inf}>
{
    s = Where(keep, scores, low)
    p = Softmax(s)      # want "every score can be masked with -inf"
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
    p = Softmax(s)      # want "every score can be masked with -inf"
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

Whether the data ever holds a row that is masked as a whole is for the user to know. A mask of which one element is
always kept by an `Or` is not reported, whatever else it says.

## References

- The documentation of `scaled_dot_product_attention` in PyTorch, on boolean masks.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.ranges.rounding import FORMATS
from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import INF
from netlint.analyses.reached.patterns import guarded_behind, maker
from netlint.graph import Node, Value
from netlint.ops import read
from netlint.rule import WARNING, Evidence, Finding, Scope, rule

from ._witness import NEEDS

_MOST = 40
_LOGIC = frozenset({"And", "Not", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Cast", "Where", "Xor"})
_LOGIC |= {"Mul", "Sub", "Gather", "GatherND", "GatherElements", "Expand", "Unsqueeze", "Reshape", "Squeeze", "Slice"}
_LOGIC |= {"Transpose", "Identity", "Concat", "Tile"}
_PARTS = frozenset({"Add", "Where", "Mul", "Sub"})


@rule("NUM010", "fully-masked-softmax", level=WARNING, since="0.2", requires=NEEDS)
def fully_masked_softmax(scope: Scope) -> Iterator[Finding]:
    known = scope[reach]
    for node in scope.graph.of("Softmax", "LogSoftmax"):
        found = _mask(scope, known, node)
        if found is not None and not guarded_behind(scope.graph, known, node, node.input(0)):
            masking, source = found
            yield Finding(
                "every score can be masked with -inf",
                node,
                evidence=(Evidence("mask from", source),),
                help="mask with the smallest finite number of the type, or keep one element in each row",
                why="a row that is masked as a whole gives NaN, which reaches every weight",
                related=((f"the mask is applied by {masking.op}", masking.loc),),
            )


def _mask(scope: Scope, known: Reached, softmax: Node) -> tuple[Node, str] | None:
    """The node that sets scores to -inf, and what decides where."""
    due = [softmax.input(0)]
    for _, value in zip(range(_MOST), due, strict=False):
        node = maker(known, value)
        if node is None or node.op not in _PARTS or node.domain:
            continue
        if node.op == "Where" and any(_endless(known, v) for v in node.inputs[1:3]):
            source = _decided_by_input(scope, known, node.input(0))
            if source is not None:
                return node, source
        row = next((v for v in node.inputs if _hides_a_row(scope, known, softmax, v)), None)
        if node.op == "Add" and row is not None:
            return node, "a stored mask with a row of -inf"
        due += node.inputs[1:] if node.op == "Where" else node.inputs
    return None


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
