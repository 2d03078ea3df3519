"""Faults that only a run of the model shows, each beside its repaired twin.

Each pair is a small torch model in two versions that differ in the fault alone, the training contract under which it is
run, and the place at which the fault is to be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """One fault and its repair; `make(True)` builds the faulty model."""

    name: str
    code: str
    at: str
    """The module in which the fault is, or, without modules, the operator."""
    make: Callable[[bool], nn.Module]
    shape: tuple[int, ...]
    contract: dict[str, str]
    twin_contract: dict[str, str] = field(default_factory=dict)
    """What the repair changes in the contract."""
    also: frozenset[str] = frozenset()
    """Other rules of the probe that may speak of the same fault."""


PAIRS: list[Pair] = []
CLASSIFY = {"loss": "cross_entropy"}
REGRESS = {"loss": "mse_loss"}
DEAD = ("PRB003", "PRB007", "PRB010")
"""What else is true of a layer that is off as a whole."""


def pair(
    code: str,
    at: str,
    shape: tuple[int, ...],
    contract: dict[str, str],
    also: tuple[str, ...] = (),
    twin: dict[str, str] | None = None,
) -> Callable[[Callable[[bool], nn.Module]], Callable[[bool], nn.Module]]:
    """Register a function, or a class with the fault as its only argument, that builds both versions."""

    def register(make: Callable[[bool], nn.Module]) -> Callable[[bool], nn.Module]:
        stated = {"stage": "init", **contract}
        PAIRS.append(Pair(make.__name__, code, at, make, shape, stated, twin or {}, frozenset(also)))
        return make

    return register


def cases() -> Iterator[tuple[Pair, bool]]:
    """Every pair with and without its fault."""
    for one in PAIRS:
        yield one, True
        yield one, False


class Net(nn.Module):
    """A hidden layer, an activation, a head."""

    def __init__(self, width: int = 20, hidden: int = 64, out: int = 5, act: Any = torch.relu) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden)
        self.head = nn.Linear(hidden, out)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.hidden(x)))


class Stack(nn.Module):
    """Layers of one width, each with an activation, and a head."""

    def __init__(self, depth: int, act: Any, out: int, init: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(depth))
        self.head = nn.Linear(32, out)
        self.act = act
        for layer in self.layers:
            init(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.act(layer(x))
        return self.head(x)


# -- PRB001: dead units


@pair("PRB001", "act", (32, 20), CLASSIFY, also=DEAD)
def relu_dead_by_its_bias(fault: bool) -> nn.Module:
    net = Net(act=nn.ReLU())
    if fault:
        nn.init.constant_(net.hidden.bias, -10.0)
    return net


@pair("PRB001", "1", (32, 3, 16, 16), {**CLASSIFY, "input_range": "0..1"}, also=DEAD)
def filters_dead_by_negative_weights_on_pixels(fault: bool) -> nn.Module:
    conv = nn.Conv2d(3, 32, 3)
    if fault:
        nn.init.uniform_(conv.weight, -0.3, 0.05)
    return nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))


# -- PRB002: saturated units


@pair("PRB002", "act", (32, 20), CLASSIFY)
def tanh_saturated_by_the_scale_of_its_weights(fault: bool) -> nn.Module:
    net = Net(act=nn.Tanh())
    nn.init.normal_(net.hidden.weight, std=3.0 if fault else 0.2)
    return net


@pair("PRB002", "act", (32, 20), {**CLASSIFY, "input_range": "0..255"}, twin={"input_range": "0..1"})
def sigmoid_saturated_by_unscaled_pixels(fault: bool) -> nn.Module:
    return Net(act=nn.Sigmoid())


@pair("PRB002", "Softmax", (4, 16, 64), CLASSIFY)
class AttentionWithoutScale(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(64, 64) for _ in range(3))
        self.head = nn.Linear(64, 5)
        for layer in (self.q, self.k):
            nn.init.normal_(layer.weight, std=0.25)
        self.scale = 1.0 if fault else 1 / 64

    def forward(self, x: Tensor) -> Tensor:
        weights = (self.q(x) @ self.k(x).transpose(1, 2) * self.scale).softmax(-1)
        return self.head((weights @ self.v(x)).mean(1))


# -- PRB003: no gradient


@pair("PRB003", "layers.0", (16, 32), CLASSIFY, also=("PRB007", "PRB010", "PRB011"))
def fifty_layers_of_sigmoids(fault: bool) -> nn.Module:
    if fault:
        return Stack(50, torch.sigmoid, 5, nn.init.xavier_uniform_)
    return Stack(50, torch.relu, 5, lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"))


class Encoded(nn.Module):
    """An encoder and a head, and what is done to the code in between."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.encoder = nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.between(torch.relu(self.encoder(x))))


@pair("PRB003", "encoder", (16, 20), CLASSIFY)
def branch_detached(fault: bool) -> nn.Module:
    return Encoded(lambda code: code.detach() if fault else code)


@pair("PRB003", "encoder", (16, 20), CLASSIFY)
def code_taken_through_data(fault: bool) -> nn.Module:
    return Encoded(lambda code: code.data * 2 if fault else code * 2)


@pair("PRB003", "encoder", (16, 20), CLASSIFY)
class CopiedInPlace(nn.Module):
    """The code is written into a tensor that has no history, under no_grad."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.encoder = nn.Linear(20, 64)
        self.head = nn.Linear(64, 5)
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        code = torch.relu(self.encoder(x))
        if self.fault:
            with torch.no_grad():
                code = torch.zeros_like(code).copy_(code)
        return self.head(code)


# -- PRB004: explosion


@pair("PRB004", "layers", (16, 32), REGRESS, also=("PRB006", "PRB007", "PRB011"))
def deep_linear_network_explodes(fault: bool) -> nn.Module:
    return Stack(20, nn.Identity(), 1, lambda weight: nn.init.normal_(weight, std=0.6 if fault else 32**-0.5))


@pair("PRB004", "again", (8, 30, 16), REGRESS, also=("PRB006", "PRB007", "PRB011"))
class RecurrenceThatExplodes(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.enter, self.again = nn.Linear(16, 16), nn.Linear(16, 16, bias=False)
        self.head = nn.Linear(16, 1)
        with torch.no_grad():
            self.again.weight.copy_((2.0 if fault else 0.9) * torch.eye(16))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 16)
        for step in range(30):
            h = self.enter(x[:, step]) + self.again(h)
        return self.head(h)


# -- PRB005: values that are not finite


@pair("PRB005", "Log", (16, 8), {**REGRESS, "input_range": "-1..1"})
class LogarithmOfReLU(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        return torch.log(torch.relu(h)) if self.fault else torch.log(F.softplus(h) + 1e-3)


@pair("PRB005", "Div", (16, 8), {**REGRESS, "input_range": "-1..1"})
class SharesOfNothing(nn.Module):
    """Each of two positive parts is divided by their sum, which is zero where both are."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 2)
        self.eps = 0.0 if fault else 1e-2

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.relu(self.fc(x))
        return parts / (parts.sum(1, keepdim=True) + self.eps)


@pair("PRB005", "Sqrt", (16, 8), {**REGRESS, "input_range": "-1..1"})
class DistanceToItself(nn.Module):
    """All pairs within a sample, its own among them."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 6)
        self.eps = 0.0 if fault else 1e-3

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc(x)
        square = (h[:, :, None] - h[:, None, :]) ** 2
        return torch.sqrt(square + self.eps).mean(2)


@pair("PRB005", "Exp", (16, 8), {**REGRESS, "input_range": "0..1000"}, twin={"input_range": "0..1"})
class ExponentialOfUnscaledInputs(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(self.fc(x))


# -- PRB006: the first loss


@pair("PRB006", "head", (64, 20), CLASSIFY)
def head_far_too_large(fault: bool) -> nn.Module:
    net = Net(out=10)
    nn.init.normal_(net.head.weight, std=5.0 if fault else 0.1)
    return net


@pair("PRB006", "head", (64, 20), {"loss": "binary_cross_entropy_with_logits"})
def head_sure_of_one_answer(fault: bool) -> nn.Module:
    net = Net(out=1)
    nn.init.constant_(net.head.bias, 8.0 if fault else 0.0)
    return net


# -- PRB007: one batch cannot be learnt by heart


@pair("PRB007", "Softmax", (16, 20), CLASSIFY)
class SoftmaxTwice(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(20, 64), nn.Linear(64, 10)
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        logits = self.head(torch.relu(self.hidden(x)))
        return logits.softmax(1) if self.fault else logits


@pair("PRB007", "Relu", (16, 20), {**REGRESS, "targets": "-3..3"})
class OutputThatIsNeverNegative(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(20, 64), nn.Linear(64, 1)
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        out = self.head(torch.relu(self.hidden(x)))
        return torch.relu(out) if self.fault else out


@pair("PRB007", "Sigmoid", (16, 20), {**REGRESS, "targets": "0..9"}, also=("PRB006",))
class ClassIdsFromASigmoid(nn.Module):
    """The squared error of the number of a class, from an output that ends at 1."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(20, 64), nn.Linear(64, 1)
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        out = self.head(torch.relu(self.hidden(x)))
        return torch.sigmoid(out) if self.fault else out


@pair("PRB010", "head", (16, 20), CLASSIFY, also=("PRB003", "PRB007"))
def head_frozen_at_zero(fault: bool) -> nn.Module:
    net = Net()
    nn.init.zeros_(net.head.weight)
    net.head.requires_grad_(not fault)
    return net


# -- PRB008: gradients


class Cube(torch.autograd.Function):
    """Forgets a factor on the way back."""

    factor = 2.0

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @classmethod
    def backward(cls, ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * 2 * x**2


class RightCube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * 3 * x**2


@pair("PRB008", "Cube", (8, 6), REGRESS)
def backward_forgets_a_factor(fault: bool) -> nn.Module:
    return Net(6, 16, 1, act=Cube.apply if fault else RightCube.apply)


class Blend(torch.autograd.Function):
    """x · sigmoid(x), and on the way back the sigmoid alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * torch.sigmoid(x)


@pair("PRB008", "Blend", (8, 6), REGRESS)
def backward_forgets_a_term(fault: bool) -> nn.Module:
    return Net(6, 16, 1, act=Blend.apply if fault else F.silu)


# -- PRB009: leaks within the batch


@pair("PRB009", "Softmax", (8, 20), CLASSIFY)
class SoftmaxOverTheBatch(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(20, 32), nn.Linear(32, 5)
        self.axis = 0 if fault else 1

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.hidden(x))
        return self.head(h * h.softmax(self.axis))


@pair("PRB009", "Reshape", (8, 6, 10), CLASSIFY)
class ReshapedInsteadOfTransposed(nn.Module):
    """Steps are wanted first; a reshape puts those of other samples among them."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(10, 32), nn.Linear(32, 5)
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        steps = x.reshape(x.shape[1], x.shape[0], 10) if self.fault else x.transpose(0, 1)
        return self.head(torch.relu(self.inner(steps)).mean(0))


@pair("PRB009", "ReduceMean", (8, 20), CLASSIFY)
class NormalisedByTheBatchByHand(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(20, 32), nn.Linear(32, 5)
        self.axis = 0 if fault else 1

    def forward(self, x: Tensor) -> Tensor:
        h = self.hidden(x)
        h = (h - h.mean(self.axis, keepdim=True)) / (h.std(self.axis, keepdim=True) + 1e-3)
        return self.head(torch.relu(h))


# -- PRB010: outputs that say nothing


@pair("PRB010", "head", (16, 20), CLASSIFY, also=("PRB003", "PRB007"))
def all_weights_begin_at_zero(fault: bool) -> nn.Module:
    net = Net(act=torch.tanh)
    for weight in net.parameters() if fault else ():
        nn.init.zeros_(weight)
    return net


@pair("PRB010", "hidden", (16, 20), CLASSIFY, also=("PRB003", "PRB007"))
def all_weights_begin_equal(fault: bool) -> nn.Module:
    net = Net()
    if fault:
        nn.init.constant_(net.hidden.weight, 0.1)
        nn.init.zeros_(net.hidden.bias)
        nn.init.constant_(net.head.weight, 0.1)
    return net


@pair("PRB010", "head", (16, 20), CLASSIFY, also=("PRB007",))
class InputThatIsForgotten(nn.Module):
    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(20))
        self.hidden, self.head = nn.Linear(20, 64), nn.Linear(64, 5)
        self.keep = 0.0 if fault else 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.hidden(self.start + self.keep * x)))


# -- PRB011: the learning rate


@pair("PRB011", "head", (32, 20), {**REGRESS, "optimizer": "sgd", "lr": "100"}, twin={"lr": "0.01"})
def learning_rate_far_too_high(fault: bool) -> nn.Module:
    return Net(out=1)


@pair("PRB011", "head", (32, 20), {**REGRESS, "optimizer": "sgd", "lr": "1e-9"}, twin={"lr": "0.01"})
def learning_rate_far_too_low(fault: bool) -> nn.Module:
    return Net(out=1)


# -- PRB012: two modes


@pair("PRB012", "1.head", (32, 20), {**CLASSIFY, "input_mean": "3", "input_std": "2"})
def running_statistics_that_never_move(fault: bool) -> nn.Module:
    norm = nn.BatchNorm1d(20, momentum=0.0 if fault else 0.1)
    return nn.Sequential(norm, Net())


@pair("PRB012", "head", (32, 20), CLASSIFY)
class DropoutByHand(nn.Module):
    """What is kept is not scaled up; in inference everything is kept."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(20, 64), nn.Linear(64, 5)
        self.keep = 0.1
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.hidden(x))
        if self.training and self.fault:
            h = h * self.keep
        return self.head(h * 3)


@pair("PRB012", "head", (32, 20), CLASSIFY)
def dropout_that_leaves_next_to_nothing(fault: bool) -> nn.Module:
    return Net(act=nn.Sequential(nn.ReLU(), nn.Dropout(0.99 if fault else 0.2)))
