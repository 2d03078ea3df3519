"""A cast that loses what its operand is known to hold.

## What it does

Notes a cast of whole numbers to a floating-point type that cannot tell them apart (beyond 256 in bfloat16, 2,048 in
float16, 16,777,216 in float32), a cast of numbers to an integer type whose limits they pass, and a cast to integers on
the way from trained weights to a loss.

## Why is this bad

Positions, identifiers and counters collide after such a cast without any message; a number beyond an integer's limits
becomes any other; and the gradient of a cast to integers is 0.

## Example

Positions in half precision, as rotary embeddings compute them:

```onnx
positions (float16[N, 4] x) => (float16[4096] y)
<int64 start = {0}, int64 stop = {4096}, int64 one = {1}>
{
    p = Range(start, stop, one)
    y = Cast <to = 10> (p)      # want "are cast to float16, which tells them apart to 2048"
}
```

```onnx
rounded_loss (float[N, 3] x, float[N, 2] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    i = Cast <to = 7> (h)      # want "stops the gradient"
    f = Cast <to = 1> (i)
    d = Sub(f, t)
    a = Abs(d)
    loss = ReduceMean <keepdims = 0> (a)
}
```

```onnx
bytes (float[N, 3] x) => (uint8[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float scale = {256}>
{
    h = Gemm(x, w, b)
    s = Sigmoid(h)
    m = Mul(s, scale)
    n = Neg(m)
    y = Cast <to = 2> (n)      # want "does not hold"
}
```

## Use instead

```onnx
positions (float16[N, 4] x) => (float[4096] y)
<int64 start = {0}, int64 stop = {4096}, int64 one = {1}>
{
    p = Range(start, stop, one)
    y = Cast <to = 1> (p)
}
```

## Spares

Whole numbers that fit, labels and masks, and classes that are picked for the user:

```onnx
fine (float[N, 3] x) => (float16[100] y, int64[N] k)
<int64 start = {0}, int64 stop = {100}, int64 one = {1}, float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6},
float[2] b = {0, 0}>
{
    p = Range(start, stop, one)
    y = Cast <to = 10> (p)
    h = Gemm(x, w, b)
    i = ArgMax <axis = 1, keepdims = 0> (h)
    k = Cast <to = 7> (i)
}
```

## Known limits

Casts of values whose range is not known are not judged.

## References

- ONNX operator specification, `Cast`: out-of-range conversion to integers is undefined.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.ranges.rounding import FORMATS, INTEGER_LIMITS
from netlint.analyses.reached import Reached, reach
from netlint.analyses.surroundings import surroundings
from netlint.graph import Node, Value
from netlint.rule import NOTE, Evidence, Finding, Scope, rule

from ._witness import NEEDS


@rule("NUM009", "lossy-cast", level=NOTE, since="0.2", requires=NEEDS)
def lossy_cast(scope: Scope) -> Iterator[Finding]:
    known = scope[reach]
    for node in scope.graph.of("Cast"):
        value = node.input(0)
        source, target = known.shapes.dtype(value) or "", known.shapes.dtype(node.output()) or ""
        text = None if value is None else _said(scope, known, node, value, source, target)
        if text is not None:
            yield Finding(
                text,
                node,
                evidence=(Evidence("operand", str(known.ranges.of(value))), Evidence("to", target)),
                help="cast to a wider type" if target in FORMATS else "cast after the loss, or clip first",
                why="different numbers become equal, or any number at all, without a message",
            )


def _said(scope: Scope, known: Reached, node: Node, value: Value, source: str, target: str) -> str | None:
    """What a cast loses; None where nothing is known to be lost."""
    proved = known.ranges.of(value)
    if source in INTEGER_LIMITS and target in FORMATS:
        most, found = 2.0 ** FORMATS[target].bits, known.of(value)
        largest = 0.0 if found is None or found.raw else max(-found.lo, found.hi)
        if most < min(largest, proved.magnitude) < float("inf"):
            return f"whole numbers up to {largest:.0f} are cast to {target}, which tells them apart to {most:.0f}"
        return None
    if target not in INTEGER_LIMITS or target == "bool":
        return None
    lo, hi = INTEGER_LIMITS[target]
    if proved.bounded and not proved.loose and (proved.lo < lo - 1 or proved.hi > hi + 1):
        return f"numbers in {proved} are cast to {target}, which does not hold them"
    around = scope[surroundings]
    if source in FORMATS and around.before_loss(node) and around.trained(value):
        return f"a cast to {target} on the way to the loss stops the gradient"
    return None
