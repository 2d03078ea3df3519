"""Indices taken apart: slices, single places, new axes, index tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netlint.graph import Value

from .builder import END, Builder, NotLowered
from .calls import Length
from .literals import Literal


@dataclass(slots=True)
class Slice:
    """Part of an axis of the indexed tensor; of length 1 and then left out where `single`."""

    axis: int
    start: Any
    end: Any
    step: int = 1
    single: bool = False


@dataclass(slots=True)
class Index:
    """An index taken apart."""

    slices: list[Slice]
    """Those that cut something, by axis; single places are among them."""
    new_axes: list[int]
    """Places of `None` in the result of the slices alone."""
    tensors: dict[int, Value]
    """Index tensors by axis of the indexed tensor."""

    @property
    def basic(self) -> bool:
        return not self.tensors


def parsed(b: Builder, input: Value, index: Any, select: bool = True) -> Index:
    """An index as slices, new axes and tensors. A mask becomes the places of its true elements.

    torch takes single places out first, also those that a tensor without axes names: unlike numpy, `x[0, 1:, i]` has
    the slice in front. aten's `index` (`select` false) has tensors only.
    """
    found = Index([], [], {})
    axis = place = 0
    for item in _items(b, input, index):
        if item is None or item is True:
            found.new_axes.append(place)
            place += 1
        elif isinstance(item, slice):
            part = _slice(b, input, axis, item, place)
            if part is not None:
                found.slices.append(part)
            axis, place = axis + 1, place + 1
        elif isinstance(item, Value) and not (select and _is_number(item)):
            parts = _mask_places(b, item) if item.dtype in ("bool", "uint8") else [item]
            found.tensors.update(enumerate(parts, axis))
            axis, place = axis + len(parts), place + len(parts)
        else:
            found.slices.append(Slice(axis, item, _after(b, item), single=True))
            axis += 1
    return found


def _is_number(item: Value) -> bool:
    """A tensor of integers without axes, which torch treats as a number where it stands alone."""
    return item.shape == () and item.dtype not in ("bool", "uint8")


def _items(b: Builder, input: Value, index: Any) -> list[Any]:
    """One item per axis from the first on; the ellipsis is written out."""
    given = list(index) if isinstance(index, list | tuple) else [index]
    items: list[Any] = [_tensor(b, item) for item in given]
    consumed = sum(_axes_of(item) for item in items)
    if any(item is Ellipsis for item in items):
        place = next(nth for nth, item in enumerate(items) if item is Ellipsis)
        rest = b.rank(input) - consumed
        items[place : place + 1] = [slice(None)] * rest
    return items


def _tensor(b: Builder, item: Any) -> Any:
    """A list of numbers as a tensor."""
    if isinstance(item, list | tuple):
        if not all(isinstance(x, int) for x in item):
            raise NotLowered("a nested list as an index")
        if item and all(isinstance(x, bool) for x in item):
            item = [place for place, chosen in enumerate(item) if chosen]
        return b.constant(Literal("int64", (len(item),), tuple(item)))
    if item is False or isinstance(item, float | str):
        raise NotLowered("an index that is no place")
    return item


def _axes_of(item: Any) -> int:
    if item is None or item is Ellipsis or item is True:
        return 0
    if isinstance(item, Value) and item.dtype in ("bool", "uint8"):
        if item.shape is None:
            raise NotLowered("a mask of unknown rank")
        return len(item.shape)
    return 1


def _slice(b: Builder, input: Value, axis: int, item: slice, place: int) -> Slice | None:
    """None: the whole axis."""
    start = 0 if item.start is None else item.start
    end = END if item.stop is None else item.stop
    step = 1 if item.step is None else item.step
    if isinstance(step, Value):
        raise NotLowered("a step that is computed")
    length = input.shape[axis] if input.shape is not None else None
    whole_start = isinstance(start, int) and (start == 0 or (isinstance(length, int) and start <= -length))
    whole_end = isinstance(end, int) and isinstance(length, int) and end >= length
    if isinstance(end, Length) and end.symbol == length:
        whole_end = True
    if whole_start and (whole_end or (isinstance(end, int) and end == END)) and step == 1:
        return None
    return Slice(axis, start, END if whole_end else end, int(step))


def _after(b: Builder, place: Any) -> Any:
    """The end of the slice that holds one place alone."""
    if isinstance(place, Length):
        return b("Add", b.length(place), b.ints(1), shape=(1,))
    if isinstance(place, Value):
        return b("Add", b.length(place), b.ints(1), shape=(1,))
    return END if place == -1 else place + 1


def _mask_places(b: Builder, mask: Value) -> list[Value]:
    rank = b.rank(mask)
    if rank == 0:
        raise NotLowered("a mask without axes")
    places = b("NonZero", b.cast(mask, "bool"), dtype="int64", shape=(rank, None))
    if rank == 1:
        return [b.squeeze(places, 0)]
    return [b("Gather", places, b.number(axis, "int64"), shape=(None,), axis=0) for axis in range(rank)]
