"""The length of a vector, where a gradient passes and nothing keeps it from zero.

## What it does

Notes `‖x‖` on the way of a gradient, written out as the root of a sum of squares, with no constant under the root.
Where the vector is 0 for many inputs, or something is divided by the length, sqrt-domain (NUM004) and
division-by-zero (NUM002) warn instead.

## Why is this bad

The derivative of the length is x / ‖x‖, which is 0 / 0 for a vector of zeros: NaN, where the root is written out.
A constant added behind the root does not help. PyTorch's own `norm` and `cdist` take 0 there.

## Example

```onnx
penalty (float[N, 3] x) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {-1}>
{
    h = Gemm(x, w, b)
    q = Mul(h, h)
    s = ReduceSum(q, axis)
    n = Sqrt(s)      # want "length of a vector"
    loss = ReduceMean <keepdims = 0> (n)
}
```

```onnx
unit (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {-1}, float eps = {1e-6}>
{
    h = Gemm(x, w, b)
    q = Mul(h, h)
    s = ReduceSum(q, axis)
    r = Sqrt(s)      # want note "length of a vector"
    g = Add(r, eps)
    y = Div(h, g)
}
```

## Use instead

```onnx
penalty (float[N, 3] x) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {-1}, float eps = {1e-12}>
{
    h = Gemm(x, w, b)
    q = Mul(h, h)
    s = ReduceSum(q, axis)
    g = Add(s, eps)
    r = Sqrt(g)
    loss = ReduceMean <keepdims = 0> (r)
}
```

## Spares

The operators for it, which is how frameworks export norms of their own, and those norms themselves:

```onnx
operators (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {-1}, float eps = {1e-12}>
{
    h = Gemm(x, w, b)
    y = LpNormalization(h)
    n = ReduceL2(h, axis)
    c = Clip(n, eps)
    z = Div(h, c)
}
```

```torch
# given inputs=4,8
class Prototypes(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)
        self.points = nn.Parameter(torch.randn(5, 3))
    def forward(self, x):
        h = self.fc(x)
        return torch.cdist(h, self.points), h.norm(dim=1), torch.linalg.vector_norm(h, dim=1)
```

A vector that a normalisation keeps from vanishing, and one that no weight has made:

```onnx
steady (float[N, 3] x) => (float[N, 1] y, float[N, 1] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float[3] scale = {1, 1, 1},
float[3] bias = {0.1, 0, 0}, int64[1] axis = {-1}>
{
    l = LayerNormalization(x, scale, bias)
    h = Gemm(l, w, b)
    q = Mul(h, h)
    s = ReduceSum(q, axis)
    y = Sqrt(s)
    p = Mul(x, x)
    t = ReduceSum(p, axis)
    z = Sqrt(t)
}
```

## Known limits

Whoever exported a root of a sum of squares is taken to have written it out: of frameworks whose own norm becomes one
(JAX, TensorFlow) the gradient at 0 is NaN as well.

## References

- The backward pass of norms in PyTorch (`norm_backward`, `_cdist_backward`), which takes the subgradient 0 at 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import How
from netlint.analyses.reached.patterns import guarded_behind, readers, root_of, square_sum
from netlint.analyses.surroundings import surroundings
from netlint.graph import Graph, Node, Value
from netlint.rule import NOTE, Finding, Scope, rule

from ._witness import NEEDS, chain, evidence


@rule("NUM011", "norm-gradient-at-zero", level=NOTE, since="0.2", requires=NEEDS)
def norm_gradient_at_zero(scope: Scope) -> Iterator[Finding]:
    known, around = scope[reach], scope[surroundings]
    for node in scope.graph.of("Sqrt", "Pow"):
        vector = _vector(known, node)
        if vector is None or around.gradient_is_safe(node) or _spoken_for(scope.graph, known, node):
            continue
        if around.learns(node) and not around.steady(vector):
            yield Finding(
                "the length of a vector has no gradient where all elements are 0",
                node,
                evidence=evidence(scope, node.input(0), "operand"),
                help="take the root of the sum of squares plus a small constant",
                why="the derivative is x / ‖x‖, and 0 / 0 is NaN in some frameworks",
                related=chain(scope, node.input(0)),
            )


def _vector(known: Reached, node: Node) -> Value | None:
    """The vector whose length a node takes, if 0 is shown to be reached."""
    operand = root_of(known, node)
    reached = known.zero(operand) if operand is not None and not known.known.constant(operand) else How.NEVER
    return square_sum(known, operand) if reached == How.POINT else None


def _spoken_for(graph: Graph, known: Reached, node: Node) -> bool:
    """Whether the length is a divisor."""
    for use, copy in readers(graph, node.output()):
        if use.op == "Reciprocal" or (use.op == "Div" and use.input(1) is copy):
            return True
    return guarded_behind(graph, known, node, node.input(0))
