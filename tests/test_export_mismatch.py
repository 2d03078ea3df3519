"""`--against`: a model beside its export, through the command line and stage by stage."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from netlint.engine import lint
from netlint.registry import load_rules
from netlint.training import Training

torch: Any = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from netlint.frontends.torch.live import captured  # noqa: E402
from netlint.probe.request import Request  # noqa: E402
from netlint.probe.torch.runner import probed  # noqa: E402

NET = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    def forward(self, x):
        return self.body(x)
"""


def model(seed: int = 0) -> Any:
    scope: dict[str, Any] = {"__name__": "net"}
    exec(NET, scope)
    return scope["Net"](seed)


def export(path: Path, made: Any, *inputs: Any, **how: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(made.eval(), inputs, str(path), dynamo=False, **how)
    return path


def compared(made: Any, file: Path, inputs: Any = "16,8") -> tuple[list[str], list[str]]:
    """What the rule says, and why it was skipped."""
    found = probed(captured(made, None, None, None, inputs, None, None, ""), Request("cpu", against=str(file)))
    report = lint(found.graph, [load_rules()["PRB014"]], Training())
    assert report.crashed == ()
    return [entry.finding.message for entry in report.findings], [skip.why for skip in report.skipped]


def test_an_export_of_the_same_weights_agrees(tmp_path: Path) -> None:
    made = model()
    file = export(
        tmp_path / "net.onnx", made, torch.zeros(2, 8), dynamic_axes={"input": {0: "n"}}, input_names=["input"]
    )
    assert compared(made.train(), file) == ([], [])


def test_an_export_of_a_fixed_batch_gets_as_many_samples(tmp_path: Path) -> None:
    made = model()
    assert compared(made, export(tmp_path / "net.onnx", made, torch.zeros(2, 8))) == ([], [])


def test_other_weights_are_told_with_numbers(tmp_path: Path) -> None:
    file = export(tmp_path / "net.onnx", model(1), torch.zeros(2, 8), output_names=["logits"])
    ((message,), _) = compared(model(), file)
    assert message.startswith("the output differs from the export's 'logits' by ")


class Pair(torch.nn.Module):  # type: ignore[misc]
    def forward(self, a: Any, b: Any) -> Any:
        return a - b


def test_inputs_are_paired_by_name_before_order(tmp_path: Path) -> None:
    class Swapped(torch.nn.Module):  # type: ignore[misc]
        def forward(self, b: Any, a: Any) -> Any:
            return a - b

    zeros = torch.zeros(2, 3), torch.zeros(2, 3)
    named = export(tmp_path / "net.onnx", Swapped(), *zeros, input_names=["b", "a"])
    assert compared(Pair(), named, ("2,3", "2,3")) == ([], [])
    unnamed = export(tmp_path / "other.onnx", Swapped(), *zeros, input_names=["p", "q"])
    assert len(compared(Pair(), unnamed, ("2,3", "2,3"))[0]) == 1


def test_outputs_that_do_not_pair_up(tmp_path: Path) -> None:
    class Twice(torch.nn.Module):  # type: ignore[misc]
        def forward(self, a: Any, b: Any) -> Any:
            return a - b, a + b

    zeros = torch.zeros(2, 3), torch.zeros(2, 3)
    file = export(tmp_path / "net.onnx", Twice(), *zeros, input_names=["a", "b"])
    messages, _ = compared(Pair(), file, ("2,3", "2,3"))
    assert messages == ["the model and its export do not pair up: 1 outputs of the model, 2 of the export"]


def test_what_cannot_be_compared_is_skipped_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    ((), (why,)) = compared(model(), tmp_path / "bad.onnx")
    assert why.startswith(f"{tmp_path / 'bad.onnx'} cannot be run: ")
    ((), (why,)) = compared(model(), export(tmp_path / "pair.onnx", Pair(), torch.zeros(2, 3), torch.zeros(2, 3)))
    assert why == "the export takes 2 inputs and the model 1"


@pytest.mark.parametrize(("seed", "code"), [(0, 0), (1, 1)])
def test_on_the_command_line(
    seed: int, code: int, netlint: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(NET)
    export(tmp_path / "net.onnx", model(seed), torch.zeros(2, 8))
    argv = ("net.py:Net", "--input", "16,8", "--probe=cpu", "--against", "net.onnx", "--select", "PRB014")
    done = netlint(*argv)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("error[PRB014] export-mismatch" in done.stdout) == bool(code)


def test_a_file_that_is_not_there_is_a_mistake_of_usage(netlint: Callable[..., CompletedProcess[str]]) -> None:
    done = netlint("net.py:Net", "--probe", "--against", "nowhere.onnx")
    assert done.returncode == 2
    assert "nowhere.onnx" in done.stderr
