"""Where the batch lies in a tensor, and how a change of layout moves it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from netlint.graph import Dim, Shape


@dataclass(frozen=True, slots=True)
class Product:
    """A product of lengths: a number times named (or anonymous) unknown lengths."""

    number: int = 1
    names: tuple[object, ...] = ()

    def times(self, other: Product) -> Product:
        return Product(self.number * other.number, tuple(sorted((*self.names, *other.names), key=repr)))

    def over(self, other: Product) -> Product | None:
        """The quotient where it is a product of lengths as well."""
        left = Counter(self.names)
        left.subtract(Counter(other.names))
        if other.number == 0 or self.number % other.number or any(count < 0 for count in left.values()):
            return None
        return Product(self.number // other.number, tuple(sorted(left.elements(), key=repr)))


ONE = Product()


@dataclass(frozen=True, slots=True)
class Track:
    """One axis of a tensor that runs over the samples of the batch, alone or merged with others.

    The axis has length `outer · length · inner` and is laid out in this order; both are 1 where it is the batch alone.
    """

    axis: int
    length: Dim
    outer: Product = ONE
    inner: Product = ONE

    @property
    def alone(self) -> bool:
        return self.outer == ONE == self.inner

    def moved(self, axis: int) -> Track:
        return self if axis == self.axis else replace(self, axis=axis)


class Absent(Enum):
    """Why a tensor has no tracked axis."""

    NONE = "none"
    """The tensor does not run over samples: weights, masks, batch statistics."""
    UNKNOWN = "unknown"


NONE, UNKNOWN = Absent.NONE, Absent.UNKNOWN
State = Track | Absent


def product(dims: Sequence[Dim], mark: object = "") -> Product:
    """The product of lengths; an unknown length counts as a name of its own (`mark` and place)."""
    number, names = 1, []
    for place, dim in enumerate(dims):
        if isinstance(dim, int):
            number *= dim
        else:
            names.append(dim if dim is not None else (mark, len(dims) - place))
    return Product(number, tuple(sorted(names, key=repr)))


def reshaped(track: Track, before: Shape | None, after: Shape | None) -> State:
    """The batch after a Reshape, which keeps the order of elements.

    The lengths before it, its own and those after it must multiply to the same; two of these matches imply the third.
    """
    if before is None or after is None or track.axis >= len(before) or 0 in before:
        return UNKNOWN
    if track.alone and after[: track.axis + 1] == (*before[: track.axis], track.length) and None not in after:
        return track
    head = product(before[: track.axis], "head").times(track.outer)
    tail = product(before[track.axis + 1 :], "tail").times(track.inner)
    alone = [axis for axis in range(len(after)) if _matches(axis, after, head, track.length, tail) >= 2]
    if alone:
        if len(alone) > 1 and track.axis not in alone:
            return UNKNOWN
        return Track(track.axis if track.axis in alone else alone[0], track.length)
    if track.length == 1 and 1 in after:
        return UNKNOWN  # any of the axes of length 1 may be meant
    return _merged(track, after, head, tail)


def _matches(axis: int, after: Shape, head: Product, length: Dim, tail: Product) -> int:
    same_head = product(after[:axis], "new head") == head
    same_tail = product(after[axis + 1 :], "new tail") == tail
    return same_head + same_tail + (length is not None and after[axis] == length)


def _merged(track: Track, after: Shape, head: Product, tail: Product) -> State:
    for axis in range(len(after)):
        outer = head.over(product(after[:axis], "new head"))
        inner = tail.over(product(after[axis + 1 :], "new tail"))
        if outer is not None and inner is not None:
            return Track(axis, track.length, outer, inner)
    return UNKNOWN


def join(states: Sequence[State]) -> State:
    """The state of a result whose axes are those of its (aligned) inputs."""
    found: State = NONE
    for state in states:
        if state is UNKNOWN:
            return UNKNOWN
        if state is not NONE:
            if found is not NONE and not _agree(found, state):
                return UNKNOWN
            found = state if found is NONE else found
    return found


def _agree(one: State, other: State) -> bool:
    """The same axis and the same merging; the lengths may be named differently."""
    if not isinstance(one, Track) or not isinstance(other, Track):
        return False
    if isinstance(one.length, int) and isinstance(other.length, int) and 1 != one.length != other.length != 1:
        return False
    return (one.axis, one.outer, one.inner) == (other.axis, other.outer, other.inner)
