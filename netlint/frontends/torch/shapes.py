"""Rules, as in `sizes`, for calls that change the shape and for layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from netlint.frontends.torch.sizes import RULES, enter, fresh

_T = torch.Tensor


# Reductions


def _reduced(input: torch.Tensor, dim: Any, keepdim: bool) -> tuple[int, ...] | None:
    rank = input.dim()
    dims = range(rank) if dim is None or dim == () or dim == [] else [dim] if type(dim) is int else dim
    places = set()
    for place in dims:
        if type(place) is not int or not -rank <= place < rank:
            return None
        places.add(place % rank)
    if keepdim:
        return tuple(1 if place in places else length for place, length in enumerate(input.shape))
    return tuple(length for place, length in enumerate(input.shape) if place not in places)


def _reduction(kind: Callable[[torch.dtype], torch.dtype | None]) -> Callable[..., Any]:
    def rule(input: Any, dim: Any = None, keepdim: Any = False, *, dtype: Any = None, out: Any = None) -> Any:
        shape = _reduced(input, dim, keepdim) if type(keepdim) is bool and out is None else None
        result = dtype or kind(input.dtype)
        return None if shape is None or result is None or not input.numel() else fresh(shape, result)

    return rule


def _only_float(dtype: torch.dtype) -> torch.dtype | None:
    return dtype if dtype.is_floating_point else None


def _summed(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype.is_floating_point or dtype.is_complex else torch.int64


enter(_reduction(_summed), "sum", "nansum")
enter(_reduction(_only_float), "mean", "logsumexp")
enter(_reduction(lambda dtype: dtype), "amax", "amin")
enter(_reduction(lambda dtype: torch.bool), "any", "all")


def _extreme(kind: Any) -> Callable[..., Any]:
    def rule(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, _T):
            return None
        shape = _reduced(input, dim, keepdim)
        if shape is None or not input.numel() or (dim is not None and type(dim) is not int):
            return None
        values = fresh(shape, input.dtype)
        return values if dim is None else kind((values, fresh(shape, torch.int64)))

    return rule


enter(_extreme(torch.return_types.max), "max")
enter(_extreme(torch.return_types.min), "min")


def _norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Any:
    return _reduction(_only_float)(input, dim, keepdim) if type(p) in (int, float) or p in ("fro", 2) else None


enter(_norm, "norm", "vector_norm")


def _arg(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return _reduction(lambda dtype: torch.int64)(input, dim, keepdim)


enter(_arg, "argmax", "argmin")


def _spread(input: Any, dim: Any = None, unbiased: Any = True, keepdim: bool = False, **kwargs: Any) -> Any:
    if type(dim) is bool or kwargs.keys() - {"correction"} or type(unbiased) is not bool:
        return None
    return _reduction(_only_float)(input, dim, keepdim)


enter(_spread, "var", "std")


def _cat(tensors: Any, dim: Any = 0, *, out: Any = None) -> Any:
    first = tensors[0]
    rank = first.dim()
    if out is not None or type(dim) is not int or not -rank <= dim < rank:
        return None
    dim %= rank
    rest = (*first.shape[:dim], *first.shape[dim + 1 :])
    for tensor in tensors:
        if tensor.dim() != rank or tensor.dtype is not first.dtype:
            return None
        if (*tensor.shape[:dim], *tensor.shape[dim + 1 :]) != rest:
            return None
    return fresh((*first.shape[:dim], sum(t.shape[dim] for t in tensors), *first.shape[dim + 1 :]), first.dtype)


enter(_cat, "cat", "concat", "concatenate")


def _stack(tensors: Any, dim: Any = 0, *, out: Any = None) -> Any:
    first = tensors[0]
    rank = first.dim() + 1
    if out is not None or type(dim) is not int or not -rank <= dim < rank:
        return None
    if any(tensor.shape != first.shape or tensor.dtype is not first.dtype for tensor in tensors):
        return None
    dim %= rank
    return fresh((*first.shape[:dim], len(tensors), *first.shape[dim:]), first.dtype)


enter(_stack, "stack")


def _pad(input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    pads = list(pad)
    axes = len(pads) // 2
    usual = mode == "constant" or (mode in ("reflect", "replicate", "circular") and input.dim() in (axes + 1, axes + 2))
    if not usual or len(pads) % 2 or axes > input.dim() or any(type(n) is not int for n in pads) or not any(pads):
        return None
    shape = list(input.shape)
    for place in range(axes):
        before, after = pads[2 * place], pads[2 * place + 1]
        most = shape[-1 - place] - (mode == "reflect")
        if mode in ("reflect", "circular") and max(before, after) > most:
            return None
        shape[-1 - place] += before + after
    return fresh(shape, input.dtype) if min(shape, default=1) > 0 and min(pads) >= 0 else None


RULES[torch.nn.functional.pad] = _pad
