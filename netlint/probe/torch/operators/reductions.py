"""Operators that reduce axes, or run along one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .call import Call, Function, Result

Reduce = Callable[[Tensor, list[int], bool], Tensor]


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keep, dtype=x.dtype)
    return x


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(axes, keepdim=keep, dtype=x.dtype)


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.mean(axes, keepdim=keep) if x.is_floating_point() else x.double().mean(axes, keepdim=keep).to(x.dtype)


_REDUCTIONS: dict[str, Reduce] = {
    "ReduceL1": lambda x, axes, keep: _sum(x.abs(), axes, keep),
    "ReduceL2": lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep),
    "ReduceLogSum": lambda x, axes, keep: _sum(x, axes, keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep),
    "ReduceMax": lambda x, axes, keep: torch.amax(x, axes, keepdim=keep),
    "ReduceMean": _mean,
    "ReduceMin": lambda x, axes, keep: torch.amin(x, axes, keepdim=keep),
    "ReduceProd": _product,
    "ReduceSum": _sum,
    "ReduceSumSquare": lambda x, axes, keep: _sum(x * x, axes, keep),
}


def _reduced(reduce: Reduce, call: Call) -> Tensor:
    axes = call.numbers(1, "axes") or []
    if not axes and call.attr("noop_with_empty_axes", 0):
        return call.x
    whole = sorted({axis % call.x.dim() for axis in axes}) if axes else list(range(call.x.dim()))
    if not call.x.numel() and call.node.op in ("ReduceMax", "ReduceMin"):
        raise call.refused("reduces nothing")
    return reduce(call.x, whole, bool(call.attr("keepdims", 1))) if whole else call.x


def _extreme(which: Callable[..., Tensor], call: Call) -> Tensor:
    axis, x = call.attr("axis", 0), call.x
    if call.attr("select_last_index", 0):
        found = x.shape[axis] - 1 - which(x.flip(axis), dim=axis, keepdim=True)
    else:
        found = which(x, dim=axis, keepdim=True)
    return found if call.attr("keepdims", 1) else found.squeeze(axis)


def _running_sum(call: Call) -> Tensor:
    axis = int(call.number(1, "", 0))
    x = call.x.flip(axis) if call.attr("reverse", 0) else call.x
    total = x.cumsum(axis, dtype=x.dtype)
    total = total - x if call.attr("exclusive", 0) else total
    return total.flip(axis) if call.attr("reverse", 0) else total


def _top(call: Call) -> Result:
    count, axis = int(call.number(1, "k", 1)), int(call.attr("axis", -1))
    order = torch.argsort(call.x, dim=axis, descending=bool(call.attr("largest", 1)), stable=True)
    places = order.narrow(axis, 0, count)
    return call.x.gather(axis, places), places


def _flat_softmax(function: Callable[..., Tensor], call: Call) -> Tensor:
    """Before opset 13, over all axes from the given one on."""
    if call.opset >= 13:
        return function(call.x, dim=call.attr("axis", -1))
    axis = call.attr("axis", 1) % max(call.x.dim(), 1)
    return function(call.x.flatten(axis), dim=-1).reshape(call.x.shape)


TABLE: dict[str, Function] = {
    **{op: partial(_reduced, reduce) for op, reduce in _REDUCTIONS.items()},
    "ArgMax": partial(_extreme, torch.argmax),
    "ArgMin": partial(_extreme, torch.argmin),
    "CumSum": _running_sum,
    "LogSoftmax": partial(_flat_softmax, torch.log_softmax),
    "Softmax": partial(_flat_softmax, torch.softmax),
    "TopK": _top,
}
