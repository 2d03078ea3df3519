"""An LSTM that starts with its forget gates half closed.

## What it does
Reports freshly initialised LSTM layers whose forget gates have a bias (both bias vectors together) below `least` (0.1)
on average. Once for the model.

## Why is this bad
With a bias of 0 a forget gate starts near 1/2: the cell's state, and the gradient through it, halve at every time step,
so nothing can be learned over more than a few steps until training has opened the gates. With a bias of 1 they start
at 0.73 and learn long dependencies sooner.

## Example
```onnx
# given stage=init
closed (float[T, N, 1] x) => (float[T, 1, N, 1] y)
<float[1, 4, 1] w = {0.4, -0.8, 0.5, 0.2}, float[1, 4, 1] r = {0.3, 0.1, -0.4, 0.2},
 float[1, 8] b = {0, 0, 0, 0, 0, 0, 0, 0}> {
    y = LSTM <hidden_size = 1> (x, w, r, b)   # want note "a mean of 0"
}
```
```onnx
# given stage=init
without_bias (float[T, N, 1] x) => (float[T, 1, N, 1] y)
<float[1, 4, 1] w = {0.4, -0.8, 0.5, 0.2}, float[1, 4, 1] r = {0.3, 0.1, -0.4, 0.2}> {
    y = LSTM <hidden_size = 1> (x, w, r)   # want note "no bias"
}
```
As a torch module, with torch's default, random numbers around 0:
```torch
# given inputs=5,2,8
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16)

    def forward(self, x):
        return self.lstm(x)[0]      # want note "a mean of"
```

## Use instead
ONNX orders the gates input, output, forget, cell.
```onnx
# given stage=init
open (float[T, N, 1] x) => (float[T, 1, N, 1] y)
<float[1, 4, 1] w = {0.4, -0.8, 0.5, 0.2}, float[1, 4, 1] r = {0.3, 0.1, -0.4, 0.2},
 float[1, 8] b = {0, 0, 1, 0, 0, 0, 0, 0}> {
    y = LSTM <hidden_size = 1> (x, w, r, b)
}
```

## Spares
Trained models, GRU (whose gates are coupled), and LSTMs whose input gate stands for the forget gate.
```onnx
# given stage=trained
trained (float[T, N, 1] x) => (float[T, 1, N, 1] y)
<float[1, 4, 1] w = {0.4, -0.8, 0.5, 0.2}, float[1, 4, 1] r = {0.3, 0.1, -0.4, 0.2},
 float[1, 8] b = {0.1, 0.2, -0.3, 0.1, 0, 0, 0, 0}> {
    y = LSTM <hidden_size = 1> (x, w, r, b)
}
```

## Known limits
LSTM cells that are written out operator by operator are not read. For short sequences the bias matters little.

## References
Gers, Schmidhuber, Cummins: Learning to Forget (2000). Jozefowicz, Zaremba, Sutskever: An Empirical Exploration of
Recurrent Network Architectures (2015), section 2.2 and table 3.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.constants import constants
from netlint.analyses.layers import layers
from netlint.analyses.stage import stage
from netlint.graph import Node
from netlint.rule import NOTE, Evidence, Finding, Option, Scope, rule

from ._surroundings import fresh_model

_LEAST = Option("least", 0.1, "the least mean bias of the forget gates")
_FORGET = 2
_GATES = 4


@rule(
    "INI009",
    "forget-gate-bias",
    level=NOTE,
    since="0.2",
    status="preview",
    requires=(layers, stage, constants),
    options=(_LEAST,),
)
def forget_gate_bias(scope: Scope) -> Iterator[Finding]:
    lstms = [node for node in scope.graph.of("LSTM") if not node.attrs.get("input_forget", 0)]
    if not lstms or not fresh_model(scope[stage]):
        return
    found = [
        (bias, node)
        for node in lstms
        if (layer := scope[layers].of(node)) is not None
        and scope[stage].fresh(layer)
        and (bias := _bias(node, scope)) is not None
        and bias < float(scope.options["least"])
    ]
    if found:
        yield _finding(*found[0], len(found), scope)


def _bias(node: Node, scope: Scope) -> float | None:
    """The mean over units and directions of the forget gates' two biases together."""
    if node.input(3) is None:
        return 0.0
    array = scope[constants].get(node.input(3))
    if array is None or array.ndim != 2 or array.shape[1] % (2 * _GATES):
        return None
    gates = array.reshape(array.shape[0], 2, _GATES, -1)
    return float(gates[:, :, _FORGET].sum(1).mean())


def _finding(bias: float, node: Node, count: int, scope: Scope) -> Finding:
    said = "the LSTM has no bias" if node.input(3) is None else f"the forget gates' bias starts at a mean of {bias:.2g}"
    others = f", as in {count - 1} other LSTM layer{'s' if count > 2 else ''}" if count > 1 else ""
    return Finding(
        f"{said}{others}",
        node,
        (Evidence("mean bias of the forget gates", bias), Evidence("stage", "init", scope[stage].origin)),
        "start the forget gates' bias at 1",
        "a gate at 1/2 halves the state, and the gradient through it, at every time step",
    )
