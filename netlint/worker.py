"""A Python target is captured and linted in a process of its own: whatever its code does, this one goes on.

The parent starts a fresh interpreter, sends it a `Job` and reads messages: the stage it has come to, at last the
result. The user's code may print, read, fork, exit, hang or crash the interpreter: prints go to a bounded buffer, the
rest ends in a `TargetError` that tells the stage. The parent imports neither torch nor anything of the user's.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Literal

from .capture import TIME_LIMIT, Capture, python_target
from .errors import ConfigError
from .frontends import NetlintBug, TargetError
from .probe.request import BUDGET
from .training import Training

Kind = Literal["lint", "show"]

START_LIMIT = 120.0
"""Seconds in which the interpreter must have started and torch been imported."""
MAX_OUTPUT = 64 << 10
"""Bytes kept of what the user's code prints: the last ones."""

_TICK = 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is to do, as plain data."""

    kind: Kind
    target: str
    capture: Capture
    training: Training
    rule_folders: tuple[Path, ...] = ()
    codes: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    value: str | None = None
    """For `show`: the value or node to show."""
    unrun: str = ""
    """Why the model must not be run, as the probe would: it ended the process before."""
    importing: Literal["whole", "slice"] = "whole"
    """`slice`: of the target's file only imports, definitions and what these need are executed."""
    threads: int = 0
    """How many torch may use, where several workers share the cores; 0: as many as it takes."""

    @property
    def target_is_file(self) -> bool:
        """Whether there is a file of the user's to take a slice of."""
        python = python_target(self.capture.factory or self.target)
        return python is not None and python.is_file


class Stopped(Exception):
    """Nobody waits for the result any more."""


class _Ended(Exception):
    """The worker gave no result."""

    def __init__(self, stage: str, how: str, output: str) -> None:
        super().__init__(how)
        self.stage = stage
        self.output = output


def run(job: Job, printed: Callable[[str], None] = lambda text: None, stop: threading.Event | None = None) -> Any:
    """Do a job in a process of its own; `printed` is told what the user's code printed. Raises `TargetError`, and
    `ConfigError` for what this machine cannot do.

    `stop`, once set, ends it: raises `Stopped`.
    """
    if find_spec("torch") is None:
        raise TargetError(
            f"is Python, and torch is not installed for {sys.executable}",
            "install netlint where the model's packages are, or export the model with torch.onnx.export",
        )
    try:
        return _attempt(job, printed, stop)
    except _Ended as ended:
        first = _failure(ended)
        if ended.stage == "probe":
            return _attempt(replace(job, unrun=str(first)), printed, stop)
        if ended.stage != "import" or not job.target_is_file:
            raise first from None
    try:
        return _attempt(replace(job, importing="slice"), printed, stop)
    except _Ended as ended:
        second: TargetError = _failure(ended)
    except TargetError as error:
        second = error
    raise TargetError(f"{first}\nits definitions alone: {second}", first.help)


def _attempt(job: Job, printed: Callable[[str], None], stop: threading.Event | None) -> Any:
    worker = _Worker(job, stop)
    try:
        return worker.result()
    finally:
        if output := worker.output():
            printed(output)


_DOING = {
    "start": "starting",
    "import": "being imported",
    "build": "building the model",
    "inputs": "example inputs were looked for",
    "record": "its operators were recorded",
    "lint": "the rules ran",
    "probe": "the model was run",
}
ADVICE = {
    "start": "see whether `python -c 'import torch'` works",
    "import": "put what starts work when imported under `if __name__ == '__main__':`",
    "build": "see that the model can be made without data, network or input; --time-limit sets the limit",
    "inputs": "state the inputs: --input 1,3,224,224",
    "record": "state other inputs (--input), or export the model with torch.onnx.export and lint the file",
    "lint": "please report it to netlint's authors",
    "probe": "see that the model runs on these inputs; --time-limit sets the limit",
}


_FRAME = re.compile(r'^  File "(.+)", line (\d+) in ', re.MULTILINE)


def _failure(ended: _Ended) -> TargetError:
    printed, crash, stack = ended.output.partition("Fatal Python error")
    frames = [frame for frame in _FRAME.findall(stack) if crash and not _LIBRARY.search(frame[0])]
    where = f" ({Path(frames[0][0]).name}:{frames[0][1]})" if frames else ""
    lines = printed.strip().splitlines()
    last = f"\nthe last it printed: {lines[-1].strip()[:200]}" if lines else ""
    return TargetError(f"{ended}{where} while {_DOING[ended.stage]}{last}", ADVICE[ended.stage])


_LIBRARY = re.compile(r"[/\\](site-packages|dist-packages|python3\.\d+|netlint)[/\\]|^<")


class _Worker:
    """The parent's side of one worker process."""

    def __init__(self, job: Job, stop: threading.Event | None) -> None:
        self._job = job
        self._stop = stop
        self._limit = job.capture.time_limit or TIME_LIMIT
        self._stage = "start"
        self._deadline: float | None = time.monotonic() + START_LIMIT
        self._messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._printed = bytearray()
        bootstrap = f"import sys; sys.path[:] = {sys.path!r}; from netlint.serve import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", bootstrap],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self._drain = threading.Thread(target=self._keep, args=(self._process.stderr,), daemon=True)
        self._drain.start()

    def result(self) -> Any:
        """Send the job and wait for what comes of it. Raises `_Ended`, `TargetError` or `ConfigError`."""
        try:
            self._send()
            while True:
                kind, content = self._next()
                if kind == "stage":
                    self._enter(content)
                elif kind == "done":
                    return content
                elif kind == "bug":
                    raise NetlintBug(content)
                elif kind == "mistake":
                    raise ConfigError(content)
                else:
                    raise TargetError(*content)
        finally:
            self._kill()

    def _send(self) -> None:
        """The pipe stays open: its end tells the worker that this process has ended, however it did."""
        assert self._process.stdin is not None
        try:
            pickle.dump(self._job, self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # it died at once; its end is noticed below

    def _enter(self, stage: str) -> None:
        """The limit counts for all that the user's code does together; netlint's own work has none."""
        if self._stage == "start":
            self._deadline = time.monotonic() + self._limit
        if stage == "lint":
            self._deadline = None
        if stage == "probe":
            self._deadline = time.monotonic() + self._limit + (self._job.capture.probe_budget or BUDGET)
        self._stage = stage

    def _next(self) -> tuple[str, Any]:
        while True:
            try:
                return self._messages.get(timeout=_TICK)
            except queue.Empty:
                pass
            if self._stop is not None and self._stop.is_set():
                raise Stopped
            if self._process.poll() is not None:
                # Children of its own may hold the pipe open: its end is not awaited for long.
                self._reader.join(timeout=10 * _TICK)
                if self._messages.empty():
                    raise _Ended(self._stage, how_it_ended(self._process.returncode), self.output())
            if self._deadline is not None and time.monotonic() > self._deadline:
                limit = START_LIMIT if self._stage == "start" else self._limit
                raise _Ended(self._stage, f"took longer than {limit:g} s", self.output())

    def _read(self, stream: IO[bytes]) -> None:
        while head := stream.read(8):
            content = stream.read(int.from_bytes(head, "little"))
            try:
                self._messages.put(pickle.loads(content))
            except Exception as error:
                self._messages.put(("error", (f"gave no readable report: {error!r}", ADVICE["lint"])))

    def _keep(self, stream: IO[bytes]) -> None:
        while part := os.read(stream.fileno(), 1 << 16):
            self._printed += part
            del self._printed[:-MAX_OUTPUT]

    def output(self) -> str:
        """The last of what the user's code printed."""
        self._drain.join(timeout=_TICK)
        return bytes(self._printed).decode("utf-8", "replace")

    def _kill(self) -> None:
        """End the worker and what it has started."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # none is left
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


def how_it_ended(code: int) -> str:
    """The end of a process as a verb; a negative code is the signal that ended it."""
    if code < 0:
        try:
            return f"crashed the interpreter ({signal.Signals(-code).name})"
        except ValueError:
            return f"crashed the interpreter (signal {-code})"
    return f"ended the process (exit code {code})"
