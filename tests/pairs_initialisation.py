"""Networks that start wrong, and their repaired twins, after questions of people whose training stands still.

`make(True)` has the fault, `make(False)` is its twin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn

Weigh = Callable[[Tensor], object]


@dataclass(frozen=True, eq=False)
class Pair:
    """One fault and its repair."""

    name: str
    code: str
    make: Callable[[bool], nn.Module]
    shape: tuple[int, ...]
    """Of the input, batch included."""
    contract: Mapping[str, str] = field(default_factory=dict)
    also: frozenset[str] = frozenset()
    """Other rules that may well see the same fault."""


def mlp(*widths: int, act: Callable[[], nn.Module] = nn.ReLU, end: tuple[nn.Module, ...] = ()) -> nn.Sequential:
    parts: list[nn.Module] = []
    for before, behind in pairwise(widths):
        parts += [nn.Linear(before, behind), act()]
    return nn.Sequential(*parts[:-1], *end)


def deep(depth: int, act: Callable[[], nn.Module], width: int = 64) -> nn.Sequential:
    return mlp(*[width] * (depth + 1), 10, act=act)


def cnn(*widths: int, norm: bool = False, act: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    parts: list[nn.Module] = []
    before = 3
    for width in widths:
        parts += [
            nn.Conv2d(before, width, 3, padding=1, bias=not norm),
            *([nn.BatchNorm2d(width)] if norm else []),
            act(),
        ]
        before = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


def layers(model: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    return [part for part in model.modules() if isinstance(part, (nn.Linear, nn.Conv2d))]


def weigh(model: nn.Module, how: Weigh, *, bias: Weigh | None = nn.init.zeros_, last: int | None = None) -> nn.Module:
    """Initialise the weights (and biases) of the first `last` layers."""
    for layer in layers(model)[:last]:
        how(layer.weight)
        if layer.bias is not None and bias is not None:
            bias(layer.bias)
    return model


class Residual(nn.Module):
    """Layers with shortcuts."""

    def __init__(self, depth: int, act: Callable[[], nn.Module], width: int = 64) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(width, width), act()) for _ in range(depth))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


class LowRank(nn.Module):
    """A frozen layer with an update of low rank."""

    def __init__(self, zero_both: bool) -> None:
        super().__init__()
        self.body = mlp(32, 64, 64)
        self.base = nn.Linear(64, 64)
        self.down, self.up = nn.Linear(64, 4, bias=False), nn.Linear(4, 64, bias=False)
        self.head = nn.Linear(64, 10)
        nn.init.zeros_(self.up.weight)
        if zero_both:
            nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.body(x))
        return self.head(torch.relu(self.base(h) + self.up(self.down(h))))


class Control(nn.Module):
    """A side branch that joins through zero convolutions."""

    def __init__(self, zero_twice: bool) -> None:
        super().__init__()
        self.stem, self.side = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(3, 32, 3, padding=1)
        self.first, self.second = nn.Conv2d(32, 32, 1), nn.Conv2d(32, 32, 1)
        self.head = nn.Conv2d(32, 3, 3, padding=1)
        for conv in (self.second, self.first) if zero_twice else (self.second,):
            nn.init.zeros_(conv.weight)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        side = self.second(torch.relu(self.first(torch.relu(self.side(x)))))
        return self.head(torch.relu(self.stem(x)) + side)


class Recurrent(nn.Module):
    """A recurrent layer and a head that reads its last state."""

    def __init__(self, kind: str, prepare: Callable[[nn.RNNBase], None]) -> None:
        super().__init__()
        self.cell: nn.RNNBase = getattr(nn, kind)(16, 32, batch_first=True)
        self.head = nn.Linear(32, 10)
        prepare(self.cell)

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.cell(x)[0]
        return self.head(states[:, -1])


@torch.no_grad()
def forget(cell: nn.RNNBase, bias: float) -> None:
    """The forget gates' bias; torch orders the gates input, forget, cell, output."""
    for name, vector in cell.named_parameters():
        if name.startswith("bias"):
            vector.zero_()
            vector[cell.hidden_size : 2 * cell.hidden_size] = bias / 2


def recurrence(cell: nn.RNNBase, fault: bool) -> None:
    for name, matrix in cell.named_parameters():
        if name.startswith("weight_hh") and fault:
            nn.init.constant_(matrix, 0.3)


@torch.no_grad()
def copies(model: nn.Module, fault: bool, *, head: float | None = None) -> nn.Module:
    """All hidden units of the first layer as copies of one."""
    if not fault:
        return model
    first, second = layers(model)[:2]
    first.weight[:] = first.weight[:1].clone()
    assert first.bias is not None
    first.bias.zero_()
    if head is not None:
        second.weight.fill_(head)
    return model


@torch.no_grad()
def poke(model: nn.Module, fault: bool, number: float, *, bias: bool = False) -> nn.Module:
    """One element of the first layer as NaN or infinity."""
    first = layers(model)[0]
    target = first.bias if bias else first.weight
    assert target is not None
    if fault:
        target.view(-1)[3] = number
    return model


@torch.no_grad()
def deaden(model: nn.Module, fault: bool) -> nn.Module:
    first = layers(model)[0]
    if fault:
        first.weight[::3] = 0
    return model


@torch.no_grad()
def statistics(fault: bool, wrong: Callable[[nn.BatchNorm2d], None]) -> nn.Module:
    """A network whose norms look trained but for what `wrong` does."""
    model = cnn(16, 32, norm=True)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.uniform_(0.5, 1.5)
            part.bias.uniform_(-0.3, 0.3)
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.2, 2)
            if fault:
                wrong(part)
    # Behind an activation: exporters fold a norm that follows a convolution.
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), model[1], nn.Conv2d(16, 8, 3))


@torch.no_grad()
def prior(model: nn.Module, bias: list[float]) -> nn.Module:
    head = layers(model)[-1]
    assert head.bias is not None
    head.bias.copy_(torch.tensor(bias))
    return model


def started(
    name: str, code: str, model: Callable[[], nn.Module], shape: tuple[int, ...], wrong: Weigh, **more: object
) -> Pair:
    """A model whose weights are initialised by `wrong`; the twin keeps torch's default."""
    also = frozenset(str(more.get("also", "")).split())
    last, bias = more.get("last"), None if more.get("keep_bias") else nn.init.zeros_
    assert last is None or isinstance(last, int)
    return Pair(
        name,
        code,
        lambda fault: weigh(model(), wrong, bias=bias, last=last) if fault else model(),
        shape,
        also=also,
    )


def normal(std: float) -> Weigh:
    return lambda weight: nn.init.normal_(weight, 0.0, std)


def constant(number: float) -> Weigh:
    return lambda weight: nn.init.constant_(weight, number)


def he_times(gain: float) -> Weigh:
    def draw(weight: Tensor) -> None:
        nn.init.kaiming_normal_(weight)
        with torch.no_grad():
            weight.mul_(gain)

    return draw


def never_updated(norm: nn.BatchNorm2d) -> None:
    norm.reset_running_stats()


def negative(norm: nn.BatchNorm2d) -> None:
    assert norm.running_var is not None
    norm.running_var[2] = -0.4


def wiped(norm: nn.BatchNorm2d) -> None:
    assert norm.running_var is not None
    norm.running_var.zero_()


FLAT, IMAGE = (8, 32), (2, 3, 12, 12)
TRAINED = {"stage": "trained"}

PAIRS = (
    started("mlp of zeros", "INI001", lambda: mlp(32, 64, 10), FLAT, nn.init.zeros_),
    started("zero hidden layer before relu", "INI001", lambda: mlp(32, 64, 64, 10), FLAT, nn.init.zeros_, last=1),
    started(
        "zero hidden layers with tanh", "INI001", lambda: mlp(32, 64, 64, 10, act=nn.Tanh), FLAT, nn.init.zeros_, last=2
    ),
    started("cnn of zeros", "INI001", lambda: cnn(16, 32), IMAGE, nn.init.zeros_),
    started(
        "zero hidden layer before sigmoid", "INI001", lambda: mlp(32, 64, 10, act=nn.Sigmoid), FLAT, nn.init.zeros_
    ),
    Pair("low-rank update with two zero factors", "INI001", LowRank, FLAT),
    Pair("two zero convolutions in a row", "INI001", Control, IMAGE),
    started("mlp of one number", "INI002", lambda: mlp(32, 64, 10), FLAT, constant(0.05)),
    started("cnn of ones", "INI002", lambda: cnn(16, 32), IMAGE, nn.init.ones_),
    started("autoencoder of one number", "INI002", lambda: mlp(32, 16, 8, 16, 32, act=nn.Tanh), FLAT, constant(0.3)),
    Pair("constant recurrence", "INI002", lambda fault: Recurrent("RNN", lambda c: recurrence(c, fault)), (4, 5, 16)),
    Pair(
        "copied rows under a constant head",
        "INI003",
        lambda fault: copies(mlp(32, 64, 10), fault, head=0.05),
        FLAT,
        also=frozenset({"INI002"}),
    ),
    Pair("copied rows", "INI003", lambda fault: copies(mlp(32, 64, 10, act=nn.Tanh), fault), FLAT),
    Pair("copied filters", "INI003", lambda fault: copies(cnn(16, 32), fault), IMAGE),
    started("normal weights of std 1 with tanh", "INI004", lambda: mlp(256, 256, 10, act=nn.Tanh), (8, 256), normal(1)),
    started(
        "normal weights of std 1 with sigmoid", "INI004", lambda: mlp(100, 80, 10, act=nn.Sigmoid), (8, 100), normal(1)
    ),
    started(
        "normal weights of std 1 in a deep network",
        "INI004",
        lambda: deep(8, nn.ReLU),
        (8, 64),
        normal(1),
        also="INI005",
    ),
    started(
        "uniform weights from 0 to 1", "INI004", lambda: mlp(64, 64, 64, 10), (8, 64), nn.init.uniform_, also="INI005"
    ),
    started(
        "normal weights of std 1 in a cnn",
        "INI004",
        lambda: cnn(16, 32, 64),
        IMAGE,
        normal(1),
        also="INI005",
        keep_bias=True,
    ),
    started("tiny weights in a deep network", "INI004", lambda: deep(6, nn.Tanh), (8, 64), normal(1e-3), also="INI005"),
    started(
        "tiny weights in a cnn", "INI004", lambda: cnn(16, 32, 64), IMAGE, normal(1e-3), also="INI005", keep_bias=True
    ),
    Pair("twelve sigmoids", "INI005", lambda fault: deep(12, nn.Sigmoid if fault else nn.SELU), (8, 64)),
    Pair(
        "fifty layers of relu",
        "INI005",
        lambda fault: deep(50, nn.ReLU) if fault else weigh(deep(50, nn.ReLU), he_times(1)),
        (8, 64),
    ),
    Pair(
        "thirty layers of tanh",
        "INI005",
        lambda fault: deep(30, nn.Tanh) if fault else weigh(deep(30, nn.Tanh), nn.init.xavier_normal_),
        (8, 64),
    ),
    Pair(
        "exploding plain network",
        "INI005",
        lambda fault: weigh(deep(40, nn.ReLU), he_times(2.0 if fault else 1.0)),
        (8, 64),
    ),
    Pair("plain cnn without norms", "INI005", lambda fault: cnn(*[16] * 24, norm=not fault), IMAGE),
    Pair(
        "gelu network without shortcuts",
        "INI005",
        lambda fault: deep(20, nn.GELU) if fault else Residual(20, nn.GELU),
        (8, 64),
    ),
    Pair(
        "hidden bias of 10",
        "INI006",
        lambda fault: weigh(
            mlp(32, 64, 10, act=nn.Tanh), nn.init.xavier_normal_, bias=constant(10 if fault else 0), last=1
        ),
        FLAT,
        also=frozenset({"INI005"}),
    ),
    Pair(
        "biases of one in a cnn",
        "INI006",
        lambda fault: weigh(cnn(16, 32), he_times(1), bias=constant(1 if fault else 0), last=2),
        IMAGE,
    ),
    Pair(
        "skewed classes",
        "INI007",
        lambda fault: (
            mlp(32, 64, 3) if fault else prior(mlp(32, 64, 3), [math.log(p / 10000) for p in (9400, 500, 100)])
        ),
        FLAT,
        {"class_counts": "9400,500,100", "loss": "cross_entropy"},
    ),
    Pair(
        "prices around 180",
        "INI007",
        lambda fault: mlp(32, 64, 1) if fault else prior(mlp(32, 64, 1), [180.0]),
        FLAT,
        {"target_mean": "180", "loss": "mse_loss"},
    ),
    Pair("nan in a weight", "INI008", lambda fault: poke(mlp(32, 64, 10), fault, math.nan), FLAT),
    Pair("infinity in a convolution", "INI008", lambda fault: poke(cnn(16, 32), fault, math.inf), IMAGE),
    Pair("nan in a bias", "INI008", lambda fault: poke(mlp(32, 64, 10), fault, math.nan, bias=True), FLAT),
    Pair(
        "lstm with closed forget gates",
        "INI009",
        lambda fault: Recurrent("LSTM", lambda cell: forget(cell, 0.0 if fault else 1.0)),
        (4, 5, 16),
    ),
    Pair(
        "lstm as torch makes it",
        "INI009",
        lambda fault: Recurrent("LSTM", lambda cell: None if fault else forget(cell, 1.0)),
        (4, 5, 16),
    ),
    Pair("a third of the filters dead", "INI010", lambda fault: deaden(cnn(24, 32), fault), IMAGE, TRAINED),
    Pair("statistics never updated", "INI011", lambda fault: statistics(fault, never_updated), IMAGE, TRAINED),
    Pair("negative variance", "INI011", lambda fault: statistics(fault, negative), IMAGE, TRAINED),
    Pair("variances wiped", "INI011", lambda fault: statistics(fault, wiped), IMAGE, TRAINED),
)


class LayerScale(nn.Module):
    """Branches that start at a millionth, as those of ConvNeXt and CaiT."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(1, 32) for _ in range(6))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(32, 64, 1), nn.GELU(), nn.Conv2d(64, 32, 1)) for _ in range(6)
        )
        self.scales = nn.ParameterList(torch.full((32, 1, 1), 1e-6) for _ in range(6))
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        for norm, block, scale in zip(self.norms, self.blocks, self.scales, strict=True):
            h = h + scale * block(norm(h))
        return self.head(h.mean((2, 3)))


class Modulated(nn.Module):
    """adaLN-Zero: shifts, scales and gates from a zero layer, and a zero head (DiT)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.condition = nn.Linear(16, 64), nn.Linear(16, 64)
        self.norm = nn.LayerNorm(64, elementwise_affine=False)
        self.modulate, self.block = nn.Linear(64, 192), nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64))
        self.head = nn.Linear(64, 16)
        for layer in (self.modulate, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        shift, scale, gate = self.modulate(torch.nn.functional.silu(self.condition(x))).chunk(3, -1)
        return self.head(h + gate * self.block(self.norm(h) * (1 + scale) + shift))


class Sine(nn.Module):
    """A SIREN: the scale of a weight is a frequency."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 64), nn.Linear(64, 64), nn.Linear(64, 64)])
        self.head = nn.Linear(64, 3)
        for index, layer in enumerate(self.layers):
            bound = 1 / 2 if index == 0 else math.sqrt(6 / 64) / 30
            nn.init.uniform_(layer.weight, -bound, bound)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.sin(30 * layer(x))
        return self.head(x)


class Parametrised(nn.Module):
    """Weights of std 1 that a constant divides by √fan_in, as under neural tangent and µ-parametrisations."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
        for layer in (self.first, self.second, self.head):
            nn.init.normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x) / 8)
        return self.head(torch.relu(self.second(h) / 8)) / 8


def transformer(weight: Weigh | None = None) -> nn.Module:
    block = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True, dropout=0.0)
    model = nn.Sequential(
        nn.TransformerEncoder(block, 4, enable_nested_tensor=False), nn.LayerNorm(32), nn.Linear(32, 5)
    )
    return model if weight is None else weigh(model, weight)


def logistic(zero: bool = True) -> nn.Module:
    return weigh(nn.Sequential(nn.Linear(32, 1)), nn.init.zeros_ if zero else nn.init.ones_)


def zero_gamma() -> nn.Module:
    model = Residual(4, nn.ReLU)
    for block in model.blocks:
        assert isinstance(block, nn.Sequential)
        block.append(norm := nn.LayerNorm(64))
        nn.init.zeros_(norm.weight)
    return model


INITIALISERS: dict[str, Weigh] = {
    "xavier uniform": nn.init.xavier_uniform_,
    "xavier normal": nn.init.xavier_normal_,
    "kaiming uniform": nn.init.kaiming_uniform_,
    "kaiming normal by fan-out": lambda weight: nn.init.kaiming_normal_(weight, mode="fan_out"),
    "orthogonal": nn.init.orthogonal_,
    "sparse": lambda weight: nn.init.sparse_(weight, 0.1),
    "truncated normal 0.02": lambda weight: nn.init.trunc_normal_(weight, std=0.02),
    "normal 0.02": normal(0.02),
    "normal 0.05": normal(0.05),
    "uniform 0.05": lambda weight: nn.init.uniform_(weight, -0.05, 0.05),
}


def _drawn(how: Weigh) -> Callable[[], nn.Module]:
    return lambda: weigh(mlp(128, 256, 256, 64, 10), how)


HEALTHY: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    **{name: (_drawn(how), (8, 128)) for name, how in INITIALISERS.items()},
    "as torch does": (lambda: mlp(128, 256, 256, 64, 10), (8, 128)),
    "cnn with norms": (lambda: cnn(16, 32, 64, 64, norm=True), IMAGE),
    "layer scale": (LayerScale, IMAGE),
    "modulation from zero": (Modulated, (8, 16)),
    "siren": (Sine, (8, 2)),
    "scaled by a constant": (Parametrised, (8, 64)),
    "transformer": (transformer, (2, 7, 32)),
    "transformer of std 0.02": (lambda: transformer(normal(0.02)), (2, 7, 32)),
    "logistic regression": (logistic, FLAT),
    "zero scales of norms": (zero_gamma, (8, 64)),
    "low-rank update": (lambda: LowRank(False), FLAT),
    "zero convolution": (lambda: Control(False), IMAGE),
}
"""Models that start as they should, in all the ways that people use."""
