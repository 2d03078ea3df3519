"""What a client asks: about a line, and what can be done about the findings on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lsprotocol import types as lsp

from . import ignoring, words
from .connection import SOURCE, Server, has_lines
from .findings import Entry
from .overriding import override, settings_of
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
    """The quick fixes for findings: a comment on the line of code that they come from, else an override."""
    only = params.context.only
    file = server.path(params.text_document.uri)
    if file is None or not (only is None or any(kind == _FIX or _FIX.startswith(f"{kind}.") for kind in only)):
        return []
    told = [diagnostic for diagnostic in params.context.diagnostics if diagnostic.source == SOURCE]
    made = (_action(server, params.text_document.uri, file, diagnostic) for diagnostic in told)
    return [action for action in made if action is not None]


_FIX = lsp.CodeActionKind.QuickFix.value


def _action(server: Server, uri: str, file: Path, diagnostic: lsp.Diagnostic) -> lsp.CodeAction | None:
    entry = _entry(server, file, diagnostic)
    if entry is not None and not entry.in_code:
        return _override(server, entry, diagnostic)
    rule = _rule(entry, diagnostic)
    return _comment(server, uri, rule, diagnostic) if rule and file.suffix in (".py", ".pyi") else None


def _as_saved(server: Server, uri: str, file: Path, line: int) -> bool:
    """Whether a line in the editor is the one that was linted; of files that are no text nothing is compared."""
    if not has_lines(file):
        return True
    now, saved = server.workspace.get_text_document(uri).lines, lines(file)
    return line < len(now) and line < len(saved) and now[line].rstrip("\r\n") == saved[line]


async def _page_for(server: Server, entry: Entry) -> str:
    target = server.linter.owner(entry)
    return await server.page(entry.code, target.folder) if target and entry.code else ""


def _entry(server: Server, file: Path, diagnostic: lsp.Diagnostic) -> Entry | None:
    """What is shown as a diagnostic, wherever editing has moved it; some clients do not send its data back."""
    known = [entry for entry in server.linter.shown(file) if entry.alike and entry.code == diagnostic.code]
    if isinstance(diagnostic.data, dict):
        prints = diagnostic.data.get("fingerprints", [])
        known = [entry for entry in known if entry.target == diagnostic.data.get("target") and _prints(entry) == prints]
    return next(iter(known), None)


def _prints(entry: Entry) -> list[str]:
    return [finding.fingerprint for finding in entry.alike]


def _rule(entry: Entry | None, diagnostic: lsp.Diagnostic) -> str | None:
    if isinstance(diagnostic.data, dict):
        return diagnostic.data.get("rule")
    return entry.alike[0].rule if entry else None


def _comment(server: Server, uri: str, rule: str, diagnostic: lsp.Diagnostic) -> lsp.CodeAction | None:
    text = server.workspace.get_text_document(uri).lines
    edit = ignoring.insertion(text, diagnostic.range.start.line, rule)
    if edit is None:
        return None
    column = server.workspace.position_codec.client_num_units(text[edit.line][: edit.column])
    at = lsp.Position(edit.line, column)
    return lsp.CodeAction(
        title=f"Ignore {rule} on this line",
        kind=lsp.CodeActionKind.QuickFix,
        diagnostics=[diagnostic],
        edit=lsp.WorkspaceEdit({uri: [lsp.TextEdit(lsp.Range(at, at), edit.text)]}),
    )


def _override(server: Server, entry: Entry, diagnostic: lsp.Diagnostic) -> lsp.CodeAction | None:
    target = server.linter.owner(entry)
    file = settings_of(target, server.folders()) if target else None
    if target is None or file is None or not (file.is_file() or server.creates_files()):
        return None
    rule, uri = entry.alike[0].rule, server.uri(file)
    text = server.workspace.get_text_document(uri).lines if file.is_file() else []
    added = override("".join(text), file, target, rule, entry.alike)
    if added is None:
        return None
    return lsp.CodeAction(
        title=f"Ignore {rule} in {target.text}: an override in {file.name}",
        kind=lsp.CodeActionKind.QuickFix,
        diagnostics=[diagnostic],
        edit=_append(server, uri, text, added, is_new=not file.is_file()),
    )


def _append(server: Server, uri: str, text: Sequence[str], added: str, is_new: bool) -> lsp.WorkspaceEdit:
    last = text[-1] if text and not text[-1].endswith(("\n", "\r")) else ""
    end = lsp.Position(len(text) - bool(last), server.workspace.position_codec.client_num_units(last))
    edit = lsp.TextEdit(lsp.Range(end, end), added)
    if not is_new:
        return lsp.WorkspaceEdit({uri: [edit]})
    document = lsp.OptionalVersionedTextDocumentIdentifier(uri)
    return lsp.WorkspaceEdit(document_changes=[lsp.CreateFile(uri), lsp.TextDocumentEdit(document, [edit])])
