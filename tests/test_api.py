"""`netlint.check`: what it takes, what it gives, and that the model stays as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import netlint
from tests.conftest import FIXTURES, ROOT

FAULTY = FIXTURES / "sigmoid_hidden_mlp_dynamo.onnx"


def codes(report: netlint.CheckReport) -> set[str]:
    return {found.rule.code for found in report.findings}


def test_import_is_light() -> None:
    program = "import sys, netlint; print(sorted({'click', 'numpy', 'torch', 'netlint.engine'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    with pytest.raises(AttributeError, match="has no attribute 'chek'"):
        netlint.chek  # noqa: B018


def test_files_give_a_report() -> None:
    report = netlint.check(FAULTY)
    assert {found.rule.code for found in report.findings} == {"ACT004"}
    assert report.nodes > 0
    assert repr(report).startswith("warning[ACT004] sigmoid-hidden: ")
    assert "<span" in report._repr_html_()
    assert report.raise_if("error") is report
    with pytest.raises(netlint.Findings, match="ACT004") as caught:
        report.raise_if("warning")
    assert isinstance(caught.value, AssertionError)
    assert caught.value.report is report


def test_rules_and_contract_are_chosen() -> None:
    assert not netlint.check(FAULTY, ignore="ACT004").findings
    signed = FIXTURES / "relu_output_dynamo.onnx"
    assert codes(netlint.check(signed, targets=(-1, 1))) == {"ACT001"}
    assert codes(netlint.check(signed, targets="0..1")) == set()
    with pytest.raises(ValueError, match="task=: unknown task 'clasification'; did you mean 'classification'"):
        netlint.check(FAULTY, task="clasification")


def test_models_in_memory() -> None:
    from netlint import onnxlib

    model = onnxlib.protobuf().ModelProto()
    model.ParseFromString(FAULTY.read_bytes())
    report = netlint.check(model)
    assert report.target == "ModelProto"
    assert {found.rule.code for found in report.findings} == {"ACT004"}


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(netlint.TargetError, match=r"missing\.onnx does not exist"):
        netlint.check("missing.onnx")
    with pytest.raises(netlint.TargetError, match="holds 2 models"):
        for name in ("a", "b"):
            (tmp_path / f"{name}.onnx").write_bytes(FAULTY.read_bytes())
        netlint.check(tmp_path)
