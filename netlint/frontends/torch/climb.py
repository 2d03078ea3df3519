"""Runs a model on inputs, and on what failing runs ask for instead, until it goes through."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from traceback import clear_frames
from typing import Any, Generic, TypeVar

from torch import nn

from netlint.errors import said
from netlint.frontends import TargetError

from . import families
from .channels import channelled
from .demand import Demand, Misfit
from .errors import Refused
from .faults import Failed, cause, fault
from .guess import TARGETS
from .inputs import Example, Slot
from .layout import Layout
from .resolve import where
from .sizing import next_size, other_lengths, ranked, split
from .telling import watched
from .watch import Watch

T = TypeVar("T")

MAX_RUNS = 60
MAX_SECONDS = 30.0
MOST_CHASED = 8
MAX_ELEMENTS = 1 << 26
"""Of all inputs of a run, which hold real numbers: a quarter of a gigabyte."""
_NO_FAULT_OF_THE_INPUTS = (NameError, ImportError, ModuleNotFoundError)

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


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a run gave, and on which inputs."""

    result: T
    example: Example


@dataclass(slots=True)
class Climb(Generic[T]):
    model: nn.Module
    layout: Layout
    attempt: Callable[[Example], T]
    origin: str
    runs: int = 0
    until: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)
    seen: set[tuple[Any, ...]] = field(default_factory=set)
    fixed: dict[int, set[int]] = field(default_factory=dict)
    """Axes by slot whose length a layer has asked for."""
    points: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=dict)
    """Sizes tried and elements got, by slot and elements wanted."""
    last: tuple[int, Misfit] | None = None
    """The slot that was made shorter or longer for this run, and why."""
    chased: int = 0
    """How often numbers in a message were tried for lengths since the last start."""
    reached: int = 0
    """How many calls the run before made."""
    errors: list[str] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)

    def climb(self, slots: list[Slot], settled: bool = False) -> Found[T] | None:
        """Runs with these slots and with what failing runs make of them; None if that leads nowhere."""
        self.chased = 0
        while self.runs < MAX_RUNS and time.monotonic() < self.until:
            slots = sorted(slots, key=lambda slot: slot.kind == "plain")  # a watch counts the tensors alone
            key = _key(slots)
            if key in self.seen or _large(slots):
                return None
            self.seen.add(key)
            outcome, watch, error = self.run(slots)
            better = self.refined(slots, watch, error)
            if outcome is not None and (better is None or _key(better) in self.seen):
                return Found(outcome[0], outcome[1])
            if outcome is not None and settled:
                return Found(outcome[0], outcome[1])
            if better is None:
                return None
            slots = better
        return None

    def run(self, slots: Sequence[Slot]) -> tuple[tuple[T, Example] | None, Watch, str]:
        example = self.layout.example(slots, self.origin)
        self.runs += 1
        try:
            with watched(self.model) as watch:
                result = self.attempt(example)
        except Refused:
            raise
        except Exception as error:
            text = reason(error)
            self.errors.append(f"{example}: {text.splitlines()[0][:200]}{where(cause(error))}")
            self.failed.append(Failed(tuple(slots), watch.calls, error, fault(error, watch), self.again))
            _forget_tensors(error)
            watch.forget()
            del example
            if type(cause(error)) in _NO_FAULT_OF_THE_INPUTS:
                raise TargetError(
                    f"cannot be run: {text.splitlines()[0]}{where(cause(error))}", "correct it"
                ) from error
            return None, watch, text
        return (result, example), watch, ""

    def again(self, slots: Sequence[Slot]) -> Failed | None:
        """One more run, as far as it fails."""
        before = len(self.failed)
        if time.monotonic() < self.until and not _large(slots):
            self.run(slots)
        return self.failed[-1] if len(self.failed) > before else None

    def refined(self, slots: list[Slot], watch: Watch, error: str) -> list[Slot] | None:
        """What the run asked for; None if nothing can be read off it."""
        last, self.last = self.last, None
        further, self.reached = watch.calls > self.reached, watch.calls
        asked = self.demanded(slots, watch.demands)
        if asked != slots:
            return asked
        if watch.mixed is not None and (resized := self.resized(slots, watch.mixed)) is not None:
            return resized
        if not error:
            return None
        if watch.misfit is not None and (resized := self.resized(slots, watch.misfit)) is not None:
            return resized
        if last is not None and watch.misfit is None and not further:
            # So short that an earlier layer failed: as if nothing came through.
            slot, misfit = last
            return self.resized(slots, replace(misfit, slots=frozenset({slot}), got=0))
        return self.told(slots, error)

    def demanded(self, slots: list[Slot], demands: Sequence[Demand]) -> list[Slot]:
        found = list(slots)
        settled: set[tuple[int, str]] = set()
        for demand in _smallest_tables(demands):
            if demand.slot >= len(found) or found[demand.slot].stated:
                continue
            if demand.target and found[demand.slot].name.rpartition(".")[2].lower() not in TARGETS:
                continue
            place = demand.slot
            for what in ("kind", "rank", "sizes", "high", "like"):
                if getattr(demand, what) and (place, what) not in settled:
                    settled.add((place, what))
                    found[place] = self.meet(found[place], demand, what)
        return found

    def meet(self, slot: Slot, demand: Demand, what: str) -> Slot:
        if what == "kind" and demand.kind is not None and slot.kind != demand.kind:
            return replace(slot, kind=demand.kind, dtype="", fill=None)
        if what == "high" and demand.high is not None:
            return replace(slot, high=demand.high)
        if what == "like" and demand.like is not None:
            own = zip(demand.like, (*slot.shape, *demand.like), strict=False)
            return replace(slot, shape=tuple(length or kept for length, kept in own))
        if what == "rank" and demand.rank is not None and len(slot.shape) != demand.rank and demand.rank > 0:
            self.fixed.pop(demand.slot, None)
            return replace(slot, shape=ranked(slot.shape, demand.rank))
        if what == "sizes":
            shape = list(slot.shape)
            for axis, size in demand.sizes.items():
                if axis < len(shape) and axis > 0:
                    shape[axis] = size
                    self.fixed.setdefault(demand.slot, set()).add(axis)
            return replace(slot, shape=tuple(shape))
        return slot

    def resized(self, slots: list[Slot], misfit: Misfit) -> list[Slot] | None:
        """The free axes of the inputs behind a misfit, made longer or shorter until the elements fit."""
        if misfit.channels:
            return channelled(slots, misfit)
        if (shared := self.shared(slots, misfit)) is not None:
            return shared
        for place in sorted(misfit.slots):
            if place >= len(slots) or slots[place].stated:
                continue
            if len(misfit.slots) > 1 and self.fitted(place, misfit.want):
                continue
            shape = slots[place].shape
            free = [axis for axis in range(1, len(shape)) if axis not in self.fixed.get(place, ())]
            if len(shape) > 3 and 1 in free and misfit.got == shape[1]:  # nothing but the channels is left by a pooling
                wider = replace(slots[place], shape=(shape[0], misfit.want, *shape[2:]))
                return [*slots[:place], wider, *slots[place + 1 :]]
            if len(shape) > 3:  # neither the channels nor the frames of a clip
                free = [axis for axis in free if axis >= len(shape) - 2] or free
            if not free:
                continue
            points = self.points.setdefault((place, misfit.want), [])
            points.append((shape[free[0]], misfit.got))
            size = next_size(points, misfit.want, len(free))
            if size is not None:
                self.last = (place, misfit)
                longer = tuple(size if axis in free else length for axis, length in enumerate(shape))
                return [replace(slot, shape=longer) if index == place else slot for index, slot in enumerate(slots)]
        return None

    def shared(self, slots: list[Slot], misfit: Misfit) -> list[Slot] | None:
        """Two inputs that are joined before a layer share its width as the model's own numbers suggest, else alike."""
        pair = [place for place in sorted(misfit.slots) if place < len(slots) and len(slots[place].shape) == 2]
        widths = [slots[place].shape[1] for place in pair]
        if len(pair) != 2 or sum(widths) != misfit.got or any(slots[place].stated for place in pair):
            return None
        if any(1 in self.fixed.get(place, ()) for place in pair) or misfit.want < 2:
            return None
        found = list(slots)
        for place, width in zip(pair, split(misfit.want, self.model), strict=True):
            found[place] = replace(slots[place], shape=(slots[place].shape[0], width))
            self.fixed.setdefault(place, set()).add(1)
        return found

    def fitted(self, place: int, want: int) -> bool:
        """Whether an input alone has met another misfit before: it is right, one that joins it later is not."""
        return any(slot == place and other != want for slot, other in self.points)

    def told(self, slots: list[Slot], error: str) -> list[Slot] | None:
        """What the message itself says: a missing argument, a rank, a size."""
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
        if self.chased > MOST_CHASED:
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
            if _key(changed) not in self.seen:
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
                if axes and _key(changed) not in self.seen:
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
                    if _key(changed) not in self.seen:
                        return changed
        return None


def _forget_tensors(error: BaseException) -> None:
    """An error is kept, and with the frames that it came through all tensors of its run: without them."""
    for each in (error, cause(error)):
        clear_frames(each.__traceback__)


def _key(slots: Sequence[Slot]) -> tuple[Any, ...]:
    """What tells inputs apart."""
    return tuple((str(slot), slot.high) for slot in slots)


def _smallest_tables(demands: Sequence[Demand]) -> list[Demand]:
    """Where parts of an input are looked up in several tables, each of its numbers must lie in all of them."""
    tables = [demand for demand in demands if demand.high]
    return sorted(tables, key=lambda demand: demand.high or 0) + [demand for demand in demands if not demand.high]


def _large(slots: Sequence[Slot]) -> bool:
    return sum(math.prod(slot.shape) for slot in slots) > MAX_ELEMENTS


def reason(error: BaseException) -> str:
    """What an error says, and what it was caused by where it wraps another."""
    why = cause(error)
    return f"{type(why).__name__}: {said(why)}".strip()


def _axes(place: int) -> int:
    """How many axes a tensor has at least that has one at this place, counted from either end."""
    return place + 1 if place >= 0 else -place
