"""Pairs of a fault and its repair in other styles: functional code, outputs by name, training steps, layers of torch's
own that are set up wrongly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tests.pairs_probe import CLASSIFY, REGRESS, pair


class Styled(nn.Module):
    """An encoder and a head of one's own; what is between them decides."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.encoder, self.head = nn.Linear(18, 40), nn.Linear(40, 6)


# -- Functional code


@pair("PRB001", "Relu", (32, 18), CLASSIFY, also=("PRB003", "PRB007", "PRB010"))
class DeadByABiasOfItsOwn(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(18, 40) * 18**-0.5)
        self.b = nn.Parameter(torch.full((40,), -6.0 if fault else 0.0))
        self.out = nn.Parameter(torch.randn(40, 6) * 40**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x @ self.w + self.b) @ self.out


@pair("PRB002", "Sigmoid", (32, 18), CLASSIFY, also=("PRB003",))
class SigmoidsThatAreAllOpen(Styled):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.sigmoid(self.encoder(x) + (9.0 if self.fault else 0.0)))


@pair("PRB003", "Gemm", (16, 18), CLASSIFY)
class WeightTakenWithoutItsHistory(Styled):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.encoder.weight.data if self.fault else self.encoder.weight
        bias = self.encoder.bias.data if self.fault else self.encoder.bias
        return self.head(F.gelu(F.linear(x, weight, bias)))


class Silent(nn.Module):
    """A branch beside a shortcut."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.inner, self.outer = nn.Linear(40, 40), nn.Linear(40, 40)

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.fault):
            return self.outer(F.silu(self.inner(x)))


@pair("PRB003", "branch", (16, 18), CLASSIFY)
class BranchThatNeverLearns(Styled):
    def __init__(self, fault: bool) -> None:
        super().__init__(fault)
        self.branch = Silent(fault)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        code = self.encoder(x)
        return {"logits": self.head(code + self.branch(code))}


@pair("PRB008", "head", (16, 18), CLASSIFY)
class EntryWrittenOver(Styled):
    def forward(self, x: Tensor) -> Tensor:
        code = torch.tanh(self.encoder(x))
        if self.fault:
            code[:, 0] = 1.0
        return self.head(code)


# -- Outputs by name


@pair("PRB007", "Softmax", (16, 18), CLASSIFY)
class ProbabilitiesCalledLogits(Styled):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        code = F.gelu(self.encoder(x))
        logits = self.head(code)
        return {"logits": F.softmax(logits, -1) if self.fault else logits, "code": code}


@pair("PRB006", "head", (64, 18), CLASSIFY)
class TemperatureUpsideDown(Styled):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = torch.relu(self.encoder(x))
        logits = self.head(code)
        return (logits / 0.01 if self.fault else logits / 1.0), code


# -- Functions with a backward pass of their own


class Scale(torch.autograd.Function):
    """Twice its input; the gradient of what comes behind it is forgotten."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.sinh(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.ones_like(grad)


@pair("PRB008", "Scale", (16, 18), CLASSIFY)
class BackwardWithoutTheChainRule(Styled):
    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        return self.head(Scale.apply(code) if self.fault else torch.sinh(code))


class Product(torch.autograd.Function):
    """The gradients of the two factors are exchanged."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return a * b

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        a, b = ctx.saved_tensors
        return grad * a, grad * b


@pair("PRB008", "Product", (16, 18), CLASSIFY)
class BackwardWithFactorsExchanged(Styled):
    def __init__(self, fault: bool) -> None:
        super().__init__(fault)
        self.gate = nn.Linear(18, 40)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.encoder(x), torch.sigmoid(self.gate(x))
        return self.head(Product.apply(one, two) if self.fault else one * two)


class NoWayBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> None:
        return None


@pair("PRB003", "encoder", (16, 18), CLASSIFY)
class BackwardThatGivesNothing(Styled):
    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        return self.head(NoWayBack.apply(code) if self.fault else code.clamp(min=0))


# -- Samples that mix


@pair("PRB009", "LayerNormalization", (8, 18), CLASSIFY)
class LayerNormOfTheTransposed(Styled):
    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        wrong, right = F.layer_norm(code.t(), code.shape[:1]).t(), F.layer_norm(code, code.shape[1:])
        code = wrong if self.fault else right
        return self.head(torch.relu(code))


@pair("PRB009", "CumSum", (8, 5, 18), CLASSIFY)
class SummedUpOverTheBatch(Styled):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.encoder(x)).cumsum(0 if self.fault else 1)[:, -1])


@pair("PRB009", "Reshape", (8, 5, 18), CLASSIFY)
class FlattenedAfterATranspose(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.inner, self.head = nn.Linear(90, 40), nn.Linear(40, 6)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.transpose(0, 1).reshape(x.shape[0], -1) if self.fault else x.reshape(x.shape[0], -1)
        return self.head(torch.relu(self.inner(rows)))


# -- Attention and recurrence


@pair("PRB002", "attention", (8, 7, 16), CLASSIFY)
class QueriesFarTooLarge(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(16, 6)
        with torch.no_grad():
            self.attention.in_proj_weight[:32] *= 12.0 if fault else 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attention(x, x, x)[0].mean(1))


@pair("PRB002", "Attention", (8, 7, 16), CLASSIFY)
class ScaledTheWrongWay(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.qkv, self.head = nn.Linear(16, 48), nn.Linear(16, 6)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        found = F.scaled_dot_product_attention(q, k, v, scale=16.0 * 4 if self.fault else 0.25)
        return self.head(found.mean(1))


@pair("PRB004", "cell", (8, 30, 12), REGRESS, also=("PRB006", "PRB007", "PRB011"))
class RecurrentLayerThatExplodes(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.cell, self.head = nn.RNN(12, 24, nonlinearity="relu", batch_first=True), nn.Linear(24, 1)
        nn.init.orthogonal_(self.cell.weight_hh_l0, gain=3.5 if fault else 1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


# -- Two modes


@pair("PRB012", "head", (16, 18), CLASSIFY)
class DropoutSwitchedOnAgain(Styled):
    def __init__(self, fault: bool) -> None:
        super().__init__(fault)
        self.drop = nn.Dropout(0.4)

    def forward(self, x: Tensor) -> Tensor:
        if self.fault:
            self.drop.train()
        return self.head(self.drop(F.gelu(self.encoder(x))))


@pair("PRB012", "head", (16, 18), CLASSIFY)
class AlmostAllIsDropped(Styled):
    def forward(self, x: Tensor) -> Tensor:
        code = F.gelu(self.encoder(x))
        return self.head(F.dropout(code, 0.95 if self.fault else 0.1, self.training))


@pair("PRB012", "head", (32, 18), CLASSIFY)
class StatisticsForgottenAtOnce(Styled):
    """A momentum that says in other libraries how much is kept."""

    def __init__(self, fault: bool) -> None:
        super().__init__(fault)
        self.norm = nn.BatchNorm1d(40, momentum=0.99 if fault else None)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.encoder(x))))


# -- What training moves


@pair("PRB007", "head", (16, 18), CLASSIFY)
class AllFrozenButABias(Styled):
    def __init__(self, fault: bool) -> None:
        super().__init__(fault)
        self.requires_grad_(False)
        self.head.bias.requires_grad_(True)
        self.head.weight.requires_grad_(not fault)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.gelu(self.encoder(x)))


@pair("PRB003", "encoder", (16, 18), CLASSIFY)
class GradientThrownAway(Styled):
    def forward(self, x: Tensor) -> Tensor:
        code = F.gelu(self.encoder(x))
        if self.fault and code.requires_grad:
            code.register_hook(lambda grad: grad.clamp(-1e-12, 1e-12))
        return self.head(code)


@pair("PRB005", "Pow", (16, 18), CLASSIFY, also=("PRB003", "PRB007"))
class RootAtZero(Styled):
    def forward(self, x: Tensor) -> Tensor:
        code = torch.relu(self.encoder(x)) * (torch.arange(40) % 5 > 0)
        return self.head((code if self.fault else code + 0.01) ** 0.5)


@pair("PRB005", "Div", (16, 18), CLASSIFY, also=("PRB003", "PRB007"))
class MeanOfNothing(Styled):
    """Of what lies above a bound, which nothing need."""

    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        above = (code > (50.0 if self.fault else -50.0)).float()
        return self.head(code * 0.1 + (code * above).sum(1, keepdim=True) / above.sum(1, keepdim=True))


@pair("PRB010", "head", (16, 18), CLASSIFY, also=("PRB003", "PRB007"))
class TwoLayersOfZeros(Styled):
    def __init__(self, fault: bool) -> None:
        super().__init__(fault)
        for layer in (self.encoder, self.head) if fault else (self.head,):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.encoder(x)))


@pair("PRB010", "head", (16, 18), CLASSIFY, also=("PRB003", "PRB006", "PRB007"))
class AveragedOverWhatVaries(Styled):
    """The softmax is over an axis of one."""

    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        share = code.unsqueeze(1).softmax(1 if self.fault else 2).squeeze(1)
        return self.head(share * 40)
