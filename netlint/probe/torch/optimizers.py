"""Plain optimizers: those of torch import its compiler first, which takes longer than a whole probe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch


class Optimizer(Protocol):
    """Moves weights against their gradients."""

    rate: float

    def step(self, grads: Sequence[torch.Tensor | None]) -> None: ...


class Adam:
    """As in Kingma and Ba, 2014, with the usual constants."""

    def __init__(self, weights: Sequence[torch.Tensor], rate: float) -> None:
        self.rate = rate
        self._weights = weights
        self._mean = [torch.zeros_like(weight) for weight in weights]
        self._square = [torch.zeros_like(weight) for weight in weights]
        self._steps = 0

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, grads: Sequence[torch.Tensor | None]) -> None:
        """One step of all weights that have a gradient."""
        self._steps += 1
        shrunk = 1 - 0.9**self._steps, 1 - 0.999**self._steps
        for weight, grad, mean, square in zip(self._weights, grads, self._mean, self._square, strict=True):
            if grad is not None:
                mean.lerp_(grad, 0.1)
                square.mul_(0.999).addcmul_(grad, grad, value=0.001)
                weight.addcdiv_(mean, (square / shrunk[1]).sqrt_().add_(1e-8), value=-self.rate / shrunk[0])


class Momentum:
    """Stochastic gradient descent with a momentum of 0.9."""

    def __init__(self, weights: Sequence[torch.Tensor], rate: float) -> None:
        self.rate = rate
        self._weights = weights
        self._speed = [torch.zeros_like(weight) for weight in weights]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, grads: Sequence[torch.Tensor | None]) -> None:
        """One step of all weights that have a gradient."""
        for weight, grad, speed in zip(self._weights, grads, self._speed, strict=True):
            if grad is not None:
                weight.add_(speed.mul_(0.9).add_(grad), alpha=-self.rate)


OPTIMIZERS: dict[str, Callable[[Sequence[torch.Tensor], float], Optimizer]] = {
    "adam": Adam,
    "adamw": Adam,
    "sgd": Momentum,
}
"""By the contract's names; weight decay makes no difference in a few steps."""
