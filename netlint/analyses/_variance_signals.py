"""What is known of the elements of a value at initialisation, and how signals combine."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, prod
from typing import TypeAlias

from netlint.graph import Node, Shape, Value
from netlint.ops.read import axes

from .constants import Constants
from .layers import Layer, Layers
from .parameters import Parameters
from .shapes import Shapes
from .weights import Weights

_CERTAIN = 5.0
_MASK = 1e4


# Not frozen: there is one for every node, and freezing triples the cost of each.
@dataclass(slots=True)
class Signal:
    """Moments over all elements of a value, over the random weights and the model's inputs."""

    mean: float
    square: float
    """The mean of the squares, E x²."""

    @property
    def variance(self) -> float:
        """E x² - (E x)²."""
        return max(self.square - self.mean * self.mean, 0.0)

    @property
    def known(self) -> bool:
        """Whether it is finite."""
        return isfinite(self.square) and isfinite(self.mean)


Backward: TypeAlias = dict[int, float | None]
"""For inputs that a gradient goes to: the factor on E‖gradient‖², summed over all elements; None: unknown."""


@dataclass(slots=True)
class Step:
    """What a node does: the signal of its outputs, and where its gradient goes."""

    signal: Signal | None
    back: Backward


class Facts:
    """What the propagation reads besides the graph: weights, shapes, numbers."""

    def __init__(self, constness: Parameters, found: Layers, stats: Weights, known: Shapes, numbers: Constants) -> None:
        self.constness = constness
        self.layers = found
        self.stats = stats
        self.shapes = known
        self.numbers = numbers

    def number(self, value: Value | None) -> float | None:
        """The one finite number that a constant holds."""
        if value is None or not self.constness.constant(value):
            return None
        number = self.numbers.scalar(value)
        return number if number is not None and isfinite(number) else None

    def stored(self, value: Value | None) -> Signal | None:
        """The moments of a constant; a mean that chance explains counts as zero."""
        found = self.stats.moments(value)
        if found is None:
            number = self.numbers.scalar(value)
            return None if number is None else Signal(number, number * number)
        certain = found.count == 1 or abs(found.mean) > _CERTAIN * found.std / found.count**0.5
        return Signal(found.mean if certain else 0.0, found.square)

    def is_mask(self, value: Value | None) -> bool:
        """Whether a constant holds numbers so large that they can only exclude elements."""
        bounds = self.stats.bounds(value)
        return bounds is not None and max(abs(bounds[0]), abs(bounds[1])) >= _MASK

    def size(self, value: Value | None, taken: tuple[int, ...] | None = None) -> int | None:
        """The number of elements along some axes (all but the first where not given); None where unknown."""
        shape = self.shapes.of(value)
        if shape is None:
            return None
        chosen = range(1, len(shape)) if taken is None else [axis % max(len(shape), 1) for axis in taken]
        if any(axis >= len(shape) for axis in chosen):
            return None
        sizes = [shape[axis] for axis in chosen]
        return prod(_whole(sizes)) if len(_whole(sizes)) == len(sizes) else None

    def reduced(self, node: Node) -> int | None:
        """How many elements a reduction joins."""
        shape = self.shapes.of(node.input(0))
        given = axes(node)
        if shape is None:
            return None
        return self.size(node.input(0), tuple(range(len(shape))) if given is None else given)

    def layer(self, node: Node) -> Layer | None:
        """The layer that a node is."""
        return self.layers.of(node)


def _whole(sizes: list[int | str | None] | Shape) -> list[int]:
    return [size for size in sizes if isinstance(size, int)]


def total(parts: list[Signal], signs: list[int] | None = None) -> Signal:
    """The sum of independent signals."""
    mean = sum(part.mean * sign for part, sign in zip(parts, signs or [1] * len(parts), strict=True))
    return Signal(mean, mean * mean + sum(part.variance for part in parts))


def product(a: Signal, b: Signal, count: int = 1) -> Signal:
    """The sum of `count` products of independent signals: `E(Σ a b)² = n E a² E b² + n (n - 1) (E a E b)²`.

    He et al. 2015 (eq. 6) and Glorot, Bengio 2010 (eq. 5) have the case of zero means.
    """
    mean = a.mean * b.mean
    return Signal(count * mean, count * a.square * b.square + count * (count - 1) * mean * mean)
