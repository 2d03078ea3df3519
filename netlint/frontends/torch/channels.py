"""Inputs that a model joins along their channels: how many each may have, where the next layer takes so many in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .demand import Misfit
from .inputs import Slot

_COLOURS = 3


def channelled(slots: Sequence[Slot], misfit: Misfit) -> list[Slot] | None:
    """The slots with other channels; None where no numbers of them can fit."""
    places = [place for place in sorted(misfit.slots) if place < len(slots) and _free(slots[place])]
    if len(places) != len(misfit.slots):
        return None
    widths = _widths([slots[place] for place in places], misfit)
    if widths is None or min(widths) < 1:
        return None
    found = list(slots)
    for place, width in zip(places, widths, strict=True):
        samples, _, *rest = found[place].shape
        found[place] = replace(found[place], shape=(samples, width, *rest))
    return found


def _free(slot: Slot) -> bool:
    return not slot.stated and slot.kind == "float" and len(slot.shape) > 1


def _widths(slots: Sequence[Slot], misfit: Misfit) -> list[int] | None:
    """Of one input, joined with itself or with numbers of the model's; of an image and what goes with it."""
    own = [slot.shape[1] for slot in slots]
    if len(own) == 1:
        times, rest = divmod(own[0] * misfit.want, misfit.got)
        return [own[0] + misfit.want - misfit.got if rest else times]
    if len(own) != 2 or sum(own) != misfit.got:
        return None
    alike = len(slots[0].shape) == len(slots[1].shape)
    if alike and misfit.want % 2 == 0 and misfit.want != _COLOURS + 1:
        return [misfit.want // 2] * 2
    colours = _COLOURS if misfit.want > _COLOURS else 1
    widths = [colours, misfit.want - colours]
    return widths if len(slots[0].shape) >= len(slots[1].shape) else widths[::-1]
