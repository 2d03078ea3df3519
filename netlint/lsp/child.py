"""netlint's command line in a process of its own: what it says, and its end when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from netlint.report.json import JsonReport, JsonTarget

LIMIT = 1200.0
"""Seconds after which a run is given up; what code of the user's may take is limited much closer, by --time-limit."""
_KEPT = 16 << 10

_running: set[asyncio.subprocess.Process] = set()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of linting a target."""

    target: JsonTarget | None
    """None where netlint itself could not do it."""
    trouble: str = ""
    """Then the reason."""
    printed: str = ""
    """What code of the user's printed, the end of it."""
    usage: bool = False
    """Whether the trouble is the user's own: a mistake in settings or arguments."""


async def lint(text: str, folder: Path, args: Sequence[str]) -> Outcome:
    """Lint one target from a folder. Cancelling it ends the process and what that has started."""
    options = ["lint", "--output=json", "--verbose", "--exit-zero", *args, "--", text]
    try:
        code, out, err = await run(folder, options)
    except TimeoutError:
        return Outcome(None, f"was not linted within {LIMIT:g} s")
    except OSError as error:
        return Outcome(None, f"netlint could not be started in {folder}: {error.strerror or error}")
    said = err[-_KEPT:].decode("utf-8", "replace").strip()
    try:
        report = msgspec.json.decode(out, type=JsonReport)
        return Outcome(report.targets[0], printed=said)
    except (msgspec.MsgspecError, IndexError):
        return Outcome(None, _plain(said) or f"netlint ended with exit code {code}", usage=code == 2)


def _plain(said: str) -> str:
    """A message of the command line without what addresses a terminal."""
    lines = [line for line in said.splitlines() if not line.startswith(("Usage:", "Try "))]
    return "\n".join(lines).strip().removeprefix("Error: ").removeprefix("netlint: ")


async def rule_page(code: str, folder: Path) -> str:
    """The page of a rule in Markdown; empty if it cannot be had."""
    try:
        status, out, _ = await run(folder, ["rule", code])
    except (OSError, TimeoutError):
        return ""
    return out.decode("utf-8", "replace").strip() if status == 0 else ""


async def run(folder: Path, arguments: Sequence[str]) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and standard error of `netlint arguments`. Raises `OSError` or `TimeoutError`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "netlint", *arguments),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"},
        start_new_session=True,
    )
    _running.add(process)
    try:
        async with asyncio.timeout(LIMIT):
            out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out, err
    finally:
        _end(process)
        _running.discard(process)


def end_all() -> None:
    """End every process that is running."""
    for process in _running:
        _end(process)


def _end(process: asyncio.subprocess.Process) -> None:
    """End a process with its group; the process that runs code of the user's notices, and ends with all it started."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
