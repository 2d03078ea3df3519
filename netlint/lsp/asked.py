"""What a client asks: about a line, and what can be done about the findings on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lsprotocol import types as lsp

from . import ignoring, words
from .connection import SOURCE, Server, has_lines
from .findings import Entry
from .targets import lines


async def hover(server: Server, params: lsp.HoverParams) -> lsp.Hover | None:
    """The findings on a line, with their reasons and the pages of their rules."""
    file = server.path(params.text_document.uri)
    line = params.position.line
    if file is None or not _as_saved(server, params.text_document.uri, file, line):
        return None
    entries = [entry for entry in server.linter.shown(file) if entry.line == line + 1]
    pages = [words.page(entry, await _page_for(server, entry)) for entry in entries]
    return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, "\n\n---\n\n".join(pages))) if pages else None


def actions(server: Server, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    """The quick fixes for findings in code; lines of models and settings take no comment of ours."""
    uri = params.text_document.uri
    file = server.path(uri)
    if file is None or file.suffix not in (".py", ".pyi"):
        return []
    text = server.workspace.get_text_document(uri).lines
    told = [diagnostic for diagnostic in params.context.diagnostics if diagnostic.source == SOURCE]
    return list(_ignoring(server, uri, text, told))


def _as_saved(server: Server, uri: str, file: Path, line: int) -> bool:
    """Whether a line in the editor is the one that was linted; of files that are no text nothing is compared."""
    if not has_lines(file):
        return True
    now, saved = server.workspace.get_text_document(uri).lines, lines(file)
    return line < len(now) and line < len(saved) and now[line].rstrip("\r\n") == saved[line]


async def _page_for(server: Server, entry: Entry) -> str:
    folder = next((target.folder for target in server.linter.targets() if target.text == entry.target), None)
    return await server.page(entry.code, folder) if folder and entry.code else ""


def _ignoring(
    server: Server, uri: str, text: Sequence[str], told: Iterable[lsp.Diagnostic]
) -> Iterator[lsp.CodeAction]:
    for diagnostic in told:
        rule = _rule(server, uri, diagnostic)
        edit = ignoring.insertion(text, diagnostic.range.start.line, rule) if rule else None
        if edit is None:
            continue
        column = server.workspace.position_codec.client_num_units(text[edit.line][: edit.column])
        at = lsp.Position(edit.line, column)
        yield lsp.CodeAction(
            title=f"Ignore {rule} on this line",
            kind=lsp.CodeActionKind.QuickFix,
            diagnostics=[diagnostic],
            edit=lsp.WorkspaceEdit({uri: [lsp.TextEdit(lsp.Range(at, at), edit.text)]}),
        )


def _rule(server: Server, uri: str, diagnostic: lsp.Diagnostic) -> str | None:
    """The name of the rule; of clients that do not send the data of a diagnostic back, by its code."""
    if isinstance(diagnostic.data, dict):
        return diagnostic.data.get("rule")
    file = server.path(uri)
    known = [entry for entry in server.linter.shown(file) if entry.code == diagnostic.code] if file else []
    return next((entry.alike[0].rule for entry in known if entry.alike), None)
