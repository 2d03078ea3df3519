"""Why a run cannot go on as it was begun. No `Exception`s: the model must not catch them."""

from __future__ import annotations


class Demanded(BaseException):
    """The model asks for elements that a tensor without elements does not have."""


class Lost(BaseException):
    """A tensor turned up that the model made where nobody was watching."""
