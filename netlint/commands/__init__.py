"""The commands of the command line, one module each, and what they share.

Exit codes: 0 clean; 1 findings at or above --fail-on; 2 usage or configuration; 3 a target could not be analysed;
4 a bug in netlint. The highest wins; the findings of the other targets are printed all the same.
"""

from __future__ import annotations

from typing import Any, NoReturn

import click

CLEAN, FINDINGS, USAGE, UNREADABLE, BUG = 0, 1, 2, 3, 4


class Command(click.Command):
    """A command whose many options are listed in sections, and may each be given by a variable of the environment."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            if isinstance(param, click.Option):
                param.envvar = param.envvar or variable(param)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`--probe` alone takes no value: what follows is a target."""
        try:
            return super().parse_args(ctx, ["--probe=auto" if arg == "--probe" else arg for arg in args])
        except click.BadParameter as error:
            if error.param is not None and from_environment(ctx, error.param.name or ""):
                error.param_hint = f"'{variable(error.param)}'"
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from netlint.options import write_sections

        write_sections(self, ctx, formatter)


def variable(option: click.Parameter) -> str:
    """The variable that gives an option: `NETLINT_FAIL_ON` is `--fail-on`."""
    flag = max(option.opts, key=len)
    return "NETLINT_" + flag.lstrip("-").replace("-", "_").upper()


def from_environment(ctx: click.Context, name: str) -> bool:
    """Whether an option was given by its variable."""
    return ctx.get_parameter_source(name) is click.core.ParameterSource.ENVIRONMENT


def fail(message: str, code: int = USAGE) -> NoReturn:
    """End in one line that names the mistake."""
    click.echo(f"netlint: {message}", err=True)
    raise SystemExit(code)
