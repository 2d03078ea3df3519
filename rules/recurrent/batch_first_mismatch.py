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

All sequences as a batch, and one of them beside the others, such as the agent that the rest is compared with:

```torch
# given inputs=4,7,5
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 6, batch_first=True)
        self.fc = nn.Linear(12, 2)
    def forward(self, x):
        _, (h, c) = self.lstm(x)
        others = h.transpose(0, 1)
        return self.fc(torch.cat([others[-1], others.mean(0)], -1))
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
from netlint.graph import Node, Value
from netlint.ops import RECURRENT
from netlint.rule import WARNING, Evidence, Finding, Scope, rule


@rule("RNN004", "batch-first-mismatch", level=WARNING, since="0.3", requires=(streams, shapes, constants))
def batch_first_mismatch(scope: Scope) -> Iterator[Finding]:
    starts = [
        value for node in scope.graph.of(*sorted(RECURRENT)) if not node.domain for value in node.outputs if value
    ]
    picks = dict.fromkeys(node for value in starts for node in _picked(scope, value) if _element(scope, node) == -1)
    for node in picks:
        axis, shape = scope[streams].axis(node.input(0)), scope[shapes].of(node.input(0))
        yield Finding(
            f"the recurrent layer takes axis {axis} for the batch, and only the last element of that axis is used",
            node,
            evidence=(Evidence("shape", list(shape or ())), Evidence("axis of the sequences", axis)),
            help="make the layer with batch_first=True if axis 0 is the batch; else `out[-1]` is the last step",
            why="the layer walks from sample to sample, or all sequences but one are thrown away",
        )


def _picked(scope: Scope, start: Value) -> list[Node]:
    """What takes single sequences from a result, where nothing uses them all; none where anything else is unknown."""
    found: dict[Node, None] = {}
    seen = {start: None}
    for value in (todo := [start]):
        if scope.graph.is_output(value):
            return []
        for node in scope.graph.uses(value):
            carried = [out for out in node.outputs if out is not None and scope[streams].axis(out) is not None]
            if _element(scope, node) is not None and node.input(0) is value and not _one_step(scope, node):
                found[node] = None
            elif not carried and node.op not in ("Shape", "Size"):
                return []
            todo += [out for out in carried if out not in seen]
            seen.update(dict.fromkeys(carried))
    return list(found)


def _one_step(scope: Scope, node: Node) -> bool:
    """Whether single steps are read of the sequence that a node takes: its writer knows which axis is the time."""
    users, rank = scope.graph.uses(node.output()), len(scope[shapes].of(node.output()) or ())
    return any(user.op == "Gather" and user.attrs.get("axis", 0) % max(rank, 1) < rank - 1 for user in users)


def _element(scope: Scope, node: Node) -> int | None:
    """Which sequence alone a node takes, -1 for the last; None where it does otherwise, or where steps are gone."""
    axis, shape = scope[streams].axis(node.input(0)), scope[shapes].of(node.input(0))
    if axis is None or shape is None or len(shape) < 3 or shape[axis] in (1, None):
        return None
    place = _gathered(scope, node, axis, len(shape)) if node.op == "Gather" else _sliced(scope, node, axis, len(shape))
    return -1 if place is not None and place + 1 == shape[axis] else place


def _gathered(scope: Scope, node: Node, axis: int, rank: int) -> int | None:
    picked = scope[constants].get(node.input(1))
    along = node.attrs.get("axis", 0) % rank == axis
    return int(picked.flat[0]) if along and picked is not None and picked.size == 1 else None


def _sliced(scope: Scope, node: Node, axis: int, rank: int) -> int | None:
    first, last, along = (scope[constants].get(node.input(slot)) for slot in (1, 2, 3))
    if node.op != "Slice" or first is None or last is None or along is None:
        return None
    for start, end, where in zip(first.flat, last.flat, along.flat, strict=False):
        if where % rank == axis and (end == start + 1 or (start == -1 and end > 1 << 30)):
            return int(start)
    return None
