"""One line a finding, for editors and for grep: `file:line:column: level CODE name: message [target ▸ node]`."""

from __future__ import annotations

from collections.abc import Iterator

from netlint.report import Failure, Run
from netlint.report.places import Place, place, place_of_target
from netlint.report.wording import clean
from netlint.reported import Report


def render(run: Run) -> str:
    """The findings in the order of the run, one line each; failures and crashes are errors."""
    lines = (line for result in run.results for line in _lines(result, run))
    return "".join(f"{line}\n" for line in lines)


def _lines(result: Report | Failure, run: Run) -> Iterator[str]:
    target = clean(result.target)
    whole = place_of_target(result.target, run.sources)
    if isinstance(result, Failure):
        yield f"{_at(whole)}: error failed: {clean('; '.join(str(result.error).splitlines()))} [{target}]"
        return
    for found in result.findings:
        at = _at(place(found.loc, result.target, run.sources))
        said = f"{found.level} {found.rule.code} {found.rule.name}: {clean(found.finding.message)}"
        yield f"{at}: {said} [{target} ▸ {clean(found.loc.path)}]"
    for crash in result.crashed:
        yield f"{_at(whole)}: error {crash.rule.code} {crash.rule.name}: crashed: {clean(repr(crash.error))} [{target}]"


def _at(place: Place) -> str:
    return f"{clean(place.file)}:{place.line}:{place.column}"
