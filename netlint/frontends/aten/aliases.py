"""Which tensors lie in the same memory, and what each holds now.

A base is a tensor with memory of its own; its views hang below it as a tree of cells. Writing into a cell writes into
its base through the inverse of every view on the way; the other cells of the base are stale from then on and are
computed again from their parent when the program reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from netlint.graph import Value

from .calls import Call, Ref
from .table import Inverse


@dataclass(slots=True)
class View:
    """How a cell comes from its parent."""

    call: Call
    parent: Cell
    inverse: Inverse | None
    """None: nobody knows how to write through it."""
    place: int = 0
    """Which of the call's results it is."""
    sure: bool = True
    """False: it may be a copy instead."""


class Cell:
    """One tensor of the program: its current value, and where it lies."""

    __slots__ = ("base", "ref", "seen", "value", "version", "view")

    def __init__(self, ref: Ref, value: Value, view: View | None = None) -> None:
        self.ref = ref
        self.value = value
        self.view = view
        self.base: Cell = view.parent.base if view is not None else self
        self.version = 0
        """Of a base: how often it, or a view of it, was written."""
        self.seen = self.base.version
        """The version of the base that `value` belongs to."""

    @property
    def fresh(self) -> bool:
        return self.seen == self.base.version

    def set(self, value: Value) -> None:
        """Hold a value that belongs to the base as it is now."""
        self.value = value
        self.seen = self.base.version
