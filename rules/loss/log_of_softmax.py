"""The logarithm of a softmax or a sigmoid, taken as a separate step.

## What it does

Reports `Log(Softmax(x))` and `Log(Sigmoid(x))`, through casts, reshapes and the choice of a class in between, and
however many others read the softmax. With a guard (`+ eps`, a clip) it is a note; log-domain (NUM001) speaks of a guard
that does not hold. So is the logarithm of a sigmoid that one call may have made, as exporters write log-sigmoid, where
the model shows no loss behind it.

## Why is this bad

A probability below 1e-45 is 0 in float32 (below 6e-8 in float16), and its logarithm is -inf: one confidently wrong
sample makes the loss infinite and the next gradients NaN. A guard avoids that, but cuts off the gradient of exactly
those samples. LogSoftmax and log-sigmoid computed in one go are exact for every input.

## Example

```onnx
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    p = Softmax <axis = 1> (h)
    y = Log(p)      # want warning "the logarithm of a softmax"
}
```

```onnx
guarded (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float eps = {1e-7}>
{
    h = MatMul(x, w)
    p = Softmax <axis = 1> (h)
    s = Add(p, eps)
    y = Log(s)      # want note "guarded"
}
```

```onnx
both (float[N, 3] x) => (float[N, 2] p, float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    p = Sigmoid(h)
    y = Log(p)      # want warning "the logarithm of a sigmoid"
}
```

```onnx
hidden (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    p = Sigmoid(h)
    y = Log(p)      # want note "the logarithm of a sigmoid"
}
```

## Use instead

```onnx
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = LogSoftmax <axis = 1> (h)
}
```

For a sigmoid, `-Softplus(-x)`, which is what `logsigmoid` computes:

```onnx
log_sigmoid (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    n = Neg(h)
    s = Softplus(n)
    y = Neg(s)
}
```

## Spares

What an exporter wrote for a loss that computes its logarithm safely in the framework: ONNX has no log-sigmoid, so a
binary cross-entropy with logits, `(1 - t) * x - logsigmoid(x)`, is exported with Log(Sigmoid(x)).

```onnx
step (float[N, 3] x, float[N, 2] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float one = {1}>
{
    h = MatMul(x, w)
    u = Sub(one, t)
    m = Mul(u, h)
    p = Sigmoid(h)
    l = Log(p)
    d = Sub(m, l)
    loss = ReduceMean <keepdims = 0> (d)
}
```

A logarithm that is cut off below, as binary cross-entropy on probabilities does it:

```onnx
step (float[N, 3] x, float[N, 2] t) => (float loss, float[N, 2] p)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float floor = {-100}>
{
    h = MatMul(x, w)
    p = Sigmoid(h)
    l = Log(p)
    f = Max(l, floor)
    m = Mul(t, f)
    loss = ReduceMean <keepdims = 0> (m)
}
```

The Kullback-Leibler divergence as frameworks compute it, where p * log(p) counts as 0 where p is 0; here p is a
teacher's softmax:

```onnx
distil (float[N, 3] x, float[N, 2] teacher) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float zero = {0}>
{
    h = MatMul(x, w)
    q = LogSoftmax <axis = 1> (h)
    p = Softmax <axis = 1> (teacher)
    l = Log(p)
    d = Sub(l, q)
    m = Mul(p, d)
    some = Greater(p, zero)
    size = Shape(m)
    none = ConstantOfShape(size)
    k = Where(some, m, none)
    loss = ReduceSum <keepdims = 0> (k)
}
```

A logarithm of anything else:

```onnx
energy (float[N, 3] x) => (float[N, 3] y)
<float one = {1}>
{
    a = Abs(x)
    s = Add(a, one)
    y = Log(s)
}
```

## Known limits

A sigmoid of which only logarithms (of p and of 1 - p) are read is a note, unless the file says that the two steps
come from different lines: the code may well call `logsigmoid` or a cross-entropy with logits, which exporters write
in these operators.

## References

- P. Blanchard, D. Higham, N. Higham: Accurately computing the log-sum-exp and softmax functions. IMA Journal of
  Numerical Analysis 41, 2021.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.reached import reach
from netlint.analyses.roles import Roles, roles
from netlint.analyses.surroundings import surroundings
from netlint.graph import Graph, Node, Value
from netlint.rule import NOTE, WARNING, Evidence, Finding, Scope, rule

# What the framework's own modules compute is not the user's to change.
_FRAMEWORK = "torch.nn.modules."
_MAX_STEPS = 8


@rule("LOS006", "log-of-softmax", level=WARNING, also=(NOTE,), since="0.1", requires=(reach, roles, surroundings))
def log_of_softmax(scope: Scope) -> Iterator[Finding]:
    for node in scope.graph.of("Log"):
        found = scope[roles].log_of_probability(node)
        if found is None or _lowered(scope[roles], scope.graph, node, found.inner):
            continue
        # What is proved to be positive is guarded, too: (tanh(x) + 1) / 2 + 1e-6.
        guarded = found.guarded or scope[reach].ranges.of(node.input(0)).lo > 0
        if guarded and scope[reach].zero(node.input(0)):
            continue  # the guard does not hold, which is said where ranges are judged
        unsure = found.kind == "sigmoid" and _one_call(scope, node, found.inner)
        better = "LogSoftmax" if found.kind == "softmax" else "logsigmoid, which is -softplus(-x)"
        yield Finding(
            f"the logarithm of a {found.kind} is taken in two steps" + (", guarded by a constant" * guarded),
            node,
            evidence=(Evidence("inner", found.inner.loc.path), Evidence("guarded", guarded)),
            help=f"compute it in one: {better}" + ("; if the code does so already, ignore this" if unsure else ""),
            why="the probability underflows to 0 where the answer is confidently wrong, and the logarithm of 0 is -inf",
            level=NOTE if guarded or (unsure and not _of_a_loss(scope, node, found.inner)) else WARNING,
            related=((f"the {found.kind}", found.inner.loc),),
        )


def _of_a_loss(scope: Scope, log: Node, inner: Node) -> bool:
    """Whether a loss depends on the logarithm, in a model that does not tell which lines of code it comes from: the
    fault is in the model then, whoever wrote it."""
    around = scope[surroundings]
    told = log.loc.source is not None or inner.loc.source is not None
    return not told and around.before_loss(log) and not around.exported_with_logits(log)


def _lowered(known: Roles, graph: Graph, log: Node, inner: Node) -> bool:
    """Whether a framework's loss is behind it: the node's module says so, a floor, p * log p made 0 where p is 0,
    logsigmoid(x) beside logsigmoid(-x), or (1 - t) * x - logsigmoid(x)."""
    if (log.loc.module_class or "").startswith(_FRAMEWORK) or known.floored(log):
        return True
    x = known.sigmoid(inner)
    if _masked_at_zero(known, graph, log) or (x is not None and _beside_negated(graph, x)):
        return True
    for use in graph.uses(log.output()):
        product = graph.producer(use.input(0)) if use.op == "Sub" and use.input(1) is log.output() else None
        if x is not None and product is not None and product.op == "Mul" and x in product.inputs:
            return True
    return False


def _beside_negated(graph: Graph, x: Value) -> bool:
    """Whether the logarithm of sigmoid(-x) is taken, too: by hand one writes 1 - p for that."""
    made = graph.producer(x)
    negated = [use.output() for use in graph.uses(x) if use.op == "Neg"]
    negated += [made.input(0)] if made is not None and made.op == "Neg" else []
    sigmoids = [use for value in negated for use in graph.uses(value) if use.op == "Sigmoid"]
    return any(use.op == "Log" for sigmoid in sigmoids for use in graph.uses(sigmoid.output()))


def _masked_at_zero(known: Roles, graph: Graph, log: Node) -> bool:
    """Whether products and differences lead from log p, by all ways, to a choice by comparing p with 0."""
    due, masked = [log.output()], False
    for _, value in zip(range(_MAX_STEPS), due, strict=False):
        if value is None or graph.is_output(value):
            return False
        for use in graph.uses(value):
            if use.op == "Where" and _compares_with_zero(known, graph.producer(use.input(0)), log.input(0)):
                masked = True
            elif use.op in ("Where", "Mul", "Sub"):
                due.append(use.output())
            elif use.op != "Shape":
                return False
    return masked and len(due) <= _MAX_STEPS


def _compares_with_zero(known: Roles, test: Node | None, p: Value | None) -> bool:
    if test is None or test.op not in ("Equal", "Greater"):
        return False
    return test.input(0) is p and known.number(test.input(1)) == 0.0


def _one_call(scope: Scope, log: Node, inner: Node) -> bool:
    """Whether one call in the user's code may have made both: only logarithms of p and 1 - p read the sigmoid, and
    no source lines tell the two apart."""
    graph, known = scope.graph, scope[roles]
    if graph.is_output(inner.output()) or not all(
        use is log or _log_of_complement(known, graph, use) for use in graph.uses(inner.output())
    ):
        return False
    lines = log.loc.source, inner.loc.source
    return None in lines or lines[0] == lines[1]


def _log_of_complement(known: Roles, graph: Graph, use: Node) -> bool:
    readers = graph.uses(use.output())
    one_minus = use.op == "Sub" and known.number(use.input(0)) == 1.0
    return one_minus and bool(readers) and all(reader.op == "Log" for reader in readers)
