"""A torch example in a rule's page -> what is captured of its model."""

from __future__ import annotations

import linecache
import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from netlint.frontends import TargetError

from . import guard, recipe
from . import inputs as example_inputs
from .resolve import users_code
from .target import Captured, captured_model


def fence(
    source: str, place: str, inputs: Sequence[str], mode: str, loss: str = "", target: str = "", export: str = ""
) -> Captured:
    """What is captured of the model in a piece of Python; `place` is its name in source locations.

    `loss` names a function of `torch.nn.functional`, to which the prediction and a tensor as `target` describes it go.
    What a function `exported` in it gives is exported into the file `export`. Raises `TargetError`.
    """
    linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
    scope: dict[str, Any] = {"torch": torch, "nn": nn, "F": functional, "math": math, "__name__": "netlint_example"}
    with users_code("the example fails", "correct it"), guard.same_random():
        exec(compile(source, place, "exec"), scope)
        model = _model(scope)
        if export and "exported" in scope:
            _export(scope["exported"](model), export, inputs)
    step = recipe.function(scope["step"], model) if "step" in scope else None
    slots = example_inputs.vocabulary(model, example_inputs.stated(inputs))
    example = example_inputs.example_of(slots, "inputs=") if slots else None
    if loss and example is not None:
        wanted = example_inputs.values(example_inputs.stated([target]))
        step, example = recipe.loss_step(model, getattr(functional, loss), example, tuple(wanted))
    return captured_model(model, example, step, mode)


def _export(model: nn.Module, file: str, inputs: Sequence[str]) -> None:
    example = tuple(example_inputs.values(example_inputs.stated(inputs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the newer exporter takes seconds
        torch.onnx.export(model.eval(), example, file, dynamo=False)


def _model(scope: dict[str, Any]) -> nn.Module:
    if "make" in scope:
        made = scope["make"]()
        if isinstance(made, nn.Module):
            return made
        raise TargetError("the example's make() gives no module", "return an nn.Module")
    classes = [value for value in scope.values() if isinstance(value, type) and issubclass(value, nn.Module)]
    if not classes:
        raise TargetError("the example defines no nn.Module", "define one, or a function make()")
    made = classes[-1]()
    assert isinstance(made, nn.Module)
    return made
