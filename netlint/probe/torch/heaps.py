"""Small results of many layers: they stay on their device until the end, are joined there, and come in one transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from .folded import Part

if TYPE_CHECKING:
    from netlint.probe.observed import Floats

_JOINED: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "amin": lambda rows: rows.amin(0),
    "amax": lambda rows: rows.amax(0),
    "sum": lambda rows: rows.sum(0),
    "squares": lambda rows: rows.square().sum(0),
}
"""What becomes of the rows of a part."""


class _Key(NamedTuple):
    """What can be joined at once."""

    how: str
    device: torch.device
    dtype: torch.dtype
    rows: int


@dataclass(slots=True)
class _Heap:
    parts: list[torch.Tensor] = field(default_factory=list)
    length: int = 0


class Place(NamedTuple):
    """Where the numbers of a part lie once they have been fetched."""

    heap: _Key
    start: int
    stop: int


class Heaps:
    """What there is of each kind on each device."""

    def __init__(self) -> None:
        self._heaps: dict[_Key, _Heap] = {}

    def put(self, part: Part) -> Place:
        """Keep a part."""
        numbers = part.numbers if part.numbers.dim() > 1 else part.numbers.reshape(1, -1)
        rows, length = numbers.shape
        key = _Key(part.how, numbers.device, numbers.dtype, rows)
        heap = self._heaps.get(key) or self._heaps.setdefault(key, _Heap())
        start = heap.length
        heap.parts.append(numbers)
        heap.length += length
        return Place(key, start, heap.length)

    def fetch(self) -> Numbers:
        """Everything, in one transfer from each device, which waits for it."""
        found: dict[_Key, Floats] = {}
        for device in dict.fromkeys(key.device for key in self._heaps):
            keys = [key for key in self._heaps if key.device == device]
            joined = [_JOINED[key.how](torch.cat(self._heaps[key].parts, 1).double()) for key in keys]
            ends = np.cumsum([part.numel() for part in joined])[:-1]
            fetched = torch.cat(joined).cpu().numpy()
            found |= dict(zip(keys, np.split(fetched, ends), strict=True))
        return Numbers(found)


class Numbers:
    """What was fetched."""

    def __init__(self, found: Mapping[_Key, Floats]) -> None:
        self._found = found

    def at(self, place: Place) -> Floats:
        """Those of a part, one for each unit."""
        return self._found[place.heap][place.start : place.stop]

    def each(self, places: Iterable[Place]) -> list[float]:
        """Of parts that are one number."""
        return [float(self.at(place)[0]) for place in places]
