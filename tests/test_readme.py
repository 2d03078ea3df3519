"""Every command, output, setting and rule that the README shows is what it says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from netlint.commands.outputs import FORMATS
from netlint.config import read_settings
from netlint.examples import examples, run
from netlint.registry import check, load_rules
from netlint.settings.rules import RuleSettings
from tests.conftest import FIXTURES, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^(`{3,})(\w+)\n(.*?)^\1$", README, re.MULTILINE | re.DOTALL)
CONSOLE = [text for _, language, text in BLOCKS if language == "console"]
COMMANDS = [line[2:].split("#")[0].strip() for text in CONSOLE for line in text.splitlines() if line.startswith("$ ")]


def test_shown_output_is_the_real_one(netlint: Callable[..., CompletedProcess[str]]) -> None:
    command, _, shown = CONSOLE[0].partition("\n")
    assert netlint(*shlex.split(command)[2:], cwd=ROOT).stdout == shown


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("netlint ")][1:])
def test_command_runs(command: str, netlint: Callable[..., CompletedProcess[str]], tmp_path: Path) -> None:
    """In a folder with the models that the commands name: each is understood and finds its targets."""
    (tmp_path / "models").mkdir()
    (tmp_path / "exports").mkdir()
    for place in ("model.onnx", "models/a.onnx", "exports/b.onnx"):
        shutil.copy(FIXTURES / "plain_mlp.onnx", tmp_path / place)
    if ".py:" in command or ".pt2" in command:
        _torch_models(tmp_path)
    argv, _, redirected = command.partition("<")
    stdin = (tmp_path / redirected.strip()).read_bytes() if redirected else b""
    done = netlint(*shlex.split(argv)[1:], stdin=stdin)
    assert done.returncode == 0, done.stdout + done.stderr


def _torch_models(folder: Path) -> None:
    """What the commands on PyTorch models name: a file of Python, weights, an exported program."""
    torch = pytest.importorskip("torch")
    (folder / "net.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, classes=10):\n"
        "        super().__init__()\n"
        "        self.conv = torch.nn.Conv2d(3, 8, 3)\n"
        "        self.fc = torch.nn.Linear(8, classes)\n"
        "    def forward(self, x):\n"
        "        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))\n"
        "def training_step(model, x, y):\n"
        "    return torch.nn.functional.cross_entropy(model(x), y)\n"
    )
    scope: dict[str, Any] = {}
    exec((folder / "net.py").read_text(), scope)
    model = scope["Net"]()
    torch.save(model.state_dict(), folder / "weights.pt")
    torch.export.save(torch.export.export(model, (torch.zeros(2, 3, 16, 16),)), folder / "model.pt2")


def test_api_does_what_is_said() -> None:
    pytest.importorskip("torch")
    (source,) = (text for _, language, text in BLOCKS if language == "python" and "netlint.check" in text)
    scope: dict[str, Any] = {}
    exec(source, scope)
    assert "LOS002" in {found.rule.code for found in scope["report"].findings}
    scope["test_model"]()


def test_settings_are_valid(tmp_path: Path) -> None:
    (text,) = (text for _, language, text in BLOCKS if language == "toml")
    tomllib.loads(text)
    (tmp_path / "pyproject.toml").write_text(text)
    settings = read_settings(tmp_path / "pyproject.toml")
    assert settings is not None
    rules = RuleSettings(settings, load_rules())
    rules.chosen()
    rules.options()
    assert settings.contract(str(tmp_path / "models" / "regressor_a.onnx")).targets.known
    assert settings.capture(str(tmp_path / "net.py") + ":Net").inputs == ("3,3,64,64",)


@pytest.mark.parametrize(
    "source", [text for _, language, text in BLOCKS if language == "yaml" and "hooks:" not in text]
)
def test_continuous_integration_is_configured_as_its_server_reads_it(
    source: str, netlint: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    shutil.copy(FIXTURES / "plain_mlp.onnx", tmp_path / "models")
    (job,) = (data := yaml.safe_load(source)).get("jobs", data).values()
    written = [line for line in _scripts(job) if line.startswith("netlint ")]
    for line in written:
        done = netlint(*shlex.split(line)[1:])
        assert done.returncode == 0, done.stderr
    uploads = re.findall(r"(?:sarif_file|codequality|junit): (\S+)", source)
    assert uploads
    assert all((tmp_path / name).is_file() for name in uploads)


def _scripts(job: dict[str, Any]) -> list[str]:
    """What a job runs, in GitHub Actions and in GitLab."""
    steps = [step["run"] for step in job.get("steps", []) if "run" in step]
    return [line for text in steps + job.get("script", []) for line in text.splitlines()]


def test_problem_matcher_reads_real_lines(netlint: Callable[..., CompletedProcess[str]]) -> None:
    (source,) = (text for _, language, text in BLOCKS if language == "json")
    (task,) = json.loads(source)["tasks"]
    pattern = task["problemMatcher"]["pattern"]
    assert task["command"].endswith("-o concise")
    lines = netlint("fixtures/onnx/double_softmax_loss.onnx", "no.onnx", "-o", "concise", cwd=ROOT).stdout.splitlines()
    matches = [re.search(pattern["regexp"], line) for line in lines]
    assert [
        {name: match[pattern[name]] for name in ("file", "line", "column", "severity", "code")}
        for match in matches
        if match
    ] == [
        {"file": "fixtures/nets.py", "line": "50", "column": "13", "severity": "error", "code": "LOS002"},
        {"file": "no.onnx", "line": "1", "column": "1", "severity": "error", "code": "failed"},
    ]
    assert matches[0] is not None
    assert matches[0][pattern["message"]].startswith("double-softmax: the head ends in softmax")


def test_every_format_is_listed() -> None:
    listed = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", README, re.MULTILINE)))
    assert set(FORMATS) <= set(listed)


def test_rule_of_the_tutorial_works(tmp_path: Path) -> None:
    (source,) = (text for _, language, text in BLOCKS if language == "python" and "@rule" in text)
    (tmp_path / "sqrt_of_relu.py").write_text(source)
    rule = load_rules([tmp_path]).find("sqrt-of-relu")
    assert check(rule) == []
    found = examples(rule)
    assert len(found) == 3
    assert [problem for example in found for problem in run(rule, example)] == []


def test_install_commands_are_those_of_continuous_integration() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    for marker in re.findall(r"<!-- (install-\S+) -->", README):
        assert f"command_of {marker}" in script


def test_the_hooks_shown_are_those_there_are() -> None:
    (shown,) = (yaml.safe_load(text) for _, language, text in BLOCKS if "hooks:" in text)
    there = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in shown["repos"][0]["hooks"]] == [hook["id"] for hook in there]
