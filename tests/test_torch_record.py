"""The recorder: every call of a run, with its place, on tensors without elements."""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from netlint.frontends import TargetError  # noqa: E402
from netlint.frontends.torch import mode, run  # noqa: E402
from netlint.frontends.torch.build import build  # noqa: E402
from netlint.frontends.torch.record import record, record_symbolic  # noqa: E402
from netlint.frontends.torch.recording import Recording, SymbolicInt  # noqa: E402
from netlint.frontends.torch.trace import slots_in  # noqa: E402


class Fn(nn.Module):
    """A module around a function of itself and the inputs."""

    def __init__(self, run: Callable[..., Any], **modules: Any) -> None:
        super().__init__()
        self.run = run
        for name, value in modules.items():
            setattr(self, name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self, *args, **kwargs)


def x(*shape: int) -> Any:
    return torch.randn(shape or (2, 8))


def calls(recording: Recording) -> list[Any]:
    return [node for node in recording.graph.nodes if node.op == "call_function"]


def names(recording: Recording) -> list[str]:
    return [node.target.__name__ for node in calls(recording)]


def of(recording: Recording, name: str) -> Any:
    (found,) = [node for node in calls(recording) if node.target.__name__ == name]
    return found


def line_of(marked: Callable[..., Any], mark: str) -> int:
    lines, first = inspect.getsourcelines(marked)
    (found,) = [first + place for place, text in enumerate(lines) if mark in text]
    return found


def reached(recording: Recording) -> set[str]:
    """The parameters that the output stems from."""
    output = next(node for node in recording.graph.nodes if node.op == "output")
    seen, pending = set(), [output]
    while pending:
        node = pending.pop()
        if node not in seen:
            seen.add(node)
            pending += node.all_input_nodes
    return {node.target for node in seen if node.op == "get_attr"}


# Calls and their places


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 5)

    def forward(self, images: Any) -> Any:
        features = self.body(images)  # the body
        pooled = features.mean((2, 3))  # the mean
        return self.head(pooled)  # the head


def test_calls_arguments_and_metadata() -> None:
    recording = record(Small().eval(), (x(2, 3, 8, 8),))
    assert names(recording) == ["conv2d", "batch_norm", "relu", "mean", "linear"]
    placeholder, *_, output = recording.graph.nodes
    assert (placeholder.op, placeholder.target, placeholder.meta["shape"]) == ("placeholder", "images", (2, 3, 8, 8))
    linear = of(recording, "linear")
    assert output.args == (linear,)
    assert linear.meta["shape"] == (2, 5) and linear.meta["val"].dtype is torch.float32
    assert [arg.target for arg in linear.args] == [of(recording, "mean").target, "head.weight", "head.bias"]


def test_source_lines_and_modules() -> None:
    recording = record(Small().eval(), (x(2, 3, 8, 8),))
    place = of(recording, "conv2d").meta["location"]
    assert place.source == (__file__, line_of(Small, "# the body"))
    assert (place.module, place.module_class) == ("body.0", "torch.nn.modules.conv.Conv2d")
    place = of(recording, "mean").meta["location"]
    assert place.source == (__file__, line_of(Small, "# the mean"))
    assert place.module is None and place.module_class.endswith("Small")
    assert of(recording, "linear").meta["location"].path == "head ▸ linear"


def test_parameters_are_the_models_own() -> None:
    model = Small()
    recording = record(model, (x(2, 3, 8, 8),))
    assert recording.tensors["head.weight"] is model.head.weight
    assert recording.tensors["body.1.running_mean"] is model.body[1].running_mean


def test_shared_parameters_are_one_node() -> None:
    model = nn.Module()
    model.table, model.out = nn.Embedding(10, 8), nn.Linear(8, 10, bias=False)
    model.out.weight = model.table.weight
    recording = record(lambda ids: model.out(model.table(ids)), (torch.zeros(2, 3, dtype=torch.long),), modules=model)
    (weight,) = [node for node in recording.graph.nodes if node.op == "get_attr"]
    assert weight.target == "table.weight" and len(weight.users) == 2


def test_training_and_evaluation() -> None:
    model = nn.Sequential(nn.BatchNorm1d(8), nn.Dropout(0.5))
    assert of(record(model, (x(),)), "batch_norm").kwargs["training"] is True
    assert of(record(model.eval(), (x(),)), "batch_norm").kwargs["training"] is False


def test_losses_and_recurrence_are_one_call() -> None:
    def step(model: nn.Module, inputs: Any, targets: Any) -> Any:
        return F.cross_entropy(model(inputs)[0][:, -1], targets)

    recording = record(step, (nn.LSTM(8, 5, batch_first=True), x(2, 6, 8), torch.zeros(2, dtype=torch.long)))
    loss = of(recording, "cross_entropy")
    assert loss.meta["shape"] == () and of(recording, "lstm").meta["shape"][0] == (2, 6, 5)
    assert [node.target for node in recording.graph.nodes if node.op == "placeholder"] == ["inputs", "targets"]


def test_multi_head_attention_is_entered() -> None:
    model = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    recording = record(
        lambda tokens: model(tokens, tokens, tokens, need_weights=False)[0], (x(2, 6, 8),), modules=model
    )
    assert "scaled_dot_product_attention" in names(recording) and "multi_head_attention_forward" not in names(recording)


def test_encoder_layers_avoid_the_fused_path() -> None:
    layer = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, batch_first=True), 2).eval()
    assert names(record(layer, (x(2, 6, 8),))).count("layer_norm") == 4


def test_nested_inputs_and_outputs() -> None:
    def run(batch: dict[str, Any], pair: tuple[Any, Any], scale: float = 1.0) -> dict[str, Any]:
        return {"sum": batch["a"] + pair[1] * scale, "n": 3, "both": [pair[0], None]}

    recording = record(run, ({"a": x(), "b": x()}, (x(), x())), {"scale": 2.0})
    inputs = [node.target for node in recording.graph.nodes if node.op == "placeholder"]
    assert inputs == ["batch_a", "batch_b", "pair_0", "pair_1"]
    output = next(node for node in recording.graph.nodes if node.op == "output")
    assert output.args[0]["sum"].target.__name__ == "add" and output.args[0]["n"] is None


class Batch:
    def __init__(self) -> None:
        self.features, self.edges = x(), torch.zeros(2, 3, dtype=torch.long)


def test_tensors_in_objects_are_inputs() -> None:
    recording = record(lambda batch: batch.features.relu(), (Batch(),))
    assert of(recording, "relu").args[0].op == "placeholder"


def test_outside_constants() -> None:
    table = torch.arange(8.0)
    recording = record(lambda value: value + table + torch.tensor([1.0, 2.0] * 4), (x(),))
    (constant,) = [node for node in recording.graph.nodes if node.op == "get_attr"]
    assert recording.tensors[constant.target] is table
    assert of(recording, "tensor").args == ([1.0, 2.0] * 4,)


# Memory


def test_later_uses_follow_an_in_place_call() -> None:
    def run(value: Any) -> Any:
        start = value * 2
        start.add_(1)
        return start.relu()

    recording = record(run, (x(),))
    assert of(recording, "relu").args[0] is of(recording, "add_")


def test_inputs_and_parameters_in_place() -> None:
    model = nn.Linear(8, 8)
    before = model.weight.clone()

    def run(value: Any) -> Any:
        value.mul_(2)
        with torch.no_grad():
            model.weight.clamp_(-0.1, 0.1)
        return model(value)

    given = x()
    kept = given.clone()
    recording = record(run, (given,), modules=model)
    linear = of(recording, "linear")
    assert linear.args[:2] == (of(recording, "mul_"), of(recording, "clamp_"))
    assert of(recording, "clamp_").meta["no_grad"] is True and "no_grad" not in linear.meta
    assert torch.equal(model.weight, before) and torch.equal(given, kept)


def test_item_assignment_and_views() -> None:
    def run(value: Any) -> Any:
        out = torch.zeros(2, 8)
        out[:, 1:] = value[:, 1:]
        out[0].fill_(3)
        return out.view(-1)

    recording = record(run, (x(),))
    assert names(recording) == ["zeros", "__getitem__", "__setitem__", "__getitem__", "fill_", "view"]
    assert of(recording, "__setitem__").meta["val"] is None
    assert of(recording, "view").args[0] is of(recording, "zeros")


def test_out_arguments_and_data() -> None:
    def run(value: Any) -> Any:
        out = torch.empty(2, 8)
        torch.add(value, 1, out=out)
        weights = value.clone()
        weights.data = out
        return weights.data.sigmoid()

    recording = record(run, (x(),))
    add = of(recording, "add")
    assert of(recording, "getattr").args == (add, "data")
    assert add.kwargs["out"] is of(recording, "empty")


def test_what_does_nothing_is_not_recorded() -> None:
    recording = record(lambda v: v.contiguous().float().to("cpu").requires_grad_().relu(), (x(),))
    assert names(recording) == ["relu"]


def test_shapes_are_those_of_the_time() -> None:
    def run(value: Any) -> Any:
        wide = value * 1
        return wide.unsqueeze_(0)

    recording = record(run, (x(),))
    assert of(recording, "mul").meta["shape"] == (2, 8) and of(recording, "mul").meta["val"].shape == (2, 8)
    assert of(recording, "unsqueeze_").meta["shape"] == (1, 2, 8)


# What depends on the data


def branching(value: Any) -> Any:
    before = value.relu()
    if before.sum() > 0:  # the branch
        return before.tanh()
    return before.sigmoid()


def test_a_branch_on_data_is_marked() -> None:
    recording = record(branching, (torch.ones(2, 8),))
    assert recording.real
    assert of(recording, "relu").meta["location"].assumed is None
    said = of(recording, "tanh").meta["location"].assumed
    assert f"test_torch_record.py:{line_of(branching, '# the branch')}" in said and "the data" in said
    assert of(recording, "relu").meta["val"].is_meta


def test_a_real_run_stops_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode, "REAL_RESULTS", 40)
    with pytest.raises(TargetError, match="too large"):
        record(branching, (torch.ones(2, 8),))


def test_no_real_run_where_it_is_forbidden() -> None:
    with pytest.raises(TargetError, match="elements"):
        record(branching, (torch.ones(2, 8),), real="never")


def test_known_values_are_no_data() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.tensor(3))

        def forward(self, value: Any) -> Any:
            lengths = torch.arange(8) + 1
            lengths[0] = 5
            if int(lengths[0]) == 5 and bool((lengths > 0).all()):
                value = value[:, : self.count]
            return value.repeat(1, self.count.item()).relu()

    recording = record(Positions(), (x(),))
    assert not recording.real and of(recording, "relu").meta["shape"] == (2, 9)
    assert {node.meta["location"].assumed for node in calls(recording)} == {None}


def test_chance_is_drawn_and_marked() -> None:
    def run(value: Any) -> Any:
        if torch.rand([]) < 2:
            return value.relu()
        return value

    recording = record(run, (x(),))
    assert not recording.real and "chance" in of(recording, "relu").meta["location"].assumed


def test_sizes_from_the_data() -> None:
    recording = record(lambda value: value[value > 0].relu(), (torch.ones(2, 3),))
    assert recording.real and of(recording, "relu").meta["shape"] == (6,)
    assert "data" in of(recording, "relu").meta["location"].assumed


CAREFUL = """
def careful(value):
    assert value.isfinite().all(), "not finite"
    assert not torch.isnan(value).any()
    if (value > 1e9).any():
        raise ValueError(f"too large: {value.shape}")
    return value.relu()
"""


def test_conditions_that_only_raise_are_no_branches() -> None:
    scope = {"torch": torch}
    exec(compile(CAREFUL, __file__, "exec"), scope)  # pytest rewrites the asserts of this file
    recording = record(scope["careful"], (x(),), real="never")
    assert of(recording, "relu").meta["location"].assumed is None


def test_both_ways_of_a_condition() -> None:
    def run(value: Any) -> Any:
        if (value > 1e9).any():
            value = value * 2
        return torch.cond(value.sum() > 0, lambda v: v.relu(), lambda v: v.tanh(), (value,))

    recording = record(run, (torch.ones(2, 8),))
    assert recording.real and "test_torch_record.py" in of(recording, "relu").meta["location"].assumed


# The model stays as it is


class Careless(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8)
        self.seen: list[Any] = []
        self.last: Any = None
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, value: Any) -> Any:
        value = self.norm(value)
        self.seen.append(value)
        self.last, self.new = value, 1
        self.steps = self.steps + 1
        if random.random() < 2 and torch.rand([]).sum() < 5 and value.sum() < 1e9:
            self.train(False)
        return value


@pytest.mark.parametrize("real", ["auto", "never"])
def test_the_model_handed_in_never_changes(real: Any) -> None:
    model = Careless()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    versions = [value._version for value in (*model.parameters(), *model.buffers())]
    attributes, given = set(vars(model)), x()
    chance = torch.get_rng_state(), random.getstate()
    if real == "never":
        with pytest.raises(TargetError):
            record(model, (given,), real=real)
    else:
        assert record(model, (given,)).real
    assert model.training and model.norm.training and model.seen == [] and model.last is None
    assert set(vars(model)) == attributes and model.steps is model.get_buffer("steps")
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [value._version for value in (*model.parameters(), *model.buffers())] == versions
    assert torch.equal(torch.get_rng_state(), chance[0]) and random.getstate() == chance[1]
    assert not model._forward_hooks and torch.is_grad_enabled()


def test_gradients_and_optimizers_are_left_alone() -> None:
    model = nn.Linear(8, 1)
    model.weight.grad = torch.ones(1, 8)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(value: Any) -> None:
        optimizer.zero_grad()
        model(value).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    before = model.weight.clone()
    recording = record(step, (x(),), modules=model)
    assert torch.equal(model.weight, before) and torch.equal(model.weight.grad, torch.ones(1, 8))
    output = next(node for node in recording.graph.nodes if node.op == "output")
    assert output.all_input_nodes == [of(recording, "mean")]


@functools.lru_cache
def cached_mask(size: int) -> Any:
    return torch.ones(size, size).tril()


def test_caches_hold_no_stand_ins_afterwards() -> None:
    cached_mask.cache_clear()
    for _ in range(2):
        assert "tril" in names(record(lambda value: value @ cached_mask(8), (x(),)))
    assert not cached_mask(8).is_meta


# Symbolic batch


def test_the_batch_is_a_symbol() -> None:
    def run(value: Any) -> Any:
        batch = value.shape[0]
        pairs = value.view(batch * 4, 2).view(batch, -1)
        return pairs, torch.cat([pairs, torch.zeros(1, 8)])

    recording = record_symbolic(run, (x(5, 8),))
    assert recording.symbolic and recording.notes == []
    first, second = (node for node in calls(recording) if node.target.__name__ == "view")
    assert first.meta["shape"] == ("4*batch", 2) and second.meta["shape"] == ("batch", 8)
    assert isinstance(first.args[1], SymbolicInt) and (first.args[1], first.args[1].symbol) == (8, "4*batch")
    assert second.args[1:] == (2, -1) and second.args[1].symbol == "batch"
    assert of(recording, "cat").meta["shape"] == (None, 8)


def test_a_fixed_batch_is_said() -> None:
    recording = record_symbolic(lambda value: value.reshape(1, 8) + 1, (x(1, 8),))
    assert not recording.symbolic and of(recording, "reshape").meta["shape"] == (1, 8)
    assert "1 sample" in recording.notes[0]


def test_a_loop_over_the_batch_is_said() -> None:
    recording = record_symbolic(lambda value: torch.stack([row.relu() for row in value]), (x(),))
    assert not recording.symbolic and "operators" in recording.notes[0]
    assert of(recording, "stack").meta["shape"] == (2, 8)


class Alone(nn.Module):
    """Takes what `view` makes of the input."""

    def __init__(self, layer: nn.Module, view: Callable[[Any], Any] = lambda value: value) -> None:
        super().__init__()
        self.layer, self.view = layer, view

    def forward(self, value: Any) -> Any:
        seen = self.view(value)
        found = self.layer(seen, seen, seen) if isinstance(self.layer, nn.MultiheadAttention) else self.layer(seen)
        return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize(
    ("model", "shape", "found"),
    [
        (nn.LSTM(8, 4), (5, 8), ("length", 8)),
        (nn.GRU(8, 4), (5, 3, 8), (5, "batch", 8)),
        (nn.GRU(8, 4, batch_first=True), (5, 3, 8), ("batch", 3, 8)),
        (nn.MultiheadAttention(8, 2), (5, 8), ("length", 8)),
        (nn.MultiheadAttention(8, 2), (5, 3, 8), (5, "batch", 8)),
        (nn.MultiheadAttention(8, 2, batch_first=True), (5, 3, 8), ("batch", 3, 8)),
        (nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), (5, 8), ("length", 8)),
        (nn.Linear(8, 4), (5, 8), ("batch", 8)),
    ],
)  # fmt: skip
def test_layers_show_which_axis_is_the_batch(model: nn.Module, shape: tuple[int, ...], found: tuple[Any, ...]) -> None:
    recording = record_symbolic(Alone(model), (x(*shape),))
    assert recording.symbolic and recording.notes == []
    assert next(iter(recording.graph.nodes)).meta["shape"] == found


def test_one_image_has_rows_and_no_samples() -> None:
    recording = record_symbolic(Alone(nn.Conv2d(1, 4, 3, padding=1), lambda value: value[None, None]), (x(9, 9),))
    assert next(iter(recording.graph.nodes)).meta["shape"] == ("length", 9)


@pytest.mark.parametrize(("layer", "shape"), [(nn.Conv2d(3, 4, 3), (3, 9, 9)), (nn.Linear(8, 4), (8,))])
def test_one_sample_without_a_batch_axis_is_said(layer: nn.Module, shape: tuple[int, ...]) -> None:
    recording = record_symbolic(Alone(layer), (x(*shape),))
    assert recording.notes == ["takes one sample, without a batch axis"]
    assert next(iter(recording.graph.nodes)).meta["shape"] == shape


def test_a_run_at_another_size_that_asks_for_elements_is_told_in_words() -> None:
    recording = record_symbolic(lambda v: v.relu() if len(v) == 2 else v * float(v.sum()), (x(),))
    assert recording.notes == ["with 3 samples it asks for elements of tensors"]


# All kinds of code


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Any, scale: float) -> Any:
        return (value * scale).round()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad, None


straight = Straight.apply


@pytest.mark.parametrize("apply", [lambda *args: Straight.apply(*args), straight])
def test_custom_functions_are_one_opaque_call(apply: Any) -> None:
    recording = record(lambda value: apply(value.relu(), 2.0).tanh(), (x(),))
    assert names(recording) == ["relu", "Straight", "tanh"]
    assert of(recording, "Straight").args == (of(recording, "relu"), 2.0)
    assert of(recording, "tanh").args == (of(recording, "Straight"),)


class Shifts(torch.autograd.Function):
    """Writes into its argument on the way, as implementations of sparsemax do."""

    @staticmethod
    def forward(ctx: Any, value: Any) -> Any:
        value -= value.max()
        return value.clamp(min=-1)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad


def test_what_a_custom_function_writes_into_its_arguments_is_a_result_of_it() -> None:
    def applied(value: Any) -> Any:
        h = value.relu()
        return Shifts.apply(h), h.tanh()

    recording = record(applied, (x(),))
    assert of(recording, "Shifts").args == (of(recording, "relu"),)
    (read,) = of(recording, "tanh").args
    assert read.args == (of(recording, "Shifts"), 1)


@torch.library.custom_op("netlint_test::twice", mutates_args=())
def twice(value: torch.Tensor) -> torch.Tensor:
    return value.numpy(force=True).copy() is not None and value * 2


@twice.register_fake
def _(value: Any) -> Any:
    return torch.empty_like(value)


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.fc(value).relu()


def _checkpointed(reentrant: bool) -> nn.Module:
    from torch.utils.checkpoint import checkpoint

    return Fn(lambda self, value: checkpoint(self.fc, value, use_reentrant=reentrant), fc=nn.Linear(8, 8))


def _weight_norm() -> nn.Module:
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(8, 8)), nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)))


def _spectral() -> nn.Module:
    return nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))


def _hooked() -> nn.Module:
    model = nn.Linear(8, 8)
    model.register_forward_hook(lambda module, args, result: result * 2)
    model.register_full_backward_hook(lambda module, gave, got: None)
    return model


def _gradient(self: Any, value: Any) -> Any:
    value = value.detach().requires_grad_()
    energy = self.fc(value).sum()
    (force,) = torch.autograd.grad(energy, value, create_graph=True)
    return force + value.grad_fn_free if hasattr(value, "grad_fn_free") else force * energy


def _complex(self: Any, value: Any) -> Any:
    return torch.fft.irfft(torch.fft.rfft(self.fc(value)) * torch.polar(torch.ones(5), torch.ones(5)), n=8)


def _sparse(self: Any, value: Any) -> Any:
    return torch.sparse.mm(torch.eye(2).to_sparse(), self.fc(value))


def _autocast(self: Any, value: Any) -> Any:
    with torch.autocast("cpu", torch.bfloat16):
        low = self.fc(value)
    assert low.dtype is torch.bfloat16
    return low.float()


def _distribution(self: Any, value: Any) -> Any:
    mean, scale = self.fc(value).chunk(2, -1)
    normal = torch.distributions.Normal(mean, F.softplus(scale))
    drawn = normal.rsample()
    return (
        drawn,
        normal.log_prob(drawn),
        torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)),
    )


def _packed(self: Any, value: Any) -> Any:
    packed = nn.utils.rnn.pack_padded_sequence(value.view(2, 4, 2), torch.tensor([4, 2]), batch_first=True)
    return nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True)[0]


def _fc(run: Callable[..., Any]) -> nn.Module:
    return Fn(run, fc=nn.Linear(8, 8))


@torch.jit.script
def _scripted(value: torch.Tensor) -> torch.Tensor:
    return value * torch.sigmoid(value) + 1


KINDS: dict[str, Callable[[], nn.Module]] = {
    "custom op": lambda: _fc(lambda self, value: torch.ops.netlint_test.twice(self.fc(value))),
    "aten op": lambda: _fc(lambda self, value: torch.ops.aten.relu.default(self.fc(value))),
    "scripted": lambda: nn.Sequential(torch.jit.script(Scripted()), nn.ReLU()),
    "scripted function": lambda: _fc(lambda self, value: _scripted(self.fc(value)).relu()),
    "traced": lambda: nn.Sequential(torch.jit.trace(Scripted(), x()), nn.ReLU()),
    "vmap": lambda: _fc(lambda self, value: torch.func.vmap(self.fc)(value).relu()),
    "functional_call": lambda: _fc(
        lambda self, value: torch.func.functional_call(self.fc, dict(self.fc.named_parameters()), (value,))
    ),
    "checkpoint": lambda: _checkpointed(False),
    "reentrant checkpoint": lambda: _checkpointed(True),
    "weight norm": _weight_norm,
    "spectral norm": _spectral,
    "hooks": _hooked,
    "lazy": lambda: nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d()),
    "gradient": lambda: _fc(_gradient),
    "complex": lambda: _fc(_complex),
    "sparse": lambda: _fc(_sparse),
    "autocast": lambda: _fc(_autocast),
    "distribution": lambda: _fc(_distribution),
    "packed": lambda: Fn(_packed, gru=nn.GRU(2, 3, batch_first=True)),
    "parameter list": lambda: Fn(lambda self, value: value * self.ws[0], ws=nn.ParameterList([torch.ones(8)])),
    "print": lambda: _fc(lambda self, value: (print(value, f"{value.sum()}"), self.fc(value))[1]),
    "inference mode": lambda: _fc(lambda self, value: torch.inference_mode()(self.fc)(value)),
    "dynamic quantised": lambda: torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(8, 8)), {nn.Linear}),
    "meta": lambda: nn.Linear(8, 8, device="meta"),
    "double": lambda: nn.Linear(8, 8).double(),
}


_CALLS = {
    "custom op": ["linear", "twice"],
    "aten op": ["linear", "relu.default"],
    "scripted function": ["linear", "sigmoid.default", "mul.Tensor", "add.Scalar", "relu"],
    "checkpoint": ["linear"],
    "reentrant checkpoint": ["linear"],
    "functional_call": ["linear"],
    "hooks": ["linear", "mul"],
    "lazy": ["linear", "add_", "batch_norm"],
    "gradient": ["detach", "linear", "sum", "grad", "getitem", "mul"],
    "autocast": ["linear", "float"],
    "print": ["sum", "linear"],
    "meta": ["linear"],
}
"""By kind: what is recorded, where that matters."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_code_records(kind: str) -> None:
    torch.manual_seed(0)
    model = KINDS[kind]()
    given = x().double() if kind == "double" else x()
    recording = record(model, (given,))
    placeholder = next(node for node in recording.graph.nodes if node.op == "placeholder")
    output = next(node for node in recording.graph.nodes if node.op == "output")
    seen, pending = set(), [output]
    while pending:
        node = pending.pop()
        if node not in seen:
            seen.add(node)
            pending += node.all_input_nodes
    assert placeholder in seen, recording.graph
    calls = [name for name in names(recording) if name != "empty"]  # torch 2.9 makes empty tensors at a checkpoint
    assert kind not in _CALLS or calls == _CALLS[kind]
    expected = {name for name, value in model.named_parameters() if value.requires_grad}
    assert kind in ("lazy", "scripted", "traced", "dynamic quantised", "weight norm") or expected <= reached(recording)


def test_compiled_modules_run_as_they_were_written() -> None:
    model = torch.compile(nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    assert names(record(model, (x(),))) == ["linear", "relu"]


# Errors


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(7, 3)

    def forward(self, value: Any) -> Any:
        return self.fc(value)  # the fault


@pytest.mark.parametrize("real", ["auto", "never"])
def test_what_the_model_raises_is_told_with_its_line(real: Any) -> None:
    with pytest.raises(TargetError, match=r"RuntimeError at .*: ") as caught:
        record(Broken(), (x(),), real=real)
    assert f"{__file__}:{line_of(Broken, '# the fault')}" in str(caught.value) and caught.value.help
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.BatchNorm2d(4), (2, 3, 4, 4)),
        (nn.LayerNorm(4), (2, 3)),
        (nn.GroupNorm(2, 4), (2, 3, 4)),
        (nn.Conv2d(4, 4, 3), (2, 3, 8, 8)),
        (nn.Conv2d(3, 4, 9), (2, 3, 8, 8)),
        (nn.ConvTranspose2d(4, 4, 3), (2, 3, 8, 8)),
        (nn.LSTM(4, 4), (5, 2, 3)),
        (nn.GRUCell(4, 4), (2, 3)),
        (nn.MaxPool2d(9), (2, 3, 8, 8)),
        (nn.PReLU(4), (2, 3)),
        (nn.RMSNorm(4), (2, 3)),
        (Fn(lambda self, value: value + torch.ones(5)), (2, 3)),
        (Fn(lambda self, value: value.add_(torch.ones(5))), (2, 3)),
        (Fn(lambda self, value: torch.cat([value, torch.ones(2, 3, 1)])), (2, 3)),
        (Fn(lambda self, value: value @ torch.ones(4, 5)), (2, 3)),
        (Fn(lambda self, value: value.mean(2)), (2, 3)),
        (Fn(lambda self, value: value.softmax(2)), (2, 3)),
        (Fn(lambda self, value: F.scaled_dot_product_attention(value, value, value[..., :1, :])), (2, 3, 4)),
    ],
)
def test_shapes_that_do_not_fit_are_errors(layer: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(TargetError):
        record(layer, (x(*shape),), real="never")


@pytest.mark.parametrize("run", [lambda value: None, lambda value: __import__("sys").exit(3)])
def test_nothing_to_record(run: Any) -> None:
    with pytest.raises(TargetError):
        record(run, (x(),))


# Results made without torch are those of torch

_a, _b, _i = torch.rand(2, 3, 8), torch.rand(3, 1), torch.arange(24).view(2, 3, 4)
_image, _wide = torch.rand(2, 4, 9, 7), torch.rand(2, 4, 9, 7).to(memory_format=torch.channels_last)
_recurrent = [kind(8, 5, 2, bidirectional=True, batch_first=True) for kind in (nn.LSTM, nn.GRU, nn.RNN)]
_others = [nn.LSTM(8, 5, proj_size=3), nn.GRU(8, 5, bias=False), nn.LSTMCell(8, 5), nn.GRUCell(8, 5)]
RESULTS: list[Callable[[], Any]] = [
    *(lambda op=op: op(_a, _b) for op in (torch.add, torch.sub, torch.mul, torch.div, torch.maximum, torch.eq)),
    *(
        lambda op=op: op(_i, 2)
        for op in (torch.add, torch.div, torch.pow, torch.remainder, torch.lt, torch.bitwise_and)
    ),
    *(lambda op=op: op(_i, 2.5) for op in (torch.add, torch.mul, torch.pow, torch.clamp)),
    *(lambda op=op: op(_i) for op in (torch.sqrt, torch.neg, torch.abs, torch.sigmoid, torch.logical_not, torch.isnan)),
    *(lambda op=op: op(_a.transpose(0, 2)) for op in (torch.relu, torch.exp, torch.clone, torch.zeros_like, F.gelu)),
    *(lambda op=op: op(_a.expand(4, 2, 3, 8)) for op in (torch.relu, torch.tanh, torch.neg)),
    *(lambda op=op: op(_i) for op in (torch.sum, torch.any, torch.amax, torch.argmax, torch.max)),
    *(lambda op=op: op(_a, -1, True) for op in (torch.sum, torch.mean, torch.all, torch.argmin, torch.min)),
    *(lambda op=op: op(_a, (0, -1)) for op in (torch.sum, torch.mean, torch.amin, torch.logsumexp, torch.std)),
    lambda: (_a.sum(0, dtype=torch.float64), _a.var(1, unbiased=False, keepdim=True), _a.norm(), _a.norm(2, -1)),
    lambda: (
        _i.cumsum(1),
        _a.cumprod(-1),
        _a.softmax(-1),
        _i.float().log_softmax(0),
        F.softmax(_a, 1, dtype=torch.float64),
    ),
    lambda: (
        torch.cat([_a, _a], -2),
        torch.stack([_a, _a], -1),
        torch.where(_a > 0, _a, 0.0),
        _a.masked_fill(_a > 0, 0),
    ),
    lambda: (_a.to(torch.int32), _a.double(), _i.float(), _i.type_as(_a), _a.half().float(), _i.bool()),
    lambda: (F.pad(_a, (1, 2)), F.pad(_a, (1, 1), "reflect"), F.pad(_image, (1, 0, 2, 1), "replicate")),
    lambda: (_a.clone().add_(_b), _a.clone().masked_fill_(_a > 0, 1), _a.clone().div_(2), _a.clone().copy_(_b)),
    lambda: (_a @ _a.mT, _a[0, 0] @ _a[0].T, _a @ _a[0, 0], torch.bmm(_a, _a.mT), torch.einsum("bij,bkj->bik", _a, _a)),
    lambda: (torch.einsum("bij->j", _a), torch.einsum("bij,j", _a, _a[0, 0]), 1 - _a, 2**_a, 1 / (_i + 1), _a // 2),
    *(
        lambda image=image: F.conv2d(image, torch.rand(6, 2, 3, 2), stride=2, padding=1, groups=2)
        for image in (_image, _wide)
    ),
    *(lambda image=image: F.conv2d(image, torch.rand(6, 4, 3, 3), padding="same") for image in (_image, _wide)),
    lambda: (
        F.conv1d(_a, torch.rand(5, 3, 3), torch.rand(5), dilation=2),
        F.conv_transpose1d(_a, torch.rand(3, 5, 3), stride=2),
    ),
    lambda: F.conv_transpose2d(_image, torch.rand(4, 3, 3, 3), stride=2, padding=1, output_padding=1, groups=2),
    *(lambda ceil=ceil: F.max_pool2d(_image, 3, 2, 1, ceil_mode=ceil) for ceil in (False, True)),
    *(lambda ceil=ceil: F.avg_pool2d(_image, 2, ceil_mode=ceil, count_include_pad=False) for ceil in (False, True)),
    lambda: (
        F.max_pool2d(_image, 2, return_indices=True),
        F.adaptive_avg_pool2d(_wide, (None, 2)),
        F.max_pool1d(_a, 2),
    ),
    lambda: (
        F.interpolate(_image, scale_factor=1.5),
        F.interpolate(_wide, (5, 6), mode="bilinear", align_corners=True),
    ),
    lambda: (F.grid_sample(_image, torch.rand(2, 5, 6, 2)), F.normalize(_a), F.prelu(_a, torch.rand(3))),
    lambda: (F.layer_norm(_a, (8,)), F.group_norm(_image, 2), F.instance_norm(_image), F.rms_norm(_a, (8,))),
    lambda: F.batch_norm(_wide, torch.zeros(4), torch.ones(4)),
    lambda: (
        F.embedding(_i % 5, torch.rand(5, 6)),
        F.one_hot(_i % 5, 5),
        F.linear(_a, torch.rand(5, 8), torch.rand(5)),
    ),
    lambda: F.scaled_dot_product_attention(
        _a, _a[:, :2], torch.rand(2, 2, 5), attn_mask=torch.ones(3, 2, dtype=torch.bool)
    ),
    *(lambda layer=layer: layer(_a) for layer in _recurrent),
    lambda: (_others[0](_a), _others[1](_a[0]), _others[2](_a[0]), _others[3](_a[0])),
    lambda: (F.cross_entropy(_a, torch.zeros(2, 8, dtype=torch.long)), F.mse_loss(_a, _a, reduction="none"), _a.diff()),
    lambda: (
        torch.arange(5),
        torch.arange(0, 1, 0.1),
        torch.eye(3),
        torch.linspace(0, 1, 5),
        torch.zeros(2),
        torch.full((2,), 3),
    ),
    lambda: (_a.topk(2), _a.sort(), _a.max(1), _a.gather(1, _i[:, :2] % 3), _a.tril(), _a.roll(1, 0), _a.flip(0)),
]


@pytest.mark.parametrize("made", RESULTS)
def test_results_are_those_of_torch(made: Callable[[], Any]) -> None:
    program = run.Run(lambda value: (made(), value + 1), (x(),), {}, None, "auto")
    shaped = program.once(program.arguments, real=False, thorough=False).trace.steps
    real = program.once(program.arguments, real=True, thorough=True).trace.steps
    assert [step.name for step in shaped] == [step.name for step in real]
    for one, other in zip(shaped, real, strict=True):
        for slot, expected in zip(slots_in(one.result), slots_in(other.result), strict=True):
            assert (slot.shape, slot.dtype) == (expected.shape, expected.dtype), one.name
            assert slot.tensor.stride() == expected.tensor.stride() or one.name in _OWN_LAYOUT, one.name


_OWN_LAYOUT = frozenset({"lstm", "gru", "rnn_tanh", "einsum", "scaled_dot_product_attention", "masked_fill"})
"""The strides of these depend on the kernel that torch happens to choose."""


# Building


def test_large_models_are_built_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4096, 4096) for _ in range(30))
            self.table = nn.Parameter(torch.randn(4096, 4096) * 0.02)
            nn.init.trunc_normal_(self.layers[0].weight)
            nn.init.orthogonal_(self.layers[1].weight)
            self.register_buffer("rates", torch.linspace(0, 1, 4))
            self.rate = [rate.item() for rate in self.rates]
            made.append(1)

        def forward(self, value: Any) -> Any:
            for layer in self.layers:
                value = layer(value)
            return value @ self.table

    model, faked = build(Large)
    assert faked and made == [1] and model.layers[3].weight.is_meta and model.rate[-1] == 1.0
    assert isinstance(model.layers[3].weight, nn.Parameter) and model.layers[3].weight.requires_grad
    recording = record(model, (x(2, 4096),))
    assert not recording.real and reached(recording) == {name for name, _ in model.named_parameters()}
    monkeypatch.setattr(run, "REAL_LIMIT", 1 << 30)
    recording = record(lambda value: model(value).sum().item(), (x(2, 4096),), modules=model)
    assert not recording.real and of(recording, "sum") in list(recording.graph.nodes)[-1].all_input_nodes
    with pytest.raises(TargetError, match="too large"):
        record(lambda value: model(value[value.nonzero()[0]]), (x(2, 4096),), modules=model)


def test_small_models_are_built_as_they_are() -> None:
    torch.manual_seed(0)
    model, faked = build(lambda: nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(3)))
    torch.manual_seed(0)
    assert not faked and torch.equal(model[0].weight, nn.Linear(4, 4).weight)
    first = calls(record(model, (x(2, 4),)))[0].meta["location"]
    assert first.source is not None and first.source[0] == __file__


def test_the_limit_is_an_argument() -> None:
    model, faked = build(lambda: nn.Linear(64, 64), limit=1000)
    assert faked and model.weight.is_meta and model.bias.is_meta and isinstance(model.weight, nn.Parameter)
    assert not build(lambda: nn.Linear(64, 64).to("cpu"), limit=1 << 20)[1]
    with pytest.raises(KeyError):
        build(lambda: {}["missing"])
    assert "netlint" not in nn.Module.__init__.__code__.co_filename
