"""One forward and one backward pass, with the statistics of every value that the graph and the run share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from netlint.analysis import Unavailable
from netlint.graph import Value
from netlint.probe.observed import KEPT_NUMBERS, KEPT_SAMPLES, Passes, WeightSeen

from .data import Batch
from .devices import of_the_gpu, out_of_memory
from .kept import seeded
from .losses import Loss
from .running import Running, parameters, why
from .statistics import Statistics

CHANCES = 4


def passes(running: Running) -> Passes:
    """Run once; where numbers are missing or infinite, once more with care for the values that have them. A model that
    skips layers at random is run until it does what was recorded, a few times at most."""
    for chance in range(CHANCES):
        found, suspects = _once(running, None, chance)
        if found.whole:
            break
    return found if suspects is None else _once(running, suspects, chance)[0]


def _once(running: Running, suspects: Sequence[Value] | None, chance: int) -> tuple[Passes, Sequence[Value] | None]:
    """The passes, and of which values numbers are missing or infinite; None: of none, or that is known already.

    Until the numbers are fetched, nothing here waits for the device.
    """
    statistics = Statistics(suspects or ())
    with running.lent():
        if chance:
            seeded(running.request.seed + chance, running.device)
        weights = _in_order(running)
        batch = running.batch.on(running.device)
        with running.source.followed(running.graph, statistics.see, batch.samples) as followed:
            result = running(batch)
        loss, total = _loss(running, result, batch, statistics)
        grads, raised = _differentiated(None if statistics.differentiated else total, weights)
        arrived = {name: grad for name, grad in grads.items() if grad is not None}
        norms = statistics.add(_norms([weight.detach() for weight in weights.values()], suspects))
        grad_norms = statistics.add(_norms(list(arrived.values()), suspects))
        inputs = statistics.add([end for tensor in batch.tensors() for end in _ends(tensor)])
        last = statistics.add([total.detach()] if total is not None else [])
        outputs = dict(_first(statistics.outputs, batch, running))
        places = statistics.add(list(outputs.values()))
        statistics.close()
        numbers = statistics.fetch()
    found = Passes(
        setup=running.setup(loss if total is not None else None),
        seen=statistics.seen(numbers),
        weights=_weights(weights, dict(zip(arrived, numbers.each(grad_norms), strict=True)), numbers.each(norms)),
        loss=numbers.each(last)[0] if total is not None and not loss.made_up else None,
        inputs=_extremes(running, numbers.each(inputs)),
        targets=loss.targets() if loss.targets is not None else None,
        outputs={
            value: numbers.at(place).reshape(out.shape)
            for (value, out), place in zip(outputs.items(), places, strict=True)
        },
        whole=not followed.lost,
        raised=raised if not loss.made_up and running.is_training else "",
    )
    notes = [f"not all of the run could be followed: {followed.lost}"] if followed.lost else []
    notes += [f"the backward pass raises {raised}"] if raised else []
    found = replace(found, setup=replace(found.setup, notes=(*found.setup.notes, *notes)))
    odd = statistics.suspects(numbers)
    odd_weights = not np.isfinite([*numbers.each(norms), *numbers.each(grad_norms)]).all()
    return found, odd if suspects is None and (odd or odd_weights) else None


def _in_order(running: Running) -> dict[str, torch.nn.Parameter]:
    """The parameters that training moves, in the order in which they are used."""
    place = {name: at for at, name in enumerate(running.source.order())}
    found = parameters(running.model)
    return dict(sorted(found.items(), key=lambda entry: place.get(entry[0], len(place))))


def _norms(tensors: list[torch.Tensor], suspects: Sequence[Value] | None) -> Sequence[torch.Tensor]:
    """Euclidean norms; with care none is infinite only since its square is."""
    return torch._foreach_norm(tensors, 2, None if suspects is None else torch.float64) if tensors else ()


def _loss(running: Running, result: Any, batch: Batch, statistics: Statistics) -> tuple[Loss, torch.Tensor | None]:
    """The loss, and its value; None where no output has a gradient."""
    loss = running.loss(result, batch)
    if loss.made_up and not statistics.differentiated and (cut := running.cut(result)) is not None:
        return cut
    try:
        return loss, loss.of(result)
    except Unavailable:
        if not loss.made_up:
            raise
        return loss, None


def _differentiated(
    total: torch.Tensor | None, weights: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor | None], str]:
    """The gradients, and what the backward pass raised: then there are none."""
    try:
        return _gradients(total, weights), ""
    except Exception as error:  # code of the user's
        on_gpu = total is not None and total.is_cuda
        if out_of_memory(error) or (on_gpu and of_the_gpu(error)):
            raise
        return dict.fromkeys(weights), why(error)


def _gradients(total: torch.Tensor | None, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor | None]:
    """Of each parameter; of a step that has called `backward` itself, what that has left. Raises as `backward` would
    for a loss without gradient."""
    left = {name: weight.grad for name, weight in weights.items()}
    if total is None or not weights or any(grad is not None for grad in left.values()):
        return left
    return dict(zip(weights, torch.autograd.grad(total, list(weights.values()), allow_unused=True), strict=True))


def _weights(
    weights: Mapping[str, torch.Tensor], grad_norms: Mapping[str, float], norms: Sequence[float]
) -> tuple[WeightSeen, ...]:
    found = []
    for (name, weight), norm in zip(weights.items(), norms, strict=True):
        root = max(weight.numel(), 1) ** 0.5
        grad = grad_norms.get(name)
        found.append(WeightSeen(name, norm / root, None if grad is None else grad / root))
    return tuple(found)


def _ends(tensor: torch.Tensor) -> Sequence[torch.Tensor]:
    """Least and largest element."""
    if not tensor.numel() or tensor.is_complex() or tensor.layout is not torch.strided:
        return [torch.full((), torch.nan, device=tensor.device)] * 2
    return torch.aminmax(tensor.detach())


def _extremes(running: Running, numbers: Sequence[float]) -> dict[Value, tuple[float, float]]:
    """By input of the graph, where it is clear which tensor that is."""
    inputs = running.graph.inputs
    if len(numbers) != 2 * len(inputs):
        return {}
    return dict(zip(inputs, zip(numbers[::2], numbers[1::2], strict=True), strict=True))


def _first(found: Mapping[Value, torch.Tensor], batch: Batch, running: Running) -> Iterator[tuple[Value, torch.Tensor]]:
    """The first samples of outputs with a batch axis."""
    for value, tensor in found.items():
        axis = running.axis(value) or 0
        if tensor.dim() > 1 and tensor.shape[axis] == batch.samples and tensor.numel():
            yield value, tensor.movedim(axis, 0)[:KEPT_SAMPLES].flatten(1)[:, :KEPT_NUMBERS]
