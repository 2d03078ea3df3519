"""GitLab's code quality report: the findings of a merge request, at the lines where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from os import fsencode
from typing import Any

import msgspec

from netlint.report import Run
from netlint.report.json import encoded
from netlint.report.order import worst_first
from netlint.report.places import Place, place, place_of_target
from netlint.report.wording import clean
from netlint.rule import Level

_SEVERITIES = {Level.ERROR: "critical", Level.WARNING: "major", Level.NOTE: "info"}


def render(run: Run) -> str:
    """The worst first; targets and rules that failed are blockers. Suppressed findings are left out."""
    return msgspec.json.format(encoded([*_broken(run), *_findings(run)]), indent=2).decode() + "\n"


def _findings(run: Run) -> Iterator[dict[str, Any]]:
    for told in worst_first(run):
        found = told.found
        said = f"{clean(found.finding.message)} [{clean(told.target)} ▸ {clean(found.loc.path)}]"
        at = place(found.loc, told.target, run.sources)
        yield _entry(f"{found.rule.code} {found.rule.name}", said, told.identity, _SEVERITIES[found.level], at)


def _broken(run: Run) -> Iterator[dict[str, Any]]:
    for failure in run.failures:
        at = place_of_target(failure.target, run.sources)
        said = f"{clean(failure.target)} {clean('; '.join(str(failure.error).splitlines()))}"
        yield _entry("not-analysed", said, _digest("failure", failure.target), "blocker", at)
    for report in run.reports:
        at = place_of_target(report.target, run.sources)
        for crash in report.crashed:
            said = f"a bug in that rule, not in {clean(report.target)}: {clean(repr(crash.error))}"
            rule = f"{crash.rule.code} {crash.rule.name}"
            yield _entry(rule, said, _digest("crash", report.target, crash.rule.code), "blocker", at)


def _entry(check: str, description: str, fingerprint: str, severity: str, at: Place) -> dict[str, Any]:
    return {
        "description": description,
        "check_name": check,
        "fingerprint": fingerprint,
        "severity": severity,
        "location": {"path": at.file, "lines": {"begin": at.line}},
    }


def _digest(*parts: str) -> str:
    return sha256(fsencode("\0".join(parts))).hexdigest()[:32]
