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
        weights, given, means, squares = _moved(grads, self._weights, self._mean, self._square)
        if not given:
            return
        torch._foreach_lerp_(means, given, 0.1)
        torch._foreach_mul_(squares, 0.999)
        torch._foreach_addcmul_(squares, given, given, 0.001)
        roots = torch._foreach_div(squares, shrunk[1])
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, 1e-8)
        torch._foreach_addcdiv_(weights, means, roots, -self.rate / shrunk[0])


class Momentum:
    """Stochastic gradient descent with a momentum of 0.9."""

    def __init__(self, weights: Sequence[torch.Tensor], rate: float) -> None:
        self.rate = rate
        self._weights = weights
        self._speed = [torch.zeros_like(weight) for weight in weights]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, grads: Sequence[torch.Tensor | None]) -> None:
        """One step of all weights that have a gradient."""
        weights, given, speeds = _moved(grads, self._weights, self._speed)
        if not given:
            return
        torch._foreach_mul_(speeds, 0.9)
        torch._foreach_add_(speeds, given)
        torch._foreach_add_(weights, speeds, alpha=-self.rate)


def _moved(
    grads: Sequence[torch.Tensor | None], weights: Sequence[torch.Tensor], *states: Sequence[torch.Tensor]
) -> list[list[torch.Tensor]]:
    """Weights, gradients and states of the weights that have a gradient: all of them move in a few kernels."""
    places = [place for place, grad in enumerate(grads) if grad is not None]
    columns = (weights, grads, *states)
    return [[column[place] for place in places] for column in columns]  # type: ignore[misc]


OPTIMIZERS: dict[str, Callable[[Sequence[torch.Tensor], float], Optimizer]] = {
    "adam": Adam,
    "adamw": Adam,
    "sgd": Momentum,
}
"""By the contract's names; weight decay makes no difference in a few steps."""
