"""What a model asks of its inputs, read off a run: which layer an input meets first, and what that layer takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


@dataclass(slots=True)
class Demand:
    """What a layer takes where an input arrives; None: it does not matter."""

    slot: int
    """Place of the input."""
    kind: str | None = None
    """`float`, `int` or `bool`."""
    rank: int | None = None
    sizes: dict[int, int] = field(default_factory=dict)
    """Lengths by axis of the input."""
    high: int | None = None
    """Integers are below this."""
    like: tuple[int, ...] | None = None
    """The whole shape."""


@dataclass(slots=True)
class Misfit:
    """A call that found `got` elements where it takes `want`, in a tensor computed from an input."""

    slots: frozenset[int]
    got: int
    want: int


@dataclass(slots=True)
class _Trace:
    """How a tensor stems from inputs: through `axes` each of its axes is an axis of the one input, or None."""

    slots: frozenset[int]
    slot: int | None = None
    axes: tuple[int | None, ...] = ()


_CONVOLUTIONS = {f"conv{n}d": n for n in (1, 2, 3)} | {f"conv_transpose{n}d": n for n in (1, 2, 3)}
_LOSSES_ALIKE = frozenset(
    {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"}
    | {"kl_div", "poisson_nll_loss", "soft_margin_loss", "multilabel_soft_margin_loss"}
)
_MOVES = frozenset({"permute", "transpose", "swapaxes", "t", "unsqueeze", "squeeze"})
_FLOAT_ONLY = frozenset({"matmul", "addmm", "bmm", "__matmul__", "layer_norm", "rms_norm", "group_norm", "softmax"})


class Watch(TorchFunctionMode):
    """Records demands and misfits while a model runs. `with watch.on(tensors): …`; the inputs are met in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.demands: list[Demand] = []
        self.misfit: Misfit | None = None
        """Of the last call that failed."""
        self._current: Misfit | None = None
        self.mixed: Misfit | None = None
        """A flattening that fits no sample: it mixes the samples of a batch, whether or not it fails."""
        self._traces: dict[int, _Trace] = {}
        self._kept: list[Any] = []  # ids stay unique as long as their tensors live

    def start(self, inputs: Sequence[Any]) -> None:
        """A run begins with these inputs (nested ones flattened by the caller)."""
        self._traces.clear()
        self.demands.clear()
        self.misfit = self.mixed = None
        for slot, tensor in enumerate(inputs):
            if isinstance(tensor, torch.Tensor):
                self._put(tensor, _Trace(frozenset({slot}), slot, tuple(range(tensor.dim()))))

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
        self._current = None
        with contextlib.suppress(Exception):  # a demand that cannot be read is none
            self._before(name, args, kwargs)
        current = self._current
        try:
            result = func(*args, **kwargs)
        except Exception:
            self.misfit = current
            raise
        with contextlib.suppress(Exception):
            self._after(name, args, kwargs, result)
        return result

    def _put(self, tensor: torch.Tensor, trace: _Trace) -> None:
        self._kept.append(tensor)
        self._traces[id(tensor)] = trace

    def trace(self, value: Any) -> _Trace | None:
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
    ) -> None:
        """Note what is asked of a tensor, if it is an input but for moved axes; axes count from either end."""
        trace = self.trace(value)
        if trace is None or trace.slot is None:
            return
        demand = Demand(trace.slot, kind, high=high, like=like)
        if rank is not None:
            own = sum(axis is not None for axis in trace.axes)
            demand.rank = own + rank - len(trace.axes)
        for axis, size in (sizes or {}).items():
            place = axis if axis >= 0 else len(trace.axes) + axis
            if 0 <= place < len(trace.axes) and trace.axes[place] is not None:
                demand.sizes[trace.axes[place]] = size  # type: ignore[index]
        self.demands.append(demand)

    def _before(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        def arg(place: int, key: str) -> Any:
            return args[place] if len(args) > place else kwargs.get(key)

        value = arg(0, "input")
        if name in _CONVOLUTIONS:
            self._convolution(
                name, value, arg(1, "weight"), arg(6, "groups") if len(args) > 6 else kwargs.get("groups", 1)
            )
        elif name == "linear":
            width = arg(1, "weight").shape[-1]
            self._features(value, width)
            self._miss(value, value.shape[-1], width)
        elif name in ("embedding", "embedding_bag"):
            self.ask(value, kind="int", high=arg(1, "weight").shape[0])
        elif name in ("batch_norm", "instance_norm"):
            stored = arg(1, "running_mean")
            stored = stored if stored is not None else kwargs.get("weight")
            if stored is not None:
                self.ask(value, kind="float", sizes={1: stored.shape[0]})
                self._miss(value, value.shape[1], stored.shape[0])
        elif name in ("layer_norm", "rms_norm"):
            width = tuple(arg(1, "normalized_shape"))
            self.ask(value, kind="float", sizes={place - len(width): size for place, size in enumerate(width)})
            self._miss(value, value.shape[-1], width[-1])
        elif name == "one_hot":
            self.ask(value, kind="int", high=max(arg(1, "num_classes") or 1, 1))
        elif name in ("cross_entropy", "nll_loss"):
            target = arg(1, "target")
            shape = (value.shape[0], *value.shape[2:]) if value.dim() > 1 else ()
            self.ask(target, kind="int", high=value.shape[1 if value.dim() > 1 else 0], like=tuple(shape))
        elif name in _LOSSES_ALIKE:
            self.ask(arg(1, "target"), kind="float", like=tuple(value.shape))
            self.ask(value, kind="float", like=tuple(arg(1, "target").shape))
        elif name == "__getitem__":
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            for axis, part in enumerate(index):
                if isinstance(part, torch.Tensor) and self.trace(value) is None:
                    self.ask(part, kind="int", high=value.shape[axis])
        elif name in ("gather", "index_select", "take", "take_along_dim"):
            axis = 0 if name == "take" else arg(1, "dim")
            self.ask(arg(1 if name == "take" else 2, "index"), kind="int", high=value.shape[axis or 0])
        elif name in ("masked_fill", "masked_fill_"):
            self.ask(arg(1, "mask"), kind="bool")
        elif name == "where":
            self.ask(value if value is not None else kwargs.get("condition"), kind="bool")
        elif name in (
            "add",
            "mul",
            "sub",
            "div",
            "__add__",
            "__radd__",
            "__mul__",
            "__sub__",
            "__truediv__",
            "add_",
            "__iadd__",
        ):
            self._broadcast(args[0], args[1])
        elif name in _FLOAT_ONLY:
            for operand in args[:2]:
                self.ask(operand, kind="float")
            if name in ("matmul", "__matmul__"):
                left, right = args[0], args[1]
                self._miss(left, left.shape[-1], right.shape[-2 if right.dim() > 1 else 0])
                if self.trace(right) is None:
                    self.ask(left, sizes={-1: right.shape[-2 if right.dim() > 1 else 0]})
        elif name in ("view", "reshape"):
            self._viewed(value, args[1:])
        elif name == "einsum" and isinstance(value, str):
            self._einsum(value, args[1] if isinstance(args[1], tuple | list) else args[1:])

    def _features(self, value: Any, width: int) -> None:
        """A dense layer reads features: what reaches it as the rows of an image is none."""
        trace = self.trace(value)
        if trace is not None and trace.slot is not None and trace.axes == tuple(range(len(trace.axes))):
            rows = len(trace.axes) > 3 and value.shape[-1] != width
            self.demands.append(
                Demand(trace.slot, "float", 2, {1: width})
                if rows
                else Demand(trace.slot, "float", None, {len(trace.axes) - 1: width})
            )
        else:
            self.ask(value, kind="float", sizes={-1: width})

    def _convolution(self, name: str, value: Any, weight: Any, groups: Any) -> None:
        channels = weight.shape[0] if "transpose" in name else weight.shape[1] * int(groups or 1)
        rank = _CONVOLUTIONS[name] + 2
        place = -(rank - 1)
        self.ask(value, kind="float", rank=rank, sizes={place: channels} if value.dim() in (rank, rank - 1) else {})

    def _broadcast(self, left: Any, right: Any) -> None:
        """A sum of what follows the inputs and of what is stored in the model: positions, mostly."""
        if not isinstance(left, torch.Tensor) or not isinstance(right, torch.Tensor):
            return
        moving, stored = (left, right) if self.trace(right) is None else (right, left)
        if self.trace(moving) is None or self.trace(stored) is not None:
            return
        for got, want in zip(reversed(moving.shape), reversed(stored.shape), strict=False):
            if got != want and want != 1 and got != 1:
                self._miss(moving, got, want)

    def _einsum(self, equation: str, operands: Sequence[torch.Tensor]) -> None:
        """A letter that stands for two lengths: one that follows the inputs, one that is stored in the model."""
        lengths: dict[str, int] = {}
        moving: dict[str, tuple[torch.Tensor, int]] = {}
        for letters, operand in zip(equation.split("->")[0].replace(" ", "").split(","), operands, strict=True):
            known = self.trace(operand) is not None
            for letter, length in zip(letters, operand.shape, strict=True):
                if known:
                    moving[letter] = (operand, length)
                else:
                    lengths[letter] = length
        for letter in sorted(lengths.keys() & moving.keys()):
            self._miss(*moving[letter], lengths[letter])

    def _viewed(self, value: torch.Tensor, sizes: Sequence[Any]) -> None:
        wanted = (
            tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], tuple | list | torch.Size) else tuple(sizes)
        )
        if len(wanted) == 2 and value.dim() > 2 and isinstance(wanted[1], int) and wanted[1] > 0:
            got = value[0].numel()
            merged = {value.shape[-1]} | {value.shape[-1] * value.shape[-2]}
            if got != wanted[1] and wanted[1] not in merged:
                self._miss(value, got, wanted[1])
                self.mixed = self.mixed or self._current

    def _miss(self, value: Any, got: int, want: int) -> None:
        trace = self.trace(value)
        if got != want and trace is not None:
            self._current = Misfit(trace.slots, int(got), int(want))

    def refused(self, value: Any, got: int, want: int) -> None:
        """A module is about to refuse a tensor."""
        self._current = None
        self._miss(value, got, want)
        self.misfit = self._current or self.misfit

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
        source: _Trace,
        slots: frozenset[int],
    ) -> _Trace:
        first = args[0] if args else None
        if self.trace(first) is not source or source.slot is None or not isinstance(first, torch.Tensor):
            return _Trace(slots)
        if name in _MOVES:
            axes = _moved(name, args[1:], kwargs, first.dim())
            return _Trace(slots, source.slot, tuple(source.axes[axis] if axis is not None else None for axis in axes))
        if tensor.shape == first.shape and name not in ("flip", "roll"):
            return _Trace(slots, source.slot, source.axes)
        return _Trace(slots)


def _moved(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], rank: int) -> list[int | None]:
    """Which axis of a tensor each axis of its moved view is; None: a new one."""
    lengths = [index + 2 for index in range(rank)]
    with torch._C.DisableTorchFunction():
        moved = getattr(torch.empty(lengths, device="meta"), name)(*args, **kwargs)
    return [length - 2 if length > 1 else None for length in moved.shape]


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
def watching() -> Iterator[Watch]:
    """A watch on what runs inside; whoever runs a model calls `Watch.start` with its inputs."""
    watch = Watch()

    def enter(module: nn.Module, args: Any) -> None:
        if args and isinstance(args[0], torch.Tensor):
            with contextlib.suppress(Exception):
                _of_module(watch, module, args)

    hook = nn.modules.module.register_module_forward_pre_hook(enter)
    try:
        with watch:
            yield watch
    finally:
        hook.remove()


def _of_module(watch: Watch, module: nn.Module, args: Sequence[Any]) -> None:
    """Demands of modules that check their input themselves before they call an operator."""
    value = args[0]
    if isinstance(module, nn.RNNBase):
        watch.ask(value, kind="float", rank=3, sizes={-1: module.input_size})
        watch.refused(value, value.shape[-1], module.input_size)
    elif isinstance(module, nn.RNNCellBase):
        watch.ask(value, kind="float", rank=2, sizes={-1: module.input_size})
    elif isinstance(module, nn.MultiheadAttention):
        watch.ask(value, kind="float", rank=3, sizes={-1: module.embed_dim})
    elif isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        width = module.self_attn.embed_dim
        for operand in args[:2]:
            watch.ask(operand, kind="float", rank=3, sizes={-1: width})
    elif isinstance(module, nn.Transformer):
        for operand in args[:2]:
            watch.ask(operand, kind="float", rank=3, sizes={-1: module.d_model})
    elif isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.instancenorm._InstanceNorm):
        ranks = {"BatchNorm2d": 4, "BatchNorm3d": 5, "InstanceNorm2d": 4, "InstanceNorm3d": 5}
        watch.ask(value, kind="float", rank=ranks.get(type(module).__name__), sizes={1: module.num_features})
