"""Keeps what was found up to date with what is saved: starts runs, ends those that are overtaken, shows results."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from netlint.errors import ConfigError
from netlint.report.json import JsonSource
from netlint.report.wording import plural
from netlint.sources import Sources
from netlint.targets import SUFFIXES

from . import child
from .findings import Entry, entries
from .imports import Imports, Stamp, stamp
from .targets import Target, configured, opened

SETTINGS = ("netlint.toml", "pyproject.toml")
_PAUSE = 0.2
"""Seconds that a run waits for what else is saved."""
_AT_ONCE = 2


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """What a client may set: `initializationOptions`, or the section `netlint` of its settings."""

    args: list[str] = []
    """Arguments of the command line, for every target: `["--loss=cross_entropy"]`."""
    select: list[str] = []
    ignore: list[str] = []
    trust: bool = True
    """Whether the Python targets of the workspace's settings are run. Said once, when the server starts."""

    def arguments(self) -> list[str]:
        """These options as arguments of the command line."""
        chosen = [f"--select={name}" for name in self.select] + [f"--ignore={name}" for name in self.ignore]
        return chosen + self.args


class Client(Protocol):
    """What the linter needs of the other side."""

    def folders(self) -> list[Path]:
        """The folders of the workspace."""
        ...

    def show(self, file: Path, entries: list[Entry]) -> None:
        """Show these in a file, and nothing else."""
        ...

    def log(self, message: str, trouble: bool = False) -> None:
        """Write into the client's log."""
        ...

    def begin(self, title: str) -> str:
        """Show that something is going on; what is returned ends it."""
        ...

    def end(self, token: str) -> None:
        """Show no longer what `begin` began to."""
        ...


class Linter:
    """The targets of a workspace, what runs on them, and what was found last."""

    def __init__(self, client: Client) -> None:
        self.options = Options()
        self.open: set[Path] = set()
        """The files that are open in the editor."""
        self._client = client
        self._imports = Imports()
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._found: dict[Target, list[Entry]] = {}
        self._stamps: dict[Target, dict[Path, Stamp]] = {}
        """The files of each target as they were when it was linted last."""
        self._sources: dict[Target, set[Path]] = {}
        """The files that the findings of each target, silenced ones included, were in."""
        self._misset: dict[Path, Entry] = {}
        """What is wrong with settings, by the folder whose they are."""
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def shown(self, file: Path) -> list[Entry]:
        """What is to be shown in a file. Of what two targets say alike, the first counts."""
        everything = [entry for found in self._found.values() for entry in found]
        told: dict[tuple[object, ...], Entry] = {}
        for entry in [*self._misset.values(), *everything]:
            if entry.file == file:
                told.setdefault((entry.line, entry.code, entry.level, "" if entry.code else entry.message), entry)
        return list(told.values())

    def owner(self, entry: Entry) -> Target | None:
        """The target that an entry is about."""
        return next((target for target, found in self._found.items() if entry in found), None)

    def opened(self, file: Path) -> None:
        """A file was opened: what it is part of is linted, unless it is as it was when that was done last."""
        self.open.add(file)
        for target in self._settled():
            if self._concerns(target, file) and self._stamps.get(target) != self._stamp(target):
                self._start(target)

    def saved(self, file: Path) -> None:
        """A file was saved: what it is part of is linted again."""
        if file.name in SETTINGS:
            self.refresh()
            return
        for target in self._settled():
            if self._concerns(target, file):
                self._start(target)

    def closed(self, file: Path) -> None:
        """A file was closed: what was linted only because it was open is forgotten."""
        self.open.discard(file)
        self._settled()

    def changed(self, files: Iterable[Path]) -> None:
        """Files changed on disk, by the editor or another program; what was saved in the editor is known already."""
        files = set(files)
        if any(file.name in SETTINGS for file in files):
            self.refresh()
            return
        for target in self._settled():
            known = self._stamps.get(target)
            if known is not None and files & (self._files(target) | set(known)) and known != self._stamp(target):
                self._start(target)

    def refresh(self) -> None:
        """Settings or folders may have changed: all that was linted or is open now is linted anew."""
        for target in self._settled():
            if target in self._stamps or target.is_model or self._files(target) & self.open:
                self._start(target)

    def stop(self) -> None:
        """End all runs."""
        for task in self._tasks.values():
            task.cancel()

    def _settled(self) -> list[Target]:
        """All there is to lint now; what is no target any more is forgotten."""
        folders = self._client.folders()
        for folder in [folder for folder in self._misset if folder not in folders]:
            self._misset_is(folder, None)
        wanted = dict.fromkeys(target for folder in folders for target in self._configured(folder))
        named = {target.file for target in wanted}
        models = [file for file in self.open if file.name.endswith(SUFFIXES) and file not in named]
        wanted |= dict.fromkeys(opened(file, self._folder(file)) for file in sorted(models))
        for target in [target for target in self._stamps if target not in wanted]:
            self._forget(target)
        return list(wanted)

    def _folder(self, file: Path) -> Path | None:
        """The innermost folder of the workspace that a file lies in, as far as it is trusted."""
        holding = [folder for folder in self._client.folders() if file.is_relative_to(folder) and self.options.trust]
        return max(holding, key=lambda folder: len(folder.parts), default=None)

    def _concerns(self, target: Target, file: Path) -> bool:
        # Models that settings name are read, not run: they are linted as soon as anything is open.
        return file in self._files(target) or (target.is_model and target not in self._stamps)

    def _configured(self, folder: Path) -> list[Target]:
        try:
            found = configured(folder, self.options.trust)
        except ConfigError as error:
            self._misset_is(folder, _misset(folder, str(error)))
            return []
        self._misset_is(folder, None)
        return found

    def _misset_is(self, folder: Path, entry: Entry | None) -> None:
        before = self._misset.pop(folder, None)
        if entry is not None:
            self._misset[folder] = entry
        if before != entry:
            self._show({said.file for said in (before, entry) if said is not None})

    def _files(self, target: Target) -> set[Path]:
        """The files whose change may change what is found."""
        if target.file is None:
            return {target.settings} if target.settings else set()
        told = self._sources.get(target, set())
        return told | ({target.file} if target.is_model else self._imports.closure(target.file, target.folder))

    def _stamp(self, target: Target) -> dict[Path, Stamp]:
        return {file: stamp(file) for file in self._files(target)}

    def _start(self, target: Target) -> None:
        if target in self._tasks:
            self._tasks[target].cancel()
        self._stamps[target] = self._stamp(target)
        self._tasks[target] = asyncio.create_task(self._lint(target))

    def _forget(self, target: Target) -> None:
        if task := self._tasks.pop(target, None):
            task.cancel()
        self._stamps.pop(target, None)
        self._sources.pop(target, None)
        self._show({entry.file for entry in self._found.pop(target, [])})

    async def _lint(self, target: Target) -> None:
        await asyncio.sleep(_PAUSE)
        async with self._slots:
            began = time.monotonic()
            token = "" if target.is_model else self._client.begin(f"netlint: {target.text}")
            try:
                outcome = await child.lint(target.text, target.folder, self.options.arguments())
            finally:
                if token:
                    self._client.end(token)
        try:
            found = entries(target, outcome, self._find)
        except Exception as error:  # a bug here: told like one of the run, and the server goes on
            outcome = child.Outcome(None, f"{type(error).__name__}: {error}")
            found = entries(target, outcome, self._find)
        self._log(target, outcome, len(found), time.monotonic() - began)
        self._remember_sources(target, outcome)
        before = self._found.get(target, [])
        self._found[target] = found
        # Its own file is told in any case: that nothing was found is an answer, too.
        self._show({entry.file for entry in (*before, *found)} | ({target.file} if target.file else set()))

    def _remember_sources(self, target: Target, outcome: child.Outcome) -> None:
        """A finding may be silenced where it is shown, and be back when that is undone."""
        if outcome.target is None or outcome.target.failure is not None:
            return
        findings = (*outcome.target.findings, *outcome.target.suppressed)
        told = {source.file: source for finding in findings if (source := finding.location.source)}
        files = {file for source in told.values() if (file := self._find(source, target.folder))}
        self._sources[target] = files
        self._stamps[target] |= {file: stamp(file) for file in files - self._stamps[target].keys()}

    def _show(self, files: Iterable[Path]) -> None:
        for file in sorted(files):
            self._client.show(file, self.shown(file))

    def _find(self, source: JsonSource, folder: Path) -> Path | None:
        """Where a recorded line is: in a folder of the workspace, or below the folder that netlint ran in."""
        outside = folder == Path(folder.anchor)  # a model that lies in no workspace: what it tells stays with it
        if source.found and not outside:
            return folder / source.file
        for place in self._client.folders():
            found = Sources(place).find(source.file)
            if found is not None:
                return place / found
        return None

    def _log(self, target: Target, outcome: child.Outcome, shown: int, seconds: float) -> None:
        if outcome.printed:
            self._client.log(f"{target.text} printed:\n{outcome.printed}")
        report = outcome.target
        if report is None:
            self._client.log(f"{target.text}: {outcome.trouble}", trouble=True)
            return
        for crash in report.crashed:
            self._client.log(f"{target.text}: rule {crash.rule} failed: {crash.why}; please report it", trouble=True)
        reasons = Counter(skip.why for skip in report.skipped)
        said = [f"{target.text}: {plural(len(report.findings), 'finding')}, {shown} shown, in {seconds:.1f} s"]
        said += [f"  {plural(count, 'rule')} skipped: {why}" for why, count in reasons.items()]
        self._client.log("\n".join(said))


def _misset(folder: Path, message: str) -> Entry:
    """A mistake in settings where it stands; the message begins with that: `netlint.toml:3:1: …`."""
    place = re.match(r"(.+?\.toml)(?::(\d+):\d+)?:? ", message)
    first = message.splitlines()[0]
    if place is None:
        return Entry(folder / SETTINGS[0], 1, "error", first, "")
    return Entry(Path(os.path.abspath(place[1])), int(place[2] or 1), "error", first[place.end() :], "")
