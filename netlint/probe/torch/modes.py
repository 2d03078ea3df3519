"""How far a model's outputs in training mode are from those in inference mode, and how far they may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import torch
from torch.nn.modules.batchnorm import _NormBase

from netlint.analysis import Unavailable
from netlint.probe.observed import Modes
from netlint.training import Known

from .data import Batch
from .kept import put, seeded
from .running import Clock, Running

RUNS = 3
"""Training-mode runs, each with other random numbers."""

_FAR = 1e6
"""What no running mean comes near."""

_Statistics: TypeAlias = tuple[list[torch.Tensor], list[torch.Tensor]]
"""Buffers, and what they held at first."""


def modes(running: Running) -> Modes:
    """The same samples in both modes; the spread of repeated and of smaller training-mode runs is expected."""
    if running.source.step is not None:
        raise Unavailable("a training step is no inference; lint the model alone to compare its modes")
    clock = running.clock("modes")
    with running.lent(mode="train"), torch.no_grad():
        batch = running.batch.on(running.device)
        _settle(running, batch)
        buffers = list(running.model.buffers())
        statistics = buffers, [buffer.clone() for buffer in buffers]
        runs = list(_repeated(running, batch, statistics, clock))
        fewer = batch.first(batch.samples // 2) if _is_divisible(running) else batch
        smaller = _run(running, fewer, 0, statistics)
        running.model.eval()
        calm, again = (_run(running, batch, chance, statistics) for chance in (0, 1))
        kept = _kept(running, fewer, statistics)
    spread = float(calm.std(correction=0)) if calm.numel() else 0.0
    if not spread > 0:
        raise Unavailable("the outputs do not vary in inference mode")
    chance = max(_distance(one, runs[0]) for one in runs[1:])
    others = _distance(smaller, runs[0][: smaller.shape[0]])
    gap = max(_distance(one, calm) for one in runs)
    return Modes(running.setup(), gap / spread, max(chance, others) / spread, _distance(again, calm) / spread, kept)


def _is_divisible(running: Running) -> bool:
    return running.batch.samples > 3 and running.source.samples_axis is not None


def _repeated(running: Running, batch: Batch, statistics: _Statistics, clock: Clock) -> Iterator[torch.Tensor]:
    """Runs in training mode."""
    for run in range(RUNS):
        clock.check(f"{run} of {RUNS + 4} runs")
        yield _run(running, batch, run, statistics)
    clock.check(f"{RUNS} of {RUNS + 4} runs")


def _settle(running: Running, batch: Batch) -> None:
    """Running statistics that nobody has trained become those of the batch, as they would in time; with a momentum of 0
    they never do."""
    stage = running.training.stage
    if isinstance(stage, Known) and stage.value == "trained":
        return
    before = [(norm, norm.momentum) for norm in _norms(running) if norm.momentum != 0]
    for norm, _ in before:
        norm.momentum = 1.0
    running(batch)
    for norm, momentum in before:
        norm.momentum = momentum


def _norms(running: Running) -> list[_NormBase]:
    return [module for module in running.model.modules() if isinstance(module, _NormBase)]


def _kept(running: Running, batch: Batch, statistics: _Statistics) -> float | None:
    """What one run in training mode leaves of running means that are moved far off before it: far enough for what the
    batch adds to make no difference."""
    running.model.train()
    put(*statistics)
    means = [norm.running_mean for norm in _norms(running) if norm.training and norm.running_mean is not None]
    for mean in means:
        mean.fill_(_FAR)
    running(batch)
    return min((float(mean.median()) / _FAR for mean in means), default=None)


def _run(running: Running, batch: Batch, chance: int, statistics: _Statistics) -> torch.Tensor:
    """The outputs, flattened to [samples, numbers]."""
    put(*statistics)
    seeded(running.request.seed + chance, running.device)
    placed = running.placed(running(batch), batch.samples)
    if not placed:
        raise Unavailable("returns nothing with an axis of samples")
    return torch.cat([tensor.double().movedim(axis, 0).reshape(batch.samples, -1) for tensor, axis in placed], 1)


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    if one.shape != other.shape:
        raise Unavailable("the modes return other outputs")
    return float((one - other).square().mean().sqrt())
