"""Keeps a run from changing anything: the model, random numbers, settings of torch."""

from __future__ import annotations

import random
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from netlint.frontends.torch.keep import HOLDERS, MAX_ITEMS, refill
from netlint.frontends.torch.mode import Recorder


@contextmanager
def unchanged(model: nn.Module | None) -> Iterator[None]:
    """Puts back the attributes of all modules, and the lists and dicts among them."""
    kept = [_state(module) for module in model.modules()] if model is not None else []
    for module, *_ in kept:
        if module._backward_hooks or module._backward_pre_hooks:  # nothing is differentiated
            module._backward_hooks, module._backward_pre_hooks = OrderedDict(), OrderedDict()
    try:
        yield
    finally:
        for owner, attributes, held in kept:
            _restore(owner, attributes, held)


_Held = list[tuple[Any, Any]]


def _state(module: nn.Module) -> tuple[nn.Module, dict[str, Any], _Held]:
    attributes = dict(vars(module))
    holders = [value for value in attributes.values() if type(value) in HOLDERS and len(value) < MAX_ITEMS]
    held = [(value, value.copy()) for value in holders]
    return module, attributes, held


def _restore(owner: nn.Module, attributes: dict[str, Any], held: _Held) -> None:
    for holder, before in held:
        refill(holder, before)
    now = vars(owner)
    for name in [name for name in now if name not in attributes]:
        del now[name]
    now.update(attributes)


def seed(number: int) -> None:
    """Every source of random numbers on the CPU starts again."""
    torch.default_generator.manual_seed(number)
    random.seed(number)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(number % (1 << 32))


@contextmanager
def same_random() -> Iterator[None]:
    """A fixed seed within, the old state after."""
    with random_restored():
        seed(0)
        yield


@contextmanager
def random_restored() -> Iterator[None]:
    """The state of every source of random numbers on the CPU is put back."""
    numpy = sys.modules.get("numpy")
    state = torch.get_rng_state(), random.getstate(), numpy.random.get_state() if numpy else None
    try:
        yield
    finally:
        torch.set_rng_state(state[0])
        random.setstate(state[1])
        if numpy:
            numpy.random.set_state(state[2])


@contextmanager
def following(recorder: Recorder) -> Iterator[None]:
    """Tells the recorder which module is being called."""
    before = register_module_forward_pre_hook(lambda module, args: recorder.modules.enter(module))
    after = register_module_forward_hook(lambda module, args, result: recorder.modules.leave(), always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()


@contextmanager
def no_updates(recorder: Recorder) -> Iterator[None]:
    """Tells the recorder when an optimizer takes its step, so that it finds no gradients; loss scaling does nothing."""
    with ExitStack() as stack:
        stack.callback(register_optimizer_step_pre_hook(lambda *_: _count(recorder, 1)).remove)
        stack.callback(register_optimizer_step_post_hook(lambda *_: _count(recorder, -1)).remove)
        scaler = torch.amp.GradScaler
        for name in ("unscale_", "step", "update"):
            stack.callback(setattr, scaler, name, getattr(scaler, name))
            setattr(scaler, name, lambda *_, **__: None)
        yield


def _count(recorder: Recorder, more: int) -> None:
    recorder.updating += more


def _functions(cls: type[Any]) -> Iterator[type[Any]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _functions(sub)


@contextmanager
def whole_functions(recorder: Recorder) -> Iterator[None]:
    """Has every user-written `torch.autograd.Function` recorded as one call of its own name."""
    changed: list[tuple[type, Any]] = []
    for cls in set(_functions(torch.autograd.Function)):
        forward = vars(cls).get("forward")
        if isinstance(forward, staticmethod) and not cls.__module__.startswith("torch."):
            changed.append((cls, forward))
            cls.forward = staticmethod(_recorded(recorder, cls, forward.__func__))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for cls, forward in changed:
            cls.forward = forward  # type: ignore[attr-defined]


def _recorded(recorder: Recorder, cls: type, forward: Any) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        return recorder.custom(cls, forward, args, kwargs)

    return run


@contextmanager
def settings() -> Iterator[None]:
    """Switches off what hides calls, compiled code and fused paths, checks of values in distributions, and warnings."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if hasattr(torch, "cond"):
            stack.callback(setattr, torch, "cond", torch.cond)
            torch.cond = _cond
        fused = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(torch.backends.mha.set_fastpath_enabled, fused)
        distribution = getattr(sys.modules.get("torch.distributions.distribution"), "Distribution", None)
        if distribution is not None:
            stack.callback(distribution.set_default_validate_args, distribution._validate_args)
            distribution.set_default_validate_args(False)
        if "torch.fx.experimental.symbolic_shapes" not in sys.modules and hasattr(torch, "_check_with"):
            # torch's own checks of sizes import a computer algebra system to look at a bool.
            stack.callback(setattr, torch, "_check_with", torch._check_with)
            torch._check_with = _checked  # type: ignore[assignment]
        utils = sys.modules.get("transformers.utils.import_utils")
        if hasattr(utils, "is_fake_tensor"):
            # transformers decides on masks by their elements unless it sees that there are none.
            stack.callback(setattr, utils, "is_fake_tensor", utils.is_fake_tensor)  # type: ignore[union-attr]
            utils.is_fake_tensor = _has_no_elements  # type: ignore[union-attr]
        yield


def _has_no_elements(tensor: Any) -> bool:
    with torch._C.DisableTorchFunction():
        return isinstance(tensor, torch.Tensor) and tensor.is_meta


def _cond(pred: Any, true_fn: Any, false_fn: Any, operands: Any = ()) -> Any:
    """`torch.cond` as a branch like any other."""
    return true_fn(*operands) if pred else false_fn(*operands)


def _checked(kind: type[Exception], condition: Any, message: Any) -> None:
    if not condition:
        raise kind(message() if callable(message) else "a check failed")
