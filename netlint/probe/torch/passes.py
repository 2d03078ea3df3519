"""One forward and one backward pass, with the statistics of every value that the graph and the run share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from netlint.graph import Value
from netlint.probe.observed import Passes, WeightSeen

from .data import Batch
from .losses import Loss
from .running import Running, gradients, parameters
from .statistics import Statistics

if TYPE_CHECKING:
    from netlint.probe.observed import Floats

_KEPT_NUMBERS = 1 << 12
"""Numbers of each sample of an output that are kept."""
_KEPT_SAMPLES = 16


def passes(running: Running) -> Passes:
    """Run once; where numbers are missing or infinite, once more with care."""
    found, suspect = _once(running, careful=False)
    return _once(running, careful=True)[0] if suspect else found


def _once(running: Running, careful: bool) -> tuple[Passes, bool]:
    statistics = Statistics(careful)
    with running.lent():
        weights = _in_order(running)
        batch = running.batch.on(running.device)
        with running.source.followed(running.graph, statistics.see, batch.samples) as followed:
            result = running(batch)
        loss, total = _loss(running, result)
        grads = _gradients(total, weights)
        norms = statistics.add(_norms([weight.detach() for weight in weights.values()], careful))
        arrived = [name for name, grad in grads.items() if grad is not None]
        grad_norms = statistics.add(_norms([grads[name] for name in arrived], careful))
        inputs = statistics.add([end for tensor in batch.tensors() for end in _ends(tensor)])
        last = statistics.add([total.detach()] if total is not None else [])
        outputs = _outputs(statistics.outputs, batch)
        statistics.close()
        numbers = statistics.fetch()
    seen = statistics.seen(numbers)
    total_number = float(numbers[last][0]) if total is not None else None
    found = Passes(
        setup=running.setup(loss if total is not None else None),
        seen=seen,
        weights=_weights(weights, arrived, numbers[norms], numbers[grad_norms]),
        loss=total_number if total_number is not None and not loss.made_up else None,
        inputs=_extremes(running, numbers[inputs]),
        targets=loss.targets() if loss.targets is not None else None,
        outputs=outputs,
    )
    if followed.lost and not careful:
        running.notes.append(f"not all of the run could be followed: {followed.lost}")
        found = _noted(found, running)
    return found, not _all_finite(numbers) and not careful


def _in_order(running: Running) -> dict[str, torch.nn.Parameter]:
    """The parameters that training moves, in the order in which they are used."""
    place = {name: at for at, name in enumerate(running.source.order())}
    found = parameters(running.model)
    return dict(sorted(found.items(), key=lambda entry: place.get(entry[0], len(place))))


def _norms(tensors: list[Any], careful: bool) -> Any:
    """Euclidean norms; with care none is infinite only since its square is."""
    return [] if not tensors else torch._foreach_norm(tensors, 2, torch.float64 if careful else None)


def _noted(found: Passes, running: Running) -> Passes:
    from dataclasses import replace

    return replace(found, setup=replace(found.setup, notes=tuple(running.notes)))


def _all_finite(numbers: Floats) -> bool:
    return bool(np.isfinite(numbers).all())


def _loss(running: Running, result: Any) -> tuple[Loss, torch.Tensor | None]:
    """The loss, and its value; None where no output has a gradient."""
    from netlint.analysis import Unavailable

    loss = running.loss(result)
    try:
        return loss, loss.of(result)
    except Unavailable:
        if not loss.made_up:
            raise
        return loss, None


def _gradients(total: torch.Tensor | None, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor | None]:
    """Of each parameter; of a step that has called `backward` itself, what that has left."""
    left = {name: weight.grad for name, weight in weights.items()}
    if total is None or any(grad is not None for grad in left.values()):
        return left
    return dict(zip(weights, gradients(total, list(weights.values())), strict=True))


def _weights(
    weights: Mapping[str, torch.Tensor], arrived: list[str], norms: Floats, grad_norms: Floats
) -> tuple[WeightSeen, ...]:
    by_name = dict(zip(arrived, grad_norms, strict=True))
    found = []
    for (name, weight), norm in zip(weights.items(), norms, strict=True):
        root = max(weight.numel(), 1) ** 0.5
        grad = by_name.get(name)
        found.append(WeightSeen(name, float(norm) / root, None if grad is None else float(grad) / root))
    return tuple(found)


def _ends(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Least and largest element."""
    if not tensor.numel() or tensor.is_complex():
        return torch.full((), torch.nan), torch.full((), torch.nan)
    lo, hi = torch.aminmax(tensor.detach())
    return lo, hi


def _extremes(running: Running, numbers: Floats) -> dict[Value, tuple[float, float]]:
    """By input of the graph, where it is clear which tensor that is."""
    pairs = numbers.reshape(-1, 2)
    inputs = running.graph.inputs
    if len(pairs) != len(inputs):
        return {}
    return {value: (float(lo), float(hi)) for value, (lo, hi) in zip(inputs, pairs, strict=True)}


def _outputs(found: Mapping[Value, torch.Tensor], batch: Batch) -> dict[Value, Floats]:
    """Of outputs with a batch axis the first samples."""
    return {
        value: tensor[:_KEPT_SAMPLES].flatten(1)[:, :_KEPT_NUMBERS].cpu().double().numpy()
        for value, tensor in found.items()
        if tensor.dim() > 1 and tensor.shape[0] == batch.samples and tensor.numel()
    }
