"""Finds inputs that a model runs on, where nobody states them: a first guess, then what each failing run asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from torch import nn

from . import families
from .batches import Parts
from .climb import Climb, Found, reason
from .faults import STATE, Failed, NoInputs, repeated
from .guess import TARGETS, first_guess, guess_by_name
from .held import look
from .inputs import BATCH, Example, Slot, attribute
from .layout import Layout
from .recipe import Step

T = TypeVar("T")

IMAGE_SIZES = (224, 32, 64, 28, 96, 128, 256, 299, 512)
LENGTHS = (16, 128, 64, 32, 8, 256, 512, 1024, 4096, 16_000)


def search(
    model: nn.Module, attempt: Callable[[Example], T], step: Step | None = None, stated: Sequence[Slot] = ()
) -> Found[T]:
    """Runs `attempt` until it succeeds; `stated` are some of the inputs, by their names.

    Raises `NoInputs`, with what was tried.
    """
    dtype = _dtype(model)
    but = ", but for those that are stated" if stated else ""
    errors: list[str] = []
    failed: list[Failed] = []
    carried = None if step or stated else attribute(model)
    if carried is not None:
        try:
            return Found(attempt(carried), carried)
        except Exception as error:
            errors.append(f"{carried} ({carried.origin}): {reason(error)[:200]}")
    for origin, layout, starts in _starts(model, step):
        finder = Climb(model, layout, attempt, f"{origin}{but}")
        for guess in starts:
            start = [replace(slot, dtype=dtype) if slot.kind == "float" else slot for slot in guess]
            start = _with(stated, start)
            found = finder.climb(start)
            if found is None and origin == LAYERS:
                found = _ladder(finder, start)
            if found is not None:
                return found
        errors += list(dict.fromkeys([*finder.errors[:2], *finder.errors[-1:]]))
        failed += finder.failed
    _blame(failed)
    raise NoInputs(
        "\n".join(["runs on none of the inputs that were tried", *dict.fromkeys(errors[:5])]),
        STATE if step is None else f"{STATE}, or name a step that takes tensors: def step(model, x, y): …",
    )


def _with(stated: Sequence[Slot], guess: Sequence[Slot]) -> list[Slot]:
    """A guess that has the stated inputs in their places, or as further ones, and as many samples as these."""
    own = {slot.name: slot for slot in stated}
    samples = next((slot.shape[0] for slot in stated if slot.shape), BATCH)
    kept = [own.pop(slot.name, _batched(slot, samples)) for slot in guess]
    return [*kept, *own.values()]


def _batched(slot: Slot, samples: int) -> Slot:
    return replace(slot, shape=(samples, *slot.shape[1:])) if slot.shape[:1] == (BATCH,) else slot


def _blame(failed: Sequence[Failed]) -> None:
    """Raises what is wrong with the model itself, if that is why no input was found."""
    sure = [run for run in failed if run.fault is not None]
    if sure:
        furthest = max(sure, key=lambda run: run.calls)
        assert furthest.fault is not None
        raise furthest.fault from furthest.error
    if failed and (fault := repeated(failed)) is not None:
        raise fault


def _dtype(model: nn.Module) -> str:
    """Of a model in half or double precision; empty: the usual one."""
    kinds = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    return str(kinds.pop()).removeprefix("torch.") if len(kinds) == 1 else ""


LAYERS = "the signature and the first layers"


def _starts(model: nn.Module, step: Step | None) -> Iterator[tuple[str, Layout, Iterator[list[Slot]]]]:
    """First guesses, by where they come from."""
    layout = Layout.of(model, step)
    configured = f"the configuration of {type(model).__name__}"
    if step is not None and step.run is model:
        yield configured, layout, with_labels(model, families.declared(model))
        return
    if step is None:
        yield configured, layout, families.declared(model)
        if layout.parts:
            yield LAYERS, layout, iter([guess_by_name(layout.names(), model)])
        yield LAYERS, replace(layout, parts={}), first_guess(model)
        several = Layout.of(model, step, sequences=True)
        if several.parts != layout.parts:
            yield LAYERS, several, iter([guess_by_name(several.names(), model)])
        return
    for origin, guesses in ((configured, families.declared), (LAYERS, first_guess)):
        if step.batched and not layout.parts:  # nothing tells what the batch holds: inputs and targets, or inputs alone
            pair = replace(layout, parts={step.names[0]: Parts((), False)})
            yield origin, pair, (_numbered([*slots, Slot("", "int", (BATCH,))], step) for slots in guesses(model))
        yield origin, layout, (named_as(slots, layout.names()) for slots in guesses(model))


def _numbered(slots: Sequence[Slot], step: Step) -> list[Slot]:
    return [replace(slot, name=f"{step.names[0]}.{place}") for place, slot in enumerate(slots)]


def with_labels(model: nn.Module, declared: Iterator[list[Slot]]) -> Iterator[list[Slot]]:
    """Labels for the inputs of a Hugging Face model: a class for each sample or for each token, or values."""
    classes = look(look(model, "config"), "num_labels", 2)
    for slots in declared:
        first = slots[0]
        if first.kind == "int":
            yield [*slots, Slot("labels", "int", first.shape, high=min(classes, first.high))]
        yield [*slots, Slot("labels", "int", (BATCH,), high=classes)]
        if len(first.shape) == 4:
            yield [*slots, Slot("labels", "int", (BATCH, *first.shape[2:]), high=classes)]
        yield [*slots, Slot("labels", "float", first.shape)]


def named_as(slots: Sequence[Slot], names: Sequence[str]) -> list[Slot]:
    """The slots of a forward pass under the names of a step's arguments; further ones are targets."""
    free = list(slots)
    found: list[Slot] = []
    for path in names:
        name = path.rpartition(".")[2]
        own = next((slot for slot in free if slot.name == name), None)
        if own is None and free and (name.lower() not in TARGETS or len(names) == 1):
            own = free[0]
        if own is not None:
            free.remove(own)
        found.append(replace(own, name=path) if own is not None else Slot(path, "int", (BATCH,)))
    return found


def _ladder(finder: Climb[T], start: list[Slot]) -> Found[T] | None:
    """Other sizes, the usual ones first."""
    if not start:
        return None
    rank = len(next((slot for slot in start if not slot.stated), start[0]).shape)
    for size in IMAGE_SIZES if rank >= 4 else LENGTHS:
        finder.points.clear()
        finder.fixed.clear()
        slots = [_sized(slot, size) for slot in start]
        found = finder.climb(slots)
        if found is not None:
            return found
    return None


def _sized(slot: Slot, size: int) -> Slot:
    if slot.stated:
        return slot
    rank = len(slot.shape)
    if rank >= 4:
        return replace(slot, shape=(*slot.shape[:-2], size, size))
    if rank == 3:
        samples, middle, last = slot.shape
        return replace(slot, shape=(samples, middle, size) if last > middle else (samples, size, last))
    return replace(slot, shape=(slot.shape[0], size)) if rank == 2 else slot
