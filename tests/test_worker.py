"""Whatever the code of a Python target does, the run goes on, and its report says what happened."""

from __future__ import annotations

import os
import subprocess
import sys
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
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc on this system")


def failure(name: str, **how: object) -> str:
    """What is said of a target that cannot be captured."""
    with pytest.raises(TargetError) as caught:
        run(Job("show", f"{FACTORIES}:{name}", Capture(**how), Training()))  # type: ignore[arg-type]
    return f"{caught.value} | {caught.value.help}"


@needs_torch
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("floods", "took longer than 2 s while building the model\nthe last it printed: xxx"),
        ("Waiting", "took longer than 2 s while example inputs were looked for | state the inputs: --input"),
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
def test_forks_and_threads_that_go_on_are_not_waited_for_and_say_nothing() -> None:
    page = run(Job("show", f"{FACTORIES}:forks_and_leaves_a_thread", Capture(), Training()))
    assert page.count("graph 'Net'") == 1


@needs_torch
def test_what_the_code_prints_is_kept() -> None:
    told: list[str] = []
    page = run(Job("show", f"{FACTORIES}:prints", Capture(), Training()), told.append)
    assert "from below" not in page
    assert all(text in "".join(told) for text in ("from print", "from stderr", "from below"))


@needs_torch
def test_the_other_targets_are_linted_all_the_same(netlint: Run) -> None:
    model = ROOT / "fixtures" / "onnx" / "sigmoid_hidden_mlp_dynamo.onnx"
    done = netlint(f"{FACTORIES}:ends_at_once", f"{FACTORIES}:prints", model)
    assert done.returncode == 3
    assert "ended the process (exit code 0) while building the model" in done.stdout
    assert "warning[ACT004]" in done.stdout
    assert "from print" not in done.stdout + done.stderr


@needs_torch
def test_of_a_script_that_does_not_end_its_import_the_definitions_are_taken(netlint: Run, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__(); self.fc = nn.Linear(8, 2)\n"
        "    def forward(self, x): return self.fc(x)\n"
        "while True: pass\n"
    )
    done = netlint("train.py:Net", "--time-limit=2")
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


@needs_torch
@needs_proc
def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import os, subprocess, time\n"
        "def hangs():\n"
        "    child = subprocess.Popen(['sleep', '600'])\n"
        "    open('pids.tmp', 'w').write(f'{os.getpid()} {child.pid}')\n"
        "    os.rename('pids.tmp', 'pids')\n"
        "    while True: pass\n"
    )
    parent = subprocess.Popen([sys.executable, "-m", "netlint", "net.py:hangs"], cwd=tmp_path)
    pids = tmp_path / "pids"
    _wait_until(pids.exists)
    parent.kill()
    parent.wait()
    _wait_until(lambda: not any(_runs(int(pid)) for pid in pids.read_text().split()))


def _wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


RANDOM = """
import random
import numpy
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        print("drawn", float(self.fc.weight[0, 0]), numpy.random.rand(), random.random(), torch.get_num_threads())

    def forward(self, x):
        return self.fc(x)

class Same(Net):
    pass
"""


@needs_torch
def test_a_model_has_the_same_weights_each_time_and_its_share_of_the_cores(netlint: Run, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(RANDOM)

    def drawn(*args: str) -> list[str]:
        done = netlint(*args, "-v", env={"OMP_NUM_THREADS": ""})
        return [line for line in done.stderr.splitlines() if line.startswith("drawn")]

    (alone,) = drawn("net.py:Net", "--seed=3")
    assert drawn("net.py:Net", "--seed=3") == [alone]
    assert drawn("net.py:Net")[0].split()[1:4] != alone.split()[1:4]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shared = drawn("net.py:Net", "net.py:Same", "--jobs=2")
    assert [line.split()[-1] for line in shared] == [str(max(1, cores // 2))] * 2


@needs_torch
@pytest.mark.parametrize("name", ["fails_without_words", "FailsWithoutWords"])
def test_an_exception_whose_text_fails_is_told_by_its_class(name: str) -> None:
    assert "Speechless" in failure(name)
