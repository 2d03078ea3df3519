"""Several targets at a time: the order stays, a process that dies takes one target with it, Ctrl-C ends all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from threading import Event

import pytest

from netlint import linter
from netlint.errors import ConfigError
from netlint.frontends import NetlintBug
from netlint.frontends.onnx.external import ExternalFiles
from netlint.graph import Graph
from netlint.jobs import MAX_AUTOMATIC, automatic
from netlint.plans import Plans
from netlint.pool import Died, in_processes, in_threads
from netlint.report import Failure, bugs
from netlint.reported import Report
from netlint.session import Session
from tests.conftest import FIXTURES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the functions here travel by fork")

Run = Callable[..., CompletedProcess[str]]


def work(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == 4:
        os._exit(7)
    if item == 5:
        raise ConfigError("a mistake")
    if item == 6:
        raise KeyError("a bug")
    time.sleep(0.05 * (item % 2))
    return item * item


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_item_has_its_result_whatever_becomes_of_the_others(count: int) -> None:
    found = dict(in_processes(work, list(range(12)), count))
    assert sorted(found) == list(range(12))
    assert [found[item] for item in (0, 1, 2, *range(7, 12))] == [item * item for item in (0, 1, 2, *range(7, 12))]
    dead = [found[item] for item in (3, 4)]
    assert [item.code for item in dead if isinstance(item, Died)] == [-signal.SIGKILL, 7]
    assert isinstance(found[5], ConfigError)
    assert isinstance(found[6], NetlintBug)
    assert "KeyError" in str(found[6])


def test_who_ends_a_process_is_found_among_those_given_together() -> None:
    deadly = {7, 8, 90, 199}
    found = dict(in_processes(lambda item: os._exit(3) if item in deadly else -item, list(range(200)), 2))
    assert sorted(found) == list(range(200))
    assert {item for item, result in found.items() if isinstance(result, Died) and result.code == 3} == deadly
    assert all(found[item] == -item for item in set(found) - deadly)


def test_results_come_while_others_given_together_are_worked_on() -> None:
    start = time.monotonic()
    results = in_processes(lambda item: time.sleep(1.0 if item else 0.2), list(range(40)), 1)
    next(results)
    assert time.monotonic() - start < 1.1
    results.close()  # type: ignore[attr-defined]


def test_processes_end_with_the_iterator() -> None:
    results = in_processes(lambda _: os.getpid(), list(range(4)), 2)
    _, process = next(results)
    results.close()  # type: ignore[attr-defined]
    assert isinstance(process, int)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_threads_are_told_that_nobody_waits() -> None:
    seen = []
    started = Event()

    def wait(item: int, stop: Event) -> int:
        if item == 0:
            started.wait(30)
            raise ConfigError("a mistake")
        started.set()
        seen.append(stop.wait(30))
        return item

    start = time.monotonic()
    with pytest.raises(ConfigError):
        list(in_threads(wait, [0, 1], 2))
    assert seen == [True]
    assert time.monotonic() - start < 10


def test_automatic_number() -> None:
    assert automatic([]) == automatic([1000] * 7) == 1
    many = automatic([1000] * 500)
    assert many == automatic([1 << 30] * 500) == min(MAX_AUTOMATIC, len(os.sched_getaffinity(0)))
    assert automatic([1 << 30]) == 1


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for place, source in enumerate(sorted(FIXTURES.glob("*.onnx"))[:12]):
        shutil.copy(source, folder / f"{place:02}.onnx")
    (folder / "05.onnx").write_bytes(b"no model")
    return folder


def test_the_report_of_many_processes_is_that_of_one(netlint: Run, models: Path) -> None:
    one = netlint(models, "--jobs=1", "--no-cache", "-v", "--loss=mse")
    two = netlint(models, "--jobs=3", "--no-cache", "-v", "--loss=mse")
    assert one.returncode == two.returncode == 3
    assert one.stdout == two.stdout
    assert "failed: " in one.stdout


def test_mistakes_in_settings_are_told_once(netlint: Run, models: Path) -> None:
    done = netlint(models, "--jobs=2", "--select=sigmoid-hiden")
    assert done.returncode == 2
    assert done.stderr.count("did you mean 'sigmoid-hidden'") == 1


def rule_that(folder: Path, what: str) -> None:
    (folder / "lint").mkdir()
    page = '"""Mine.\n\n## What it does\n## Why is this bad\n## Example\n## Use instead\n"""\n'
    head = 'import os, signal, time\nfrom netlint.rule import *\n@rule("MYR001", "my-own", level=NOTE, since="1")\n'
    (folder / "lint" / "my_own.py").write_text(f"{page}{head}def run(scope):\n    {what}\n    return []\n")
    (folder / "netlint.toml").write_text('rule-folders = ["lint"]\n')


def test_a_crash_is_the_failure_of_one_target(netlint: Run, models: Path) -> None:
    rule_that(models.parent, 'scope.graph.of("Conv") and os.kill(os.getpid(), signal.SIGSEGV)')
    done = netlint(models, "--jobs=2")
    assert done.returncode == 3
    assert "crashed the interpreter (SIGSEGV) while it was linted" in done.stdout
    failed = done.stdout.count("failed: ")
    assert 2 <= failed <= 11  # one of them is no model
    assert f"{12 - failed} models checked" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bug_of_netlint_is_told_with_its_target_and_hides_no_other(
    models: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    real = linter.load

    def broken(target: str, external: ExternalFiles | None = None) -> Graph:
        if target.endswith("03.onnx"):
            raise KeyError("what nobody thought of")
        return real(target, external)

    monkeypatch.setattr(linter, "load", broken)
    results = Session(Plans(), jobs=jobs).results([str(models)])
    (bug,) = (result for result in results if isinstance(result, Failure) and isinstance(result.error, NetlintBug))
    assert bug.target.endswith("03.onnx")
    assert str(bug.error) == "makes netlint fail: KeyError: 'what nobody thought of'"
    assert "this is a bug in netlint" in bug.error.help
    assert len([result for result in results if isinstance(result, Report)]) == 10
    assert bugs(results)


def test_ctrl_c_ends_all_at_once_and_quietly(models: Path) -> None:
    rule_that(models.parent, 'open(f"started{os.getpid()}", "w").close(); time.sleep(60)')
    argv = [sys.executable, "-m", "netlint", str(models), "--jobs=2"]
    running = subprocess.Popen(
        argv,
        cwd=models.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's `&` has it ignored
    )
    for _ in range(600):
        if len(started := list(models.parent.glob("started*"))) == 2:
            break
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert (running.returncode, out, err.strip()) == (130, b"", b"")  # click ends the line with ^C
    for file in started:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.name.removeprefix("started")), 0)


def test_workers_end_when_their_parent_is_killed(models: Path) -> None:
    rule_that(models.parent, 'open(f"started{os.getpid()}", "w").close(); time.sleep(1)')
    argv = [sys.executable, "-m", "netlint", str(models), "--jobs=2"]
    running = subprocess.Popen(argv, cwd=models.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for _ in range(600):
        if len(started := list(models.parent.glob("started*"))) == 2:
            break
        time.sleep(0.1)
    running.kill()
    running.wait()
    for file in started:
        process = Path("/proc") / file.name.removeprefix("started") / "stat"
        for _ in range(100):
            if not process.exists() or process.read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.1)
        else:
            pytest.fail("a worker is left over")
