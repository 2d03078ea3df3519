"""The commands of the command line, one module each, and what they share.

Exit codes: 0 clean; 1 findings at or above --fail-on; 2 usage or configuration; 3 a target could not be analysed;
4 a bug in netlint. The highest wins; the findings of the other targets are printed all the same.
"""

from __future__ import annotations

from typing import NoReturn

import click

CLEAN, FINDINGS, USAGE, UNREADABLE, BUG = 0, 1, 2, 3, 4


class Command(click.Command):
    """A command whose many options are listed in sections."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`--probe` alone takes no value: what follows is a target."""
        return super().parse_args(ctx, ["--probe=auto" if arg == "--probe" else arg for arg in args])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from netlint.options import write_sections

        write_sections(self, ctx, formatter)


def fail(message: str, code: int = USAGE) -> NoReturn:
    """End in one line that names the mistake."""
    click.echo(f"netlint: {message}", err=True)
    raise SystemExit(code)
