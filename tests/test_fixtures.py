"""Each fixture is found guilty of the fault it was made with, and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netlint.engine import lint
from netlint.registry import load_rules
from netlint.reported import Report
from netlint.rule import Level
from netlint.targets import load
from netlint.training import parse_training
from tests.conftest import FIXTURES

RULES = load_rules()
EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES.parent / "expected.json").read_text())
TWINS = sorted(path.stem for path in (FIXTURES.parent / "onnxtxt").glob("*.onnxtxt"))


def lint_file(path: Path, flags: list[str]) -> Report:
    stated = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    return lint(load(str(path)), RULES.values(), parse_training(stated, lambda name: f"--{name}"), target=path.name)


def faults(report: Report) -> set[str]:
    assert report.crashed == ()
    return {found.rule.code for found in report.findings if found.level >= Level.WARNING}


def test_every_fixture_has_an_expectation() -> None:
    assert {path.stem for path in FIXTURES.glob("*.onnx")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_fixture(name: str) -> None:
    wanted = EXPECTED[name]
    found = faults(lint_file(FIXTURES / f"{name}.onnx", wanted["flags"]))
    # A file may be made with a fault whose rule is still to come.
    assert found == {code for code in wanted["expect"] if code in RULES}


@pytest.mark.parametrize("name", [name for name in TWINS if not EXPECTED[name]["flags"]])
def test_text_twin_without_metadata_says_no_more(name: str) -> None:
    """The text lacks the metadata in which some models state their loss, so it may say less, never more."""
    twin = faults(lint_file(FIXTURES.parent / "onnxtxt" / f"{name}.onnxtxt", []))
    assert twin <= faults(lint_file(FIXTURES / f"{name}.onnx", []))
