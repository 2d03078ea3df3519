"""Around the command line: completion in real shells, the bar, variables of the environment."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from netlint.commands.lint import lint
from netlint.commands.outputs import FORMATS
from netlint.progress import bar
from netlint.registry import load_rules
from netlint.training import LOSSES
from tests.conftest import FIXTURES

Run = Callable[..., CompletedProcess[str]]

FAULTY = FIXTURES / "sigmoid_hidden_mlp_dynamo.onnx"


@pytest.fixture
def completed(netlint: Run) -> Callable[[str], list[str]]:
    """What is offered at the end of a line, asked for as the shells ask."""

    def ask(line: str) -> list[str]:
        words = line.split(" ")
        env = {"_NETLINT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        done = netlint(env=env)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return ask


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("netlint rule sigmoid-h", ["plain,sigmoid-hidden"]),
        ("netlint rule ACT00", [f"plain,ACT00{digit}" for digit in range(1, 10)]),
        ("netlint --select sigmoid-h", ["plain,sigmoid-hidden"]),
        ("netlint m.onnx --ignore log-domain,sigmoid-h", ["plain,log-domain,sigmoid-hidden"]),
        ("netlint --loss cross", ["plain,cross_entropy"]),
        ("netlint m.onnx --task multi", ["plain,multilabel"]),
        ("netlint m.onnx --stage ", ["plain,init", "plain,trained"]),
        ("netlint m.onnx --fail-on w", ["plain,warning"]),
        ("netlint -o sar", ["plain,sarif"]),
        ("netlint --exit", ["plain,--exit-zero"]),
        ("netlint m.onnx --exit", ["plain,--exit-zero"]),
        ("netlint show --mod", ["plain,--mode"]),
        ("netlint completion ", ["plain,bash", "plain,zsh", "plain,fish"]),
        ("netlint mod", ["file,mod"]),
        ("netlint a.onnx mod", ["file,mod"]),
        ("netlint config mod", ["file,mod"]),
        ("netlint config --select sigmoid-h", ["plain,sigmoid-hidden"]),
        ("netlint baseline check mod", ["file,mod"]),
        ("netlint sch", ["plain,schema", "file,sch"]),
    ],
)
def test_what_is_offered(completed: Callable[[str], list[str]], line: str, offered: list[str]) -> None:
    assert completed(line) == offered


def test_all_that_has_a_name_is_offered(completed: Callable[[str], list[str]]) -> None:
    assert set(completed("netlint rule ")) == {f"plain,{rule.name}" for rule in load_rules().values()}
    assert set(completed("netlint --loss ")) == {f"plain,{loss}" for loss in LOSSES}
    assert completed("netlint -o ") == [f"plain,{name}" for name in FORMATS]


def test_broken_settings_keep_nothing_from_being_offered(completed: Callable[[str], list[str]], tmp_path: Path) -> None:
    (tmp_path / "netlint.toml").write_text("selct = [\n")
    assert completed("netlint rule sigmoid-h") == ["plain,sigmoid-hidden"]


def typed(argv: list[str], text: str, folder: Path, until: str, env: dict[str, str] | None = None) -> str:
    """What a program shows on a terminal of its own, once `until` is there and after keys were typed."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ.pop("CI", None)
        os.environ.update({"TERM": "xterm", "COLUMNS": "100", **(env or {})})
        os.execvp(argv[0], argv)
    seen = ""
    os.write(terminal, text.encode())
    end = time.monotonic() + 60
    while until not in seen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 65536).decode("utf-8", "replace")
            except OSError:  # it has ended
                break
    os.close(terminal)
    os.waitpid(process, 0)
    return seen


def test_a_real_bash_completes(netlint: Run, tmp_path: Path) -> None:
    script = netlint("completion", "bash").stdout
    # The script calls the program by its name; here the name is a file.
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "netlint"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m netlint "$@"\n')
    program.chmod(0o755)
    (tmp_path / "script").write_text(script)
    (tmp_path / "first-model.onnx").touch()
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    keys = "source ./script; echo re''ady\n"
    for line, done in (("netlint rule sigmoid-hi\t", "sigmoid-hidden"), ("netlint first-m\t", "first-model.onnx")):
        seen = typed(["bash", "--norc", "--noprofile", "-i"], keys + line, tmp_path, done, {"PATH": path, "PS1": "$ "})
        assert done in seen.partition("ready")[2]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_the_script(netlint: Run, tmp_path: Path) -> None:
    (tmp_path / "_netlint").write_text(netlint("completion", "zsh").stdout)
    check = "autoload -U compinit && compinit -u && source ./_netlint && whence _netlint_completion"
    done = subprocess.run(["zsh", "-f", "-c", check], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def slow_rule(folder: Path, seconds: float) -> None:
    (folder / "lint").mkdir()
    page = '"""Mine.\n\n## What it does\n## Why is this bad\n## Example\n## Use instead\n"""\n'
    head = 'import time\nfrom netlint.rule import *\n@rule("MYR001", "my-own", level=NOTE, since="1")\n'
    (folder / "lint" / "my_own.py").write_text(
        f"{page}{head}def run(scope):\n    time.sleep({seconds})\n    return []\n"
    )
    (folder / "netlint.toml").write_text('rule-folders = ["lint"]\n')


ARGV = [sys.executable, "-m", "netlint"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_long_run_shows_a_bar_and_takes_it_away(tmp_path: Path, jobs: str) -> None:
    slow_rule(tmp_path, 1.5)
    for name in ("a.onnx", "b.onnx"):
        shutil.copy(FAULTY, tmp_path / name)
    seen = typed([*ARGV, "a.onnx", "b.onnx", "--jobs", jobs, "--no-cache"], "", tmp_path, "models checked")
    assert "netlint ──" in seen
    assert "0 of 2" in seen
    if jobs == "1":
        assert "1 of 2" in seen
        assert "netlint ━━" in seen
    assert seen.index("0 of 2") < seen.rindex("\r\x1b[K") < seen.index("ACT004")
    assert " of 2" not in seen.partition("ACT004")[2]


@pytest.mark.parametrize(
    ("flags", "env"), [(["--quiet"], {}), ([], {"CI": "true"}), ([], {"TERM": "dumb"})], ids=["quiet", "ci", "dumb"]
)
def test_where_nobody_watches_there_is_no_bar(tmp_path: Path, flags: list[str], env: dict[str, str]) -> None:
    slow_rule(tmp_path, 0.8)
    shutil.copy(FAULTY, tmp_path / "a.onnx")
    seen = typed([*ARGV, "a.onnx", "--no-cache", *flags], "", tmp_path, "docs:", env)
    assert "ACT004" in seen
    assert "of 1" not in seen


def test_the_bar_fits_its_line() -> None:
    assert bar(250, 500, 60) == "netlint " + "━" * 20 + "─" * 20 + " 250 of 500"
    assert bar(0, 0, 80) == "netlint " + "─" * 40
    for columns in range(5, 100):
        assert len(bar(3, 7, columns)) < columns


def test_variables_give_options_and_flags_go_before_them(netlint: Run, tmp_path: Path) -> None:
    env = {"NETLINT_LOSS": "mse", "NETLINT_SELECT": "ACT,LOS", "NETLINT_OUTPUT": "json text:r.txt"}
    done = netlint(FAULTY, env=env)
    report = json.loads(done.stdout)
    assert report["targets"][0]["assumptions"]["loss"]["origin"] == "NETLINT_LOSS"
    assert {skipped["code"][:3] for skipped in report["targets"][0]["skipped"]} <= {"ACT", "LOS"}
    assert (tmp_path / "r.txt").exists()
    stated = json.loads(netlint(FAULTY, "--loss=l1", env=env).stdout)["targets"][0]["assumptions"]["loss"]
    assert (stated["origin"], stated["value"]["name"]) == ("--loss", "l1_loss")


def test_variables_go_before_settings(netlint: Run, tmp_path: Path) -> None:
    shutil.copy(FAULTY, tmp_path / "m.onnx")
    (tmp_path / "netlint.toml").write_text('fail-on = "note"\n')
    assert netlint("m.onnx").returncode == 1
    assert netlint("m.onnx", env={"NETLINT_FAIL_ON": "error"}).returncode == 0
    assert netlint("m.onnx", "--fail-on=warning", env={"NETLINT_FAIL_ON": "error"}).returncode == 1
    assert netlint("m.onnx", env={"NETLINT_EXIT_ZERO": "1", "NETLINT_QUIET": "true"}).returncode == 0


@pytest.mark.parametrize(
    ("variable", "value"), [("NETLINT_FAIL_ON", "eror"), ("NETLINT_JOBS", "many"), ("NETLINT_LOSS", "crosentropy")]
)
def test_a_wrong_variable_is_named(netlint: Run, variable: str, value: str) -> None:
    done = netlint(FAULTY, env={variable: value})
    assert done.returncode == 2
    assert variable in done.stderr
    assert "Traceback" not in done.stderr


def test_every_option_has_a_variable() -> None:
    found = {param.name: param.envvar for param in lint.params if hasattr(param, "is_flag")}
    assert found["cache_dir"] == "NETLINT_CACHE_DIR"
    assert found["outputs"] == "NETLINT_OUTPUT"
    assert found["inputs"] == ["NETLINT_INPUT", "NETLINT_INPUTS"]
    assert all(found.values())
