"""What operators and modules take where an input arrives: what they ask of it, and where its elements misfit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .demand import Demand

if TYPE_CHECKING:
    from .watch import Watch

_CONVOLUTIONS = {f"conv{n}d": n for n in (1, 2, 3)} | {f"conv_transpose{n}d": n for n in (1, 2, 3)}
_LOSSES_ALIKE = frozenset(
    {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"}
    | {"kl_div", "poisson_nll_loss", "soft_margin_loss", "multilabel_soft_margin_loss"}
)
_ONE_TENSOR = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.RNNBase, nn.ReLU)
_FLOAT_ONLY = frozenset({"matmul", "addmm", "bmm", "__matmul__", "layer_norm", "rms_norm", "group_norm", "softmax"})


def of_call(watch: Watch, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    def arg(place: int, key: str) -> Any:
        return args[place] if len(args) > place else kwargs.get(key)

    value = arg(0, "input")
    if name in _CONVOLUTIONS:
        _convolution(
            watch, name, value, arg(1, "weight"), arg(6, "groups") if len(args) > 6 else kwargs.get("groups", 1)
        )
    elif name == "linear":
        width = arg(1, "weight").shape[-1]
        _features(watch, value, width)
        watch.miss(value, value.shape[-1], width)
    elif name in ("embedding", "embedding_bag"):
        watch.ask(value, kind="int", high=arg(1, "weight").shape[0])
    elif name in ("batch_norm", "instance_norm"):
        stored = arg(1, "running_mean")
        stored = stored if stored is not None else kwargs.get("weight")
        if stored is not None:
            watch.ask(value, kind="float", sizes={1: stored.shape[0]})
            watch.miss(value, value.shape[1], stored.shape[0])
    elif name in ("layer_norm", "rms_norm"):
        width = tuple(arg(1, "normalized_shape"))
        watch.ask(value, kind="float", sizes={place - len(width): size for place, size in enumerate(width)})
        watch.miss(value, value.shape[-1], width[-1])
    elif name == "one_hot":
        watch.ask(value, kind="int", high=max(arg(1, "num_classes") or 1, 1))
    elif name in ("cross_entropy", "nll_loss"):
        target = arg(1, "target")
        shape = (value.shape[0], *value.shape[2:]) if value.dim() > 1 else ()
        watch.ask(target, kind="int", high=value.shape[1 if value.dim() > 1 else 0], like=tuple(shape))
    elif name in _LOSSES_ALIKE:
        watch.ask(arg(1, "target"), kind="float", like=tuple(value.shape))
        watch.ask(value, kind="float", like=tuple(arg(1, "target").shape))
    elif name == "__getitem__":
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        for axis, part in enumerate(index):
            if isinstance(part, torch.Tensor) and watch.trace(value) is None:
                watch.ask(part, kind="int", high=value.shape[axis])
    elif name in ("gather", "index_select", "take", "take_along_dim"):
        axis = 0 if name == "take" else arg(1, "dim")
        watch.ask(arg(1 if name == "take" else 2, "index"), kind="int", high=value.shape[axis or 0])
    elif name in ("masked_fill", "masked_fill_"):
        watch.ask(arg(1, "mask"), kind="bool")
    elif name == "where":
        watch.ask(value if value is not None else kwargs.get("condition"), kind="bool")
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
        _broadcast(watch, args[0], args[1])
    elif name in _FLOAT_ONLY:
        for operand in args[:2]:
            watch.ask(operand, kind="float")
        if name in ("matmul", "__matmul__"):
            left, right = args[0], args[1]
            watch.miss(left, left.shape[-1], right.shape[-2 if right.dim() > 1 else 0])
            if watch.trace(right) is None:
                watch.ask(left, sizes={-1: right.shape[-2 if right.dim() > 1 else 0]})
    elif name in ("view", "reshape"):
        _viewed(watch, value, args[1:])
    elif name == "einsum" and isinstance(value, str):
        _einsum(watch, value, args[1] if isinstance(args[1], tuple | list) else args[1:])


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


def _convolution(watch: Watch, name: str, value: Any, weight: Any, groups: Any) -> None:
    channels = weight.shape[0] if "transpose" in name else weight.shape[1] * int(groups or 1)
    rank = _CONVOLUTIONS[name] + 2
    place = -(rank - 1)
    watch.ask(value, kind="float", rank=rank, sizes={place: channels} if value.dim() in (rank, rank - 1) else {})


def _broadcast(watch: Watch, left: Any, right: Any) -> None:
    """A sum of what follows the inputs and of what is stored in the model: positions, mostly."""
    if not isinstance(left, torch.Tensor) or not isinstance(right, torch.Tensor):
        return
    for own, other in ((left, right), (right, left)):
        if own.dim() == 1 < other.dim() and other.shape[-1] not in (1, own.shape[0]):  # so far nothing but samples
            watch.ask(own, kind="float", like=tuple(other.shape))
    moving, stored = (left, right) if watch.trace(right) is None else (right, left)
    if watch.trace(moving) is None or watch.trace(stored) is not None:
        return
    for got, want in zip(reversed(moving.shape), reversed(stored.shape), strict=False):
        if got != want and want != 1 and got != 1:
            watch.miss(moving, got, want)


def _einsum(watch: Watch, equation: str, operands: Sequence[torch.Tensor]) -> None:
    """A letter that stands for two lengths: one that follows the inputs, one that is stored in the model."""
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


def _viewed(watch: Watch, value: torch.Tensor, sizes: Sequence[Any]) -> None:
    wanted = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], tuple | list | torch.Size) else tuple(sizes)
    if len(wanted) == 2 and value.dim() > 2 and isinstance(wanted[1], int) and wanted[1] > 0:
        got = value[0].numel()
        merged = {value.shape[-1]} | {value.shape[-1] * value.shape[-2]}
        if got != wanted[1] and wanted[1] not in merged:
            watch.miss(value, got, wanted[1])
            watch.mixed = watch.mixed or watch.current


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
    elif isinstance(module, nn.modules.batchnorm._BatchNorm | nn.modules.instancenorm._InstanceNorm):
        ranks = {"BatchNorm2d": 4, "BatchNorm3d": 5, "InstanceNorm2d": 4, "InstanceNorm3d": 5}
        watch.ask(value, kind="float", rank=ranks.get(type(module).__name__), sizes={1: module.num_features})
