"""Networks whose loss and head do not fit, and their repaired twins, after questions that people ask about training.

Each pair is a module with a loss or a training step. `make(True)` has the fault, `make(False)` is its twin; where the
fault is in the loss or in the data, `loss`, `step` or `batch` differ instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Step = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Pair:
    """One fault and its repair."""

    name: str
    code: str
    make: Callable[[bool], nn.Module]
    batch: Callable[[bool], tuple[Tensor, ...]]
    """What a step takes: the inputs, then the targets."""
    loss: Callable[[bool], nn.Module] | None = None
    step: Callable[[bool], Step] | None = None
    contract: Mapping[str, str] = field(default_factory=dict)
    """What is declared beside the loss."""
    alone: bool = True
    """Whether the model alone shows the fault, once the loss is declared."""

    def run(self, fault: bool) -> Step:
        """A training step of the model on a batch."""
        if self.step is not None:
            return self.step(fault)
        assert self.loss is not None
        loss = self.loss(fault)
        return lambda model, *batch: loss(model(*batch[:-1]), batch[-1])


class Chain(nn.Sequential):
    """Layers in a row, and what may be added to them at the end."""


def mlp(inputs: int, outputs: int, *end: nn.Module, width: int = 16) -> nn.Module:
    return Chain(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs), *end)


def cnn(outputs: int, *end: nn.Module, channels: int = 1) -> nn.Module:
    return Chain(
        nn.Conv2d(channels, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, outputs),
        *end,
    )


class Recurrent(nn.Module):
    """The last state of an LSTM, read by a linear layer."""

    def __init__(self, outputs: int, *end: nn.Module, tokens: int = 0, inputs: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(tokens, inputs) if tokens else nn.Identity()
        self.lstm = nn.LSTM(inputs, 12, batch_first=True)
        self.end = nn.Sequential(nn.Linear(12, outputs), *end)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(self.embed(x))
        return torch.as_tensor(self.end(out[:, -1]))


class Transformer(nn.Module):
    """A small encoder over tokens with a mean over positions."""

    def __init__(self, outputs: int, *end: nn.Module) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.end = nn.Sequential(nn.Linear(16, outputs), *end)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.end(self.encoder(self.embed(x)).mean(1)))


class UNet(nn.Module):
    """One level down and up again, with a shortcut."""

    def __init__(self, outputs: int, *end: nn.Module) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.deep = nn.Sequential(
            nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2)
        )
        self.end = nn.Sequential(nn.Conv2d(16, outputs, 1), *end)

    def forward(self, x: Tensor) -> Tensor:
        near = self.down(x)
        return torch.as_tensor(self.end(torch.cat([near, self.deep(near)], 1)))


class Vae(nn.Module):
    """A variational autoencoder on pixels."""

    def __init__(self, *end: nn.Module) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(20, 16), nn.ReLU())
        self.mean, self.logvar = nn.Linear(16, 4), nn.Linear(16, 4)
        self.decode = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 20), *end)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.encode(x)
        mean, logvar = self.mean(hidden), self.logvar(hidden)
        return self.decode(mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)), mean, logvar


class TwoHeads(nn.Module):
    """Class scores and a box from one trunk."""

    def __init__(self, *end: nn.Module) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classes = nn.Sequential(nn.Linear(8, 5), *end)
        self.box = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(x)
        return self.classes(features), self.box(features)


class Auxiliary(nn.Module):
    """A classifier with a second head on a middle layer."""

    def __init__(self, *end: nn.Module) -> None:
        super().__init__()
        self.lower = nn.Sequential(nn.Linear(10, 16), nn.ReLU())
        self.upper = nn.Sequential(nn.Linear(16, 16), nn.ReLU())
        self.main = nn.Linear(16, 6)
        self.early = nn.Sequential(nn.Linear(16, 6), *end)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.lower(x)
        return self.main(self.upper(middle)), self.early(middle)


class Gan(nn.Module):
    """A generator and a discriminator."""

    def __init__(self, *end: nn.Module) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.Tanh())
        self.discriminator = nn.Sequential(nn.Linear(12, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), *end)

    def forward(self, noise: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        return self.discriminator(real), self.discriminator(self.generator(noise))


def given(condition: bool, *modules: nn.Module) -> tuple[nn.Module, ...]:
    return modules if condition else ()


# -- batches


def rows(size: int, *target: int, classes: int = 0, batch: int = 8) -> tuple[Tensor, Tensor]:
    """Rows of features with class ids, or with targets of a shape per sample."""
    x = torch.randn(batch, size)
    return x, torch.randint(0, classes, (batch,)) if classes else torch.rand(batch, *target)


def images(*target: int, classes: int = 0, channels: int = 1, size: int = 12) -> tuple[Tensor, Tensor]:
    x = torch.rand(4, channels, size, size)
    return x, torch.randint(0, classes, (4, *target)) if classes else torch.rand(4, *target)


def tokens(*target: int, classes: int = 0) -> tuple[Tensor, Tensor]:
    ids = torch.randint(0, 50, (6, 9))
    return ids, torch.randint(0, classes, (6,)) if classes else torch.rand(6, *target)


def series(*target: int) -> tuple[Tensor, Tensor]:
    return torch.randn(8, 10, 4), torch.rand(8, *target)


def distribution(size: int, classes: int) -> tuple[Tensor, Tensor]:
    return torch.randn(8, size), torch.rand(8, classes).softmax(1)


# -- steps


def gan_step(loss: nn.Module) -> Step:
    """The discriminator's step: real samples are 1, generated ones 0."""

    def step(model: nn.Module, noise: Tensor, real: Tensor, ones: Tensor, zeros: Tensor) -> Tensor:
        seen, made = model(noise, real)
        return torch.as_tensor(loss(seen, ones) + loss(made, zeros))

    return step


def gan_batch(_: bool) -> tuple[Tensor, ...]:
    return torch.randn(8, 6), torch.randn(8, 12), torch.ones(8, 1), torch.zeros(8, 1)


def vae_step(model: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    """Reconstruction, and the divergence of the code from a standard normal distribution."""
    pixels, mean, logvar = model(x)
    divergence = -0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())
    return F.binary_cross_entropy(pixels, targets, reduction="sum") + divergence


def bce_by_hand(model: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    p = model(x)
    return -(t * torch.log(p + 1e-7) + (1 - t) * torch.log(1 - p + 1e-7)).mean()


def dice_step(model: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    p = model(x)
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def one_hot_step(distance: Callable[..., Tensor]) -> Step:
    def step(model: nn.Module, x: Tensor, t: Tensor) -> Tensor:
        return distance(model(x), F.one_hot(t, 4).float())

    return step


def cross_entropy_step(model: nn.Module, x: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(model(x), t)


def box_step(model: nn.Module, x: Tensor, ids: Tensor, boxes: Tensor) -> Tensor:
    classes, box = model(x)
    return F.cross_entropy(classes, ids) + 0.5 * F.smooth_l1_loss(box, boxes)


def auxiliary_step(model: nn.Module, x: Tensor, ids: Tensor) -> Tensor:
    main, early = model(x)
    return F.cross_entropy(main, ids) + 0.3 * F.nll_loss(early, ids)


def log_of_softmax_step(fault: bool) -> Step:
    def step(model: nn.Module, x: Tensor, t: Tensor) -> Tensor:
        scores = model(x)
        logs = torch.log(F.softmax(scores, 1)) if fault else F.log_softmax(scores, 1)
        return -(t * logs).sum(1).mean()

    return step


def distance_by_hand(fault: bool) -> Step:
    def step(model: nn.Module, x: Tensor, t: Tensor) -> Tensor:
        y = model(x)
        return ((y - t) ** 2).mean() if fault else ((y.squeeze(-1) - t) ** 2).mean()

    return step


def action_value_step(fault: bool) -> Step:
    """The values of the chosen actions against returns."""

    def step(model: nn.Module, x: Tensor, actions: Tensor, returns: Tensor) -> Tensor:
        chosen = model(x).gather(1, actions)
        return F.smooth_l1_loss(chosen, returns) if fault else F.smooth_l1_loss(chosen.squeeze(1), returns)

    return step


# -- the pairs

PAIRS = (
    # LOS001: log-probabilities or probabilities are wanted
    Pair(
        "mlp trained with nll_loss on logits",
        "LOS001",
        lambda fault: mlp(10, 4, *given(not fault, nn.LogSoftmax(1))),
        lambda _: rows(10, classes=4),
        loss=lambda _: nn.NLLLoss(),
    ),
    Pair(
        "character cnn with nll_loss on softmax",
        "LOS001",
        lambda fault: cnn(5, nn.Softmax(1) if fault else nn.LogSoftmax(1)),
        lambda _: images(classes=5),
        loss=lambda _: nn.NLLLoss(),
    ),
    Pair(
        "auxiliary head without log-softmax",
        "LOS001",
        lambda fault: Auxiliary(*given(not fault, nn.LogSoftmax(1))),
        lambda _: rows(10, classes=6),
        step=lambda _: auxiliary_step,
        alone=False,
    ),
    # LOS002: the loss applies softmax
    Pair(
        "digits cnn with softmax under cross-entropy",
        "LOS002",
        lambda fault: cnn(10, *given(fault, nn.Softmax(dim=1))),
        lambda _: images(classes=10),
        loss=lambda _: nn.CrossEntropyLoss(),
    ),
    Pair(
        "sentiment lstm with softmax under cross-entropy",
        "LOS002",
        lambda fault: Recurrent(3, *given(fault, nn.Softmax(-1)), tokens=50),
        lambda _: tokens(classes=3),
        loss=lambda _: nn.CrossEntropyLoss(),
    ),
    Pair(
        "detector whose class head has a softmax",
        "LOS002",
        lambda fault: TwoHeads(*given(fault, nn.Softmax(1))),
        lambda _: (*images(classes=5, channels=3), torch.rand(4, 4)),
        step=lambda _: box_step,
        alone=False,
    ),
    # LOS003: a squared error for classes
    Pair(
        "iris mlp with a squared error on one-hot targets",
        "LOS003",
        lambda _: mlp(4, 4),
        lambda _: rows(4, classes=4),
        step=lambda fault: one_hot_step(F.mse_loss) if fault else cross_entropy_step,
        alone=False,
    ),
    Pair(
        "softmax classifier with a squared error",
        "LOS003",
        lambda fault: cnn(10, *given(fault, nn.Softmax(1))),
        lambda fault: images(10) if fault else images(classes=10),
        loss=lambda fault: nn.MSELoss() if fault else nn.CrossEntropyLoss(),
    ),
    Pair(
        "classifier of spectra with an absolute error on its scores",
        "LOS003",
        lambda _: mlp(30, 6),
        lambda fault: rows(30, 6) if fault else rows(30, classes=6),
        loss=lambda fault: nn.L1Loss() if fault else nn.CrossEntropyLoss(),
        contract={"task": "classification"},
    ),
    # LOS004: binary cross-entropy takes probabilities
    Pair(
        "churn mlp without sigmoid under bce",
        "LOS004",
        lambda fault: mlp(12, 1, *given(not fault, nn.Sigmoid())),
        lambda _: rows(12, 1),
        loss=lambda _: nn.BCELoss(),
    ),
    Pair(
        "autoencoder with tanh under bce",
        "LOS004",
        lambda fault: mlp(20, 20, nn.Tanh() if fault else nn.Sigmoid(), width=6),
        lambda _: rows(20, 20),
        loss=lambda _: nn.BCELoss(),
        contract={"task": "autoencoder"},
    ),
    Pair(
        "discriminator without sigmoid under bce",
        "LOS004",
        lambda fault: Gan(*given(not fault, nn.Sigmoid())),
        gan_batch,
        step=lambda _: gan_step(nn.BCELoss()),
        alone=False,
    ),
    Pair(
        "vae whose pixels come from a linear layer",
        "LOS004",
        lambda fault: Vae(*given(not fault, nn.Sigmoid())),
        lambda _: rows(20, 20),
        step=lambda _: vae_step,
        alone=False,
    ),
    Pair(
        "u-net with bce written by hand on a relu",
        "LOS004",
        lambda fault: UNet(1, nn.ReLU() if fault else nn.Sigmoid()),
        lambda _: images(1, 12, 12, channels=3),
        step=lambda _: bce_by_hand,
        alone=False,
    ),
    Pair(
        "u-net with a dice loss on logits",
        "LOS004",
        lambda fault: UNet(1, *given(not fault, nn.Sigmoid())),
        lambda _: images(1, 12, 12, channels=3),
        step=lambda _: dice_step,
        alone=False,
    ),
    # LOS005: the loss applies sigmoid
    Pair(
        "spam mlp with sigmoid under bce with logits",
        "LOS005",
        lambda fault: mlp(12, 1, *given(fault, nn.Sigmoid())),
        lambda _: rows(12, 1),
        loss=lambda _: nn.BCEWithLogitsLoss(),
    ),
    Pair(
        "tagger cnn with sigmoid under bce with logits",
        "LOS005",
        lambda fault: cnn(7, *given(fault, nn.Sigmoid()), channels=3),
        lambda _: images(7, channels=3),
        loss=lambda _: nn.BCEWithLogitsLoss(pos_weight=torch.full((7,), 3.0)),
        contract={"task": "multilabel"},
    ),
    Pair(
        "discriminator with sigmoid under bce with logits",
        "LOS005",
        lambda fault: Gan(*given(fault, nn.Sigmoid())),
        gan_batch,
        step=lambda _: gan_step(nn.BCEWithLogitsLoss()),
        alone=False,
    ),
    Pair(
        "transformer with sigmoid under cross-entropy",
        "LOS005",
        lambda fault: Transformer(4, *given(fault, nn.Sigmoid())),
        lambda _: tokens(classes=4),
        loss=lambda _: nn.CrossEntropyLoss(),
    ),
    Pair(
        "segmentation with sigmoid and a multilabel soft margin",
        "LOS005",
        lambda fault: mlp(10, 5, *given(fault, nn.Sigmoid())),
        lambda _: rows(10, 5),
        loss=lambda _: nn.MultiLabelSoftMarginLoss(),
    ),
    # LOS006: two steps for one logarithm
    Pair(
        "soft targets with log of softmax",
        "LOS006",
        lambda _: mlp(10, 5),
        lambda _: distribution(10, 5),
        step=log_of_softmax_step,
        alone=False,
    ),
    # LOS007: the width of the head
    Pair(
        "binary lstm with one unit under cross-entropy",
        "LOS007",
        lambda fault: Recurrent(1 if fault else 2, tokens=50),
        lambda fault: tokens(classes=1 if fault else 2),
        loss=lambda _: nn.CrossEntropyLoss(),
    ),
    Pair(
        "pretrained head of a thousand classes for ten",
        "LOS007",
        lambda fault: cnn(1000 if fault else 10, channels=3),
        lambda _: images(classes=10, channels=3),
        loss=lambda _: nn.CrossEntropyLoss(),
        contract={"classes": "10"},
    ),
    Pair(
        "digits with nine units",
        "LOS007",
        lambda fault: cnn(9 if fault else 10),
        lambda _: (torch.rand(10, 1, 12, 12), torch.arange(10)),
        loss=lambda _: nn.CrossEntropyLoss(),
        contract={"classes": "10"},
    ),
    Pair(
        "segmentation of street scenes with a class too few",
        "LOS007",
        lambda fault: UNet(5 if fault else 6),
        lambda _: images(12, 12, classes=5, channels=3),
        loss=lambda _: nn.CrossEntropyLoss(),
        contract={"classes": "6", "task": "segmentation"},
    ),
    # LOS008: a regression through softmax
    Pair(
        "house prices through softmax",
        "LOS008",
        lambda fault: mlp(13, 3, *given(fault, nn.Softmax(-1))),
        lambda _: (torch.randn(8, 13), 3 * torch.randn(8, 3)),
        loss=lambda _: nn.MSELoss(),
        contract={"task": "regression"},
    ),
    Pair(
        "joint angles through softmax",
        "LOS008",
        lambda fault: Recurrent(4, *given(fault, nn.Softmax(1))),
        lambda _: (torch.randn(8, 10, 4), torch.linspace(-3, 3, 32).reshape(8, 4)),
        loss=lambda _: nn.SmoothL1Loss(),
        contract={"targets": "-3..3"},
    ),
    # LOS009: labels that do not exclude each other
    Pair(
        "film genres through softmax",
        "LOS009",
        lambda fault: mlp(40, 8, nn.Softmax(1) if fault else nn.Sigmoid()),
        lambda _: rows(40, 8),
        loss=lambda _: nn.BCELoss(),
        contract={"task": "multilabel"},
    ),
    Pair(
        "topics of a text under cross-entropy",
        "LOS009",
        lambda _: Transformer(6),
        lambda _: tokens(6),
        loss=lambda fault: nn.CrossEntropyLoss() if fault else nn.BCEWithLogitsLoss(),
        contract={"task": "multilabel"},
    ),
    # LOS010: prediction and target broadcast
    Pair(
        "regression with a column of predictions and a row of targets",
        "LOS010",
        lambda _: mlp(13, 1),
        lambda fault: rows(13) if fault else rows(13, 1),
        loss=lambda _: nn.MSELoss(),
        alone=False,
    ),
    Pair(
        "forecast lstm with squeezed predictions",
        "LOS010",
        lambda fault: Recurrent(1, *given(fault, nn.Flatten(0))),
        lambda _: series(1),
        loss=lambda _: nn.L1Loss(),
        alone=False,
    ),
    Pair(
        "squared error by hand",
        "LOS010",
        lambda _: mlp(13, 1),
        lambda _: rows(13),
        step=distance_by_hand,
        alone=False,
    ),
    Pair(
        "depth maps without the channel axis",
        "LOS010",
        lambda _: UNet(1),
        lambda fault: images(12, 12, channels=3) if fault else images(1, 12, 12, channels=3),
        loss=lambda _: nn.MSELoss(),
        alone=False,
    ),
    Pair(
        "values of actions against returns",
        "LOS010",
        lambda _: mlp(6, 3),
        lambda _: (torch.randn(8, 6), torch.randint(0, 3, (8, 1)), torch.rand(8)),
        step=action_value_step,
        alone=False,
    ),
    # LOS011: the divergence takes logarithms
    Pair(
        "student with softmax under the divergence",
        "LOS011",
        lambda fault: mlp(10, 5, nn.Softmax(1) if fault else nn.LogSoftmax(1)),
        lambda _: distribution(10, 5),
        loss=lambda _: nn.KLDivLoss(reduction="batchmean"),
    ),
    Pair(
        "label distribution on logits under the divergence",
        "LOS011",
        lambda fault: cnn(5, *given(not fault, nn.LogSoftmax(1))),
        lambda _: (torch.rand(4, 1, 12, 12), torch.rand(4, 5).softmax(1)),
        loss=lambda _: nn.KLDivLoss(reduction="batchmean"),
    ),
    # LOS012: an absolute error on probabilities
    Pair(
        "softmax classifier with an absolute error",
        "LOS012",
        lambda fault: mlp(10, 4, *given(fault, nn.Softmax(1))),
        lambda fault: rows(10, 4) if fault else rows(10, classes=4),
        loss=lambda fault: nn.L1Loss() if fault else nn.CrossEntropyLoss(),
    ),
    Pair(
        "one-hot targets with a smooth absolute error on sigmoids",
        "LOS012",
        lambda fault: mlp(10, 4, *given(fault, nn.Sigmoid())),
        lambda _: rows(10, classes=4),
        step=lambda fault: one_hot_step(F.smooth_l1_loss) if fault else cross_entropy_step,
        alone=False,
    ),
)
"""Every fault that a loss and a head can make between them, as far as rules name it."""
