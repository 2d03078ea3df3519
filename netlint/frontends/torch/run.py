"""Runs a model under the recorder, on tensors without elements first, on real ones where these do not do."""

from __future__ import annotations

import copy
import gc
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from netlint.errors import said
from netlint.frontends import TargetError
from netlint.frontends.torch import frames, guard, leaks, owners
from netlint.frontends.torch.arguments import Arguments, outputs_of
from netlint.frontends.torch.beneath import Watching
from netlint.frontends.torch.errors import Demanded, Lost, refuse_nested
from netlint.frontends.torch.keep import kept
from netlint.frontends.torch.mode import Recorder
from netlint.frontends.torch.trace import slots_in

Fallback: TypeAlias = Literal["auto", "never"]
Target: TypeAlias = nn.Module | Callable[..., Any]

REAL_LIMIT = 2 << 30
"""Bytes of parameters up to which a model is executed on real tensors if need be."""

_NO_VALUES = (
    "asks for elements of tensors that depend on the data, and is not executed on real ones (too large, or not wanted)",
    "lint a smaller configuration of the model, or export it with torch.onnx.export and lint the file",
)
_COLLECTED = 1 << 28
"""Bytes of results after which garbage is collected: a quarter of a gigabyte."""
_INVENTED = 1000
"""How often a model too large for a real run may ask for elements."""


class Run:
    """What is to be run."""

    uncollected: ClassVar[int] = 0
    """Bytes of the results of real runs since garbage was last collected."""

    def __init__(
        self, target: Target, args: Sequence[Any], kwargs: Mapping[str, Any], modules: nn.Module | None, real: Fallback
    ) -> None:
        self.arguments = Arguments(target, args, kwargs)
        for tensor in self.arguments.tensors():
            refuse_nested(tensor)
        self.target = target
        self.root = modules or _root(target, self.arguments)
        self.real = real
        if self.root is not None and any(is_lazy(parameter) for parameter in self.root.parameters()):
            self._initialise()

    def best(self, arguments: Arguments | None = None, locate: bool = True) -> Recorder:
        """The recorder after the first run that goes through. Raises `TargetError`."""
        given = arguments or self.arguments
        error: BaseException | None = None
        for thorough in (False, True):
            try:
                return self.once(given, real=False, thorough=thorough, locate=locate)
            except Lost as lost:
                error = lost
            except Demanded as demanded:
                error = demanded
                break
            except TargetError:
                raise
            except (Exception, SystemExit) as raised:
                error = raised
                if not _of_stand_ins(raised):
                    break
        if error is not None and _of_shapes(error):
            self._shown(given, locate)
        return self._really(given, locate, error)

    def _shown(self, arguments: Arguments, locate: bool) -> None:
        """Shapes refused: so they are on real tensors, much later. Raises `TargetError`, once a watch has seen why."""
        try:
            self.once(arguments, real=False, thorough=True, locate=locate, shown=True)
        except (Demanded, Lost, TargetError):
            return
        except Exception as raised:
            if _of_shapes(raised):
                raise _target_error(raised) from raised

    def _really(self, arguments: Arguments, locate: bool, error: BaseException | None) -> Recorder:
        large = _nbytes(self.root) > REAL_LIMIT
        if isinstance(error, (Exception, SystemExit)) and (self.real == "never" or large):
            raise _target_error(error) from error
        if self.real == "never":
            raise TargetError(*_NO_VALUES) from error
        try:
            return self.once(arguments, real=not large, thorough=True, locate=locate, inventing=_INVENTED)
        except (Demanded, Lost) as demanded:
            raise TargetError(*_NO_VALUES) from demanded
        except TargetError:
            raise
        except (Exception, SystemExit) as raised:
            raise _target_error(raised) from raised

    def once(
        self,
        arguments: Arguments,
        *,
        real: bool,
        thorough: bool,
        locate: bool = True,
        inventing: int = 0,
        shown: bool = False,
    ) -> Recorder:
        """One run. Raises `Demanded`, `Lost` or what the model raises."""
        if Run.uncollected > _COLLECTED:  # a trace is full of cycles: without help its tensors outlive it
            gc.collect()
            Run.uncollected = 0
        recorder = Recorder(self.root, real=real, thorough=thorough, locate=locate, shown=shown)
        recorder.inventing = inventing
        whole = recorder.left
        try:
            self._record(recorder, arguments)
        finally:
            Run.uncollected += whole - recorder.left
            if not real:
                leaks.clear(frames.files())
        return recorder

    def _record(self, recorder: Recorder, arguments: Arguments) -> None:
        with ExitStack() as stack:
            stack.enter_context(guard.same_random())
            stack.enter_context(kept(self.target))
            for module in {id(m): m for m in (self.root, *arguments.modules()) if m is not None}.values():
                stack.enter_context(guard.unchanged(module))
            stack.enter_context(guard.settings())
            stack.enter_context(guard.following(recorder))
            stack.enter_context(guard.no_updates(recorder))
            stack.enter_context(guard.whole_functions(recorder))
            args, kwargs = arguments.entered(recorder)
            with Watching(recorder) if recorder.thorough else nullcontext():
                result = _execute(recorder, self.target, args, kwargs)
                recorder.trace.outputs = outputs_of(recorder, result)
                if owners.stored(recorder.outside, self.root):
                    _again(recorder, self.target, args, kwargs)
            owners.settle(recorder.outside, self.root)
        if not any(True for _ in slots_in(recorder.trace.outputs)):
            raise TargetError("computes no tensor", "name the module or the step whose tensors are of interest")

    def _initialise(self) -> None:
        """Lazy modules get their parameters, in a copy."""
        assert self.root is not None
        root = _copied(self.root)
        if self.target is self.root:
            self.target = root  # type: ignore[assignment]
        elif not any(value is self.root for value in self.arguments.args):
            raise TargetError("holds lazy modules that were never called", "call the model once before")
        self.arguments.args = tuple(root if value is self.root else value for value in self.arguments.args)
        self.root = root
        real = self.arguments.changed(lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype))
        try:
            with guard.same_random(), torch.no_grad():
                self.target(*real.args, **real.kwargs)
        except Exception as raised:
            raise _target_error(raised) from raised


def _copied(root: nn.Module) -> nn.Module:
    """A deep copy; torch itself refuses to copy what has no shape yet."""
    memo: dict[int, Any] = {}
    for tensor in (*root.parameters(), *root.buffers()):
        if is_lazy(tensor):
            kind: Callable[..., torch.Tensor] = type(tensor)
            with_grad = {"requires_grad": tensor.requires_grad} if isinstance(tensor, nn.Parameter) else {}
            memo[id(tensor)] = kind(device=tensor.device, dtype=tensor.dtype, **with_grad)
    made = copy.deepcopy(root, memo)
    for old, new in zip(root.modules(), made.modules(), strict=True):
        if line := frames.BORN.get(old):
            frames.BORN[new] = line
    return made


def _execute(recorder: Recorder, target: Target, args: Any, kwargs: Any) -> Any:
    with torch.enable_grad(), recorder:
        return target(*args, **kwargs)


frames.ends_here(_execute.__code__)


def _again(recorder: Recorder, target: Target, args: Any, kwargs: Any) -> None:
    """A second call, of which nothing is kept: a layer that it makes anew is none that the model holds."""
    steps = len(recorder.trace.steps)
    with suppress(Exception, Demanded, Lost):
        _execute(recorder, target, args, kwargs)
    del recorder.trace.steps[steps:]


def _root(target: Target, arguments: Arguments) -> nn.Module | None:
    if isinstance(target, nn.Module):
        return target
    owner = getattr(target, "__self__", None)
    if isinstance(owner, nn.Module):
        return owner
    modules = arguments.modules()
    return modules[0] if len(modules) == 1 else None


def _nbytes(root: nn.Module | None) -> int:
    return sum(p.numel() * p.element_size() for p in root.parameters()) if root is not None else 0


def _of_stand_ins(error: BaseException) -> bool:
    """Whether an error may come of the tensors having no elements, or not being where they claim to be."""
    return isinstance(error, NotImplementedError) or "meta" in said(error) or "storage" in said(error)


_SHAPES = re.compile(
    r"shapes cannot be multiplied|must match the size of tensor|Sizes of tensors must match|invalid for input of size"
    r"|to have \d+ channels, but got|doesn't match the broadcast shape"  # not of writes: a meta slice may be empty
    r"|Output size is too small|Kernel size can't be greater than actual input size"
)
_INNER = re.compile(r"a and b must have same reduction dim, but got \[(\d+), (\d+)\] X \[(\d+), (\d+)\]\.?")


def _of_shapes(error: BaseException) -> bool:
    """Whether operators refuse shapes, which tensors without elements have as well; it then reads as on real ones."""
    if not isinstance(error, RuntimeError):
        return False
    text = _INNER.sub(r"mat1 and mat2 shapes cannot be multiplied (\1x\2 and \3x\4)", said(error))
    if text != said(error):
        error.args = (text,)
    return _SHAPES.search(text) is not None


def _target_error(error: BaseException) -> TargetError:
    line = frames.line_of(error.__traceback__)
    place = f" at {line[0]}:{line[1]}" if line else ""
    text = " ".join(said(error).split())[:500]
    way_out = "see whether it takes these inputs; --input states others: --input 1,3,224,224"
    return TargetError(f"raises {type(error).__name__}{place}: {text}", way_out)
