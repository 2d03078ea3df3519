"""The connection to an editor, by means of pygls: files as URIs, findings as diagnostics, progress, the log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from netlint import __version__

from . import child
from .findings import Entry
from .linter import Linter, Options
from .targets import lines

_SEVERITIES = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
    "note": lsp.DiagnosticSeverity.Information,
}
SOURCE = "netlint"


class Server(LanguageServer):
    """The connection to an editor, and the linter behind it."""

    def __init__(self) -> None:
        super().__init__(SOURCE, __version__)
        self.linter = Linter(self)
        self.pages: dict[tuple[str, Path], str] = {}
        self._uris: dict[Path, str] = {}
        self._tokens = 0
        self._over: set[str] = set()
        """The tokens of progress that has ended."""

    def path(self, uri: str) -> Path | None:
        """The file that a URI means; None for what is no file. How the client spells it is remembered."""
        name = to_fs_path(uri)
        if not name or "\0" in name:
            return None
        file = Path(os.path.abspath(name))
        self._uris[file] = uri
        return file

    def uri(self, file: Path) -> str:
        """The URI of a file, spelt as the client does."""
        return self._uris.get(file) or from_fs_path(str(file)) or file.as_uri()

    def folders(self) -> list[Path]:
        """The folders of the workspace; a client without the notion of them has a root."""
        uris = [folder.uri for folder in self.workspace.folders.values()] or [self.workspace.root_uri or ""]
        return [Path(os.path.abspath(name)) for uri in uris if (name := to_fs_path(uri))]

    def creates_files(self) -> bool:
        """Whether the client can take an edit that makes a file."""
        workspace = self.client_capabilities.workspace
        taken = workspace.workspace_edit if workspace else None
        kinds = taken.resource_operations if taken and taken.document_changes else None
        return lsp.ResourceOperationKind.Create in (kinds or ())

    def show(self, file: Path, entries: list[Entry]) -> None:
        """Publish the diagnostics of a file."""
        texts = _Texts()
        shown = [self._diagnostic(entry, texts) for entry in entries]
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(self.uri(file), shown))

    def _diagnostic(self, entry: Entry, texts: _Texts) -> lsp.Diagnostic:
        return lsp.Diagnostic(
            range=self._range(entry.line, texts[entry.file]),
            message=entry.message,
            severity=_SEVERITIES[entry.level],
            code=entry.code or None,
            source=SOURCE,
            related_information=[
                lsp.DiagnosticRelatedInformation(lsp.Location(self.uri(file), self._range(line, texts[file])), message)
                for message, file, line in entry.related
            ],
            data={
                "target": entry.target,
                "rule": entry.alike[0].rule if entry.alike else None,
                "fingerprints": [finding.fingerprint for finding in entry.alike],
            },
        )

    def _range(self, line: int, text: list[str]) -> lsp.Range:
        """A line without its margins; an empty range where the file has no such line."""
        said = text[line - 1].rstrip() if 0 < line <= len(text) else ""
        margin = len(said) - len(said.lstrip())
        units = self.workspace.position_codec.client_num_units(said)
        return lsp.Range(lsp.Position(line - 1, margin), lsp.Position(line - 1, units))

    def log(self, message: str, trouble: bool = False) -> None:
        """Write into the client's log."""
        kind = lsp.MessageType.Warning if trouble else lsp.MessageType.Info
        self.window_log_message(lsp.LogMessageParams(kind, message))

    def begin(self, title: str) -> str:
        """Show progress, once the client agrees to; the token ends it."""
        window = self.client_capabilities.window
        if window is None or not window.work_done_progress:
            return ""
        self._tokens += 1
        token = f"netlint-{self._tokens}"

        def agreed(_: None) -> None:
            if token not in self._over:
                self.work_done_progress.begin(token, lsp.WorkDoneProgressBegin(title=title, cancellable=False))

        self.work_done_progress.create(token, agreed)
        return token

    def end(self, token: str) -> None:
        """Show that progress no longer; the client may not even have agreed yet."""
        self._over.add(token)
        if token in self.work_done_progress.tokens:
            self.work_done_progress.end(token, lsp.WorkDoneProgressEnd())

    def take(self, options: Any, trust: bool | None = None) -> None:
        """Take options from the client; those that are not understood are told and leave all as it was."""
        try:
            taken = msgspec.convert(options or {}, Options)
        except msgspec.ValidationError as error:
            self.window_show_message(
                lsp.ShowMessageParams(lsp.MessageType.Warning, f"netlint: options of the editor: {error}")
            )
            return
        taken.trust = taken.trust if trust is None else trust
        self.linter.options = taken

    async def page(self, code: str, folder: Path) -> str:
        """The page of a rule, as netlint has it in a folder."""
        if (code, folder) not in self.pages:
            self.pages[code, folder] = await child.rule_page(code, folder)
        return self.pages[code, folder]


def has_lines(file: Path) -> bool:
    """Whether a file is text: of others the first line stands for all."""
    return file.suffix not in (".onnx", ".pt2")


class _Texts(dict[Path, list[str]]):
    """The lines of files, each read once."""

    def __missing__(self, file: Path) -> list[str]:
        self[file] = lines(file) if has_lines(file) else []
        return self[file]
