"""What becomes of a report before anybody sees it: levels from the settings, suppressions, the baseline.

The report that comes in is what the rules found and depends on the model, the rules and their options alone. What is
done here depends on the source files, the settings and the baseline as they are now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from .analyses.suppressions import IDLE, suppressions
from .config import KeyPath, Settings
from .engine import lint
from .graph import Graph
from .report import Failure
from .reported import Report, Reported
from .rule import Evidence, Level, Rule
from .settings.rules import RuleSettings
from .suppress import Read, Request, covering, divided, requests
from .training import Training

if TYPE_CHECKING:
    from .baseline import Baseline

R = TypeVar("R", bound=Report)


def at_once(rules: Sequence[Rule]) -> list[Rule]:
    """The rules that judge the model; the others judge what is made of their findings, here."""
    return [rule for rule in rules if suppressions not in rule.requires]


def finished(report: R, settings: RuleSettings, rules: Sequence[Rule], baseline: Baseline | None, read: Read) -> R:
    """The report that the user gets; `rules` are all those chosen. Raises `ConfigError`."""
    wishes = requests(report, settings, read)
    kept, silenced = divided(report.findings, wishes)
    if wishes:
        about = _about(report, wishes, rules, settings)
        more, also = divided(about.findings, [wish for wish in wishes if wish.what.form == "override"])
        kept, silenced = (*kept, *more), (*silenced, *also)
        report = replace(report, crashed=(*report.crashed, *about.crashed))
    report = replace(report, findings=_levelled(kept, report.target, settings), suppressed=silenced)
    return report if baseline is None else baseline.applied(report)


def _about(report: Report, wishes: Sequence[Request], rules: Sequence[Rule], settings: RuleSettings) -> Report:
    """What the rules about suppressions say of these."""
    running = {rule.code for rule in at_once(rules)}
    unsure = {skip.rule.code for skip in report.skipped} | {crash.rule.code for crash in report.crashed}
    outcome = tuple(wish.outcome(running, running - unsure) for wish in wishes)
    judges = [rule for rule in rules if suppressions in rule.requires]
    return lint(Graph((), (), (), {}), judges, Training(), settings.options(), given={suppressions: outcome})


@dataclass(frozen=True, slots=True)
class _Stated:
    """A level that the settings give to findings of some rules, in some modules (none named: in all)."""

    codes: Set[str]
    modules: tuple[str, ...]
    level: Level
    by: KeyPath


def _levelled(findings: tuple[Reported, ...], target: str, settings: RuleSettings) -> tuple[Reported, ...]:
    """Findings at the levels that the settings give them; their evidence says so."""
    stated = [_Stated({code}, (), level, path) for code, (level, path) in settings.levels().items()]
    for index, override, meant in settings.exceptions(target):
        if override.level is not None:
            codes = frozenset[str]().union(*meant.values())
            stated.append(_Stated(codes, override.modules, override.level, ("overrides", index, "level")))
    return tuple(_at_level(found, stated, settings.settings) for found in findings) if stated else findings


def _at_level(found: Reported, stated: Sequence[_Stated], settings: Settings) -> Reported:
    for entry in reversed(stated):  # the last that matches wins
        if found.rule.code in entry.codes and covering(entry.modules)(found):
            if entry.level == found.level:
                return found
            fact = Evidence("level", f"{entry.level} instead of {found.level}", settings.where(entry.by))
            finding = replace(found.finding, evidence=(*found.finding.evidence, fact))
            return replace(found, level=entry.level, finding=finding)
    return found


def settled(results: Iterable[Report | Failure]) -> tuple[Report | Failure, ...]:
    """The results of one run: a suppression that silences something in one target is unused in none."""
    done = tuple(results)
    silenced = (entry for report in done if isinstance(report, Report) for entry in report.suppressed)
    used = {(entry.origin, entry.found.rule.name) for entry in silenced}
    return tuple(_without(report, used) if used and isinstance(report, Report) else report for report in done)


def _without(report: Report, used: Set[tuple[str, str]]) -> Report:
    """The report without findings about suppressions that are used elsewhere."""

    def is_used(found: Reported) -> bool:
        facts = {(fact.origin, fact.value) for fact in found.finding.evidence if fact.label == IDLE}
        return suppressions in found.rule.requires and bool(facts & used)

    return replace(report, findings=tuple(found for found in report.findings if not is_used(found)))
