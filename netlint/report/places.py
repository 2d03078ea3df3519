"""Where a finding is shown by tools that know files and lines alone.

The line of the user's source that the node was made by, where it is at hand; else the definition of the factory that
a Python target names; else the first line of the model file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePath

from netlint.capture import python_target
from netlint.frontends import TargetError
from netlint.location import Location
from netlint.sources import Sources


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; lines and columns are counted from 1, columns in characters."""

    file: str
    """Relative to the current folder, with forward slashes."""
    line: int = 1
    column: int = 1
    end: int | None = None
    """The column behind the last character of the line; None where the file is not text."""
    text: str | None = None
    """The line itself, where the file is text."""


def place(loc: Location, target: str, sources: Sources) -> Place:
    """Where to show what is said of a location in a target."""
    if loc.source is not None:
        recorded, line = loc.source
        file = sources.find(recorded)
        if file is not None and (text := sources.line(file, line)) is not None:
            return _line(file, line, text)
    return place_of_target(target, sources)


def place_of_target(target: str, sources: Sources) -> Place:
    """Where to show what is said of a target as a whole."""
    file, name = _python(target, sources)
    if file is None:
        return Place(relative("stdin" if target == "-" else target, sources.root))
    line = sources.definition(file, name) or 1
    text = sources.line(file, line)
    shown = relative(str(file), sources.root)
    return Place(shown) if text is None else _line(PurePath(shown), line, text)


def _line(file: PurePath, line: int, text: str) -> Place:
    stripped = text.strip()
    column = text.index(stripped) + 1
    return Place(file.as_posix(), line, column, column + len(stripped), text)


def _python(target: str, sources: Sources) -> tuple[Path | None, str]:
    """The file and the name that a Python target means; no file where it is none, or lies elsewhere."""
    try:
        python = None if os.path.lexists(sources.root / target) else python_target(target)
    except (TargetError, ValueError):  # ValueError: a null character
        python = None
    if python is None:
        return None, ""
    name = python.name.rpartition(".")[2]
    if python.is_file:
        return Path(python.place), name
    module = Path(*python.place.split("."))
    found = (path for path in (module.with_suffix(".py"), module / "__init__.py") if (sources.root / path).is_file())
    return next(found, None), name


def relative(path: str, root: Path) -> str:
    """A path as seen from a folder, with forward slashes."""
    try:
        seen = os.path.relpath(path, root) if os.path.isabs(path) else os.path.normpath(path)
    except ValueError:  # another drive
        seen = path
    return PurePath(seen).as_posix()
