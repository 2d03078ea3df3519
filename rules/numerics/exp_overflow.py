"""An exponential of a value that can be too large.

## What it does

Reports `Exp`, `Sinh`, `Cosh` and powers of a constant whose argument is shown to pass the largest one with a finite
result (88.7 in float32 and bfloat16, 11.1 in float16): a scaled bounded value that goes beyond it, a linear layer's
output on its way to a loss, and softplus, sigmoid and tanh written out with exponentials. Of a softmax or log-sum-exp
that is written out naive-softmax (NUM005) speaks; a softmax over masked or weighted exponentials is reported here.

An unbounded argument in a model without a loss (a predicted variance, a box's width) is a note.

## Why is this bad

The exponential becomes infinite, and with it the loss; where it meets another infinity (in a quotient, or in the
gradient, where 0 is multiplied with it) the result is NaN. Large arguments come from the first bad batch, a learning
rate that is too high, or an input out of the ordinary.

## Example

A Gaussian likelihood with a predicted logarithm of the variance:

```onnx
likelihood (float[N, 3] x) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    logvar = Gemm(x, w, b)
    minus = Neg(logvar)
    v = Exp(minus)      # want warning "an unbounded value on the way to a loss"
    d = Add(v, logvar)
    loss = ReduceMean <keepdims = 0> (d)
}
```

Softplus and tanh written out:

```onnx
by_hand (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float one = {1}>
{
    h = Gemm(x, w, b)
    e = Exp(h)      # want warning "softplus"
    s = Add(one, e)
    y = Log(s)
    p = Exp(h)      # want warning "infinity divided by infinity"
    n = Neg(h)
    q = Exp(n)      # want warning "infinity divided by infinity"
    a = Sub(p, q)
    c = Add(p, q)
    z = Div(a, c)
}
```

A softmax of which elements are masked:

```onnx
softmax (float[N, 3] x, float[N, 2] mask) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {1}>
{
    h = Gemm(x, w, b)
    e = Exp(h)      # want warning "infinity divided by infinity"
    m = Mul(e, mask)
    s = ReduceSum(m, axis)
    y = Div(m, s)
}
```

A bounded value that is scaled too far:

```onnx
scaled (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float hundred = {100}>
{
    h = Gemm(x, w, b)
    t = Tanh(h)
    s = Mul(t, hundred)
    y = Exp(s)      # want warning "up to 100"
}
```

A predicted scale in a model without a loss:

```onnx
scale (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    y = Exp(h)      # want note "an unbounded value"
}
```

```torch
# given inputs=4,3
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return torch.log(1 + torch.exp(self.fc(x)))      # want warning "softplus"
```

## Use instead

The operator, which is exact everywhere, or an argument that is cut off:

```onnx
likelihood (float[N, 3] x) => (float loss, float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float lo = {-20}, float hi = {20}>
{
    h = Gemm(x, w, b)
    logvar = Clip(h, lo, hi)
    minus = Neg(logvar)
    v = Exp(minus)
    d = Add(v, logvar)
    loss = ReduceMean <keepdims = 0> (d)
    y = Softplus(h)
    z = Tanh(h)
}
```

## Spares

An exponential of what cannot be large: the maximum taken off, a negative magnitude, a small bounded value.

```onnx
bounded (float[N, 3] x) => (float[N, 2] a, float[N, 2] c, float[N, 2] d, float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, int64[1] axis = {1}, float ten = {10}>
{
    h = Gemm(x, w, b)
    m = ReduceMax(h, axis)
    s = Sub(h, m)
    a = Exp(s)
    q = Abs(h)
    n = Neg(q)
    c = Exp(n)
    t = Tanh(h)
    k = Mul(t, ten)
    d = Exp(k)
    loss = ReduceMean <keepdims = 0> (d)
}
```

A level of noise that is drawn from a normal distribution, which ends some deviations from its mean:

```onnx
noise (float[N, 3] x) => (float loss) <float spread = {1.2}>
{
    z = RandomNormalLike(x)
    k = Mul(z, spread)
    sigma = Exp(k)
    y = Mul(x, sigma)
    loss = ReduceMean <keepdims = 0> (y)
}
```

A result that is not taken where the argument is positive, as exporters write the exponential linear unit:

```onnx
elu (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float zero = {0}, float one = {1}>
{
    h = Gemm(x, w, b)
    e = Exp(h)
    n = Sub(e, one)
    up = Greater(h, zero)
    y = Where(up, h, n)
}
```

An input of which nothing is known, and a sigmoid written out in a model without a loss, where 1 / infinity is the 0
it should be:

```onnx
inference (float[N, 3] x) => (float[N, 2] y, float[N, 3] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float one = {1}>
{
    z = Exp(x)
    h = Gemm(x, w, b)
    n = Neg(h)
    e = Exp(n)
    s = Add(one, e)
    y = Div(one, s)
}
```

The logarithm of a variance in the divergence of a variational autoencoder gives a note: the loss itself holds it back.

```onnx
divergence (float[N, 3] x) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float one = {1}>
{
    h = Gemm(x, w, b)
    e = Exp(h)      # want note "holds back"
    a = Add(one, h)
    d = Sub(e, a)
    loss = ReduceMean <keepdims = 0> (d)
}
```

```onnx
of_the_deviation (float[N, 3] x) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float one = {1}, float two = {2}>
{
    h = Gemm(x, w, b)
    v = Mul(two, h)
    e = Exp(v)      # want note "holds back"
    u = Mul(h, two)
    a = Add(one, u)
    d = Sub(e, a)
    loss = ReduceMean <keepdims = 0> (d)
}
```

## Known limits

What is summed or multiplied until it overflows is not followed here; see overflows-precision (NUM008).

## References

- Y. Zhang and others: Detecting numerical bugs in neural network architectures (DEBAR). ESEC/FSE 2020.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import INF
from netlint.analyses.reached.patterns import alike, guarded_behind, maker, readers
from netlint.analyses.surroundings import surroundings
from netlint.graph import Graph, Node, Value
from netlint.rule import NOTE, WARNING, Evidence, Finding, Level, Scope, rule

from ._witness import NEEDS, chain, claim, evidence, limit, precision

_DEPTH = 3


@rule("NUM003", "exp-overflow", level=WARNING, also=(NOTE,), since="0.2", requires=NEEDS)
def exp_overflow(scope: Scope) -> Iterator[Finding]:
    known, declared = scope[reach], precision(scope)
    for node, argument, factor in _exponentials(scope.graph, known):
        most = limit(known, argument, declared) / factor
        said = _said(scope, known, node, argument, most)
        if said is not None:
            what, level = said
            yield Finding(
                f"the exponential of {what}",
                node,
                evidence=(*evidence(scope, argument, "argument"), Evidence("largest finite argument", round(most, 2))),
                help="clip the argument, or take the operator that does the whole in one (softplus, sigmoid, tanh)",
                why="the result is infinite, and infinity in a quotient or in a gradient makes NaN",
                level=level,
                related=chain(scope, argument),
                claim=claim(scope, argument),
            )


def _exponentials(graph: Graph, known: Reached) -> Iterator[tuple[Node, Value, float]]:
    """Nodes, their argument x, and c where the node grows like exp(c * x)."""
    from math import log

    for node in graph.of("Exp", "Sinh", "Cosh", "Pow"):
        argument = node.input(1 if node.op == "Pow" else 0)
        base = known.number(node.input(0)) if node.op == "Pow" else 2.718281828
        if argument is not None and base is not None and base > 1 and not known.known.constant(argument):
            yield node, argument, log(base)


def _said(scope: Scope, known: Reached, node: Node, argument: Value, most: float) -> tuple[str, Level] | None:
    """What to say of an exponential, and how loud; None where it is bounded, guarded, or not known."""
    around, found = scope[surroundings], known.of(argument)
    if known.ranges.of(argument).hi <= most or around.of_framework(node):
        return None
    if node in known.summed_exponentials:
        return None  # a softmax or log-sum-exp, which is judged as a whole
    if found is not None and not found.raw and found.hi <= most:
        return None
    if found is not None and _in_softmax(scope.graph, node):
        return "an unbounded value in a softmax written out: infinity divided by infinity is NaN", WARNING
    written_out = _written_out(scope.graph, known, node)
    if written_out is not None:
        return written_out, WARNING
    learns = around.before_loss(node)
    if found is None or (found.raw and not learns):
        return None
    if guarded_behind(scope.graph, known, node, argument):
        text = "an unbounded value, whose gradient is 0 times infinity where a Where does not take it"
        return (text, WARNING) if learns else None
    if found.hi < INF and not found.raw:
        return f"a value of up to {found.hi:.4g}, above {most:.4g}", WARNING
    if learns and _of_spread(scope.graph, known, argument):
        return "an unbounded logarithm of a spread, which the loss itself holds back", NOTE
    if learns:
        return "an unbounded value on the way to a loss", WARNING
    if _inverted(scope.graph, known, node):
        return None
    return "an unbounded value", NOTE


def _of_spread(graph: Graph, known: Reached, argument: Value) -> bool:
    """Whether the argument, or what it is a positive part of, is also added up as it is: exp(s) - s is least at s = 0.

    So the divergence of a variational autoencoder reads the logarithm of a variance. Likelihoods have exp(-s), which
    nothing holds back.
    """
    source = argument
    for _ in range(_DEPTH):
        made = maker(known, source)
        numbers = [known.number(value) for value in made.inputs] if made is not None else []
        if made is None or made.op not in ("Mul", "Div") or numbers.count(None) != 1:
            break
        if any(number is not None and number <= 0 for number in numbers):
            return False
        source = next(value for value in made.inputs if value is not None and known.number(value) is None)
    return _added_up(graph, known, source)


def _added_up(graph: Graph, known: Reached, source: Value, depth: int = _DEPTH) -> bool:
    """Whether a value, or a positive part of it, is a term of a sum."""
    for use, _ in readers(graph, source):
        if use.op in ("Add", "Sub", "Sum", "ReduceSum", "ReduceMean"):
            return True
        numbers = [number for value in use.inputs if (number := known.number(value)) is not None]
        part = use.op == "Mul" or (use.op == "Div" and known.number(use.input(1)) is not None)
        scaled = part and len(numbers) == 1 and numbers[0] > 0
        if scaled and depth and _added_up(graph, known, use.outputs[0] or source, depth - 1):
            return True
    return False


def _in_softmax(graph: Graph, node: Node) -> bool:
    """Whether a sum over the exponentials, masked or weighted, is divided by, or its logarithm taken."""
    uses = list(readers(graph, node.output()))
    weighted = [use for use, _ in uses if use.op in ("Mul", "Where")]
    uses += [(use, copy) for product in weighted for use, copy in readers(graph, product.output())]
    return any(_is_total(graph, use, copy) for use, copy in uses)


def _is_total(graph: Graph, node: Node, summand: Value) -> bool:
    grouped = node.op.startswith("Scatter") and node.attrs.get("reduction") == "add" and node.input(2) is summand
    if node.op != "ReduceSum" and not grouped:
        return False
    due = [node.output()]
    for _, value in zip(range(8), due, strict=False):
        for use, copy in readers(graph, value):
            if use.op in ("Log", "Reciprocal") or (use.op == "Div" and use.input(1) is copy):
                return True
            if use.op in ("Add", "Gather", "GatherElements", "GatherND"):
                due.append(use.output())
    return False


def _written_out(graph: Graph, known: Reached, node: Node) -> str | None:
    """The function of which the exponential is a part that spoils it."""
    for use, _ in readers(graph, node.output()):
        plus_one = use.op == "Add" and 1.0 in (known.number(use.input(0)), known.number(use.input(1)))
        if plus_one and any(after.op == "Log" for after, _ in readers(graph, use.output())):
            return "an unbounded value in a softplus written out, log(1 + exp(x))"
    if any(_reads(known, div.input(0), node) and _reads(known, div.input(1), node) for div in _quotients(graph, node)):
        return "an unbounded value: infinity divided by infinity is NaN"
    return None


def _quotients(graph: Graph, node: Node) -> list[Node]:
    """The divisions a few steps behind a node."""
    due, found = [(node.output(), 0)], []
    for value, depth in due:
        for use, _ in readers(graph, value):
            if use.op == "Div":
                found.append(use)
            elif depth < _DEPTH and use.op in ("Add", "Sub", "Mul", "Neg", "Reciprocal"):
                due.append((use.output(), depth + 1))
    return found


def _reads(known: Reached, value: Value | None, node: Node, depth: int = _DEPTH) -> bool:
    """Whether a value grows with the result of a node, by sums and differences alone."""
    made = maker(known, value)
    if made is node or (made is not None and made.op == node.op and alike(known, value, node.output())):
        return True
    if made is None or made.op not in ("Add", "Sub", "Neg") or not depth:
        return False
    return any(_reads(known, v, node, depth - 1) for v in made.inputs)


def _inverted(graph: Graph, known: Reached, node: Node) -> bool:
    """Whether the exponential ends in 1 / (1 + exp(x)), which is right at infinity."""
    for use, _ in readers(graph, node.output()):
        if use.op == "Add" and 1.0 in (known.number(use.input(0)), known.number(use.input(1))):
            return all(after.op in ("Div", "Reciprocal", "Pow") for after, _ in readers(graph, use.output()))
    return False
