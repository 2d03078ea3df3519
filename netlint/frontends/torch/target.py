"""A Python target, or a model at hand, with its inputs and its training step -> `Graph`."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from netlint.capture import GUESSED, INPUTS, PART, Capture, PythonTarget, python_target
from netlint.errors import said
from netlint.frontends import TargetError
from netlint.frontends.aten import lower
from netlint.graph import Graph
from netlint.training import Known, Training

from . import guard, recipe
from . import inputs as example_inputs
from .configured import configured
from .faults import NoInputs, fault
from .fx import program
from .inputs import Example
from .layout import Layout
from .made import made_by, module_alone, unwrapped
from .record import record_symbolic
from .recording import Recording
from .resolve import attribute, module_of, users_code
from .search import search
from .telling import tell, telling, watched

Stage = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """What was recorded, to be run again for real."""

    model: nn.Module
    example: Example
    step: recipe.Step | None
    recording: Recording
    mode: str
    """`train`, `eval`, or empty: as the model is."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What was captured of a model."""

    graph: Graph
    training: Training = field(default_factory=Training)
    """What the captured objects say of the training contract."""
    facts: Mapping[str, Known[Any]] = field(default_factory=dict)
    """How it was captured, for the report."""
    subject: Subject | None = None
    """None where nothing was run: of exported programs, and of what was traced without shapes."""


def capture(text: str, how: Capture, sliced: bool, stage: Stage) -> Captured:
    """The graph of a Python target, or of a file of weights with the factory of their model. Raises `TargetError`."""
    guard.seed(how.seed or 0)  # the same weights, and so the same findings, each time
    slots = example_inputs.stated(how.inputs)
    named = how.factory or text
    target = python_target(named)
    if target is None:
        raise TargetError(f"'{named}' names no model", "write it as in net.py:Net or pkg.mod:factory")
    made = made_by(target, how.weights, sliced, stage)
    if how.factory and how.factory != text:
        recipe.load_weights(module_alone(made.model, target), Path(text))
    example: Example | list[example_inputs.Slot] | None = made.example
    step = step_of(how.step, target, made.model, sliced)
    if step is not None:
        _initialised(made.model)
    if slots:
        example = stated(made.model, step, slots, "--input")
    captured = captured_model(made.model, example, step, how.mode, stage)
    if how.factory and how.factory != text:
        trained = Training(stage=Known("trained", "the file of weights"))
        captured = replace(captured, training=trained.otherwise(captured.training))
    elif made.fresh:
        init = Training(stage=Known("init", f"{target.name}, which reads no weights"))
        captured = replace(captured, training=init.otherwise(captured.training))
    if made.imported:
        facts = {**captured.facts, PART: Known("its definitions alone", made.imported)}
        captured = replace(captured, facts=facts)
    return captured


def _initialised(model: Any) -> None:
    """Lazy modules get their weights, by a forward pass: a step need not begin with one."""
    if isinstance(model, nn.Module) and any(map(is_lazy, model.parameters())):
        example = search(model, _attempt(model, None)).example
        with users_code("cannot be initialised", "call the model once where it is made"), torch.no_grad():
            model(*example.args, **example.kwargs)


def stated(
    model: Any, step: recipe.Step | None, slots: list[example_inputs.Slot], origin: str
) -> Example | list[example_inputs.Slot]:
    """The inputs that the user states; where the model wants others, too, slots under the names that it takes them by.

    Raises `TargetError` where they are no parts of a batch.
    """
    if not isinstance(model, nn.Module):
        return example_inputs.example_of(slots, origin)
    slots = example_inputs.vocabulary(model, slots)
    own = Layout.of(model, step)
    layout = own.holding(slots)
    placed = layout.placed(slots)
    whole = placed is not None and {slot.name for slot in placed}.issuperset(layout.names())
    if layout.parts and (placed is None or (not whole and layout != own)):
        raise _others_wanted(layout, ", ".join(layout.names()))
    if placed is not None and not whole:
        return placed
    if placed is None or not layout.parts:
        return example_inputs.example_of(slots, origin)
    return layout.example(placed, origin, guessed=False)


def step_of(text: str, target: PythonTarget, model: Any, sliced: bool) -> recipe.Step | None:
    """The training step that is to be recorded; None: the forward pass. Raises `TargetError`."""
    if not text:
        return None
    if text.isidentifier():
        return recipe.method(model, text)
    named = python_target(text)
    if named is None or named.args or named.kwargs:
        raise TargetError(f"has a step that is not understood: '{text}'", "write --step net.py:function, or a method")
    try:
        module = _same_module(target, named) or module_of(named, sliced)[0]
        found = attribute(module, named)
    except TargetError as error:
        raise TargetError(f"has a step, {text}, that {error}", error.help) from error
    return recipe.function(found, model)


def _same_module(target: PythonTarget, named: PythonTarget) -> Any:
    """The module of the model where the step is in it too: importing it twice would make its classes anew."""
    import sys

    if named.place == target.place and named.is_file:
        file = str(Path(named.place).absolute())
        return next((module for module in list(sys.modules.values()) if getattr(module, "__file__", "") == file), None)
    return None


def captured_model(
    model: Any,
    example: Example | Sequence[example_inputs.Slot] | None = None,
    step: recipe.Step | None = None,
    mode: str = "",
    stage: Stage = lambda name: None,
) -> Captured:
    """The graph of a model at hand, run on these inputs, or on such that have these slots. The model is left as it was.

    Raises `TargetError`.
    """
    model = unwrapped(model)
    if isinstance(model, torch.export.ExportedProgram):
        return Captured(lower(program(model, _name(model))))
    if step is None and getattr(type(model), "forward", None) is nn.Module.forward:
        raise TargetError("has no method forward", "name the model that calls it, or a training step: --step")
    with in_mode(model, mode), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the model says them when it is trained, too
        attempt = _attempt(model, step)
        if not isinstance(example, Example):
            stage("inputs")
            try:
                found = search(model, attempt, step, example or ())
            except NoInputs as error:
                if step is not None or example:
                    raise
                return (None if mode else _in_inference(model, error, stage)) or _symbolic(model, error)
            recording, example = found.result, found.example
        else:
            stage("record")
            recording = _judged(model, step, attempt, example)
    origin = f"{GUESSED}{example.origin}" if example.guessed else example.origin
    facts = {INPUTS: Known(str(example), origin)}
    if recording.notes:
        facts["recording"] = Known("; ".join(recording.notes), "the recorder")
    training = Training()
    if step is not None and getattr(step.source, "__self__", None) is model:
        training, failed = configured(model)
        facts |= failed
    subject = Subject(model, example, step, recording, mode)
    return Captured(lower(program(recording, _name(model))), training, facts, subject)


def _judged(
    model: nn.Module, step: recipe.Step | None, attempt: Callable[[Example], Recording], example: Example
) -> Recording:
    """The run on these inputs; one that fails is watched, to see whether it is for the inputs. Raises `TargetError`."""
    try:
        return attempt(example)
    except TargetError as error:
        first = error
    try:
        with watched(model) as watch:
            return attempt(example)
    except TargetError as error:
        raise _misplaced(model, step, example) or fault(error, watch) or first from first


def _misplaced(model: nn.Module, step: recipe.Step | None, example: Example) -> TargetError | None:
    """What is wrong with stated inputs that are not those of the signature."""
    try:
        taken = inspect.signature(model.forward) if step is None else recipe.signature(step)
        taken.bind(*example.args, **example.kwargs)
    except ValueError:
        return None
    except TypeError as error:
        return _others_wanted(Layout.of(model, step), str(error))
    return None


def _others_wanted(layout: Layout, why: str) -> TargetError:
    shown = " ".join(f"--input {name.rpartition('.')[2]}:DTYPE:SHAPE" for name in layout.names())
    return TargetError(f"takes other inputs than are stated: {why}", f"state those that it takes: {shown}")


def _in_inference(model: nn.Module, error: NoInputs, stage: Stage) -> Captured | None:
    """In inference mode, where the training mode of a model that looks at its mode wants more than inputs.

    Detectors want targets then, and return losses. None where that does not help either.
    """
    codes = (getattr(type(module).forward, "__code__", None) for module in model.modules())
    if not model.training or not any("training" in code.co_names for code in codes if code is not None):
        return None
    try:
        found = captured_model(model, None, None, "eval", stage)
    except TargetError:
        return None
    if found.subject is None:
        return None
    used = found.facts[INPUTS]
    how = f"{used.origin}; in inference mode, as in training mode it {str(error).splitlines()[0]}"
    return replace(found, facts={**found.facts, INPUTS: replace(used, origin=how)})


def _symbolic(model: nn.Module, error: NoInputs) -> Captured:
    """The graph without shapes, where `torch.fx` can trace it. Raises the error given."""
    try:
        traced = torch.fx.symbolic_trace(model)
        graph = lower(program(traced, _name(model)))
    except (Exception, SystemExit, GeneratorExit) as failure:
        why = said(failure).splitlines()[0] if said(failure) else type(failure).__name__
        raise NoInputs(f"{error}\ntorch.fx.symbolic_trace: {why[:200]}", error.help) from error
    how = f"{GUESSED}nothing: traced without shapes, as it ran on no inputs that were tried"
    how += f"; with {first[:200]}" if (first := "".join(str(error).splitlines()[1:2])) else ""
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
        run.__wrapped__ = step.source  # type: ignore[attr-defined]

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
