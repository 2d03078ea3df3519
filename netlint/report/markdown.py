"""A page in Markdown: for a pull request, or as the summary of a step of GitHub Actions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from netlint.report import Run
from netlint.report.order import Told, worst_first
from netlint.report.places import place
from netlint.report.wording import clean, plural
from netlint.rule import Level

MOST = 200
"""Rows of the table; GitHub takes no summary of more than 1 MiB."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]|~!])")


def render(run: Run) -> str:
    """What was found in one sentence, then the findings as a table, the worst first."""
    blocks = [f"## netlint\n\n{_sum(run)}"]
    told = worst_first(run)
    if told:
        rows = [_row(entry, run) for entry in told[:MOST]]
        blocks.append("\n".join(["| level | rule | finding | where |", "|---|---|---|---|", *rows]))
    if len(told) > MOST:
        blocks.append(f"+{plural(len(told) - MOST, 'more finding')}")
    blocks += ["\n".join(lines) for lines in (list(_broken(run)),) if lines]
    return "\n\n".join(blocks) + "\n"


def _sum(run: Run) -> str:
    counts = [plural(run.count(level), str(level)) for level in reversed(Level) if run.count(level)]
    counts += [f"{run.suppressed:,} suppressed"] if run.suppressed else []
    counts += [f"{len(run.failures):,} not analysed"] if run.failures else []
    return f"{plural(len(run.reports), 'model')} checked: {', '.join(counts) or 'no findings'}"


def _row(told: Told, run: Run) -> str:
    found = told.found
    at = place(found.loc, told.target, run.sources)
    where = f"{literal(at.file)}:{at.line}<br>{literal(told.target)} ▸ {literal(found.loc.path)}"
    said = literal(found.finding.message)
    said += f"<br><em>{literal(found.finding.help)}</em>" if found.finding.help else ""
    return f"| {found.level} | {found.rule.code} {found.rule.name} | {said} | {where} |"


def _broken(run: Run) -> Iterator[str]:
    for failure in run.failures:
        yield f"- not analysed: {literal(failure.target)} {literal('; '.join(str(failure.error).splitlines()))}"
    for report in run.reports:
        for crash in report.crashed:
            rule = f"{crash.rule.code} {crash.rule.name}"
            yield f"- {rule} crashed on {literal(report.target)}: {literal(repr(crash.error))}"


def literal(text: str) -> str:
    """Text of a model that Markdown takes for nothing but text."""
    escaped = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", escaped)
