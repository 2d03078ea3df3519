"""Find the source line that a model file recorded in the user's own checkout.

A model remembers absolute paths of the machine that exported it. Only a file of the same trailing path below the
current folder is taken for it, the longest match first.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PureWindowsPath

_MAX_SOURCE = 4 << 20


class Sources:
    """Source files below a folder, each looked up and read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[str, Path | None] = {}
        self._lines: dict[Path, list[str]] = {}
        self._definitions: dict[tuple[Path, str], int | None] = {}

    def find(self, recorded: str) -> Path | None:
        """The file in this checkout that a recorded path means, relative to the root; None if there is none."""
        if recorded not in self._files:
            self._files[recorded] = self._search(recorded)
        return self._files[recorded]

    def _search(self, recorded: str) -> Path | None:
        if os.path.isabs(recorded) and Path(recorded).is_relative_to(self.root) and os.path.isfile(recorded):
            return Path(recorded).relative_to(self.root)
        parts = PureWindowsPath(recorded).parts  # splits at both kinds of slash
        for start in range(1, len(parts)):
            candidate = Path(*parts[start:])
            if ".." not in parts[start:] and (self.root / candidate).is_file():
                return candidate
        return None

    def line(self, file: Path, number: int) -> str | None:
        """A line of a found file, counted from 1."""
        lines = self._read(file)
        return lines[number - 1] if 0 < number <= len(lines) else None

    def text(self, file: Path) -> str:
        """The text of a found file, or of any file by its absolute path; empty where it cannot be read."""
        return "\n".join(self._read(file))

    def definition(self, file: Path, name: str) -> int | None:
        """The line of a found file, counted from 1, where a function, class or variable of that name begins."""
        if (file, name) not in self._definitions:
            begins = re.compile(rf"\s*(?:async\s+def|def|class)\s+{re.escape(name)}\b|{re.escape(name)}\s*[:=]")
            found = (number for number, line in enumerate(self._read(file), 1) if begins.match(line))
            self._definitions[file, name] = next(found, None)
        return self._definitions[file, name]

    def _read(self, file: Path) -> list[str]:
        path = self.root / file
        if path not in self._lines:
            try:
                small = path.stat().st_size <= _MAX_SOURCE
                # Not splitlines: Python ends lines at line feeds alone, not at form feeds and the like.
                self._lines[path] = path.read_text("utf-8", "replace").split("\n") if small else []
            except (OSError, ValueError):
                self._lines[path] = []
        return self._lines[path]


def shorten(recorded: str) -> str:
    """A recorded path as it may be shown where the file is not at hand: its last two parts."""
    return "/".join(PureWindowsPath(recorded).parts[-2:])
