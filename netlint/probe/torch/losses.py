"""What gradients are of: the loss of the training step, the one that is named, or a made-up one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from netlint.analysis import Unavailable
from netlint.training import Known, Training

from .targets import Targets

NEEDED = "needs a loss: --loss, or a training step: --step"

MADE_UP = "made up: a fixed random projection of the outputs"


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss of what one run returned."""

    name: str
    of: Callable[[Any], torch.Tensor]
    made_up: bool = False
    targets: Callable[[], tuple[float, float] | None] | None = None
    """Mean and deviation of the targets once it was computed; None of classes."""
    least: Callable[[], float] = lambda: 0.0
    """What a perfect model would reach."""


def floats(result: Any) -> Iterator[torch.Tensor]:
    """The real floating-point tensors in what a model returns, in order."""
    if isinstance(result, torch.Tensor):
        if result.is_floating_point():
            yield result
    elif isinstance(result, Mapping):
        for item in result.values():
            yield from floats(item)
    elif isinstance(result, tuple | list):
        for item in result:
            yield from floats(item)
    elif hasattr(result, "__dict__"):
        yield from (
            item for item in vars(result).values() if isinstance(item, torch.Tensor) and item.is_floating_point()
        )


def returned(result: Any) -> torch.Tensor | None:
    """The loss that a training step, or a model with labels, returns; None where there is none."""
    for name in ("loss", "total_loss"):
        found = result.get(name) if isinstance(result, Mapping) else getattr(result, name, None)
        if isinstance(found, torch.Tensor) and found.numel() == 1 and found.is_floating_point():
            return found.reshape(())
    scalars = [tensor for tensor in floats(result) if tensor.dim() == 0 and tensor.requires_grad]
    return scalars[0] if scalars else None


def prediction(result: Any) -> torch.Tensor | None:
    """What a loss reads of the outputs."""
    logits = getattr(result, "logits", None)
    return logits if isinstance(logits, torch.Tensor) else next(floats(result), None)


class Projection:
    """A number that depends on every output: each times a fixed random number, summed, per sample."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._weights: list[torch.Tensor] = []

    def __call__(self, result: Any) -> torch.Tensor:
        """Raises `Unavailable` where no output has a gradient."""
        outputs = [tensor for tensor in floats(result) if tensor.requires_grad]
        if not outputs:
            raise Unavailable("no output depends on a parameter by a gradient")
        if [weights.shape for weights in self._weights] != [tensor.shape for tensor in outputs]:
            self._weights = list(random_like(outputs, self._seed))
        parts = [
            (tensor * weights).sum() / max(tensor.shape[0] if tensor.dim() else 1, 1)
            for tensor, weights in zip(outputs, self._weights, strict=True)
        ]
        return sum(part.to(parts[0].device, parts[0].dtype) for part in parts)  # type: ignore[return-value]


def random_like(tensors: Iterable[torch.Tensor], seed: int) -> Iterator[torch.Tensor]:
    """Normally distributed numbers beside each: the same ones on every device."""
    generator = torch.Generator()
    generator.manual_seed(seed)
    for tensor in tensors:
        yield torch.randn(tensor.shape, generator=generator).to(tensor.device, tensor.dtype)


def _by_class(function: Callable[..., torch.Tensor]) -> Callable[[torch.Tensor, Targets], torch.Tensor]:
    def of(output: torch.Tensor, targets: Targets) -> torch.Tensor:
        output = targets.with_classes_second(output)
        return function(output, targets.classes(output))

    return of


def _categorical(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of probabilities."""
    return F.nll_loss(output.clamp_min(1e-7).log(), targets)


def _on_values(function: Callable[..., torch.Tensor]) -> Callable[[torch.Tensor, Targets], torch.Tensor]:
    return lambda output, targets: function(output, targets.values(output))


def _on_flags(function: Callable[..., torch.Tensor]) -> Callable[[torch.Tensor, Targets], torch.Tensor]:
    return lambda output, targets: function(output, targets.flags(output))


_FUNCTIONS: dict[str, Callable[[torch.Tensor, Targets], torch.Tensor]] = {
    "cross_entropy": _by_class(F.cross_entropy),
    "nll_loss": _by_class(F.nll_loss),
    "categorical_cross_entropy": _by_class(_categorical),
    "multi_margin_loss": _by_class(F.multi_margin_loss),
    "binary_cross_entropy": _on_flags(F.binary_cross_entropy),
    "binary_cross_entropy_with_logits": _on_flags(F.binary_cross_entropy_with_logits),
    "multilabel_soft_margin_loss": _on_flags(F.multilabel_soft_margin_loss),
    "soft_margin_loss": lambda output, targets: F.soft_margin_loss(output, targets.flags(output) * 2 - 1),
    "hinge_embedding_loss": lambda output, targets: F.hinge_embedding_loss(output, targets.flags(output) * 2 - 1),
    "mse_loss": _on_values(F.mse_loss),
    "l1_loss": _on_values(F.l1_loss),
    "smooth_l1_loss": _on_values(F.smooth_l1_loss),
    "huber_loss": _on_values(F.huber_loss),
    "kl_div": lambda output, targets: F.kl_div(output, targets.distribution(output), reduction="batchmean"),
    "poisson_nll_loss": lambda output, targets: F.poisson_nll_loss(output, targets.values(output).abs().round()),
}
"""By the contract's name. What is missing takes more than a prediction and a target."""


def named(training: Training, targets: Targets) -> Loss | None:
    """The loss that the contract names, with targets that fit; None where it names none that can be made."""
    stated = training.loss
    if not isinstance(stated, Known) or (function := _FUNCTIONS.get(stated.value.name)) is None:
        return None

    def of(result: Any) -> torch.Tensor:
        output = prediction(result)
        if output is None or not output.dim():
            raise Unavailable(f"{stated.value.name} has no prediction to read: the model returns none")
        return function(output, targets)

    return Loss(f"{stated.value.name} (from {stated.origin})", of, targets=targets.moments)
