"""Small models that the probe's tests run; also targets of the command line (`tests/probe_models.py:Mixed`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

RECORDED = 3
"""Samples that a recording is made with at most; a run has more."""


class Mixed(nn.Module):
    """Something of everything that is watched: convolution, norms, dropout, attention, an embedding of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(0.2)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 4)
        self.scale = torch.ones(8)
        self.calls = [0]

    def forward(self, x: Tensor) -> Tensor:
        self.calls[0] += 1
        held = torch.relu(self.norm(self.conv(x)))
        held = held + self.conv(x).relu_()
        rows = self.drop(held).flatten(2).transpose(1, 2) * self.scale
        rows, _ = self.mix(rows, rows, rows)
        return self.head(torch.tanh(rows.mean(1)))


class Mlp(nn.Module):
    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, width), nn.ReLU(), nn.Linear(width, width), nn.Sigmoid())
        self.head = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Leaking(Mlp):
    """Each sample's output depends on the whole batch."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.body(x)
        return self.head(hidden - hidden.mean(0))


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.layer = nn.Embedding(20, 16), nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 20)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.layer(self.table(ids)))


class Halved(torch.autograd.Function):
    """A square whose gradient is half of what it should be."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.saved_tensors[0]


class WrongGradient(Mlp):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(Halved.apply(self.body(x)))


class Failing(Mlp):
    def forward(self, x: Tensor) -> Tensor:
        result = super().forward(x)
        if len(x) > RECORDED:
            raise ValueError("no data today")
        return result


class Dying(Mlp):
    """Ends the process as soon as it is run for real."""

    def forward(self, x: Tensor) -> Tensor:
        result = super().forward(x)
        if len(x) > RECORDED:
            import os

            os._exit(7)
        return result


class Logarithm(Mlp):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(torch.relu(super().forward(x)))
