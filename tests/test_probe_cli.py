"""--probe on the command line, in settings and in Python; what it adds to findings, and what becomes of failures."""

# ruff: noqa: E402
from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

import netlint
from netlint.cli import cli, main
from netlint.errors import ConfigError
from netlint.probe.observed import Setup
from netlint.probe.summary import Row, Summary
from netlint.probe.table import table
from tests.probe_models import Logarithm, Mlp

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "tests" / "probe_models.py"
CNN = ROOT / "fixtures" / "onnx" / "plain_cnn.onnx"
torch.set_num_threads(1)


def call(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, args)
    return done.exit_code, done.output


def test_probe_alone_takes_no_value() -> None:
    code, text = call("show", "--probe", str(CNN))
    assert code == 0, text
    assert "on cpu with torch" in text and "Conv" in text
    assert call("show", "--probe=tpu", str(CNN))[0] == 2


def test_the_table_of_a_python_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    code, text = call("show", f"{MODELS}:Mlp", "--probe", "--loss", "cross_entropy", "--seed", "3")
    assert code == 0, text
    assert "synthetic, 16 samples" in text and "seed 3" in text and "cross_entropy" in text
    rows = [line.split() for line in text.splitlines()]
    assert [row[1] for row in rows if row and row[0].startswith(("body", "head"))] == [
        *("Gemm", "Relu", "Gemm", "Sigmoid", "Gemm")
    ]
    assert max(map(len, text.splitlines())) <= 100


def test_a_model_that_ends_the_process_keeps_its_static_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    report = netlint.check(f"{MODELS}:Dying", probe="cpu")
    assert report.nodes == 5
    assert report.probe is not None and report.probe.setup is None
    assert "ended the process (exit code 7) while the model was run" in report.probe.why


def test_findings_get_what_was_seen_and_none_is_removed() -> None:
    plain, run = netlint.check(Logarithm(), inputs="2,10"), netlint.check(Logarithm(), inputs="2,10", probe="cpu")
    codes = [found.rule.code for found in plain.findings]
    assert [found.rule.code for found in run.findings if not found.rule.code.startswith("PRB")] == codes
    claimed = [found for found in run.findings if found.finding.claim is not None]
    assert claimed
    facts = [fact for found in claimed for fact in found.finding.evidence if fact.origin == "the probe"]
    assert len(facts) == len(claimed)
    assert all(str(fact.value).endswith("in 16 samples") for fact in facts)
    assert "(from the probe)" in repr(run)
    assert plain.probe is None and run.probe is not None and pickle.loads(pickle.dumps(run.probe)) == run.probe


def test_settings_of_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(CNN.read_bytes())
    settings = tmp_path / "netlint.toml"
    settings.write_text('[[targets]]\npath = "*.onnx"\nprobe = "cpu"\nseed = 5\n')
    report = netlint.check("m.onnx")
    assert report.probe is not None and report.probe.setup is not None and report.probe.setup.seed == 5
    for wrong in ('probe = "tpu"', "probe-budget = 0", "seed = -1", "batch = 3"):
        settings.write_text(f'[[targets]]\npath = "*.onnx"\n{wrong}\n')
        with pytest.raises(ConfigError):
            netlint.check("m.onnx")


def test_settings_that_came_with_a_target_may_not_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    (folder / "m.onnx").write_bytes(CNN.read_bytes())
    (folder / "netlint.toml").write_text('[[targets]]\npath = "*.onnx"\nprobe = "cpu"\n')
    with pytest.raises(ConfigError, match="names probe"):
        netlint.check(folder / "m.onnx")


def test_nothing_runs_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: object) -> None:
        raise AssertionError("the model was run")

    monkeypatch.setattr("netlint.probe.torch.runner.TorchRunner.run", never)
    monkeypatch.setattr("netlint.probe.onnx.OnnxRunner.run", never)
    assert netlint.check(Mlp(), inputs="2,10").probe is None
    assert netlint.check(CNN).probe is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("target", [f"{MODELS}:Mlp", str(CNN)])
def test_a_gpu_that_is_not_there_is_a_mistake_of_the_command_line(
    target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([target, "--probe=cuda"])
    text = capsys.readouterr().err
    assert ended.value.code == 2
    assert "--probe=cuda finds no GPU: " in text and "--probe=cpu runs the model on the CPU" in text
    assert len(text.splitlines()) == 1


def test_a_word_that_is_no_device() -> None:
    with pytest.raises(ConfigError, match="probe='gpu' is not known"):
        netlint.check(Mlp(), inputs="2,10", probe="gpu")


def test_numbers_that_are_not_finite_are_shown_as_such() -> None:
    setup = Setup("cpu", "torch", "synthetic, 2 samples", 2, 0)
    rows = [
        Row("a", "layer ▸ log", "Log", "float32[2]", float("nan"), float("nan"), -1.0, 2.0, 0.0, 3, None, None),
        Row("b", "layer ▸ tanh", "Tanh", "float32[2]", 0.0, 0.5, -1.0, 1.0, 0.0, 0, 0.25, 1e-7),
    ]
    lines = table(Summary(setup, rows=tuple(rows)), 90).splitlines()
    assert "3 not finite" in lines[-2]
    assert "25%" in lines[-1] and "1.0e-07" in lines[-1] and "█" in lines[-1]
