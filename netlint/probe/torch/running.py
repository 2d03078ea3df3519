"""One real run of the model or of its training step, and what every stage needs for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import nn

from netlint.analyses.ranges import training_ranges
from netlint.analysis import Results, Unavailable
from netlint.errors import first_line, said
from netlint.frontends.torch import frames
from netlint.frontends.torch.target import in_mode
from netlint.graph import Graph, Value, is_float
from netlint.probe.arrays import placed_axis
from netlint.probe.observed import Setup
from netlint.probe.request import Request
from netlint.training import Interval, Known, Training

from . import losses
from .data import Batch
from .devices import name_of, settings, wait
from .kept import lent
from .losses import Loss
from .source import Source
from .targets import Targets

Placed: TypeAlias = tuple[torch.Tensor, int]
"""A tensor and its batch axis."""


@dataclass(slots=True)
class Running:
    """A model that is about to be run under a contract."""

    source: Source
    graph: Graph
    training: Training
    request: Request
    device: torch.device
    batch: Batch
    notes: list[str] = field(default_factory=list)
    spare: float = 0.0
    """Seconds that stages before left."""
    _span: Interval | None = None

    @property
    def model(self) -> nn.Module:
        return self.source.model

    @property
    def is_training(self) -> bool:
        """Whether the graph is of training mode."""
        return self.source.mode == "train" or (not self.source.mode and self.model.training)

    def setup(self, loss: Loss | None = None, batch: Batch | None = None) -> Setup:
        """What the findings print."""
        used = batch or self.batch
        return Setup(
            device=name_of(self.device),
            runner="torch",
            batch=str(used),
            samples=used.samples,
            seed=self.request.seed,
            synthetic=not used.real,
            loss=loss.name if loss else "",
            true_loss=loss is not None and not loss.made_up,
            notes=tuple(self.notes),
        )

    @contextmanager
    def lent(self, dtype: torch.dtype | None = None, mode: str | None = None) -> Iterator[None]:
        """The model on the device, in the mode that was recorded unless another is given."""
        if isinstance(self.training.loss, Known):  # from here on the analyses would read weights from the device
            self._span = self._bounds()
        with (
            in_mode(self.model, self.source.mode if mode is None else mode),
            lent(self.model, self.device, self.request.seed, dtype),
        ):
            if mode is not None:
                self.model.train(mode == "train")
            with settings(self.model, self.device):
                yield

    def clock(self, stage: str) -> Clock:
        """The time that a stage has from now on."""
        return Clock(self.request.seconds(stage) + self.spare, self.device)

    def first(self, count: int) -> Batch:
        """So many samples, where the model takes any number."""
        return self.batch.first(count) if self.source.samples_axis is not None else self.batch

    def axis(self, value: Value) -> int | None:
        """The axis of a value that runs over the samples; None: it has none, or that is not known."""
        return placed_axis(value, self.source.samples_axis)

    def placed(self, result: Any, samples: int) -> list[Placed]:
        """The outputs with an axis of samples; where it cannot be told which is which, those that begin with one."""
        found = list(losses.floats(result))
        values = self._float_outputs()
        if len(found) == len(values) and self.source.samples_axis is not None:
            placed = [(tensor, self.axis(value)) for tensor, value in zip(found, values, strict=True)]
        else:
            placed = [(tensor, 0 if tensor.dim() else None) for tensor in found]
        return [
            (tensor, axis)
            for tensor, axis in placed
            if axis is not None and axis < tensor.dim() and tensor.shape[axis] == samples
        ]

    def __call__(self, batch: Batch) -> Any:
        """Run what was recorded on a batch that lies on the device."""
        step = self.source.step
        target = self.model if step is None else step.run
        return _execute(target, batch)

    def loss(self, result: Any, batch: Batch) -> Loss:
        """What the gradients of the result of a batch are of; its targets lie where it does."""
        if (found := losses.returned(result)) is not None and found.requires_grad:
            return Loss(self._loss_name(), _returned)
        targets = Targets(self.training, self.request.seed, batch.targets, self._span)
        stated = losses.named(self.training, targets)
        if stated is not None and self.source.step is None:
            return stated
        return Loss(losses.MADE_UP, losses.Projection(self.request.seed), made_up=True)

    def cut(self, result: Any) -> tuple[Loss, torch.Tensor] | None:
        """The loss of a training step that has no gradient, and its value; None: the step returns no such number."""
        scalar = next((tensor for tensor in losses.floats(result) if tensor.dim() == 0), None)
        if self.source.step is None or scalar is None or scalar.requires_grad or not parameters(self.model):
            return None
        return Loss(self._loss_name(), _returned), scalar

    def _float_outputs(self) -> list[Value]:
        return [value for value in self.graph.outputs if is_float(value.dtype)]

    def _bounds(self) -> Interval | None:
        """What the first output can be, for any weights; None: anything."""
        outputs = self._float_outputs()
        found = Results(self.graph, self.training).get(training_ranges).of(outputs[0]) if outputs else None
        return Interval(found.lo, found.hi) if found is not None and found.known else None

    def _loss_name(self) -> str:
        step = self.source.step
        return "the model's own" if step is None else f"the step {getattr(step.source, '__name__', 'given')}"

    def true_loss(self, result: Any, batch: Batch) -> Loss:
        """A loss that training would lower. Raises `Unavailable` where nobody has said."""
        loss = self.loss(result, batch)
        if loss.made_up:
            raise Unavailable(losses.NEEDED)
        return loss


def _returned(result: Any) -> torch.Tensor:
    found = losses.returned(result)
    if found is None:
        raise Unavailable("the training step returns no loss")
    return found


def _execute(target: Any, batch: Batch) -> Any:
    return target(*batch.args, **batch.kwargs)


frames.ends_here(_execute.__code__)


def parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Those that training moves, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def gradients(loss: torch.Tensor, wanted: list[torch.Tensor]) -> list[torch.Tensor | None]:
    """Of a loss; nothing is accumulated in `.grad`, and hooks that wait for that are not called."""
    if not loss.requires_grad:
        return [None] * len(wanted)
    return list(torch.autograd.grad(loss, wanted, allow_unused=True))


class Clock:
    """The time that a stage has."""

    def __init__(self, seconds: float, device: torch.device) -> None:
        self.seconds = seconds
        self._device = device
        self._start = time.perf_counter()

    def check(self, done: str) -> None:
        """Raises `Unavailable`, with how far it got, when the time is up; waits for what is being computed."""
        wait(self._device)
        if time.perf_counter() - self._start > self.seconds:
            raise Unavailable(f"took longer than {self.seconds:g} s ({done}); --probe-budget gives it more")


def why(error: BaseException) -> str:
    """What the model raised, and where."""
    line = frames.line_of(error.__traceback__)
    place = f" at {line[0]}:{line[1]}" if line else ""
    text = first_line(error) if "CUDA error" in said(error) else said(error)
    return f"{type(error).__name__}{place}: {' '.join(text.split())[:300]}"
