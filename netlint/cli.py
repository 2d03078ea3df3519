"""argv -> exit code. Only this file prints, by means of `terminal`.

Exit codes: 0 clean; 1 findings at or above --fail-on; 2 usage or configuration; 3 a target could not be analysed;
4 a bug in netlint. The highest wins; the findings of the other targets are printed all the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from . import __version__
from .config import LEVELS, ConfigError, find_settings
from .options import capture_options, stated_training, taken_capture, training_options, write_sections
from .registry import RegistryError, UnknownRule, load_rules
from .rule import Level
from .terminal import attended, colours, painted, put
from .training import ContractError

if TYPE_CHECKING:
    from .report import Run

CLEAN, FINDINGS, USAGE, UNREADABLE, BUG = 0, 1, 2, 3, 4
FORMATS = ("text", "json")


class _Commands(click.Group):
    """A group whose default command is `lint`: `netlint model.onnx` needs no verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h", "--version"):
            args = ["lint", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_sections(self.commands["lint"], ctx, formatter)
        self.format_commands(ctx, formatter)


class _Command(click.Command):
    """A command with the options of `lint`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_sections(self, ctx, formatter)


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


@cli.command(hidden=True, cls=_Command)
@click.argument("models", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "-o", "--output", "outputs", multiple=True, metavar="FORMAT[:PATH]", help="text (default) or json; repeatable."
)
@click.option("--select", multiple=True, metavar="RULES", help="Run only these: codes, names, prefixes (ACT), all.")
@click.option("--ignore", multiple=True, metavar="RULES", help="Do not run these.")
@click.option(
    "--fail-on", type=click.Choice(list(LEVELS)), help="Lowest level that makes the exit code 1; default warning."
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever was found.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; default: the closest above a target.")
@click.option("-v", "--verbose", count=True, help="Name every skipped rule, assumption and unknown operator.")
@click.option("-q", "--quiet", is_flag=True, help="Print findings only.")
@capture_options
@training_options
def lint(
    models: tuple[str, ...],
    outputs: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str | None,
    exit_zero: bool,
    config: Path | None,
    verbose: int,
    quiet: bool,
    **fields: Any,
) -> None:
    """Lint models."""
    from . import collector
    from .report import Run
    from .session import Session
    from .sources import Sources

    destinations = _destinations(outputs or ("text",))
    capture = taken_capture(fields)
    session = Session(config, _split(select), _split(ignore), stated_training(fields), capture)
    collector.by_hand()
    results = tuple(session.results(models))
    if verbose and session.printed:
        click.echo(session.printed, err=True)
    run = Run(results, Sources(Path.cwd()), -1 if quiet else verbose)
    for format_, path in destinations:
        _write(run, format_, path)
    raise SystemExit(_exit_code(run, LEVELS[fail_on] if fail_on else session.fail_on, exit_zero))


def _split(texts: Sequence[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _destinations(texts: Sequence[str]) -> list[tuple[str, Path | None]]:
    """Format and file (None: standard output, which comes first) of each `-o`."""
    taken: dict[Path | None, str] = {}
    for text in texts:
        format_, _, name = text.partition(":")
        path = Path(name) if name else None
        if format_ not in FORMATS:
            raise click.UsageError(f"unknown output format '{format_}'; there are {', '.join(FORMATS)}")
        if path in taken:
            place = path or "standard output"
            raise click.UsageError(f"two outputs go to {place}; give each a file of its own: -o {format_}:PATH")
        taken[path] = format_
    return sorted(((format_, path) for path, format_ in taken.items()), key=lambda entry: entry[1] is not None)


def _write(run: Run, format_: str, path: Path | None) -> None:
    if format_ == "json":
        from .report.json import render as render_json

        rendered = render_json(run)
    else:
        from .report.text import render as render_text
        from .report.text import unpainted

        rendered = render_text(run, painted if path is None and colours() else unpainted)
    if path is None:
        put(rendered)
        return
    try:
        path.write_text(rendered, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


def _exit_code(run: Run, fail_on: Level, exit_zero: bool) -> int:
    if any(report.crashed for report in run.reports):
        return BUG
    if run.failures:
        return UNREADABLE
    worst = max((found.level for report in run.reports for found in report.findings), default=Level.NOTE)
    # A note never fails a run, unless --fail-on=note asks for it.
    found = any(report.findings for report in run.reports)
    return FINDINGS if found and worst >= fail_on and not exit_zero else CLEAN


@cli.command()
@click.argument("rule")
def rule(rule: str) -> None:
    """Show the page of a rule, given its code or name."""
    found = load_rules(find_settings(Path.cwd()).rule_folders).find(rule)
    levels = "/".join(str(level) for level in found.levels)
    title = (
        f"# {found.name} ({found.code})\n\n{levels} · since {found.since} · {found.status}\n\n{found.page.strip()}\n"
    )
    if attended() and colours():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(title))
    else:
        put(title + "\n")


@cli.command()
def rules() -> None:
    """List all rules."""
    listed = load_rules(find_settings(Path.cwd()).rule_folders).values()
    put(
        "".join(
            f"{found.code}  {painted(f'{found.level!s:8}', str(found.level))} {found.name:26} {found.summary}\n"
            for found in listed
        )
    )


@cli.command(cls=_Command)
@click.argument("model", metavar="TARGET")
@click.argument("value", required=False)
@capture_options
@training_options
def show(model: str, value: str | None, **fields: Any) -> None:
    """Show what the analyses know of a model, or of one value or node in it."""
    from . import show as pages
    from .frontends import TargetError
    from .report.text import clean
    from .session import Session

    capture = taken_capture(fields)
    try:
        page = Session(None, stated=stated_training(fields), capture=capture).show(model, value)
    except TargetError as error:
        why = "; ".join(map(clean, str(error).splitlines()))
        _fail(f"{clean(model)} {why}" + (f"; {error.help}" if error.help else ""), UNREADABLE)
    except pages.UnknownValue as error:
        _fail(str(error))
    put(page + "\n")


@cli.command()
@click.argument("what", type=click.Choice(["report"]))
def schema(what: str) -> None:
    """Print the JSON Schema of the JSON report."""
    import json

    from .report.json import schema as report_schema

    put(json.dumps(report_schema(), indent=2) + "\n")


def _fail(message: str, code: int = USAGE) -> NoReturn:
    click.echo(f"netlint: {message}", err=True)
    raise SystemExit(code)


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
    except (ConfigError, ContractError, RegistryError, UnknownRule) as error:
        _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except Exception as error:
        if os.environ.get("NETLINT_TRACEBACK"):
            raise
        click.echo(f"netlint: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("this is a bug in netlint; NETLINT_TRACEBACK=1 shows where. Please report it.", err=True)
        raise SystemExit(BUG) from None
