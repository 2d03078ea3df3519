"""Relations between values: what an interval per value cannot say.

`x - max(x) <= 0`, `sum(exp(x - max(x))) >= 1`, `e / sum(e)` in [0, 1] with sum 1, `|x| <= sqrt(sum(x * x))`. A relation
is kept with the value that carries it and looked up where two values meet again.
"""

from __future__ import annotations

from typing import NamedTuple

from netlint.graph import Dim, Value

from .interval import Range

Axes = tuple[int, ...] | None
"""Axes counted from 0 where the rank is known, else as the model writes them; None: all of them."""


_MOST = 4
"""Relations kept with one value: more would cost time in long chains and serve no known pattern."""


class Upper(NamedTuple):
    """`factor * value >= source ** power` at every index (`|source|` if `absolute`), once both are broadcast."""

    source: Value
    kind: str
    """`max` or `sum`: the value is exactly that of its source over `over`; `bound`: only the inequality holds."""
    over: Axes = ()
    rank: int | None = None
    """Of the source."""
    axes: tuple[int | None, ...] | None = None
    """For each axis of the value, the source's axis it runs along, None where it is constant. None for the whole:
    broadcasting the value against the source lines them up."""
    absolute: bool = False
    power: int = 1
    factor: float = 1.0
    length: bool = False
    """The value is at least the Euclidean length of its source over `over`, or the square of that."""

    @property
    def aligned(self) -> bool:
        """Whether an elementwise operation on source and value compares an element with its own bound."""
        if self.axes is None:
            return True
        if self.rank is None or len(self.axes) > self.rank:
            return False
        offset = self.rank - len(self.axes)
        return all(axis is None or axis == offset + place for place, axis in enumerate(self.axes))

    def placed(self) -> tuple[int | None, ...] | None:
        """`axes` written out; None where that needs a rank nobody knows."""
        return self.axes if self.axes is not None or self.rank is None else tuple(range(self.rank))

    def loosened(self) -> Upper:
        """After something was added: the inequality is left."""
        return self if self.kind == "bound" else self._replace(kind="bound")


class Peak(NamedTuple):
    """In every slice along `axes` at least one element is `level`, and none is above."""

    level: float
    axes: Axes


class Facts:
    """All relations of one graph. Values that only rename another are looked up under the original."""

    def __init__(self) -> None:
        self._roots: dict[Value, Value] = {}
        self._uppers: dict[Value, tuple[Upper, ...]] = {}
        self._peaks: dict[Value, Peak] = {}
        self._totals: dict[Value, Axes] = {}
        self.squares: dict[Value, Value] = {}
        """Values that are the square of another."""
        self.magnitudes: dict[Value, Value] = {}
        """Values that are the absolute value of another."""
        self.inverses: dict[Value, Value] = {}
        """Values that are 1 over another."""
        self.exact: dict[Value, Range] = {}
        """Values that cancellation moves out of the range they have in real arithmetic, with that range."""
        self.units: dict[Value, tuple[int, ...]] = {}
        """Values that are vectors of length at most 1 along these axes, up to rounding."""
        self.nonzero: set[Value] = set()
        """Values that a comparison keeps from being 0."""
        self.frozen = False
        """While something is only tried out, nothing is noted."""

    def rename(self, copy: Value, original: Value) -> None:
        """`copy` has the same elements in the same places."""
        self._roots[copy] = self.root(original)

    def root(self, value: Value) -> Value:
        return self._roots.get(value, value)

    def forget(self, value: Value) -> None:
        """Drop what rested on a range that has to be taken back."""
        for kept in (self._uppers, self._peaks, self._totals, self.exact, self.units):
            kept.pop(value, None)
        self.nonzero.discard(value)

    @property
    def scalable(self) -> bool:
        """Whether there are relations that a factor changes."""
        return bool(self._uppers or self._peaks)

    def about(self, value: Value) -> bool:
        """Whether any relation is kept with the value."""
        root = self._roots.get(value, value)
        return root in self._uppers or root in self._peaks or root in self.inverses or root in self.exact

    def uppers(self, value: Value | None) -> tuple[Upper, ...]:
        return () if value is None else self._uppers.get(self.root(value), ())

    def add_upper(self, value: Value, *uppers: Upper) -> None:
        if uppers and not self.frozen:
            self._uppers[value] = (self._uppers.get(value, ()) + uppers)[:_MOST]

    def peak(self, value: Value | None) -> Peak | None:
        return None if value is None else self._peaks.get(self.root(value))

    def set_peak(self, value: Value, level: float, axes: Axes) -> None:
        if not self.frozen:
            self._peaks[value] = Peak(level, axes)

    def total(self, value: Value | None) -> Axes:
        """The axes along which the elements, none negative, sum to 1; None for no such axes."""
        return None if value is None else self._totals.get(self.root(value))

    def set_total(self, value: Value, axes: Axes) -> None:
        if axes and not self.frozen:
            self._totals[value] = axes

    def unit(self, value: Value) -> tuple[int, ...] | None:
        """The axes along which a value is a vector of length at most 1."""
        return self.units.get(self.root(value))

    def set_unit(self, value: Value, axes: tuple[int, ...] | None) -> None:
        if axes and not self.frozen:
            self.units[value] = axes

    def above(self, bound: Value, value: Value) -> Upper | None:
        """How `bound` dominates `value`, element for element."""
        root = self.root(value)
        for upper in self.uppers(bound):
            if upper.power == 1 and not upper.absolute and upper.source is root and upper.aligned:
                return upper
        return None

    def above_magnitude(self, bound: Value, value: Value) -> Upper | None:
        """How `bound` dominates `|value|`, element for element."""
        root = self.root(value)
        for upper in self.uppers(bound):
            absolute = upper.absolute and upper.source is root
            if upper.power == 1 and upper.aligned and (absolute or self.magnitudes.get(upper.source) is root):
                return upper
        return None


def covers(outer: Axes, inner: Axes) -> bool:
    """Whether all of the inner axes are among the outer ones."""
    return outer is None or (inner is not None and set(inner) <= set(outer))


def match_axes(before: tuple[Dim, ...] | None, after: tuple[Dim, ...] | None) -> dict[int, int]:
    """Which axis of a reshaped value runs along which axis of the original: those of the common head and tail."""
    if before is None or after is None:
        return {}
    matched: dict[int, int] = {}
    for place, (old, new) in enumerate(zip(before, after, strict=False)):
        if old is None or old != new:
            break
        matched[place] = place
    for place in range(1, min(len(before), len(after)) + 1):
        if before[-place] is None or before[-place] != after[-place]:
            break
        matched.setdefault(len(before) - place, len(after) - place)
    return matched


def match_long_axes(before: tuple[Dim, ...] | None, after: tuple[Dim, ...] | None) -> list[tuple[int, int]] | None:
    """Pairs (old axis, new axis) where a reshape only adds or drops axes of length 1; None for other reshapes."""
    if before is None or after is None or None in before or None in after:
        return None
    old = [axis for axis, size in enumerate(before) if size != 1]
    new = [axis for axis, size in enumerate(after) if size != 1]
    if [before[axis] for axis in old] != [after[axis] for axis in new]:
        return None
    return list(zip(old, new, strict=True))
