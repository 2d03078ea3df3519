"""The findings of a run for tools that show only so many: the worst first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath

from netlint.report import Run
from netlint.reported import Report, Reported
from netlint.rule import RuleInfo


@dataclass(frozen=True, slots=True)
class Told:
    """A finding with its target, and what silences it, if something does."""

    found: Reported
    target: str
    reason: str = ""
    origin: str = ""

    @property
    def identity(self) -> str:
        """Tells the findings of all targets apart, and stays the same from run to run."""
        try:
            way = os.path.relpath(self.target)  # m.onnx, ./m.onnx and /here/m.onnx are one target
        except ValueError:  # on another drive
            way = self.target
        target = PurePath(way).as_posix()
        return sha256(os.fsencode(f"{target}\0{self.found.fingerprint}")).hexdigest()[:32]


def worst_first(run: Run) -> list[Told]:
    """Findings that count: errors, warnings, notes; otherwise in the order of the run."""
    told = [Told(found, report.target) for report in run.reports for found in report.findings]
    return sorted(told, key=lambda entry: -entry.found.level)


def silenced(run: Run) -> Iterator[Told]:
    """Findings that the user has silenced, in the order of the run."""
    for report in run.reports:
        for entry in report.suppressed:
            yield Told(entry.found, report.target, entry.reason, entry.origin)


def rules_of(told: Iterable[Told], reports: Iterable[Report]) -> list[RuleInfo]:
    """The rules that have something to say, or failed, in order of their codes."""
    rules = {entry.found.rule.code: entry.found.rule for entry in told}
    rules |= {crash.rule.code: crash.rule for report in reports for crash in report.crashed}
    return [rules[code] for code in sorted(rules)]
