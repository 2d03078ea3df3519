"""`netlint config`, `netlint schema config`, `netlint init`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import jsonschema
import pytest

from netlint.config import find_settings, read_settings
from netlint.errors import ConfigError
from netlint.registry import load_rules
from netlint.settings.init import search, settings_for, targets
from netlint.settings.rules import RuleSettings
from netlint.settings.schema import of, schema
from tests.conftest import FIXTURES

Run = Callable[..., CompletedProcess[str]]

REGISTRY = load_rules()
SCHEMA = of(REGISTRY)

SETTINGS = """\
fail-on = "note"
ignore = ["LOS",
          "zero-weights"]
[rules.oversized-kernel]
level = "note"
min-kernel = 9
[training]
batch_size = 8
lr = 1
[[targets]]
path = "*.onnx"
loss = "mse"
inputs = ["1,3"]
[[overrides]]
module = "encoder.*"
ignore = ["INI"]
reason = "loaded later"
"""


def explained(netlint: Run, *args: str) -> Any:
    done = netlint("config", *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_each_rule_names_the_line_that_decided(tmp_path: Path, netlint: Run) -> None:
    (tmp_path / "netlint.toml").write_text(SETTINGS)
    shown = explained(netlint, "m.onnx", "--ignore=ACT001", "--lr=2")
    rules = {rule["code"]: rule for rule in shown["rules"]}
    assert set(rules) == set(REGISTRY)
    assert rules["LOS002"]["runs"] == {"value": False, "origin": "netlint.toml:2"}
    assert rules["INI001"]["runs"] == {"value": False, "origin": "netlint.toml:3"}
    assert rules["ACT001"]["runs"] == {"value": False, "origin": "--ignore=ACT001"}
    assert rules["ACT002"]["runs"] == {"value": True, "origin": "default"}
    assert rules["CNV001"]["runs"] == {"value": True, "origin": "default"}
    assert rules["CNV001"]["level"] == {"value": "note", "origin": "netlint.toml:5"}
    assert rules["CNV001"]["options"]["min-kernel"] == {"value": 9, "origin": "netlint.toml:6"}
    assert shown["general"]["fail-on"] == {"value": "note", "origin": "netlint.toml:1"}
    assert shown["contract"] == {
        "loss": {"value": "mse_loss", "origin": "netlint.toml:12"},
        "lr": {"value": "2.0", "origin": "--lr"},
        "batch-size": {"value": "8", "origin": "netlint.toml:8"},
    }
    assert shown["capture"] == {"inputs": {"value": ["1,3"], "origin": "netlint.toml:13"}}
    (override,) = shown["overrides"]
    assert (override["origin"], override["reason"]) == ("netlint.toml:14", "loaded later")


def test_what_is_shown_is_what_runs(tmp_path: Path, netlint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netlint.toml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    for flags in ((), ("--select=ACT,INI", "--ignore=ACT004")):
        shown = explained(netlint, *flags)
        running = {rule["code"] for rule in shown["rules"] if rule["runs"]["value"]}
        select = ["ACT", "INI"] if flags else []
        about = RuleSettings(find_settings(tmp_path), REGISTRY)
        assert running == {rule.code for rule in about.chosen(select, ["ACT004"] if flags else [])}


def test_the_page_for_people(tmp_path: Path, netlint: Run) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.netlint]\nextends = "strict"\nselect = ["ACT"]\n')
    lines = netlint("config").stdout.splitlines()
    assert lines[0] == "settings: pyproject.toml"
    assert "  fail-on  note  pyproject.toml:2" in lines
    assert any(line.split() == ["ACT001", "error", "relu-on-signed-output", "pyproject.toml:3"] for line in lines)
    unselected = next(line for line in lines if "CNV001" in line)
    assert unselected.split(maxsplit=3)[1:] == ["off", "oversized-kernel", "not selected by pyproject.toml:3"]
    (tmp_path / "pyproject.toml").unlink()
    assert netlint("config").stdout.startswith("settings: no file; these are the defaults\n")


def test_trust_holds_for_what_is_shown_as_well(tmp_path: Path, netlint: Run) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "other" / "netlint.toml").write_text('rule-folders = ["rules"]\n')
    done = netlint("config", "../other/m.onnx", cwd=tmp_path / "here")
    assert done.returncode == 2
    assert "name it with --config" in done.stderr


def test_schema_is_one(tmp_path: Path, netlint: Run) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    printed = json.loads(netlint("schema", "config").stdout)
    assert printed == json.loads(json.dumps(SCHEMA))


def test_schema_knows_rules_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (FIXTURES.parent.parent / "README.md").read_text()
    source = readme.partition("````python\n")[2].partition("````")[0]
    (tmp_path / "lint_rules").mkdir()
    (tmp_path / "lint_rules" / "sqrt_of_relu.py").write_text(source)
    (tmp_path / "netlint.toml").write_text('rule-folders = ["lint_rules"]\n')
    monkeypatch.chdir(tmp_path)
    assert "sqrt-of-relu" in schema()["properties"]["rules"]["properties"]


VALID = [
    "",
    SETTINGS.replace("batch_size", "batch-size"),
    'required-version = ">=0.3"\nextends = "all"\nselect = ["all", "LOS", "CNV001", "ACT01"]\nbaseline = "b"',
    '[training]\ntargets = [-1, 1.5]\nclass-counts = [1, 2, 3]\ngrad-clip = "none"\ntask = "gan"\nstage = "init"',
    '[[targets]]\npath = "a"\nmode = "eval"\nseed = 0\nprobe = "cpu"\ntime-limit = 0.5',
    '[[overrides]]\ntarget = ["a", "b"]\nrules = ["ACT"]\nlevel = "error"\nreason = "r"',
    "[rules]\nCNV001.min-kernel = 7\nmissing-nonlinearity.min-saving = 1\nzero-weights = {}",
]
INVALID = [
    "selct = []",
    'select = "all"',
    'select = ["sigmoid-hiden"]',
    'fail-on = "fatal"',
    'extends = "most"',
    "fail_on = 'note'",
    'loss = "mse"',
    'training = {losss = "mse"}',
    "training = {classes = 0}",
    'training = {task = "guessing"}',
    "training = {targets = [1]}",
    'targets = [{loss = "mse"}]',
    'targets = [{path = "a", mode = "tran"}]',
    'targets = [{path = "a", seed = -1}]',
    "rules = {zero-weigths = {}}",
    "rules = {CNV001 = {min-kernel = '3'}}",
    "rules = {CNV001 = {min-kernels = 3}}",
    "rules = {CNV001 = {level = 'eror'}}",
    "[[overrides]]\nmodule = 'a'\nignore = ['ACT']",
    "[[overrides]]\nmodule = 'a'\nignore = ['ACT']\nreason = ' '",
    "[[overrides]]\nignore = ['ACT']\nreason = 'r'",
    "[[overrides]]\nmodule = 'a'\nreason = 'r'",
    "[[overrides]]\nmodule = 'a'\nreason = 'r'\nignore = []\nlevel = 'note'",
    "[[overrides]]\nmodule = 'a'\nreason = 'r'\nignore = []\nrules = []",
    "[[overrides]]\nmodule = 'a'\nreason = 'r'\nlevel = 'off'",
]


@pytest.mark.parametrize(("text", "good"), [(text, True) for text in VALID] + [(text, False) for text in INVALID])
def test_schema_and_netlint_agree(tmp_path: Path, text: str, good: bool) -> None:
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(tomllib.loads(text)) is good
    (tmp_path / "netlint.toml").write_text(text)
    try:
        settings = read_settings(tmp_path / "netlint.toml")
        assert settings is not None
        about = RuleSettings(settings, REGISTRY)
        about.decisions()
        about.options()
        about.exceptions("m.onnx")
    except ConfigError:
        assert not good
    else:
        assert good


NETS = """
import torch
from torch import nn
import lightning as L
raise SystemExit("this must not run")

class Block(nn.Module):
    pass

class Net(nn.Module):
    def __init__(self, classes=3, *, bias=True):
        self.block = Block()

class Wide(Net):
    def __init__(self, width, depth, classes=3, *, norm, act=None):
        pass

class Lit(L.LightningModule):
    def training_step(self, batch, index):
        pass

class Data:
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for place in (
        "models/a.onnx",
        "models/b.onnx",
        "old.pt2",
        "src/net.py",
        "src/broken.py",
        ".venv/x.onnx",
        "env/y.onnx",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"")
    (tmp_path / "env" / "pyvenv.cfg").write_bytes(b"")
    (tmp_path / "src" / "net.py").write_text(NETS)
    (tmp_path / "src" / "broken.py").write_text("class Module(:")
    return tmp_path


def test_init_finds_models_and_runs_nothing(project: Path, netlint: Run) -> None:
    done = netlint("init")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [
        "wrote netlint.toml: 3 model files, 2 PyTorch models",
        "next: netlint . models src/net.py:Lit",
    ]
    content = tomllib.loads((project / "netlint.toml").read_text())
    paths = [entry["path"] for entry in content["targets"]]
    assert paths == ["*.pt2", "models/*.onnx", "src/net.py:Lit"], "what cannot be made without arguments is a comment"
    assert netlint("config", "models/a.onnx").returncode == 0


def test_what_init_writes_is_valid_with_and_without_its_comments(project: Path) -> None:
    text = settings_for(search(project))
    jsonschema.validate(tomllib.loads(text), SCHEMA)
    lines = text.splitlines()
    stated = [line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in lines]
    content = tomllib.loads("\n".join(stated))
    jsonschema.validate(content, SCHEMA)
    assert content["targets"][-1]["step"] == "training_step"
    assert '# netlint "src/net.py:Wide(width=…, depth=…, norm=…)" runs that code' in lines


def test_init_replaces_nothing_unasked(project: Path, netlint: Run) -> None:
    (project / "netlint.toml").write_text("")
    refused = netlint("init")
    assert (refused.returncode, refused.stderr) == (2, "netlint: netlint.toml exists; --force replaces it\n")
    assert netlint("init", "--force").returncode == 0
    (project / "netlint.toml").unlink()
    (project / "pyproject.toml").write_text("[tool.netlint]\n")
    refused = netlint("init", project)
    assert (refused.returncode, (project / "netlint.toml").exists()) == (2, False)
    (project / "pyproject.toml").write_text("[project]\n")
    assert netlint("init").returncode == 0
    assert (project / "pyproject.toml").read_text() == "[project]\n"


def test_init_in_an_empty_folder(tmp_path: Path, netlint: Run) -> None:
    assert targets(search(tmp_path)) == []
    assert netlint("init").stdout == "wrote netlint.toml: 0 model files, 0 PyTorch models\n"
    assert netlint("config").returncode == 0
