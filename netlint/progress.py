"""A bar on standard error that tells how far a long run has come."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType

PATIENCE = 0.5
"""Seconds before it is shown."""
_PERIOD = 0.1


class Progress:
    """Inside `with`, shown where a person watches and can wait no longer. Tell it what is done by calling it.

    A timer interrupts the work to draw; no thread does, since processes are forked off meanwhile.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._wanted = not quiet and watched()
        self._done = self._total = 0
        self._drawn = False

    def __call__(self, done: int, total: int) -> None:
        self._done, self._total = done, total

    def __enter__(self) -> Progress:
        if self._wanted:
            import signal

            self._wanted = hasattr(signal, "setitimer")  # not on Windows
        if self._wanted:
            signal.signal(signal.SIGALRM, self._draw)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE, _PERIOD)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._wanted:
            import signal

            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if self._drawn:
            _write("\r\x1b[K")

    def _draw(self, number: int, frame: FrameType | None) -> None:
        import shutil

        self._drawn = True
        _write("\r" + bar(self._done, self._total, shutil.get_terminal_size().columns) + "\x1b[K")


def bar(done: int, total: int, columns: int) -> str:
    """One line, shorter than the terminal is wide."""
    count = f" {done} of {total}" if total else ""
    width = min(40, columns - len(count) - 9)
    filled = width * done // total if total else 0
    return f"netlint {'━' * filled}{'─' * (width - filled)}{count}" if width > 3 else f"netlint{count}"[: columns - 1]


def watched() -> bool:
    """Whether standard error is a terminal that somebody looks at."""
    terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return terminal and not os.environ.get("CI")


def _write(text: str) -> None:
    data = text.encode(sys.stderr.encoding or "ascii", "replace")
    os.write(sys.stderr.fileno(), data)
