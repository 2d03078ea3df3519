"""`netlint TARGET...`: lint models, and write the reports that are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netlint import complete
from netlint.config import LEVELS
from netlint.options import capture_options, stated_training, taken_capture, training_options
from netlint.rule import Level

from . import BUG, CLEAN, FINDINGS, UNREADABLE, Command
from .outputs import FORMATS, write
from .outputs import outputs as destinations

if TYPE_CHECKING:
    from netlint.report import Run
    from netlint.session import Session


@click.command(hidden=True, cls=Command)
@click.argument("models", nargs=-1, metavar="TARGET...", shell_complete=complete.files)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FORMAT[:PATH]",
    shell_complete=complete.formats,
    help=f"{', '.join(FORMATS)}; default text, on standard output; repeatable.",
)
@click.option(
    "--select",
    multiple=True,
    metavar="RULES",
    help="Run only these: codes, names, prefixes (ACT), all.",
    shell_complete=complete.rules,
)
@click.option("--ignore", multiple=True, metavar="RULES", help="Do not run these.", shell_complete=complete.rules)
@click.option(
    "--fail-on", type=click.Choice(list(LEVELS)), help="Lowest level that makes the exit code 1; default warning."
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever was found.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; default: the closest above a target.")
@click.option("--baseline", type=click.Path(path_type=Path), help="File of known findings; only new ones are reported.")
@click.option("-v", "--verbose", count=True, help="Name every skipped rule, assumption and unknown operator.")
@click.option("-q", "--quiet", is_flag=True, help="Print findings only.")
@click.option("--statistics", is_flag=True, help="Also count the findings of each rule.")
@click.option("--profile", is_flag=True, help="Also tell how long each rule and analysis took.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Targets linted at a time; default: as many as there are cores, fewer if it does not pay.",
)
@click.option("--configured", is_flag=True, help="Also lint the Python targets that the settings name.")
@click.option("--force-exclude", is_flag=True, help="Leave out what the settings exclude, even if it is named.")
@click.option("--no-cache", is_flag=True, help="Lint unchanged models again.")
@click.option(
    "--cache-dir",
    type=click.Path(file_okay=False),
    help="Where results are kept; default: .netlint_cache beside the settings file.",
)
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
    baseline: Path | None,
    verbose: int,
    quiet: bool,
    statistics: bool,
    profile: bool,
    jobs: int | None,
    configured: bool,
    force_exclude: bool,
    no_cache: bool,
    cache_dir: str | None,
    **fields: Any,
) -> None:
    """Lint models."""
    from netlint import collector
    from netlint.cache import Cache
    from netlint.plans import Plans
    from netlint.progress import Progress
    from netlint.report import Run
    from netlint.session import Session
    from netlint.sources import Sources

    wanted = destinations(outputs or ("text",))
    capture = taken_capture(fields)
    stated = stated_training(fields)
    cache = None if no_cache or profile else Cache(cache_dir or "")
    collector.by_hand()
    with Progress(quiet) as progress:
        session = Session(
            Plans(config, split(select), split(ignore), stated, capture),
            *(cache, jobs, progress),
            baseline=baseline,
            force_exclude=force_exclude,
            timed=profile,
        )
        results = session.results(_named(session, models, configured))
    if verbose and session.printed:
        click.echo(session.printed, err=True)
    lowest = LEVELS[fail_on] if fail_on else session.fail_on
    run = Run(results, Sources(Path.cwd()), -1 if quiet else verbose, statistics, profile, lowest)
    run = replace(run, exit_code=_exit_code(run, exit_zero))
    write(run, wanted)
    raise SystemExit(run.exit_code)


def split(texts: Sequence[str]) -> list[str]:
    """The selectors of a flag that may be repeated, or name several with commas."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _named(session: Session, models: Sequence[str], configured: bool) -> list[str]:
    """What is to be linted. Raises `UsageError` where that is nothing."""
    if not models and not configured:
        raise click.UsageError("Missing argument 'TARGET...'; --configured lints what the settings name")
    found = session.configured() if configured else []
    if configured and not found:
        raise click.UsageError('no settings name a Python target: [[tool.netlint.targets]] with path = "net.py:Net"')
    return [*models, *found]


def _exit_code(run: Run, exit_zero: bool) -> int:
    from netlint.report import bugs

    if bugs(run.results):
        return BUG
    if run.failures:
        return UNREADABLE
    worst = max((found.level for report in run.reports for found in report.findings), default=Level.NOTE)
    # A note never fails a run, unless --fail-on=note asks for it.
    found = any(report.findings for report in run.reports)
    return FINDINGS if found and worst >= run.fail_on and not exit_zero else CLEAN
