"""The levels that the settings give to findings, in place of those that the rules gave them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

from .config import KeyPath, Settings
from .records import record
from .reported import Reported
from .rule import Evidence, Level
from .settings.rules import RuleSettings


@record
class _Stated:
    """A level that the settings give to findings of some rules, in some modules (none named: in all)."""

    codes: Set[str]
    modules: tuple[str, ...]
    level: Level
    by: KeyPath


def levelled(findings: tuple[Reported, ...], target: str, settings: RuleSettings[Any]) -> tuple[Reported, ...]:
    """Findings at the levels that the settings give them; their evidence says so."""
    stated = [_Stated({code}, (), level, path) for code, (level, path) in settings.levels().items()]
    for index, override, meant in settings.exceptions(target):
        if override.level is not None:
            codes = frozenset[str]().union(*meant.values())
            stated.append(_Stated(codes, override.modules, override.level, ("overrides", index, "level")))
    return tuple(_at_level(found, stated, settings.settings) for found in findings) if stated else findings


def _at_level(found: Reported, stated: Sequence[_Stated], settings: Settings) -> Reported:
    for entry in reversed(stated):  # the last that matches wins
        if found.rule.code in entry.codes and lies_in(found, entry.modules):
            if entry.level == found.level:
                return found
            fact = Evidence("level", f"{entry.level} instead of {found.level}", settings.where(entry.by))
            finding = replace(found.finding, evidence=(*found.finding.evidence, fact))
            return replace(found, level=entry.level, finding=finding)
    return found


def lies_in(found: Reported, modules: Sequence[str]) -> bool:
    """Whether a finding lies in a module that one of the patterns means; without patterns every finding does."""
    return not modules or any(fnmatch(found.loc.module or "", pattern) for pattern in modules)
