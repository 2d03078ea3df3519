"""Activation functions on plain numbers, as their limits at infinity."""

from __future__ import annotations

import math

from .interval import INF


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def softsign(x: float) -> float:
    return math.copysign(1.0, x) if math.isinf(x) else x / (1 + abs(x))


def gelu(x: float) -> float:
    return INF if x == INF else 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


def gelu_tanh(x: float) -> float:
    return INF if x == INF else 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def mish(x: float) -> float:
    return INF if x == INF else x * math.tanh(softplus(x))


def hard_swish(x: float) -> float:
    return INF if x == INF else x * min(max(x / 6 + 0.5, 0), 1)
