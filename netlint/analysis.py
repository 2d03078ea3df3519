"""What can be computed about a graph: once, on first use, only by those who declared the need.

An analysis is a module-level value made from a function:

    @analysis(shapes)
    def axes(scope: Scope) -> Axes: ...

A rule or another analysis that lists it among its needs reads the result as `scope[axes]`. "Cannot" is a result
too: `raise Unavailable("the batch axis is not known")` is remembered, and whoever asks is skipped with that sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .times import Clock

if TYPE_CHECKING:
    from .graph import Graph
    from .training import Training

T = TypeVar("T")


class Unavailable(Exception):
    """An analysis, or a fact that a rule needs, cannot be had; the message says why and what would help."""


class UndeclaredUse(Exception):
    """A rule or an analysis read something it did not list among its needs: a mistake in its code."""


class Analysis(Generic[T]):
    """A named, lazily computed fact about a graph. Compared by identity."""

    def __init__(self, name: str, requires: tuple[Analysis[Any], ...], run: Callable[[Scope], T]) -> None:
        self.name = name
        self.requires = requires
        self.run = run
        self.__doc__ = run.__doc__

    def __repr__(self) -> str:
        return f"<analysis {self.name}>"


def analysis(*requires: Analysis[Any]) -> Callable[[Callable[[Scope], T]], Analysis[T]]:
    """Turn a function into an `Analysis` that may read the listed ones."""

    def make(run: Callable[[Scope], T]) -> Analysis[T]:
        return Analysis(run.__name__.strip("_"), requires, run)

    return make


_NOTHING: Mapping[Analysis[Any], Any] = {}


class Results:
    """What has been computed so far about one graph under one training contract; `given` is known beforehand."""

    def __init__(self, graph: Graph, training: Training, given: Mapping[Analysis[Any], Any] = _NOTHING) -> None:
        self.graph = graph
        self.training = training
        self.clock = Clock()
        self._done: dict[Analysis[Any], Any] = dict(given)

    def get(self, wanted: Analysis[T]) -> T:
        """The result, computed now if nobody asked before. Raises `Unavailable`, the same one every time."""
        if wanted not in self._done:
            self._done[wanted] = self._compute(wanted)
        result = self._done[wanted]
        if isinstance(result, Exception):
            raise result
        return cast("T", result)

    def done(self, wanted: Analysis[T]) -> T | None:
        """The result if somebody has asked for it and it could be had."""
        result = self._done.get(wanted)
        return None if isinstance(result, Exception) else cast("T | None", result)

    def _compute(self, wanted: Analysis[Any]) -> Any:
        scope = Scope(self, wanted.name, wanted.requires, {})
        try:
            with self.clock.running("analysis", wanted.name):
                return wanted.run(scope)
        except Exception as error:
            # A crash is remembered like Unavailable: each rule that needs the result fails, in its own name.
            return error


class Scope:
    """What a rule or an analysis sees: the graph, its options, the training contract, declared analyses."""

    def __init__(
        self, results: Results, owner: str, declared: tuple[Analysis[Any], ...], options: Mapping[str, Any]
    ) -> None:
        self._results = results
        self._owner = owner
        self._declared = declared
        self._had: dict[Analysis[Any], Any] = {}
        self.options = options

    @property
    def graph(self) -> Graph:
        return self._results.graph

    @property
    def training(self) -> Training:
        """The declared contract. What the graph itself says about the loss is in the `contract` analysis."""
        return self._results.training

    def __getitem__(self, wanted: Analysis[T]) -> T:
        if wanted in self._had:  # rules ask once for each node
            return cast("T", self._had[wanted])
        if wanted not in self._declared:
            raise UndeclaredUse(f"{self._owner} reads the analysis '{wanted.name}': add it to what it requires")
        found = self._had[wanted] = self._results.get(wanted)
        return found
