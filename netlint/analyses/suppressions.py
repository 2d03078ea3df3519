"""What the user wants silenced, and what came of it.

No graph tells that, and nobody knows it before the other rules have run: `netlint.suppress` hands the result in.
"""

from __future__ import annotations

from netlint.analysis import Scope, Unavailable, analysis
from netlint.location import Location
from netlint.records import record
from netlint.reported import IDLE

__all__ = ["IDLE", "IGNORE", "Suppression", "suppressions"]

IGNORE = "netlint.ignore"
"""The model's metadata in which it asks to be spared."""


@record
class Suppression:
    """One request to silence findings."""

    form: str
    """How it is made: `comment`, `metadata` or `override`."""
    origin: str
    """The same with its place, e.g. `comment at net.py:88`."""
    loc: Location
    text: str
    """The request as it stands there, without its reason, e.g. `netlint: ignore[log-domain]`."""
    reason: str
    unknown: tuple[str, ...] = ()
    """What is wrong with the names, a sentence each: `unknown rule 'log-domian'; did you mean 'log-domain'?`"""
    refused: tuple[str, ...] = ()
    """The names of rules that it may not silence."""
    idle: tuple[str, ...] = ()
    """The names of rules that have judged the whole model and of which it silenced nothing."""


@analysis()
def suppressions(scope: Scope) -> tuple[Suppression, ...]:
    """The requests that concern a target, in order. Rules that require it run after all the others."""
    raise Unavailable("needs what the other rules have found")
