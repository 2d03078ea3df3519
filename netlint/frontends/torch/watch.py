"""What a model asks of its inputs, read off a run: which layer an input meets first, and what that layer takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .asked import of_call, of_module
from .demand import Demand, Misfit, Trace
from .widths import MOVES, Widths, moved, picked

_BARE = MOVES | {
    *("cat", "concat", "concatenate", "view", "reshape", "repeat", "expand", "expand_as", "interpolate", "zeros_like"),
    *("float", "to", "contiguous", "clone"),
}


class Watch(TorchFunctionMode):
    """Records demands and misfits while a model runs. `with watch.on(tensors): …`; the inputs are met in any order."""

    def __init__(self, model: nn.Module | None = None) -> None:
        super().__init__()
        self.widths = Widths(model)
        self.demands: list[Demand] = []
        self.misfit: Misfit | None = None
        """Of the last call that failed."""
        self.current: Misfit | None = None
        self.mixed: Misfit | None = None
        """A flattening that fits no sample: it mixes the samples of a batch, whether or not it fails."""
        self.calls = 0
        """How far the run has come."""
        self.refusal = ""
        """Why the module that was entered last refuses what layers give it, whatever the inputs."""
        self._clash: tuple[BaseException | None, str] = (None, "")
        """Of the last call that failed: its error, and how the layers behind it do not fit."""
        self._traces: dict[int, Trace] = {}
        self._kept: list[Any] = []  # ids stay unique as long as their tensors live

    def start(self, inputs: Sequence[Any]) -> None:
        """A run begins with these inputs (nested ones flattened by the caller)."""
        self._traces.clear()
        self.demands.clear()
        self.widths.clear()
        self.refusal = ""
        self.calls = 0
        self.misfit = self.mixed = None
        for slot, tensor in enumerate(inputs):
            if isinstance(tensor, torch.Tensor):
                self._put(tensor, Trace(frozenset({slot}), slot, tuple(range(tensor.dim()))))

    def forget(self) -> None:
        """The run is over, and its tensors may go; what it asked for stays."""
        self._traces.clear()
        self._kept.clear()
        self.widths.clear()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "__get__":  # a look at shape, dtype, device, T …
            result = func(*args, **kwargs)
            if isinstance(result, torch.Tensor):
                self._after(name, args, kwargs, result)
            return result
        self.current = None
        self.calls += 1
        with contextlib.suppress(Exception):  # a demand that cannot be read is none
            of_call(self, name, args, kwargs)
        current = self.current
        try:
            result = func(*args, **kwargs)
        except Exception as error:
            self.misfit = current
            with contextlib.suppress(Exception):
                self._clash = error, self.widths.clash(name, args, kwargs)
            raise
        with contextlib.suppress(Exception):
            self._after(name, args, kwargs, result)
        with contextlib.suppress(Exception):
            self.widths.after(name, args, kwargs, result)
        return result

    def clash(self, error: BaseException) -> str:
        """How layers do not fit together, where that is why this was raised; empty: nothing of the kind is known."""
        raised, found = self._clash
        return found if raised is error else self.refusal

    def _put(self, tensor: torch.Tensor, trace: Trace) -> None:
        self._kept.append(tensor)
        self._traces[id(tensor)] = trace

    def trace(self, value: Any) -> Trace | None:
        return self._traces.get(id(value))

    def ask(
        self,
        value: Any,
        *,
        kind: str | None = None,
        rank: int | None = None,
        high: int | None = None,
        sizes: Mapping[int, int] | None = None,
        like: tuple[int, ...] | None = None,
        target: bool = False,
    ) -> None:
        """Note what is asked of a tensor, if it is an input but for moved axes; axes count from either end."""
        trace = self.trace(value)
        if trace is None or trace.slot is None:
            return
        if like == tuple(value.shape):
            like = None
        elif like and value.dim() and like[0] == value.shape[0]:
            like = (0, *like[1:])  # the samples, of which another run may have more
        demand = Demand(trace.slot, kind, high=high, like=like, target=target)
        if rank is not None:
            own = sum(axis is not None for axis in trace.axes)
            demand.rank = own + rank - len(trace.axes) + trace.taken
        for axis, size in (sizes or {}).items():
            place = axis if axis >= 0 else len(trace.axes) + axis
            if 0 <= place < len(trace.axes) and trace.axes[place] is not None:
                demand.sizes[trace.axes[place]] = size  # type: ignore[index]
        self.demands.append(demand)

    def miss(self, value: Any, got: int, want: int, channels: bool = False) -> None:
        trace = self.trace(value)
        if got != want and trace is not None:
            self.current = Misfit(trace.slots, int(got), int(want), channels)

    def refused(self, value: Any, got: int, want: int) -> None:
        """A module is about to refuse a tensor."""
        self.current = None
        self.miss(value, got, want)
        self.misfit = self.current or self.misfit

    def _after(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        sources = [trace for value in _tensors((args, kwargs)) if (trace := self.trace(value)) is not None]
        if not sources:
            return
        slots = frozenset().union(*(trace.slots for trace in sources))
        for tensor in _tensors(result):
            if id(tensor) not in self._traces:
                self._put(tensor, self._derived(name, args, kwargs, tensor, sources[0], slots))

    def _derived(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        tensor: Any,
        source: Trace,
        slots: frozenset[int],
    ) -> Trace:
        first = args[0] if args else None
        bare = name in _BARE and all(one.bare for value in _tensors((args, kwargs)) if (one := self.trace(value)))
        if self.trace(first) is not source or source.slot is None or not isinstance(first, torch.Tensor):
            return Trace(slots, bare=bare)
        axes: Sequence[int | None] | None = None
        if name in MOVES:
            axes = moved(name, args[1:], kwargs, first.dim())
        elif tensor.shape == first.shape and name not in ("flip", "roll"):
            axes = range(first.dim())
        elif name == "pad":
            lengths = zip(first.shape, tensor.shape, strict=True)
            axes = [axis if was == now else None for axis, (was, now) in enumerate(lengths)]
        elif name == "__getitem__":
            axes = picked(range(first.dim()), args[1], None)
        if axes is None:
            return Trace(slots, bare=bare)
        lost = 0 if name in MOVES else first.dim() - sum(axis is not None for axis in axes)
        taken = source.taken + lost
        kept = tuple(source.axes[axis] if axis is not None else None for axis in axes)
        return Trace(slots, source.slot, kept, taken, bare)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)


@contextlib.contextmanager
def watching(model: nn.Module | None = None) -> Iterator[Watch]:
    """A watch on what runs inside; whoever runs a model calls `Watch.start` with its inputs."""
    watch = Watch(model)

    def enter(module: nn.Module, args: Any) -> None:
        watch.widths.enter(module)
        watch.refusal = ""
        if args and isinstance(args[0], (torch.Tensor, tuple)):
            with contextlib.suppress(Exception):
                of_module(watch, module, args)

    hooks = (
        nn.modules.module.register_module_forward_pre_hook(enter),
        nn.modules.module.register_module_forward_hook(lambda *_: watch.widths.leave(), always_call=True),
    )
    try:
        with watch:
            yield watch
    finally:
        for hook in hooks:
            hook.remove()
