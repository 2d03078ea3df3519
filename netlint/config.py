"""Settings from `[tool.netlint]` in pyproject.toml, or from netlint.toml, the closest to a target.

select = ["all"]                 # codes, names, prefixes (ACT); default: every rule that is not opt-in
ignore = ["oversized-kernel"]
fail-on = "warning"              # note, warning or error
rule-folders = ["lint_rules"]    # folders with rules of your own

[tool.netlint.training]          # the training contract of every target
loss = "cross_entropy"

[[tool.netlint.targets]]         # and of some: the last entry that matches wins, field by field
path = "models/regressor*.onnx"
targets = [-1, 1]

[tool.netlint.rules.oversized-kernel]
min-kernel = 7
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .registry import Registry, UnknownRule
from .rule import Level, Rule
from .training import ContractError, Training, did_you_mean, parse_training

_KEYS = ("select", "ignore", "fail-on", "rule-folders", "training", "targets", "rules")
LEVELS = {str(level): level for level in Level}


class ConfigError(Exception):
    """A setting cannot be understood; the message names the file, the key and the way out."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one settings file says; without a file, the defaults."""

    file: Path | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: Level = Level.WARNING
    rule_folders: tuple[Path, ...] = ()
    training: Training = field(default_factory=Training)
    targets: tuple[tuple[str, Training], ...] = ()
    """Patterns of targets, each with what it adds to `training`; the last that matches wins, field by field."""
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def contract(self, target: str) -> Training:
        """The training contract this file states for a target."""
        training = self.training
        path = _relative(Path(target), self.file.parent) if self.file else target
        for pattern, stated in self.targets:
            if fnmatch(path, pattern):
                training = stated.otherwise(training)
        return training

    def chosen(self, registry: Registry, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> list[Rule]:
        """The rules that run: `select` replaces the file's, `ignore` adds to it. Raises `ConfigError`."""
        file = _relative(self.file) if self.file else ""
        picked = _picked(registry, select, "--select") or _picked(registry, self.select, f"{file}: select")
        dropped = _picked(registry, self.ignore, f"{file}: ignore") | _picked(registry, ignore, "--ignore")
        if not picked:
            picked = {rule.code for rule in registry.values() if rule.status != "opt-in"}
        return [rule for code, rule in registry.items() if code in picked - dropped]

    def options(self, registry: Registry) -> dict[str, dict[str, Any]]:
        """Option values by rule name, checked against what the rules declare. Raises `ConfigError`."""
        checked: dict[str, dict[str, Any]] = {}
        for text, values in self.rules.items():
            try:
                rule = registry.find(text)
            except UnknownRule as error:
                raise ConfigError(f"{_relative(self.file)}: {error}") from None
            checked[rule.name] = {name: self._option(rule, name, value) for name, value in values.items()}
        return checked

    def _option(self, rule: Rule, name: str, value: Any) -> Any:
        declared = {option.name: option for option in rule.options}
        where = f"{_relative(self.file)}: rule {rule.name}"
        if name not in declared:
            near = get_close_matches(name, declared, n=2, cutoff=0.5)
            raise ConfigError(f"{where} has no option '{name}'{did_you_mean(near, declared) if declared else ''}")
        kind = type(declared[name].default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ConfigError(f"{where}: the option '{name}' wants {kind.__name__}, not {value!r}")
        return value


def _picked(registry: Registry, texts: Iterable[str], where: str) -> set[str]:
    """The codes of the rules that selectors mean."""
    try:
        return {rule.code for text in texts for rule in registry.select(text)}
    except UnknownRule as error:
        raise ConfigError(f"{where}: {error}") from None


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
    try:
        content: Mapping[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{_relative(file)} cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{_relative(file)} is not valid TOML: {error}") from None
    if file.name == "pyproject.toml":
        content = _table(_relative(file), "tool", content.get("tool", {}))
        if "netlint" not in content:
            return None
        content = _table(_relative(file), "tool.netlint", content["netlint"])
    return _checked(file, content)


def _checked(file: Path, content: Mapping[str, Any]) -> Settings:
    where = _relative(file)
    for key in content:
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, n=1, cutoff=0.5)
            raise ConfigError(f"{where}: unknown key '{key}'{did_you_mean(near, _KEYS)}")
    lists = {key: _strings(where, key, content.get(key, [])) for key in ("select", "ignore", "rule-folders")}
    fail_on = content.get("fail-on", "warning")
    if not isinstance(fail_on, str) or fail_on not in LEVELS:
        raise ConfigError(f"{where}: fail-on is {fail_on!r}; it is one of {', '.join(LEVELS)}")
    rules = _table(where, "rules", content.get("rules", {}))
    return Settings(
        file=file,
        select=lists["select"],
        ignore=lists["ignore"],
        fail_on=LEVELS[fail_on],
        rule_folders=tuple(file.parent / folder for folder in lists["rule-folders"]),
        training=_contract(where, _table(where, "training", content.get("training", {}))),
        targets=tuple(_targets(where, content.get("targets", []))),
        rules={name: _table(where, f"rules.{name}", table) for name, table in rules.items()},
    )


def _strings(where: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{where}: {key} is a list of strings, not {value!r}")
    return tuple(value)


def _table(where: str, key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: {key} is a table, not {value!r}")
    return value


def _contract(where: str, table: Mapping[str, Any]) -> Training:
    try:
        return parse_training(table, lambda name: f"{name} in {where}")
    except ContractError as error:
        raise ConfigError(str(error)) from None


def _targets(where: str, value: Any) -> Iterator[tuple[str, Training]]:
    if not isinstance(value, list) or not all(
        isinstance(item, dict) and isinstance(item.get("path"), str) for item in value
    ):
        raise ConfigError(f"{where}: targets is a list of tables, each with a path")
    for entry in value:
        yield entry["path"], _contract(where, {name: given for name, given in entry.items() if name != "path"})


def _relative(path: Path | None, base: Path | None = None) -> str:
    """A path as seen from a folder (default: the current one), where it lies below it."""
    assert path is not None  # only settings that came from a file name it
    absolute, base = Path(os.path.abspath(path)), (base or Path.cwd()).absolute()
    return absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else path.as_posix()
