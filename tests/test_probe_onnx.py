"""Runs of ONNX models in onnxruntime: what is seen is what the torch model shows; samples that leak are seen."""

# The imports below need torch and onnxruntime, which may be missing.
# ruff: noqa: E402
from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from torch import nn

from netlint.analysis import Results, Unavailable
from netlint.frontends import TargetError
from netlint.frontends.onnx import load, load_text
from netlint.frontends.torch.live import captured
from netlint.probe import stages
from netlint.probe.attach import runnable
from netlint.probe.files import read
from netlint.probe.observed import Passes
from netlint.probe.onnx import OnnxRunner
from netlint.probe.request import Request
from netlint.probe.torch.runner import probed
from netlint.training import Training, parse_training
from tests.probe_models import Leaking, Mlp

FIXTURES = Path(__file__).parent.parent / "fixtures" / "onnx"
torch.set_num_threads(1)


def run(stage: str, file: Path, training: Training | None = None, **request: Any) -> Any:
    graph, wanted = load(file), Request(device="cpu", **request)
    graph = replace(graph, runner=OnnxRunner(file, wanted, read(wanted.batch) if wanted.batch else None))
    return Results(graph, training or Training()).get(getattr(stages, stage))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[nn.Module, Path]]:
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for kind in (Mlp, Leaking):
        model, file = kind().eval(), folder / f"{kind.__name__}.onnx"
        dynamic = {"x": {0: torch.export.Dim("batch")}}
        program = torch.onnx.export(model, (torch.rand(4, 10),), dynamo=True, dynamic_shapes=dynamic, verbose=False)
        program.save(file)
        made[kind.__name__] = model, file
    return made


def test_both_runners_see_the_same(exported: dict[str, tuple[nn.Module, Path]], tmp_path: Path) -> None:
    model, file = exported["Mlp"]
    np.savez(tmp_path / "b.npz", x=np.random.default_rng(0).random((7, 10), np.float32))
    batch = str(tmp_path / "b.npz")
    there = run("passes", file, batch=batch)
    live = probed(captured(model, None, None, None, "2,10", None, None, "eval"), Request(device="cpu", batch=batch))
    here = Results(live.graph, Training()).get(stages.passes)
    pairs = list(zip(_by_op(there), _by_op(here), strict=True))
    assert len(pairs) == 5
    for (op, one), (other_op, other) in pairs:
        assert op == other_op
        for field in ("lo", "hi", "mean", "std", "zeros"):
            assert getattr(one, field) == pytest.approx(getattr(other, field), abs=1e-5), (op, field)
        assert np.allclose(one.units.lo, other.units.lo, atol=1e-5)
    (outputs,), (expected,) = there.outputs.values(), here.outputs.values()
    assert np.allclose(outputs, expected, atol=1e-5)
    assert there.setup.runner == "onnxruntime" and "without gradients" in there.setup.notes[0]


def _by_op(found: Passes) -> list[tuple[str, Any]]:
    return [(seen.node.op, seen) for seen in found.seen.values()]


def test_what_leaks_between_samples_is_seen(exported: dict[str, tuple[nn.Module, Path]]) -> None:
    assert run("leak", exported["Mlp"][1]).pairs == ()
    assert len(run("leak", exported["Leaking"][1]).pairs) == 12


@pytest.mark.parametrize("stage", ["overfit", "ramp", "gradient_check", "modes"])
def test_what_needs_gradients_or_training_mode_is_unavailable(stage: str) -> None:
    with pytest.raises(Unavailable, match="for gradients give the PyTorch model"):
        run(stage, FIXTURES / "plain_cnn.onnx")


@pytest.mark.parametrize("name", ["external_weights", "gru_torchscript", "local_functions", "convnext"])
def test_fixtures_run(name: str) -> None:
    found = run("passes", FIXTURES / f"{name}.onnx")
    assert len(found.seen) >= 3
    assert all(np.isfinite([seen.lo, seen.hi, seen.mean]).all() for seen in found.seen.values())


def test_values_are_fetched_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("passes", FIXTURES / "plain_cnn.onnx")
    monkeypatch.setattr("netlint.probe.onnx.GROUP", 1)
    parts = run("passes", FIXTURES / "plain_cnn.onnx")
    assert [seen.mean for seen in whole.seen.values()] == [seen.mean for seen in parts.seen.values()]


def test_inputs_keep_to_the_contract() -> None:
    stated = parse_training({"input_range": [0, 255]}, lambda field: field)
    ((lo, hi),) = run("passes", FIXTURES / "plain_cnn.onnx", stated).inputs.values()
    assert 0 <= lo < 5 and 250 < hi <= 255


def test_infinities_are_counted() -> None:
    text = """<ir_version: 10, opset_import: ["": 21]>
    g (float[N, 4] x) => (float[N, 4] y) { a = Abs(x)
      b = Neg(a)
      y = Sqrt(b) }"""
    import onnx

    graph = load_text(text)
    model = onnx.parser.parse_model(text).SerializeToString()
    graph = replace(graph, runner=OnnxRunner(model, Request(device="cpu")))
    found = Results(graph, Training()).get(stages.passes)
    seen = {one.node.op: one for one in found.seen.values()}
    assert seen["Sqrt"].nans == seen["Sqrt"].count == 64
    assert seen["Neg"].nonfinite == 0


def test_without_onnxruntime_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Unavailable, match=r"pip install 'netlint-nn\[probe\]'"):
        run("passes", FIXTURES / "plain_cnn.onnx")


def test_a_batch_that_does_not_fit_is_told_before_anything_runs(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", x=np.zeros((2, 3), np.float32))
    file = FIXTURES / "plain_cnn.onnx"
    with pytest.raises(TargetError, match="wants 4 axes"):
        runnable(load(file), str(file), Request(batch=str(tmp_path / "b.npz")))
