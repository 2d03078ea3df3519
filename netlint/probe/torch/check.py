"""The gradients of the model's backward pass against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from netlint.analysis import Unavailable
from netlint.probe.observed import GradientCheck

from .data import Batch
from .kept import put, seeded
from .losses import Loss
from .running import Clock, Running, gradients, parameters
from .smaller import costly, smaller
from .undropped import undropped

SAMPLES = 3
GROUPS = 16
"""Parameters that are checked at most: the first ones used, the last, and between them evenly."""
STEP = 1e-5
"""Of the difference, relative to the size of what is moved."""
SMOOTH = 1e-3
"""Where the difference at half the step is another by this part, the function has a kink between."""
NOISE = 1e-9
"""Derivatives below this part of the loss are not told from rounding."""

INPUT = "input"


def gradient_check(running: Running) -> GradientCheck:
    """One direction for each of some parameters, and for the inputs."""
    clock = running.clock("gradient_check")
    with running.lent(dtype=torch.float64), undropped(running.model):
        few = smaller(running, SAMPLES, torch.float64)
        batch = few.on(running.device, torch.float64)
        inputs = _inputs(running, batch)
        weights = _some(parameters(running.model), GROUPS // 2 if costly(running, few) else GROUPS)
        loss = running.loss(running(batch), batch)
        function = _function(running, batch, loss)
        groups: dict[str, list[torch.Tensor]] = {INPUT: inputs} if inputs else {}
        groups |= {name: [weight] for name, weight in weights.items()}
        derivatives = _derivatives(function, groups, running.request.seed, clock)
    if len(derivatives) < len(groups):
        running.notes.append(f"{len(derivatives)} of {len(groups)} parameters told: the others have kinks or no slope")
    if not derivatives:
        raise Unavailable("the loss is flat, or has kinks, in every direction that was tried")
    return GradientCheck(running.setup(loss, few), derivatives)


def _inputs(running: Running, batch: Batch) -> list[torch.Tensor]:
    """The inputs to differentiate by; none where the model does not take any that have a gradient."""
    found = [tensor.requires_grad_() for tensor in batch.tensors() if tensor.is_floating_point()]
    try:
        running(batch.aside())
    except Exception:  # code of the user's: it may write into its inputs
        for tensor in found:
            tensor.requires_grad_(False)
        return []
    return found


def _some(weights: Mapping[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
    names = list(weights)
    if len(names) > count:
        names = [names[round(place * (len(names) - 1) / (count - 1))] for place in range(count)]
    return {name: weights[name] for name in names}


def _function(running: Running, batch: Batch, loss: Loss) -> Callable[[], torch.Tensor]:
    """The loss as a function of what the tensors hold now: the same random numbers each time."""
    buffers = list(running.model.buffers())
    first = [buffer.detach().clone() for buffer in buffers]

    def function() -> torch.Tensor:
        with torch.no_grad():
            put(buffers, first)
        seeded(running.request.seed, running.device)
        return loss.of(running(batch.aside())).double()

    return function


def _derivatives(
    function: Callable[[], torch.Tensor], groups: Mapping[str, list[torch.Tensor]], seed: int, clock: Clock
) -> dict[str, tuple[float, float]]:
    generator = torch.Generator()
    generator.manual_seed(seed)
    total = function()
    flat = [tensor for group in groups.values() for tensor in group]
    grads = iter(gradients(total, flat))
    analytic: dict[str, list[torch.Tensor | None]] = {
        name: [next(grads) for _ in group] for name, group in groups.items()
    }
    found: dict[str, tuple[float, float]] = {}
    floor = NOISE * (abs(float(total)) + 1e-3)
    for done, (name, group) in enumerate(groups.items()):
        clock.check(f"{done} of {len(groups)} parameters")
        direction = [_direction(tensor, generator) for tensor in group]
        slope = sum(float((g * d).sum()) for g, d in zip(analytic[name], direction, strict=True) if g is not None)
        numeric = _numeric(function, float(total), group, direction)
        if numeric is not None and max(abs(numeric), abs(slope)) > floor:
            found[name] = (float(slope), numeric)
    return found


def _direction(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random, as large as the tensor itself, so that one step suits all."""
    drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.device)
    size = float(tensor.detach().norm()) or 0.1 * tensor.numel() ** 0.5
    return drawn * (size / max(float(drawn.norm()), 1e-12))


def _numeric(
    function: Callable[[], torch.Tensor], here: float, group: list[torch.Tensor], direction: list[torch.Tensor]
) -> float | None:
    """The derivative by differences; None where the function is not smooth.

    A kink between the two ends changes the slope with the step; one at the very point, where weights of zero add
    nothing to the zeros of a ReLU, makes the slopes on its two sides differ.
    """
    slopes = []
    for step in (STEP, STEP / 2):
        above, below = _ends(function, group, direction, step)
        if abs(above + below - 2 * here) > SMOOTH * abs(above - below):
            return None
        slopes.append((above - below) / (2 * step))
    wide, narrow = slopes
    if abs(wide - narrow) > SMOOTH * max(abs(wide), abs(narrow)):
        return None
    return (4 * narrow - wide) / 3  # Richardson: the error in the square of the step cancels


def _ends(
    function: Callable[[], torch.Tensor], group: list[torch.Tensor], direction: list[torch.Tensor], step: float
) -> list[float]:
    """The function a step ahead and a step back."""
    kept = [tensor.data for tensor in group]
    ends = []
    for sign in (1.0, -1.0):
        for tensor, data, towards in zip(group, kept, direction, strict=True):
            tensor.data = data + (sign * step) * towards
        ends.append(float(function().detach()))
    for tensor, data in zip(group, kept, strict=True):
        tensor.data = data
    return ends
