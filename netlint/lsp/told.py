"""What a client tells: which files it opens and saves, which change, what its settings are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lsprotocol import types as lsp

from .connection import SOURCE, Server
from .linter import SETTINGS

_WATCHED = (*(f"**/{name}" for name in SETTINGS), "**/*.py", "**/*.onnx", "**/*.onnxtxt", "**/*.pt2")


def _initialize(server: Server, params: lsp.InitializeParams) -> None:
    server.take(params.initialization_options)


def _initialized(server: Server, params: lsp.InitializedParams) -> None:
    _watch(server)
    server.linter.refresh()


def _watch(server: Server) -> None:
    """Ask to be told of changes to files, by whichever program."""
    workspace = server.client_capabilities.workspace
    watching = workspace.did_change_watched_files if workspace else None
    if watching is None or not watching.dynamic_registration:
        return
    options = lsp.DidChangeWatchedFilesRegistrationOptions([lsp.FileSystemWatcher(pattern) for pattern in _WATCHED])
    registration = lsp.Registration("netlint-files", lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
    server.client_register_capability(lsp.RegistrationParams([registration]))


def _opened(server: Server, params: lsp.DidOpenTextDocumentParams) -> None:
    if file := server.path(params.text_document.uri):
        server.linter.opened(file)


def _saved(server: Server, params: lsp.DidSaveTextDocumentParams) -> None:
    if file := server.path(params.text_document.uri):
        server.linter.saved(file)


def _closed(server: Server, params: lsp.DidCloseTextDocumentParams) -> None:
    if file := server.path(params.text_document.uri):
        server.linter.closed(file)


def _files_changed(server: Server, params: lsp.DidChangeWatchedFilesParams) -> None:
    server.linter.changed(file for change in params.changes if (file := server.path(change.uri)))


def _folders_changed(server: Server, params: lsp.DidChangeWorkspaceFoldersParams) -> None:
    server.linter.refresh()


async def _configured(server: Server, params: lsp.DidChangeConfigurationParams) -> None:
    settings = params.settings
    workspace = server.client_capabilities.workspace
    if not settings and workspace is not None and workspace.configuration:
        asked = lsp.ConfigurationParams([lsp.ConfigurationItem(section=SOURCE)])
        settings = {SOURCE: (await server.workspace_configuration_async(asked))[0]}
    if isinstance(settings, dict) and settings.get(SOURCE) is not None:
        server.take(settings[SOURCE], trust=server.linter.options.trust)
        server.linter.refresh()


def _shutdown(server: Server, params: None) -> None:
    server.linter.stop()


TOLD: Mapping[str, Callable[[Server, Any], Any]] = {
    lsp.INITIALIZE: _initialize,
    lsp.INITIALIZED: _initialized,
    lsp.TEXT_DOCUMENT_DID_OPEN: _opened,
    lsp.TEXT_DOCUMENT_DID_SAVE: _saved,
    lsp.TEXT_DOCUMENT_DID_CLOSE: _closed,
    lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES: _files_changed,
    lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: _folders_changed,
    lsp.WORKSPACE_DID_CHANGE_CONFIGURATION: _configured,
    lsp.SHUTDOWN: _shutdown,
}
