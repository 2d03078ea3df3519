"""What becomes of a report before anybody sees it: levels from the settings, suppressions, the baseline.

The report that comes in is what the rules found: it depends on the model, the rules and their options, and may come
from a cache. What is done here depends on source files, settings and baseline as they are now. Most runs have none of
it, and import nothing for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Set
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from .config import Settings, relative
from .report import Failure
from .reported import IDLE, Report, Reported
from .sources import Sources

Read: TypeAlias = Callable[[str], tuple[str, str] | None]
"""A source file by its recorded path: how it is shown, and its text; None if it is not at hand."""

MARK = "netlint:"
"""What a source file has in it that speaks of netlint."""


def reader(sources: Sources, ran_here: bool) -> Read:
    """Reads source files below a folder; of code that ran on this machine, those that were recorded."""

    def read(recorded: str) -> tuple[str, str] | None:
        is_here = ran_here and os.path.isfile(recorded)
        file = Path(recorded) if is_here else sources.find(recorded)
        return None if file is None else (relative(file), sources.text(file))

    return read


def files_of(report: Report) -> dict[str, set[int]]:
    """The source files, as recorded, that nodes and findings come from, with the lines."""
    lines: dict[str, set[int]] = {}
    sources = (found.loc.source for found in report.findings)
    for recorded, number in (*report.lines, *(source for source in sources if source)):
        lines.setdefault(recorded, set()).add(number)
    return lines


def silences(report: Report, settings: Settings, read: Read) -> bool:
    """Whether settings, metadata or source files may ask to silence something."""
    if report.ignore or any(settings.overrides[index].level is None for index in settings.overriding(report.target)):
        return True
    return any(MARK in source[1] for recorded in files_of(report) if (source := read(recorded)))


def grades(report: Report, settings: Settings) -> bool:
    """Whether settings may give findings another level."""
    return bool(report.findings) and (
        any("level" in table for table in settings.rules.values())
        or any(settings.overrides[index].level is not None for index in settings.overriding(report.target))
    )


def settled(results: Iterable[Report | Failure]) -> tuple[Report | Failure, ...]:
    """The results of one run: a suppression that silences something in one target is unused in none."""
    done = tuple(results)
    silenced = (entry for report in done if isinstance(report, Report) for entry in report.suppressed)
    used = {(entry.origin, entry.found.rule.name) for entry in silenced}
    return tuple(_without(report, used) if used and isinstance(report, Report) else report for report in done)


def _without(report: Report, used: Set[tuple[str, str]]) -> Report:
    """The report without findings about suppressions that are used elsewhere."""

    def is_used(found: Reported) -> bool:
        return any(fact.label == IDLE and (fact.origin, fact.value) in used for fact in found.finding.evidence)

    return replace(report, findings=tuple(found for found in report.findings if not is_used(found)))
