"""Two runs at two batch sizes tell which lengths follow the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from netlint.frontends import TargetError
from netlint.frontends.torch.batch_axis import ALONE, elsewhere
from netlint.frontends.torch.errors import Demanded, Lost
from netlint.frontends.torch.mode import Recorder
from netlint.frontends.torch.recording import SymbolicInt
from netlint.frontends.torch.run import Run
from netlint.frontends.torch.trace import Slot, Trace, slots_in
from netlint.graph import Dim, Shape

BATCH = "batch"
LENGTH = "length"
"""The symbol of a first axis that may have any length and yet, as layers show, is not the batch."""


def both(run: Run, sizes: tuple[int, int]) -> tuple[Recorder, bool]:
    """The run at the first size, with symbols in its shapes if the two agree. Raises `TargetError`.

    Samples lie along the first axis of the inputs, unless layers show that they lie along the second.
    """
    if next((tensor for tensor in run.arguments.tensors() if tensor.dim()), None) is None:
        return run.best(), False
    first, second, note = _pair(run, sizes, 0)
    if second is None:
        first.trace.notes += [note] if note else []
        return first, False
    told = elsewhere(first.trace.told, second.trace.told, sizes)
    if told is not None and told[1] == 1:
        moved, other, _ = _pair(run, sizes, 1)
        if other is not None and elsewhere(moved.trace.told, other.trace.told, sizes) is None:
            first, second, told = moved, other, None
    _mark(first.trace, second.trace, sizes, BATCH if told is None else LENGTH)
    return first, True


def _pair(run: Run, sizes: tuple[int, int], axis: int) -> tuple[Recorder, Recorder | None, str]:
    """Runs with so many samples along an axis; if they do not agree, the run as given, None, and why they do not."""
    given = next((tensor.shape[axis] for tensor in run.arguments.tensors() if tensor.dim() > axis), None)
    if given is None:
        return run.best(), None, ""
    first, note = _at(run, given, sizes[0], axis)
    if first is None:
        recorder = run.best()
        alone = any(at == ALONE for _, at in recorder.trace.told[:1])
        return recorder, None, "takes one sample, without a batch axis" if alone else note
    second, note = _at(run, given, sizes[1], axis, like=first)
    if second is not None and _differ(first.trace, second.trace):
        second, note = None, "the number of samples changes which operators run; the lengths of one run are shown"
    if second is None and given != sizes[0]:
        first = run.best()
    return first, second, note


def _at(run: Run, given: int, size: int, axis: int, like: Recorder | None = None) -> tuple[Recorder | None, str]:
    """The run at another batch size, or why there is none; the second run as the first was made, and no further."""
    arguments = run.arguments.changed(lambda tensor: resized(tensor, given, size, axis))
    try:
        if like is None:
            return run.best(arguments), ""
        return run.once(arguments, real=like.real, thorough=like.thorough, locate=False), ""
    except TargetError as error:
        if given == size:
            raise
        return None, f"runs with {_samples(given)} only; with {_samples(size)} it {error}"
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        asks = isinstance(error, (Demanded, Lost))
        why = "asks for elements of tensors" if asks else f"raises {type(error).__name__}"
        return None, f"with {_samples(size)} it {why}"


def _samples(count: int) -> str:
    return f"{count} sample{'s' if count != 1 else ''}"


_SELECTED = (torch.strided, torch.sparse_coo)
"""Layouts of which torch selects samples; in others it stays at the number given."""


def resized(tensor: torch.Tensor, given: int, size: int, axis: int = 0) -> torch.Tensor:
    """The tensor with `size` samples along an axis if it has `given`: its own, over again.

    Along another axis than the first, inputs of one axis have the samples there: lengths, labels.
    """
    axis = axis if tensor.dim() > axis else 0
    if not tensor.dim() or tensor.shape[axis] != given or given == size or tensor.layout not in _SELECTED:
        return tensor
    if tensor.is_meta or not given:
        shape = (*tensor.shape[:axis], size, *tensor.shape[axis + 1 :])
        return torch.empty(shape, dtype=tensor.dtype, device=tensor.device)
    return tensor.detach().index_select(axis, torch.arange(size, device=tensor.device) % given)


def _differ(first: Trace, second: Trace) -> bool:
    """Whether other calls were made."""
    if len(first.steps) != len(second.steps):
        return True
    return any(one.target is not other.target for one, other in zip(first.steps, second.steps, strict=True))


def _mark(first: Trace, second: Trace, sizes: tuple[int, int], symbol: str) -> None:
    """Put the symbol for the lengths that follow what was changed."""
    pairs = list(zip(first.steps, second.steps, strict=True))
    values = [(slot, other) for one, two in pairs for slot, other in _slot_pairs(one.result, two.result)]
    values += list(zip(first.inputs, second.inputs, strict=False))
    lengths = Lengths(sizes, symbol)
    for slot, other in values:
        if len(slot.shape) == len(other.shape):
            slot.lengths = lengths.shape(slot.shape, other.shape)
    for one, two in pairs:
        one.args = lengths.literals(one.args, two.args)
        one.kwargs = {name: lengths.literals(value, two.kwargs.get(name)) for name, value in one.kwargs.items()}


def _slot_pairs(one: Any, two: Any) -> Iterator[tuple[Slot, Slot]]:
    yield from zip(slots_in(one), slots_in(two), strict=False)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Numbers of two runs that differ, as multiples of what was changed."""

    sizes: tuple[int, int]
    symbol: str

    def shape(self, one: Shape, two: Shape) -> Shape:
        if one == two:
            return one
        return tuple(a if a == b else self.of(a, b) for a, b in zip(one, two, strict=True))

    def of(self, one: Any, two: Any) -> Dim:
        """`batch`, `4*batch`, or None for a length that follows in another way."""
        factor, rest = divmod(one, self.sizes[0])
        if rest or factor * self.sizes[1] != two:
            return None
        return self.symbol if factor == 1 else f"{factor}*{self.symbol}"

    def literals(self, one: Any, two: Any) -> Any:
        """Arguments in which numbers that follow are marked."""
        if type(one) is int and type(two) is int and one != two:
            symbol = self.of(one, two)
            return SymbolicInt(one, symbol) if isinstance(symbol, str) else one
        if isinstance(one, (tuple, list)) and isinstance(two, (tuple, list)) and len(one) == len(two):
            return type(one)([self.literals(a, b) for a, b in zip(one, two, strict=True)])
        if isinstance(one, slice) and isinstance(two, slice):
            return slice(*(self.literals(getattr(one, n), getattr(two, n)) for n in ("start", "stop", "step")))
        return one
