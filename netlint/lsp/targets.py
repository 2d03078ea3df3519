"""What there is to lint for an editor, read from settings and files; nothing is imported or run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path

from netlint.capture import python_target
from netlint.config import find_settings
from netlint.frontends import TargetError
from netlint.sources import Sources
from netlint.targets import SUFFIXES

MOST_MODELS = 50
"""Model files that one pattern in the settings may stand for; the others are linted when they are opened."""
MOST_TEXT = 16 << 20
"""Bytes of a file of text that is searched for lines."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to lint."""

    text: str
    """As the command line takes it, in `folder`."""
    folder: Path
    """Where netlint is run."""
    file: Path | None
    """The model file, or the file of Python that the target names; None where there is no such file."""
    settings: Path | None = None
    """The settings that name it; None if it is linted because it is open."""

    @property
    def is_model(self) -> bool:
        """Whether it is a file that is read, not code that is run."""
        return self.file is not None and self.file.name.endswith(SUFFIXES)


def configured(folder: Path, trusted: bool) -> list[Target]:
    """What the settings closest above a folder name: models, and, where trusted, Python. Raises `ConfigError`."""
    settings = find_settings(folder)
    if settings.file is None:
        return []
    found: dict[str, Target] = {}
    for pattern, _ in settings.targets:
        for text, file in _expanded(pattern, settings.file.parent):
            found[text] = Target(text, settings.file.parent, file, settings.file)
    if trusted:
        return list(found.values())
    models = [target.file for target in found.values() if target.is_model and target.file]
    return [replace(opened(file, None), settings=settings.file) for file in models]


def opened(file: Path, folder: Path | None) -> Target:
    """A model file that is open in the editor; `folder`: the workspace that it lies in, if that is trusted.

    Without one netlint is run where no settings that came with the file can have code run.
    """
    if folder is None:
        return Target(str(file), Path(file.anchor), file)
    return Target(str(file.relative_to(folder)), folder, file)


def _expanded(pattern: str, folder: Path) -> Iterator[tuple[str, Path | None]]:
    try:
        python = python_target(pattern)
    except TargetError:  # arguments that are not Python: linting it says so
        yield pattern, None
        return
    if python is None:
        # A whole tree is not searched each time a file is saved: its models are linted when they are opened.
        names = [] if "**" in pattern else _matches(pattern, folder)
        models = [name for name in names if name.endswith(SUFFIXES)]
        yield from ((name, folder / name) for name in models[:MOST_MODELS])
    elif not python.is_file:
        yield pattern, _module_file(python.place, folder)
    elif has_magic(python.place):
        rest = pattern.removeprefix(python.place)
        yield from ((name + rest, folder / name) for name in _matches(python.place, folder))
    else:
        file = folder / python.place
        yield pattern, file if file.is_file() else None


def _matches(pattern: str, folder: Path) -> list[str]:
    return sorted(glob(pattern, root_dir=folder, recursive=True))


def _module_file(dotted: str, folder: Path) -> Path | None:
    place = folder.joinpath(*dotted.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def place(target: Target) -> tuple[Path, int]:
    """The file and line, from 1, on which to put what concerns a target as a whole.

    Its definition; where that is not found the line of the settings that names it, else the file's first line.
    """
    if target.file is not None and not target.is_model:
        python = python_target(target.text)
        name = python.name.rpartition(".")[2] if python else ""
        line = Sources(target.folder).definition(target.file, name)
        if line is not None:
            return target.file, line
    if target.settings is not None and not target.is_model:
        named = (number for number, line in enumerate(lines(target.settings), 1) if target.text in line)
        return target.settings, next(named, 1)
    return target.file or target.folder, 1


def lines(file: Path) -> list[str]:
    """The lines of a text file, as Python and editors count them; none if it cannot be read or is no one's to read."""
    try:
        if file.stat().st_size > MOST_TEXT:
            return []
        with file.open(encoding="utf-8", errors="replace", newline="") as text:
            return re.split(r"\r\n|\r|\n", text.read())
    except OSError:
        return []
