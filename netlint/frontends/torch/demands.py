"""What needs the elements of tensors: values that Python asks for, and sizes that depend on elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from netlint.frontends.torch import checks, frames, functions
from netlint.frontends.torch.errors import Demanded
from netlint.frontends.torch.functions import Info
from netlint.frontends.torch.trace import Slot, origin_of, replay, slots_in, swap

if TYPE_CHECKING:
    from netlint.frontends.torch.mode import Recorder

_DEPENDS = (("input", "the data"), ("chance", "chance"), ("parameter", "the weights"))


def _value(recorder: Recorder, slot: Slot) -> torch.Tensor | None:
    """The elements of a slot that depends on constants alone, or on chance as well."""
    steps, starts = origin_of(recorder.trace, slot)
    if starts - {"constant", "buffer", "chance"}:
        return None
    with torch._C.DisableTorchFunction():
        return replay(steps, slot)


def of_value(recorder: Recorder, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Python asks for elements."""
    run_args, refs = recorder.taken(args)
    run_kwargs, named = recorder.taken_named(kwargs)
    slots = [*slots_in(refs), *slots_in(named)]
    if recorder.real:
        if func is not torch.Tensor.__bool__ or checks.outcome(frames.caller()) is None:
            _decide(recorder, slots, "the branch")
        return func(*run_args, **run_kwargs)
    if func is torch.Tensor.__bool__ and (needed := checks.outcome(frames.caller())) is not None:
        return needed
    known = {id(slot): _value(recorder, slot) for slot in slots}
    if any(value is None for value in known.values()):
        return _invented(recorder, func, slots)
    _decide(recorder, slots, "the branch")
    return func(*swap(refs, lambda slot: known[id(slot)]), **swap(named, lambda slot: known[id(slot)]))


def _invented(recorder: Recorder, func: Any, slots: Sequence[Slot]) -> Any:
    """An answer without elements: NaN for a float, False for a condition, in a run that is to go on regardless."""
    answer = _ANSWERS.get(func)
    floating = all(slot.dtype.is_floating_point for slot in slots)
    if not recorder.inventing or answer is None or (isinstance(answer, float) and not floating):
        raise Demanded
    recorder.inventing -= 1
    _decide(recorder, slots, "the branch")
    return answer


_ANSWERS: dict[Any, Any] = {torch.Tensor.item: math.nan, torch.Tensor.__float__: math.nan, torch.Tensor.__bool__: False}


def of_size(recorder: Recorder, info: Info, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """In a real run: does the size of the result depend on elements?"""
    masked = info.name in functions.MASKED and not functions.writes(info.name, kwargs) and _by_mask(args)
    if info.name in functions.DYNAMIC or masked:
        _decide(recorder, [*slots_in(list(args)), *slots_in(dict(kwargs))], "the size")


def _by_mask(args: Sequence[Any]) -> bool:
    """Whether a call that takes masks or counts has one."""
    return len(args) == 1 or any(slot.dtype is torch.bool or len(slot.shape) == 1 for slot in slots_in(list(args[1:])))


def _decide(recorder: Recorder, slots: Sequence[Slot], what: str) -> None:
    """The further way of the run hangs on these values."""
    if recorder.assumed is not None or recorder.quiet:
        return
    starts = {start for slot in slots for start in origin_of(recorder.trace, slot)[1]}
    on = [text for start, text in _DEPENDS if start in starts]
    if on:
        line = frames.here(2)
        place = f" at {line[0].replace(chr(92), '/').rpartition('/')[2]}:{line[1]}" if line else ""
        recorder.assumed = f"{what}{place} depends on {on[0]}; the path of one input was recorded"


def with_numbers(recorder: Recorder, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """The arguments with numbers in place of known tensors of one integer: sizes, places, paddings. None: no such."""
    numbers: dict[int, Any] = {}
    for slot in (*slots_in(list(args[1:])), *slots_in(dict(kwargs))):
        if slot.shape == () and not slot.dtype.is_floating_point and (value := _value(recorder, slot)) is not None:
            numbers[id(slot)] = value.item()
    if not numbers:
        return None

    def number(slot: Slot) -> Any:
        return numbers.get(id(slot), slot.tensor)

    return [swap(args[0], lambda slot: slot.tensor), *swap(list(args[1:]), number)], swap(dict(kwargs), number)


def with_values(recorder: Recorder, func: Any, info: Info, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The call on real tensors: known ones, and zeros where elements do not decide on the shape."""
    values: dict[int, Any] = {}
    for slot in (*slots_in(list(args)), *slots_in(dict(kwargs))):
        value = _value(recorder, slot)
        if value is None and (info.name in functions.DYNAMIC or not slot.dtype.is_floating_point):
            raise Demanded
        values[id(slot)] = torch.zeros(slot.shape, dtype=slot.dtype) if value is None else value
    return func(*swap(list(args), lambda slot: values[id(slot)]), **swap(dict(kwargs), lambda slot: values[id(slot)]))
