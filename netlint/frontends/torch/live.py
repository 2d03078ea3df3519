"""What `netlint.check` is given -> a graph and a training contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from netlint.frontends import TargetError
from netlint.objects import a_kind_of

from . import frames, recipe
from . import inputs as example_inputs
from .arrays import with_tensors
from .inputs import Example, Slot
from .made import unwrapped
from .target import Captured, captured_model, stated


def captured(
    model: Any,
    loss: Callable[..., Any] | str | None,
    optimizer: Any,
    scheduler: Any,
    inputs: Any,
    targets: Any,
    step: Callable[..., Any] | str | None,
    mode: str,
) -> Captured:
    """Record a model, with its loss where there is one. Raises `TargetError`."""
    if not isinstance(model, nn.Module | torch.export.ExportedProgram):
        what = f"the class {model.__name__}" if isinstance(model, type) else a_kind_of(model)
        raise TargetError(
            f"{what} is no model",
            "give an nn.Module, an ExportedProgram, an onnx.ModelProto or the path of a model",
        )
    model = unwrapped(model)
    inputs, targets = with_tensors(inputs, model, "inputs="), with_tensors(targets, model, "targets=")
    training = recipe.contract(loss, optimizer, scheduler, inputs, targets)
    recorded: recipe.Step | None = None
    if isinstance(step, str) and step:
        recorded = recipe.method(model, step)
    elif step is not None and step != "":
        recorded = recipe.function(step, model)
    example = _example(model, recorded, inputs)
    if recorded is None and callable(loss) and targets is not None and isinstance(model, nn.Module):
        if not isinstance(example, Example):
            raise TargetError("a loss with targets= needs inputs= of the same batch", "give inputs=")
        if not example_inputs.holds_tensor(targets):
            what = f"targets= holds no tensor, but {a_kind_of(targets)}"
            raise TargetError(what, "give a tensor or an array, or a tuple of what the loss takes after the prediction")
        recorded, example = recipe.loss_step(
            model, loss, example, targets if isinstance(targets, tuple) else (targets,)
        )
    with torch.random.fork_rng(devices=[]), frames.asked_here():
        found = captured_model(model, example, recorded, mode)
    return replace(found, training=training.otherwise(found.training))


def _example(model: Any, step: recipe.Step | None, inputs: Any) -> Example | list[Slot] | None:
    if inputs is None or not isinstance(model, nn.Module):
        return None
    if isinstance(inputs, str):
        inputs = (inputs,)
    if isinstance(inputs, tuple | list) and inputs and all(isinstance(text, str) for text in inputs):
        return stated(model, step, example_inputs.stated(inputs), "inputs=")
    example = example_inputs.given(inputs, "inputs=")
    if example is None:
        raise TargetError(
            f"inputs= holds no tensor, but {a_kind_of(inputs)}",
            "give a tensor or array, a tuple of arguments, a dict of them by name, or shapes such as '1,3,224,224'",
        )
    return replace(example, guessed=False, data=True)
