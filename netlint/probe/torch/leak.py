"""Whether one sample's output depends on another sample, in inference mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from netlint.analysis import Unavailable
from netlint.frontends.torch import functions
from netlint.probe.observed import Leak

from . import losses
from .data import Batch
from .kept import seeded
from .running import Clock, Placed, Running
from .smaller import smaller

SAMPLES = 4


def leak(running: Running) -> Leak:
    """For each sample a random projection of its outputs, differentiated by all inputs at once."""
    _refuse(running)
    clock = running.clock("leak")
    with running.lent(mode="eval"):
        few = smaller(running, SAMPLES)
        batch = few.on(running.device)
        inputs = _differentiable(running, batch)
        outputs, sources = _run(running, batch, inputs)
        rows = _largest(outputs, sources, batch.samples, running.request.seed, clock).tolist()
        pairs = [(i, o, size) for o, row in enumerate(rows) for i, size in enumerate(row) if i != o and size > 0]
        if pairs and inputs and not _moves(running, batch, inputs, max(pairs, key=lambda pair: pair[2])):
            pairs = []
    return Leak(running.setup(None, few), tuple(pairs), max(row[place] for place, row in enumerate(rows)))


def _refuse(running: Running) -> None:
    """Raises `Unavailable` where samples cannot be told apart."""
    if running.source.step is not None:
        raise Unavailable("a training step mixes samples in its loss; lint the model alone to see whether they leak")
    if running.source.samples_axis is None:
        raise Unavailable("which axis holds the samples is not known")
    if running.batch.samples < 2:
        raise Unavailable("needs two samples")


def _run(running: Running, batch: Batch, inputs: list[Placed]) -> tuple[list[Placed], list[Placed]]:
    """The outputs, and what to differentiate them by. Raises `Unavailable` where there are none."""
    tables = _Tables(batch.samples, batch.axis)
    with nullcontext() if inputs else tables:
        result = running(batch.aside())
    sources = inputs or [(table, batch.axis) for table in tables.found]
    outputs = [placed for placed in running.placed(result, batch.samples) if placed[0].requires_grad]
    if not outputs:
        raise Unavailable("no output with a gradient has an axis of samples")
    if not sources:
        raise Unavailable("no output depends on an input by a gradient")
    return outputs, sources


def _moves(running: Running, batch: Batch, inputs: Sequence[Placed], pair: tuple[int, int, float]) -> bool:
    """Whether the output of the one sample is another when the input of the other one is: a backward pass that
    somebody has written may say so wrongly."""
    source, target, _ = pair
    with torch.no_grad():
        before = _rows_of(running, batch, target)
        for tensor, axis in inputs:
            row = tensor.select(axis, source)
            row.add_(row.std(correction=0) + 1.0)
        return bool((_rows_of(running, batch, target) != before).any())


def _rows_of(running: Running, batch: Batch, sample: int) -> torch.Tensor:
    """What is returned for one sample, flat; the same random numbers each time."""
    seeded(running.request.seed, running.device)
    outputs = running.placed(running(batch.aside()), batch.samples)
    return torch.cat([tensor.select(axis, sample).double().reshape(-1) for tensor, axis in outputs])


def _differentiable(running: Running, batch: Batch) -> list[Placed]:
    """Floating-point inputs with a batch axis."""
    tensors = batch.tensors()
    values = running.graph.inputs
    if len(tensors) != len(values):
        return []
    placed = [
        (tensor, axis)
        for tensor, value in zip(tensors, values, strict=True)
        if (axis := running.axis(value)) is not None
    ]
    return [(tensor.requires_grad_(), axis) for tensor, axis in placed if tensor.is_floating_point()]


def _largest(
    outputs: Sequence[Placed], sources: Sequence[Placed], samples: int, seed: int, clock: Clock
) -> torch.Tensor:
    """[output sample, input sample]: the largest absolute derivative."""
    projected = torch.zeros(samples, device=outputs[0][0].device, dtype=torch.float64)
    drawn = losses.random_like([tensor for tensor, _ in outputs], seed)
    for (tensor, axis), weights in zip(outputs, drawn, strict=True):
        part = (tensor * weights).transpose(0, axis).reshape(samples, -1).sum(1)
        projected = projected + part.to(projected.device, torch.float64)
    rows = []
    for sample in range(samples):
        clock.check(f"{sample} of {samples} samples")
        grads = torch.autograd.grad(
            projected[sample], [tensor for tensor, _ in sources], retain_graph=True, allow_unused=True
        )
        rows.append(_by_sample(grads, sources, samples))
    return torch.stack(rows)


def _by_sample(grads: Sequence[torch.Tensor | None], sources: Sequence[Placed], samples: int) -> torch.Tensor:
    most = torch.zeros(samples, device=sources[0][0].device, dtype=torch.float64)
    for grad, (_, axis) in zip(grads, sources, strict=True):
        if grad is not None and grad.numel():
            each = grad.abs().transpose(0, axis).reshape(samples, -1).amax(1)
            most = torch.maximum(most, each.to(most.device, torch.float64))
    return most


class _Tables(TorchFunctionMode):
    """Whole numbers have no derivatives: what is looked up by them stands in their place."""

    def __init__(self, samples: int, axis: int) -> None:
        super().__init__()
        self._samples = samples
        self._axis = axis
        self.found: list[torch.Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if functions.bare_name(func) not in ("embedding", "embedding_bag") or not isinstance(result, torch.Tensor):
            return result
        if result.dim() < 2 + self._axis or result.shape[self._axis] != self._samples:
            return result
        self.found.append(result.detach().requires_grad_())
        return self.found[-1]
