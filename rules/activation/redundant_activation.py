"""An activation that does not change its input.

## What it does

Reports ReLU, leaky and parametric ReLU, ELU, `Abs`, `Clip`, and `Max` or `Min` with a constant where the operand is
proved to lie where the activation is the identity, for any weights; and a softmax of a softmax over the same axis,
which does change its input, to nothing that anybody wants.

`Abs`, `Clip`, `Max` and `Min` are notes: they are often written as a guard that another part makes unneeded.
So is a ReLU behind a sum of rectified branches, which a block of a residual network may share with blocks that need it.

## Why is this bad

The layer does nothing but cost time, and usually something else was meant: another activation, another place, or the
first of the two was forgotten when the second was added. A softmax of a softmax is nearly uniform: two classes with 0
and 1 become 0.27 and 0.73.

## Example

```onnx
twice (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    s = Sigmoid(h)
    y = Relu(s)      # want warning "Relu does not change its input, which lies in (0, 1)"
}
```

```onnx
softmaxes (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    p = Softmax(h)
    y = Softmax(p)      # want warning "a softmax of a softmax"
}
```

```onnx
wide (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float lo = {-1}, float hi = {1}>
{
    h = Gemm(x, w, b)
    t = Tanh(h)
    y = Clip(t, lo, hi)      # want note "Clip does not change its input"
    q = Mul(h, h)
    z = Abs(q)      # want note "Abs does not change its input"
}
```

```onnx
sum (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float[2] c = {1, 0}>
{
    h = Gemm(x, w, b)
    a = Relu(h)
    k = Gemm(x, w, c)
    d = Relu(k)
    s = Add(a, d)
    y = Relu(s)      # want note "Relu does not change its input"
}
```

## Use instead

```onnx
once (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    y = Sigmoid(h)
}
```

## Spares

Activations that cut something off, and quantised models, whose types bound everything:

```onnx
useful (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float lo = {0}, float hi = {6},
float eps = {1e-7}>
{
    h = Gemm(x, w, b)
    r = Relu(h)
    y = Clip(r, lo, hi)
    s = Sigmoid(h)
    z = Max(s, eps)
}
```

```onnx
quantised (uint8[N, 3] q) => (float[N, 3] y)
<float scale = {0.1}, uint8 zero = {0}>
{
    x = DequantizeLinear(q, scale, zero)
    y = Relu(x)
}
```

A sum of which only one branch is rectified:

```onnx
residual (float[N, 2] x) => (float[N, 2] y)
<float[2, 2] w = {0.1, -0.2, 0.3, 0.4}, float[2] b = {0, 0}>
{
    a = Relu(x)
    h = Gemm(a, w, b)
    s = Add(a, h)
    y = Relu(s)
}
```

## Known limits

What is proved from stored weights or from the declared range of the inputs does not count: other weights and other
inputs are no mistake.

## References

- Y. Zhang and others: NeuraLint: detecting bugs in deep learning programs by meta-modelling and graph transformations.
  TOSEM 2021.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.ranges import Range, ranges
from netlint.analyses.reached import Reached, reach
from netlint.analyses.roles import Roles, roles
from netlint.graph import Graph, Node, Value
from netlint.ops import read
from netlint.rule import NOTE, WARNING, Claim, Evidence, Finding, Level, Scope, rule

_INF = float("inf")
_RECTIFIERS = frozenset({"Relu", "LeakyRelu", "PRelu", "Elu", "Celu", "Abs"})
_QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"})
_JOINS = frozenset({"Add", "Sum", "Concat", "Where", "Max", "Min"})
_LAYOUT_STEPS = 12


@rule(
    "ACT007",
    "redundant-activation",
    level=WARNING,
    also=(NOTE,),
    since="0.2",
    requires=(roles, ranges, reach),
)
def redundant_activation(scope: Scope) -> Iterator[Finding]:
    known = scope[reach]
    for node in scope.graph.of(*_RECTIFIERS, "Clip", "Max", "Min"):
        operand, kept = _identity_on(known, node)
        if operand is None or kept is None or not scope[ranges].of(operand).within(*kept):
            continue  # not even with the weights as they are: ranges that hold for all weights are dear
        proved = known.ranges.of(operand)
        if not proved.within(*kept) or not _whatever_weights(known, operand, kept):
            continue
        if not _quantised(scope.graph, scope[roles], operand):
            made = scope[roles].source_node(operand)
            yield _finding(node, operand, proved, made is not None and made.op in _JOINS)
    for node in scope.graph.of("Softmax", "LogSoftmax"):
        inner = scope[roles].source_node(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
        if inner is not None and inner.op == "Softmax" and _same_axis(scope.graph, node, inner):
            yield Finding(
                "a softmax of a softmax, which is nearly uniform",
                node,
                help="keep one of the two",
                why="probabilities differ by 1 at most, so that the second softmax gives at most e to 1",
                related=(("the first softmax", inner.loc),),
            )


def _finding(node: Node, operand: Value, proved: Range, joined: bool) -> Finding:
    # An absolute value guards general code; a rectifier was meant to bend what it reads.
    level: Level = WARNING if node.op in _RECTIFIERS - {"Abs"} and not joined else NOTE
    return Finding(
        f"{node.op} does not change its input, which lies in {proved}",
        node,
        evidence=(Evidence("input", [proved.lo, proved.hi]),),
        help="remove it, or replace it by the activation that was meant",
        why="an activation that is the identity on all its inputs adds nothing to what the network can learn",
        level=level,
        claim=Claim(operand, proved.lo, proved.hi),
    )


def _identity_on(known: Reached, node: Node) -> tuple[Value | None, tuple[float, float] | None]:
    """The operand of an activation, and the interval on which it is the identity; None where that is not known."""
    if node.op in _RECTIFIERS:
        return node.input(0), None if known.known.constant(node.input(0)) else (0.0, _INF)
    if node.op == "Clip":
        bounds = read.clip_bounds(node)
        if bounds is None or bounds == (None, None):
            return node.input(0), None
        return node.input(0), (-_INF if bounds[0] is None else bounds[0], _INF if bounds[1] is None else bounds[1])
    moving = [value for value in node.inputs if value is not None and not known.known.constant(value)]
    numbers = [known.number(value) for value in node.inputs if value is not None and value not in moving]
    if len(moving) != 1 or len(numbers) != 1 or numbers[0] is None or abs(numbers[0]) == _INF:
        return None, None
    return moving[0], (numbers[0], _INF) if node.op == "Max" else (-_INF, numbers[0])


def _whatever_weights(known: Reached, operand: Value, kept: tuple[float, float]) -> bool:
    """Whether the operand stays in an interval by structure: no layer or input that is free may leave it."""
    found = known.of(operand)
    if found is None or found.raw or found.fixed or known.ranges.of(operand).assumed:
        return False
    return kept[0] <= found.lo and found.hi <= kept[1]


def _quantised(graph: Graph, known: Roles, operand: Value) -> bool:
    """Whether an operand comes from a quantised value."""
    node = graph.producer(operand)
    for _ in range(_LAYOUT_STEPS):
        if node is None or node.op in _QUANTISED:
            return node is not None
        node = graph.producer(node.input(0))
    return False


def _same_axis(graph: Graph, outer: Node, inner: Node) -> bool:
    opset = graph.opset.get("", 0)
    return read.softmax_axis(outer, opset) == read.softmax_axis(inner, opset)
