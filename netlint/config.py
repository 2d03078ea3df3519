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

[[tool.netlint.targets]]         # of Python targets also how they are captured
path = "net.py:Net"
inputs = ["3,3,64,64"]           # and step, mode, weights, factory, time-limit, as the flags of these names

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
from typing import TYPE_CHECKING, Any

from .capture import MODES, WEIGHTS, Capture, python_target
from .errors import ConfigError, ContractError, UnknownRule
from .frontends import TargetError
from .probe.request import DEVICES
from .rule import Level, Rule
from .training import Training, did_you_mean, parse_training

if TYPE_CHECKING:
    from .registry import Registry

_KEYS = ("select", "ignore", "fail-on", "rule-folders", "training", "targets", "rules")
LEVELS = {str(level): level for level in Level}


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
    captures: tuple[tuple[str, Capture], ...] = ()
    """The same patterns, each with how such targets are captured."""
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def contract(self, target: str) -> Training:
        """The training contract this file states for a target."""
        training = self.training
        names = self._names(target)
        for pattern, stated in self.targets:
            if any(fnmatch(name, pattern) for name in names):
                training = stated.otherwise(training)
        return training

    def capture(self, target: str) -> Capture:
        """How this file says that a target is captured."""
        capture = Capture()
        names = self._names(target)
        for pattern, stated in self.captures:
            if any(fnmatch(name, pattern) for name in names):
                capture = stated.otherwise(capture)
        return capture

    def _names(self, target: str) -> list[str]:
        """What patterns are held against: the path as seen from the file; of Python targets also without arguments."""
        if self.file is None:
            return [target]
        try:
            python = None if os.path.lexists(target) else python_target(target)
        except TargetError:
            python = None
        if python is None:
            return [_relative(Path(target), self.file.parent)]
        if not python.is_file:
            return [target, str(python)]
        place = _relative(Path(python.place), self.file.parent)
        return [place + target.removeprefix(python.place), f"{place}:{python.name}"]

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
    entries = list(_targets(where, content.get("targets", [])))
    return Settings(
        file=file,
        select=lists["select"],
        ignore=lists["ignore"],
        fail_on=LEVELS[fail_on],
        rule_folders=tuple(file.parent / folder for folder in lists["rule-folders"]),
        training=_contract(where, _table(where, "training", content.get("training", {}))),
        targets=tuple((path, training) for path, training, _ in entries),
        captures=tuple((path, capture) for path, _, capture in entries),
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


def _targets(where: str, value: Any) -> Iterator[tuple[str, Training, Capture]]:
    if not isinstance(value, list) or not all(
        isinstance(item, dict) and isinstance(item.get("path"), str) for item in value
    ):
        raise ConfigError(f"{where}: targets is a list of tables, each with a path")
    for entry in value:
        stated = {name: given for name, given in entry.items() if name != "path" and name not in _CAPTURE}
        yield entry["path"], _contract(where, stated), _capture(where, entry)


_PROBE = ("probe", "probe-budget", "seed", "batch")
_CAPTURE = ("inputs", "step", "factory", "mode", "weights", "time-limit", *_PROBE)


def _capture(where: str, entry: Mapping[str, Any]) -> Capture:
    limit = entry.get("time-limit")
    if limit is not None and (type(limit) not in (int, float) or limit <= 0):
        raise ConfigError(f"{where}: time-limit is a number of seconds, not {limit!r}")
    budget, seed = entry.get("probe-budget"), entry.get("seed")
    if budget is not None and (type(budget) not in (int, float) or budget <= 0):
        raise ConfigError(f"{where}: probe-budget is a number of seconds, not {budget!r}")
    if seed is not None and (type(seed) is not int or seed < 0):
        raise ConfigError(f"{where}: seed is a whole number from 0 on, not {seed!r}")
    for key, choices in (("mode", MODES), ("weights", WEIGHTS), ("probe", DEVICES)):
        if key in entry and entry[key] not in choices:
            raise ConfigError(f"{where}: {key} is {' or '.join(choices)}, not {entry[key]!r}")
    return Capture(
        inputs=_strings(where, "inputs", entry.get("inputs", [])),
        step=_text(where, "step", entry),
        factory=_text(where, "factory", entry),
        mode=entry.get("mode", ""),
        weights=entry.get("weights", ""),
        time_limit=None if limit is None else float(limit),
        probe=entry.get("probe", ""),
        probe_budget=None if budget is None else float(budget),
        seed=seed,
        batch=_text(where, "batch", entry),
    )


def _text(where: str, key: str, entry: Mapping[str, Any]) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {key} is a string, not {value!r}")
    return value


def _relative(path: Path | None, base: Path | None = None) -> str:
    """A path as seen from a folder (default: the current one), where it lies below it."""
    assert path is not None  # only settings that came from a file name it
    absolute, base = Path(os.path.abspath(path)), (base or Path.cwd()).absolute()
    return absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else path.as_posix()
