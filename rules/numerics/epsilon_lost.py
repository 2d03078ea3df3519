"""An epsilon that is too small to have an effect.

## What it does

Reports a small constant that is added or subtracted and changes nothing: beside a number so large that the sum is
rounded back to it (1 + 1e-8 in float32, 1 + 1e-4 in float16), or because the constant itself is 0 in the type
(1e-12 in float16).

## Why is this bad

The guard is not there: the logarithm or the division that it should protect meets exactly 0.

## Example

```onnx
log_of_rest (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float one = {1}, float eps = {1e-10}>
{
    h = Gemm(x, w, b)
    p = Sigmoid(h)
    s = Add(one, eps)      # want "1e-10 is lost beside 1"
    q = Sub(s, p)
    y = Log(q)
}
```

In half precision the constant itself is rounded to 0:

```onnx
half (float16[N, 4] x) => (float16[N, 4] y)
<float16 eps = {0}, int64[1] axis = {-1}>
{
    q = Mul(x, x)
    m = ReduceMean(q, axis)
    g = Add(m, eps)      # want "is 0 in float16"
    s = Sqrt(g)
    y = Div(x, s)
}
```

```onnx
# given precision=float16
declared (float[N, 4] x) => (float[N, 4] y)
<float eps = {1e-12}, int64[1] axis = {-1}>
{
    q = Mul(x, x)
    m = ReduceMean(q, axis)
    g = Add(m, eps)      # want "is 0 in float16"
    s = Sqrt(g)
    y = Div(x, s)
}
```

## Use instead

Add the constant where the number is small, and one that the type has:

```onnx
log_of_rest (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float one = {1}, float eps = {1e-7}>
{
    h = Gemm(x, w, b)
    p = Sigmoid(h)
    q = Sub(one, p)
    s = Add(q, eps)
    y = Log(s)
}
```

```onnx
half (float16[N, 4] x) => (float16[N, 4] y)
<float16 eps = {1678}, int64[1] axis = {-1}>    # the bits of 1e-4
{
    q = Mul(x, x)
    m = ReduceMean(q, axis)
    g = Add(m, eps)
    s = Sqrt(g)
    y = Div(x, s)
}
```

## Spares

A constant that is lost where none is needed, as in a softmax over groups whose sum is at least 1 anyway:

```onnx
superfluous (float[N, 4] x) => (float[N, 4] y)
<float eps = {1e-16}, int64[1] axis = {1}>
{
    m = ReduceMax(x, axis)
    d = Sub(x, m)
    e = Exp(d)
    s = ReduceSum(e, axis)
    g = Add(s, eps)
    y = Div(e, g)
}
```

A small constant added to what can be small, as BERT's normalisation does with 1e-12:

```onnx
variance (float[N, 4] x) => (float[N, 4] y)
<float eps = {1e-12}, int64[1] axis = {-1}>
{
    m = ReduceMean(x, axis)
    d = Sub(x, m)
    q = Mul(d, d)
    v = ReduceMean(q, axis)
    g = Add(v, eps)
    s = Sqrt(g)
    y = Div(d, s)
}
```

## Known limits

Exporters fold 1 + 1e-10 into a stored 1; nothing is left to see then, but log-domain (NUM001) still sees the 0.

## References

- D. Goldberg: What every computer scientist should know about floating-point arithmetic. ACM Computing Surveys 23,
  1991.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from netlint.analyses.ranges.rounding import FORMATS, Format
from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.patterns import readers
from netlint.graph import Node, Value
from netlint.rule import WARNING, Evidence, Finding, Option, Scope, rule

from ._witness import NEEDS, precision

_NEEDS_IT = frozenset({"Sqrt", "Log", "Reciprocal", "Pow"})


@rule(
    "NUM012",
    "epsilon-lost",
    level=WARNING,
    since="0.2",
    requires=NEEDS,
    options=(Option("largest-epsilon", 1e-3, "constants above this are not taken for guards"),),
)
def epsilon_lost(scope: Scope) -> Iterator[Finding]:
    known, declared, most = scope[reach], precision(scope), float(scope.options["largest-epsilon"])
    for node in scope.graph.of("Add", "Sub"):
        for value, eps in _guards(known, node):
            dtype = "float16" if declared == "float16" else known.shapes.dtype(node.output()) or ""
            if dtype in FORMATS and (text := _lost(scope, known, node, value, eps, dtype, most)) is not None:
                yield Finding(
                    text,
                    node,
                    evidence=(Evidence("epsilon", eps), Evidence("beside", str(known.ranges.of(value)))),
                    help=f"add a larger one ({_sensible(FORMATS[dtype]):.0e} in {dtype}) where the number is small",
                    why="the guard has no effect: what it should keep from 0 reaches it",
                )


def _sensible(form: Format) -> float:
    """About the square root of the resolution."""
    return 10.0 ** round(math.log10(math.sqrt(form.eps)) - 1)


def _guards(known: Reached, node: Node) -> Iterator[tuple[Value, float]]:
    """The constant of a sum that may be meant as a guard, with the other operand."""
    sides = ((0, 1), (1, 0)) if node.op == "Add" else ((0, 1),)
    for kept, added in sides:
        value, number = node.input(kept), known.number(node.input(added))
        if value is not None and number is not None and number >= 0:
            yield value, number


def _lost(scope: Scope, known: Reached, node: Node, value: Value, eps: float, dtype: str, most: float) -> str | None:
    """Why a constant has no effect; None if it has, or if it is no guard."""
    form = FORMATS[dtype]
    if eps > most:
        return None
    if eps < form.smallest / 2:
        lowest = dtype == "float16" and _protects(scope, node) and not known.known.constant(value)
        return f"an epsilon of {eps:g} is 0 in {dtype}" if lowest else None
    proved = known.ranges.of(value)
    least = proved.lo if proved.lo > 0 else -proved.hi if proved.hi < 0 else 0.0
    if not least or math.isinf(least) or (proved.nan and not proved.known):
        return None
    if _superfluous(scope, node):
        return None
    spacing = form.eps * 2.0 ** math.floor(math.log2(least))
    return f"an epsilon of {eps:g} is lost beside {least:g} or more" if eps < spacing / 4 else None


def _superfluous(scope: Scope, node: Node) -> bool:
    """Whether the sum is only divided by, or its root or logarithm taken: it is far from 0 without the constant."""
    uses = list(readers(scope.graph, node.output()))
    return bool(uses) and all(use.op in _NEEDS_IT or (use.op == "Div" and use.input(1) is copy) for use, copy in uses)


def _protects(scope: Scope, node: Node) -> bool:
    """Whether what the sum is read by needs protection from 0."""
    uses = readers(scope.graph, node.output())
    return any(use.op in _NEEDS_IT or (use.op == "Div" and use.input(1) is copy) for use, copy in uses)
