"""What stages do with models that do not make it easy: lazy, costly, skipping layers, failing in the backward pass."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")

from torch import nn
from torch.nn.parameter import is_lazy

import netlint
from netlint.analysis import Results
from netlint.errors import ConfigError
from netlint.frontends import TargetError
from netlint.frontends.torch.live import captured
from netlint.graph import Graph
from netlint.probe import stages
from netlint.probe.request import SHARES, Request
from netlint.probe.torch import attention, runner, smaller
from netlint.probe.torch.runner import probed
from netlint.training import parse_training
from tests.probe_models import Mlp

CLASSES = parse_training({"loss": "cross_entropy"}, lambda field: f"--{field}")
torch.set_num_threads(1)


def graph_of(model: nn.Module, shape: str, mode: str = "train", **request: Any) -> Graph:
    return probed(captured(model, None, None, None, shape, None, None, mode), Request(device="cpu", **request)).graph


def run(stage: str, model: nn.Module, shape: str, **request: Any) -> Any:
    return Results(graph_of(model, shape, **{"budget": 100.0, **request}), CLASSES).get(getattr(stages, stage))


def codes(model: nn.Module, shape: str, level: int = 2) -> dict[str, str]:
    report = netlint.check(model, inputs=shape, loss="cross_entropy", probe="cpu", mode="train", probe_budget=100)
    assert report.crashed == ()
    return {found.rule.code: found.finding.message for found in report.findings if found.level >= level}


def test_lazy_modules_are_run_and_stay_lazy() -> None:
    model = nn.Sequential(nn.LazyLinear(16), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(4))
    found = run("passes", model, "4,10")
    assert found.loss is not None and found.weights[0].name == "0.weight"
    assert all(map(is_lazy, model.parameters()))
    assert run("overfit", model, "4,10").share < 0.1


class Skipping(nn.Module):
    """Skips its second layer every other time."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList(nn.Linear(12, 12) for _ in range(3)), nn.Linear(12, 4)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            skipped = layer is self.layers[1] and float(torch.rand([])) < 0.5
            x = x if skipped else torch.relu(layer(x))
        return self.head(x)


def test_layers_that_are_skipped_at_random_are_waited_for() -> None:
    torch.manual_seed(1)
    for seed in range(4):
        found = run("passes", Skipping(), "4,12", seed=seed)
        assert found.whole and found.setup.notes == ()


class WrittenOver(Mlp):
    def forward(self, x: Any) -> Any:
        hidden = torch.sigmoid(self.body(x))
        hidden.mul_(2.0)
        return self.head(hidden)


def test_a_backward_pass_that_raises_is_a_finding_and_forward_statistics_stay() -> None:
    found = run("passes", WrittenOver(), "4,10")
    assert "modified by an inplace operation" in found.raised
    assert found.seen and all(weight.grad is None for weight in found.weights)
    assert "the backward pass of the loss raises RuntimeError" in codes(WrittenOver(), "4,10", 3)["PRB008"]


class WantsLeaves(Mlp):
    def forward(self, x: Any) -> Any:
        first = x[:, :]
        if self.training and first.is_leaf:
            first.requires_grad_(True)
        elif self.training:
            first.requires_grad = False
        return super().forward(first)


class OwnNumbers(Mlp):
    """Makes numbers on the way, without saying of what type."""

    def forward(self, x: Any) -> Any:
        return super().forward(x @ torch.eye(10) + torch.linspace(0, 1, 10))


@pytest.mark.parametrize("kind", [WantsLeaves, OwnNumbers])
def test_gradients_are_checked_whatever_the_model_does_with_its_input(kind: type[nn.Module]) -> None:
    found = run("gradient_check", kind(), "4,10")
    assert any("head" in name for name in found.derivatives)
    assert max(map(found.error, found.derivatives)) < 1e-3
    assert torch.get_default_dtype() is torch.float32


class Collapsing(nn.Module):
    """Learns at a small rate alone: at larger ones every unit dies."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
        self.head = nn.Linear(64, 5)

    def forward(self, x: Any) -> Any:
        return self.head(torch.relu(self.body(x) * 30 - 1).clamp(max=20))


def test_where_a_rate_ends_on_a_plateau_smaller_ones_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlint.probe.torch.fit._best", lambda trainee: 0.3)
    found = run("overfit", Collapsing(), "8,20")
    assert found.rate < 0.3 and found.share < 0.1
    monkeypatch.setattr("netlint.probe.torch.fit.SLOWER", (1,))
    assert run("overfit", Collapsing(), "8,20").share > 0.2


def images() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4)),
    )


def test_costly_models_learn_from_fewer_pixels_and_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smaller, "PRODUCTS", 1 << 21)
    found = run("overfit", images(), "2,3,192,192")
    assert "4 samples" in found.setup.batch and "1 in 16 pixels" in found.setup.batch
    assert found.share < 0.1
    assert max(map(run("gradient_check", images(), "2,3,192,192").error, ["0.weight", "7.weight"])) < 1e-3
    assert len(run("ramp", images(), "2,3,192,192").rates) < 15


def test_models_that_take_one_size_alone_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smaller, "PRODUCTS", 1 << 23)
    model = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 48 * 48, 4))
    assert "pixels" not in run("overfit", model, "2,3,192,192").setup.batch


def test_what_a_stage_leaves_of_its_time_is_for_those_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    monkeypatch.setitem(runner._STAGES, "leak", lambda running: given.append(running.clock("leak").seconds))
    monkeypatch.setitem(runner._STAGES, "ramp", lambda running: given.append(running.clock("ramp").seconds))
    graph = graph_of(Mlp(), "4,10", budget=10.0)
    assert graph.runner is not None
    for stage in ("leak", "ramp"):
        graph.runner.run(stage, graph, CLASSES)
    assert given[0] == 10 * SHARES["leak"]
    assert given[1] == pytest.approx(10 * (SHARES["leak"] + SHARES["ramp"]), abs=0.5)


def test_small_models_run_in_one_thread_and_the_number_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setitem(runner._STAGES, "leak", lambda running: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for model, shape in ((Mlp(), "4,10"), (Mlp(4000), "4,10")):
            graph = graph_of(model, shape)
            assert graph.runner is not None
            graph.runner.run("leak", graph, CLASSES)
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 2]


def test_a_fixed_number_of_samples_is_not_cut() -> None:
    class Fixed(Mlp):
        def forward(self, x: Any) -> Any:
            return super().forward(x.reshape(12, 10))

    assert run("overfit", Fixed(), "12,10").setup.samples == 12


@pytest.mark.parametrize(("rate", "reported"), [(0.5, False), (0.8, False), (0.95, True)])
def test_dropout_that_leaves_next_to_nothing(rate: float, reported: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Dropout(rate), nn.Linear(256, 5))
    assert ("PRB012" in codes(model, "16,20")) == reported


def test_against_in_settings_and_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetError, match=r"no export to compare with: nope.onnx does not exist"):
        netlint.check(Mlp(), inputs="2,10", probe="cpu", against="nope.onnx")
    with pytest.raises(ConfigError, match="probe=True"):
        netlint.check(Mlp(), inputs="2,10", against="nope.onnx")
    (tmp_path / "net.py").write_text("from tests.probe_models import Mlp as Net\n")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    (tmp_path / "netlint.toml").write_text('[[targets]]\npath = "net.py:Net"\nprobe = "cpu"\nagainst = "gone.onnx"\n')
    with pytest.raises(TargetError, match=r"gone.onnx does not exist"):
        netlint.check("net.py:Net", inputs="2,10")


def test_rows_of_padding_are_not_drawn() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(6, 8, padding_idx=0), nn.Linear(8, 6)

        def forward(self, ids: Any) -> Any:
            return self.head(self.table(ids).mean(1))

    ((lo, hi),) = run("passes", Padded(), "int64:4,12").inputs.values()
    assert (lo, hi) == (1, 5)


class Copied(nn.Module):
    """A layer, and what is called on the way from it to the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        return self.layer(x)


def detached(model: nn.Module, x: Any, y: Any) -> Any:
    return nn.functional.cross_entropy(model(x).detach(), y)


def of_the_inputs(model: nn.Module, x: Any, y: Any) -> Any:
    return nn.functional.cross_entropy(x[:, :3], y)


def of_its_own(model: nn.Module, x: Any, y: Any) -> Any:
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    model.zero_grad()
    return loss.detach()


def sound(model: nn.Module, x: Any, y: Any) -> Any:
    return nn.functional.cross_entropy(model(x), y)


@pytest.mark.parametrize(
    ("step", "raises"), [(detached, True), (of_the_inputs, True), (of_its_own, False), (sound, False)]
)
def test_a_loss_without_gradient_is_told(step: Any, raises: bool) -> None:
    inputs = (torch.randn(4, 6), torch.tensor([0, 1, 2, 0]))
    report = netlint.check(Copied(), step=step, inputs=inputs, probe="cpu", select="PRB008")
    told = [found.finding.message for found in report.findings]
    assert ["does not require grad" in message for message in told] == [True] * raises


def test_a_model_without_gradient_is_told_under_a_loss() -> None:
    class Fixed(Copied):
        def forward(self, x: Any) -> Any:
            with torch.no_grad():
                return self.layer(x)

    assert "does not require grad" in codes(Fixed(), "4,6")["PRB008"]
    assert "PRB008" not in codes(Fixed().requires_grad_(False), "4,6")


@pytest.mark.parametrize("form", ["plain", "causal", "hidden", "added", "grouped", "scaled"])
def test_largest_weights_of_fused_attention_are_those_of_a_softmax(form: str) -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 6, 8) * 3, torch.randn(2, 2 if form == "grouped" else 4, 6, 8) * 3
    hidden = torch.rand(6, 6) > 0.3
    hidden[2] = torch.arange(6) == 1
    added = torch.randn(2, 1, 1, 6)
    settings = {"causal": {"is_causal": True}, "hidden": {"attn_mask": hidden}, "added": {"attn_mask": added},
                "grouped": {"enable_gqa": True}, "scaled": {"scale": 2.0}}.get(form, {})  # fmt: skip
    scores = query @ key.repeat_interleave(4 // key.shape[1], 1).transpose(2, 3) * settings.get("scale", 8**-0.5)
    mask = {"causal": torch.ones(6, 6, dtype=torch.bool).tril(), "hidden": hidden}.get(form)
    scores = scores + added if form == "added" else scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    expected = scores.softmax(-1).amax(-1)
    if mask is not None:
        expected = torch.where(mask.sum(-1) > 1, expected, 0.0)
    torch.testing.assert_close(attention.largest((query, key, key), settings), expected)


def test_many_queries_are_looked_at_in_part() -> None:
    query = torch.randn(1, 1, 1000, 4)
    assert attention.largest((query, query, query), {}).shape[-1] <= attention.QUERIES
    one = torch.randn(1, 1, 5, 4)
    assert (attention.largest((one, one[:, :, :1], one[:, :, :1]), {}) == 0).all()  # one key is no choice


def test_what_recurrent_layers_and_fused_attention_give_is_seen() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(6, 8, batch_first=True)

        def forward(self, x: Any) -> Any:
            h = self.cell(x)[0]
            return nn.functional.scaled_dot_product_attention(h, h, h).mean(1)

    found = run("passes", Both(), "4,5,6")
    shown = {seen.node.op: seen for seen in found.seen.values()}
    assert len(shown["GRU"].units.mean) == 8 and 0 < shown["GRU"].std < 1
    assert shown["Attention"].saturated == 0.0


@pytest.mark.parametrize(("momentum", "kept"), [(0.1, 0.9), (1.0, 0.0), (None, 0.5), (0.0, 1.0)])
def test_what_one_batch_leaves_of_running_statistics(momentum: float | None, kept: float) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, momentum=momentum), nn.ReLU(), nn.Linear(8, 2))
    assert run("modes", model, "8,6").kept == pytest.approx(kept, abs=1e-3)
    assert run("modes", nn.Sequential(nn.Linear(6, 2)), "8,6").kept is None


class TimeFirst(nn.Module):
    """Torch's own order of axes: time, samples, features."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTM(6, 8), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.cell(x)[0][-1])


def test_samples_along_the_second_axis_are_drawn_cut_and_followed() -> None:
    found = run("passes", TimeFirst(), "5,2,6")
    assert found.whole and found.setup.samples == 16 and found.setup.notes == ()
    (rows,) = found.outputs.values()
    assert rows.shape == (16, 3)
    leak = run("leak", TimeFirst(), "5,2,6")
    assert leak.setup.samples == 4 and leak.pairs == () and leak.own > 0
    assert run("overfit", TimeFirst(), "5,2,6").share < 0.1
    assert run("modes", TimeFirst(), "5,2,6").gap == 0


class Spoken(TimeFirst):
    """The same of words."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 6)

    def forward(self, ids: Any) -> Any:
        return super().forward(self.table(ids))


def test_words_along_the_second_axis_do_not_leak() -> None:
    found = run("leak", Spoken(), "int64:5,2")
    assert found.pairs == () and found.own > 0


class Stirred(TimeFirst):
    def forward(self, x: Any) -> Any:
        return self.head(self.cell(x)[0][-1].cumsum(0))


def test_a_leak_along_the_second_axis_is_seen() -> None:
    assert {(i, o) for i, o, _ in run("leak", Stirred(), "5,2,6").pairs} == {(i, o) for o in range(4) for i in range(o)}


@pytest.mark.parametrize("runner", ["torch", "onnxruntime"])
def test_files_that_read_time_first_leak_nothing(runner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = pytest.importorskip("onnx")
    from netlint.frontends.onnx import load
    from netlint.probe import attach

    made, floats = onnx.helper.make_node, onnx.TensorProto.FLOAT
    torch.manual_seed(0)
    held = {"w": torch.randn(1, 32, 6), "r": torch.randn(1, 32, 8)}
    stored = [onnx.numpy_helper.from_array(array.numpy(), name) for name, array in held.items()]
    info = onnx.helper.make_tensor_value_info
    ends = [info("x", floats, ["time", "n", 6])], [info("y", floats, ["time", 1, "n", 8])]
    graph = onnx.helper.make_graph([made("LSTM", ["x", "w", "r"], ["y"], hidden_size=8)], "net", *ends, stored)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "net.onnx")
    if runner == "onnxruntime":
        monkeypatch.setattr(attach, "find_spec", lambda name: None)
    file = str(tmp_path / "net.onnx")
    found = attach.runnable(load(tmp_path / "net.onnx"), file, Request("cpu"))
    shown = Results(found, parse_training({}, str))
    assert shown.get(stages.passes).setup.runner == runner
    assert shown.get(stages.passes).setup.samples == 16
    if runner == "torch":
        assert shown.get(stages.leak).pairs == ()


def test_modes_of_one_number_a_sample_are_compared() -> None:
    assert run("modes", nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)), "8,6").gap == 0
