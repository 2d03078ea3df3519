"""What the message of a failing run says of its inputs: a missing argument, a rank, a length."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from . import families
from .inputs import Slot
from .layout import Layout
from .sizing import other_lengths, ranked

_MOST_CHASED = 8
_SPECIFY = re.compile(r"(?:specify|provide|pass|requires?|need|missing)\b(.*)", re.IGNORECASE | re.DOTALL)
_OUTSIDE = re.compile(r"Dimension out of range \(expected to be in range of \[-(\d+), \d+\], but got (-?\d+)\)")
_JOINED = re.compile(r"same number of dimensions: got (\d+) and (\d+)")
_UNLIKE = re.compile(r"Expected (?:size )?(\d+)(?: in dimension \d+)? but got (?:size )?(\d+)")
_UNPACK = re.compile(r"(?:too many|not enough) values to unpack \(expected (\d+)(?:, got (\d+))?")
_PERMUTED = re.compile(r"input\.dim\(\) = (?P<got>\d) is not equal to len\(dims\) = (?P<want>\d)")
_RANKED = re.compile(
    r"(?:expected|must|should|requires?|needs?)[^\d.]*(?P<want>\d)-?(?:d\b|\s*dim|,)[^\d]*(?P<got>\d)(?:-?\s*d(?:im)?\b|$|[.\s])",
    re.IGNORECASE,
)
"""As in `expected 3 dims. Received 2-dim tensor`, `must have dimension of 3, got 4`."""


@dataclass(slots=True)
class Words:
    """Reads messages for one search, whose state it shares."""

    model: nn.Module
    layout: Layout
    seen: set[tuple[Any, ...]]
    """Inputs that were tried, each as `told_apart`."""
    fixed: dict[int, set[int]]
    """Axes by slot whose length a layer has asked for."""
    chased: int = 0
    """How often numbers in a message were tried for lengths since the last start."""

    def read(self, slots: list[Slot], error: str) -> list[Slot] | None:
        """The inputs to try next: with a missing argument, another rank, another length; None where it tells none."""
        missing = _SPECIFY.search(error)
        if missing:
            known = {entry.name for entry in self.layout.parameters}
            have = {slot.name for slot in slots}
            for name in re.findall(r"\w+", missing[1]):
                if name in known and name not in have and not name.endswith(("embeds", "labels")):
                    return [*slots, self.named(name, slots)]
        outside = _OUTSIDE.search(error)
        if outside and (changed := self.reranked(slots, _axes(int(outside[2])), int(outside[1]))) is not None:
            return changed
        unpack = _UNPACK.search(error)
        if unpack and (changed := self.unpacked(slots, int(unpack[1]), int(unpack[2] or 0))) is not None:
            return changed
        axes = _PERMUTED.search(error) or ("dim" in error and _RANKED.search(error))
        if axes and (changed := self.reaxed(slots, int(axes["want"]), int(axes["got"]))) is not None:
            return changed
        joined = _JOINED.search(error)
        if joined and (changed := self.lowered(slots, abs(int(joined[1]) - int(joined[2])))) is not None:
            return changed
        self.chased += 1
        if self.chased > _MOST_CHASED:
            return None
        unlike = _UNLIKE.search(error)
        if unlike and (changed := self.replaced(slots, [int(unlike[2])], [int(unlike[1])])) is not None:
            return changed
        numbers = [int(number) for number in re.findall(r"\d+", error)[:12]]
        return self.replaced(slots, numbers, numbers)

    def reranked(self, slots: list[Slot], rank: int, given: int | None = None) -> list[Slot] | None:
        """One of the inputs, of `given` axes where that is known, with as many as the model unpacks or asks for."""
        for place, slot in enumerate(slots):
            if slot.stated or len(slot.shape) == rank or not 0 < rank <= 5:
                continue
            if given is not None and len(slot.shape) != given:
                continue
            changed = [*slots[:place], replace(slot, shape=ranked(slot.shape, rank)), *slots[place + 1 :]]
            if told_apart(changed) not in self.seen:
                self.fixed.pop(place, None)
                return changed
        return None

    def reaxed(self, slots: list[Slot], want: int, got: int) -> list[Slot] | None:
        """An input with as many axes as are asked for; if a table made features of it, with fewer of its own."""
        return self.reranked(slots, want, got) or (self.lowered(slots, got - want) if got > want else None)

    def unpacked(self, slots: list[Slot], wanted: int, got: int) -> list[Slot] | None:
        """So many values were unpacked: the lengths of an input, or these with others as in `*x.shape, self.width`."""
        if not got or any(len(slot.shape) == got for slot in slots):
            return self.reranked(slots, wanted)
        for place, slot in enumerate(slots):
            rank = len(slot.shape) + wanted - got
            if not slot.stated and 0 < rank <= 5 and self.reranked([slot], rank) is not None:
                return [*slots[:place], replace(slot, shape=ranked(slot.shape, rank)), *slots[place + 1 :]]
        return None

    def lowered(self, slots: list[Slot], axes: int) -> list[Slot] | None:
        """Integers with so many axes fewer: one category for each sample, where a table makes features of it."""
        for place, slot in enumerate(slots):
            if slot.kind == "int" and not slot.stated and len(slot.shape) > axes:
                changed = [*slots[:place], replace(slot, shape=slot.shape[:-axes]), *slots[place + 1 :]]
                if axes and told_apart(changed) not in self.seen:
                    return changed
        return None

    def named(self, name: str, slots: Sequence[Slot]) -> Slot:
        if families.config_of(self.model) is not None:
            return families.slot(self.model, name)
        return replace(slots[0], name=name) if slots else Slot(name, "float", (2, 16))

    def replaced(self, slots: list[Slot], got: Sequence[int], want: Sequence[int]) -> list[Slot] | None:
        """`Input height (224) doesn't match model (256)`: a length that the message names gives way to another."""
        for asked in (False, True):  # what a layer has asked for gives way last
            for place, slot in enumerate(slots):
                fixed = () if asked else self.fixed.get(place, ())
                shapes = () if slot.stated else other_lengths(slot.shape, got, want, fixed)
                for shape in shapes:
                    changed = [replace(slot, shape=shape) if index == place else s for index, s in enumerate(slots)]
                    if told_apart(changed) not in self.seen:
                        return changed
        return None


def told_apart(slots: Sequence[Slot]) -> tuple[Any, ...]:
    """Equal for inputs that are the same."""
    return tuple((str(slot), slot.high) for slot in slots)


def _axes(place: int) -> int:
    """How many axes a tensor has at least that has one at this place, counted from either end."""
    return place + 1 if place >= 0 else -place
