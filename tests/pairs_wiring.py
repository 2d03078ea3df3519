"""Faults of how a model is wired, each beside its repaired twin: axes that are mixed, weights that nobody trains.

The patterns come from questions about networks that train without an error and do not learn: a `view` in place of a
`permute`, an LSTM that walks along the batch, a `detach` before the loss, layers in a plain list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """One fault and its repair; `make(True)` builds the faulty model."""

    name: str
    code: str
    make: Callable[[bool], nn.Module]
    inputs: tuple[Tensor, ...]
    told: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `netlint.check`; a `step` takes whether it is the faulty one."""
    ignored: frozenset[str] = frozenset()
    """Rules that may speak of other faults of so small a model."""


PAIRS: list[Pair] = []
Make = Callable[[bool], nn.Module]


def pair(
    code: str, *inputs: Tensor | tuple[int, ...], also: tuple[str, ...] = (), **told: Any
) -> Callable[[Make], Make]:
    """Register a function that builds both versions; an input is a tensor, or the shape of one of floats."""

    def register(make: Make) -> Make:
        given = tuple(one if isinstance(one, Tensor) else torch.zeros(one) for one in inputs)
        PAIRS.append(Pair(make.__name__, code, make, given, told, frozenset(also)))
        return make

    return register


class Net(nn.Module):
    """Modules by name, and a forward pass that takes them."""

    def __init__(self, run: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: Tensor) -> Any:
        return self.run(self, *inputs)


# -- SHP006: a reshape where an axis was to be moved


@pair("SHP006", (2, 10, 24))
def attention_merges_its_heads_unmoved(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).view(2, 10, 3, 4, 6).permute(2, 0, 3, 1, 4)
        mixed = (query @ key.transpose(-2, -1) / 6**0.5).softmax(-1) @ value
        return self.out((mixed if fault else mixed.transpose(1, 2)).reshape(2, 10, 24))

    return Net(run, qkv=nn.Linear(24, 72), out=nn.Linear(24, 24))


@pair("SHP006", (2, 9, 20))
def heads_are_split_by_a_view(fault: bool) -> nn.Module:
    def heads(x: Tensor) -> Tensor:
        return x.view(2, 4, 9, 5) if fault else x.view(2, 9, 4, 5).transpose(1, 2)

    def run(self: Net, x: Tensor) -> Tensor:
        query, key, value = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
        mixed = (query @ key.transpose(2, 3) / 5**0.5).softmax(-1) @ value
        return mixed.transpose(1, 2).reshape(2, 9, 20)

    return Net(run, query=nn.Linear(20, 20), key=nn.Linear(20, 20), value=nn.Linear(20, 20))


@pair("SHP006", (2, 16, 32))
def heads_merged_with_the_batch_beside(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).view(2, 16, 3, 4, 8).permute(2, 0, 3, 1, 4)
        mixed = (query @ key.transpose(2, 3) / 8**0.5).softmax(-1) @ value
        return self.out((mixed if fault else mixed.transpose(1, 2)).reshape(32, 32))

    return Net(run, qkv=nn.Linear(32, 96), out=nn.Linear(32, 32))


@pair("SHP006", (4, 1, 12, 22))
def columns_of_text_to_a_sequence(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        maps = torch.relu(self.conv(x))
        columns = maps.view(4, 20, 60) if fault else maps.permute(0, 3, 1, 2).reshape(4, 20, 60)
        return self.head(self.lstm(columns)[0])

    return Net(run, conv=nn.Conv2d(1, 6, 3), lstm=nn.LSTM(60, 8, batch_first=True), head=nn.Linear(8, 5))


@pair("SHP006", (2, 32, 30, 3))
def images_with_channels_last(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        return self.conv(x.reshape(-1, 3, 32, 30) if fault else x.permute(0, 3, 1, 2))

    return Net(run, conv=nn.Conv2d(3, 6, 3))


@pair("SHP006", (2, 12, 5, 7))
def tokens_back_to_a_map(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        back = tokens if fault else tokens.transpose(1, 2)
        return self.conv(back.reshape(2, 12, 5, 7))

    return Net(run, norm=nn.LayerNorm(12), conv=nn.Conv2d(12, 4, 1))


@pair("SHP006", (5, 7, 3))
def last_states_of_both_directions(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        _, (last, _) = self.lstm(x)
        return self.head((last if fault else last.transpose(0, 1)).reshape(5, 12))

    return Net(run, lstm=nn.LSTM(3, 6, batch_first=True, bidirectional=True), head=nn.Linear(12, 2))


@pair("SHP006", (4, 11, 6))
def batch_first_to_time_first_by_a_view(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        steps = x.view(11, 4, 6) if fault else x.transpose(0, 1)
        return self.head(self.gru(steps)[0])

    return Net(run, gru=nn.GRU(6, 8), head=nn.Linear(8, 2))


# -- RNN004: a recurrent layer that walks along the batch


def recurrent(kind: type[nn.Module], fault: bool, read: Callable[[Net, Tensor], Tensor], **options: Any) -> nn.Module:
    """A recurrent layer over [batch, time, 5] and a head."""
    layer = kind(5, 6, batch_first=not fault, **options)
    return Net(read, rnn=layer, head=nn.Linear(6 * (1 + options.get("bidirectional", False)), 2))


@pair("RNN004", (4, 7, 5))
def lstm_last_step(fault: bool) -> nn.Module:
    return recurrent(nn.LSTM, fault, lambda self, x: self.head(self.rnn(x)[0][:, -1, :]))


@pair("RNN004", (4, 7, 5))
def gru_last_step_kept_as_an_axis(fault: bool) -> nn.Module:
    return recurrent(nn.GRU, fault, lambda self, x: self.head(self.rnn(x)[0][:, -1:].squeeze(1)))


@pair("RNN004", (4, 7, 5))
def head_on_all_steps_then_the_last(fault: bool) -> nn.Module:
    return recurrent(nn.RNN, fault, lambda self, x: self.head(torch.relu(self.rnn(x)[0]))[:, -1])


@pair("RNN004", (4, 7, 5))
def both_ends_of_two_directions(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        steps, _ = self.rnn(x)
        return self.head(torch.cat([steps[:, -1, :6], steps[:, 0, 6:]], 1))

    return recurrent(nn.LSTM, fault, run, bidirectional=True)


@pair("RNN004", torch.zeros(4, 7, dtype=torch.long))
def first_axis_of_a_batch_first_layer(fault: bool) -> nn.Module:
    def run(self: Net, words: Tensor) -> Tensor:
        steps, _ = self.lstm(self.embed(words))
        return self.head(self.drop(steps[-1] if fault else steps[:, -1]))

    lstm = nn.LSTM(5, 6, 2, batch_first=True, dropout=0.1)
    return Net(run, embed=nn.Embedding(20, 5), lstm=lstm, drop=nn.Dropout(0.2), head=nn.Linear(6, 2))


@pair("RNN004", (4, 7, 5))
def last_state_as_if_batch_first(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        _, (state, _) = self.lstm(x)
        return self.head(state[:, -1, :] if fault else state[-1])

    return Net(run, lstm=nn.LSTM(5, 6, 2, batch_first=True), head=nn.Linear(6, 2))


@pair("RNN004", (4, 3, 9))
def convolution_before_the_layer(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        steps, _ = self.rnn(torch.relu(self.conv(x)).permute(0, 2, 1))
        return self.head(steps[:, -1])

    return Net(run, conv=nn.Conv1d(3, 5, 3), rnn=nn.LSTM(5, 6, batch_first=not fault), head=nn.Linear(6, 2))


# -- GRD002: a loss that reaches no weight

LABELS = torch.tensor([0, 1, 2, 0])


def classifier() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))


def trained_by(step: Callable[..., Tensor]) -> Callable[[bool], Callable[..., Tensor]]:
    """A step that is told whether it is the faulty one."""
    return lambda fault: lambda model, *batch: step(fault, model, *batch)


def detached_scores(fault: bool, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    scores = model(x)
    return functional.cross_entropy(scores.detach() if fault else scores, y)


def scores_without_gradients(fault: bool, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.set_grad_enabled(not fault):
        scores = model(x)
    return functional.cross_entropy(scores, y)


def scores_by_their_numbers(fault: bool, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    scores = model(x)
    return functional.mse_loss(torch.tensor(scores, requires_grad=True) if fault else scores, y)


def data_of_the_scores(fault: bool, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    scores = model(x)
    return functional.l1_loss((scores.data if fault else scores).requires_grad_(), y)


def policy_of_detached_probabilities(fault: bool, model: nn.Module, x: Tensor, gain: Tensor) -> Tensor:
    chance = torch.log_softmax(model(x), 1)
    taken = chance.gather(1, LABELS[:, None]).squeeze(1)
    return -((taken.detach() if fault else taken) * gain).mean() + functional.mse_loss(gain, gain * 0.9)


def loss_without_its_history(fault: bool, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    loss = functional.cross_entropy(model(x), y)
    return loss.detach().requires_grad_() if fault else loss


pair("GRD002", (4, 8), LABELS, step=trained_by(loss_without_its_history))(lambda fault: classifier())
pair("GRD002", (4, 8), LABELS, step=trained_by(detached_scores))(lambda fault: classifier())
pair("GRD002", (4, 8), LABELS, step=trained_by(scores_without_gradients))(lambda fault: classifier())
pair("GRD002", (4, 8), (4, 3), step=trained_by(scores_by_their_numbers))(lambda fault: classifier())
pair("GRD002", (4, 8), (4, 3), step=trained_by(data_of_the_scores))(lambda fault: classifier())
pair("GRD002", (4, 8), (4,), step=trained_by(policy_of_detached_probabilities))(lambda fault: classifier())


@pair("GRD002", (4, 8), loss=nn.CrossEntropyLoss(), targets=LABELS)
def whole_forward_without_gradients(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(not fault):
            return self.net(x)

    return Net(run, net=classifier())


@pair("GRD002", (4, 8), loss=nn.CrossEntropyLoss(), targets=LABELS)
def features_cut_behind_a_frozen_head(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        features = torch.relu(self.body(x))
        return self.head(features.detach() if fault else features)

    return Net(run, body=nn.Linear(8, 6), head=nn.Linear(6, 3).requires_grad_(False))


# -- GRD004: a weight that the model does not hold


@pair("GRD004", (4, 8))
def layers_in_a_plain_list(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)

    layers = [nn.Linear(8, 8) for _ in range(2)]
    return Net(run, layers=layers if fault else nn.ModuleList(layers), head=nn.Linear(8, 3))


@pair("GRD004", (2, 3, 9, 9))
def branches_in_a_plain_dict(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        return torch.cat([branch(x) for branch in self.branches.values()], 1)

    branches = {f"size{size}": nn.Conv2d(4, 2, size, padding=size // 2) for size in (1, 3)}
    return Net(run, stem=nn.Conv2d(3, 4, 3), branches=branches if fault else nn.ModuleDict(branches))


@pair("GRD004", (4, 8))
def parameter_in_a_tuple(fault: bool) -> nn.Module:
    weight = nn.Parameter(torch.randn(3, 8) / 3)

    def run(self: Net, x: Tensor) -> Tensor:
        return functional.linear(torch.relu(self.body(x)), self.weights[0] if fault else self.weight)

    return Net(run, body=nn.Linear(8, 8), **({"weights": (weight,)} if fault else {"weight": weight}))


@pair("GRD004", (4, 6, 5))
def recurrent_layer_in_a_list(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)[0]
        return self.head(x[:, -1])

    layers = [nn.GRU(5, 5, batch_first=True)]
    return Net(run, layers=layers if fault else nn.ModuleList(layers), head=nn.Linear(5, 2))


@pair("GRD004", (4, 8), loss=nn.CrossEntropyLoss(), targets=LABELS)
def heads_in_a_list_of_a_training_step(fault: bool) -> nn.Module:
    heads = [nn.Linear(6, 3), nn.Linear(6, 3)]
    parts = {"body": nn.Linear(8, 6), "heads": heads if fault else nn.ModuleList(heads)}
    return Net(lambda self, x: sum(head(torch.relu(self.body(x))) for head in self.heads), **parts)


@pair("GRD004", (4, 1, 12, 12))
def classifier_made_where_its_width_is_known(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x)).flatten(1)
        return (nn.Linear(x.size(1), 3) if fault else self.head)(x)

    return Net(run, conv=nn.Conv2d(1, 4, 3), head=nn.Linear(400, 3))


@pair("GRD004", (4, 1, 12, 12))
def classifier_made_anew_and_stored(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x)).flatten(1)
        if fault or not hasattr(self, "head"):
            self.head = nn.Linear(x.size(1), 3)
        return self.head(x)

    return Net(run, conv=nn.Conv2d(1, 4, 3))


@pair("GRD004", (2, 3, 9, 9), also=("INI012",))
def block_made_by_a_helper(fault: bool) -> nn.Module:
    def block(before: int, after: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU())

    def run(self: Net, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        return self.head((block(x.size(1), 6).to(x.device) if fault else self.block)(x))

    return Net(run, stem=nn.Conv2d(3, 4, 3), block=block(4, 6), head=nn.Conv2d(6, 2, 1))


@pair("GRD004", (4, 8), loss=nn.MSELoss(), targets=torch.zeros(4, 3))
def parameter_drawn_in_the_forward_pass(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        weight = nn.Parameter(torch.randn(3, 8) / 3) if fault else self.weight
        return functional.linear(torch.tanh(self.body(x)), weight)

    return Net(run, body=nn.Linear(8, 8), weight=nn.Parameter(torch.randn(3, 8) / 3))


# -- NRM006: an epsilon as large as the variances


def normalised(norm: nn.Module, channels: int = 8) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, channels, 3), norm, nn.ReLU(), nn.Conv2d(channels, 4, 1))


@pair("NRM006", (2, 3, 9, 9))
def momentum_given_as_epsilon(fault: bool) -> nn.Module:
    return normalised(nn.BatchNorm2d(8, 0.9) if fault else nn.BatchNorm2d(8, momentum=0.9))


@pair("NRM006", (4, 20))
def layer_norm(fault: bool) -> nn.Module:
    return nn.Sequential(nn.Linear(20, 16), nn.LayerNorm(16, 0.1 if fault else 1e-6), nn.GELU(), nn.Linear(16, 3))


@pair("NRM006", (2, 3, 9, 9))
def group_norm(fault: bool) -> nn.Module:
    return normalised(nn.GroupNorm(2, 8, eps=1.0 if fault else 1e-5))


@pair("NRM006", (2, 3, 9, 9))
def instance_norm(fault: bool) -> nn.Module:
    return normalised(nn.InstanceNorm2d(8, 10.0 if fault else 1e-3, affine=True))


@pair("NRM006", (4, 5, 20))
def rms_norm(fault: bool) -> nn.Module:
    return nn.Sequential(nn.Linear(20, 16), nn.RMSNorm(16, eps=0.05 if fault else 1e-8), nn.SiLU(), nn.Linear(16, 3))


@pair("NRM006", (4, 20))
def functional_norm(fault: bool) -> nn.Module:
    def run(self: Net, x: Tensor) -> Tensor:
        return self.head(torch.relu(functional.layer_norm(self.body(x), (16,), eps=1.0 if fault else 1e-5)))

    return Net(run, body=nn.Linear(20, 16), head=nn.Linear(16, 3))
