"""What a settings file, and the flags beside it, decide about each rule. Whoever names no rule is told so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from netlint.config import LEVELS, OFF, PRESETS, KeyPath, Mistake, Override, Settings
from netlint.errors import ConfigError, UnknownRule, get_close_matches
from netlint.records import record
from netlint.registry import Registry
from netlint.rule import Level, Rule, RuleInfo
from netlint.training import did_you_mean

R = TypeVar("R", bound=RuleInfo)

Origin: TypeAlias = KeyPath | str
"""What decided something: the way to a setting, a flag, or nothing (the default)."""


@record
class Decision(Generic[R]):
    """Whether a rule runs, and what decided that."""

    rule: R
    runs: bool
    by: Origin = ()


@record
class RuleSettings(Generic[R]):
    """Settings applied to the rules that there are. Every method raises `ConfigError` for mistakes in what it reads."""

    settings: Settings
    registry: Registry[R]

    def decisions(self, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> Mapping[str, Decision[R]]:
        """By code, whether each rule runs: `select` replaces the file's, `ignore` adds to it."""
        file = self.settings
        tables = self._leveled()
        picked = self._by_flag(select, "--select") or self._by_list(("select",), file.select)
        if not picked:
            picked = {**tables, **dict(self._by_preset())}
        dropped = self._by_list(("ignore",), file.ignore) | self._by_flag(ignore, "--ignore")
        dropped |= {code: path for code, path in tables.items() if self._level(path) == OFF}
        return {
            code: Decision(rule, code in picked and code not in dropped, dropped.get(code, picked.get(code, ())))
            for code, rule in self.registry.items()
        }

    def chosen(self, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> list[R]:
        """The rules that run."""
        return [found.rule for found in self.decisions(select, ignore).values() if found.runs]

    def levels(self) -> dict[str, tuple[Level, KeyPath]]:
        """By code, the level that the file gives all findings of a rule, and where."""
        stated = self._leveled().items()
        return {code: (LEVELS[self._level(path)], path) for code, path in stated if self._level(path) != OFF}

    def exceptions(self, target: str) -> list[tuple[int, Override, Mapping[str, frozenset[str]]]]:
        """The overrides that may concern a target: place in the file, and the codes that each selector means."""
        file = self.settings
        meant = [
            {text: frozenset(self._by_list(path, [text], place)) for place, text in enumerate(override.rules)}
            for index, override in enumerate(file.overrides)
            for path in (("overrides", index, "rules" if override.level else "ignore"),)
        ]
        return [(index, file.overrides[index], meant[index]) for index in file.overriding(target)]

    def options(self: RuleSettings[Rule]) -> dict[str, dict[str, Any]]:
        """Option values by rule name, checked against what the rules declare."""
        return {self.registry[code].name: self.options_of(self.registry[code]) for code in self._tables()}

    def options_of(self, rule: Rule) -> dict[str, Any]:
        """The option values that the file states for a rule, checked against what it declares."""
        key = self._tables().get(rule.code, "")
        stated = ((name, value) for name, value in self.settings.rules.get(key, {}).items() if name != "level")
        return {name: self._option(rule, key, name, value) for name, value in stated}

    def _tables(self) -> dict[str, str]:
        """The rules, by code, that have a table in the file, and what it is called there."""
        found: dict[str, str] = {}
        for key in self.settings.rules:
            rule = self._rule(key)
            if rule.code in found:
                message = f"the rule {rule.name} has two tables"
                raise self.settings.error(Mistake(("rules", key), message, at_key=True))
            found[rule.code] = key
        return found

    def _leveled(self) -> dict[str, KeyPath]:
        """The rules, by code, to which the file gives a level, and the way to it."""
        tables = self._tables().items()
        return {code: ("rules", key, "level") for code, key in tables if "level" in self.settings.rules[key]}

    def _level(self, path: KeyPath) -> str:
        return str(self.settings.rules[str(path[1])]["level"])

    def _rule(self, key: str) -> R:
        try:
            return self.registry.find(key)
        except UnknownRule as error:
            raise self.settings.error(Mistake(("rules", key), str(error), at_key=True)) from None

    def _by_preset(self) -> Iterator[tuple[str, Origin]]:
        usual = self.settings.extends == PRESETS[0]
        for code, rule in self.registry.items():
            if rule.status != "opt-in" or not usual:
                yield code, () if usual else ("extends",)

    def _by_flag(self, texts: Iterable[str], flag: str) -> dict[str, Origin]:
        """The codes of the rules that the selectors of a flag mean."""
        try:
            return {rule.code: f"{flag}={text}" for text in texts for rule in self.registry.select(text)}
        except UnknownRule as error:
            raise ConfigError(f"{flag}: {error}") from None

    def _by_list(self, path: KeyPath, texts: Iterable[str], first: int = 0) -> dict[str, Origin]:
        """The codes of the rules that a list of selectors means, each with the way to it."""
        found: dict[str, Origin] = {}
        for index, text in enumerate(texts, first):
            try:
                found |= dict.fromkeys((rule.code for rule in self.registry.select(text)), (*path, index))
            except UnknownRule as error:
                raise self.settings.error(Mistake((*path, index), f"{path[-1]}: {error}")) from None
        return found

    def _option(self, rule: Rule, key: str, name: str, value: Any) -> Any:
        declared = {option.name: option for option in rule.options}
        if name not in declared:
            names = (*declared, "level")
            hint = did_you_mean(get_close_matches(name, names, n=2, cutoff=0.5), names)
            message = f"the rule {rule.name} has no option '{name}'{hint}"
            raise self.settings.error(Mistake(("rules", key, name), message, at_key=True))
        kind = type(declared[name].default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            message = f"the option '{name}' of {rule.name} wants {kind.__name__}, not {value!r}"
            raise self.settings.error(Mistake(("rules", key, name), message))
        return value
