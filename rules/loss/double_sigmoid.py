"""A sigmoid head under a loss that applies a sigmoid or a softmax itself.

## What it does

Reports

- a head that ends in a sigmoid, in any spelling, under a loss that takes logits: `binary_cross_entropy_with_logits`,
  `multilabel_soft_margin_loss`, `cross_entropy`,
- a head that ends in a softmax under a loss that applies a sigmoid,
- two sigmoids in a row under a loss on probabilities, which is what exporters make of the first case.

## Why is this bad

The second sigmoid sees numbers between 0 and 1 only, so the answer stays between 0.5 and 0.731: a negative label can
never be predicted, the loss of each one stays above 0.693, and gradients are small everywhere.

## Example

```onnx
# given loss=BCEWithLogitsLoss
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)      # want error "the head ends in a sigmoid, and binary_cross_entropy_with_logits applies sigmoid"
}
```

```onnx
# given loss=cross_entropy
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)      # want error "the head ends in a sigmoid, and cross_entropy applies softmax"
}
```

The loss as exporters write it, with its own sigmoid in the graph:

```onnx
step (float[N, 3] x, float[N, 2] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float one = {1}>
{
    h = MatMul(x, w)
    p = Sigmoid(h)      # want error "the head ends in a sigmoid, and binary_cross_entropy_with_logits applies sigmoid"
    u = Sub(one, t)
    m = Mul(u, p)
    s = Sigmoid(p)
    l = Log(s)
    d = Sub(m, l)
    loss = ReduceMean <keepdims = 0> (d)
}
```

```torch
# given loss=binary_cross_entropy_with_logits inputs=4,3 targets=4,2
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return torch.sigmoid(self.fc(x))      # want error "the head ends in a sigmoid"
```

## Use instead

```onnx
# given loss=BCEWithLogitsLoss
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)
}
```

## Spares

A sigmoid under a loss on probabilities:

```onnx
# given loss=BCELoss
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)
}
```

Logits that are bounded on purpose, and scaled afterwards:

```onnx
# given loss=BCEWithLogitsLoss
bounded (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float scale = {20}, float shift = {10}>
{
    h = MatMul(x, w)
    p = Sigmoid(h)
    s = Mul(p, scale)
    y = Sub(s, shift)
}
```

Probabilities beside the logits, which the loss can read:

```onnx
# given loss=BCEWithLogitsLoss
tagger (float[N, 3] x) => (float[N, 2] h, float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)
}
```

A generator of pixels in [0, 1], whose loss is computed from the discriminator's score:

```onnx
# given loss=BCEWithLogitsLoss task=gan
generator (float[N, 3] z) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(z, w)
    y = Sigmoid(h)
}
```

## Known limits

One unit under `cross_entropy` is reported by `head-width-mismatch` alone, a softmax under `cross_entropy` by
`double-softmax`, a softmax for several labels by `softmax-for-multilabel`.

## References

- I. Goodfellow, Y. Bengio, A. Courville: Deep Learning, section 6.2.2.2. 2016.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract
from netlint.analyses.roles import Head, Roles, roles
from netlint.analyses.shapes import Shapes, shapes
from netlint.graph import Node
from netlint.rule import ERROR, Evidence, Finding, Scope, rule
from netlint.training import Known, Loss

from ._heads import head_evidence, loss_evidence, of_generator


@rule("LOS005", "double-sigmoid", level=ERROR, since="0.2", requires=(roles, contract, shapes))
def double_sigmoid(scope: Scope) -> Iterator[Finding]:
    known, training = scope[roles], scope[contract]
    multilabel = isinstance(training.task, Known) and training.task.value == "multilabel"
    judged = dict(known.reads(training))
    ends = {
        head: end
        for head, loss in judged.items()
        if not of_generator(head, training, scope[shapes])
        if (end := _end(scope, head, loss.value, multilabel))
    }
    for head in known.certainly(ends):
        (node, squash), loss = ends[head], judged[head]
        by = _applies(loss.value)
        yield Finding(
            f"the head ends in a {squash}, and {by}",
            node,
            evidence=(head_evidence(head), Evidence("output", [0, 1]), loss_evidence(loss)),
            help=f"return the logits; apply {squash} at inference only",
            why="the second one sees numbers between 0 and 1 only: its answer stays near the middle, gradients small",
        )


def _applies(loss: Loss) -> str:
    if loss.wants != "logits":
        return f"a second sigmoid follows before {loss.name}"
    return f"{loss.name} applies {'softmax' if loss.over == 'classes' else 'sigmoid'} to its result"


def _end(scope: Scope, head: Head, loss: Loss, multilabel: bool) -> tuple[Node, str] | None:
    """The activation that squashes before the loss does so again, and its name."""
    if head.activation is None or not head.exact:
        return None
    if loss.wants == "probabilities" and loss.over == "units":
        inner = _inner(scope[roles], head)
        return (inner, "sigmoid") if inner is not None else None
    if loss.wants != "logits" or not (head.sigmoid or head.softmax is not None):
        return None
    if head.sigmoid:
        single = loss.over == "classes" and _single(scope[shapes], head)
        return None if single else (head.activation, "sigmoid")
    plain = loss.over == "units" and not head.log and not multilabel
    return (head.activation, "softmax") if plain else None


def _inner(known: Roles, head: Head) -> Node | None:
    """The sigmoid behind the sigmoid that a head ends in."""
    logit = known.sigmoid(head.activation) if head.sigmoid and head.activation is not None else None
    made = known.source_node(logit) if logit is not None else None
    return made if made is not None and known.sigmoid(made) is not None else None


def _single(known: Shapes, head: Head) -> bool:
    """Whether the loss would have a single class to choose from: another rule's fault."""
    shape = known.of(head.value)
    return shape is not None and len(shape) > 1 and 1 in (shape[1], shape[-1])
