"""Where the time of a run goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal, TypeAlias

from .records import record

Kind: TypeAlias = Literal["load", "analysis", "rule"]


@record
class Spent:
    """Seconds that a rule or an analysis took itself, without the analyses that it asked for."""

    kind: Kind
    name: str
    seconds: float


class Clock:
    """Tells the time of nested work apart: what an analysis takes is not counted again for whoever asked for it."""

    def __init__(self) -> None:
        self._own: dict[tuple[Kind, str], float] = {}
        self._within = 0.0
        """Seconds of what the current piece of work has asked for."""

    @contextmanager
    def running(self, kind: Kind, name: str) -> Iterator[None]:
        before, self._within = self._within, 0.0
        start = perf_counter()
        try:
            yield
        finally:
            whole = perf_counter() - start
            self._own[kind, name] = self._own.get((kind, name), 0.0) + whole - self._within
            self._within = before + whole

    def spent(self) -> tuple[Spent, ...]:
        """Each piece of work, in the order in which they ended."""
        return tuple(Spent(kind, name, seconds) for (kind, name), seconds in self._own.items())
