"""What every transfer function reads: operands that have been worked out before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from netlint.graph import Node, Value

from . import Reached
from .interval import Reach, free
from .patterns import normalised_by_norm

Transfer: TypeAlias = Callable[[Reached, Node], Reach | None]


def arg(known: Reached, node: Node, index: int = 0) -> Reach | None:
    """What an operand reaches."""
    return known.known_so_far(node.input(index))


def dtype_of(known: Reached, node: Node) -> str | None:
    """The type of the result."""
    return known.shapes.dtype(node.output())


def same_as(known: Reached, node: Node) -> Reach | None:
    """The first operand, moved or copied."""
    return arg(known, node)


def meant_as_logits(a: Reach) -> Reach:
    """Who squashes an input of the model takes it to be any number."""
    return free(*a.sources, zero=a.inside) if a.raw else a


def is_unit(known: Reached, value: Value | None) -> bool:
    """Whether a value is a vector divided by its norm."""
    return value is not None and normalised_by_norm(known, value)
