"""What operators and modules take where an input arrives: what they ask of it, and where its elements misfit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .call import CONVOLUTIONS, Call
from .demand import Demand
from .held import look

if TYPE_CHECKING:
    from .watch import Watch


_ONE_TENSOR = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.RNNBase, nn.ReLU)


def of_call(watch: Watch, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    if asks := _ASKS.get(name):
        asks(watch, Call(name, args, kwargs))


def _convolution(watch: Watch, call: Call) -> None:
    value, rank = call.value, CONVOLUTIONS[call.name] + 2
    sizes = {1 - rank: call.channels()} if value.dim() in (rank, rank - 1) else {}
    watch.ask(value, kind="float", rank=rank, sizes=sizes)
    trace = watch.trace(value)
    if trace is not None and trace.slot is None and trace.bare and value.dim() == rank:
        watch.miss(value, value.shape[1], call.channels(), channels=True)


def _linear(watch: Watch, call: Call) -> None:
    width = call.width()
    _features(watch, call.value, width)
    watch.miss(call.value, call.value.shape[-1], width)


def _embedding(watch: Watch, call: Call) -> None:
    """Integers; where features were guessed, one number for each position instead of them."""
    features = call.value.is_floating_point() and call.value.dim() == 3
    watch.ask(call.value, kind="int", rank=2 if features else None, high=call.arg(1, "weight").shape[0])


def _channel_norm(watch: Watch, call: Call) -> None:
    stored = call.arg(1, "running_mean")
    stored = stored if stored is not None else call.arg(3, "weight")
    if stored is not None:
        watch.ask(call.value, kind="float", sizes={1: stored.shape[0]})
        watch.miss(call.value, call.value.shape[1], stored.shape[0])


def _layer_norm(watch: Watch, call: Call) -> None:
    width = tuple(call.arg(1, "normalized_shape"))
    sizes = {place - len(width): size for place, size in enumerate(width)}
    watch.ask(call.value, kind="float", sizes=sizes)
    watch.miss(call.value, call.value.shape[-1], width[-1])


def _one_hot(watch: Watch, call: Call) -> None:
    watch.ask(call.value, kind="int", high=max(call.arg(1, "num_classes") or 1, 1))


def _class_loss(watch: Watch, call: Call) -> None:
    scores = call.value
    shape = (scores.shape[0], *scores.shape[2:]) if scores.dim() > 1 else ()
    high = scores.shape[1 if scores.dim() > 1 else 0]
    watch.ask(call.arg(1, "target"), kind="int", high=high, like=tuple(shape))


def _loss_of_alikes(watch: Watch, call: Call) -> None:
    target = call.arg(1, "target")
    watch.ask(target, kind="float", like=tuple(call.value.shape))
    watch.ask(call.value, kind="float", like=tuple(target.shape))


def _indexed(watch: Watch, call: Call) -> None:
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    for axis, part in enumerate(index):
        if isinstance(part, torch.Tensor) and watch.trace(call.value) is None:
            watch.ask(part, kind="int", high=call.value.shape[axis])


def _taken(watch: Watch, call: Call) -> None:
    watch.ask(call.arg(1, "index"), kind="int", high=call.value.shape[0])


def _gathered(watch: Watch, call: Call) -> None:
    high = call.value.shape[call.arg(1, "dim") or 0]
    watch.ask(call.arg(2, "index"), kind="int", high=high)


def _taken_along(watch: Watch, call: Call) -> None:
    dim = call.arg(2, "dim")
    high = call.value.numel() if dim is None else call.value.shape[dim]
    watch.ask(call.arg(1, "indices"), kind="int", high=high)


def _masked(watch: Watch, call: Call) -> None:
    watch.ask(call.arg(1, "mask"), kind="bool")


def _where(watch: Watch, call: Call) -> None:
    watch.ask(call.arg(0, "condition", call.value), kind="bool")


def _floats(watch: Watch, call: Call) -> None:
    for operand in call.args[:2]:
        watch.ask(operand, kind="float")


def _matmul(watch: Watch, call: Call) -> None:
    _floats(watch, call)
    left, right = call.args[0], call.args[1]
    inner = right.shape[-2 if right.dim() > 1 else 0]
    watch.miss(left, left.shape[-1], inner)
    if watch.trace(right) is None:
        watch.ask(left, sizes={-1: inner})


def _features(watch: Watch, value: Any, width: int) -> None:
    """A dense layer reads features: what reaches it as the rows of an image is none."""
    trace = watch.trace(value)
    if trace is not None and trace.slot is not None and trace.axes == (0,):  # so far nothing but samples
        watch.demands.append(Demand(trace.slot, "float", 2, {1: width}))
    elif trace is not None and trace.slot is not None and trace.axes == tuple(range(len(trace.axes))):
        rows = len(trace.axes) > 3 and value.shape[-1] != width
        watch.demands.append(
            Demand(trace.slot, "float", 2, {1: width})
            if rows
            else Demand(trace.slot, "float", None, {len(trace.axes) - 1: width})
        )
    else:
        watch.ask(value, kind="float", sizes={-1: width})


def _broadcast(watch: Watch, call: Call) -> None:
    """A sum of what follows the inputs and of what is stored in the model: positions, mostly."""
    left, right = call.args[0], call.args[1]
    if not isinstance(left, torch.Tensor) or not isinstance(right, torch.Tensor):
        return
    for own, other in ((left, right), (right, left)):
        if own.dim() == 1 < other.dim() and other.shape[-1] not in (1, own.shape[0]):  # so far nothing but samples
            watch.ask(own, kind="float", like=tuple(other.shape))
        elif own.dim() == 1 and tuple(other.shape) == (*own.shape, 1):
            watch.ask(own, kind="float", like=tuple(other.shape), target=True)
    moving, stored = (left, right) if watch.trace(right) is None else (right, left)
    if watch.trace(moving) is None or watch.trace(stored) is not None:
        return
    for got, want in zip(reversed(moving.shape), reversed(stored.shape), strict=False):
        if got != want and want != 1 and got != 1:
            watch.miss(moving, got, want)


def _einsum(watch: Watch, call: Call) -> None:
    """A letter that stands for two lengths: one that follows the inputs, one that is stored in the model."""
    equation = call.value
    if not isinstance(equation, str):
        return
    operands = call.args[1] if isinstance(call.args[1], tuple | list) else call.args[1:]
    lengths: dict[str, int] = {}
    moving: dict[str, tuple[torch.Tensor, int]] = {}
    for letters, operand in zip(equation.split("->")[0].replace(" ", "").split(","), operands, strict=True):
        known = watch.trace(operand) is not None
        for letter, length in zip(letters, operand.shape, strict=True):
            if known:
                moving[letter] = (operand, length)
            else:
                lengths[letter] = length
    for letter in sorted(lengths.keys() & moving.keys()):
        watch.miss(*moving[letter], lengths[letter])


def _vectors(watch: Watch, call: Call) -> None:
    for operand in call.args[:2]:
        watch.ask(operand, kind="float", rank=1)


def _resized(watch: Watch, call: Call) -> None:
    """Maps that are resized have as many axes as lengths are given, and two more."""
    size = call.arg(1, "size")
    if isinstance(size, tuple | list):
        watch.ask(call.value, kind="float", rank=len(size) + 2)


def _joined(watch: Watch, call: Call) -> None:
    """Inputs that are joined with what follows from others are as large as that, but along the axis itself."""
    parts, axis = list(call.value), call.arg(1, "dim") or 0
    if len({part.dim() for part in parts}) != 1:
        return
    traces = [trace for part in parts if (trace := watch.trace(part)) is not None]
    for part in parts:
        own = watch.trace(part)
        if own is None or own.slot is None:
            continue
        others = [other for other in parts if (trace := watch.trace(other)) and own.slot not in trace.slots]
        if others and not any(trace.slot is None and own.slot in trace.slots for trace in traces):
            lengths = {place: length for place, length in enumerate(others[0].shape) if place}
            lengths.pop(axis % part.dim(), None)
            watch.ask(part, sizes=lengths)


def _stretched(watch: Watch, value: torch.Tensor, wanted: tuple[Any, ...]) -> None:
    """`c.view(c.size(0), c.size(1), 1, 1)` is of features, whatever axes they were guessed to have."""
    lead = wanted
    while lead and lead[-1] == 1:
        lead = lead[:-1]
    if 0 < len(lead) < value.dim() <= len(wanted) and lead == tuple(value.shape[: len(lead)]):
        watch.ask(value, rank=len(lead))


def _viewed(watch: Watch, call: Call) -> None:
    value, sizes = call.value, call.args[1:]
    wanted = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], tuple | list | torch.Size) else tuple(sizes)
    _stretched(watch, value, wanted)
    if len(wanted) == 2 and value.dim() > 2 and isinstance(wanted[1], int) and wanted[1] > 0:
        got = value[0].numel()
        merged = {value.shape[-1]} | {value.shape[-1] * value.shape[-2]}
        if got != wanted[1] and wanted[1] not in merged:
            watch.miss(value, got, wanted[1])
            watch.mixed = watch.mixed or watch.current
    elif len(wanted) > 2 and all(isinstance(size, int) and size > 0 for size in wanted[1:]):
        want = math.prod(wanted[1:])  # samples of a shape that is fixed
        kept = value.dim() > 2 and wanted[0] == value.shape[0]
        if kept or (wanted[0] == -1 and value.numel() % want):
            watch.miss(value, value[0].numel(), want)


_LOSSES_OF_ALIKES = (
    *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy"),
    *("binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss", "soft_margin_loss"),
    "multilabel_soft_margin_loss",
)
_ARITHMETIC = (
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
)

COMPARES = frozenset({*_LOSSES_OF_ALIKES, "sub", "__sub__"})
"""Calls that compare predictions with targets."""

_ASKS: Mapping[str, Callable[[Watch, Call], None]] = {
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    "linear": _linear,
    **dict.fromkeys(("embedding", "embedding_bag"), _embedding),
    **dict.fromkeys(("batch_norm", "instance_norm"), _channel_norm),
    "layer_norm": _layer_norm,
    "rms_norm": _layer_norm,
    **dict.fromkeys(("group_norm", "softmax", "addmm", "bmm"), _floats),
    "one_hot": _one_hot,
    **dict.fromkeys(("cross_entropy", "nll_loss"), _class_loss),
    **dict.fromkeys(_LOSSES_OF_ALIKES, _loss_of_alikes),
    "__getitem__": _indexed,
    "take": _taken,
    **dict.fromkeys(("gather", "index_select"), _gathered),
    "take_along_dim": _taken_along,
    **dict.fromkeys(("masked_fill", "masked_fill_"), _masked),
    "where": _where,
    **dict.fromkeys(_ARITHMETIC, _broadcast),
    **dict.fromkeys(("matmul", "__matmul__"), _matmul),
    **dict.fromkeys(("view", "reshape"), _viewed),
    "einsum": _einsum,
    "interpolate": _resized,
    **dict.fromkeys(("outer", "ger"), _vectors),
    **dict.fromkeys(("cat", "concat", "concatenate"), _joined),
}
"""By the operator's name, what it asks of what arrives."""


def of_module(watch: Watch, module: nn.Module, args: Sequence[Any]) -> None:
    """Demands of modules that check their input themselves before they call an operator."""
    value = args[0]
    if isinstance(value, tuple):
        if isinstance(module, _ONE_TENSOR):
            watch.refusal = watch.widths.several(module, value)
    elif isinstance(module, nn.RNNBase):
        watch.ask(value, kind="float", rank=3, sizes={-1: module.input_size})
        watch.refused(value, value.shape[-1], module.input_size)
        watch.refusal = watch.widths.unfit("", value, -1, module.input_size, "features", module)
    elif isinstance(module, nn.RNNCellBase):
        watch.ask(value, kind="float", rank=2, sizes={-1: module.input_size})
        watch.refusal = watch.widths.unfit("", value, -1, module.input_size, "features", module)
    elif isinstance(module, nn.MultiheadAttention):
        watch.ask(value, kind="float", rank=3, sizes={-1: module.embed_dim})
        watch.refusal = watch.widths.unfit("", value, -1, module.embed_dim, "features", module)
    elif isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        width = module.self_attn.embed_dim
        for operand in args[:2]:
            watch.ask(operand, kind="float", rank=3, sizes={-1: width})
    elif isinstance(module, nn.Transformer):
        for operand in args[:2]:
            watch.ask(operand, kind="float", rank=3, sizes={-1: module.d_model})
    elif isinstance(pattern := look(module, "pattern"), str) and "->" in pattern:  # a layer of einops
        watch.ask(value, kind="float", rank=len(re.findall(r"\(.*?\)|[^\s()]+", pattern.split("->")[0])))
    elif isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.instancenorm._InstanceNorm):
        ranks = {"BatchNorm2d": 4, "BatchNorm3d": 5, "InstanceNorm2d": 4, "InstanceNorm3d": 5}
        watch.ask(value, kind="float", rank=ranks.get(type(module).__name__), sizes={1: module.num_features})
