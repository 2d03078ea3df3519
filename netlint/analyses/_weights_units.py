"""Which units of a stored weight are equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netlint.graph import Tensor


@dataclass(frozen=True, slots=True)
class StoredUnits:
    """A tensor seen as [outer, count, inner]: the middle axis counts units."""

    tensor: Tensor
    outer: int
    count: int
    inner: int


def equal_units(units: StoredUnits) -> list[tuple[int, ...]]:
    """Whole units are compared only where samples of them agree, which they hardly ever do."""
    from ._weights_scan import digests, magnitudes, sample, slices

    shape = (units.tensor, units.outer, units.count, units.inner)
    heads = sample(*shape)
    if len(set(heads)) == len(heads):
        return []
    found = []
    for group in _groups(digests(*shape)):
        first = slices(*shape, group[:1])
        if first is not None and magnitudes(first[0], units.tensor.dtype) >= 2:
            found.append(group)
    return found


def _groups(keys: Sequence[object]) -> list[tuple[int, ...]]:
    places: dict[object, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return [tuple(group) for group in places.values() if len(group) > 1]
