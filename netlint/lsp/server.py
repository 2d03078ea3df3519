"""The language server protocol, by means of pygls: what a client tells goes to the linter, what it asks is answered."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from netlint import __version__

from . import child, ignoring, words
from .findings import Entry
from .linter import SETTINGS, Linter, Options
from .targets import lines

_SEVERITIES = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
    "note": lsp.DiagnosticSeverity.Information,
}
_WATCHED = (*(f"**/{name}" for name in SETTINGS), "**/*.py", "**/*.onnx", "**/*.onnxtxt", "**/*.pt2")
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
        if not name:
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

    def show(self, file: Path, entries: list[Entry]) -> None:
        """Publish the diagnostics of a file."""
        shown = [self._diagnostic(entry, _text(file)) for entry in entries]
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(self.uri(file), shown))

    def _diagnostic(self, entry: Entry, text: list[str]) -> lsp.Diagnostic:
        return lsp.Diagnostic(
            range=self._range(entry.line, text),
            message=entry.message,
            severity=_SEVERITIES[entry.level],
            code=entry.code or None,
            source=SOURCE,
            related_information=[
                lsp.DiagnosticRelatedInformation(lsp.Location(self.uri(file), self._range(line, _text(file))), message)
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


def _has_lines(file: Path) -> bool:
    """Whether a file is text: of others the first line stands for all."""
    return file.suffix not in (".onnx", ".pt2")


def _text(file: Path) -> list[str]:
    return lines(file) if _has_lines(file) else []


def make_server() -> Server:
    """A server with all it can do."""
    server = Server()
    _keep_up(server)
    _answer(server)
    return server


def _keep_up(server: Server) -> None:
    """What the client tells."""
    linter = server.linter

    @server.feature(lsp.INITIALIZE)
    def initialize(params: lsp.InitializeParams) -> None:
        server.take(params.initialization_options)

    @server.feature(lsp.INITIALIZED)
    def initialized(params: lsp.InitializedParams) -> None:
        _watch(server)
        linter.refresh()

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        if file := server.path(params.text_document.uri):
            linter.opened(file)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        if file := server.path(params.text_document.uri):
            linter.saved(file)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        if file := server.path(params.text_document.uri):
            linter.closed(file)

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def changed(params: lsp.DidChangeWatchedFilesParams) -> None:
        linter.changed(file for change in params.changes if (file := server.path(change.uri)))

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def folders_changed(params: lsp.DidChangeWorkspaceFoldersParams) -> None:
        linter.refresh()

    @server.feature(lsp.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def configured(params: lsp.DidChangeConfigurationParams) -> None:
        settings = params.settings
        workspace = server.client_capabilities.workspace
        if not settings and workspace is not None and workspace.configuration:
            asked = lsp.ConfigurationParams([lsp.ConfigurationItem(section=SOURCE)])
            settings = {SOURCE: (await server.workspace_configuration_async(asked))[0]}
        if isinstance(settings, dict) and settings.get(SOURCE) is not None:
            server.take(settings[SOURCE], trust=linter.options.trust)
            linter.refresh()

    @server.feature(lsp.SHUTDOWN)
    def shutdown(params: None) -> None:
        linter.stop()


def _watch(server: Server) -> None:
    """Ask to be told of changes to files, by whichever program."""
    workspace = server.client_capabilities.workspace
    watching = workspace.did_change_watched_files if workspace else None
    if watching is None or not watching.dynamic_registration:
        return
    options = lsp.DidChangeWatchedFilesRegistrationOptions([lsp.FileSystemWatcher(pattern) for pattern in _WATCHED])
    registration = lsp.Registration("netlint-files", lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
    server.client_register_capability(lsp.RegistrationParams([registration]))


def _answer(server: Server) -> None:
    """What the client asks."""

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    async def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        file = server.path(params.text_document.uri)
        line = params.position.line
        if file is None or not _as_saved(server, params.text_document.uri, file, line):
            return None
        entries = [entry for entry in server.linter.shown(file) if entry.line == line + 1]
        pages = [words.page(entry, await _page_for(server, entry)) for entry in entries]
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, "\n\n---\n\n".join(pages))) if pages else None

    @server.feature(
        lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix])
    )
    def actions(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        uri = params.text_document.uri
        file = server.path(uri)
        if file is None or file.suffix not in (".py", ".pyi"):
            return []
        text = server.workspace.get_text_document(uri).lines
        told = [diagnostic for diagnostic in params.context.diagnostics if diagnostic.source == SOURCE]
        return list(_ignoring(server, uri, text, told))


def _as_saved(server: Server, uri: str, file: Path, line: int) -> bool:
    """Whether a line in the editor is the one that was linted; of files that are no text nothing is compared."""
    if not _has_lines(file):
        return True
    now, saved = server.workspace.get_text_document(uri).lines, lines(file)
    return line < len(now) and line < len(saved) and now[line].rstrip("\r\n") == saved[line]


async def _page_for(server: Server, entry: Entry) -> str:
    folder = next((target.folder for target in server.linter.targets() if target.text == entry.target), None)
    return await server.page(entry.code, folder) if folder and entry.code else ""


def _ignoring(
    server: Server, uri: str, text: Iterable[str], told: Iterable[lsp.Diagnostic]
) -> Iterable[lsp.CodeAction]:
    text = list(text)
    for diagnostic in told:
        rule = _rule(server, uri, diagnostic)
        edit = ignoring.insertion(text, diagnostic.range.start.line, rule) if rule else None
        if edit is None:
            continue
        column, inserted = edit
        number = diagnostic.range.start.line
        at = lsp.Position(number, server.workspace.position_codec.client_num_units(text[number][:column]))
        yield lsp.CodeAction(
            title=f"Ignore {rule} on this line",
            kind=lsp.CodeActionKind.QuickFix,
            diagnostics=[diagnostic],
            edit=lsp.WorkspaceEdit({uri: [lsp.TextEdit(lsp.Range(at, at), inserted)]}),
        )


def _rule(server: Server, uri: str, diagnostic: lsp.Diagnostic) -> str | None:
    """The name of the rule; of clients that do not send the data of a diagnostic back, by its code."""
    if isinstance(diagnostic.data, dict):
        return diagnostic.data.get("rule")
    file = server.path(uri)
    known = [entry for entry in server.linter.shown(file) if entry.code == diagnostic.code] if file else []
    return next((entry.alike[0].rule for entry in known if entry.alike), None)


def serve() -> None:
    """Serve one client on standard input and output, until it says or its end tells that it is over."""

    def end(number: int, frame: object) -> None:
        child.end_all()
        os._exit(128 + number)  # the thread that reads standard input waits for more

    signal.signal(signal.SIGTERM, end)
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not disturb the protocol
    make_server().start_io(sys.stdin.buffer, private)
