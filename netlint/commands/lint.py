"""`netlint TARGET...`: lint models, and write the reports that are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netlint.config import LEVELS
from netlint.errors import ConfigError
from netlint.options import capture_options, stated_training, taken_capture, training_options
from netlint.rule import Level
from netlint.terminal import colours, painted, put

from . import BUG, CLEAN, FINDINGS, UNREADABLE, Command

if TYPE_CHECKING:
    from netlint.report import Run

FORMATS = ("text", "json")
"""The modules in `report/` that render a run."""


@click.command(hidden=True, cls=Command)
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
    from netlint import collector
    from netlint.report import Run
    from netlint.session import Session
    from netlint.sources import Sources

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
    render = import_module(f"netlint.report.{format_}").render
    rendered = render(run, painted) if format_ == "text" and path is None and colours() else render(run)
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
