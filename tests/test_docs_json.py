"""`docs/json.md` says what the JSON report is: its commands, example and program run, and no field is missing."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from netlint.report import json as json_report
from netlint.report import jsonl
from tests.conftest import FIXTURES, ROOT

TEXT = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [line[2:] for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]
MODEL = "double_softmax_loss.onnx"

Run = Callable[..., CompletedProcess[str]]


def block(kind: str) -> str:
    (text,) = (text for language, text in BLOCKS if language == kind)
    return text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the model, and the code that it was exported from where the example has it."""
    shutil.copy(FIXTURES / MODEL, tmp_path)
    (tmp_path / "fixtures").mkdir()
    shutil.copy(ROOT / "fixtures" / "nets.py", tmp_path / "fixtures")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(command: str, netlint: Run, folder: Path) -> None:
    ours, _, theirs = command.partition(" | ")
    done = netlint(*shlex.split(ours)[1:])
    assert done.returncode == (1 if MODEL in ours else 0), done.stderr
    if "json" in ours.split():
        json.loads(done.stdout)
    if theirs and shutil.which("jq"):
        piped = subprocess.run(shlex.split(theirs), input=done.stdout, capture_output=True, text=True, check=True)
        assert piped.stdout.startswith("fixtures/nets.py: the head ends in softmax")


def test_the_finding_is_the_real_one(netlint: Run, folder: Path) -> None:
    (target,) = json.loads(netlint(MODEL, "-o", "json").stdout)["targets"]
    (found,) = target["findings"]
    assert json.loads(block("json")) == {name: value for name, value in found.items() if name != "evidence"}


def test_the_program_does_what_it_is_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    scope: dict[str, Any] = {}
    exec(block("python"), scope)
    assert [(file, line, level) for file, line, level, _ in scope["problems"]] == [("fixtures/nets.py", 50, "error")]


@pytest.mark.parametrize("schema", [json_report.schema(), jsonl.schema()])
def test_every_field_is_told_of(schema: dict[str, Any]) -> None:
    fields = {field for described in schema["$defs"].values() for field in described["properties"]}
    assert fields - set(re.findall(r"`(\w+)`", TEXT)) == set()


def test_the_version_in_the_program_is_that_of_the_schema() -> None:
    assert f'report["version"] == {json_report.VERSION}' in TEXT
    assert json_report.schema()["$id"] == f"netlint-report-{json_report.VERSION}"
    assert os.path.basename(jsonl.schema()["$id"]) == f"netlint-jsonl-{json_report.VERSION}"
