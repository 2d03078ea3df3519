"""What is known of inputs while a model runs on them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Demand:
    """What a layer takes where an input arrives; None: it does not matter."""

    slot: int
    """Place of the input."""
    kind: str | None = None
    """`float`, `int` or `bool`."""
    rank: int | None = None
    sizes: dict[int, int] = field(default_factory=dict)
    """Lengths by axis of the input."""
    high: int | None = None
    """Integers are below this."""
    like: tuple[int, ...] | None = None
    """The whole shape; 0 stands for the length that the input has there."""
    target: bool = False
    """Asked of targets alone: another input may be meant as it is."""


@dataclass(slots=True)
class Misfit:
    """A call that found `got` elements where it takes `want`, in a tensor computed from an input."""

    slots: frozenset[int]
    got: int
    want: int
    channels: bool = False
    """Of channels along which inputs were joined, and of nothing else."""


@dataclass(slots=True)
class Trace:
    """How a tensor stems from inputs: through `axes` each of its axes is an axis of the one input, or None."""

    slots: frozenset[int]
    slot: int | None = None
    axes: tuple[int | None, ...] = ()
    taken: int = 0
    """Axes of the input that it has no more, or of which a part was taken."""
    bare: bool = True
    """Whether inputs were only moved, repeated and joined so far."""
