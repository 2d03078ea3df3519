"""Failing runs that no other input mends: faults of the forward pass itself."""

from __future__ import annotations

import dis
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from traceback import walk_tb
from types import FrameType
from typing import Any

import torch
from torch import nn

from netlint.errors import said
from netlint.frontends import TargetError

from . import frames
from .inputs import Slot
from .watch import Watch

_CALLED_WRONGLY = re.compile(
    r"unexpected keyword argument|positional arguments? but \d+ (?:was|were) given|got multiple values for"
    r"|missing \d+ required (?:positional|keyword-only)|object is not callable"
)
_NO_FORWARD = 'is missing the required "forward" function'
_LOOSE = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


_MEND = "correct that line if it should take them"
STATE = "state them: --input 1,3,224,224 or --input ids:int64:1,128, and what is no tensor as --input steps=3"


class NoInputs(TargetError):
    """No example input was found."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A run that did not go through."""

    slots: tuple[Slot, ...]
    calls: int
    """How far it came."""
    error: BaseException
    fault: TargetError | None
    """What is wrong whatever the inputs are."""
    again: Callable[[Sequence[Slot]], Failed | None]
    """One more run on inputs of the same layout, as far as it fails."""

    @property
    def spot(self) -> tuple[Any, ...]:
        """The kind, the line and the text of the error: the same fault where they are the same."""
        error = cause(self.error)
        return type(error), frames.line_of(error.__traceback__), said(error)


def fault(error: BaseException, watch: Watch) -> TargetError | None:
    """What is wrong with a model that raised this, if it is wrong whatever the inputs are."""
    error = cause(error)
    if clash := watch.clash(error):
        return TargetError(
            f"cannot run on any input{_at(error)}: {clash}", "make the two agree; no other input mends it"
        )
    if not _certain(error, watch):
        return None
    return TargetError(f"fails whatever its input is{_at(error)}: {_told(error)}", _mended(error))


def cause(error: BaseException) -> BaseException:
    """What the model raised, where an error of ours wraps it."""
    return error.__cause__ if isinstance(error, TargetError) and error.__cause__ is not None else error


def _certain(error: BaseException, watch: Watch) -> bool:
    if isinstance(error, AttributeError):
        owner = error.obj
        made = isinstance(owner, torch.Tensor) and watch.widths.from_layer(owner)
        return isinstance(owner, nn.Module) or made
    if isinstance(error, TypeError):
        users = list(_users(error))
        strict = not any(frame.f_code.co_flags & _LOOSE for frame in users)  # arguments that are handed on
        return bool(users) and strict and _CALLED_WRONGLY.search(said(error)) is not None
    if isinstance(error, NotImplementedError):
        return _NO_FORWARD in said(error) or _unwritten(error)
    return False


def _unwritten(error: BaseException) -> bool:
    """Whether what raised this never returns: it is left to a subclass, or other methods do the work."""
    code = [frame.f_code for frame, _ in walk_tb(error.__traceback__)][-1]
    returns = any(instruction.opname.startswith("RETURN") for instruction in dis.get_instructions(code))
    return frames.is_users(code.co_filename) and not returns


def _users(error: BaseException) -> Iterator[FrameType]:
    for frame, _ in walk_tb(error.__traceback__):
        if frames.is_users(frame.f_code.co_filename):
            yield frame


ENOUGH = 3
"""Different inputs that meet the same error at the same line."""


def repeated(failed: Sequence[Failed]) -> TargetError | None:
    """The fault of a model that fails in the same way with all inputs that come as far, variants of them included."""
    furthest = max(failed, key=lambda each: each.calls)
    runs = [*failed, *(run for slots in _variants(furthest.slots) if (run := furthest.again(slots)) is not None)]
    same = {run.slots for run in runs if run.spot == furthest.spot}
    further = [run for run in runs if run.calls > furthest.calls and run.spot != furthest.spot]
    if len(same) < ENOUGH or further:
        return None
    error = cause(furthest.error)
    met = f"each of the {len(same)} inputs that get there{_at(error)}: {_told(error)}"
    if isinstance(error, (NotImplementedError, NameError)):
        return TargetError(f"fails with {met}", _MEND)
    return NoInputs(f"{'refuses' if _refuses(error) else 'fails with'} {met}", f"{STATE}; or {_MEND}")


def _refuses(error: BaseException) -> bool:
    """Whether it is the model's own check of its inputs that raised."""
    raising = [frame for frame, _ in walk_tb(error.__traceback__)][-1]
    checks = (
        isinstance(error, (ValueError, RuntimeError))
        and not isinstance(error, RecursionError)
        and frames.is_users(raising.f_code.co_filename)
    )
    return isinstance(error, AssertionError) or checks


def _variants(slots: Sequence[Slot]) -> Iterator[tuple[Slot, ...]]:
    """More samples, one axis more, and other lengths of each axis, of all inputs at once."""
    yield tuple(replace(slot, shape=(3, *slot.shape[1:])) for slot in slots if slot.shape)
    yield tuple(replace(slot, shape=(*slot.shape[:1], 7, *slot.shape[1:])) for slot in slots)
    longest = max((len(slot.shape) for slot in slots), default=0)
    for axis in range(1, longest):
        yield tuple(_longer(slot, axis, 1, 1) for slot in slots)
        yield tuple(_longer(slot, axis, 2, 0) for slot in slots)


def _longer(slot: Slot, axis: int, times: int, more: int) -> Slot:
    shape = [times * length + more if place == axis else length for place, length in enumerate(slot.shape)]
    return replace(slot, shape=tuple(shape))


def _at(error: BaseException) -> str:
    place = frames.line_of(error.__traceback__)
    return f" at {place[0].replace(chr(92), '/').rpartition('/')[2]}:{place[1]}" if place else ""


def _told(error: BaseException) -> str:
    text = " ".join(said(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _mended(error: BaseException) -> str:
    """The way out: for a misspelt name the one that was meant."""
    if isinstance(error, NotImplementedError) and _unwritten(error):
        return "write that method, or name a step that does without it: --step net.py:step"
    if isinstance(error, AttributeError) and isinstance(error.name, str):
        near = get_close_matches(error.name, dir(error.obj), n=2, cutoff=0.6)
        if near:
            return f"did you mean {' or '.join(near)}? no other input mends it"
    return "correct that line; no other input mends it"
