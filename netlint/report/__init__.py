"""Reporters: each turns a `Run` into text. They neither compute nor filter."""

from __future__ import annotations

from collections.abc import Iterable

from netlint.frontends import NetlintBug, TargetError
from netlint.records import record
from netlint.reported import Report
from netlint.rule import Level
from netlint.sources import Sources


@record
class Failure:
    """A target that could not be analysed."""

    target: str
    error: TargetError


def bugs(results: Iterable[Report | Failure]) -> bool:
    """Whether a rule crashed, or netlint failed on a target."""
    return any(
        isinstance(result.error, NetlintBug) if isinstance(result, Failure) else bool(result.crashed)
        for result in results
    )


@record
class Run:
    """Everything one call of netlint found, target by target in order."""

    results: tuple[Report | Failure, ...]
    sources: Sources
    verbose: int = 0
    """-1: findings only; 0: also what was skipped, summed up; 1: each skipped rule and unknown operator."""
    statistics: bool = False
    """Whether the findings of each rule are counted."""
    profile: bool = False
    """Whether the time of each rule and analysis is told."""
    fail_on: Level = Level.WARNING
    """The lowest level that makes a run fail."""
    exit_code: int = 0
    """What the call ends with."""

    @property
    def reports(self) -> list[Report]:
        return [result for result in self.results if isinstance(result, Report)]

    @property
    def failures(self) -> list[Failure]:
        return [result for result in self.results if isinstance(result, Failure)]

    @property
    def suppressed(self) -> int:
        return sum(len(report.suppressed) for report in self.reports)

    def count(self, level: Level) -> int:
        return sum(found.level == level for report in self.reports for found in report.findings)
