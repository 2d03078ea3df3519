"""Synthetic numbers for the inputs of a graph: seeded, within the training contract, valid where they pick rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from netlint.analyses.contract import losses
from netlint.analysis import Results
from netlint.graph import Graph, TensorUnreadable, Value
from netlint.ops import COMPARISONS, LAYOUT, TRANSPARENT
from netlint.training import Interval, Known, Training

Array = np.ndarray[Any, Any]

SAMPLES = 16
"""Samples in a batch, where the model takes any number."""

_CARRYING = (LAYOUT | TRANSPARENT) - {"Gather"}
_DEPTH = 8
_READ = 256 << 20
"""Bytes of a table that are looked through."""
_ASKING = COMPARISONS | {"Shape", "Size", "ArgMax", "ArgMin", "ReduceMax", "Not"}
"""Whatever the numbers are, these have an answer."""


class Synthetic:
    """Draws the inputs of one graph, in the order in which it is asked."""

    def __init__(self, graph: Graph, training: Training, seed: int) -> None:
        self._graph = graph
        self._training = training
        self._random = np.random.default_rng(seed)
        sites = Results(graph, training).get(losses)
        self._targets = {site.targets: site for site in sites if site.targets is not None}
        self._tokens: dict[tuple[int, ...], Array] = {}

    @property
    def about(self) -> str:
        """What the numbers keep to, for people."""
        span, (mean, std) = self._training.input_range, self._moments()
        return f"in {span.value}" if isinstance(span, Known) else f"of mean {mean:g} and deviation {std:g}"

    def floats(self, shape: Sequence[int], value: Value | None) -> Array:
        """float32 numbers for an input, or for the targets of a loss."""
        site = self._targets.get(value) if value is not None else None
        if site is not None and site.loss.kind == "cross-entropy":
            return self._random.integers(0, 2, shape).astype(np.float32)
        stated = self._training.targets if site is not None and self._training.targets.known else None
        span = stated or self._training.input_range
        normal = self._random.standard_normal(shape, np.float32)
        if isinstance(span, Known):
            return self._within(span.value, normal, site is None)
        mean, std = self._moments()
        return normal * np.float32(std) + np.float32(mean)

    def integers(self, shape: Sequence[int], value: Value, example: Array | None) -> Array | None:
        """int64 numbers that are certain to be valid; None where only those of an example, or constants, are."""
        if value in self._targets:
            classes = self._training.classes
            high = int(classes.value) - 1 if isinstance(classes, Known) else _largest(example)
            return self._labels(tuple(shape), high) if high > 0 else None
        sizes = list(self._tables(value, 0))
        if not sizes or min(sizes) < 1:
            return None
        drawn = _without(self._random.integers(0, min(sizes), shape), self._empty(value), min(sizes))
        self._tokens[tuple(shape)] = drawn
        return drawn

    def _empty(self, value: Value) -> set[int]:
        """The rows of zeros in the tables that are picked from: padding, which is masked where it is meant."""
        return {row for use in self._graph.uses(value) for row in _zero_rows(use.input(0)) if use.op == "Gather"}

    def _labels(self, shape: tuple[int, ...], high: int) -> Array:
        """Classes. Of tokens they are told by the tokens: a model that mixes no positions could learn no others."""
        tokens = self._tokens.get(shape) if len(shape) > 1 else None
        drawn: Array = self._random.integers(0, high + 1, shape) if tokens is None else (7 * tokens + 3) % (high + 1)
        return drawn

    def _tables(self, value: Value, depth: int) -> Iterator[int]:
        """The rows of every table that these numbers pick from; a 0 where they are used in other ways."""
        for use in self._graph.uses(value):
            table, out = use.input(0), use.output()
            if use.op == "Gather" and use.input(1) is value and table is not None and table.constant is not None:
                yield table.constant.shape[int(use.attrs.get("axis", 0))]
            elif use.op in _CARRYING and depth < _DEPTH and out is not None:
                yield from self._tables(out, depth + 1)
            elif use.op not in _ASKING:
                yield 0

    def _within(self, span: Interval, normal: Array, is_input: bool) -> Array:
        """Inside the range: uniform, or with the moments that are stated for inputs."""
        lo, hi = np.float32(span.lo), np.float32(span.hi)
        if is_input and (self._training.input_mean.known or self._training.input_std.known):
            mean, std = self._moments()
            return np.asarray(np.clip(normal * np.float32(std) + np.float32(mean), lo, hi))
        if math.isfinite(span.lo) and math.isfinite(span.hi):
            share = self._random.random(normal.shape, np.float32)
            return np.asarray(np.clip(lo + (hi - lo) * share, lo, hi))
        if math.isfinite(span.lo):
            return np.asarray(lo + np.abs(normal))
        return np.asarray(hi - np.abs(normal)) if math.isfinite(span.hi) else normal

    def _moments(self) -> tuple[float, float]:
        mean, std = self._training.input_mean, self._training.input_std
        return (
            float(mean.value) if isinstance(mean, Known) else 0.0,
            float(std.value) if isinstance(std, Known) else 1.0,
        )


def _zero_rows(table: Value | None) -> Iterator[int]:
    stored = table.constant if table is not None else None
    if stored is None or len(stored.shape) != 2 or stored.nbytes > _READ or not stored.dtype.startswith("float"):
        return
    try:
        rows = stored.load()
    except TensorUnreadable:
        return
    yield from map(int, np.flatnonzero(~rows.any(axis=1)))


def _without(drawn: Array, rows: set[int], count: int) -> Array:
    """Other numbers below `count` in place of some."""
    left = np.array([number for number in range(count) if number not in rows])
    if not rows or not left.size:
        return drawn
    return np.asarray(np.where(np.isin(drawn, list(rows)), left[drawn % left.size], drawn))


def _largest(example: Array | None) -> int:
    return int(example.max()) if example is not None and example.size else 0
