"""Training steps to record, and what optimizers, losses and batches say of the training contract."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netlint.errors import ContractError
from netlint.frontends import TargetError
from netlint.training import Interval, Known, Training, find_loss, parse_training

from .inputs import Example, parameters_of

_COUNTERS = frozenset(
    (
        *("batch_idx", "batch_nb", "batch_index", "batch_id", "dataloader_idx", "optimizer_idx", "epoch"),
        *("i", "idx", "_", "step", "iteration", "it", "global_step"),
    )
)
_NO_DATA = frozenset({"criterion", "loss_fn", "loss_func", "loss_function", "optimizer", "optim", "opt", "scheduler"})
_NO_DATA |= {"scaler", "args", "cfg", "config", "loader", "dataloader", "train_loader", "writer", "logger"}


@dataclass(frozen=True, slots=True)
class Step:
    """What is recorded instead of a forward pass."""

    run: Callable[..., Any]
    """Takes the inputs, and what else the step wants of a batch."""
    names: tuple[str, ...]
    """Names of these arguments."""
    source: Callable[..., Any]
    """The function of the user's."""
    batched: bool = False
    """Whether the first argument is a whole batch, as its name says: inputs and targets."""


def method(model: Any, name: str) -> Step:
    """A step that is a method of the model, such as Lightning's `training_step`. Raises `TargetError`."""
    found = getattr(model, name, None)
    if name == "loss" and found is None and "labels" in parameters_of(model.forward):
        names = _required(model.forward)
        return Step(model, (*names, "labels"), model.forward)
    if not callable(found):
        raise TargetError(f"has no method '{name}' to record as its step", "write --step net.py:function, or a method")
    return _step(found, _required(found), found)


def function(found: Any, model: Any) -> Step:
    """A step that is a function of the model and a batch. Raises `TargetError`."""
    if not callable(found):
        raise TargetError("has a step that is no function", "write --step net.py:function, or a method")
    _, *names = _required(found) or ("model",)
    return _step(lambda *args, **kwargs: found(model, *args, **kwargs), names, found)


def _required(function: Callable[..., Any]) -> list[str]:
    loose = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return [
        name
        for name, entry in parameters_of(function).items()
        if entry.default is entry.empty and entry.kind not in loose
    ]


def _step(run: Callable[..., Any], names: Iterable[str], source: Callable[..., Any]) -> Step:
    """Lightning hands over the number of the batch, too. Raises `TargetError` for what is no data."""
    names = list(names)
    strange = [name for name in names if name.lower() in _NO_DATA]
    if strange:
        raise TargetError(
            f"has a step that takes {' and '.join(strange)}, which netlint cannot make",
            "name a function of the model and the batch alone, which calls this one: def step(model, batch): …",
        )
    wanted = tuple(name for name in names if name not in _COUNTERS and name != "device")
    rest: dict[str, Any] = {name: 0 for name in names if name in _COUNTERS}
    if "device" in names:
        rest["device"] = torch.device("cpu")
    batched = len(wanted) == 1 and wanted[0] in ("batch", "data", "samples", "train_batch", "b")

    def call(*args: Any, **kwargs: Any) -> Any:
        if len(wanted) == 1 and len(args) > 1 and all(isinstance(arg, torch.Tensor) for arg in args):
            args = (args,)  # the parts of its one batch
        return run(*args, **kwargs, **({} if len(args) > len(wanted) else rest))  # given, all arguments are

    return Step(call, wanted, source, batched)


def signature(step: Step) -> Signature:
    """The arguments of a step by name."""
    return Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in step.names])


def loss_step(
    model: nn.Module, loss: Callable[..., Any], example: Example, targets: tuple[Any, ...]
) -> tuple[Step, Example]:
    """`loss(model(*inputs), *targets)` as the step to record, and its arguments: inputs and targets as two tuples."""

    def run(inputs: tuple[Any, ...], targets: tuple[Any, ...], **kwargs: Any) -> Any:
        return loss(_prediction(model(*inputs, **kwargs)), *targets)

    whole = replace(example, args=(example.args, targets), kwargs=dict(example.kwargs))
    return Step(run, ("inputs", "targets"), loss), whole


def _prediction(output: Any) -> Any:
    """What a loss function is given of a library's output object."""
    return output if isinstance(output, torch.Tensor) else getattr(output, "logits", output)


def load_weights(model: nn.Module, file: Path) -> None:
    """Weights of a state dict, read with `weights_only=True`, into a model. Raises `TargetError`."""
    from netlint.checkpoints import describe

    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TargetError(f"cannot be read: {error.strerror or error}", "check the path") from None
    except Exception:
        raise TargetError(
            f"holds {describe(file)}, which torch does not load as weights alone",
            "save model.state_dict() and lint that with --factory",
        ) from None
    state = _state(stored)
    if state is None:
        raise TargetError("holds no state dict", "save model.state_dict()")
    try:
        fit = model.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        line = str(error).splitlines()[-1].strip()
        raise TargetError(
            f"does not fit the model: {line[:300]}", "name the factory that the weights are from"
        ) from None
    for what, names in (("lacks", fit.missing_keys), ("has, unlike the model,", fit.unexpected_keys)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise TargetError(
                f"does not fit the model: it {what} {', '.join(names[:3])}{more}",
                "name the factory that the weights are from",
            )


def _state(stored: Any) -> Mapping[str, Any] | None:
    """The state dict in what was saved: itself, or in a checkpoint under a usual name; without a wrapper's prefix."""
    if not isinstance(stored, Mapping):
        return None
    for key in ("state_dict", "model_state_dict", "model", "module", "ema", "net", "weights"):
        if isinstance(stored.get(key), Mapping):
            stored = stored[key]
            break
    if not stored or not all(
        isinstance(value, torch.Tensor) or key.endswith("_extra_state") for key, value in stored.items()
    ):
        return None
    for prefix in ("module.", "_orig_mod.", "model."):
        if all(key.startswith(prefix) for key in stored):
            return {key.removeprefix(prefix): value for key, value in stored.items()}
    return dict(stored)


def contract(
    loss: Any = None, optimizer: Any = None, scheduler: Any = None, inputs: Any = None, targets: Any = None
) -> Training:
    """What objects say of the training contract; what they leave open stays unknown."""
    training = Training()
    for part in (_of_loss(loss), _of_optimizer(optimizer), _of_scheduler(scheduler)):
        training = training.otherwise(part)
    return training.otherwise(_of_inputs(inputs)).otherwise(_of_targets(targets))


def _of_loss(loss: Any) -> Training:
    classes = type(loss).__mro__ if isinstance(loss, nn.Module) else ()
    names = [entry.__name__ for entry in classes] or [loss if isinstance(loss, str) else getattr(loss, "__name__", "")]
    found = next((known for name in names if name and (known := find_loss(name)) is not None), None)
    return Training(loss=Known(found, f"the loss {names[0]}")) if found else Training()


def _of_optimizer(optimizer: Any) -> Training:
    """Of several optimizers, what they agree on."""
    several = [one for one in (optimizer if isinstance(optimizer, list | tuple) else [optimizer]) if one is not None]
    groups = [group for one in several for group in getattr(one, "param_groups", ())]
    names = sorted({type(one).__name__ for one in several})
    if not groups:
        return Training()
    origin = f"the optimizer{'s' if len(several) > 1 else ''} {' and '.join(names)}"
    training = _parsed({"optimizer": names[0]}, origin) if len(names) == 1 else Training()
    for field, key in (("lr", "initial_lr"), ("lr", "lr"), ("momentum", "momentum"), ("weight_decay", "weight_decay")):
        values = {float(group[key]) for group in groups if _is_number(group.get(key))}
        if len(values) == 1 and all(key in group for group in groups):
            training = training.otherwise(_parsed({field: values.pop()}, origin))
    return training


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | torch.Tensor) and not isinstance(value, bool)


def _of_scheduler(scheduler: Any) -> Training:
    several = scheduler if isinstance(scheduler, list | tuple) else [scheduler]
    names = {type(one).__name__ for one in several if one is not None}
    if len(names) != 1:
        return Training()
    (name,) = names
    return _parsed({"schedule": name}, f"the scheduler {name}")


def _parsed(fields: Mapping[str, object], origin: str) -> Training:
    try:
        return parse_training(fields, lambda field: origin)
    except ContractError:
        return Training()  # an optimizer of the user's own, a rate that is no number: not known


def _of_inputs(inputs: Any) -> Training:
    """Mean and deviation; the extremes of one batch bound no other."""
    values = _finite(_first(inputs))
    if values is None:
        return Training()
    origin = "the batch of inputs"
    return Training(
        input_mean=Known(float(values.mean()), origin),
        input_std=Known(float(values.std()), origin),
    )


def _of_targets(targets: Any) -> Training:
    """What targets reach at least. Class numbers of a batch tell neither their range nor how many classes there are."""
    values = _finite(_first(targets))
    if values is None:
        return Training()
    return Training(targets=Known(Interval(float(values.min()), float(values.max())), "the batch of targets"))


def _first(value: Any) -> Any:
    if isinstance(value, Mapping):
        value = list(value.values())
    while isinstance(value, tuple | list) and value:
        value = value[0]
    return value


def _finite(value: Any) -> torch.Tensor | None:
    """Floating-point numbers that differ; None of integers, of constants, and of what has no memory."""
    if not isinstance(value, torch.Tensor) or value.is_nested or value.layout is not torch.strided or value.is_meta:
        return None
    if not value.is_floating_point() or value.numel() < 2:
        return None
    values = value.detach().to(torch.float64)
    if not math.isfinite(float(values.sum())) or float(values.min()) == float(values.max()):
        return None
    return values
