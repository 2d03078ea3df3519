"""Runs of live models: what is seen is what numpy says, and the model is what it was."""

# The imports below need torch, which may be missing.
# ruff: noqa: E402
from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fixtures.zoo import ZOO
from netlint.analysis import Results, Unavailable
from netlint.errors import ConfigError
from netlint.frontends import TargetError
from netlint.frontends.torch.live import captured
from netlint.frontends.torch.target import Captured
from netlint.probe import stages
from netlint.probe.observed import Passes, Seen
from netlint.probe.request import Request
from netlint.probe.torch import folded
from netlint.probe.torch import passes as passes_module
from netlint.probe.torch.data import Batch
from netlint.probe.torch.plan import Watched
from netlint.probe.torch.runner import probed
from netlint.probe.torch.statistics import Statistics
from netlint.training import Training, parse_training
from tests.probe_models import RECORDED, Failing, Leaking, Logarithm, Mixed, Mlp, Tokens, WrongGradient

torch.set_num_threads(1)  # threads that wait for each other make small models slow on a busy machine


def contract(**fields: object) -> Training:
    return parse_training(fields, lambda field: f"--{field}")


def capture(model: nn.Module, shape: str = "", inputs: Any = None, request: Request | None = None) -> Captured:
    found = captured(model, None, None, None, shape or inputs, None, None, "")
    return probed(found, request or Request(device="cpu", budget=1000))


def run(stage: str, found: Captured, training: Training | None = None) -> Any:
    return Results(found.graph, training or Training()).get(getattr(stages, stage))


def passes(model: nn.Module, shape: str = "", **fields: object) -> Passes:
    found = run("passes", capture(model, shape), contract(**fields))
    assert isinstance(found, Passes)
    return found


# Statistics


class _Kept:
    """What a watched tensor and its gradient held."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.grads: dict[str, Any] = {}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> _Kept:
    held = _Kept()
    see = Statistics.see

    def remember(self: Statistics, watched: Watched, tensor: torch.Tensor, shares: torch.Tensor | None) -> None:
        name = watched.value.name
        held.values[name] = tensor.detach().clone().double().numpy()
        if tensor.requires_grad:
            tensor.register_hook(lambda grad: held.grads.__setitem__(name, grad.clone().double().numpy()))
        see(self, watched, tensor, shares)

    monkeypatch.setattr(Statistics, "see", remember)
    return held


@pytest.mark.parametrize(("model", "shape"), [(Mixed, "2,3,8,8"), (Mlp, "2,10"), (Tokens, "int64:2,6")])
def test_what_is_seen_is_what_numpy_says(model: type[nn.Module], shape: str, kept: _Kept) -> None:
    found = passes(model(), shape)
    assert len(found.seen) >= 5
    for value, seen in found.seen.items():
        _agrees(seen, kept.values[value.name], kept.grads.get(value.name))


def _agrees(seen: Seen, array: Any, grad: Any) -> None:
    scale = abs(array).max() + 1e-30
    assert seen.count == array.size
    assert (seen.lo, seen.hi) == (array.min(), array.max())
    assert seen.mean == pytest.approx(array.mean(), abs=1e-5 * scale)
    assert seen.std == pytest.approx(array.std(), abs=1e-3 * scale)
    assert seen.zeros == pytest.approx((array == 0).mean(), abs=1e-9)
    assert (seen.grad is None) == (grad is None)
    if grad is not None:
        assert seen.grad == pytest.approx(np.sqrt((grad**2).mean()), rel=1e-4, abs=1e-12)
    if seen.units is not None:
        axis = next(a for a in range(array.ndim) if array.shape[a] == seen.units.lo.size)
        others = tuple(a for a in range(array.ndim) if a != axis)
        if np.array_equal(seen.units.lo, array.min(others)):  # else another axis of the same length
            assert np.array_equal(seen.units.hi, array.max(others))
            assert np.allclose(seen.units.zeros, (array == 0).mean(others), atol=1e-9)
            if grad is not None and seen.units.grad is not None:
                assert np.allclose(seen.units.grad, np.sqrt((grad**2).mean(others)), rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=4),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
    st.floats(-3, 3),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_statistics_of_any_shape_type_and_layout(
    shape: list[int], dtype: torch.dtype, shift: float, fused: bool, chance: random.Random
) -> None:
    """Both with the reductions for a CPU, and with those that suit a GPU."""
    generator = torch.Generator().manual_seed(chance.randrange(1 << 31))
    tensor = (torch.randn(shape, generator=generator) + shift).relu().to(dtype)
    tensor = tensor.permute(chance.sample(range(len(shape)), len(shape)))
    for axis in range(len(shape)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folded, "fuses", lambda tensor: fused)
            patch.setattr(folded, "ROW", 3)
            statistics = Statistics()
            statistics.see(_watched(axis), tensor, None)
        array = tensor.double().numpy()
        (seen,) = statistics.seen(statistics.fetch()).values()
        assert (seen.lo, seen.hi) == (array.min(), array.max())
        assert seen.mean == pytest.approx(array.mean(), rel=1e-4, abs=1e-5)
        assert seen.std == pytest.approx(array.std(), rel=1e-2, abs=1e-2)
        assert seen.zeros == pytest.approx((array == 0).mean(), abs=1e-9)
        others = tuple(a for a in range(array.ndim) if a != axis)
        assert seen.units is not None
        assert np.array_equal(seen.units.lo, array.min(others))
        assert np.allclose(seen.units.mean, array.mean(others), rtol=1e-4, atol=1e-5)
        assert np.allclose(seen.units.zeros, (array == 0).mean(others), atol=1e-9)


def _watched(axis: int | None) -> Watched:
    graph = capture(Mlp(), "2,10").graph
    node = graph.of("Relu")[0]
    value = node.output()
    assert value is not None
    return Watched(value, node, (), axis, None, None, True, False)


def test_numbers_that_are_missing_or_infinite_are_counted() -> None:
    tensor = torch.tensor([[1.0, float("nan"), -2.0], [float("inf"), 0.0, 3.0]])
    watched = _watched(1)
    statistics = Statistics([watched.value])
    statistics.see(watched, tensor, None)
    (seen,) = statistics.seen(statistics.fetch()).values()
    assert (seen.nonfinite, seen.nans, seen.lo, seen.hi) == (2, 1, -2.0, float("inf"))
    assert seen.mean == pytest.approx(0.5)
    assert seen.zeros == pytest.approx(1 / 6)


def test_the_first_operator_that_makes_infinities_is_told() -> None:
    found = passes(Logarithm(), "2,10")
    bad = [seen.node.op for seen in found.seen.values() if seen.nonfinite]
    assert bad == ["Log"]
    assert not any(seen.nonfinite for seen in found.seen.values() if seen.node.op == "Relu")


def test_a_saturated_function_is_told() -> None:
    model = Mlp()
    with torch.no_grad():
        model.body[2].bias.fill_(50.0)
    by_op = {seen.node.op: seen for seen in passes(model, "2,10").seen.values()}
    assert by_op["Sigmoid"].saturated == 1.0
    assert by_op["Relu"].saturated is None
    calm = {seen.node.op: seen for seen in passes(Mlp(), "2,10").seen.values()}
    assert calm["Sigmoid"].saturated == 0.0


# The model is what it was


def _everything(model: nn.Module) -> list[Any]:
    tensors = [*model.parameters(), *model.buffers(), model.scale]
    return [
        [(id(t), t.data_ptr(), t.detach().clone(), t.requires_grad, t.device, t.dtype) for t in tensors],
        [(id(p.grad), None if p.grad is None else p.grad.clone()) for p in model.parameters()],
        [(module.training, dict(module._forward_hooks), dict(module._backward_hooks)) for module in model.modules()],
        [dict(vars(module)) for module in model.modules()],
        copy.deepcopy(model.calls),
        (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()),
    ]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one is other or torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("stage", ["passes", "overfit", "ramp", "gradient_check", "leak", "modes"])
def test_the_model_handed_in_stays_bit_for_bit_what_it_was(stage: str) -> None:
    model = Mixed()
    model.head.bias.requires_grad_(False)
    model.mix.eval()
    model.norm.register_full_backward_hook(lambda *given: None)
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    found = capture(model, "2,3,8,8")
    before = _everything(model)
    run(stage, found, contract(loss="cross_entropy"))
    assert _same(before, _everything(model))


def test_it_is_what_it_was_after_a_failure() -> None:
    model = Failing()
    found = capture(model, "2,10")
    before = [parameter.data_ptr() for parameter in model.parameters()]
    with pytest.raises(Unavailable, match=r"ValueError at .*probe_models\.py:\d+: no data today"):
        run("passes", found)
    assert [parameter.data_ptr() for parameter in model.parameters()] == before


def test_the_same_findings_twice_and_others_with_another_seed() -> None:
    model = Mixed()
    one, two = (run("passes", capture(model, "2,3,8,8")) for _ in range(2))
    other = run("passes", capture(model, "2,3,8,8", request=Request(device="cpu", seed=1)))
    numbers = [
        [(seen.lo, seen.hi, seen.mean, seen.grad) for seen in found.seen.values()] for found in (one, two, other)
    ]
    assert numbers[0] == numbers[1] != numbers[2]
    assert [weight.grad for weight in one.weights] == [weight.grad for weight in two.weights]


# Memory, time, devices


def test_where_memory_runs_out_the_batch_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Mlp.forward

    def greedy(self: Mlp, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(Mlp, "forward", greedy)
    found = run("passes", capture(Mlp(), "2,10"))
    assert found.setup.samples == 4
    assert found.setup.notes == ("memory ran out with 8 samples: run with 4",)


def test_where_one_sample_is_too_much_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(self: Mlp, x: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    found = capture(Mlp(), "2,10")
    monkeypatch.setattr(Mlp, "forward", greedy)
    with pytest.raises(Unavailable, match="memory runs out with 1 sample"):
        run("passes", found)


@pytest.mark.parametrize("stage", ["overfit", "ramp", "gradient_check", "leak", "modes"])
def test_a_stage_without_time_says_how_far_it_got(stage: str) -> None:
    found = capture(Mlp(), "2,10", request=Request(device="cpu", budget=1e-9))
    with pytest.raises(Unavailable, match=r"took longer than .* s \(.*\); --probe-budget gives it more"):
        run(stage, found, contract(loss="cross_entropy"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_mistake_of_the_call() -> None:
    with pytest.raises(ConfigError, match=r"--probe=cuda finds no GPU: .*; --probe=cpu"):
        capture(Mlp(), "2,10", request=Request(device="cuda"))


# Data


def test_synthetic_inputs_keep_to_the_contract() -> None:
    found = passes(Mlp(), "2,10", input_range=[0, 1])
    ((lo, hi),) = found.inputs.values()
    assert 0 <= lo < 0.1 and 0.9 < hi <= 1
    assert found.setup.batch == "synthetic, 16 samples in [0, 1]"
    ((lo, hi),) = passes(Mlp(), "2,10", input_mean=100, input_std=1).inputs.values()
    assert 90 < lo < hi < 110
    ((lo, hi),) = passes(Tokens(), "int64:2,6").inputs.values()
    assert 0 <= lo < 3 and 16 < hi <= 19


def test_a_batch_at_hand_is_used_as_it_is() -> None:
    batch = torch.rand(5, 10) + 7
    found = run("passes", capture(Mlp(), inputs=batch))
    assert found.setup.samples == 5 and not found.setup.synthetic
    assert list(found.inputs.values()) == [(batch.min().item(), batch.max().item())]


def test_a_batch_in_a_file_is_matched_by_name_and_never_unpickled(tmp_path: Path) -> None:
    rows, labels = np.full((6, 10), 3.0, np.float32), np.arange(6) % 4
    np.savez(tmp_path / "b.npz", x=rows, y=labels)
    torch.save({"x": torch.from_numpy(rows)}, tmp_path / "b.pt")
    for name in ("b.npz", "b.pt"):
        request = Request(device="cpu", batch=str(tmp_path / name))
        found = run("passes", capture(Mlp(), "2,10", request=request), contract(loss="cross_entropy"))
        assert found.setup.batch == f"{name}, 6 samples"
        assert list(found.inputs.values()) == [(3.0, 3.0)]
    np.savez(tmp_path / "wrong.npz", ex=rows[0], w=labels)
    torch.save(Mlp(), tmp_path / "code.pt")
    for name, why in (("wrong.npz", "holds ex, w"), ("code.pt", "more than tensors"), ("none.npz", "cannot be read")):
        with pytest.raises(TargetError, match=why):
            capture(Mlp(), "2,10", request=Request(device="cpu", batch=str(tmp_path / name)))


@pytest.mark.parametrize("stage", ["overfit", "ramp", "gradient_check"])
def test_targets_of_a_file_are_cut_with_the_batch(stage: str, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((20, 10), np.float32)
    np.savez(tmp_path / "b.npz", x=rows, y=np.arange(20) % 4)
    found = capture(Mlp(), "2,10", request=Request(device="cpu", budget=1000, batch=str(tmp_path / "b.npz")))
    assert run(stage, found, contract(loss="cross_entropy")).setup.samples in (3, 8, 20)


# Stages


@pytest.mark.parametrize(
    ("loss", "model"),
    [("cross_entropy", Mlp), ("mse_loss", Mlp), ("binary_cross_entropy_with_logits", Mlp), ("cross_entropy", Tokens)],
)
def test_sound_models_learn_a_batch_by_heart(loss: str, model: type[nn.Module]) -> None:
    found = run("overfit", capture(model(), "int64:2,6" if model is Tokens else "2,10"), contract(loss=loss))
    assert found.share < 0.05
    assert found.setup.true_loss


def test_a_model_whose_head_does_not_depend_on_its_input_learns_little() -> None:
    model = Mlp()
    with torch.no_grad():
        model.head.weight.zero_()
    model.head.weight.requires_grad_(False)
    found = run("overfit", capture(model, "2,10"), contract(loss="cross_entropy"))
    assert found.share > 0.3


@pytest.mark.parametrize("stage", ["overfit", "ramp"])
def test_stages_that_train_need_a_loss(stage: str) -> None:
    with pytest.raises(Unavailable, match="needs a loss: --loss"):
        run(stage, capture(Mlp(), "2,10"))


def test_the_ramp_finds_where_the_loss_blows_up() -> None:
    found = run("ramp", capture(Mlp(), "2,10"), contract(loss="mse_loss", optimizer="sgd"))
    assert found.optimizer == "sgd"
    assert found.largest is None or 1e-3 < found.largest < 10
    assert len(found.rates) == len(found.losses)


def test_a_wrong_backward_pass_shows_in_what_lies_before_it() -> None:
    found = run("gradient_check", capture(WrongGradient(), "2,10"))
    assert found.error("body.0.weight") == pytest.approx(0.5, abs=1e-6)
    assert found.error("input") == pytest.approx(0.5, abs=1e-6)
    assert found.error("head.weight") < 1e-6
    right = run("gradient_check", capture(Mlp(), "2,10"))
    assert max(map(right.error, right.derivatives)) < 1e-6


def test_a_leak_between_samples_is_seen_and_none_where_there_is_none() -> None:
    found = run("leak", capture(Leaking(), "2,10"))
    assert len(found.pairs) == 12 and min(amount for _, _, amount in found.pairs) > 0 and found.own > 0
    for model, shape in ((Mlp(), "2,10"), (Mixed(), "2,3,8,8"), (Tokens(), "int64:2,6")):
        assert run("leak", capture(model, shape)).pairs == ()


def test_modes_that_differ_by_dropout_and_statistics_alone_are_within_what_is_expected() -> None:
    assert run("modes", capture(Mlp(), "2,10")).gap == 0.0
    found = run("modes", capture(Mixed(), "2,3,8,8"))
    assert 0 < found.gap < 2 * found.expected


# Following the run along the recording


def _followed() -> Iterator[str]:
    """Not those that are not run: lazy modules, and what was traced without inputs."""
    yield from (
        name for place, name in enumerate(sorted(ZOO)) if place % 5 == 0 and name not in ("lazy", "messagepassing")
    )


def test_a_fifth_of_the_zoo_is_followed_to_the_end() -> None:
    """All of it is too slow for every day: of 205 models, those of transformers included, 200 were."""
    lost = []
    names = list(_followed())
    for name in names:
        found = probed(captured(ZOO[name].model(), None, None, None, None, None, None, ""), Request(device="cpu"))
        try:
            notes = run("passes", found).setup.notes
        except Unavailable as why:
            notes = (f"followed: {why}",)
        lost += [(name, note) for note in notes if "followed" in note]
    assert len(names) >= 20
    assert len(lost) <= 0.05 * len(names), lost


def test_where_the_run_leaves_the_recording_the_rest_stays_unseen() -> None:
    class Turning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(10, 10), nn.Linear(10, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            held = self.one(x)
            return torch.tanh(self.two(held)) if len(x) <= RECORDED else torch.relu(self.two(held))

    found = passes(Turning(), "2,10")
    assert [seen.node.op for seen in found.seen.values()] == ["Gemm", "Gemm"]
    assert any("relu in the run, and tanh in the recording" in note for note in found.setup.notes)


def test_the_backward_pass_leaves_no_hooks() -> None:
    held: list[torch.Tensor] = []
    see = Statistics.see

    class Watching(Statistics):
        def see(self, watched: Watched, tensor: torch.Tensor, shares: torch.Tensor | None) -> None:
            held.append(tensor)
            see(self, watched, tensor, shares)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes_module, "Statistics", Watching)
        passes(Mlp(), "2,10")
    assert held and not any(tensor._backward_hooks for tensor in held)


def test_a_batch_cut_short_keeps_what_has_no_samples() -> None:
    whole = Batch((torch.zeros(6, 2), torch.zeros(3)), {}, 6, "synthetic")
    few = whole.first(2)
    assert [tuple(tensor.shape) for tensor in few.tensors()] == [(2, 2), (3,)]
