"""Annotations of GitHub Actions: workflow commands, which a step prints. The worst come first: GitHub shows ten of each
kind a step. The page that goes with them is the `markdown` report."""

from __future__ import annotations

from collections.abc import Iterator

from netlint.report import Run
from netlint.report.order import worst_first
from netlint.report.places import Place, place, place_of_target
from netlint.report.wording import clean, plural
from netlint.rule import Level

MOST = 10
"""Annotations of one kind that GitHub shows of a step."""
_KINDS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


def render(run: Run) -> str:
    """At most ten commands of each kind; of the others, how many there are."""
    lines: list[str] = []
    for level in reversed(Level):
        commands = list(_commands(run, level))
        lines += commands[:MOST]
        if len(commands) > MOST:
            lines.append(f"+{plural(len(commands) - MOST, f'more {level}')}")
    return "".join(f"{line}\n" for line in lines)


def _commands(run: Run, level: Level) -> Iterator[str]:
    if level is Level.ERROR:
        yield from _broken(run)
    for told in worst_first(run):
        found = told.found
        if found.level is level:
            at = place(found.loc, told.target, run.sources)
            said = f"{clean(found.finding.message)} [{clean(told.target)} ▸ {clean(found.loc.path)}]"
            said += f"\nhelp: {clean(found.finding.help)}" if found.finding.help else ""
            yield _command(_KINDS[level], at, f"{found.rule.code} {found.rule.name}", said)


def _broken(run: Run) -> Iterator[str]:
    for failure in run.failures:
        at = place_of_target(failure.target, run.sources)
        why = "\n".join(clean(line) for line in str(failure.error).splitlines())
        yield _command("error", at, "not analysed", f"{clean(failure.target)} {why}")
    for report in run.reports:
        at = place_of_target(report.target, run.sources)
        for crash in report.crashed:
            said = f"a bug in that rule, not in {clean(report.target)}: {clean(repr(crash.error))}"
            yield _command("error", at, f"{crash.rule.code} {crash.rule.name} crashed", said)


def _command(kind: str, at: Place, title: str, message: str) -> str:
    properties = {"file": clean(at.file), "line": str(at.line), "col": str(at.column), "title": f"netlint: {title}"}
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {listed}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
