"""What there is to lint for an editor, read from settings and files; nothing is imported or run."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from glob import has_magic
from itertools import islice
from pathlib import Path

from netlint.capture import PythonTarget, python_target
from netlint.config import find_settings
from netlint.frontends import TargetError
from netlint.patterns import matches
from netlint.sources import Sources
from netlint.targets import CHECKPOINTS, SUFFIXES

MOST_MODELS = 50
"""Model files that one pattern in the settings may stand for; the others are linted when they are opened."""
MOST_FOLDERS = 500
"""Folders that are searched for the models of one pattern, at each save."""
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
    folder = settings.file.parent
    found: dict[str, Target] = {}
    for (pattern, _), (_, capture) in zip(settings.targets, settings.captures, strict=True):
        for text, file in _named(pattern, capture.factory, folder):
            if not settings.excludes(str(folder / text)):
                found[text] = Target(text, folder, file, settings.file)
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


def _named(path: str, factory: str, folder: Path) -> Iterator[tuple[str, Path | None]]:
    """The targets that an entry of the settings names, each with its file.

    A pattern states how targets are linted, not that all of the Python it matches is to be run.
    """
    pattern = has_magic(path.partition("(")[0])
    try:
        python = python_target(path)
        maker = python or (python_target(factory) if factory and path.endswith(CHECKPOINTS) else None)
    except TargetError:  # arguments that are not Python: linting it says so
        yield path, None
        return
    if maker is not None and not pattern:
        yield path, _file(maker, folder)
    elif python is None:
        yield from ((name, folder / name) for name in _models(path, folder))


def _models(path: str, folder: Path) -> list[str]:
    """The model files that an entry means, as seen from the folder of the settings; in large trees the first ones."""
    path = os.path.normpath(path)
    if (folder / path).is_file():
        return [path] if path.endswith(SUFFIXES) else []
    start = re.split(r"[*?[]", path, maxsplit=1)[0].rpartition("/")[0] if has_magic(path) else path
    names = (os.path.relpath(file, folder) for file in _below(folder / start))
    return list(islice((name for name in names if matches(name, path)), MOST_MODELS))


def _below(start: Path) -> Iterator[str]:
    """The model files below a folder, in order; nothing of hidden folders, where environments and caches are."""
    for parent, folders, files in islice(os.walk(start), MOST_FOLDERS):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(parent, name) for name in sorted(files) if name.endswith(SUFFIXES))


def _file(python: PythonTarget, folder: Path) -> Path | None:
    """The file that a Python target names, if it is there."""
    place = folder / python.place if python.is_file else folder.joinpath(*python.place.split("."))
    files = [place] if python.is_file else [place.with_suffix(".py"), place / "__init__.py"]
    return next((file for file in files if file.is_file()), None)


def place(target: Target) -> tuple[Path, int]:
    """The file and line, from 1, on which to put what concerns a target as a whole.

    Its definition, or the line at which the file is no Python; where neither is found the line of the settings that
    names it, else the file's first line.
    """
    if target.file is not None and not target.is_model:
        python = python_target(target.text)
        name = python.name.rpartition(".")[2] if python else ""
        line = Sources(target.folder).definition(target.file, name) or _broken_at(target.file)
        if line is not None:
            return target.file, line
    if target.settings is not None and not target.is_model:
        named = (number for number, line in enumerate(lines(target.settings), 1) if target.text in line)
        return target.settings, next(named, 1)
    return target.file or target.folder, 1


def _broken_at(file: Path) -> int | None:
    """The line at which a file cannot be read as Python."""
    try:
        ast.parse("\n".join(lines(file)))
    except SyntaxError as error:
        return error.lineno or 1
    except (ValueError, MemoryError, RecursionError):
        return 1
    return None


def lines(file: Path) -> list[str]:
    """The lines of a text file, as Python and editors count them; none if it cannot be read or is no one's to read."""
    try:
        if file.stat().st_size > MOST_TEXT:
            return []
        with file.open(encoding="utf-8", errors="replace", newline="") as text:
            return re.split(r"\r\n|\r|\n", text.read())
    except OSError:
        return []
