"""A Python target, or a model at hand, with its inputs and its training step -> `Graph`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netlint.capture import GUESSED, INPUTS, PART, Capture, PythonTarget, python_target
from netlint.frontends import TargetError
from netlint.frontends.aten import lower
from netlint.graph import Graph
from netlint.training import Known, Training

from . import inputs as example_inputs
from . import recipe
from .build import LIMIT, build
from .fx import program
from .inputs import Example
from .loads import pretrained, watching_loads
from .record import record_symbolic
from .recording import Recording
from .resolve import attribute, check_arguments, module_of, users_code
from .search import NoInputs, search, tell, telling

Stage = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Captured:
    """What was captured of a model."""

    graph: Graph
    training: Training = field(default_factory=Training)
    """What the captured objects say of the training contract."""
    facts: Mapping[str, Known[Any]] = field(default_factory=dict)
    """How it was captured, for the report."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a target makes."""

    model: Any
    example: Example | None = None
    imported: str = ""
    """Why not all of its file was executed."""
    fresh: bool = False
    """Whether its weights are as its code initialised them."""


def capture(text: str, how: Capture, sliced: bool, stage: Stage) -> Captured:
    """The graph of a Python target, or of a file of weights with the factory of their model. Raises `TargetError`."""
    slots = example_inputs.stated(how.inputs)
    named = how.factory or text
    target = python_target(named)
    if target is None:
        raise TargetError(f"'{named}' names no model", "write it as in net.py:Net or pkg.mod:factory")
    made = made_by(target, how.weights, sliced, stage)
    if how.factory and how.factory != text:
        recipe.load_weights(_module(made.model, target), Path(text))
    example = made.example
    if slots:
        slots = example_inputs.vocabulary(made.model, slots) if isinstance(made.model, nn.Module) else slots
        example = example_inputs.example_of(slots, "--input")
    step = step_of(how.step, target, made.model, sliced)
    captured = captured_model(made.model, example, step, how.mode, stage)
    if how.factory and how.factory != text:
        captured = replace(captured, training=Training(stage=Known("trained", "the file of weights")))
    elif made.fresh:
        captured = replace(captured, training=Training(stage=Known("init", f"{target.name}, which reads no weights")))
    if made.imported:
        facts = {**captured.facts, PART: Known("its definitions alone", made.imported)}
        captured = replace(captured, facts=facts)
    return captured


def made_by(target: PythonTarget, weights: str, sliced: bool, stage: Stage) -> Made:
    """Import what a target names, and make its model. Raises `TargetError`."""
    stage("import")
    module, reason = module_of(target, sliced)
    found = attribute(module, target)
    stage("build")
    if isinstance(found, nn.Module) or not callable(found):
        if target.args or target.kwargs:
            raise TargetError(f"is no function: {target.name} is {_a(found)}", "leave out the arguments")
        return replace(_unpacked(found, target), imported=reason)
    check_arguments(found, target)
    rest: list[Made] = []

    def factory() -> nn.Module:
        rest[:] = [_unpacked(found(*target.args, **target.kwargs), target)]
        return rest[0].model if isinstance(rest[0].model, nn.Module) else nn.Module()

    way_out = "see that the model can be made without data, network or input"
    with users_code("cannot be built", way_out), watching_loads() as loads:
        model, without_weights = build(factory, 0 if weights == "never" else LIMIT)
    made = rest[0]
    fresh = isinstance(made.model, nn.Module) and not (loads.any or without_weights or pretrained(made.model))
    return replace(made, model=model if isinstance(made.model, nn.Module) else made.model, imported=reason, fresh=fresh)


def _unpacked(made: Any, target: PythonTarget) -> Made:
    """A model, or a pair of a model and its example inputs."""
    example = None
    if isinstance(made, tuple) and len(made) == 2 and _is_model(made[0]):
        example = example_inputs.given(made[1], f"from {target.name}")
        made = made[0]
    if not _is_model(made):
        raise TargetError(
            f"makes no model: {target.name} gives {_a(made)}",
            "name a subclass of torch.nn.Module, or a function that returns a module",
        )
    return Made(unwrapped(made), replace(example, guessed=False) if example else None)


def _is_model(value: Any) -> bool:
    return isinstance(value, nn.Module | torch.export.ExportedProgram)


def _a(value: Any) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    if isinstance(value, tuple | list):
        return f"a {name} of {len(value)}"
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _module(model: Any, target: PythonTarget) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise TargetError(f"makes {_a(model)}: {target.name}", "name what makes a torch.nn.Module")
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


def step_of(text: str, target: PythonTarget, model: Any, sliced: bool) -> recipe.Step | None:
    """The training step that is to be recorded; None: the forward pass. Raises `TargetError`."""
    if not text:
        return None
    if text.isidentifier():
        return recipe.method(model, text)
    named = python_target(text)
    if named is None or named.args or named.kwargs:
        raise TargetError(f"has a step that is not understood: '{text}'", "write --step net.py:function, or a method")
    module = _same_module(target, named) or module_of(named, sliced)[0]
    return recipe.function(attribute(module, named), model)


def _same_module(target: PythonTarget, named: PythonTarget) -> Any:
    """The module of the model where the step is in it too: importing it twice would make its classes anew."""
    import sys

    if named.place == target.place and named.is_file:
        file = str(Path(named.place).absolute())
        return next((module for module in list(sys.modules.values()) if getattr(module, "__file__", "") == file), None)
    return None


def captured_model(
    model: Any,
    example: Example | None = None,
    step: recipe.Step | None = None,
    mode: str = "",
    stage: Stage = lambda name: None,
) -> Captured:
    """The graph of a model at hand. The model is left as it was. Raises `TargetError`."""
    model = unwrapped(model)
    if isinstance(model, torch.export.ExportedProgram):
        return Captured(lower(program(model, _name(model))))
    with in_mode(model, mode), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the model says them when it is trained, too
        attempt = _attempt(model, step)
        if example is None:
            stage("inputs")
            try:
                found = search(model, attempt, step)
            except NoInputs as error:
                return _symbolic(model, error)
            recording, example = found.result, found.example
        else:
            stage("record")
            recording = attempt(example)
    origin = f"{GUESSED}{example.origin}" if example.guessed else example.origin
    facts = {INPUTS: Known(str(example), origin)}
    if recording.notes:
        facts["recording"] = Known("; ".join(recording.notes), "the recorder")
    return Captured(lower(program(recording, _name(model))), Training(), facts)


def _symbolic(model: nn.Module, error: NoInputs) -> Captured:
    """The graph without shapes, where `torch.fx` can trace it. Raises the error given."""
    try:
        traced = torch.fx.symbolic_trace(model)
        graph = lower(program(traced, _name(model)))
    except Exception as failure:
        why = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
        raise NoInputs(f"{error}\ntorch.fx.symbolic_trace: {why[:200]}", error.help) from error
    how = f"{GUESSED}nothing: the model ran on no inputs that were tried, and was traced without shapes"
    return Captured(graph, Training(), {INPUTS: Known("none", how)})


def _name(model: Any) -> str:
    return type(model).__name__


def _attempt(model: nn.Module, step: recipe.Step | None) -> Callable[[Example], Recording]:
    """Records one run on given inputs."""

    def run(*args: Any, **kwargs: Any) -> Any:
        assert step is not None
        tell(args, kwargs)
        return step.run(*args, **kwargs)

    if step is not None:
        run.__signature__ = recipe.signature(step)  # type: ignore[attr-defined]

    def attempt(example: Example) -> Recording:
        if step is not None:
            return record_symbolic(run, example.args, dict(example.kwargs), modules=model)
        with telling(model):
            return record_symbolic(model, example.args, dict(example.kwargs))

    return attempt


@contextlib.contextmanager
def in_mode(model: nn.Module, mode: str) -> Iterator[None]:
    """Training or inference mode; every module gets its own mode back."""
    before = [(module, module.training) for module in model.modules()]
    if mode:
        model.train(mode == "train")
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


__all__: Sequence[str] = ["Captured", "capture", "captured_model", "in_mode", "made_by", "step_of", "unwrapped"]
