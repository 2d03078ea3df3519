"""What settings and flags decide for a target, and which of them decided it: the content of `netlint config`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from netlint.capture import Capture
from netlint.config import KeyPath, relative
from netlint.rule import Rule
from netlint.training import FIELDS, Training

from .rules import Decision, Origin, RuleSettings

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Stated:
    """A value, and what decided it: `netlint.toml:3`, a flag, or `default`."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class RuleState:
    """Whether a rule runs, at which level, with which options."""

    code: str
    name: str
    runs: Stated
    level: Stated
    options: Mapping[str, Stated]


@dataclass(frozen=True, slots=True)
class Exempt:
    """An override that may concern the target."""

    about: str
    does: str
    reason: str
    origin: str


@dataclass(frozen=True, slots=True)
class Explained:
    """Everything that settings and flags decide."""

    file: str | None
    general: Mapping[str, Stated]
    rules: tuple[RuleState, ...]
    contract: Mapping[str, Stated]
    capture: Mapping[str, Stated]
    overrides: tuple[Exempt, ...]


@dataclass(frozen=True, slots=True)
class Explainer:
    """Settings, the flags beside them, and the target ("": none) that they are explained for."""

    about: RuleSettings[Rule]
    target: str
    select: Sequence[str]
    ignore: Sequence[str]
    training: Training
    capture: Capture

    def explained(self) -> Explained:
        """Raises `ConfigError`."""
        file = self.about.settings.file
        return Explained(
            file=None if file is None else relative(file),
            general=self._general(),
            rules=tuple(self._rules()),
            contract=dict(self._contract()),
            capture=dict(self._capture()),
            overrides=tuple(self._overrides()),
        )

    def _origin(self, by: Origin) -> str:
        if isinstance(by, str):
            return by
        return self.about.settings.where(by) if by else DEFAULT

    def _table(self) -> Mapping[str, Any]:
        """The settings as the file spells them."""
        table: Any = tomllib.loads(self.about.settings.text)
        for key in self.about.settings.inside:
            table = table[key]
        assert isinstance(table, dict)
        return table

    def _general(self) -> dict[str, Stated]:
        settings, table = self.about.settings, self._table()
        values = {
            "extends": settings.extends,
            "fail-on": str(settings.fail_on),
            "baseline": relative(settings.baseline) if settings.baseline else None,
            "exclude": list(settings.exclude),
            "rule-folders": [relative(folder) for folder in settings.rule_folders],
            "required-version": table.get("required-version"),
        }
        # An extended preset decides about fail-on as well.
        by = {key: (key,) if key in table else () for key in values}
        by["fail-on"] = by["fail-on"] or (by["extends"] if settings.extends == "strict" else ())
        return {key: Stated(value, self._origin(by[key])) for key, value in values.items() if value}

    def _rules(self) -> Iterator[RuleState]:
        options, levels = self._options(), self.about.levels()
        for code, decision in self.about.decisions(self.select, self.ignore).items():
            rule = decision.rule
            stated = options.get(code, {})
            level, by = levels.get(code, (rule.level, ()))
            chosen = {option.name: stated.get(option.name, Stated(option.default, DEFAULT)) for option in rule.options}
            yield RuleState(code, rule.name, self._runs(decision), Stated(str(level), self._origin(by)), chosen)

    def _runs(self, decision: Decision[Rule]) -> Stated:
        off_by_default = not decision.runs and not decision.by
        why = f"{DEFAULT}: it is opt-in" if off_by_default and decision.rule.status == "opt-in" else ""
        unselected = self.select or self.about.settings.select
        if off_by_default and unselected:
            why = "not selected by " + ("--select" if self.select else self._origin(("select",)))
        return Stated(decision.runs, why or self._origin(decision.by))

    def _options(self) -> dict[str, dict[str, Stated]]:
        """By code, the options that the file states."""
        values = self.about.options()
        return {
            rule.code: {
                name: Stated(value, self._origin(("rules", key, name))) for name, value in values[rule.name].items()
            }
            for key in self.about.settings.rules
            for rule in (self.about.registry.find(key),)
        }

    def _paths(self, names: Iterable[str]) -> Iterator[tuple[str, KeyPath]]:
        """The setting that decides about each field for the target, the strongest first."""
        table, settings = self._table(), self.about.settings
        entries = reversed(settings.entries(self.target)) if self.target else ()
        places: list[tuple[Any, KeyPath]] = [(table["targets"][index], ("targets", index)) for index in entries]
        places.append((table.get("training", {}), ("training",)))
        for name in names:
            for stated, path in places:
                spelled = next((key for key in (name, name.replace("_", "-")) if key in stated), None)
                if spelled is not None:
                    yield name, (*path, spelled)
                    break

    def _contract(self) -> Iterator[tuple[str, Stated]]:
        settings = self.about.settings
        file = settings.contract(self.target) if self.target else settings.training
        known = self.training.otherwise(file).known()
        by = dict(self._paths(FIELDS))
        for name, field in known.items():
            flag = getattr(self.training, name).known
            value = getattr(field.value, "name", str(field.value))
            yield name.replace("_", "-"), Stated(value, field.origin if flag else self._origin(by[name]))

    def _capture(self) -> Iterator[tuple[str, Stated]]:
        file = self.about.settings.capture(self.target) if self.target else Capture()
        names = [field.name for field in fields(Capture)]
        by = dict(self._paths(names))
        for name in names:
            flag = getattr(self.capture, name)
            value = getattr(self.capture.otherwise(file), name)
            if value not in ("", (), None):
                shown = name.replace("_", "-")
                stated = flag not in ("", (), None)
                origin = f"--{shown.removesuffix('s') if name == 'inputs' else shown}" if stated else ""
                yield (
                    shown,
                    Stated(list(value) if isinstance(value, tuple) else value, origin or self._origin(by[name])),
                )

    def _overrides(self) -> Iterator[Exempt]:
        target = self.target
        for index, override in enumerate(self.about.settings.overrides):
            if target and index not in self.about.settings.overriding(target):
                continue
            does = f"{override.level}: " if override.level else "ignore "
            yield Exempt(
                ", ".join((*override.targets, *override.modules)),
                does + ", ".join(override.rules),
                override.reason,
                self._origin(("overrides", index)),
            )
