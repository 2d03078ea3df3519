"""`netlint baseline create|check|prune`: the findings that a project knows and lives with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netlint import complete
from netlint.options import capture_options, stated_training, taken_capture, training_options
from netlint.terminal import put

from . import BUG, CLEAN, FINDINGS, UNREADABLE, Command

if TYPE_CHECKING:
    from netlint.baseline import Baseline, Key
    from netlint.reported import Report


@click.group()
def baseline() -> None:
    """Keep a list of known findings, so that only new ones are reported."""


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.argument("models", nargs=-1, required=True, metavar="TARGET...", shell_complete=complete.files),
        click.option(
            "--baseline",
            "file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="The file; default: that of the settings, else netlint.baseline.",
        ),
        click.option("--config", type=click.Path(path_type=Path), help="Settings file; default: the closest above."),
    )
    for option in reversed(options):
        command = option(command)
    return capture_options(training_options(command))


class _Work:
    """What the three commands share: the baseline's file, and the reports without it."""

    def __init__(self, models: tuple[str, ...], file: Path | None, config: Path | None, fields: dict[str, Any]) -> None:
        from netlint import collector
        from netlint.plans import Plans
        from netlint.report import bugs
        from netlint.reported import Report
        from netlint.session import Session

        capture = taken_capture(fields)
        session = Session(Plans(config, stated=stated_training(fields), capture=capture), compare=False)
        collector.by_hand()
        self.named = file or session.named_baseline()
        results = session.results(models)
        self.reports: list[Report] = [result for result in results if isinstance(result, Report)]
        for failure in results:
            if not isinstance(failure, Report):
                click.echo(f"not analysed: {failure.target} {failure.error}", err=True)
        failed = len(self.reports) < len(results)
        self.trouble = BUG if bugs(results) else UNREADABLE if failed else CLEAN

    @property
    def file(self) -> Path:
        from netlint.baseline import NAME

        return (self.named or Path(NAME)).absolute()


@baseline.command(cls=Command)
@_options
def create(models: tuple[str, ...], file: Path | None, config: Path | None, **fields: Any) -> None:
    """Write down the findings of the targets; what the file says of other targets stays."""
    from netlint.baseline import Baseline, read_baseline
    from netlint.config import relative

    work = _Work(models, file, config, fields)
    before = read_baseline(work.file) if work.file.exists() else Baseline(work.file, {})
    after = before.updated(work.reports)
    after.write()
    put(f"{relative(work.file)}: {_count(len(after.lines), 'finding')}\n")
    if work.named is None:
        put(f'to use it: --baseline {relative(work.file)}, or baseline = "{work.file.name}" in the settings\n')
    raise SystemExit(work.trouble)


@baseline.command(cls=Command)
@_options
def check(models: tuple[str, ...], file: Path | None, config: Path | None, **fields: Any) -> None:
    """Say which findings are new and which of the baseline are gone; exit with 1 if there are any."""
    from netlint.baseline import read_baseline

    work = _Work(models, file, config, fields)
    known = read_baseline(work.file)
    gone = known.stale(work.reports)
    new = [line for report in work.reports for line in _new(known, report)]
    put("".join([*new, *_gone(known, gone)]))
    put(f"{_count(len(known.lines) - len(gone), 'finding')} known, {len(new)} new, {len(gone)} gone\n")
    raise SystemExit(work.trouble or (FINDINGS if new or gone else CLEAN))


@baseline.command(cls=Command)
@_options
def prune(models: tuple[str, ...], file: Path | None, config: Path | None, **fields: Any) -> None:
    """Remove from the baseline what is gone from the targets, and the lines of files that no longer exist."""
    from netlint.baseline import read_baseline

    work = _Work(models, file, config, fields)
    known = read_baseline(work.file)
    gone = known.stale(work.reports)
    put("".join(_gone(known, gone)))
    if gone:
        known.without(gone).write()
    put(f"{_count(len(known.lines) - len(gone), 'finding')} known, {len(gone)} removed\n")
    raise SystemExit(work.trouble)


def _new(known: Baseline, report: Report) -> list[str]:
    from netlint.report.wording import clean

    return [
        clean(f"new: {report.target} ▸ {found.loc.path}: {found.rule.code} {found.rule.name}: {found.finding.message}")
        + "\n"
        for found in known.new(report)
    ]


def _gone(known: Baseline, keys: list[Key]) -> list[str]:
    from netlint.report.wording import clean

    return [f"gone: {clean(' '.join(known.lines[key].split(chr(9))[1:]))}\n" for key in sorted(keys)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
