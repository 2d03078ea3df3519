"""More pairs of a fault and its repair: branches that are cut off, samples that mix, modes that differ."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tests.pairs_probe import CLASSIFY, REGRESS, pair


class Split(nn.Module):
    """An encoder and a head; what is between them, and the mode of the encoder, decides."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.encoder, self.head = nn.Linear(24, 48), nn.Linear(48, 6)


@pair("PRB003", "encoder", (16, 24), CLASSIFY)
class BackboneWithoutGradient(Split):
    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(not self.fault):
            code = self.encoder(x)
        return self.head(torch.relu(code))


@pair("PRB003", "encoder", (16, 24), CLASSIFY)
class NearestCode(nn.Module):
    """The row of a table that is nearest, which has no gradient by itself."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.encoder, self.codes, self.head = nn.Linear(24, 32), nn.Embedding(16, 32), nn.Linear(32, 6)

    def forward(self, x: Tensor) -> Tensor:
        code = torch.relu(self.encoder(x))
        row = self.codes(torch.cdist(code, self.codes.weight).argmin(1))
        return self.head(row if self.fault else code + (row - code).detach())


@pair("PRB003", "first", (16, 24), CLASSIFY)
class OneOfTwoBranchesDetached(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.first, self.then, self.second = nn.Linear(24, 48), nn.Linear(48, 48), nn.Linear(24, 48)
        self.head = nn.Linear(96, 6)

    def forward(self, x: Tensor) -> Tensor:
        one = torch.relu(self.first(x))
        one = self.then(one.detach() if self.fault else one)
        return self.head(torch.cat([one, torch.relu(self.second(x))], 1))


@pair("PRB009", "ReduceL2", (8, 24), CLASSIFY)
class CentredOverTheBatch(Split):
    def forward(self, x: Tensor) -> Tensor:
        code = torch.relu(self.encoder(x))
        return self.head(F.normalize(code, dim=0 if self.fault else 1) * 4)


@pair("PRB009", "head", (8, 24), CLASSIFY)
class StatisticsOfTheBatchInUse(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(24, 64), nn.BatchNorm1d(64, track_running_stats=not fault)
        self.head = nn.Linear(64, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.layer(x))))


class WrongSign(torch.autograd.Function):
    """SiLU; one of the terms of its derivative has the wrong sign."""

    sign = -1.0

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @classmethod
    def backward(cls, ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        gate = torch.sigmoid(x)
        return grad * gate * (1 + cls.sign * x * (1 - gate))


class RightSign(WrongSign):
    sign = 1.0


@pair("PRB008", "WrongSign", (16, 24), CLASSIFY)
class BackwardOfTheWrongSign(Split):
    def forward(self, x: Tensor) -> Tensor:
        return self.head((WrongSign if self.fault else RightSign).apply(self.encoder(x)))


@pair("PRB008", "head", (16, 24), CLASSIFY)
class WrittenOver(Split):
    """What the exponential keeps for its backward pass is changed in place."""

    def forward(self, x: Tensor) -> Tensor:
        code = torch.exp(-self.encoder(x).abs())
        if self.fault:
            code += 1
        return self.head(code)


@pair("PRB005", "Sqrt", (16, 24), CLASSIFY, also=("PRB003", "PRB007"))
class RootBehindWhere(Split):
    """`where` hides the values that are no numbers, and not their gradients."""

    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        root = torch.sqrt(code if self.fault else code.clamp(min=1e-6))
        return self.head(torch.where(code > 0, root, torch.zeros_like(root)))


@pair("PRB012", "head", (16, 24), CLASSIFY)
class DropoutThatIsNeverOff(Split):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.dropout(torch.relu(self.encoder(x)), 0.5, self.fault or self.training))


@pair("PRB012", "head", (16, 24), CLASSIFY)
class AnotherActivationInUse(Split):
    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        return self.head(torch.tanh(code * 3) if self.fault and not self.training else torch.relu(code))


@pair("PRB007", "Clip", (16, 24), CLASSIFY)
class LogitsWithoutRoom(Split):
    def forward(self, x: Tensor) -> Tensor:
        logits = self.head(torch.relu(self.encoder(x)))
        return logits.clamp(-0.05, 0.05) if self.fault else logits.clamp(-30, 30)


@pair("PRB004", "step", (8, 30, 10), CLASSIFY, also=("PRB006", "PRB005"))
class LinearRecurrence(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.enter, self.step, self.head = nn.Linear(10, 32), nn.Linear(32, 32, bias=False), nn.Linear(32, 6)
        nn.init.orthogonal_(self.step.weight, gain=2.0 if fault else 1.0)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(x.shape[0], 32)
        for at in range(x.shape[1]):
            state = self.enter(x[:, at]) * 0.2 + self.step(state)
        return self.head(state)


@pair("PRB011", "head", (32, 24), {**REGRESS, "optimizer": "adam", "lr": "1e-9"}, twin={"lr": "0.001"})
class RateThatMovesNothing(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(24, 48), nn.Linear(48, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.hidden(x)))
