"""The baseline: findings that a project knows and lives with, one line each; only others are reported.

A line holds fingerprint, rule, target, place and message, with tabs between them. The first three identify the finding;
the rest is for people. The target is the way from the baseline's own folder, so that a baseline holds wherever netlint
is called from. No line counts anything or depends on another one: files merge by lines.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from .config import relative, spellings
from .errors import ConfigError
from .reported import Report, Reported, Suppressed

NAME = "netlint.baseline"
"""How a baseline is called where nobody says."""

HEAD = (
    "# Findings that netlint does not report: fingerprint, rule, target, place, message.\n"
    "# `netlint baseline prune` removes those that are gone; their order does not matter.\n"
)

Key: TypeAlias = tuple[str, str, str]
"""Target, code, fingerprint."""

R = TypeVar("R", bound=Report)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The known findings, and the file that they are in."""

    file: Path
    lines: Mapping[Key, str]

    def key(self, report: Report, found: Reported) -> Key:
        return self.target(report), found.rule.code, found.fingerprint

    def target(self, report: Report) -> str:
        """How this baseline calls the target of a report."""
        return _plain(spellings(report.target, self.file.parent)[0])

    def applied(self, report: R) -> R:
        """The report with its known findings silenced."""
        origin = f"baseline {relative(self.file)}"
        is_known = [self.key(report, found) in self.lines for found in report.findings]
        kept = [found for found, known in zip(report.findings, is_known, strict=True) if not known]
        silenced = [
            Suppressed(found, "known", origin) for found, known in zip(report.findings, is_known, strict=True) if known
        ]
        return replace(report, findings=tuple(kept), suppressed=(*report.suppressed, *silenced))

    def new(self, report: Report) -> list[Reported]:
        """The findings of a report that are not known."""
        return [found for found in report.findings if self.key(report, found) not in self.lines]

    def stale(self, reports: Iterable[Report]) -> list[Key]:
        """The lines that these reports show to be gone, and those of files that no longer exist."""
        reports = list(reports)
        linted = {self.target(report) for report in reports}
        seen = {self.key(report, found) for report in reports for found in report.findings}
        return [key for key in self.lines if key not in seen and (key[0] in linted or self._is_gone(key[0]))]

    def _is_gone(self, target: str) -> bool:
        is_file = target != "-" and ":" not in target
        return is_file and not os.path.lexists(self.file.parent / target)

    def without(self, keys: Iterable[Key]) -> Baseline:
        dropped = set(keys)
        return replace(self, lines={key: line for key, line in self.lines.items() if key not in dropped})

    def updated(self, reports: Iterable[Report]) -> Baseline:
        """With the findings of these reports in place of what was known of their targets."""
        reports = list(reports)
        linted = {self.target(report) for report in reports}
        kept = {key: line for key, line in self.lines.items() if key[0] not in linted}
        return replace(self, lines=kept | {key: line for report in reports for key, line in self._written(report)})

    def _written(self, report: Report) -> Iterator[tuple[Key, str]]:
        for found in report.findings:
            key = target, code, fingerprint = self.key(report, found)
            place = f"{found.loc.module} ▸ {found.op}" if found.loc.module and found.op else found.loc.path
            message = f"{found.rule.name}: {found.finding.message}"
            yield key, "\t".join((fingerprint, code, target, _plain(place), _plain(message)))

    def write(self) -> None:
        """Raises `ConfigError`."""
        text = HEAD + "".join(f"{self.lines[key]}\n" for key in sorted(self.lines))
        try:
            self.file.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise ConfigError(f"cannot write {relative(self.file)}: {error.strerror or error}") from None


def read_baseline(file: Path) -> Baseline:
    """The baseline in a file. Raises `ConfigError`."""
    shown = relative(file)
    try:
        if not file.is_file():
            what = "is not a file" if file.exists() else "does not exist"
            raise ConfigError(f"the baseline {shown} {what}; `netlint baseline create` writes one")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the baseline {shown} cannot be read: {error}") from None
    return Baseline(file, dict(_lines(shown, text)))


def _lines(shown: str, text: str) -> Iterator[tuple[Key, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) < 3:
            # The line is not printed: who knows what file this is.
            raise ConfigError(
                f"{shown}:{number}: no line of a baseline: fingerprint, rule and target with tabs between them; "
                "after a merge, keep the lines of both sides"
            )
        yield (fields[2], fields[1], fields[0]), line


def _plain(text: str) -> str:
    """Text without what would end a line or a field of it."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
