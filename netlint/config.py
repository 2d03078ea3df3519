"""Settings from `[tool.netlint]` in pyproject.toml, or from netlint.toml, the closest to a target.

`docs/settings.md` is the reference of the keys; `netlint schema config` is the same for editors; `netlint/settings/`
reads the file, tells where a mistake in it stands, and explains what it decides.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import field
from glob import has_magic
from pathlib import Path
from typing import Any, TypeAlias

from .capture import Capture, python_target
from .errors import ConfigError
from .frontends import TargetError
from .patterns import matches
from .records import record
from .rule import Level
from .training import Training

LEVELS = {str(level): level for level in Level}
OFF = "off"
PRESETS = ("recommended", "strict", "all")
"""recommended: every rule that is not opt-in. all: every rule. strict: every rule, and notes fail a run as well."""

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way to a value in a settings file: keys of tables and indices of arrays, from the top."""


class Mistake(Exception):
    """What is wrong, and the way to it in the file: at its value, or at its key."""

    def __init__(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.at_key = at_key


@record
class Override:
    """An exception for some targets or modules: findings of these rules are silenced, or get another level."""

    targets: tuple[str, ...]
    modules: tuple[str, ...]
    rules: tuple[str, ...]
    level: Level | None
    """None: they are silenced."""
    reason: str


@record
class Settings:
    """What one settings file says; without a file, the defaults."""

    file: Path | None = None
    content: bytes = b""
    """The file as it was read."""
    inside: KeyPath = ()
    """The table of the file that is netlint's: `("tool", "netlint")` in pyproject.toml."""
    extends: str = "recommended"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: Level = Level.WARNING
    baseline: Path | None = None
    exclude: tuple[str, ...] = ()
    """Patterns of targets that are left out where they are found in folders."""
    rule_folders: tuple[Path, ...] = ()
    training: Training = field(default_factory=Training)
    targets: tuple[tuple[str, Training], ...] = ()
    """Patterns of targets, each with what it adds to `training`; the last that matches wins, field by field."""
    captures: tuple[tuple[str, Capture], ...] = ()
    """The same patterns, each with how such targets are captured."""
    overrides: tuple[Override, ...] = ()
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the rule as the file names it: its options, and its `level`."""

    def contract(self, target: str) -> Training:
        """The training contract this file states for a target."""
        training = self.training
        for index in self.entries(target):
            training = self.targets[index][1].otherwise(training)
        return training

    def capture(self, target: str) -> Capture:
        """How this file says that a target is captured."""
        capture = Capture()
        for index in self.entries(target):
            capture = self.captures[index][1].otherwise(capture)
        return capture

    def entries(self, target: str) -> list[int]:
        """The entries of `targets` that are about a target, the strongest last."""
        names = self._names(target)
        return [index for index, (pattern, _) in enumerate(self.targets) if _any_match(names, (pattern,))]

    def overriding(self, target: str) -> list[int]:
        """The overrides that may concern a target, the strongest last."""
        names = self._names(target) if self.overrides else []
        return [
            index
            for index, override in enumerate(self.overrides)
            if not override.targets or _any_match(names, override.targets)
        ]

    def excludes(self, target: str) -> bool:
        """Whether a target that nobody has named himself is left out."""
        return bool(self.exclude) and _any_match(self._names(target), self.exclude)

    def configured(self) -> list[str]:
        """The Python targets that the entries of `targets` name, as seen from the current folder."""
        found = []
        for (path, _), (_, capture) in zip(self.targets, self.captures, strict=True):
            try:
                python = None if has_magic(path.partition("(")[0]) else python_target(path)
            except TargetError:  # arguments that are not Python: linting it says so
                found.append(path)
                continue
            if python is not None:
                found.append(path if not python.is_file else self._from_here(path))
            elif capture.factory and not has_magic(path):
                found.append(self._from_here(path))
        return list(dict.fromkeys(found))

    def _from_here(self, path: str) -> str:
        return path if self.file is None else os.path.normpath(os.path.relpath(self.file.parent / path))

    def _names(self, target: str) -> list[str]:
        """What patterns are held against."""
        return [target] if self.file is None else spellings(target, self.file.parent)

    def error(self, mistake: Mistake) -> ConfigError:
        """A mistake in this file as the user is told, with its line."""
        from .settings.mistakes import told

        assert self.file is not None  # without a file there are no mistakes in it
        return ConfigError(told(relative(self.file), self.text, (*self.inside, *mistake.path), mistake))

    @property
    def text(self) -> str:
        """The file as text; some editors put a byte order mark before it."""
        return self.content.decode("utf-8-sig", "replace")

    def line(self, path: KeyPath) -> int | None:
        """The line of a setting in the file, counted from 1."""
        from .settings.mistakes import line_of

        return line_of(self.text, (*self.inside, *path))

    def where(self, path: KeyPath) -> str:
        """The place of a setting: `netlint.toml:3`."""
        assert self.file is not None
        line = self.line(path)
        return f"{relative(self.file)}:{line}" if line else relative(self.file)


def spellings(target: str, folder: Path) -> list[str]:
    """A target as seen from a folder, from wherever it was named; of a Python target also without its arguments."""
    if target == "-":
        return [target]
    try:
        python = None if os.path.lexists(target) else python_target(target)
    except TargetError:
        python = None
    if python is None:
        return [_way(target, folder)]
    if not python.is_file:
        return [target, str(python)]
    place = _way(python.place, folder)
    return [place + target.removeprefix(python.place), f"{place}:{python.name}"]


def _way(path: str, folder: Path) -> str:
    """The way from a folder to a path, with slashes."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return Path(os.path.abspath(path)).as_posix()


def _any_match(names: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(matches(name, pattern) for name in names for pattern in patterns)


def find_settings(start: Path) -> Settings:
    """The settings file closest above a file or folder. Raises `ConfigError`."""
    folder = Path(os.path.abspath(start))  # Path.absolute would keep "..", whose parents are others
    for parent in (folder, *folder.parents):
        for name in ("netlint.toml", "pyproject.toml"):
            file = parent / name
            if file.is_file() and (settings := read_settings(file)) is not None:
                return settings
    return Settings()


def read_settings(file: Path) -> Settings | None:
    """The settings in a file; None if it is a pyproject.toml without a `[tool.netlint]`. Raises `ConfigError`."""
    import tomllib  # most runs find no settings

    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
        table: Mapping[str, Any] = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{relative(file)} cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{relative(file)}: not valid TOML: {error}") from None
    except tomllib.TOMLDecodeError as error:
        from .settings.mistakes import syntax

        raise ConfigError(syntax(relative(file), text, error)) from None
    return _settings(file, content, table)


def _settings(file: Path, content: bytes, table: Mapping[str, Any]) -> Settings | None:
    inside = ("tool", "netlint") if file.name == "pyproject.toml" else ()
    bare = Settings(file, content, inside)
    for depth, key in enumerate(inside):
        if not isinstance(table.get(key, {}), dict):
            raise Settings(file, content).error(Mistake(inside[: depth + 1], f"{key} is a table, not {table[key]!r}"))
        if key not in table:
            return None
        table = table[key]
    from .settings.parse import parsed

    try:
        return parsed(bare, table)
    except Mistake as mistake:
        raise bare.error(mistake) from None


def relative(path: Path, base: Path | None = None) -> str:
    """A path as seen from a folder (default: the current one), where it lies below it."""
    absolute, base = Path(os.path.abspath(path)), (base or Path.cwd()).absolute()
    return absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else path.as_posix()
