"""Where reports go: `-o FORMAT[:PATH]`, checked before anything is linted, written at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netlint.errors import ConfigError, get_close_matches
from netlint.records import record
from netlint.terminal import colours, hyperlinks, linked, painted, put
from netlint.training import did_you_mean

if TYPE_CHECKING:
    from netlint.report import Run

FORMATS = ("text", "concise", "json", "jsonl", "sarif", "github", "gitlab", "junit", "markdown", "html")
"""The modules in `report/` that render a run."""

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Set by GitHub Actions: the file to which a step appends what its page shows."""


@record
class Output:
    """One report that is wanted."""

    format: str
    path: Path | None
    """None: standard output."""


def outputs(texts: Sequence[str]) -> list[Output]:
    """What each `-o` asks for, standard output first. Raises `UsageError` and `ConfigError`."""
    taken: dict[Path | None, Output] = {}
    for text in texts:
        format_, _, name = text.partition(":")
        path = None if name in ("", "-") else Path(name)
        if format_ not in FORMATS:
            hint = did_you_mean(get_close_matches(format_.lower(), FORMATS, n=1), FORMATS)
            raise click.UsageError(f"unknown output format '{format_}'{hint}")
        if path in taken:
            place = path or "standard output"
            raise click.UsageError(f"two outputs go to {place}; give each a file of its own: -o {format_}:PATH")
        if path is not None:
            _check(path)
        taken[path] = Output(format_, path)
    return sorted(taken.values(), key=lambda output: output.path is not None)


def _check(path: Path) -> None:
    if not path.parent.is_dir():
        raise ConfigError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise ConfigError(f"cannot write {path}: it is a folder; name a file in it")


def write(run: Run, wanted: Sequence[Output]) -> None:
    """Write all reports; if one cannot be written the others still are. Raises `ConfigError` at the end."""
    problems = []
    for output in wanted:
        try:
            _write(run, output)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("; ".join(problems))


def _write(run: Run, output: Output) -> None:
    if output.path is not None:
        _into(output.path, rendered(run, output.format))
        return
    put(_for_the_terminal(run) if output.format == "text" else rendered(run, output.format))
    if output.format == "github" and (page := os.environ.get(STEP_SUMMARY)):
        _into(Path(page), rendered(run, "markdown"), append=True)


def rendered(run: Run, format_: str) -> str:
    text = import_module(f"netlint.report.{format_}").render(run)
    assert isinstance(text, str)
    return text


def _for_the_terminal(run: Run) -> str:
    from netlint.report.text import render, unlinked, unpainted

    return render(run, painted if colours() else unpainted, linked if hyperlinks() else unlinked)


def _into(path: Path, text: str, append: bool = False) -> None:
    try:
        with path.open("a" if append else "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None
