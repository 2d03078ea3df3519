"""What the rules of this category say of heads in the same words."""

from __future__ import annotations

from netlint.analyses.ranges import Ranges
from netlint.analyses.roles import Head, Roles
from netlint.analyses.shapes import Shapes
from netlint.graph import Graph
from netlint.ops import read
from netlint.rule import Evidence
from netlint.training import Interval, Known, Loss, Training

CLASSIFY = frozenset({"classification", "multilabel", "segmentation", "language-model"})
"""Tasks whose targets are classes or labels."""

# Rounding may carry a probability past 1 by this much.
_SLACK = 1e-4
_NEVER_NEGATIVE = "values that are never negative"
_BEYOND = {
    "Tanh": "values from -1 to 1",
    "Softsign": "values from -1 to 1",
    "Erf": "values from -1 to 1",
    "Relu": "values without an upper bound",
    "Softplus": "values without an upper bound",
    "Exp": "values without an upper bound",
    "Abs": "values without an upper bound",
    "LeakyRelu": "values without bounds",
    "PRelu": "values without bounds",
    "Elu": "values without an upper bound",
    "Selu": "values without an upper bound",
    "Celu": "values without an upper bound",
    "Gelu": "values without an upper bound",
    "Mish": "values without an upper bound",
    "HardSwish": "values without an upper bound",
    "Swish": "values without an upper bound",
    "Log": "logarithms",
}


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


def units_of(head: Head, shapes: Shapes) -> int | None:
    """The number of units of the layer that a head begins at; None where there is no single one, or it is unknown."""
    layer = head.layer
    shape = shapes.of(layer.weight) if layer is not None else None
    axis = layer.unit_axis if layer is not None else None
    if layer is None or shape is None or axis is None or layer.kind in ("embedding", "recurrent"):
        return None
    count = shape[axis] if axis < len(shape) else None
    return count if isinstance(count, int) else None


def no_probability(known: Roles, proved: Ranges, head: Head) -> str:
    """What a head gives that certainly leaves [0, 1]; empty where its values may be probabilities."""
    if head.softmax is not None:
        return "log-probabilities" if head.log else ""
    bounds = proved.of(head.value)
    if head.sigmoid or (bounds.known and bounds.lo >= -_SLACK and bounds.hi <= 1 + _SLACK):
        return ""
    if head.affine or head.summed:
        return "" if mixes_distributions(known, head) else straight(head)
    if head.layer is not None and head.layer.kind == "recurrent" and head.activation is None:
        return "the output of a recurrent layer, from -1 to 1" if head.layer.node.op != "RNN" else ""
    return _BEYOND.get(head.activation.op, "") if head.activation is not None and head.exact else ""


def no_log_probability(known: Roles, proved: Ranges, head: Head) -> str:
    """What a head gives that certainly is no log-probability; empty where it may be one."""
    if head.softmax is not None:
        return "" if head.log else "probabilities"
    bounds = proved.of(head.value)
    if head.sigmoid:
        return "probabilities"
    if head.floor == 0 or (bounds.known and bounds.lo >= 0 and bounds.hi > 0):
        return _NEVER_NEGATIVE
    if bounds.known and bounds.hi <= 0:
        return ""
    if head.activation is not None and head.exact and head.activation.op in ("Tanh", "Softsign", "Erf"):
        return _BEYOND[head.activation.op]
    return straight(head) if (head.affine or head.summed) and not mixes_distributions(known, head) else ""


def straight(head: Head) -> str:
    """What an affine head gives."""
    return "logits, a sum of layers" if head.summed else "logits, straight from a layer"


def mixes_distributions(known: Roles, head: Head) -> bool:
    """Whether a last layer mixes distributions: what comes out can be one again."""
    ends = head.summed if head.layer is None else (head.layer,)
    sources = [known.maker(layer.data) for layer in ends]
    return any(source is not None and known.softmax(source) is not None for source in sources)


def of_generator(head: Head, training: Training, shapes: Shapes) -> bool:
    """Whether a declared loss may read something else: a generator's is computed from the discriminator's score."""
    task = training.task
    gan = isinstance(task, Known) and task.value == "gan"
    return gan and head.site is None and units_of(head, shapes) != 1


def probabilities_declared(training: Training) -> bool:
    """Whether the targets are declared to lie in [0, 1]."""
    return isinstance(training.targets, Known) and _within(training.targets.value)


def regression_declared(training: Training) -> bool:
    """Whether the targets are values and no classes: by the task, or by targets outside [0, 1]."""
    task, targets = training.task, training.targets
    if isinstance(task, Known):
        return task.value in ("regression", "autoencoder")
    classes = training.classes.known
    return isinstance(targets, Known) and not classes and targets.value.lo < 0


def _within(targets: Interval) -> bool:
    return targets.lo >= 0 and targets.hi <= 1
