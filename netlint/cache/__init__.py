"""Results of earlier runs, one entry each: the report on a model with the files that it rests on; all else that it
rests on is in the entry's key. Beside them lies a list of the rules there are: to import all of them only to know their
names would take twice as long as all else that is done with a known result.

Only models in files are kept, never Python targets: what their code does may depend on anything.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from netlint.reported import Report
from netlint.rule import LOCAL, Level, Listed, RuleInfo

from .folder import NAME, Folder, usable
from .key import code
from .stamps import Seen, Stamp, digest, renewed

SCHEMA = 1
"""The version of what is written; entries of others are not read."""


class Cache:
    """The results of earlier runs, each in the folder that belongs to its target."""

    def __init__(self, path: str = "") -> None:
        """`path`: the one folder for all; otherwise a folder `.netlint_cache` beside the settings of a target."""
        self._path = path
        self._folders: dict[str, Folder] = {}
        self._codes: dict[tuple[Path, ...], str] = {}

    def entry(self, target: str, beside: Path, rule_folders: tuple[Path, ...], rests_on: str) -> Entry | None:
        """The place for the result of a target; `rests_on`: the settings and flags that it depends on."""
        folder = self._folder(beside)
        return Entry(folder, target, f"{self._code(rule_folders)}\n{rests_on}") if folder else None

    def rules(self, beside: Path, rule_folders: tuple[Path, ...]) -> tuple[Listed, ...]:
        """All rules, as they were listed by an earlier run with the same code; none where there was none."""
        folder = self._folder(beside)
        stored = folder.read(self._list(rule_folders)) if folder else None
        try:
            return tuple(_listed(*row) for row in json.loads(stored)) if stored else ()
        except Exception:  # written by something else, whatever it is
            return ()

    def list_rules(self, beside: Path, rule_folders: tuple[Path, ...], rules: Iterable[tuple[RuleInfo, bool]]) -> None:
        """Keep a list of all rules, each with whether it judges suppressions, where results are kept."""
        folder = self._folder(beside)
        rows = [_row(rule, after) for rule, after in rules]
        # Those that judge suppressions are imported again, by their names.
        if folder and os.path.isdir(folder.path) and not any(row[-1] and row[-2].startswith(LOCAL) for row in rows):
            folder.write(self._list(rule_folders), json.dumps(rows, separators=(",", ":")).encode())

    def prune(self) -> None:
        """Drop the oldest results where there are too many."""
        for folder in self._folders.values():
            folder.prune()

    def _folder(self, beside: Path) -> Folder | None:
        path = self._path or str(beside / NAME)
        if path not in self._folders:
            if not self._path and not usable(path):
                return None
            self._folders[path] = Folder(path)
        return self._folders[path]

    def _code(self, rule_folders: tuple[Path, ...]) -> str:
        if rule_folders not in self._codes:
            self._codes[rule_folders] = digest(code(rule_folders).encode("utf-8", "surrogateescape"))
        return self._codes[rule_folders]

    def _list(self, rule_folders: tuple[Path, ...]) -> str:
        return f"rules-{digest(f'{SCHEMA}{self._code(rule_folders)}'.encode())}"


class Entry:
    """The place of the result for one target."""

    def __init__(self, folder: Folder, target: str, key: str) -> None:
        self._folder = folder
        self._target = target
        self._key = f"{SCHEMA}\n{target}\n{key}"
        # The same name from another folder is another target.
        here = os.path.relpath(target, os.path.dirname(os.path.abspath(folder.path)))
        self._name = digest(f"{here}\n{self._key}".encode("utf-8", "surrogateescape"))

    def find(self) -> Report | None:
        """The stored report, if nothing that it rests on has changed."""
        stored = self._folder.read(self._name)
        if stored is None:
            return None
        from .plain import decode

        try:
            entry = json.loads(stored)
            seen = [_seen(*fields) for fields in entry["files"]]
            now = [renewed(self._target, file) for file in seen]
            if entry["key"] != self._key or not seen or None in now:
                return None
            report = decode(entry["report"])
        except Exception:  # written by something else, whatever it is
            return None
        if now != seen:
            self._write(now, entry["report"])
        return report if isinstance(report, Report) else None

    def store(self, report: Report, files: Iterable[Seen]) -> None:
        """Keep a report. `files`: what was seen of each before it was read; none may have changed meanwhile."""
        from .plain import encode

        now = [renewed(self._target, file) for file in files]
        if report.crashed or None in now:
            return
        with contextlib.suppress(Exception):  # a rule may give anything as evidence
            self._write(now, encode(report))

    def _write(self, files: object, report: object) -> None:
        content = {"key": self._key, "files": files, "report": report}
        self._folder.write(self._name, json.dumps(content, separators=(",", ":")).encode())


def _row(rule: RuleInfo, after: bool) -> list[Any]:
    return [rule.code, rule.name, rule.levels, rule.since, rule.status, rule.module, after]


def _listed(code: str, name: str, levels: list[int], since: str, status: str, module: str, after: bool) -> Listed:
    return Listed(code, name, tuple(map(Level, levels)), since, status, module, "", after)


def _seen(name: str, stamp: tuple[int, int, int, int, bool], content: str, places: list[str]) -> Seen:
    return Seen(name, Stamp(*stamp), content, (places[0], places[1]))
