"""What `netlint.check` is given besides the model: what tells of the training contract, and what cannot be meant."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from .frontends import TargetError
from .training import Training, parse_training

_FUNCTION = "give one callable, such as nn.CrossEntropyLoss(), or its name"
_STEP = "give a function of the model and a batch, or the name of a method"
_OPTIMIZER = "give the optimizer itself, or a list of them where there are several"
_SCHEDULER = "give an object of torch.optim.lr_scheduler, or its name"


def refuse_mistakes(loss: Any, optimizer: Any, scheduler: Any, step: Any) -> None:
    """Raises `TargetError` for what is no loss, optimizer, scheduler or step."""
    _refuse_unless(callable(loss), "loss=", loss, "function", _FUNCTION)
    _refuse_unless(callable(step), "step=", step, "function", _STEP)
    for one in _each(optimizer):
        groups = getattr(one, "param_groups", None)
        _refuse_unless(isinstance(groups, list), "optimizer=", one, "optimizer", _OPTIMIZER)
    for one in _each(scheduler):
        _refuse_unless(callable(getattr(one, "step", None)), "scheduler=", one, "scheduler", _SCHEDULER)


def _refuse_unless(fits: bool, what: str, given: Any, wanted: str, way_out: str) -> None:
    if given is None or isinstance(given, str):
        return
    if isinstance(given, type):
        raise TargetError(f"{what} is the class {given.__name__}, not an object of it", f"call it: {given.__name__}(…)")
    if not fits:
        raise TargetError(f"{what} is {a_kind_of(given)}, no {wanted}", way_out)


def _each(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        yield from value
    else:
        yield value


def a_kind_of(value: Any) -> str:
    """A value by its type, with an article."""
    if value is None:
        return "None"
    name = type(value).__name__
    if isinstance(value, tuple | list):
        return f"a {name} of {len(value)}"
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def contract(loss: Any, optimizer: Any, scheduler: Any) -> Training:
    """What names and objects say of the contract. Raises `ContractError` for names that are not known."""
    given = {"loss": loss, "optimizer": optimizer, "schedule": scheduler}
    named = {field: value for field, value in given.items() if isinstance(value, str) and value}
    origin: Callable[[str], str] = {"loss": "loss=", "optimizer": "optimizer=", "schedule": "scheduler="}.__getitem__
    stated = parse_training(named, origin)
    if "torch" not in sys.modules:  # then they are no objects of torch
        return stated
    from .frontends.torch import recipe

    objects = [None if isinstance(value, str) else value for value in given.values()]
    return stated.otherwise(recipe.contract(*objects))
