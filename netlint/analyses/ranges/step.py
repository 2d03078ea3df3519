"""What a transfer function sees of its node."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from netlint.graph import Dim, Node

from . import rounding
from .interval import INF, TOP, Range
from .state import State


class Step:
    """One node, seen by its transfer function."""

    __slots__ = ("_dtype", "given", "node", "state")

    def __init__(self, node: Node, state: State, given: Range | None = None) -> None:
        self.node = node
        self.state = state
        self.given = given
        self._dtype: str | None = ""

    def on(self, given: Range) -> Step:
        """The same node with another range for its first input: a part of a fused operator."""
        return Step(self.node, self.state, given)

    def arg(self, index: int = 0) -> Range:
        """The range of an input; TOP where it is missing."""
        inputs = self.node.inputs
        if index == 0 and self.given is not None:
            return self.given
        return self.state.of(inputs[index]) if index < len(inputs) else TOP

    def args(self) -> list[Range]:
        return [self.state.of(value) for value in self.node.inputs if value is not None]

    def has(self, index: int) -> bool:
        return self.node.input(index) is not None

    @property
    def attrs(self) -> Mapping[str, Any]:
        return self.node.attrs

    def number(self, name: str, default: float) -> float:
        """A numeric attribute."""
        found = self.node.attrs.get(name, default)
        return float(found) if isinstance(found, int | float) else default

    def ints(self, name: str) -> tuple[int, ...]:
        """An attribute that lists integers; empty where it is missing."""
        found = self.node.attrs.get(name, ())
        return found if isinstance(found, tuple) else ()

    def text(self, name: str, default: str) -> str:
        return str(self.node.attrs.get(name, default))

    @property
    def opset(self) -> int:
        return self.state.opset

    @property
    def dtype(self) -> str | None:
        """The type of the first output, else of the first input."""
        if self._dtype == "":
            self._dtype = self.state.dtype(self.node.output()) or self.state.dtype(self.node.input(0))
        return self._dtype

    @property
    def eps(self) -> float:
        """The relative rounding error of one operation (twice the unit roundoff)."""
        return rounding.format_of(self.dtype).eps

    def shape(self, index: int = 0) -> tuple[Dim, ...] | None:
        return self.state.shape(self.node.input(index))

    def same(self) -> bool:
        """Whether the first two inputs are one value, or copies of one."""
        a, b = self.node.inputs[:2]
        return a is b or (a is not None and b is not None and self.state.facts.root(a) is self.state.facts.root(b))

    def idle(self) -> bool:
        """Whether nothing is known of any input but constants."""
        state = self.state
        for value in self.node.inputs:
            if value is not None and value.constant is None and (state.of(value).known or state.facts.about(value)):
                return False
        return True

    @property
    def unit(self) -> float:
        """The unit roundoff of sums, which runtimes accumulate in float32 at least."""
        return 2.0**-53 if self.dtype == "float64" else 2.0**-24

    def summed(self, found: Range, count: int | None) -> Range:
        """A sum or mean of `count` elements, widened by what accumulating in float32 may lose.

        The bound is count * eps (Higham, Accuracy and Stability of Numerical Algorithms, 4.2), cut at 65536 elements
        and taken for 4096 where the count is unknown: runtimes add pairwise, whose error grows with the logarithm.
        """
        terms = 4096 if count is None else min(count, 65536)
        return _widen_unless_exact(found, 2 * terms * self.unit + 2 * self.eps)


def _widen_unless_exact(found: Range, relative: float) -> Range:
    """Sums of powers of two, taken as often as one likes, are exact."""
    lo, hi = found.lo, found.hi
    if abs(lo) < INF and abs(math.frexp(lo)[0]) not in (0.0, 0.5):
        lo -= abs(lo) * relative
    if abs(hi) < INF and abs(math.frexp(hi)[0]) not in (0.0, 0.5):
        hi += abs(hi) * relative
    return found.moved(lo, hi)


Transfer: TypeAlias = Callable[[Step], Range | tuple[Range, ...]]
"""From a node to the range of its first output, or of all; outputs that are left out are TOP."""
