"""Finds inputs that a model runs on, where nobody states them: a first guess, then what each failing run asks for."""

from __future__ import annotations

import contextlib
import inspect
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from netlint.frontends import TargetError

from . import families
from .guess import first_guess
from .inputs import BATCH, Example, Slot, attribute, parameters_of, tensors
from .recipe import Step
from .watch import Demand, Misfit, Watch, watching

T = TypeVar("T")

MAX_RUNS = 60
MAX_SECONDS = 30.0
IMAGE_SIZES = (224, 32, 64, 28, 96, 128, 256, 299, 512)
LENGTHS = (16, 128, 64, 32, 8, 256, 512, 1024, 4096, 16_000)

_SPECIFY = re.compile(r"(?:specify|provide|pass|requires?|need|missing)\b(.*)", re.IGNORECASE | re.DOTALL)
_UNPACK = re.compile(r"(?:too many|not enough) values to unpack \(expected (\d+)")


class NoInputs(TargetError):
    """No example input was found."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a run gave, and on which inputs."""

    result: T
    example: Example


@dataclass(slots=True)
class _Search(Generic[T]):
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
    errors: list[str] = field(default_factory=list)

    def climb(self, slots: list[Slot], settled: bool = False) -> Found[T] | None:
        """Runs with these slots and with what failing runs make of them; None if that leads nowhere."""
        while self.runs < MAX_RUNS and time.monotonic() < self.until:
            key = tuple(map(str, slots))
            if key in self.seen:
                return None
            self.seen.add(key)
            outcome, watch, error = self.run(slots)
            better = self.refined(slots, watch, error)
            if outcome is not None and (better is None or tuple(map(str, better)) in self.seen):
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
            with watching() as watch:
                WATCHES.append(watch)
                try:
                    result = self.attempt(example)
                finally:
                    WATCHES.pop()
        except Exception as error:
            text = reason(error)
            self.errors.append(f"{example}: {text.splitlines()[0][:200]}")
            return None, watch, text
        return (result, example), watch, ""

    def refined(self, slots: list[Slot], watch: Watch, error: str) -> list[Slot] | None:
        """What the run asked for; None if nothing can be read off it."""
        last, self.last = self.last, None
        asked = self.demanded(slots, watch.demands)
        if asked != slots:
            return asked
        if watch.mixed is not None and (resized := self.resized(slots, watch.mixed)) is not None:
            return resized
        if not error:
            return None
        if watch.misfit is not None and (resized := self.resized(slots, watch.misfit)) is not None:
            return resized
        if (
            last is not None and watch.misfit is None
        ):  # so short that an earlier layer failed: as if nothing came through
            slot, misfit = last
            return self.resized(slots, replace(misfit, slots=frozenset({slot}), got=0))
        return self.told(slots, error)

    def demanded(self, slots: list[Slot], demands: Sequence[Demand]) -> list[Slot]:
        found = list(slots)
        settled: set[tuple[int, str]] = set()
        for demand in demands:
            if demand.slot >= len(found) or found[demand.slot].stated:
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
            return replace(slot, shape=demand.like)
        if what == "rank" and demand.rank is not None and len(slot.shape) != demand.rank and demand.rank > 0:
            self.fixed.pop(demand.slot, None)
            return replace(slot, shape=_ranked(slot.shape, demand.rank))
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
        for place in sorted(misfit.slots):
            if place >= len(slots) or slots[place].stated:
                continue
            if len(misfit.slots) > 1 and self.fitted(place, misfit.want):
                continue
            shape = slots[place].shape
            free = [axis for axis in range(1, len(shape)) if axis not in self.fixed.get(place, ())]
            if len(shape) == 5 and len(free) == 3:
                free = free[1:]
            if not free:
                continue
            points = self.points.setdefault((place, misfit.want), [])
            points.append((shape[free[0]], misfit.got))
            size = _next_size(points, misfit.want, len(free))
            if size is not None:
                self.last = (place, misfit)
                longer = tuple(size if axis in free else length for axis, length in enumerate(shape))
                return [replace(slot, shape=longer) if index == place else slot for index, slot in enumerate(slots)]
        return None

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
        unpack = _UNPACK.search(error)
        if unpack and (ranked := self.reranked(slots, int(unpack[1]))) is not None:
            return ranked
        return self.replaced(slots, [int(number) for number in re.findall(r"\d+", error)[:12]])

    def reranked(self, slots: list[Slot], rank: int) -> list[Slot] | None:
        """One of the inputs with as many axes as the model unpacks its shape into."""
        for place, slot in enumerate(slots):
            if slot.stated or len(slot.shape) == rank or not 0 < rank <= 5:
                continue
            changed = [*slots[:place], replace(slot, shape=_ranked(slot.shape, rank)), *slots[place + 1 :]]
            if tuple(map(str, changed)) not in self.seen:
                self.fixed.pop(place, None)
                return changed
        return None

    def named(self, name: str, slots: Sequence[Slot]) -> Slot:
        if families.config_of(self.model) is not None:
            return families.slot(self.model, name)
        return replace(slots[0], name=name) if slots else Slot(name, "float", (2, 16))

    def replaced(self, slots: list[Slot], numbers: Sequence[int]) -> list[Slot] | None:
        """`Input height (224) doesn't match model (256)`: a length that the message names gives way to another."""
        for place, slot in enumerate(slots):
            if slot.stated:
                continue
            for got in numbers:
                axes = [axis for axis, length in enumerate(slot.shape) if axis and length == got]
                for want in numbers:
                    if not axes or want in (got, 0) or want > 1 << 14:
                        continue
                    shape = tuple(want if axis in axes else length for axis, length in enumerate(slot.shape))
                    changed = [replace(slot, shape=shape) if index == place else s for index, s in enumerate(slots)]
                    if tuple(map(str, changed)) not in self.seen:
                        return changed
        return None


WATCHES: list[Watch] = []
"""The watch on the run in progress; whoever calls the model tells it the inputs."""


def reason(error: BaseException) -> str:
    """What an error says, and what it was caused by where it wraps another."""
    why = error.__cause__ if isinstance(error, TargetError) and error.__cause__ is not None else error
    return f"{type(why).__name__}: {why}".strip()


def tell(args: Any, kwargs: Any) -> None:
    """A model is about to run with these arguments, as the recorder hands them over."""
    if WATCHES:
        WATCHES[-1].start([*_flat(args), *_flat(kwargs)])


@contextlib.contextmanager
def telling(model: nn.Module) -> Iterator[None]:
    """While a search watches, its watch is told what the model is called with."""
    if not WATCHES:
        yield
        return
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: tell(args, kwargs), with_kwargs=True, prepend=True
    )
    try:
        yield
    finally:
        hook.remove()


def _flat(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _flat(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _flat(item)


def _ranked(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """A shape of another rank for the same kind of sample."""
    samples = shape[0] if shape else 2
    usual = {1: (), 2: (16,), 3: (16, 16), 4: (3, 224, 224), 5: (3, 16, 64, 64)}
    return (samples, *usual.get(rank, (4,) * (rank - 1)))


def _next_size(points: Sequence[tuple[int, int]], want: int, axes: int) -> int | None:
    """The size to try next; None where the elements do not depend on it, or no size fits."""
    size, got = points[-1]
    if len(points) > 1 and len({number for _, number in points}) == 1:
        return None
    tried = {number for number, _ in points}
    below = max((number for number, count in points if count < want), default=0)
    above = min((number for number, count in points if count > want), default=None)
    guess = round(size * (want / got) ** (1 / axes)) if got else size * 2
    if above is not None and not below < guess < above:
        guess = (below + above) // 2
    elif above is None and guess <= below:
        guess = below + max(1, below // 2)
    even = [] if guess < 16 else [guess - guess % 4, guess - guess % 4 + 4]  # sizes that people choose
    for step in range(64):
        for candidate in (*even, guess + step, guess - step):
            inside = candidate > below and (above is None or candidate < above)
            if inside and candidate not in tried and candidate <= 1 << 14:
                return candidate
    return None


@dataclass(frozen=True, slots=True)
class Layout:
    """How slots become arguments."""

    parameters: tuple[inspect.Parameter, ...]
    batched: bool = False
    """Whether all go into one argument, as a batch of inputs and targets."""

    @classmethod
    def of(cls, model: nn.Module, step: Step | None) -> Layout:
        loosely = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        entries = tuple(entry for entry in parameters_of(model.forward).values() if entry.kind not in loosely)
        if step is None or step.run is model:
            return cls(entries)
        return cls(
            tuple(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in step.names), step.batched
        )

    def example(self, slots: Sequence[Slot], origin: str) -> Example:
        """By place as long as the slots follow the signature, then by name."""
        values = tensors(slots)
        if self.batched:
            return Example((tuple(values),), {}, origin)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        names = [entry.name for entry in self.parameters]
        for index, (slot, value) in enumerate(zip(slots, values, strict=True)):
            follows = index < len(names) and names[index] == slot.name
            positional = follows and self.parameters[index].kind is not inspect.Parameter.KEYWORD_ONLY
            if not kwargs and (positional or slot.name not in names):
                args.append(value)
            else:
                kwargs[slot.name] = value
        if "use_cache" in names:
            kwargs["use_cache"] = False
        return Example(tuple(args), kwargs, origin)


def search(model: nn.Module, attempt: Callable[[Example], T], step: Step | None = None) -> Found[T]:
    """Runs `attempt` until it succeeds. Raises `NoInputs`, with what was tried."""
    layout = Layout.of(model, step)
    errors: list[str] = []
    carried = None if step else attribute(model)
    if carried is not None:
        try:
            return Found(attempt(carried), carried)
        except Exception as error:
            errors.append(f"{carried} ({carried.origin}): {reason(error)[:200]}")
    for origin, starts in _starts(model, step):
        finder = _Search(model, layout, attempt, origin)
        for start in starts:
            found = finder.climb(start)
            if found is None and origin == LAYERS:
                found = _ladder(finder, start)
            if found is not None:
                return found
        errors += list(dict.fromkeys([*finder.errors[:2], *finder.errors[-1:]]))
    raise NoInputs(
        "\n".join(["runs on none of the inputs that were tried", *dict.fromkeys(errors[:5])]),
        "state them: --input 1,3,224,224 or --input ids:int64:1,128",
    )


LAYERS = "the signature and the first layers"


def _starts(model: nn.Module, step: Step | None) -> Iterator[tuple[str, Iterator[list[Slot]]]]:
    """First guesses, by where they come from."""
    declared = families.declared(model)
    guessed = first_guess(model)
    if step is None:
        yield f"the configuration of {type(model).__name__}", declared
        yield LAYERS, guessed
    elif step.run is model:
        yield f"the configuration of {type(model).__name__}", with_labels(model, declared)
    elif step.batched:
        yield LAYERS, ([*slots, Slot("target", "int", (BATCH,))] for slots in guessed)
    else:
        names = list(step.names)
        yield LAYERS, (named_as(slots, names) for slots in guessed)


def with_labels(model: nn.Module, declared: Iterator[list[Slot]]) -> Iterator[list[Slot]]:
    """Labels for the inputs of a Hugging Face model: a class for each sample or for each token, or values."""
    classes = getattr(getattr(model, "config", None), "num_labels", 2)
    for slots in declared:
        first = slots[0]
        if first.kind == "int":
            yield [*slots, Slot("labels", "int", first.shape, high=min(classes, first.high))]
        yield [*slots, Slot("labels", "int", (BATCH,), high=classes)]
        if len(first.shape) == 4:
            yield [*slots, Slot("labels", "int", (BATCH, *first.shape[2:]), high=classes)]
        yield [*slots, Slot("labels", "float", first.shape)]


def named_as(slots: list[Slot], names: Sequence[str]) -> list[Slot]:
    """The slots of a forward pass under the names of a step's arguments; further ones are targets."""
    further = [Slot(name, "int", (BATCH,)) for name in names[len(slots) :]]
    return [*(replace(slot, name=name) for slot, name in zip(slots, names, strict=False)), *further]


def _ladder(finder: _Search[T], start: list[Slot]) -> Found[T] | None:
    """Other sizes, the usual ones first."""
    if not start:
        return None
    rank = len(start[0].shape)
    for size in IMAGE_SIZES if rank >= 4 else LENGTHS:
        finder.points.clear()
        finder.fixed.clear()
        slots = [_sized(slot, size) for slot in start]
        found = finder.climb(slots)
        if found is not None:
            return found
    return None


def _sized(slot: Slot, size: int) -> Slot:
    rank = len(slot.shape)
    if rank >= 4:
        return replace(slot, shape=(*slot.shape[:-2], size, size))
    if rank == 3:
        samples, middle, last = slot.shape
        return replace(slot, shape=(samples, middle, size) if last > middle else (samples, size, last))
    return replace(slot, shape=(slot.shape[0], size)) if rank == 2 else slot
