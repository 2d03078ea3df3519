"""What the `configure_optimizers` of a model, as Lightning has it, says of the training contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from netlint.errors import said
from netlint.training import Known, Training

from . import guard, recipe
from .inputs import parameters_of
from .resolve import where

NAME = "configure_optimizers"


def configured(model: nn.Module) -> tuple[Training, dict[str, Known[Any]]]:
    """The contract, and, where the method fails, why for the report."""
    method = getattr(model, NAME, None)
    if not callable(method) or any(entry.default is entry.empty for entry in parameters_of(method).values()):
        return Training(), {}
    try:
        with guard.same_random(), guard.unchanged(model), guard.settings():
            optimizers, schedulers = _sorted(method())
    except Exception as error:
        why = f"raises {type(error).__name__}{where(error)}: {' '.join(said(error).split())[:200]}"
        return Training(), {NAME: Known(why, f"{NAME} of {type(model).__name__}")}
    known = recipe.contract(None, optimizers, schedulers).known()
    return Training(**{name: replace(entry, origin=f"{entry.origin} of {NAME}") for name, entry in known.items()}), {}


def _sorted(made: Any) -> tuple[list[Any], list[Any]]:
    """Optimizers and schedulers of all that Lightning allows to be returned."""
    if isinstance(made, Mapping):
        scheduler = made.get("lr_scheduler")
        scheduler = scheduler.get("scheduler") if isinstance(scheduler, Mapping) else scheduler
        return [made.get("optimizer")], [scheduler]
    if isinstance(made, tuple | list):
        if len(made) == 2 and all(isinstance(part, tuple | list) for part in made):
            inner = [part.get("scheduler") if isinstance(part, Mapping) else part for part in made[1]]
            return list(made[0]), inner
        pairs = [_sorted(part) for part in made]
        return [one for first, _ in pairs for one in first], [one for _, second in pairs for one in second]
    return [made], []
