"""Model files run as their own graphs in torch: `.pt2` and `.onnx` show what the live model shows, gradients too."""

# ruff: noqa: E402
from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from torch import nn

import netlint
from netlint.analysis import Results, Unavailable
from netlint.frontends.torch.live import captured
from netlint.graph import Graph
from netlint.probe import stages
from netlint.probe.attach import runnable
from netlint.probe.request import Request
from netlint.probe.torch.runner import probed
from netlint.targets import load
from netlint.training import Training, parse_training
from tests.probe_models import Leaking, Mixed, Mlp, Tokens
from tests.zoo_parity import dynamo, torchscript

FIXTURES = Path(__file__).parent.parent / "fixtures" / "onnx"
CLASSES = parse_training({"loss": "cross_entropy"}, lambda field: f"--{field}")
torch.set_num_threads(1)


class Faded(nn.Module):
    """Sigmoids that take all of the gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(14))
        self.head = nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = torch.sigmoid(layer(x))
        return self.head(x)


class Dead(Mlp):
    """Most of its hidden units are dead."""

    def __init__(self) -> None:
        super().__init__(40)
        with torch.no_grad():
            self.body[0].bias[:30] = -100.0


def pt2(model: nn.Module, inputs: tuple[Any, ...], file: Path) -> Path:
    shapes = tuple({0: torch.export.Dim.AUTO} for _ in inputs)
    torch.export.save(torch.export.export(model, inputs, dynamic_shapes=shapes), file)
    return file


def by_dynamo(model: nn.Module, inputs: tuple[Any, ...], file: Path) -> Path:
    file.write_bytes(dynamo(model, inputs).SerializeToString())
    return file


def by_torchscript(model: nn.Module, inputs: tuple[Any, ...], file: Path) -> Path:
    file.write_bytes(torchscript(model, inputs).SerializeToString())
    return file


WAYS: dict[str, Callable[[nn.Module, tuple[Any, ...], Path], Path]] = {
    "m.pt2": pt2,
    "dynamo.onnx": by_dynamo,
    "torchscript.onnx": by_torchscript,
}


def graph_of(file: Path, **request: Any) -> Graph:
    return runnable(load(str(file)), str(file), Request(device="cpu", **request))


def run(stage: str, file: Path, training: Training = CLASSES) -> Any:
    return Results(graph_of(file), training).get(getattr(stages, stage))


@pytest.fixture
def untrusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in a file is unpickled or executed."""

    def never(*given: object, **more: object) -> None:
        raise AssertionError("the file was loaded by torch")

    for owner, name in ((torch.export, "load"), (torch, "load"), (torch.jit, "load"), (torch.serialization, "load")):
        monkeypatch.setattr(owner, name, never)


@pytest.mark.usefixtures("untrusted")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("kind", "inputs"), [(Mlp, torch.rand(4, 10)), (Mixed, torch.rand(4, 3, 8, 8))])
def test_a_file_shows_what_the_live_model_shows(way: str, kind: type[nn.Module], inputs: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    there = run("passes", WAYS[way](model, (inputs,), tmp_path / way))
    shape = ",".join(map(str, inputs.shape))
    live = probed(captured(model, None, None, None, shape, None, None, "eval"), Request(device="cpu"))
    here = Results(live.graph, CLASSES).get(stages.passes)
    assert there.setup.runner == "torch" and there.setup.batch == here.setup.batch and there.setup.true_loss
    assert there.loss == pytest.approx(here.loss, rel=1e-4)
    ours, theirs = _last_layer(there), _last_layer(here)
    for field in ("lo", "hi", "mean", "std", "zeros", "grad"):
        assert getattr(ours, field) == pytest.approx(getattr(theirs, field), rel=1e-3, abs=1e-6), field
    slopes = sorted(weight.grad for weight in there.weights if weight.grad)
    expected = sorted(weight.grad for weight in here.weights if weight.grad)
    if way == "m.pt2":
        assert slopes == pytest.approx(expected, rel=1e-3, abs=1e-9)
    else:  # exporters fold norms into weights
        assert slopes[-1] == pytest.approx(expected[-1], rel=0.5)


def _last_layer(found: Any) -> Any:
    return [seen for seen in found.seen.values() if seen.node.op == "Gemm"][-1]


@pytest.mark.parametrize("way", WAYS)
def test_rules_that_want_gradients_judge_files(way: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = WAYS[way](Faded().eval(), (torch.rand(4, 16),), tmp_path / way)
    codes = {found.rule.code for found in netlint.check(file, loss="cross_entropy", probe="cpu").findings}
    assert "PRB003" in codes
    (tmp_path / "dead").mkdir()
    file = WAYS[way](Dead().eval(), (torch.rand(4, 10),), tmp_path / "dead" / way)
    report = netlint.check(file, loss="cross_entropy", probe="cpu")
    assert "PRB001" in {found.rule.code for found in report.findings}
    why = {skip.rule.name: skip.why for skip in report.skipped}
    assert why["gradient-check"] == "the gradients of a file are torch's own"
    assert not {"vanishing-gradient", "initial-loss", "cannot-overfit-one-batch", "learning-rate-range"} & set(why)


@pytest.mark.parametrize("way", WAYS)
def test_samples_that_leak_into_each_other_are_seen(way: str, tmp_path: Path) -> None:
    file = WAYS[way](Leaking().eval(), (torch.rand(4, 10),), tmp_path / way)
    assert len(run("leak", file).pairs) == 12
    assert run("leak", WAYS[way](Mlp().eval(), (torch.rand(4, 10),), tmp_path / way)).pairs == ()


def test_whole_numbers_leak_through_what_is_looked_up(tmp_path: Path) -> None:
    found = run("leak", by_dynamo(Tokens().eval(), (torch.randint(0, 20, (4, 6)),), tmp_path / "t.onnx"))
    assert found.pairs == () and found.own > 0


def test_one_batch_is_learnt_by_heart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    found = run("overfit", pt2(Mlp(32), (torch.rand(4, 10),), tmp_path / "m.pt2"))
    assert found.losses[0] > 1 and found.share < 0.05


def test_without_a_loss_the_way_to_one_is_told(tmp_path: Path) -> None:
    report = netlint.check(pt2(Mlp(), (torch.rand(4, 10),), tmp_path / "m.pt2"), probe="cpu")
    why = {skip.rule.code: skip.why for skip in report.skipped}
    assert why["PRB007"] == "needs a loss: --loss, or a training step: --step"
    assert report.probe is not None and report.probe.setup is not None
    assert report.probe.setup.loss.startswith("made up")


def test_what_torch_is_not_taught_runs_forward_in_the_runtime() -> None:
    quantised = FIXTURES / "qdq_cnn.onnx"
    found = run("passes", quantised)
    assert found.setup.runner == "onnxruntime"
    assert "torch is not taught these operators" in found.setup.notes[0]
    with pytest.raises(Unavailable, match="for gradients give the PyTorch model: torch is not taught"):
        run("overfit", quantised)


def test_without_torch_the_runtime_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = run("passes", FIXTURES / "plain_cnn.onnx")
    assert found.setup.runner == "onnxruntime" and "torch is not installed" in found.setup.notes[0]
    with pytest.raises(Unavailable, match="torch is not installed"):
        Results(runnable(load(str(FIXTURES / "plain_cnn.onnx")), "m.pt2", Request()), CLASSES).get(stages.passes)


def test_exported_programs_in_python_are_run() -> None:
    program = torch.export.export(Mlp(), (torch.rand(4, 10),))
    report = netlint.check(program, loss="cross_entropy", probe="cpu")
    assert report.probe is not None and report.probe.setup is not None and report.probe.setup.true_loss


def test_a_file_is_run_the_same_twice(tmp_path: Path) -> None:
    file = pt2(Mixed().eval(), (torch.rand(4, 3, 8, 8),), tmp_path / "m.pt2")
    one, other = (run("passes", file) for _ in range(2))
    assert [seen.mean for seen in one.seen.values()] == [seen.mean for seen in other.seen.values()]
    assert one.weights == other.weights
