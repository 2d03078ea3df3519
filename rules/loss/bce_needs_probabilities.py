"""Binary cross-entropy on a head that leaves the range from 0 to 1.

## What it does

Reports a head under `binary_cross_entropy` (torch's `BCELoss`, Keras's `binary_crossentropy`, or
`-(t * log p + (1 - t) * log(1 - p))` written out) or under a Dice loss that certainly gives numbers outside [0, 1]:
logits straight from a layer, a tanh, a ReLU, log-probabilities, the state of a recurrent layer.

## Why is this bad

The loss takes the logarithm of p and of 1 - p. For a logit below 0 or above 1 one of them is NaN; frameworks clip the
number instead, which cuts off the gradient of exactly the samples that are clipped, or stop with an error.

## Example

```onnx
# given loss=binary_cross_entropy
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)      # want error "binary_cross_entropy takes probabilities, the head gives logits"
}
```

```onnx
# given loss=binary_cross_entropy
wide_and_deep (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2, 2] v = {0.7, -0.3, 0.2, 0.9}>
{
    wide = MatMul(x, w)
    r = Relu(wide)
    deep = MatMul(r, v)
    y = Add(wide, deep)      # want error "the head gives logits, a sum of layers"
}
```

```onnx
# given loss=BCELoss
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Tanh(h)      # want error "the head gives values from -1 to 1"
}
```

```onnx
step (float[N, 3] x, float[N, 2] t) => (float loss)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float one = {1}>
{
    h = MatMul(x, w)
    p = Relu(h)      # want error "the head gives values without an upper bound"
    l = Log(p)
    a = Mul(t, l)
    u = Sub(one, t)
    q = Sub(one, p)
    k = Log(q)
    b = Mul(u, k)
    s = Add(a, b)
    m = ReduceMean <keepdims = 0> (s)
    loss = Neg(m)
}
```

```torch
# given loss=binary_cross_entropy inputs=4,3 targets=4,2
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def forward(self, x):
        return self.fc(x)      # want error "binary_cross_entropy takes probabilities"
```

## Use instead

A sigmoid at the end, or the logits under the loss that applies it itself:

```onnx
# given loss=binary_cross_entropy
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)
}
```

```onnx
# given loss=BCEWithLogitsLoss
tagger (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    y = MatMul(x, w)
}
```

## Spares

Any head whose values are proved to lie between 0 and 1, like a rescaled tanh, a clip or a softmax over two classes:

```onnx
# given loss=binary_cross_entropy
pixels (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float one = {1}, float half = {0.5}>
{
    h = MatMul(x, w)
    t = Tanh(h)
    s = Add(t, one)
    y = Mul(s, half)
}
```

```onnx
# given loss=binary_cross_entropy
pair (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Softmax <axis = 1> (h)
}
```

Probabilities beside the logits, where nobody says which of the two the loss reads:

```onnx
# given loss=binary_cross_entropy
tagger (float[N, 3] x) => (float[N, 2] h, float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(x, w)
    y = Sigmoid(h)
}
```

A generator, whose loss is computed from the discriminator's score:

```onnx
# given loss=binary_cross_entropy task=gan
generator (float[N, 3] z) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}>
{
    h = MatMul(z, w)
    y = Tanh(h)
}
```

## Known limits

Silent on sums of several heads and on activations it does not understand. Keras's `binary_crossentropy` takes logits
if told so (`from_logits=True`): say `--loss=binary_cross_entropy_with_logits` then.

## References

- C. Bishop: Pattern Recognition and Machine Learning, section 4.3.2. 2006.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract
from netlint.analyses.ranges import ranges
from netlint.analyses.roles import roles
from netlint.analyses.shapes import shapes
from netlint.rule import ERROR, Evidence, Finding, Scope, rule
from netlint.training import Loss

from ._heads import head_evidence, loss_evidence, no_probability, of_generator


@rule("LOS004", "bce-needs-probabilities", level=ERROR, since="0.2", requires=(roles, contract, ranges, shapes))
def bce_needs_probabilities(scope: Scope) -> Iterator[Finding]:
    known, training = scope[roles], scope[contract]
    judged = {head: loss for head, loss in known.reads(training) if _takes_probabilities(loss.value)}
    gives = {
        head: found
        for head in judged
        if not of_generator(head, training, scope[shapes])
        if (found := no_probability(known, scope[ranges], head))
    }
    for head in known.certainly(gives):
        loss, at = judged[head], head.at
        if at is None:
            continue
        yield Finding(
            f"{loss.value.name} takes probabilities, the head gives {gives[head]}",
            at,
            evidence=(head_evidence(head), Evidence("the head gives", gives[head]), loss_evidence(loss)),
            help="return the logits and use binary_cross_entropy_with_logits, or end the head with a sigmoid",
            why="the logarithm of a number that is no probability is NaN, or is clipped and passes no gradient",
        )


def _takes_probabilities(loss: Loss) -> bool:
    return loss.wants == "probabilities" and loss.over == "units"
