"""What a run did, before it is written as a graph: steps, and the values between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from netlint.frontends.torch.batch_axis import Told
from netlint.graph import Holder, Location, Shape

Kind = Literal["input", "parameter", "buffer", "constant", "made"]
"""`made`: a parameter that the run itself makes."""


class Slot:
    """A tensor at one moment of the run; after an in-place call the tensor has a new slot."""

    __slots__ = ("dtype", "grad", "held", "key", "kind", "lengths", "name", "original", "shape", "step", "tensor")

    def __init__(self, tensor: torch.Tensor, grad: bool = False) -> None:
        self.tensor = tensor
        """What the run computes with: a meta tensor, or in a real run a real one."""
        self.shape = tuple(tensor.shape)
        self.lengths: Shape = self.shape
        """The shape with symbols, once there are any."""
        self.dtype = tensor.dtype
        self.grad = grad
        """Whether gradients would flow here."""
        self.step: Step | None = None
        """The call that made it, for what comes from outside None."""
        self.key: tuple[Any, ...] = ()
        """Where in the call's result it stands."""
        self.kind: Kind | None = None
        self.held: Holder | None = None
        self.name = ""
        self.original: torch.Tensor | None = None
        """Of what comes from outside: the tensor as handed in."""


@dataclass(slots=True, eq=False)
class Step:
    """One call: `args` and `kwargs` with slots in place of tensors."""

    target: Callable[..., Any]
    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    location: Location
    no_grad: bool
    result: Any = None
    written: tuple[Slot, ...] = ()
    """Which of its arguments the call writes into."""
    random: bool = False
    number: int = 0


@dataclass(slots=True)
class Trace:
    """A whole run."""

    inputs: list[Slot] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: Any = None
    notes: list[str] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    """What layers say of the batch, in program order."""


def slots_in(value: Any) -> Iterator[Slot]:
    """The slots in a nested structure of lists, tuples, dicts and slices."""
    if isinstance(value, Slot):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from slots_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from slots_in(item)
    elif isinstance(value, slice):
        yield from slots_in((value.start, value.stop, value.step))


def swap(value: Any, change: Callable[[Slot], Any]) -> Any:
    """A nested structure with every slot replaced."""
    if isinstance(value, Slot):
        return change(value)
    if isinstance(value, (tuple, list)):
        items = [swap(item, change) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {key: swap(item, change) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(swap(value.start, change), swap(value.stop, change), swap(value.step, change))
    return value


def origin_of(trace: Trace, slot: Slot) -> tuple[list[Step], set[str]]:
    """The steps, in program order, that a value stems from, and what they start from.

    The second is a set of `input`, `parameter`, `buffer`, `constant` and `chance`. Calls that write into memory that
    one of the values lies in count as well.
    """
    found: set[Step] = set()
    starts: set[str] = set()
    memory: set[int] = set()
    pending = [slot]
    writers = [step for step in trace.steps if step.written]
    while pending:
        _walk(pending, found, starts, memory)
        for step in writers:
            if step not in found and any(_memory(written) in memory for written in step.written):
                pending += [*slots_in(step.args), *slots_in(step.kwargs)]
                found.add(step)
    return sorted(found, key=lambda step: step.number), starts


def _walk(pending: list[Slot], found: set[Step], starts: set[str], memory: set[int]) -> None:
    seen: set[int] = set()
    while pending:
        slot = pending.pop()
        if id(slot) in seen:
            continue
        seen.add(id(slot))
        memory.add(_memory(slot))
        if slot.step is None:
            starts.add(slot.kind or "constant")
        elif slot.step not in found:
            found.add(slot.step)
            if slot.step.random:
                starts.add("chance")
            pending += [*slots_in(slot.step.args), *slots_in(slot.step.kwargs)]


def _memory(slot: Slot) -> int:
    try:
        return int(slot.tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return id(slot.tensor)


def replay(steps: Sequence[Step], slot: Slot) -> torch.Tensor | None:
    """The value of a slot, computed from constants alone by doing its steps again; None where that fails."""
    values: dict[int, Any] = {}

    def value_of(one: Slot) -> Any:
        if one.step is None:
            if one.original is None or one.original.is_meta:
                raise ValueError
            return values.setdefault(id(one), one.original.detach().clone())
        result = values[id(one.step)]
        for key in one.key:
            result = result[key]
        return result

    try:
        for step in steps:
            args, kwargs = swap(step.args, value_of), swap(step.kwargs, value_of)
            values[id(step)] = step.target(*args, **{**kwargs, **({"device": "cpu"} if "device" in kwargs else {})})
        found = value_of(slot)
    except Exception:
        return None
    return found if isinstance(found, torch.Tensor) else None
