"""Whatever the code of a Python target does, the run goes on, and its report says what happened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from netlint.capture import Capture
from netlint.frontends import TargetError
from netlint.training import Training
from netlint.worker import Job, run
from tests.conftest import ROOT

Run = Callable[..., CompletedProcess[str]]

FACTORIES = ROOT / "tests" / "torch_factories.py"

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def failure(name: str, **how: object) -> str:
    """What is said of a target that cannot be captured."""
    with pytest.raises(TargetError) as caught:
        run(Job("show", f"{FACTORIES}:{name}", Capture(**how), Training()))  # type: ignore[arg-type]
    return f"{caught.value} | {caught.value.help}"


@needs_torch
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hangs", "took longer than 2 s while building the model | see that the model can be made without data"),
        ("floods", "took longer than 2 s while building the model\nthe last it printed: xxx"),
        ("Waiting", "took longer than 2 s while example inputs were looked for | state the inputs: --input"),
        ("ends_at_once", "ended the process (exit code 0) while building the model"),
        ("segfaults", "crashed the interpreter (SIGSEGV) (torch_factories.py:"),
        ("interrupts", "interrupts itself (KeyboardInterrupt)"),
    ],
)
def test_code_that_goes_wrong_is_an_error_of_its_target(name: str, message: str) -> None:
    assert message in failure(name, time_limit=2)


@needs_torch
@needs_fork
def test_children_of_the_code_are_not_waited_for() -> None:
    start = time.monotonic()
    assert "ended the process (exit code 3) while building the model" in failure("forks_and_ends")
    assert time.monotonic() - start < 50


@needs_torch
@needs_fork
def test_a_fork_that_goes_on_says_nothing() -> None:
    page = run(Job("show", f"{FACTORIES}:forks_and_goes_on", Capture(), Training()))
    assert page.count("graph 'Net'") == 1


@needs_torch
def test_threads_of_the_code_are_not_waited_for() -> None:
    assert "graph 'Net'" in run(Job("show", f"{FACTORIES}:leaves_a_thread", Capture(), Training()))


@needs_torch
def test_prints_do_not_reach_the_report(netlint: Run) -> None:
    quiet = netlint(f"{FACTORIES}:prints")
    assert quiet.returncode == 0, quiet.stdout + quiet.stderr
    assert "from" not in quiet.stderr
    assert "from print" not in quiet.stdout
    told = netlint(f"{FACTORIES}:prints", "-v").stderr
    assert all(text in told for text in ("from print", "from stderr", "from below"))


@needs_torch
def test_the_other_targets_are_linted_all_the_same(netlint: Run) -> None:
    model = ROOT / "fixtures" / "onnx" / "sigmoid_hidden_mlp_dynamo.onnx"
    done = netlint(f"{FACTORIES}:ends_at_once", model)
    assert done.returncode == 3
    assert "warning[ACT004]" in done.stdout


@needs_torch
@pytest.mark.parametrize("body", ["while True: pass", "undefined()"])
def test_of_a_script_that_does_not_import_the_definitions_are_taken(netlint: Run, tmp_path: Path, body: str) -> None:
    (tmp_path / "train.py").write_text(
        "import argparse, torch\nfrom torch import nn\n"
        "parser = argparse.ArgumentParser()\nparser.add_argument('--width', type=int, default=8)\n"
        "args = parser.parse_args()\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__(); self.fc = nn.Linear(args.width, 2)\n"
        "    def forward(self, x): return self.fc(x)\n"
        f"{body}\n"
    )
    done = netlint("train.py:Net", "--time-limit=3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "imported: its definitions alone" in done.stdout
    assert "float32[2, 8]" in done.stdout


@needs_torch
def test_crashes_of_rules_travel(netlint: Run, tmp_path: Path) -> None:
    """Also those whose exception cannot be pickled."""
    folder = tmp_path / "own"
    folder.mkdir()
    page = "".join(f"## {name}\n" for name in ("What it does", "Why is this bad", "Example", "Use instead"))
    (folder / "bad_rule.py").write_text(
        f'"""A rule that fails.\n\n{page}"""\n'
        "from netlint.rule import ERROR, Scope, rule\n"
        "class Odd(Exception):\n"
        "    def __init__(self, a, b): super().__init__(a)\n"
        '@rule("OWN001", "bad-rule", level=ERROR, since="1.0")\n'
        "def bad_rule(scope: Scope):\n    raise Odd('broken', 2)\n"
    )
    (tmp_path / "netlint.toml").write_text('rule-folders = ["own"]\n')
    done = netlint(f"{FACTORIES}:Net", "--config=netlint.toml")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "bug: rule bad-rule failed" in done.stdout
    assert "Odd('broken')" in done.stdout


def test_without_torch_a_python_target_says_so(netlint: Run, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("class Net: ...\n")
    if find_spec("torch") is None:
        done = netlint("net.py:Net")
        assert done.returncode == 3
        assert "torch is not installed" in done.stdout
