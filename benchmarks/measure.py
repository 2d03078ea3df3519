"""Measure commands as whole processes, interleaved so that drift of the machine hits all alike."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Command:
    """A row of a table: its label, what to execute (absolute path first), the exit codes that mean it worked."""

    label: str
    arguments: tuple[str, ...]
    accepted: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Sample:
    """One run of a command: CPU is user + system seconds of the process and its children; 1 MB is 10^6 bytes."""

    exit_status: int
    cpu_s: float
    wall_s: float
    peak_rss_mb: float
    error: str | None


@dataclass
class Measurement:
    """The counted runs of one command on one subject, and its first failure if there was one."""

    command: Command
    samples: list[Sample] = field(default_factory=list)
    failure: str | None = None

    @property
    def cpu_s(self) -> list[float]:
        """CPU seconds of every counted run."""
        return [sample.cpu_s for sample in self.samples]

    @property
    def median_cpu_s(self) -> float:
        """Median CPU of the counted runs, seconds."""
        return statistics.median(self.cpu_s)

    @property
    def median_wall_s(self) -> float:
        """Median duration of the counted runs, seconds."""
        return statistics.median(sample.wall_s for sample in self.samples)

    @property
    def median_peak_rss_mb(self) -> float:
        """Median peak resident memory of the counted runs, MB."""
        return statistics.median(sample.peak_rss_mb for sample in self.samples)


def run_once(command: Command, folder: Path) -> Sample:
    """Run `command` in `folder` as a process of its own and return what it cost."""
    launch = [sys.executable, "-I", "-S", str(LAUNCHER), *command.arguments]
    done = subprocess.run(launch, cwd=folder, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise RuntimeError(f"cannot start {command.arguments[0]}: {done.stderr.strip()}")
    usage = json.loads(done.stdout)
    return Sample(
        exit_status=usage["exit_status"],
        cpu_s=usage["cpu_s"],
        wall_s=usage["wall_s"],
        peak_rss_mb=usage["peak_rss_bytes"] / 1e6,
        error=_error(command, usage["exit_status"], done.stderr),
    )


def measure(commands: Sequence[Command], runs: int, folder: Path) -> list[Measurement]:
    """Run every command once uncounted, then A B C A B C … `runs` times; a failing command is not run again."""
    measurements = [Measurement(command) for command in commands]
    for counted in [False] + [True] * runs:
        for measurement in measurements:
            if measurement.failure is None:
                _add_run(measurement, counted, folder)
    return measurements


def _add_run(measurement: Measurement, counted: bool, folder: Path) -> None:
    """Run a measurement's command once more and file the result."""
    sample = run_once(measurement.command, folder)
    measurement.failure = sample.error
    if counted and sample.error is None:
        measurement.samples.append(sample)


def _error(command: Command, exit_status: int, stderr: str) -> str | None:
    """What went wrong, or None. A Python traceback exits 1 as findings do, so it is told apart by its text."""
    crashed = "Traceback (most recent call last)" in stderr
    if exit_status in command.accepted and not crashed:
        return None
    last_lines = stderr.strip().splitlines()[-2:] or ["no message"]
    return f"exit {exit_status}: {' / '.join(line.strip()[:160] for line in last_lines)}"
