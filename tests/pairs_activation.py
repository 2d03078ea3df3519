"""Faults of activations as people meet them, each beside its repaired twin.

Each pair is a small torch model in two versions that differ in the fault alone, and the training contract under which
it was asked about. The patterns come from questions that are asked again and again: outputs stuck at 0 or at 0.5,
losses that stay flat, accuracies at chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """One fault and its repair; `make(True)` builds the faulty model."""

    name: str
    code: str
    make: Callable[[bool], nn.Module]
    inputs: tuple[tuple[int, ...], ...]
    contract: dict[str, str]
    twin_contract: dict[str, str] = field(default_factory=dict)
    """What the repair changes in the contract."""
    also: frozenset[str] = frozenset()
    """Other rules that may speak of the same fault."""


PAIRS: list[Pair] = []


def pair(
    code: str,
    *inputs: tuple[int, ...],
    twin: dict[str, str] | None = None,
    also: tuple[str, ...] = (),
    **contract: str,
) -> Callable[[Callable[[bool], nn.Module]], Callable[[bool], nn.Module]]:
    """Register a function that builds both versions."""

    def register(make: Callable[[bool], nn.Module]) -> Callable[[bool], nn.Module]:
        PAIRS.append(Pair(make.__name__, code, make, inputs, contract, twin or {}, frozenset(also)))
        return make

    return register


class Lambda(nn.Module):
    """A function as a module."""

    def __init__(self, run: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(x)


def stack(*modules: nn.Module | None) -> nn.Sequential:
    return nn.Sequential(*(module for module in modules if module is not None))


def unless(fault: bool, module: nn.Module) -> nn.Module | None:
    """The module that the faulty version forgot."""
    return None if fault else module


# -- ACT001: a head that cannot be negative


@pair("ACT001", (4, 13), loss="mse_loss", targets="-1..1", task="regression")
def regression_with_relu_output(fault: bool) -> nn.Module:
    body = stack(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    return stack(body, nn.ReLU() if fault else None)


@pair("ACT001", (2, 3, 32, 32), loss="smooth_l1_loss", targets="-3..3", task="regression")
def steering_angle_cnn_with_relu6_output(fault: bool) -> nn.Module:
    conv = stack(nn.Conv2d(3, 16, 5, 2), nn.ELU(), nn.Conv2d(16, 32, 3, 2), nn.ELU(), nn.Flatten())
    return stack(conv, nn.Linear(32 * 6 * 6, 50), nn.ELU(), nn.Linear(50, 1), nn.ReLU6() if fault else None)


class Forecast(nn.Module):
    """An LSTM whose last step gives a forecast."""

    def __init__(self, head: nn.Module, hidden: int = 32) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, hidden, batch_first=True)
        self.head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.lstm(x)
        return self.head(out[:, -1])


@pair("ACT001", (2, 10, 8), loss="l1_loss", targets="-2..2", task="regression")
def returns_forecast_with_relu_output(fault: bool) -> nn.Module:
    return Forecast(stack(nn.Linear(32, 1), nn.ReLU() if fault else None))


@pair("ACT001", (4, 30), loss="mse_loss", targets="-3..3", task="autoencoder")
def autoencoder_of_standardised_features_with_relu_output(fault: bool) -> nn.Module:
    encoder = stack(nn.Linear(30, 14), nn.ReLU(), nn.Linear(14, 7), nn.ReLU())
    decoder = stack(nn.Linear(7, 14), nn.ReLU(), nn.Linear(14, 30))
    return stack(encoder, decoder, nn.ReLU() if fault else None)


@pair("ACT001", (4, 20), loss="cross_entropy", task="classification")
def classifier_with_relu_on_its_logits(fault: bool) -> nn.Module:
    return stack(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 10), nn.ReLU() if fault else None)


@pair("ACT001", (2, 3, 32, 32), loss="binary_cross_entropy_with_logits", task="segmentation")
def mask_with_relu_on_its_logits(fault: bool) -> nn.Module:
    body = stack(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
    return stack(body, nn.Conv2d(16, 1, 1), nn.ReLU() if fault else None)


# -- ACT003: targets on the limits of the head


@pair("ACT003", (4, 6), loss="mse_loss", targets="-1..1", task="regression", twin={"targets": "-0.9..0.9"})
def control_signal_with_tanh_output(fault: bool) -> nn.Module:
    return stack(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2), nn.Tanh())


@pair("ACT003", (4, 20), loss="mse_loss", targets="0..1", twin={"loss": "binary_cross_entropy"}, also=("LOS003",))
def labels_with_sigmoid_and_squared_error(fault: bool) -> nn.Module:
    return stack(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid())


# -- ACT004: sigmoid between layers


def activation(fault: bool) -> nn.Module:
    return nn.Sigmoid() if fault else nn.ReLU()


@pair("ACT004", (4, 784), loss="cross_entropy", task="classification", classes="10")
def mnist_mlp_with_sigmoid(fault: bool) -> nn.Module:
    return stack(nn.Linear(784, 128), activation(fault), nn.Linear(128, 64), activation(fault), nn.Linear(64, 10))


@pair("ACT004", (2, 1, 28, 28), loss="cross_entropy", task="classification")
def lenet_with_sigmoid(fault: bool) -> nn.Module:
    first = stack(nn.Conv2d(1, 6, 5, padding=2), activation(fault), nn.AvgPool2d(2))
    second = stack(nn.Conv2d(6, 16, 5), activation(fault), nn.AvgPool2d(2))
    return stack(first, second, nn.Flatten(), nn.Linear(400, 84), activation(fault), nn.Linear(84, 10))


@pair("ACT004", (4, 784), loss="binary_cross_entropy_with_logits", targets="0..1", task="autoencoder")
def autoencoder_with_sigmoid(fault: bool) -> nn.Module:
    encoder = stack(nn.Linear(784, 128), activation(fault), nn.Linear(128, 32), activation(fault))
    return stack(encoder, nn.Linear(32, 128), activation(fault), nn.Linear(128, 784))


@pair("ACT004", (2, 3, 32, 32), loss="binary_cross_entropy_with_logits", task="gan")
def discriminator_with_sigmoid(fault: bool) -> nn.Module:
    layers = [stack(nn.Conv2d(i, o, 4, 2, 1), nn.BatchNorm2d(o), activation(fault)) for i, o in ((3, 32), (32, 64))]
    return stack(*layers, nn.Flatten(), nn.Linear(64 * 64, 1))


@pair("ACT004", (2, 10, 8), loss="cross_entropy", task="classification")
def sequence_classifier_with_sigmoid(fault: bool) -> nn.Module:
    return Forecast(stack(nn.Linear(32, 16), activation(fault), nn.Linear(16, 5)))


@pair("ACT004", (4, 12), loss="mse_loss", task="regression", targets="-5..5")
def regression_with_hard_sigmoid(fault: bool) -> nn.Module:
    return stack(nn.Linear(12, 40), nn.Hardsigmoid() if fault else nn.ReLU(), nn.Linear(40, 1))


@pair("ACT004", (4, 12), loss="mse_loss", task="regression", targets="-5..5")
def regression_with_a_sigmoid_by_hand(fault: bool) -> nn.Module:
    squash = Lambda(lambda x: 1 / (1 + torch.exp(-x)))
    return stack(nn.Linear(12, 40), squash if fault else nn.ReLU(), nn.Linear(40, 1))


@pair("ACT004", (4, 12), loss="mse_loss", task="regression", targets="-5..5")
def regression_with_a_sigmoid_from_tanh(fault: bool) -> nn.Module:
    squash = Lambda(lambda x: 0.5 * (torch.tanh(x / 2) + 1))
    return stack(nn.Linear(12, 40), squash if fault else nn.ReLU(), nn.Linear(40, 1))


class Block(nn.Module):
    """A transformer block after its attention, with its feed-forward part."""

    def __init__(self, act: nn.Module, width: int = 32) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ff = stack(nn.Linear(width, 4 * width), act, nn.Dropout(0.1), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.ff(self.norm2(x))


class Pooled(nn.Module):
    """Blocks, the mean over positions, a head."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean(1))


@pair("ACT004", (2, 9, 32), loss="cross_entropy", task="classification")
def transformer_with_sigmoid_feed_forward(fault: bool) -> nn.Module:
    return Pooled(Block(nn.Sigmoid() if fault else nn.GELU()), nn.Linear(32, 5))


# -- ACT005: many saturating layers in series


class Residual(nn.Module):
    """x + act(layer(x))."""

    def __init__(self, layer: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.layer, self.act = layer, act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.act(self.layer(x))


@pair("ACT005", (4, 20), loss="mse_loss", task="regression", targets="-1..1", also=("INI005",))
def deep_tanh_mlp(fault: bool) -> nn.Module:
    plain = [stack(nn.Linear(32, 32), nn.Tanh()) for _ in range(8)]
    residual = [Residual(nn.Linear(32, 32), nn.Tanh()) for _ in range(8)]
    return stack(nn.Linear(20, 32), nn.Tanh(), *(plain if fault else residual), nn.Linear(32, 1))


@pair("ACT005", (2, 3, 32, 32), loss="cross_entropy", task="classification", also=("ACT004", "INI005"))
def deep_sigmoid_cnn(fault: bool) -> nn.Module:
    act = nn.Sigmoid if fault else nn.ReLU
    layers = [stack(nn.Conv2d(16, 16, 3, padding=1), act()) for _ in range(5)]
    head = stack(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    return stack(nn.Conv2d(3, 16, 3, padding=1), act(), *layers, head)


@pair("ACT005", (4, 64), loss="mse_loss", task="autoencoder", targets="-1..1", also=("INI005",))
def deep_tanh_autoencoder(fault: bool) -> nn.Module:
    widths = (64, 48, 32, 16, 32, 48)
    layers = [stack(nn.Linear(i, o), unless(fault, nn.BatchNorm1d(o)), nn.Tanh()) for i, o in pairwise(widths)]
    return stack(*layers, nn.Linear(48, 64))


# -- ACT006: no activation between layers


@pair("ACT006", (4, 784), loss="cross_entropy", task="classification")
def mnist_mlp_without_activation(fault: bool) -> nn.Module:
    relu = unless(fault, nn.ReLU())
    return stack(nn.Linear(784, 256), relu, nn.Linear(256, 128), relu, nn.Linear(128, 10))


@pair("ACT006", (4, 13), loss="mse_loss", task="regression", targets="0..50")
def house_prices_without_activation(fault: bool) -> nn.Module:
    return stack(nn.Linear(13, 64), unless(fault, nn.ReLU()), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))


@pair("ACT006", (4, 40), loss="cross_entropy", task="classification")
def only_dropout_between_layers(fault: bool) -> nn.Module:
    return stack(nn.Linear(40, 100), unless(fault, nn.ReLU()), nn.Dropout(0.5), nn.Linear(100, 4))


@pair("ACT006", (4, 40), loss="binary_cross_entropy_with_logits", task="multilabel")
def only_batch_norm_between_layers(fault: bool) -> nn.Module:
    return stack(nn.Linear(40, 100), nn.BatchNorm1d(100), unless(fault, nn.ReLU()), nn.Linear(100, 6))


@pair("ACT006", (2, 3, 32, 32), loss="cross_entropy", task="classification")
def cnn_without_activation(fault: bool) -> nn.Module:
    relu = unless(fault, nn.ReLU())
    conv = stack(nn.Conv2d(3, 32, 3), relu, nn.Conv2d(32, 64, 3, 2), relu, nn.Flatten())
    return stack(conv, nn.Linear(64 * 14 * 14, 10))


@pair("ACT006", (2, 10, 8), loss="cross_entropy", task="classification")
def lstm_classifier_with_two_linear_layers(fault: bool) -> nn.Module:
    return Forecast(stack(nn.Linear(32, 64), unless(fault, nn.ReLU()), nn.Linear(64, 3)))


@pair("ACT006", (2, 9, 32), loss="cross_entropy", task="classification")
def transformer_head_without_activation(fault: bool) -> nn.Module:
    head = stack(nn.Linear(32, 64), nn.Dropout(0.1), unless(fault, nn.GELU()), nn.Linear(64, 5))
    return Pooled(Block(nn.GELU()), head)


@pair("ACT006", (4, 784), loss="binary_cross_entropy", task="autoencoder", targets="0..1")
def autoencoder_without_activation_in_its_decoder(fault: bool) -> nn.Module:
    encoder = stack(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU())
    return stack(encoder, nn.Linear(32, 128), unless(fault, nn.ReLU()), nn.Linear(128, 784), nn.Sigmoid())


@pair("ACT006", (2, 64, 4, 4), task="gan")
def generator_without_activation(fault: bool) -> nn.Module:
    up = [nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), unless(fault, nn.ReLU())]
    return stack(*up, nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Tanh())


@pair("ACT006", (2, 1, 32, 32), loss="cross_entropy", task="segmentation")
def segmentation_head_without_activation(fault: bool) -> nn.Module:
    body = stack(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU())
    return stack(body, nn.Conv2d(16, 32, 3, padding=1), unless(fault, nn.ReLU()), nn.Conv2d(32, 4, 1))


@pair("ACT006", (2, 3, 32, 32), loss="cross_entropy", task="classification")
def cnn_with_nothing_but_max_pooling(fault: bool) -> nn.Module:
    relu = unless(fault, nn.ReLU())
    first = stack(nn.Conv2d(3, 16, 3), relu, nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), relu, nn.MaxPool2d(2))
    return stack(first, nn.Flatten(), nn.Linear(32 * 36, 10))


# -- ACT009, ACT010: the axis of a softmax


@pair("ACT009", (4, 20), loss="binary_cross_entropy", task="classification", also=("LOS001",))
def binary_classifier_with_softmax(fault: bool) -> nn.Module:
    return stack(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1), nn.Softmax(1) if fault else nn.Sigmoid())


@pair("ACT010", (4, 20), loss="nll_loss", task="classification")
def log_softmax_over_the_batch(fault: bool) -> nn.Module:
    return stack(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 3), nn.LogSoftmax(0 if fault else 1))


@pair("ACT010", (4, 20), task="classification", loss="categorical_cross_entropy")
def softmax_by_hand_over_the_batch(fault: bool) -> nn.Module:
    axis = 0 if fault else 1

    def softmax(x: torch.Tensor) -> torch.Tensor:
        e = torch.exp(x - x.amax(axis, keepdim=True))
        return e / e.sum(axis, keepdim=True)

    return stack(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 3), Lambda(softmax))


@pair("ACT010", (2, 3, 16, 16), loss="nll_loss", task="segmentation")
def segmentation_softmax_over_columns(fault: bool) -> nn.Module:
    conv = stack(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 5, 1))
    return stack(conv, nn.LogSoftmax(-1 if fault else 1))


class Tagger(nn.Module):
    """A label for each step of a sequence."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.gru = nn.GRU(8, 16, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(32, 6)
        self.axis = axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.softmax(self.fc(self.gru(x)[0]), dim=self.axis)


@pair("ACT010", (2, 10, 8), task="classification")
def tagger_softmax_over_time(fault: bool) -> nn.Module:
    return Tagger(1 if fault else 2)


@pair("ACT010", (2, 10, 8), task="classification")
def tagger_softmax_over_the_batch(fault: bool) -> nn.Module:
    return Tagger(0 if fault else 2)


# -- ACT011: a softmax between layers


@pair("ACT011", (4, 20), loss="cross_entropy", task="classification")
def mlp_with_hidden_softmax(fault: bool) -> nn.Module:
    return stack(nn.Linear(20, 64), nn.Softmax(1) if fault else nn.ReLU(), nn.Linear(64, 3))


@pair("ACT011", (2, 3, 16, 16), loss="cross_entropy", task="classification")
def cnn_with_hidden_softmax(fault: bool) -> nn.Module:
    first = stack(nn.Conv2d(3, 16, 3), nn.Softmax(1) if fault else nn.ReLU(), nn.MaxPool2d(2))
    return stack(first, nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 25, 4))


# -- ACT012: no gradient


@pair("ACT012", (4, 20), loss="mse_loss", task="regression", targets="0..10")
def rounded_rating(fault: bool) -> nn.Module:
    return stack(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1), Lambda(torch.round) if fault else None)


@pair("ACT012", (4, 20), loss="mse_loss")
def thresholded_output(fault: bool) -> nn.Module:
    cut = Lambda(lambda x: (x > 0.5).float())
    return stack(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 4), cut if fault else None)


@pair("ACT012", (4, 20), loss="mse_loss")
def predicted_class_as_a_number(fault: bool) -> nn.Module:
    picked = Lambda(lambda x: x.argmax(1).float())
    return stack(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 4), picked if fault else None)


@pair("ACT012", (4, 20), loss="cross_entropy", task="classification")
def step_activation(fault: bool) -> nn.Module:
    step = Lambda(lambda x: torch.where(x > 0, 1.0, 0.0))
    return stack(nn.Linear(20, 32), step if fault else nn.ReLU(), nn.Linear(32, 4))


@pair("ACT012", (4, 20), loss="cross_entropy", task="classification")
def sign_activation(fault: bool) -> nn.Module:
    return stack(nn.Linear(20, 32), Lambda(torch.sign) if fault else nn.Tanh(), nn.Linear(32, 4))


@pair("ACT012", (2, 3, 16, 16), loss="mse_loss", task="autoencoder")
def rounded_code(fault: bool) -> nn.Module:
    through = Lambda(lambda x: x + (torch.round(x) - x).detach())
    code = Lambda(torch.round) if fault else through
    encoder = stack(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 8, 3, 2, 1))
    decoder = stack(nn.ConvTranspose2d(8, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 3, 4, 2, 1))
    return stack(encoder, code, decoder)


# -- ACT013: cut off on both sides


@pair("ACT013", (4, 20), loss="cross_entropy", task="classification")
def clamped_hidden_layer(fault: bool) -> nn.Module:
    return stack(nn.Linear(20, 32), Lambda(lambda x: x.clamp(-0.5, 0.5)) if fault else nn.Tanh(), nn.Linear(32, 4))


@pair("ACT013", (4, 20), loss="mse_loss", task="regression", targets="-1..1")
def clamped_output(fault: bool) -> nn.Module:
    return stack(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2), nn.Hardtanh() if fault else None)


# -- ACT014: ReLU before the sum


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut; `early` puts the ReLU on the branch."""

    def __init__(self, early: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.early = early

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return x + functional.relu(y) if self.early else functional.relu(x + y)


@pair("ACT014", (2, 3, 16, 16), loss="cross_entropy", task="classification")
def resnet_with_relu_on_its_branches(fault: bool) -> nn.Module:
    stem = stack(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    head = stack(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    return stack(stem, BasicBlock(fault), BasicBlock(fault), head)


def cases() -> Iterator[tuple[Pair, bool]]:
    """Every pair, faulty and repaired."""
    for one in PAIRS:
        yield one, True
        yield one, False
