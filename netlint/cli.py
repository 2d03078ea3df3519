"""argv -> exit code. The only file that prints.

Exit codes: 0 clean; 1 findings at or above --fail-on; 2 usage or configuration; 3 a target could not be analysed;
4 a bug in netlint. The highest wins; the findings of the other targets are printed all the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from . import __version__, collector
from .config import LEVELS, ConfigError, Settings, find_settings, read_settings
from .registry import Registry, RegistryError, UnknownRule, load_rules
from .rule import Level
from .training import FIELDS, ContractError, Training, parse_training

if TYPE_CHECKING:
    from .engine import Report
    from .report import Failure, Run

CLEAN, FINDINGS, USAGE, UNREADABLE, BUG = 0, 1, 2, 3, 4
FORMATS = ("text", "json")

_FIELD_HELP = {
    "task": "classification, multilabel, regression, segmentation, autoencoder, language-model or gan.",
    "loss": "The loss it is trained with, as torch spells it: cross_entropy, nll_loss, mse_loss, BCEWithLogitsLoss …",
    "targets": "Range of the training targets, e.g. --targets=-1..1",
    "classes": "Number of classes.",
    "input_range": "Range of the inputs, e.g. 0..255",
    "input_mean": "Mean of the inputs.",
    "input_std": "Standard deviation of the inputs.",
    "optimizer": "sgd, adam, adamw, rmsprop …",
    "lr": "Learning rate.",
    "momentum": "Momentum of the optimizer.",
    "weight_decay": "Weight decay of the optimizer.",
    "schedule": "Learning-rate schedule, e.g. cosine; none if it is constant.",
    "batch_size": "Samples in a batch.",
    "dataset_size": "Samples in the training set.",
    "epochs": "Passes over the training set.",
    "grad_clip": "Norm at which gradients are clipped; none if they are not.",
    "precision": "float32, float16, bfloat16, mixed-float16 …",
    "stage": "init (untrained weights) or trained, where the weights do not tell.",
}


class _Commands(click.Group):
    """A group whose default command is `lint`: `netlint model.onnx` needs no verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h", "--version"):
            args = ["lint", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lint = self.commands["lint"]
        options = [param for param in lint.get_params(ctx) if isinstance(param, click.Option)]
        rows = [row for option in options if (row := option.get_help_record(ctx)) is not None]
        training = tuple(f"--{name.replace('_', '-')}" for name in FIELDS)
        with formatter.section("Options"):
            formatter.write_dl([row for row in rows if not row[0].startswith(training)])
        with formatter.section("Training contract: what the model file does not say"):
            formatter.write_dl([row for row in rows if row[0].startswith(training)])
        self.format_commands(ctx, formatter)


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
    netlint TARGET...     model.onnx, a folder, a glob, model.onnxtxt, or - for standard input
    """


def _training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(FIELDS):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, name, metavar="VALUE", help=_FIELD_HELP[name])(command)
    return command


@cli.command(hidden=True)
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
@_training_options
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
    **fields: str | None,
) -> None:
    """Lint models."""
    from .report import Run
    from .sources import Sources

    destinations = [_destination(text) for text in outputs or ("text",)]
    stated = parse_training(
        {name: value for name, value in fields.items() if value is not None},
        lambda name: f"--{name.replace('_', '-')}",
    )
    session = _Session(config, _split(select), _split(ignore), stated)
    results = tuple(session.results(models))
    run = Run(results, Sources(Path.cwd()), -1 if quiet else verbose)
    for format_, path in destinations:
        _write(run, format_, path)
    raise SystemExit(_exit_code(run, LEVELS[fail_on] if fail_on else session.fail_on, exit_zero))


class _Session:
    """The rules and settings of one call; settings files are found and read once each."""

    def __init__(self, config: Path | None, select: Sequence[str], ignore: Sequence[str], stated: Training) -> None:
        self._config = config
        self._select = select
        self._ignore = ignore
        self._stated = stated
        self._settings: dict[Path, Settings] = {}
        self._registries: dict[tuple[Path, ...], Registry] = {}
        self.fail_on = Level.ERROR
        """The strictest level that the settings of any target ask for."""

    def results(self, texts: Sequence[str]) -> Iterator[Report | Failure]:
        """The report of each target, or why there is none. Raises `ConfigError`."""
        from .report import Failure
        from .targets import expand

        collector.by_hand()
        for place, found in enumerate(expand(texts)):
            if place:
                collector.collect()  # the graph of the target before
            yield Failure(*found) if isinstance(found, tuple) else self._result(found)
        if not self._settings:
            self.fail_on = self._settings_for(Path.cwd()).fail_on

    def _result(self, target: str) -> Report | Failure:
        from .engine import lint as lint_graph
        from .frontends import TargetError
        from .report import Failure
        from .targets import STDIN, load

        settings = self._settings_for(Path.cwd() if target == STDIN else Path(target).absolute().parent)
        self.fail_on = min(self.fail_on, settings.fail_on)
        registry = self._registry(settings.rule_folders)
        rules = settings.chosen(registry, self._select, self._ignore)
        training = self._stated.otherwise(settings.contract(target))
        options = settings.options(registry)
        try:
            return lint_graph(load(target), rules, training, options, target)
        except TargetError as error:
            return Failure(target, error)
        except (MemoryError, RecursionError) as error:
            why = TargetError(f"is too large or too deeply nested to analyse ({type(error).__name__})", "")
            return Failure(target, why)

    def _settings_for(self, folder: Path) -> Settings:
        if self._config is not None:
            folder = self._config
        if folder not in self._settings:
            self._settings[folder] = self._read(folder)
        return self._settings[folder]

    def _read(self, folder: Path) -> Settings:
        if self._config is None:
            return find_settings(folder)
        settings = read_settings(self._config)
        if settings is None:
            raise ConfigError(f"{self._config} has no [tool.netlint]")
        return settings

    def _registry(self, folders: tuple[Path, ...]) -> Registry:
        if folders not in self._registries:
            self._registries[folders] = load_rules(folders)
        return self._registries[folders]


def _split(texts: Sequence[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _destination(text: str) -> tuple[str, Path | None]:
    format_, _, path = text.partition(":")
    if format_ not in FORMATS:
        raise click.UsageError(f"unknown output format '{format_}'; there are {', '.join(FORMATS)}")
    return format_, Path(path) if path else None


def _write(run: Run, format_: str, path: Path | None) -> None:
    if format_ == "json":
        from .report.json import render as render_json

        rendered = render_json(run)
    else:
        from .report.text import render as render_text
        from .report.text import unpainted

        rendered = render_text(run, _painted if path is None and _colours() else unpainted)
    if path is None:
        click.echo(rendered, nl=False, color=_colours())
        return
    try:
        path.write_text(rendered, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


_STYLES: dict[str, dict[str, Any]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "note": {"fg": "cyan", "bold": True},
    "frame": {"fg": "blue", "bold": True},
    "strong": {"bold": True},
    "mark": {"fg": "yellow"},
}


def _painted(text: str, role: str) -> str:
    return click.style(text, **_STYLES[role])


def _colours() -> bool:
    """Whether standard output wants colour: a terminal, unless NO_COLOR (https://no-color.org) is set."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")


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
    if sys.stdout.isatty() and _colours():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(title))
    else:
        click.echo(title)


@cli.command()
def rules() -> None:
    """List all rules."""
    for found in load_rules(find_settings(Path.cwd()).rule_folders).values():
        level = click.style(f"{found.level!s:8}", **_STYLES[str(found.level)])
        click.echo(f"{found.code}  {level} {found.name:26} {found.summary}", color=_colours())


@cli.command()
@click.argument("model", metavar="TARGET")
@click.argument("value", required=False)
@_training_options
def show(model: str, value: str | None, **fields: str | None) -> None:
    """Show what the analyses know of a model, or of one value or node in it."""
    from . import show as pages
    from .frontends import TargetError
    from .targets import load

    stated = {name: text for name, text in fields.items() if text is not None}
    training = parse_training(stated, lambda name: f"--{name.replace('_', '-')}")
    try:
        graph = load(model)
        click.echo(pages.model(graph, training) if value is None else pages.one(graph, training, value))
    except TargetError as error:
        click.echo(f"netlint: {model} {error}; {error.help}", err=True)
        raise SystemExit(UNREADABLE) from None
    except pages.UnknownValue as error:
        _usage(str(error))


@cli.command()
@click.argument("what", type=click.Choice(["report"]))
def schema(what: str) -> None:
    """Print the JSON Schema of the JSON report."""
    import json

    from .report.json import schema as report_schema

    click.echo(json.dumps(report_schema(), indent=2))


def _usage(message: str) -> NoReturn:
    click.echo(f"netlint: {message}", err=True)
    raise SystemExit(USAGE)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; the user's own mistakes end in one line, netlint's in an invitation to report them."""
    try:
        cli.main(args=None if argv is None else list(argv), prog_name="netlint", standalone_mode=False)
        raise SystemExit(CLEAN)
    except click.ClickException as error:
        error.show()
        raise SystemExit(USAGE) from None
    except (ConfigError, ContractError, RegistryError, UnknownRule) as error:
        _usage(str(error))
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader went away (`netlint … | head`); keep the interpreter from complaining while it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(CLEAN) from None
    except Exception as error:
        if os.environ.get("NETLINT_TRACEBACK"):
            raise
        click.echo(f"netlint: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("this is a bug in netlint; NETLINT_TRACEBACK=1 shows where. Please report it.", err=True)
        raise SystemExit(BUG) from None
