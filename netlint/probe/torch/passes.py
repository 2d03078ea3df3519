"""One forward and one backward pass, with the statistics of every value that the graph and the run share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from netlint.analysis import Unavailable
from netlint.graph import Value
from netlint.probe.observed import KEPT_NUMBERS, KEPT_SAMPLES, Passes, Seen, WeightSeen

from .data import Batch
from .devices import of_the_gpu, out_of_memory
from .heaps import Numbers, Place
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
        ran = _run(running, statistics)
        asked = _asked(running, ran, statistics, suspects)
        statistics.close()
        numbers = statistics.fetch()
    found = _found(running, ran, asked, numbers, statistics.seen(numbers))
    odd = statistics.suspects(numbers)
    finite = np.isfinite([*numbers.each(asked.norms), *numbers.each(asked.grads)]).all()
    return found, odd if suspects is None and (odd or not finite) else None


@dataclass(frozen=True, slots=True)
class _Ran:
    """A run, and what is left of it on the device."""

    batch: Batch
    weights: Mapping[str, torch.Tensor]
    """That training moves, in the order of use."""
    grads: Mapping[str, torch.Tensor]
    """Of those at which one arrived."""
    loss: Loss
    total: torch.Tensor | None
    """The value of the loss; None where no output has a gradient."""
    raised: str
    """What the backward pass raised."""
    lost: str
    """Why not all of the run could be followed."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """Where the numbers will be that are fetched beside the statistics."""

    norms: Sequence[Place]
    grads: Sequence[Place]
    ends: Sequence[Place]
    """Two for each input."""
    total: Sequence[Place]
    outputs: Mapping[Value, tuple[torch.Size, Place]]


def _run(running: Running, statistics: Statistics) -> _Ran:
    weights = _in_order(running)
    batch = running.batch.on(running.device)
    with running.source.followed(running.graph, statistics.see, batch.samples) as followed:
        result = running(batch)
    loss, total = _loss(running, result, batch, statistics)
    grads, raised = _differentiated(None if statistics.differentiated else total, weights)
    arrived = {name: grad for name, grad in grads.items() if grad is not None}
    return _Ran(batch, weights, arrived, loss, total, raised, followed.lost)


def _asked(running: Running, ran: _Ran, statistics: Statistics, suspects: Sequence[Value] | None) -> _Asked:
    outputs = dict(_first(statistics.outputs, ran.batch, running))
    return _Asked(
        norms=statistics.add(_norms([weight.detach() for weight in ran.weights.values()], suspects)),
        grads=statistics.add(_norms(list(ran.grads.values()), suspects)),
        ends=statistics.add([end for tensor in ran.batch.tensors() for end in _ends(tensor)]),
        total=statistics.add([ran.total.detach()] if ran.total is not None else []),
        outputs={
            value: (out.shape, place)
            for (value, out), place in zip(outputs.items(), statistics.add(list(outputs.values())), strict=True)
        },
    )


def _found(running: Running, ran: _Ran, asked: _Asked, numbers: Numbers, seen: Mapping[Value, Seen]) -> Passes:
    setup = running.setup(ran.loss if ran.total is not None else None)
    notes = [f"not all of the run could be followed: {ran.lost}"] if ran.lost else []
    notes += [f"the backward pass raises {ran.raised}"] if ran.raised else []
    total = numbers.each(asked.total)
    return Passes(
        setup=replace(setup, notes=(*setup.notes, *notes)),
        seen=seen,
        weights=_weights(ran, numbers.each(asked.norms), numbers.each(asked.grads)),
        loss=total[0] if total and not ran.loss.made_up else None,
        inputs=_extremes(running, numbers.each(asked.ends)),
        targets=ran.loss.targets() if ran.loss.targets is not None else None,
        outputs={value: numbers.at(place).reshape(shape) for value, (shape, place) in asked.outputs.items()},
        whole=not ran.lost,
        raised=ran.raised if not ran.loss.made_up and running.is_training else "",
    )


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


def _weights(ran: _Ran, norms: Sequence[float], grad_norms: Sequence[float]) -> tuple[WeightSeen, ...]:
    arrived = dict(zip(ran.grads, grad_norms, strict=True))
    found = []
    for (name, weight), norm in zip(ran.weights.items(), norms, strict=True):
        root = max(weight.numel(), 1) ** 0.5
        grad = arrived.get(name)
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
