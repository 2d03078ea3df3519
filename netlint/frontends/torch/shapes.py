"""Rules, as in `sizes`, for calls that change the shape and for layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from netlint.frontends.torch.sizes import RULES, broadcast, enter, fresh

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


RULES[F.pad] = _pad


# Layers

RULES[F.normalize] = lambda input, p=2.0, dim=1, eps=0.0: input.clone() if input.dtype.is_floating_point else None


def _prelu(input: Any, weight: Any) -> Any:
    fits = weight.numel() == 1 or (input.dim() > 1 and weight.numel() == input.shape[1])
    return input.clone() if fits and weight.dtype is input.dtype else None


enter(_prelu, "prelu")


def _batch_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None, *args: Any, **kw: Any
) -> Any:
    training = args[0] if args else kw.get("training", False)
    if input.dim() < 2 or (training and input.numel() <= input.shape[1]):
        return None
    if not training and (running_mean is None or running_var is None):
        return None
    return _channelwise(input, running_mean, running_var, weight, bias)


def _channelwise(input: Any, *parameters: Any) -> Any:
    channels = (input.shape[1],)
    given = [parameter for parameter in parameters if parameter is not None]
    if any(p.shape != channels or p.dtype is not input.dtype for p in given) or not input.dtype.is_floating_point:
        return None
    return input.clone()


def _instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None, *a: Any, **kw: Any
) -> Any:
    if input.dim() < 3 or input.shape[2:].numel() < 2:
        return None
    return _channelwise(input, running_mean, running_var, weight, bias)


def _group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 0.0) -> Any:
    if input.dim() < 2 or num_groups < 1 or input.shape[1] % num_groups or input.numel() <= input.shape[0] * num_groups:
        return None
    return _channelwise(input, weight, bias)


def _layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: Any = 0.0) -> Any:
    normalized = tuple(normalized_shape)
    if not normalized or tuple(input.shape[-len(normalized) :]) != normalized or not input.dtype.is_floating_point:
        return None
    if any(p is not None and (p.shape != normalized or p.dtype is not input.dtype) for p in (weight, bias)):
        return None
    return fresh(input.shape, input.dtype)


RULES[F.batch_norm] = _batch_norm
RULES[F.instance_norm] = _instance_norm
RULES[F.group_norm] = _group_norm
RULES[F.layer_norm] = _layer_norm
RULES[F.rms_norm] = lambda input, normalized_shape, weight=None, eps=None: _layer_norm(input, normalized_shape, weight)


def _linear(input: Any, weight: Any, bias: Any = None) -> Any:
    if type(input) is not _T or input.dim() < 2 or weight.dim() != 2 or input.shape[-1] != weight.shape[1]:
        return None
    same = weight.dtype is input.dtype and (bias is None or bias.dtype is input.dtype)
    if not same or (bias is not None and bias.shape != weight.shape[:1]):
        return None
    return fresh((*input.shape[:-1], weight.shape[0]), input.dtype)


RULES[F.linear] = _linear


def _attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False, **kw: Any
) -> Any:
    if query.dim() < 3 or not query.dtype is key.dtype is value.dtype or kw.get("enable_gqa"):
        return None
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2] or query.shape[-1] != key.shape[-1]:
        return None
    scores = (*query.shape[:-1], key.shape[-2])
    if key.shape[-2] != value.shape[-2]:
        return None
    if attn_mask is not None and (is_causal or broadcast(scores, attn_mask.shape) != scores):
        return None
    return fresh((*query.shape[:-1], value.shape[-1]), query.dtype)


RULES[F.scaled_dot_product_attention] = _attention


def _spatial(input: Any, shape: Sequence[int]) -> Any:
    made = fresh((*input.shape[:2], *shape), input.dtype)
    last = input.dim() == 4 and not input.is_contiguous() and input.is_contiguous(memory_format=torch.channels_last)
    return made.to(memory_format=torch.channels_last) if last else made


_MODES = {1: ("nearest", "linear"), 2: ("nearest", "bilinear", "bicubic"), 3: ("nearest", "trilinear")}


def _interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
    antialias: bool = False,
) -> Any:
    axes = input.dim() - 2
    if mode not in _MODES.get(axes, ()) or (size is None) is (scale_factor is None):
        return None
    if mode == "nearest" and (align_corners is not None or antialias) or not input.dtype.is_floating_point:
        return None
    given = size if size is not None else scale_factor
    wanted = tuple(given) if isinstance(given, (tuple, list)) else (given,) * axes
    if len(wanted) != axes or any(type(part) not in (int, float) for part in wanted):
        return None
    if size is None:
        wanted = tuple(math.floor(length * factor) for length, factor in zip(input.shape[2:], wanted, strict=True))
    return _spatial(input, wanted) if all(type(part) is int and part > 0 for part in wanted) else None


RULES[F.interpolate] = _interpolate


def _grid_sample(input: Any, grid: Any, *args: Any, **kwargs: Any) -> Any:
    rank = input.dim()
    fits = rank in (4, 5) and grid.dim() == rank and grid.shape[0] == input.shape[0] and grid.shape[-1] == rank - 2
    return fresh((*input.shape[:2], *grid.shape[1:-1]), input.dtype) if fits and grid.dtype is input.dtype else None


RULES[F.grid_sample] = _grid_sample


def _adaptive(axes: int) -> Callable[..., Any]:
    def rule(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        sizes = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * axes
        if input.dim() != axes + 2 or len(sizes) != axes or return_indices or not input.dtype.is_floating_point:
            return None
        full = [length if size is None else size for size, length in zip(sizes, input.shape[2:], strict=True)]
        return _spatial(input, full) if all(type(size) is int for size in full) and input.numel() else None

    return rule


for _axes in (1, 2, 3):
    RULES[getattr(F, f"adaptive_avg_pool{_axes}d")] = _adaptive(_axes)
    RULES[getattr(torch, f"adaptive_avg_pool{_axes}d", None)] = _adaptive(_axes)
    RULES[getattr(F, f"adaptive_max_pool{_axes}d")] = _adaptive(_axes)
RULES.pop(None, None)

