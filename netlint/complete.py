"""What a shell offers for the word that is being typed: names of rules, formats, losses, files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from click import Context, Parameter
    from click.shell_completion import CompletionItem


def rules(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of rules, each with what it reports; codes where capitals are typed. After a comma, the next."""
    from pathlib import Path

    from .config import find_settings
    from .errors import UserError
    from .index import declared

    try:
        folders = find_settings(Path.cwd()).rule_folders
    except UserError:
        folders = ()
    before, comma, last = incomplete.rpartition(",")
    known = declared(folders)
    named = [(entry.code if last[:1].isupper() else entry.name, entry.summary) for entry in known]
    return _items(((before + comma + name, about) for name, about in named), incomplete)


def formats(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:
    """Formats of reports."""
    from .commands.outputs import FORMATS

    return _items(((name, "") for name in FORMATS), incomplete)


def field(name: str) -> Callable[[Context, Parameter, str], list[CompletionItem]]:
    """The values of a field of the training contract, where they can be listed."""

    def values(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:
        from .training import LOSSES, OPTIMIZERS, PRECISIONS, STAGES, TASKS

        known: dict[str, Iterable[str]] = {
            "loss": LOSSES,
            "task": TASKS,
            "optimizer": OPTIMIZERS,
            "precision": PRECISIONS,
            "stage": STAGES,
        }
        return _items(((value, "") for value in known.get(name, ())), incomplete)

    return values


def files(ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:
    """Left to the shell."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def _items(known: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name, help=about or None) for name, about in known if name.startswith(incomplete)]
