"""A recurrent layer that walks along the batch: its last sample is taken for the last time step.

## What it does

Reports where of the results of a recurrent layer (LSTM, GRU, RNN) the last element is taken along the axis that the
layer itself takes for the batch, while that axis is longer than 1.

## Why is this bad

PyTorch's recurrent layers read [time, batch, features] unless they are made with `batch_first=True`. Given [batch,
time, features], the layer walks from sample to sample and carries its state along, so that each answer depends on the
samples before it. `out[:, -1]`, meant as the last time step, is the last sequence of what the layer took for the batch:
the others are computed and thrown away.

## Example

```torch
# given inputs=4,7,5
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 6)
        self.fc = nn.Linear(6, 2)
    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(out[:, -1])      # want "takes axis 1 for the batch, and only the last element"
```

```torch
# given inputs=4,7,5
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(5, 6, batch_first=True)
        self.fc = nn.Linear(6, 2)
    def forward(self, x):
        out, _ = self.gru(x)
        return self.fc(out[-1])      # want "takes axis 0 for the batch"
```

## Use instead

```torch
# given inputs=4,7,5
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 6, batch_first=True)
        self.fc = nn.Linear(6, 2)
    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(out[:, -1])
```

## Spares

The last time step of a layer that reads time first, and its last state:

```torch
# given inputs=7,4,5
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 6)
        self.fc = nn.Linear(6, 2)
    def forward(self, x):
        out, (h, c) = self.lstm(x)
        return self.fc(out[-1]) + self.fc(h[-1])
```

One sequence at a time, whose batch of one is dropped, and another element than the last:

```torch
# given inputs=7,1,5
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 6)
        self.fc = nn.Linear(6, 2)
    def forward(self, x):
        out, _ = self.lstm(x[:, :1])
        return self.fc(out[:, -1])
```

## Known limits

A mean or a maximum over the layer's batch is not reported: one sample may consist of several sequences, such as those
of the nodes of a graph.

## References

- PyTorch documentation: `torch.nn.LSTM`, `batch_first`.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.constants import constants
from netlint.analyses.shapes import shapes
from netlint.analyses.streams import streams
from netlint.graph import Node, Shape
from netlint.rule import WARNING, Evidence, Finding, Scope, rule


@rule("RNN004", "batch-first-mismatch", level=WARNING, since="0.3", requires=(streams, shapes, constants))
def batch_first_mismatch(scope: Scope) -> Iterator[Finding]:
    for node in scope.graph.of("Gather"):
        shape, axis = scope[shapes].of(node.input(0)), scope[streams].axis(node.input(0))
        if shape is None or axis is None or shape[axis] in (1, None) or not _last(scope, node, axis, shape):
            continue
        yield Finding(
            f"the recurrent layer takes axis {axis} for the batch, and only the last element of that axis is used",
            node,
            evidence=(Evidence("shape", list(shape)), Evidence("axis of the sequences", axis)),
            help="make the layer with batch_first=True if axis 0 is the batch; else `out[-1]` is the last step",
            why="the layer walks from sample to sample, or all sequences but one are thrown away",
        )


def _last(scope: Scope, node: Node, axis: int, shape: Shape) -> bool:
    """Whether an operator takes the last element along an axis, and nothing else."""
    picked = scope[constants].get(node.input(1))
    if node.attrs.get("axis", 0) % len(shape) != axis or picked is None or picked.size != 1:
        return False
    length = shape[axis]
    return int(picked.flat[0]) in (-1, length - 1 if isinstance(length, int) else -1)
