"""Healthy designs that look like the faults of the pairs: axes that are meant to move, weights that are kept aside."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, randn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.pairs_wiring import LABELS, Net

Told = dict[str, Any]
DESIGNS: list[Callable[[], tuple[nn.Module, Told]]] = []


def design(make: Callable[[], tuple[nn.Module, Told]]) -> Callable[[], tuple[nn.Module, Told]]:
    """Register a function that gives a model and what `netlint.check` is told of it."""
    DESIGNS.append(make)
    return make


# -- axes that are split, merged and moved


@design
def channel_shuffle() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        x = self.wide(x)
        return self.out(x.view(2, 3, 4, 7, 9).transpose(1, 2).reshape(2, 12, 7, 9))

    return Net(run, wide=nn.Conv2d(3, 12, 1), out=nn.Conv2d(12, 4, 1)), {"inputs": randn(2, 3, 7, 9)}


@design
def windows_and_back() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        windows = x.view(2, 2, 7, 3, 7, 6).permute(0, 1, 3, 2, 4, 5).reshape(-1, 49, 6)
        back = self.mix(windows).view(2, 2, 3, 7, 7, 6).permute(0, 1, 3, 2, 4, 5).reshape(2, 14, 21, 6)
        return self.mix(torch.relu(back))

    return Net(run, mix=nn.Linear(6, 6)), {"inputs": randn(2, 14, 21, 6)}


@design
def patches_and_back() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        patches = torch.einsum("nchpwq->nhwpqc", x.reshape(2, 3, 5, 4, 6, 4)).reshape(2, 30, 48)
        pixels = torch.einsum("nhwpqc->nchpwq", self.mix(patches).reshape(2, 5, 6, 4, 4, 3))
        return pixels.reshape(2, 3, 20, 24)

    return Net(run, mix=nn.Linear(48, 48)), {"inputs": randn(2, 3, 20, 24)}


@design
def pixel_shuffle_by_hand() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        return self.wide(x).view(2, 3, 3, 3, 5, 7).permute(0, 1, 4, 2, 5, 3).reshape(2, 3, 15, 21)

    return Net(run, wide=nn.Conv2d(3, 27, 1)), {"inputs": randn(2, 3, 5, 7)}


@design
def heads_in_the_batch_time_first() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        query, key, value = (part.reshape(7, 12, 5).transpose(0, 1) for part in self.qkv(x).chunk(3, -1))
        mixed = (query @ key.transpose(1, 2) / 5**0.5).softmax(-1) @ value
        return self.out(mixed.transpose(0, 1).reshape(7, 4, 15))

    return Net(run, qkv=nn.Linear(15, 45), out=nn.Linear(15, 15)), {"inputs": randn(7, 4, 15)}


@design
def channel_attention_of_heads() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).view(2, 3, 4, 16, 256).unbind(1)
        mixed = ((query @ key.transpose(2, 3)) / 16).softmax(-1) @ value
        return self.out(mixed.reshape(2, 64, 16, 16))

    return Net(run, qkv=nn.Conv2d(8, 192, 1), out=nn.Conv2d(64, 8, 1)), {"inputs": randn(2, 8, 16, 16)}


@design
def relative_positions_by_a_shift() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        padded = functional.pad(self.score(x), (1, 0))
        return padded.reshape(2, 8, 7)[:, 1:].softmax(-1) @ x

    return Net(run, score=nn.Linear(6, 7)), {"inputs": randn(2, 7, 6)}


@design
def frames_joined_in_pairs() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        return self.head(self.lstm(x.reshape(3, 4, 10))[0][:, -1])

    return Net(run, lstm=nn.LSTM(10, 4, batch_first=True), head=nn.Linear(4, 2)), {"inputs": randn(3, 8, 5)}


@design
def periods_of_a_series() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        maps = x.reshape(2, 4, 6, 5).permute(0, 3, 1, 2)
        return self.head(self.conv(maps).permute(0, 2, 3, 1).reshape(2, 24, 5).relu())

    return Net(run, conv=nn.Conv2d(5, 5, 3, padding=1), head=nn.Linear(5, 3)), {"inputs": randn(2, 24, 5)}


@design
def weights_of_each_sample() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor, style: Tensor) -> Tensor:
        scale = self.style(style).view(3, 1, 6, 1, 1)
        filters = (self.filters * scale).reshape(15, 6, 3, 3)
        return functional.conv2d(x.reshape(1, 18, 7, 7), filters, groups=3).reshape(3, 5, 5, 5)

    parts = {"style": nn.Linear(8, 6), "filters": nn.Parameter(randn(5, 6, 3, 3) / 7)}
    return Net(run, **parts), {"inputs": (randn(3, 6, 7, 7), randn(3, 8))}


# -- recurrent layers


def recurrent(run: Callable[..., Tensor], *inputs: Tensor, head: int = 6, **options: Any) -> tuple[nn.Module, Told]:
    return Net(run, rnn=nn.LSTM(5, 6, **options), head=nn.Linear(head, 2)), {"inputs": inputs}


@design
def time_first_and_back() -> tuple[nn.Module, Told]:
    return recurrent(lambda self, x: self.head(self.rnn(x.transpose(0, 1))[0].transpose(0, 1)[:, -1]), randn(4, 7, 5))


@design
def both_ends_of_both_directions() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        steps, _ = self.rnn(x)
        return self.head(torch.cat([steps[:, -1, :6], steps[:, 0, 6:]], -1))

    return recurrent(run, randn(4, 7, 5), head=12, batch_first=True, bidirectional=True)


@design
def packed_sequences() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        steps, (state, _) = self.rnn(packed)
        steps, _ = pad_packed_sequence(steps, batch_first=True)
        return self.head(steps[:, -1]) + self.head(state[-1])

    return recurrent(run, randn(4, 7, 5), torch.tensor([7, 5, 4, 2]), batch_first=True)


@design
def one_series_at_a_time() -> tuple[nn.Module, Told]:
    return recurrent(lambda self, x: self.head(self.rnn(x.view(len(x), 1, -1))[0].view(len(x), -1))[-1], randn(12, 5))


@design
def last_agent_of_a_single_scene() -> tuple[nn.Module, Told]:
    return recurrent(lambda self, x: self.head(self.rnn(x)[0][-1, -1]), randn(8, 3, 5))


@design
def newest_of_the_windows_of_a_series() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        steps, _ = self.rnn(x.unfold(0, 5, 1).permute(0, 2, 1))
        return self.head(steps[:, -1])[-1]

    return recurrent(run, randn(30, 5), batch_first=True)


@design
def each_state_beside_that_of_the_market() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        state = self.rnn(x)[1][0][-1]
        return self.head(torch.cat([state, state[-1].expand_as(state)], -1))

    return recurrent(run, randn(8, 7, 5), head=12, batch_first=True)


# -- gradients that are held back


def trained(make: Callable[[], nn.Module], step: Callable[..., Tensor], *inputs: Tensor) -> tuple[nn.Module, Told]:
    return make(), {"inputs": inputs, "step": step}


@design
def target_network() -> tuple[nn.Module, Told]:
    def step(model: Net, x: Tensor, taken: Tensor, reward: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = reward + 0.99 * model.target(x).max(1)[0]
        return functional.smooth_l1_loss(model(x).gather(1, taken[:, None]).squeeze(1), wanted)

    online = nn.Linear(5, 3)
    parts = {"online": online, "target": copy.deepcopy(online)}
    return trained(lambda: Net(lambda self, x: self.online(x), **parts), step, randn(4, 5), LABELS, randn(4))


@design
def critic_of_detached_fakes() -> tuple[nn.Module, Told]:
    def step(model: Net, noise: Tensor, real: Tensor) -> Tensor:
        fake = model(noise).detach()
        return functional.softplus(model.critic(fake)).mean() + functional.softplus(-model.critic(real)).mean()

    def make() -> nn.Module:
        return Net(lambda self, z: torch.tanh(self.make(z)), make=nn.Linear(5, 6), critic=nn.Linear(6, 1))

    return trained(make, step, randn(4, 5), randn(4, 6))


@design
def straight_through_codebook() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encode(x)
        chosen = self.entries(torch.cdist(code, self.entries.weight).argmin(1))
        loss = functional.mse_loss(chosen, code.detach()) + functional.mse_loss(code, chosen.detach()) / 4
        return self.decode(torch.relu(code + (chosen - code).detach())), loss

    def step(model: Net, x: Tensor) -> Tensor:
        made, loss = model(x)
        return functional.mse_loss(made, x) + loss

    parts = {"encode": nn.Linear(8, 4), "entries": nn.Embedding(16, 4), "decode": nn.Linear(4, 8)}
    return trained(lambda: Net(run, **parts), step, randn(4, 8))


@design
def temperature_of_a_finished_model() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        return self.model(x).detach() / self.temperature

    parts = {"model": nn.Linear(8, 3), "temperature": nn.Parameter(torch.ones(1) * 1.5)}
    return Net(run, **parts), {"inputs": randn(4, 8), "loss": nn.CrossEntropyLoss(), "targets": LABELS}


@design
def words_chosen_without_gradients() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        with torch.no_grad():
            word = self.tokens(x).argmax(1)
        return self.head(torch.tanh(self.words(word)))

    parts = {"tokens": nn.Linear(8, 10), "words": nn.Embedding(10, 6), "head": nn.Linear(6, 3)}
    return Net(run, **parts), {"inputs": randn(4, 8), "loss": nn.CrossEntropyLoss(), "targets": LABELS}


@design
def decoder_that_reads_its_own_words() -> tuple[nn.Module, Told]:
    def run(self: Net, state: Tensor) -> Tensor:
        word, scores = torch.zeros(4, dtype=torch.long), []
        for _ in range(3):
            state = self.cell(self.words(word), state)
            scores.append(self.head(state))
            word = scores[-1].argmax(-1)
        return torch.stack(scores, 1)

    def step(model: Net, state: Tensor, wanted: Tensor) -> Tensor:
        return functional.cross_entropy(model(state).flatten(0, 1), wanted.flatten())

    parts = {"words": nn.Embedding(10, 6), "cell": nn.GRUCell(6, 6), "head": nn.Linear(6, 10)}
    return trained(lambda: Net(run, **parts), step, randn(4, 6), torch.zeros(4, 3, dtype=torch.long))


# -- parameters that are kept aside


def aside(run: Callable[..., Any], **parts: Any) -> tuple[nn.Module, Told]:
    return Net(run, head=nn.Linear(8, 3), **parts), {"inputs": randn(4, 8)}


@design
def teacher_in_a_list() -> tuple[nn.Module, Told]:
    return aside(lambda self, x: (self.head(x), self.teacher[0](x).detach()), teacher=[nn.Linear(8, 3)])


@design
def averaged_copy_that_is_frozen() -> tuple[nn.Module, Told]:
    copied = [nn.Linear(8, 8).requires_grad_(False)]
    return aside(lambda self, x: self.head(torch.relu(self.copied[0](x))), copied=copied)


@design
def tied_weight_in_a_list() -> tuple[nn.Module, Told]:
    words = nn.Embedding(20, 8)

    def run(self: Net, x: Tensor) -> Tensor:
        return functional.linear(torch.relu(self.mix(self.words(x))), self.tied[0])

    return Net(run, words=words, mix=nn.Linear(8, 8), tied=[words.weight]), {"inputs": torch.zeros(4, 6).long()}


@design
def critic_with_its_own_optimizer() -> tuple[nn.Module, Told]:
    critic = nn.Linear(6, 1)

    def step(model: nn.Module, noise: Tensor, real: Tensor) -> Tensor:
        return critic(model(noise).detach()).mean() - critic(real).mean()

    return trained(lambda: nn.Sequential(nn.Linear(5, 6), nn.Tanh()), step, randn(4, 5), randn(4, 6))


@design
def parameters_that_the_model_lists_itself() -> tuple[nn.Module, Told]:
    class Listed(Net):
        def parameters(self, recurse: bool = True) -> Any:
            yield from super().parameters(recurse)
            yield from self.more

    more = [nn.Parameter(randn(3, 8) / 3)]
    model = Listed(lambda self, x: functional.linear(torch.relu(self.body(x)), self.more[0]), body=nn.Linear(8, 8))
    model.more = more
    return model, {"inputs": randn(4, 8)}


@design
def layer_made_by_the_first_call() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        x = torch.relu(self.head(x))
        if self.late is None:
            self.late = nn.Linear(x.size(1), 2)
        return self.late(x)

    return aside(run, late=None)


@design
def filter_written_by_hand() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        blur = nn.Linear(8, 8, bias=False)
        blur.weight = nn.Parameter(self.kernel)
        return self.head(blur(x).relu())

    return aside(run, kernel=torch.eye(8))


@design
def weights_copied_into_a_new_layer() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        fast = copy.deepcopy(self.head)
        return fast(x) + self.head(x)

    return aside(run)


@design
def random_convolution_as_augmentation() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = nn.Conv2d(3, 3, 3, padding=1)(x)
        return self.conv(x)

    return Net(run, conv=nn.Conv2d(3, 4, 3)), {"inputs": randn(2, 3, 9, 9)}


# -- attention and norms


@design
def quarter_scales_on_queries_and_keys() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).chunk(3, -1)
        return ((query * 256**-0.25) @ (key * 256**-0.25).transpose(1, 2)).softmax(-1) @ value

    return Net(run, qkv=nn.Linear(256, 768)), {"inputs": randn(2, 9, 256)}


@design
def dot_products_of_bounded_states() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        steps, _ = self.rnn(x)
        return self.head((steps @ steps.transpose(1, 2)).softmax(-1) @ steps)

    return Net(run, rnn=nn.LSTM(8, 256, batch_first=True), head=nn.Linear(256, 2)), {"inputs": randn(2, 9, 8)}


@design
def group_norm_of_pooled_channels() -> tuple[nn.Module, Told]:
    def run(self: Net, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.conv(x).mean((2, 3), keepdim=True))))

    parts = {"conv": nn.Conv2d(3, 8, 3), "norm": nn.GroupNorm(4, 8, eps=1e-3), "head": nn.Conv2d(8, 2, 1)}
    return Net(run, **parts), {"inputs": randn(2, 3, 9, 9)}
