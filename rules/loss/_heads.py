"""What the rules of this category say of heads in the same words."""

from __future__ import annotations

from netlint.analyses.roles import Head
from netlint.analyses.shapes import Shapes
from netlint.graph import Graph
from netlint.ops import read
from netlint.rule import Evidence
from netlint.training import Known, Loss


def loss_evidence(loss: Known[Loss]) -> Evidence:
    """The loss, and who said so."""
    return Evidence("loss", loss.value.name, loss.origin)


def head_evidence(head: Head) -> Evidence:
    """The operators from the last weighted layer to what the loss reads."""
    layer = [head.layer.node.op] if head.layer is not None else []
    return Evidence("head", " → ".join([*layer, *(node.op for node in reversed(head.chain))]))


def classes_of(head: Head, shapes: Shapes, graph: Graph, *, of_loss: bool = False) -> int | None:
    """The number of classes a softmax head normalises over; None where it is not known.

    With `of_loss`, also None where that may be another axis than the loss's: losses over classes use axis 1.
    """
    node = head.softmax
    shape = shapes.of(node.output()) if node is not None and node.output() is not None else None
    if node is None or not shape:
        return None
    axis = len(shape) - 1  # a softmax that is written out names its axis in its sum: the last one is the usual
    if node.op in ("Softmax", "LogSoftmax"):
        axes = read.softmax_axes(node, graph.opset.get("", 0), len(shape))
        axis = axes[0] if len(axes) == 1 else -1
    elif len(shape) != 2:
        return None
    if of_loss and axis != 1:
        return None
    count = shape[axis] if axis >= 0 else None
    return count if isinstance(count, int) else None
