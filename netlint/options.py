"""The options that `netlint` and `netlint show` share: the capture of Python targets, and the training contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from . import complete
from .capture import MODES, WEIGHTS, Capture
from .probe.request import BUDGET, DEVICES
from .training import FIELDS, Training, parse_training

_FIELD_HELP = {
    "task": "classification, multilabel, regression, segmentation, autoencoder, language-model or gan.",
    "loss": "The loss it is trained with, as torch spells it: cross_entropy, nll_loss, mse_loss, BCEWithLogitsLoss …",
    "targets": "Range of the training targets, e.g. --targets=-1..1",
    "classes": "Number of classes.",
    "class_counts": "Samples of each class in the training set, e.g. 900,100",
    "target_mean": "Mean of the targets of a regression.",
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


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(FIELDS):
        flag = f"--{name.replace('_', '-')}"
        option = click.option(flag, name, metavar="VALUE", help=_FIELD_HELP[name], shell_complete=complete.field(name))
        command = option(command)
    return command


def capture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option(
            "--input",
            "inputs",
            multiple=True,
            metavar="[NAME:][DTYPE:]SHAPE|NAME=VALUE",
            help=_INPUT_HELP,
            envvar=_INPUT_VARIABLES,
        ),
        click.option("--step", metavar="STEP", default="", help="Record a training step: net.py:step, or a method."),
        click.option("--factory", metavar="TARGET", default="", help="What makes the model of a .pt with weights."),
        click.option("--mode", type=click.Choice(MODES), help="Training or inference mode; default: as it is made."),
        click.option("--weights", type=click.Choice(WEIGHTS), help="never: initial weights are not even made."),
        click.option(
            "--time-limit",
            metavar="SECONDS",
            type=click.FloatRange(0, min_open=True),
            help="For the model's own code; default 60.",
        ),
        click.option("--probe", type=click.Choice(DEVICES), help=_PROBE_HELP, metavar="[=auto|cpu|cuda]"),
        click.option("--probe-budget", metavar="SECONDS", type=click.FloatRange(0, min_open=True), help=_BUDGET_HELP),
        click.option("--seed", type=click.IntRange(0), metavar="N", help="Of all random numbers; default 0."),
        click.option("--batch", metavar="FILE", default="", help="Data to run it on: an .npz, or a .pt with tensors."),
        click.option("--against", metavar="FILE", type=_EXPORT, help="An export, .onnx, that should compute the same."),
    )
    for option in reversed(options):
        command = option(command)
    return command


_EXPORT = click.Path(exists=True, dir_okay=False)
_PROBE_HELP = "Run the model, and report what is seen. Alone: on a GPU where there is one, else on the CPU."
_BUDGET_HELP = f"For all but one forward and one backward pass; default {BUDGET:g}."


_INPUT_VARIABLES = ["NETLINT_INPUT", "NETLINT_INPUTS"]
_INPUT_HELP = "Example input of a Python target, e.g. 1,3,224,224 or ids:int64:1,128; repeatable."


def taken_capture(options: dict[str, Any]) -> Capture:
    """Takes the options of `capture_options` out of all that a command was given."""
    inputs = options.pop("inputs")
    named = ("step", "factory", "mode", "weights", "time_limit", *_OF_PROBE)
    given = {name: options.pop(name) for name in named}
    return Capture(inputs=inputs, **{name: value for name, value in given.items() if value not in (None, "")})


def stated_training(fields: dict[str, str | None]) -> Training:
    given = {name: value for name, value in fields.items() if value is not None}
    return parse_training(given, _origin)


def _origin(name: str) -> str:
    """How a field was given: by its flag, or by a variable of the environment."""
    ctx = click.get_current_context(silent=True)
    if ctx is not None and ctx.get_parameter_source(name) is click.core.ParameterSource.ENVIRONMENT:
        return f"NETLINT_{name.upper()}"
    return f"--{name.replace('_', '-')}"


def write_sections(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """The options of a command for its help, by what they are about."""
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    sections: dict[str, list[tuple[str, str]]] = {"Options": [], "PyTorch models": [], _PROBE: [], _CONTRACT: []}
    for option in options:
        title = _section(option.name or "")
        if (row := option.get_help_record(ctx)) is not None:
            sections[title].append(row)
    for title, rows in sections.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def _section(name: str) -> str:
    if name in FIELDS:
        return _CONTRACT
    if name in _OF_PROBE:
        return _PROBE
    return "PyTorch models" if name in _OF_CAPTURE else "Options"


_CONTRACT = "Training contract: what the model file does not say"
_PROBE = "The probe: what the model does when it is run"
_OF_PROBE = ("probe", "probe_budget", "seed", "batch", "against")
_OF_CAPTURE = frozenset({"inputs", *(entry.name for entry in fields(Capture))})
