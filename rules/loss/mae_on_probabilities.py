"""An absolute error on class probabilities.

## What it does

Reports `l1_loss`, `smooth_l1_loss` or `huber_loss`, declared or in the graph, on probabilities of classes: on a softmax
head over two classes or more, and on a sigmoid head where the task, the classes or one-hot targets say that the network
classifies.

## Why is this bad

The absolute error weighs every sample alike: behind a softmax its gradient is small for the samples that are answered
wrongly, and training crawls or stalls with many classes. It is used on purpose against noisy labels; then ignore this.

## Example

```onnx
# given loss=l1_loss
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)      # want warning "l1_loss on the probabilities of 2 classes"
}
```

```onnx
# given loss=SmoothL1Loss task=multilabel
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)      # want warning "smooth_l1_loss on probabilities, where the task is multilabel"
}
```

```onnx
step (float[N, 3] x, int64[N] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, int64 depth = {2}, float[2] ends = {0, 1}>
{
    h = MatMul(x, w)
    p = Sigmoid(h)      # want warning "l1_loss on probabilities, against one-hot targets"
    o = OneHot(t, depth, ends)
    d = Sub(p, o)
    q = Abs(d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

```torch
# given loss=l1_loss inputs=4,3 targets=4,2
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return self.fc(x).softmax(-1)      # want warning "l1_loss on the probabilities of 2 classes"
```

## Use instead

```onnx
# given loss=cross_entropy
classifier (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)
}
```

## Spares

Pixels in [0, 1] from a sigmoid, and a regression to probabilities that is declared as such:

```onnx
# given loss=l1_loss task=autoencoder targets=0..1
pixels (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)
}
```

```onnx
# given loss=l1_loss task=regression targets=0..1
forecast (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
}
```

Distillation, where the targets are a teacher's probabilities:

```onnx
distil (float[N, 3] x, float[N, 2] teacher) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    p = Softmax <axis = 1> (h)
    t = Softmax <axis = 1> (teacher)
    d = Sub(p, t)
    q = Abs(d)
    loss = ReduceMean <keepdims = 0> (q)
}
```

## Known limits

An absolute error on logits against classes is an error of `mse-for-classification`, one through softmax in a declared
regression an error of `regression-through-softmax`.

## References

- A. Ghosh, H. Kumar, P. Sastry: Robust loss functions under label noise for deep neural networks. AAAI 2017.
- Z. Zhang, M. Sabuncu: Generalized cross entropy loss for training deep neural networks with noisy labels. NeurIPS
  2018, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract, losses
from netlint.analyses.roles import roles
from netlint.analyses.shapes import shapes
from netlint.rule import WARNING, Finding, Scope, rule

from ._classes import classifies
from ._heads import head_evidence, loss_evidence


@rule("LOS012", "mae-on-probabilities", level=WARNING, since="0.2", requires=(roles, contract, losses, shapes))
def mae_on_probabilities(scope: Scope) -> Iterator[Finding]:
    known, training = scope[roles], scope[contract]
    judged = {head: loss for head, loss in known.reads(training) if loss.value.kind == "absolute"}
    found = {
        head: reason
        for head in judged
        if (head.softmax is not None and not head.log) or head.sigmoid
        if (reason := classifies(scope, head, training)) is not None
    }
    for head in known.certainly(found):
        reason = found[head]
        if (at := head.at) is None:
            continue
        on = f"the probabilities of {reason.classes} classes" if reason.classes else f"probabilities, {reason.text}"
        yield Finding(
            f"{judged[head].value.name} on {on}",
            at,
            evidence=(head_evidence(head), loss_evidence(judged[head]), reason.fact),
            help="use cross_entropy on the logits (binary_cross_entropy_with_logits for independent labels); "
            "against noisy labels it is a known choice",
            why="its gradient is small for the samples that are answered wrongly: training crawls with many classes",
        )
