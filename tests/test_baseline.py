"""The baseline: only new findings are reported, wherever netlint is called from and however the model was exported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import onnx
import pytest

from netlint import check
from netlint.baseline import Baseline, read_baseline
from netlint.errors import ConfigError
from netlint.plans import Plans
from netlint.report import Failure
from netlint.reported import Report
from netlint.session import Session
from tests.conftest import FIXTURES

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    for name in ("double_softmax_loss.onnx", "log_of_softmax.onnx"):
        shutil.copy(FIXTURES / name, tmp_path / "models" / name)
    return tmp_path


def test_create_then_only_new_findings_count(project: Path, netlint: Run) -> None:
    created = netlint("baseline", "create", "models/log_of_softmax.onnx")
    assert (created.returncode, created.stdout.splitlines()[0]) == (0, "netlint.baseline: 1 finding"), created.stderr
    assert "LOS006" in netlint("models", "-q").stdout, "it is used where it is named"
    done = netlint("models", "-q", "--baseline=netlint.baseline")
    assert (done.returncode, done.stdout.count("error["), done.stdout.count("warning[")) == (1, 1, 0)
    netlint("baseline", "create", "models")
    assert netlint("models", "--baseline=netlint.baseline").returncode == 0
    (project / "netlint.toml").write_text('baseline = "netlint.baseline"\n')
    assert netlint("models").returncode == 0
    assert netlint(project / "models", "--config", project / "netlint.toml", cwd=FIXTURES).returncode == 0


def test_create_leaves_what_is_known_of_other_targets(project: Path, netlint: Run) -> None:
    for target in ("models/log_of_softmax.onnx", "models/double_softmax_loss.onnx", "models/log_of_softmax.onnx"):
        netlint("baseline", "create", target)
    lines = (project / "netlint.baseline").read_text().splitlines()
    assert [line.split("\t")[1:3] for line in lines if not line.startswith("#")] == [
        ["LOS002", "models/double_softmax_loss.onnx"],
        ["LOS006", "models/log_of_softmax.onnx"],
    ]


@pytest.mark.parametrize(
    ("folder", "target"),
    [
        (".", "models/log_of_softmax.onnx"),
        (".", "./models/../models/log_of_softmax.onnx"),
        ("models", "log_of_softmax.onnx"),
        ("models", "../models"),
        ("..", "{name}/models/log_of_softmax.onnx"),
    ],
)
def test_the_spelling_of_a_target_does_not_matter(project: Path, netlint: Run, folder: str, target: str) -> None:
    netlint("baseline", "create", "models")
    known = (project / "netlint.baseline").read_bytes()
    here = project / folder
    file = os.path.relpath(project / "netlint.baseline", here)
    target = target.format(name=project.name)
    assert netlint("baseline", "check", target, "--baseline", file, cwd=here).returncode == 0
    assert netlint(project / "models" / "log_of_softmax.onnx", "--baseline", file, cwd=here).returncode == 0
    netlint("baseline", "create", target, "--baseline", file, cwd=here)
    assert (project / "netlint.baseline").read_bytes() == known


def test_check_and_prune(project: Path, netlint: Run) -> None:
    shutil.copy(FIXTURES / "plain_mlp.onnx", project / "models" / "c.onnx")
    netlint("baseline", "create", "models")
    assert netlint("baseline", "check", "models").returncode == 0
    shutil.copy(FIXTURES / "plain_mlp.onnx", project / "models" / "log_of_softmax.onnx")
    shutil.copy(FIXTURES / "log_of_softmax.onnx", project / "models" / "c.onnx")
    done = netlint("baseline", "check", "models")
    assert done.returncode == 1
    new, gone, total = done.stdout.splitlines()
    assert new.startswith("new: models/c.onnx ▸ ")
    assert gone.startswith("gone: LOS006 models/log_of_softmax.onnx ")
    assert total == "1 finding known, 1 new, 1 gone"
    assert netlint("baseline", "prune", "models/c.onnx").stdout == "2 findings known, 0 removed\n", "not linted"
    (project / "models" / "log_of_softmax.onnx").write_bytes(b"not a model")
    unread = netlint("baseline", "prune", "models")
    assert unread.returncode == 3
    assert unread.stdout == "2 findings known, 0 removed\n", "what cannot be analysed keeps its lines"
    (project / "models" / "log_of_softmax.onnx").unlink()
    pruned = netlint("baseline", "prune", "models")
    assert (pruned.returncode, pruned.stdout.splitlines()[-1]) == (0, "1 finding known, 1 removed")
    assert netlint("baseline", "check", "models").returncode == 1, "the new one is not added"


def test_baselines_merge_by_lines(project: Path, netlint: Run) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")

    def call(*args: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        subprocess.run([git, *identity, *args], cwd=project, check=True, capture_output=True)

    call("init", "-b", "main")
    (project / ".gitattributes").write_text("netlint.baseline merge=union\n")
    netlint("baseline", "create", FIXTURES / "plain_mlp.onnx", "--baseline", project / "netlint.baseline")
    call("add", ".")
    call("commit", "-m", "0")
    for branch, target in (("a", "models/log_of_softmax.onnx"), ("b", "models/double_softmax_loss.onnx")):
        call("checkout", "-b", branch, "main")
        netlint("baseline", "create", target)
        call("commit", "-am", branch)
    call("merge", "a")
    assert netlint("baseline", "check", "models").returncode == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the baseline known.txt does not exist; `netlint baseline create` writes one"),
        (b"root:x:0:0\n", "known.txt:1: no line of a baseline"),
        (b"# x\n\n<<<<<<< HEAD\n", "known.txt:3: no line of a baseline"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_mistakes(tmp_path: Path, netlint: Run, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "known.txt").write_bytes(content)
    done = netlint(FIXTURES / "plain_mlp.onnx", "--baseline=known.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "root" not in done.stderr


def test_a_folder_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a file"):
        read_baseline(tmp_path)


def test_suppressed_findings_are_not_taken_in(project: Path, netlint: Run) -> None:
    (project / "netlint.toml").write_text(
        '[[overrides]]\ntarget = "models/log*"\nignore = ["LOS006"]\nreason = "r"\n', encoding="utf-8"
    )
    netlint("baseline", "create", "models")
    assert "LOS006" not in (project / "netlint.baseline").read_text()


def test_known_findings_stay_in_the_report(project: Path, monkeypatch: pytest.MonkeyPatch, netlint: Run) -> None:
    netlint("baseline", "create", "models")
    (project / "netlint.toml").write_text('baseline = "netlint.baseline"\n')
    monkeypatch.chdir(project)
    report = check("models/log_of_softmax.onnx")
    report.raise_if("note")
    assert [(entry.found.rule.code, entry.origin) for entry in report.suppressed] == [
        ("LOS006", "baseline netlint.baseline")
    ]


def test_hostile_names_stay_on_their_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = onnx.load(FIXTURES / "log_of_softmax.onnx")
    for node in model.graph.node:
        node.name += "\n# \t\x1b[31m"
    name = "a\tb\nc.onnx"
    onnx.save(model, name)
    (report,) = reports(name)
    Baseline(tmp_path / "b", {}).updated([report]).write()
    again = read_baseline(tmp_path / "b")
    assert (len(again.lines), again.new(report), again.stale([report])) == (1, [], [])
    assert "\x1b" not in (tmp_path / "b").read_text()


def reports(*targets: str) -> list[Report]:
    results = list(Session(Plans(), compare=False).results(targets))
    assert not any(isinstance(result, Failure) for result in results)
    return [result for result in results if isinstance(result, Report)]


def networks() -> tuple[Any, Any]:
    """A faulty network, and the same with one more branch, before the others and of the same operators."""
    import torch
    from torch import nn

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(8, 16), nn.Linear(16, 8)

        def forward(self, x: Any) -> Any:
            return torch.log(torch.softmax(self.fc2(torch.sigmoid(self.fc1(x))), -1))

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Block(), Block()

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x))

    class More(Net):
        def __init__(self) -> None:
            super().__init__()
            self.branch = Block()

        def forward(self, x: Any) -> Any:
            return self.branch(x) + self.second(self.first(x))

    return Net(), More()


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "torchscript"])
def test_a_new_export_with_one_more_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dynamo: bool) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)

    def export(network: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(network, (torch.zeros(2, 8),), "m.onnx", dynamo=dynamo, verbose=False)

    before, after = networks()
    export(before)
    (old,) = reports("m.onnx")
    known = Baseline(tmp_path / "b", {}).updated([old])
    assert {"ACT004", "LOS006"} <= {found.rule.code for found in old.findings}
    assert len(known.lines) == len(old.findings)
    export(after)
    model = onnx.load("m.onnx")
    for place, node in enumerate(reversed(model.graph.node)):
        # Of names only the module path counts, which TorchScript writes there.
        node.name = f"{node.name.rpartition('/')[0]}/{node.op_type}_{place}" if "/" in node.name else f"n{place}"
    onnx.save(model, "m.onnx")
    (new,) = reports("m.onnx")
    assert known.stale([new]) == []
    added = known.new(new)
    assert len(added) == len(new.findings) - len(old.findings) > 0
    assert {found.loc.module.partition(".")[0] for found in added if found.loc.module} == {"branch"}


def test_fingerprints_of_reports_do_not_depend_on_the_spelling(
    project: Path, monkeypatch: pytest.MonkeyPatch, netlint: Run
) -> None:
    spelled = ("models/log_of_softmax.onnx", "./models/log_of_softmax.onnx", project / "models" / "log_of_softmax.onnx")
    prints = [json.loads(netlint(target, "-o", "gitlab").stdout)[0]["fingerprint"] for target in spelled]
    assert len(set(prints)) == 1
    shutil.copy(project / "models" / "log_of_softmax.onnx", project / "copy.onnx")
    assert json.loads(netlint("copy.onnx", "-o", "gitlab").stdout)[0]["fingerprint"] not in prints
