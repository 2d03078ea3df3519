"""What operators make of what their operands reach. What no table names reaches nothing that is shown."""

from __future__ import annotations

import math
from dataclasses import replace

from netlint import ops
from netlint.graph import Node, Value

from . import Reached
from . import interval as inner
from .arithmetic import ARITHMETIC
from .interval import INF, How, Reach
from .parts import axes_picked, joined
from .reduce import REDUCTIONS
from .step import Transfer, arg, same_as
from .unary import UNARY

_NEVER_NEGATIVE = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "cross_entropy"}) | {
    "SoftmaxCrossEntropyLoss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
}
"""Losses that are 0 at best."""


def transfer(known: Reached, node: Node, value: Value) -> Reach | None:
    """What a result of a node reaches."""
    if node.op == "If" and not node.domain:
        return _branches(known, node, value)
    if node.op in ops.LOSSES or node.full_op in ops.TORCH_LOSSES:
        return _loss(node, value)
    if node.domain or node.bodies:
        return None
    found = _TABLE.get(node.op)
    reached = found(known, node) if found is not None else None
    if reached is None or math.isnan(reached.lo) or math.isnan(reached.hi):
        return None
    return reached if reached.via is not None else replace(reached, via=_first(known, node))


def _loss(node: Node, value: Value) -> Reach:
    """Any number from 0 on, or any at all."""
    distance = node.op in _NEVER_NEGATIVE
    return Reach(0.0 if distance else -INF, INF, How.POINT if distance else How.NEVER, sources=frozenset({value}))


def _first(known: Reached, node: Node) -> Value | None:
    """The operand to name as the cause: the first that varies."""
    moving = [v for v in node.inputs if v is not None and not known.known.constant(v)]
    return next((v for v in moving if known.known_so_far(v) is not None), None)


def _branches(known: Reached, node: Node, value: Value) -> Reach | None:
    """An If gives what either branch gives."""
    place = node.outputs.index(value)
    results = [body.outputs[place] for body in node.bodies.values() if place < len(body.outputs)]
    found = [known.of(result) for result in results]
    kept = [each for each in found if each is not None]
    joined = kept[0] if kept and len(kept) == len(found) else None
    for each in kept[1:] if joined is not None else ():
        joined = inner.join(joined, each) if joined is not None else None
    return joined


def _part(known: Reached, node: Node) -> Reach | None:
    """A part of a whole; of pieces that were joined along the axis, it may be one that reaches less."""
    return (
        None if any(joined(known, node.input(0), axis) for axis in axes_picked(known, node)) else same_as(known, node)
    )


_TABLE: dict[str, Transfer] = {
    **UNARY,
    **REDUCTIONS,
    **ARITHMETIC,
    **dict.fromkeys(ops.LAYOUT - {"Concat", "Gather", "Slice", "Split"}, same_as),
    **dict.fromkeys(("Slice", "Split", "Gather"), _part),
    **dict.fromkeys(("Dropout", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear"), same_as),
    **dict.fromkeys(("Floor", "Ceil", "Round"), same_as),
    "Attention": lambda known, node: arg(known, node, 2),
}
"""Operator -> what it reaches, for the default domain."""
