"""Two runs at two batch sizes tell which lengths follow the batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from netlint.frontends import TargetError
from netlint.frontends.torch.mode import Recorder
from netlint.frontends.torch.recording import SymbolicInt
from netlint.frontends.torch.run import Run
from netlint.frontends.torch.trace import Slot, Trace, slots_in
from netlint.graph import Dim, Shape

BATCH = "batch"


def both(run: Run, sizes: tuple[int, int]) -> tuple[Recorder, bool]:
    """The run at the first size, with symbols in its shapes if the two agree. Raises `TargetError`."""
    given = next((tensor.shape[0] for tensor in run.arguments.tensors() if tensor.dim()), None)
    if given is None:
        return run.best(), False
    first, note = _at(run, given, sizes[0])
    if note:
        recorder = run.best()
        recorder.trace.notes.append(note)
        return recorder, False
    assert first is not None
    second, note = _at(run, given, sizes[1], like=first)
    if second is None:
        note = note or "the number of samples changes what is computed"
    elif not (note := _mark(first.trace, second.trace, sizes)):
        return first, True
    first.trace.notes.append(note)
    return first, False


def _at(run: Run, given: int, size: int, like: Recorder | None = None) -> tuple[Recorder | None, str]:
    """The run at another batch size, or why there is none; the second run as the first was made, and no further."""
    arguments = run.arguments.changed(lambda tensor: resized(tensor, given, size))
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
        return None, f"with {_samples(size)} it raises {type(error).__name__}"


def _samples(count: int) -> str:
    return f"{count} sample{'s' if count != 1 else ''}"


def resized(tensor: torch.Tensor, given: int, size: int) -> torch.Tensor:
    """The tensor with `size` samples if it has `given`: its own, over again."""
    if not tensor.dim() or tensor.shape[0] != given or given == size:
        return tensor
    if tensor.is_meta or not given:
        return torch.empty((size, *tensor.shape[1:]), dtype=tensor.dtype, device=tensor.device)
    return tensor.detach()[torch.arange(size) % given]


def _mark(first: Trace, second: Trace, sizes: tuple[int, int]) -> str:
    """Put symbols for the lengths that follow the batch; returns what speaks against it."""
    if len(first.steps) != len(second.steps):
        return "the number of samples changes which operators run; the lengths of one run are shown"
    pairs = list(zip(first.steps, second.steps, strict=True))
    if any(one.target is not other.target for one, other in pairs):
        return "the number of samples changes which operators run; the lengths of one run are shown"
    values = [(slot, other) for one, two in pairs for slot, other in _slot_pairs(one.result, two.result)]
    values += list(zip(first.inputs, second.inputs, strict=False))
    for slot, other in values:
        if len(slot.shape) == len(other.shape):
            slot.lengths = _shape(slot.shape, other.shape, sizes)
    for one, two in pairs:
        one.args = _literals(one.args, two.args, sizes)
        one.kwargs = {name: _literals(value, two.kwargs.get(name), sizes) for name, value in one.kwargs.items()}
    return ""


def _slot_pairs(one: Any, two: Any) -> Iterator[tuple[Slot, Slot]]:
    yield from zip(slots_in(one), slots_in(two), strict=False)


def _shape(one: Shape, two: Shape, sizes: tuple[int, int]) -> Shape:
    if one == two:
        return one
    return tuple(a if a == b else _symbol(a, b, sizes) for a, b in zip(one, two, strict=True))


def _symbol(one: Any, two: Any, sizes: tuple[int, int]) -> Dim:
    """`batch`, `4*batch`, or None for a length that follows the batch in another way."""
    factor, rest = divmod(one, sizes[0])
    if rest or factor * sizes[1] != two:
        return None
    return BATCH if factor == 1 else f"{factor}*{BATCH}"


def _literals(one: Any, two: Any, sizes: tuple[int, int]) -> Any:
    """Arguments in which numbers that follow the batch are marked."""
    if type(one) is int and type(two) is int and one != two:
        symbol = _symbol(one, two, sizes)
        return SymbolicInt(one, symbol) if isinstance(symbol, str) else one
    if isinstance(one, (tuple, list)) and isinstance(two, (tuple, list)) and len(one) == len(two):
        return type(one)([_literals(a, b, sizes) for a, b in zip(one, two, strict=True)])
    if isinstance(one, slice) and isinstance(two, slice):
        return slice(*(_literals(getattr(one, n), getattr(two, n), sizes) for n in ("start", "stop", "step")))
    return one
