"""From the report on a target to what is shown in files: each finding on the line it speaks of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from netlint.report.json import JsonFinding, JsonSource, JsonTarget, LevelName

from .child import Outcome
from .targets import Target, lines, place

MOST = 200
"""Findings of one target that are shown, the worst first; no editor is of use with more."""
_ORDER: dict[LevelName, int] = {"error": 0, "warning": 1, "note": 2}

_LISTED = 6

Find = Callable[[JsonSource, Path], Path | None]
"""The file of a workspace that a line of source code is in, given the folder that it is told from."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to show on a line of a file."""

    file: Path
    line: int
    """From 1."""
    level: LevelName
    message: str
    target: str
    code: str = ""
    """Of the rule; empty for what concerns the target as a whole."""
    alike: tuple[JsonFinding, ...] = ()
    """The findings it stands for: of one rule on one line."""
    related: tuple[tuple[str, Path, int], ...] = ()
    """Other places that belong to it: what they are, file and line."""


def entries(target: Target, outcome: Outcome, find: Find) -> list[Entry]:
    """All there is to show of a target."""
    report = outcome.target
    if report is None:
        who = "" if outcome.usage else "netlint failed, which is a bug of its own: "
        return [_of_target(target, "error", f"{target.text}: {who}{outcome.trouble.partition(chr(10))[0]}")]
    if report.failure is not None:
        advice = f"\nhelp: {report.failure.help}" if report.failure.help else ""
        return [_of_target(target, "error", f"{target.text} {report.failure.message}{advice}")]
    groups = sorted(_groups(target, report.findings, find), key=lambda entry: _ORDER[entry.level])
    return [*groups[:MOST], *_rest(target, groups[MOST:]), *_elsewhere(target, groups), *_crashes(target, report)]


def _of_target(target: Target, level: LevelName, message: str) -> Entry:
    file, line = place(target)
    return Entry(file, line, level, message, target.text)


def _groups(target: Target, findings: Iterable[JsonFinding], find: Find) -> Iterator[Entry]:
    """An entry for all findings of one rule on one line: a layer that is called in a loop is one line of source."""
    alike: dict[tuple[Path, int, str, LevelName], list[JsonFinding]] = {}
    for finding in findings:
        file, line = _place(target, finding, find)
        alike.setdefault((file, line, finding.code, finding.level), []).append(finding)
    for (file, line, code, level), group in alike.items():
        first = group[0]
        more = f" (and {len(group) - 1} more here)" if len(group) > 1 else ""
        message = f"{first.rule}: {first.message}{more}"
        yield Entry(file, line, level, message, target.text, code, tuple(group), tuple(_related(target, first, find)))


def _place(target: Target, finding: JsonFinding, find: Find) -> tuple[Path, int]:
    source = finding.location.source
    if source is not None and (file := find(source, target.folder)) is not None:
        return file, source.line
    if target.file is not None and target.file.suffix == ".onnxtxt":
        return target.file, _line_of_node(target.file, finding)
    return place(target)


def _line_of_node(file: Path, finding: JsonFinding) -> int:
    """The line of a text model on which the node stands: `name, other = Op (…`."""
    if not finding.writes:
        return 1
    name = re.escape(finding.writes[0])
    node = re.compile(rf'(?:^|[\s",]){name}"?\s*(?:,[^=]*)?=\s*(?:[\w.]+\.)?{re.escape(finding.op)}\b')
    return next((number for number, line in enumerate(lines(file), 1) if node.search(line)), 1)


def _related(target: Target, finding: JsonFinding, find: Find) -> Iterator[tuple[str, Path, int]]:
    for also in finding.related:
        source = also.location.source
        if source is not None and (file := find(source, target.folder)) is not None:
            yield also.message, file, source.line
    if target.is_model and target.file is not None and _place(target, finding, find)[0] != target.file:
        yield f"found in {target.text} ▸ {finding.location.path}", target.file, 1


def _rest(target: Target, left_out: list[Entry]) -> Iterator[Entry]:
    if left_out:
        yield _of_target(target, "note", f"+{len(left_out)} more findings: `netlint {target.text}` lists all of them")


def _elsewhere(target: Target, groups: list[Entry]) -> Iterator[Entry]:
    """On a model file itself, where to find what is shown in the source that it was exported from."""
    away = [entry for entry in groups if target.is_model and entry.file != target.file]
    if away:
        where = dict.fromkeys(f"{entry.file.name}:{entry.line}" for entry in away)
        shown = ", ".join(list(where)[:_LISTED]) + (", …" if len(where) > _LISTED else "")
        related = tuple((entry.message, entry.file, entry.line) for entry in away[:_LISTED])
        file, line = place(target)
        yield Entry(file, line, away[0].level, f"findings in its source: {shown}", target.text, related=related)


def _crashes(target: Target, report: JsonTarget) -> Iterator[Entry]:
    if report.crashed:
        said = "; ".join(f"{crash.rule}: {crash.why}" for crash in report.crashed)
        yield _of_target(target, "warning", f"rules failed on {target.text}, which is a bug of theirs: {said}")
