"""From the report on a target to what is shown in files: each finding on the line it speaks of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
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
    in_code: bool = False
    """Whether the line is the one that the findings come from, so that a comment there concerns them."""


class _Places:
    """Where the findings of one target stand; each file is searched for and read once."""

    def __init__(self, target: Target, find: Find) -> None:
        self.target = target
        self._find = find
        self._files: dict[str, Path | None] = {}

    @cached_property
    def whole(self) -> tuple[Path, int]:
        """Where to put what concerns the target as a whole."""
        return place(self.target)

    def of(self, finding: JsonFinding) -> tuple[Path, int]:
        """The file and the line, from 1, of a finding."""
        source = finding.location.source
        if source is not None and (file := self.file(source)) is not None:
            return file, source.line
        if self.target.file is not None and self.target.file.suffix == ".onnxtxt":
            return self.target.file, self._line_of_node(finding)
        return self.whole

    def is_in_code(self, finding: JsonFinding) -> bool:
        """Whether a finding stands on the line of code that it comes from."""
        return finding.location.source is not None and self.file(finding.location.source) is not None

    def file(self, source: JsonSource) -> Path | None:
        """The file that a line of source code is in."""
        if source.file not in self._files:
            self._files[source.file] = self._find(source, self.target.folder)
        return self._files[source.file]

    def _line_of_node(self, finding: JsonFinding) -> int:
        """The line of a text model on which the node stands: `name, other = Op (…`."""
        if not finding.writes:
            return 1
        name = re.escape(finding.writes[0])
        node = re.compile(rf'(?:^|[\s",]){name}"?\s*(?:,[^=]*)?=\s*(?:[\w.]+\.)?{re.escape(finding.op)}\b')
        return next((number for number, line in enumerate(self._text, 1) if node.search(line)), 1)

    @cached_property
    def _text(self) -> list[str]:
        return lines(self.target.file) if self.target.file else []


def entries(target: Target, outcome: Outcome, find: Find) -> list[Entry]:
    """All there is to show of a target."""
    places = _Places(target, find)
    report = outcome.target
    if report is None:
        who = "" if outcome.usage else "netlint failed, which is a bug of its own: "
        return [_of_target(places, "error", f"{target.text}: {who}{outcome.trouble.partition(chr(10))[0]}")]
    if report.failure is not None:
        advice = f"\nhelp: {report.failure.help}" if report.failure.help else ""
        return [_of_target(places, "error", f"{target.text} {report.failure.message}{advice}")]
    groups = sorted(_groups(places, report.findings), key=lambda entry: _ORDER[entry.level])
    return [*groups[:MOST], *_rest(places, groups[MOST:]), *_elsewhere(places, groups), *_crashes(places, report)]


def _of_target(places: _Places, level: LevelName, message: str) -> Entry:
    file, line = places.whole
    return Entry(file, line, level, message, places.target.text)


def _groups(places: _Places, findings: Iterable[JsonFinding]) -> Iterator[Entry]:
    """An entry for all findings of one rule on one line: a layer that is called in a loop is one line of source."""
    alike: dict[tuple[Path, int, str, LevelName], list[JsonFinding]] = {}
    for finding in findings:
        file, line = places.of(finding)
        alike.setdefault((file, line, finding.code, finding.level), []).append(finding)
    for (file, line, code, level), group in alike.items():
        first = group[0]
        more = f" (and {len(group) - 1} more here)" if len(group) > 1 else ""
        message = f"{first.rule}: {first.message}{more}"
        related = tuple(_related(places, first))
        in_code = all(map(places.is_in_code, group))
        yield Entry(file, line, level, message, places.target.text, code, tuple(group), related, in_code)


def _related(places: _Places, finding: JsonFinding) -> Iterator[tuple[str, Path, int]]:
    for also in finding.related:
        source = also.location.source
        if source is not None and (file := places.file(source)) is not None:
            yield also.message, file, source.line
    target = places.target
    if target.is_model and target.file is not None and places.of(finding)[0] != target.file:
        yield f"found in {target.text} ▸ {finding.location.path}", target.file, 1


def _rest(places: _Places, left_out: list[Entry]) -> Iterator[Entry]:
    if left_out:
        command = f"`netlint {places.target.text}` lists all of them"
        yield _of_target(places, "note", f"+{len(left_out)} more findings: {command}")


def _elsewhere(places: _Places, groups: list[Entry]) -> Iterator[Entry]:
    """On a model file itself, where to find what is shown in the source that it was exported from."""
    target = places.target
    away = [entry for entry in groups[:MOST] if target.is_model and entry.file != target.file]
    if away:
        where = dict.fromkeys(f"{entry.file.name}:{entry.line}" for entry in away)
        shown = ", ".join(list(where)[:_LISTED]) + (", …" if len(where) > _LISTED else "")
        related = tuple((entry.message, entry.file, entry.line) for entry in away[:_LISTED])
        file, line = places.whole
        yield Entry(file, line, away[0].level, f"findings in its source: {shown}", target.text, related=related)


def _crashes(places: _Places, report: JsonTarget) -> Iterator[Entry]:
    if report.crashed:
        said = "; ".join(f"{crash.rule}: {crash.why}" for crash in report.crashed)
        message = f"rules failed on {places.target.text}, which is a bug of theirs: {said}"
        yield _of_target(places, "warning", message)
