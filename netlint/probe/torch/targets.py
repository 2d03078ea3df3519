"""Targets for a loss that is named: those of the user's, or synthetic ones that a sound model can learn by heart."""

from __future__ import annotations

import math
from typing import Any

import torch

from netlint.training import Interval, Known, Training

_ALIKE = 1e-5
"""Outputs that differ by less than this part of their spread count as one."""


class Targets:
    """Targets that fit a prediction: made when they are first asked for, the same ones from then on.

    Where a model predicts at many positions, positions with the same output get the same target: a model cannot tell
    them apart, and could not learn different ones.
    """

    def __init__(self, training: Training, seed: int, given: Any, span: Interval | None) -> None:
        self._training = training
        self._given = given
        self._span = span
        self._generator = torch.Generator()
        self._generator.manual_seed(seed + 1)
        self._made: torch.Tensor | None = None
        self._values: torch.Tensor | None = None

    def moments(self) -> tuple[float, float] | None:
        """Mean and deviation; None of classes and flags, and before there are any."""
        if self._values is None:
            return None
        wide = self._values.detach().double()
        mean, std = torch.stack([wide.mean(), wide.std(correction=0)]).tolist()
        return mean, std

    def with_classes_second(self, output: torch.Tensor) -> torch.Tensor:
        """Classes are wanted along axis 1; of a sequence of predictions they are usually last."""
        classes = self._training.classes
        second = output.dim() == 3 and isinstance(classes, Known) and output.shape[1] == classes.value
        return output.transpose(1, 2) if output.dim() == 3 and not second else output

    def classes(self, like: torch.Tensor) -> torch.Tensor:
        """A class for each sample and position; classes are along axis 1."""
        if isinstance(self._given, torch.Tensor):
            return self._given
        if not self._fits(shape := (like.shape[0], *like.shape[2:])):
            count = max(like.shape[1] if like.dim() > 1 else 1, 1)
            table = torch.randint(0, count, (math.prod(shape),), generator=self._generator).to(like.device)
            self._made = (table[_groups(like.movedim(1, -1))] if like.dim() > 2 else table).reshape(shape)
        return self._kept()

    def flags(self, like: torch.Tensor) -> torch.Tensor:
        """0 or 1 for each unit."""
        if isinstance(self._given, torch.Tensor):
            return self._given.to(like.dtype).reshape(like.shape)
        if not self._fits(like.shape):
            self._made = self._by_group(like, torch.randint(0, 2, (like.numel(),), generator=self._generator))
        return self._kept().to(like.dtype)

    def values(self, like: torch.Tensor) -> torch.Tensor:
        """Numbers in the range that is stated, else in the one of the output, else of deviation 1."""
        if isinstance(self._given, torch.Tensor):
            self._values = self._given
            return self._given.to(like.dtype).reshape(like.shape)
        if not self._fits(like.shape):
            self._made = self._values = self._by_group(like, self._drawn(like.numel()))
        return self._kept().to(like.dtype)

    def distribution(self, like: torch.Tensor) -> torch.Tensor:
        """Probabilities along axis 1."""
        if not self._fits(like.shape):
            drawn = torch.randn(like.shape, generator=self._generator)
            self._made = torch.softmax(drawn, 1 if like.dim() > 1 else 0).to(like.device)
        return self._kept().to(like.dtype)

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return self._made is not None and tuple(self._made.shape) == tuple(shape)

    def _kept(self) -> torch.Tensor:
        assert self._made is not None
        return self._made

    def _by_group(self, like: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        table = table.to(like.device)
        return (table[_groups(like.unsqueeze(-1))] if like.dim() > 2 else table).reshape(like.shape)

    def _drawn(self, count: int) -> torch.Tensor:
        normal = torch.randn(count, generator=self._generator)
        stated = self._training.targets
        span = stated.value if isinstance(stated, Known) else self._span
        if span is not None and math.isfinite(span.lo) and math.isfinite(span.hi):
            share = torch.rand(count, generator=self._generator)
            edge = 0.0 if isinstance(stated, Known) else 0.1  # an asymptote is not reached
            return span.lo + (span.hi - span.lo) * (edge + (1 - 2 * edge) * share)
        if span is not None and math.isfinite(span.lo):
            return span.lo + normal.abs()
        if span is not None and math.isfinite(span.hi):
            return span.hi - normal.abs()
        mean = self._training.target_mean
        return normal + (float(mean.value) if isinstance(mean, Known) else 0.0)


def _groups(outputs: torch.Tensor) -> torch.Tensor:
    """For each row of the last axis a number, the same for rows that are alike; flat. Nothing leaves the device."""
    rows = outputs.detach().double().reshape(-1, outputs.shape[-1])
    generator = torch.Generator()
    generator.manual_seed(0)
    direction = torch.randn(rows.shape[1], generator=generator, dtype=torch.float64).to(rows.device)
    ordered, order = torch.sort(torch.nan_to_num(rows @ direction))
    apart = torch.diff(ordered, prepend=ordered[:1]) > _ALIKE * ordered.std(correction=0)
    return torch.empty_like(order).scatter_(0, order, torch.cumsum(apart, 0))
