"""argv -> exit code. The commands are in `commands/`; these and this file alone print, by means of `terminal`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn

import click

from . import __version__, complete
from .commands import BUG, CLEAN, USAGE, fail
from .errors import UserError, get_close_matches

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "baseline": "baseline",
    "completion": "completion",
    "config": "config",
    "init": "init",
    "lint": "lint",
    "rule": "rules",
    "rules": "rules",
    "schema": "schema",
    "server": "server",
    "show": "show",
}
"""Each command, and the module in `commands/` that has it; imported when it is called."""


class _Commands(click.Group):
    """A group whose default command is `lint`: `netlint model.onnx` needs no verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in COMMANDS and args[0] not in ("--help", "-h", "--version"):
            _check_spelling(args[0])
            args = ["lint", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, and what `lint` takes, which need not be named."""
        lint = self.get_command(ctx, "lint")
        assert lint is not None
        if incomplete.startswith("-"):
            taken = lint.shell_complete(lint.make_context("lint", [], parent=ctx, resilient_parsing=True), incomplete)
        else:
            taken = complete.files(ctx, lint.params[0], incomplete)
        return [*super().shell_complete(ctx, incomplete), *taken]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        found = getattr(import_module(f"netlint.commands.{COMMANDS[name]}"), name)
        assert isinstance(found, click.Command)
        return found

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from .options import write_sections

        lint = self.get_command(ctx, "lint")
        assert lint is not None
        write_sections(lint, ctx, formatter)
        self.format_commands(ctx, formatter)


def _check_spelling(word: str) -> None:
    """A word that is no target, but nearly a command. Raises `UsageError`."""
    if not word.isalpha() or os.path.lexists(word):
        return
    for command in get_close_matches(word, COMMANDS, n=1, cutoff=0.75):
        raise click.UsageError(f"neither a command nor a target '{word}'; did you mean the command '{command}'?")


@click.group(
    cls=_Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit: 0 clean, 1 findings, 2 usage or configuration, 3 a target could not be analysed, 4 a bug in netlint.",
)
@click.version_option(__version__, message="netlint %(version)s")
def cli() -> None:
    """Name the design and numerical faults of neural networks: the layer, the reason, the evidence, the fix.

    \b
    netlint TARGET...     model.onnx, model.pt2, a folder, a glob, model.onnxtxt, or - for standard input;
                          net.py:Net, pkg.mod:factory, "net.py:Net(classes=10)": imports that code, in a
                          process of its own; weights.pt with --factory net.py:Net
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; the user's own mistakes end in one line, netlint's in an invitation to report them."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # arrows and symbols, where the locale has none
    try:
        cli.main(args=None if argv is None else list(argv), prog_name="netlint", standalone_mode=False)
        raise SystemExit(CLEAN)
    except click.ClickException as error:
        error.show()
        raise SystemExit(USAGE) from None
    except UserError as error:
        fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except Exception as error:
        if os.environ.get("NETLINT_TRACEBACK"):
            raise
        click.echo(f"netlint: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("this is a bug in netlint; NETLINT_TRACEBACK=1 shows where. Please report it.", err=True)
        raise SystemExit(BUG) from None
