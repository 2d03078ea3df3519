"""Runs a model on inputs, and on what failing runs ask for instead, until it goes through."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from traceback import clear_frames
from typing import Any, Generic, TypeVar

from torch import nn

from netlint.errors import said
from netlint.frontends import TargetError

from .channels import channelled
from .demand import Demand, Misfit
from .errors import Refused
from .faults import Failed, cause, fault
from .guess import TARGETS
from .inputs import Example, Slot
from .layout import Layout
from .resolve import where
from .sizing import next_size, ranked, split
from .telling import watched
from .watch import Watch
from .words import Words, told_apart

T = TypeVar("T")

MAX_RUNS = 60
MAX_SECONDS = 30.0
MAX_ELEMENTS = 1 << 24
"""Of all inputs of a run, which hold real numbers: 64 MiB of them in float32."""
_NO_FAULT_OF_THE_INPUTS = (NameError, ImportError, ModuleNotFoundError)


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
    reached: int = 0
    """How many calls the run before made."""
    errors: list[str] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    words: Words = field(init=False)

    def __post_init__(self) -> None:
        self.words = Words(self.model, self.layout, self.seen, self.fixed)

    def climb(self, slots: list[Slot], settled: bool = False) -> Found[T] | None:
        """Runs with these slots and with what failing runs make of them; None if that leads nowhere."""
        self.words.chased = 0
        while self.runs < MAX_RUNS and time.monotonic() < self.until:
            slots = sorted(slots, key=lambda slot: slot.kind == "plain")  # a watch counts the tensors alone
            key = told_apart(slots)
            if key in self.seen or _large(slots):
                return None
            self.seen.add(key)
            outcome, watch, error = self.run(slots)
            better = self.refined(slots, watch, error)
            if outcome is not None and (better is None or told_apart(better) in self.seen):
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
        return self.words.read(slots, error)

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


def _forget_tensors(error: BaseException) -> None:
    """An error is kept, and with the frames that it came through all tensors of its run: without them."""
    for each in (error, cause(error)):
        clear_frames(each.__traceback__)


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
