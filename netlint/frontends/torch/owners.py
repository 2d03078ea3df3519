"""What holds the parameters that a run meets: the model, something beside it, or only this one run."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from netlint.frontends.torch.standins import shaped
from netlint.frontends.torch.tensors import storage_of
from netlint.frontends.torch.trace import Slot, Step, Trace, origin_of, slots_in
from netlint.graph import Holder

_RESCALING = frozenset({"add_", "sub_", "mul_", "div_", "clamp_", "erfinv_"})
"""What initialisers do to random numbers."""


def maker(parameter: torch.Tensor, slots: Iterable[Slot], real: bool) -> Slot | None:
    """What the run has made in the memory of a parameter: a layer made in the forward pass has such weights."""
    if not isinstance(parameter, nn.Parameter):
        return None
    with torch._C.DisableTorchFunction():
        if not real and not parameter.is_meta:
            return None  # another model's
        memory = storage_of(parameter)
        return next((slot for slot in slots if slot.step is not None and storage_of(slot.tensor) == memory), None)


def holder(parameter: torch.Tensor, made: Slot | None, trace: Trace, root: nn.Module) -> Holder | None:
    """What holds a parameter that the model `root`, which is being called, does not name; None: nobody can say.

    One that lies in the memory of a tensor of the model's, such as a filter that is stored, is made of it by hand.
    """
    if made is not None:
        return "call" if origin_of(trace, made)[1] == {"chance"} else None
    with torch._C.DisableTorchFunction():
        memory = storage_of(parameter)
        held = (value for module in root.modules() for value in (*vars(module).values(), *module.buffers(False)))
        lent = any(isinstance(value, torch.Tensor) and storage_of(value) == memory for value in held)
    return None if lent else "aside"


def draws(step: Step) -> Slot | None:
    """The parameter made in this run that a call draws, or changes alone once it is drawn; None: the call is another.

    A parameter that other numbers are written into is one that the user has made by hand.
    """
    written, given = step.written[:1], set(slots_in((step.args, dict(step.kwargs))))
    slot = written[0] if written else None
    if slot is None or slot.original is None or slot.kind != "made":
        return None
    drawn = step.random or (slot.held == "call" and step.name in _RESCALING)
    slot.held = "call" if drawn and given == {slot} else None
    return slot if slot.held else None


def begins(trace: Trace, step: Step, slots: Iterable[Slot]) -> bool:
    """Whether a call copies what the inputs give into a parameter: its first value, which training moves."""
    written = step.written[:1]
    if step.name != "copy_" or not written or len(step.args) < 2 or not isinstance(step.args[1], Slot):
        return False
    with torch._C.DisableTorchFunction():
        memory = storage_of(written[0].tensor)
        stored = any(slot.kind == "parameter" and storage_of(slot.tensor) == memory for slot in slots)
    return stored and "input" in origin_of(trace, step.args[1])[1]


def stored(slots: Iterable[Slot], root: nn.Module | None) -> bool:
    """Whether the model has come to hold a parameter that this run has drawn: the first call makes it, or each does."""
    drawn = {id(slot.original) for slot in slots if slot.held == "call"}
    return bool(drawn) and root is not None and any(id(parameter) in drawn for parameter in root.parameters())


def settle(slots: Iterable[Slot], root: nn.Module | None) -> None:
    """After a run: what the model holds by now it holds, as a layer that is made once; what is frozen nobody trains."""
    kept = {id(parameter) for parameter in root.parameters()} if root is not None else set()
    for slot in slots:
        if id(slot.original) in kept:
            slot.held = "model"
        elif not slot.grad:
            slot.held = None
        if slot.kind == "made":  # its elements are those of this run
            slot.original = nn.Parameter(shaped(slot.tensor, slot.kind), requires_grad=slot.grad)
