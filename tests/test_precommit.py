"""The hooks for pre-commit, run by pre-commit itself on a repository with a good and a bad model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.conftest import FIXTURES, ROOT

pytest.importorskip("pre_commit")
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

Run = Callable[..., CompletedProcess[str]]

BAD, GOOD = FIXTURES / "sigmoid_hidden_mlp_dynamo.onnx", FIXTURES / "plain_mlp.onnx"
NET = """import torch
class Good(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
class Bad(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(4, 8), torch.nn.Sigmoid(), torch.nn.Linear(8, 3))
"""


def git(folder: Path, *argv: str) -> str:
    user = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *user, *argv], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository with what pre-commit needs of this one, and its commit."""
    folder = tmp_path_factory.mktemp("hooks")
    for name in ("netlint", "rules"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, folder)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "hooks")
    return folder, git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(hooks: tuple[Path, str], tmp_path: Path) -> Callable[[str], Path]:
    """A repository of a user's whose settings for pre-commit name a hook."""

    def make(hook: str) -> Path:
        folder = tmp_path / "project"
        (folder / "models").mkdir(parents=True)
        git(folder, "init", "-q")
        place, commit = hooks
        (folder / ".pre-commit-config.yaml").write_text(
            f"repos:\n- repo: {place.as_uri()}\n  rev: {commit}\n  hooks:\n  - id: {hook}\n"
        )
        return folder

    return make


def pre_commit(folder: Path) -> CompletedProcess[str]:
    """Run it on all files that are added, without a network.

    The hook's environment gets netlint alone; what it needs is taken from where this test finds it.
    """
    git(folder, "add", "-A")
    places = [sysconfig.get_path("purelib"), *(path for path in sys.path if path.endswith("site-packages"))]
    program = folder.parent / "bin" / "netlint"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m netlint "$@"\n')
    program.chmod(0o755)
    env = {
        **os.environ,
        "PRE_COMMIT_HOME": str(folder.parent / "home"),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(places)),
        "GIT_ALLOW_PROTOCOL": "file",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
    }
    argv = [sys.executable, "-m", "pre_commit", "run", "--all-files", "--color=never", "--verbose"]
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=240)


def test_model_files_of_a_commit_are_linted(repository: Callable[[str], Path]) -> None:
    folder = repository("netlint")
    shutil.copy(GOOD, folder / "models" / "good.onnx")
    (folder / "notes.txt").write_text("no model")
    good = pre_commit(folder)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "netlint (model files)" in good.stdout
    assert "1 model checked: no findings" in good.stdout

    shutil.copy(BAD, folder / "models" / "bad.onnx")
    bad = pre_commit(folder)
    assert bad.returncode == 1
    assert "warning[ACT004]" in bad.stdout
    assert "models/bad.onnx" in bad.stdout

    (folder / "netlint.toml").write_text('exclude = ["models/bad*"]\n')
    assert "1 model checked: no findings" in pre_commit(folder).stdout

    (folder / "models" / "lfs.pt2").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    pointer = pre_commit(folder)
    assert pointer.returncode == 1
    assert "models/lfs.pt2 is a Git LFS pointer" in pointer.stdout
    assert "git lfs pull" in pointer.stdout


def test_configured_models_are_linted_when_python_changes(repository: Callable[[str], Path]) -> None:
    pytest.importorskip("torch")
    folder = repository("netlint-configured")
    (folder / "net.py").write_text(NET)
    (folder / "netlint.toml").write_text('[[targets]]\npath = "net.py:Good"\ninputs = ["2,4"]\n')
    good = pre_commit(folder)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "netlint (configured PyTorch models)" in good.stdout
    assert "1 model checked: no findings" in good.stdout

    (folder / "netlint.toml").write_text('[[targets]]\npath = "net.py:*"\n[[targets]]\npath = "net.py:Bad"\n')
    bad = pre_commit(folder)
    assert bad.returncode == 1
    assert "warning[ACT004]" in bad.stdout


def test_what_is_named_is_linted_unless_its_exclusion_is_forced(netlint: Run, tmp_path: Path) -> None:
    (tmp_path / "models" / "old").mkdir(parents=True)
    for name in ("a.onnx", "old/b.onnx"):
        shutil.copy(GOOD, tmp_path / "models" / name)
    (tmp_path / "netlint.toml").write_text('exclude = ["models/old/*"]\n')
    assert "1 model checked" in netlint("models").stdout
    assert "1 model checked" in netlint("models/**/*.onnx").stdout
    assert "1 model checked" in netlint("models/old/b.onnx").stdout
    forced = netlint("models/old/b.onnx", "--force-exclude")
    assert (forced.returncode, "0 models checked" in forced.stdout) == (0, True)


@pytest.mark.parametrize("settings", ["", '[[targets]]\npath = "models/*.onnx"\n[[targets]]\npath = "net.py:*"\n'])
def test_nothing_configured_is_told(netlint: Run, tmp_path: Path, settings: str) -> None:
    (tmp_path / "netlint.toml").write_text(settings)
    done = netlint("--configured")
    assert done.returncode == 2
    assert "no settings name a Python target" in done.stderr


def test_configured_arguments_that_are_no_python_are_told(
    netlint: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "netlint.toml").write_text('[[targets]]\npath = "net.py:make(size)"\n')
    done = netlint("--configured")
    assert (done.returncode, "no Python literal: size" in done.stdout) == (3, True)
