"""The commands that are measured, on a model and at start-up."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.measure import Command
from benchmarks.models import Subject

NETLINT = "netlint"
ONNX_LOAD = "onnx.load"
POLYGRAPHY = "polygraphy check lint"
ONNX_DOCTOR = "onnx-doctor check"
NETLINT_HELP = "netlint --help"
NETLINT_RULE = "netlint rule sigmoid-hidden"
NETLINT_COMPLETION = "completion of netlint rule"
NETLINT_VERSION = "netlint --version"
NETLINT_AGAIN = "netlint, result known"
NETLINT_SETTINGS = "netlint, result known, with settings"
NETLINT_ONE_JOB = "netlint --jobs 1, 500 models"
NETLINT_TWO_JOBS = "netlint --jobs 2, 500 models"
POLYGRAPHY_TEN = "polygraphy check lint, 10 processes for 10 models"
BARE_CLICK = "bare click command"

# Linters exit 1 when they have findings.
CLEAN_OR_FINDINGS = (0, 1)
MODELS_FOR_POLYGRAPHY = 10
# Polygraphy needs many minutes for 100,000 nodes and crashes at 4 GiB.
POLYGRAPHY_SUBJECTS = ("light_resnet50", "one_file_1gib")


@dataclass(frozen=True)
class Tools:
    """Where the console scripts lie: netlint's folder and the other checkers' folder."""

    netlint_bin: Path
    peers_bin: Path


def model_commands(subject: Subject, model: Path, tools: Tools) -> list[Command]:
    """All commands that can be run here on the model file of `subject`, the floor first."""
    path = str(model)
    return [
        _python("python -c pass", "pass"),
        _python(ONNX_LOAD, f"import onnx; onnx.load({path!r})"),
        _python("onnx.checker.check_model", f"import onnx; onnx.checker.check_model({path!r})"),
        *_netlint(tools, path),
        *_peers(subject, tools, path),
    ]


def startup_commands(tools: Tools) -> list[Command]:
    """The commands without a model: what starting netlint costs beside an empty click program."""
    commands = [_python("python -c pass", "pass")]
    if importlib.util.find_spec("click"):
        commands.append(_python(BARE_CLICK, "import click; click.command()(lambda: None)([])"))
    executable = tools.netlint_bin / "netlint"
    if executable.exists():
        commands.append(Command(NETLINT_HELP, (str(executable), "--help")))
        commands.append(Command(NETLINT_RULE, (str(executable), "rule", "sigmoid-hidden")))
        asked = ("_NETLINT_COMPLETE=bash_complete", "COMP_WORDS=netlint rule sig", "COMP_CWORD=2")
        commands.append(Command(NETLINT_COMPLETION, ("/usr/bin/env", *asked, str(executable))))
    return commands


def cached_commands(model: Path, tools: Tools) -> list[Command]:
    """A model whose result is known from the uncounted run, beside the least that netlint can do.

    Once more with settings for single rules, whose names have to be understood.
    """
    executable = str(tools.netlint_bin / "netlint")
    if not Path(executable).exists():
        return []
    again = (executable, "--exit-zero", "--cache-dir", str(model.parent / "netlint-cache"), str(model))
    settings = model.parent / "netlint-settings.toml"
    settings.write_text(_SETTINGS)
    return [
        Command(NETLINT_VERSION, (executable, "--version")),
        Command(NETLINT_AGAIN, again),
        Command(NETLINT_SETTINGS, (*again, "--config", str(settings))),
    ]


_SETTINGS = """
[rules.oversized-kernel]
level = "warning"
min-kernel = 8

[[overrides]]
module = "backbone.*"
ignore = ["INI", "sigmoid-hidden"]
reason = "an example"
"""


def many_commands(models: Sequence[Path], tools: Tools) -> list[Command]:
    """A folder of models with one process at a time and with two; Polygraphy once for each of the first ten."""
    commands = []
    executable = str(tools.netlint_bin / "netlint")
    if Path(executable).exists():
        for label, jobs in ((NETLINT_ONE_JOB, "1"), (NETLINT_TWO_JOBS, "2")):
            arguments = ("--exit-zero", "--no-cache", "--jobs", jobs, str(models[0].parent))
            commands.append(Command(label, (executable, *arguments)))
    polygraphy = tools.peers_bin / "polygraphy"
    if polygraphy.exists():
        loop = 'for model in "$@"; do "$0" check lint "$model"; [ $? -le 1 ] || exit 2; done'
        ten = [str(model) for model in models[:MODELS_FOR_POLYGRAPHY]]
        commands.append(Command(POLYGRAPHY_TEN, ("/bin/sh", "-c", loop, str(polygraphy), *ten)))
    return commands


def _python(label: str, code: str) -> Command:
    """A command that runs `code` in the interpreter of this benchmark."""
    return Command(label, (sys.executable, "-c", code))


def _netlint(tools: Tools, path: str) -> list[Command]:
    """The netlint command, if netlint is installed."""
    executable = tools.netlint_bin / "netlint"
    if not executable.exists():
        return []
    options = [option for option in ("--exit-zero", "--no-cache") if option in _help(executable)]
    accepted = (0,) if "--exit-zero" in options else CLEAN_OR_FINDINGS
    return [Command(NETLINT, (str(executable), *options, path), accepted)]


@cache
def _help(executable: Path) -> str:
    """What this netlint says of its options; results that it keeps would make every run but the first one cheap."""
    return subprocess.run([str(executable), "--help"], capture_output=True, text=True).stdout


def _peers(subject: Subject, tools: Tools, path: str) -> list[Command]:
    """The other checkers that are installed; Polygraphy only on models it can manage."""
    commands = []
    polygraphy = tools.peers_bin / "polygraphy"
    if polygraphy.exists() and subject.name in POLYGRAPHY_SUBJECTS:
        commands.append(Command(POLYGRAPHY, (str(polygraphy), "check", "lint", path), CLEAN_OR_FINDINGS))
    doctor = tools.peers_bin / "onnx-doctor"
    if doctor.exists():
        commands.append(Command(ONNX_DOCTOR, (str(doctor), "check", path), CLEAN_OR_FINDINGS))
    return commands
