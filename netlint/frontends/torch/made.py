"""What a Python target makes: its model, with what comes along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from netlint.capture import PythonTarget
from netlint.frontends import TargetError
from netlint.objects import a_kind_of

from . import inputs as example_inputs
from .build import LIMIT, build
from .inputs import Example
from .loads import pretrained, watching_loads
from .resolve import attribute, check_arguments, module_of, users_code

Stage = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What a target makes."""

    model: Any
    example: Example | None = None
    imported: str = ""
    """Why not all of its file was executed."""
    fresh: bool = False
    """Whether its weights are as its code initialised them."""


def made_by(target: PythonTarget, weights: str, sliced: bool, stage: Stage) -> Made:
    """Import what a target names, and make its model. Raises `TargetError`."""
    stage("import")
    module, reason = module_of(target, sliced)
    found = attribute(module, target)
    stage("build")
    if isinstance(found, nn.Module) or not callable(found):
        if target.args or target.kwargs:
            raise TargetError(f"is no function: {target.name} is {a_kind_of(found)}", "leave out the arguments")
        return replace(_unpacked(found, target), imported=reason)
    check_arguments(found, target)
    rest: list[Made] = []

    def factory() -> nn.Module:
        rest[:] = [_unpacked(found(*target.args, **target.kwargs), target)]
        return rest[0].model if isinstance(rest[0].model, nn.Module) else nn.Module()

    way_out = "see that the model can be made without data, network or input"
    if target.args or target.kwargs:
        way_out = "see whether it takes such arguments, or name a function without arguments that makes the model"
    doing = "cannot be built" if not reason else f"{reason}\nof its definitions alone: cannot be built"
    with users_code(doing, way_out), watching_loads() as loads:
        model, without_weights = build(factory, 0 if weights == "never" else LIMIT)
    made = rest[0]
    fresh = isinstance(made.model, nn.Module) and not (loads.any or without_weights or pretrained(made.model))
    return replace(made, model=model if isinstance(made.model, nn.Module) else made.model, imported=reason, fresh=fresh)


def _unpacked(made: Any, target: PythonTarget) -> Made:
    """A model, alone or before its example inputs, its optimizer, its loss …"""
    example = None
    if isinstance(made, tuple) and made and _is_model(made[0]) and not any(map(_has_weights, made[1:])):
        example = example_inputs.given(made[1], f"from {target.name}") if len(made) == 2 else None
        made = made[0]
    if not _is_model(made):
        raise TargetError(
            f"makes no model: {target.name} gives {a_kind_of(made)}",
            "name a subclass of torch.nn.Module, or a function that returns one module",
        )
    return Made(unwrapped(made), replace(example, guessed=False) if example else None)


def _is_model(value: Any) -> bool:
    return isinstance(value, nn.Module | torch.export.ExportedProgram)


def _has_weights(value: Any) -> bool:
    """Whether it could be the model that is meant as well."""
    return isinstance(value, nn.Module) and any(True for _ in value.parameters())


def module_alone(model: Any, target: PythonTarget) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise TargetError(f"makes {a_kind_of(model)}: {target.name}", "name what makes a torch.nn.Module")
    return model


def unwrapped(model: Any) -> Any:
    """The module inside what compiles or distributes it. Raises `TargetError` for what cannot be looked into."""
    while True:
        if isinstance(model, torch.jit.ScriptModule):
            raise TargetError(
                "is TorchScript, whose operators are not seen when it runs", "give the nn.Module it comes from"
            )
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner
