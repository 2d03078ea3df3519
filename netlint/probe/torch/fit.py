"""Short trainings of a copy: one batch learnt by heart, and steps at a rising learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from netlint.analysis import Unavailable
from netlint.probe.observed import Overfit, Ramp
from netlint.training import Known

from .data import Batch
from .kept import put, seeded
from .losses import Loss
from .optimizers import OPTIMIZERS, Optimizer
from .running import Clock, Running, gradients, parameters
from .smaller import costly, smaller
from .undropped import undropped

SAMPLES = 8
"""Of the batch that is learnt by heart."""
STEPS = 300
LEARNT = 0.01
"""Part of the loss at which nothing more is to be learnt."""
ENOUGH = 0.1
"""Part of the loss at which the next smaller rate need not be tried."""
RATES = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4)
COSTLY = 1e-3
"""The rate of models of which a few steps take seconds: none is tried beforehand."""
SLOWER = (1, 10, 100)
TRIED = 8
"""Steps that each rate is tried for."""
RAMP = tuple(10 ** (-6 + 7 * step / 56) for step in range(57))
"""From 1e-6 to 10, eight steps a decade."""
BLOWN = 4.0
"""The loss has blown up when it is so many times the one at the start, and has risen as much above the best."""


class Trainee:
    """The lent model with one batch, and a loss that training would lower."""

    def __init__(self, running: Running, batch: Batch, clock: Clock) -> None:
        self._running = running
        self._batch = batch
        self._clock = clock
        self._weights = list(parameters(running.model).values())
        if not self._weights:
            raise Unavailable("the model has no parameters that training moves")
        self.loss: Loss = running.true_loss(running(batch), batch)
        self.clear()
        self._first = [tensor.detach().clone() for tensor in self._state()]

    def _state(self) -> list[torch.Tensor]:
        return [*self._running.model.parameters(), *self._running.model.buffers()]

    def again(self) -> None:
        """As it was at first."""
        with torch.no_grad():
            put(self._state(), self._first)
        seeded(self._running.request.seed, self._running.device)

    def clear(self) -> None:
        for weight in self._weights:
            weight.grad = None

    def optimizer(self, name: str, rate: float) -> Optimizer:
        return OPTIMIZERS[name](self._weights, rate)

    def step(self, optimizer: Optimizer, losses: list[float]) -> float:
        """One step; the loss before it. Where that is no number there is no step."""
        total = self.loss.of(self._running(self._batch))
        number = float(total)
        self._clock.check(_progress(losses))
        if not math.isfinite(number):
            return number
        if any(weight.grad is not None for weight in self._weights):
            raise Unavailable("the training step calls backward itself")
        optimizer.step(gradients(total, self._weights))
        return number


def _progress(losses: list[float]) -> str:
    if not losses:
        return "not one step"
    return f"{len(losses)} step{'s' * (len(losses) != 1)}, loss from {losses[0]:.4g} to {losses[-1]:.4g}"


@contextmanager
def _lent(running: Running) -> Iterator[None]:
    with running.lent(mode="train"), undropped(running.model):
        yield


def overfit(running: Running) -> Overfit:
    """Adam on a few samples, at the rate of a few that lowers the loss most in the first steps; where that comes to a
    halt, at smaller ones: what begins too fast may end on a plateau."""
    clock = running.clock("overfit")
    with _lent(running):
        few = smaller(running, SAMPLES)
        trainee = Trainee(running, few.on(running.device), clock)
        best = COSTLY if costly(running, few) else _best(trainee)
        tried: list[tuple[float, list[float]]] = []
        for rate in (best / slower for slower in SLOWER):
            tried.append((rate, _learnt(trainee, rate)))
            if _share(tried[-1][1], trainee.loss.least()) <= ENOUGH:
                break
    running.notes.append("dropout off")
    rate, losses = min(tried, key=lambda entry: min(entry[1]))
    return Overfit(running.setup(trainee.loss, few), tuple(losses), rate, "Adam", trainee.loss.least())


def _best(trainee: Trainee) -> float:
    """The rate that lowers the loss most in the first steps."""
    tried = {rate: _tried(trainee, rate) for rate in RATES}
    return min(RATES, key=lambda rate: tried[rate])


def _share(losses: list[float], least: float) -> float:
    """What is left of the avoidable loss."""
    start = losses[0] - least
    return (min(losses) - least) / start if start > 0 else 0.0


def _tried(trainee: Trainee, rate: float) -> float:
    """The loss after a few steps at a rate; infinite where it becomes no number."""
    trainee.again()
    optimizer = trainee.optimizer("adam", rate)
    losses: list[float] = []
    for _ in range(TRIED):
        losses.append(trainee.step(optimizer, losses))
    return losses[-1] if all(map(math.isfinite, losses)) else math.inf


def _learnt(trainee: Trainee, rate: float) -> list[float]:
    trainee.again()
    optimizer = trainee.optimizer("adam", rate)
    losses: list[float] = []
    while len(losses) < STEPS + 1:
        number = trainee.step(optimizer, losses)
        if not math.isfinite(number):
            if not losses:
                raise Unavailable(f"the loss is {number} before any step")
            break
        losses.append(number)
        if number - trainee.loss.least() <= LEARNT * (losses[0] - trainee.loss.least()):
            break
    return losses


def ramp(running: Running) -> Ramp:
    """The optimizer that the contract names, else Adam, on the batch at hand."""
    clock = running.clock("ramp")
    stated = running.training.optimizer
    name = stated.value if isinstance(stated, Known) and stated.value in OPTIMIZERS else "adam"
    with _lent(running):
        batch = smaller(running, running.batch.samples)
        rates = RAMP[8::4] if costly(running, batch) else RAMP
        trainee = Trainee(running, batch.on(running.device), clock)
        optimizer = trainee.optimizer(name, rates[0])
        losses: list[float] = []
        largest: float | None = None
        for at, rate in enumerate(rates):
            optimizer.rate = rate
            number = trainee.step(optimizer, losses)
            if losses and _blown(number, losses):
                # The steps before this one did it: the loss is that after the last.
                largest = rates[max(at - 2, 0)]
                break
            losses.append(number)
    running.notes.append("dropout off")
    return Ramp(running.setup(trainee.loss, batch), rates[: len(losses)], tuple(losses), name, largest)


def _blown(number: float, losses: list[float]) -> bool:
    start, best = losses[0], min(losses)
    return not math.isfinite(number) or (number > BLOWN * abs(start) and number - best > BLOWN * abs(start - best))
