"""A softmax over a single number: its output is constant.

## What it does

Reports Softmax, LogSoftmax and Hardmax that normalise over axes which are proved to hold one element in all.

## Why is this bad

exp(x) / exp(x) is 1 whatever x is. The output does not depend on the input, no gradient flows back, and everything
before it learns nothing. It is the classic result of a binary classifier with one output unit and a softmax head.

## Example

```onnx
binary (float[N, 8] x, float[8, 1] w) => (float[N, 1] y)
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)      # want error "normalises over 1 element: every output is 1"
}
```

The wrong axis does the same:

```onnx
scores (float[N, 1, 10] x) => (float[N, 1, 10] y)
{
    y = LogSoftmax <axis = 1> (x)      # want "every output is 0"
}
```

In a training step:

```torch
# given inputs=4,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)      # want error "normalises over 1 element"

def step(model, x):
    return F.binary_cross_entropy(model(x), torch.ones(4, 1))
```

## Use instead

A sigmoid on the single unit:

```onnx
binary (float[N, 8] x, float[8, 1] w) => (float[N, 1] y)
{
    h = MatMul(x, w)
    y = Sigmoid(h)
}
```

Or one unit for each class:

```onnx
two (float[N, 8] x, float[8, 2] w) => (float[N, 2] y)
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
}
```

## Spares

An axis whose length is not known:

```onnx
open_ended (float[N, K] x) => (float[N, K] y)
{
    y = Softmax <axis = -1> (x)
}
```

Before opset 13 the axes from `axis` to the last are normalised together:

```onnx
<ir_version: 7, opset_import: ["" : 11]>
flattened (float[N, 1, 10] x) => (float[N, 1, 10] y)
{
    y = Softmax <axis = 1> (x)
}
```

Attention weights: with a single key there is one weight, and it is 1. The same layer serves longer sequences.

```onnx
decoder (float[N, 1, 8] q, float[N, 1, 8] k, float[N, 1, 8] v) => (float[N, 1, 8] y)
{
    t = Transpose <perm = [0, 2, 1]> (k)
    s = MatMul(q, t)
    p = Softmax <axis = -1> (s)
    y = MatMul(p, v)
}
```

## Known limits

A softmax whose result weights other computed values, by a product or a matrix product, is never reported, although a
gate of one unit is as constant as a head. Softmax written out as exponential, sum and division is not judged.

## References

- ONNX operators: Softmax, versions 11 and 13.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.parameters import Parameters, parameters
from netlint.analyses.shapes import Shapes, shapes
from netlint.graph import Graph, Node, Value
from netlint.ops import SOFTMAX, TORCH_LOSSES, WEIGHTED
from netlint.ops.read import softmax_axes
from netlint.rule import ERROR, Evidence, Finding, Scope, rule

_PRODUCTS = frozenset({"Mul", "MatMul", "Einsum", "Gemm", "Attention", "MatMulInteger", "QLinearMatMul"})


@rule("ACT009", "softmax-over-one-unit", level=ERROR, since="0.1", requires=(shapes, parameters))
def softmax_over_one_unit(scope: Scope) -> Iterator[Finding]:
    graph = scope.graph
    opset = graph.opset.get("", 1)
    for node in graph.of(*SOFTMAX):
        if _declared_wider(node, opset) or _weights_values(graph, scope[parameters], node):
            continue
        known = scope[shapes]  # asked for only here: most softmaxes are told by what is above, at no cost
        axes = _single(node, known, opset)
        if axes is None:
            continue
        shape = known.of(node.input(0))
        yield Finding(
            f"{node.op} normalises over 1 element: every output is {0 if node.op == 'LogSoftmax' else 1}",
            node,
            evidence=(Evidence("shape", list(shape or ())), Evidence("normalised axes", list(axes))),
            help="use a sigmoid for one unit, give each class its own unit, or name the axis that counts the classes",
            why="the output does not depend on the input, and no gradient passes",
        )


def _declared_wider(node: Node, opset: int) -> bool:
    """Whether the file itself says that more than one element is normalised."""
    for value in (node.input(0), node.output()):
        shape = value.shape if value is not None else None
        axes = softmax_axes(node, opset, len(shape)) if shape else ()
        if shape and any(isinstance(shape[axis], int) and shape[axis] != 1 for axis in axes if axis < len(shape)):
            return True
    return False


def _single(node: Node, known: Shapes, opset: int) -> tuple[int, ...] | None:
    """The normalised axes if they are proved to hold one element together."""
    shape = known.of(node.input(0))
    if not shape:
        return None
    axes = softmax_axes(node, opset, len(shape))
    return axes if all(shape[axis] == 1 for axis in axes) else None


def _weights_values(graph: Graph, known: Parameters, node: Node) -> bool:
    """Whether the result weights other computed values, as in attention; or may do so in an operator unknown here."""
    due, seen = [node.output()], set[Value | None]()
    while due:
        value = due.pop()
        if value in seen:
            continue
        seen.add(value)
        for user in graph.uses(value):
            others = [other for other in user.inputs if other is not None and other is not value]
            if user.full_op in TORCH_LOSSES:
                continue
            if user.domain or user.bodies:
                return True
            if user.op in _PRODUCTS and any(not known.constant(other) for other in others):
                return True
            if user.op not in WEIGHTED:
                due += user.outputs
    return False
