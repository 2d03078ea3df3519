"""Why a run cannot go on as it was begun. No `Exception`s: the model must not catch them."""

from __future__ import annotations

import torch

from netlint.frontends import TargetError


class Demanded(BaseException):
    """The model asks for elements that a tensor without elements does not have."""


class Lost(BaseException):
    """A tensor turned up that the model made where nobody was watching."""


class Refused(TargetError):
    """What a recording cannot hold, whatever the inputs are."""


def refuse_nested(tensor: torch.Tensor) -> None:
    """Raises `Refused` for a tensor that has no shape."""
    if tensor.is_nested:
        raise Refused(
            "works on nested tensors, whose rows differ in length",
            "give it sequences padded to one length, or name the part of the model that works on padded ones",
        )
