"""`docs/settings.md` is what netlint does: its commands run, its settings are valid, its comments silence."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import jsonschema
import onnx
import pytest

from netlint.comments import comments
from netlint.config import read_settings
from netlint.registry import load_rules
from netlint.settings.parse import CAPTURE_KEYS, KEYS, OVERRIDE_KEYS, PROBE_KEYS, TRAINING_KEYS
from netlint.settings.rules import RuleSettings
from netlint.settings.schema import of
from tests.conftest import FIXTURES, ROOT

PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line.removeprefix("$ ") for language, text in BLOCKS if language == "console" for line in text.splitlines()]
TOML = [text for language, text in BLOCKS if language == "toml"]
PYTHON = [text for language, text in BLOCKS if language == "python"]

Run = Callable[..., CompletedProcess[str]]


def test_commands_run_in_the_order_of_the_page(tmp_path: Path, netlint: Run) -> None:
    (tmp_path / "models").mkdir()
    shutil.copy(FIXTURES / "log_of_softmax.onnx", tmp_path / "models" / "a.onnx")
    for command in COMMANDS:
        name, *args = shlex.split(command)
        assert name == "netlint"
        done = netlint(*args)
        assert (done.returncode, done.stderr) == (0, ""), command


@pytest.mark.parametrize("text", TOML)
def test_settings_are_valid(tmp_path: Path, text: str) -> None:
    registry = load_rules()
    jsonschema.validate(tomllib.loads(text)["tool"]["netlint"], of(registry))
    (tmp_path / "pyproject.toml").write_text(text)
    settings = read_settings(tmp_path / "pyproject.toml")
    assert settings is not None
    about = RuleSettings(settings, registry)
    about.decisions()
    about.options()
    about.exceptions("m.onnx")


def test_the_mistake_is_told_as_shown(tmp_path: Path, netlint: Run) -> None:
    (shown,) = (text for language, text in BLOCKS if language == "text")
    (tmp_path / "netlint.toml").write_text('fail-on = "note"\ningore = ["oversized-kernel"]\n')
    assert netlint("config").stderr == shown


def test_no_key_is_missing() -> None:
    assert set(tomllib.loads(TOML[0])["tool"]["netlint"]) == set(KEYS)
    for key in (*KEYS, *OVERRIDE_KEYS, *CAPTURE_KEYS, *PROBE_KEYS, *TRAINING_KEYS):
        assert f"`{key}`" in PAGE, key


def test_comments_are_read_as_said() -> None:
    (source,) = (text for text in PYTHON if "ignore[" in text)
    found = comments(source)
    assert [(one.names, one.covers[0], one.covers[-1]) for one in found] == [
        (("sigmoid-hidden",), 2, 2),
        (("log-domain", "ACT006"), 4, 6),
    ]
    registry = load_rules()
    assert all(registry.find(name) for one in found for name in one.names)
    assert all(one.reason for one in found)


def test_metadata_silences(tmp_path: Path, netlint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = (text for text in PYTHON if "set_model_props" in text)
    shutil.copy(FIXTURES / "log_of_softmax.onnx", tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    exec(source, {})
    assert onnx.load("model.onnx").metadata_props
    done = netlint("model.onnx", "-v")
    assert done.returncode == 0
    assert "the runtime fuses it" in done.stdout
