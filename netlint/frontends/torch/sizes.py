"""The results of common calls on meta tensors, made without executing them.

torch computes most results on meta tensors through decompositions in Python (1 ms for a normalisation). A rule here
returns a new meta tensor of the same shape, type and strides, or None wherever anything is unusual: then torch itself
is asked, which also raises the errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}

_T = torch.Tensor
_META = torch.device("meta")
_WIDEN = {1: 0, 2: 1, 3: 2, 4: 3}


def _enter(rule: Rule, *names: str) -> None:
    for name in names:
        for space in (torch, _T, F):
            func = getattr(space, name, None)
            if func is not None:
                RULES[func] = rule


def _fresh(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device=_META)


def _alike(input: Any, *args: Any, dtype: Any = None, out: Any = None, **kwargs: Any) -> Any:
    if type(input) is not _T or not input.dtype.is_floating_point or dtype is not None or out is not None:
        return None
    return input if kwargs.get("inplace") else input.clone()


_enter(
    _alike,
    *("relu", "relu6", "gelu", "silu", "elu", "selu", "celu", "leaky_relu", "hardtanh", "hardswish", "hardsigmoid"),
    *("mish", "softplus", "logsigmoid", "softsign", "tanhshrink", "sigmoid", "tanh", "exp", "log", "sqrt", "rsqrt"),
    *("erf", "sin", "cos", "neg", "square", "reciprocal", "log1p", "expm1", "floor", "ceil", "round", "sign"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "rrelu"),
)


def _prelu(input: Any, weight: Any) -> Any:
    fits = weight.numel() == 1 or (input.dim() > 1 and weight.numel() == input.shape[1])
    return _alike(input) if fits and weight.dtype is input.dtype else None


_enter(_prelu, "prelu")


def _softmax(input: Any, dim: Any = None, *args: Any, **kwargs: Any) -> Any:
    usual = type(dim) is int and not args and -input.dim() <= dim < input.dim() and len(kwargs.keys() - _QUIET) == 0
    return _alike(input, dtype=kwargs.get("dtype")) if usual else None


_QUIET = {"_stacklevel", "dtype"}
_enter(_softmax, "softmax", "log_softmax", "softmin")


def _clamp(input: Any, min: Any = None, max: Any = None, **kwargs: Any) -> Any:
    plain = not isinstance(min, _T) and not isinstance(max, _T) and (min is not None or max is not None)
    return _alike(input, **kwargs) if plain else None


_enter(_clamp, "clamp", "clip")


def _pow(input: Any, exponent: Any, **kwargs: Any) -> Any:
    return _alike(input, **kwargs) if type(exponent) in (int, float) else None


_enter(_pow, "pow")


def broadcast(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    """The common shape; None where there is none."""
    if len(a) < len(b):
        a, b = b, a
    shape = list(a)
    start = len(a) - len(b)
    for place, length in enumerate(b, start):
        if shape[place] != length:
            if shape[place] == 1:
                shape[place] = length
            elif length != 1:
                return None
    return tuple(shape)


def _arithmetic(input: Any, other: Any, *, alpha: Any = 1, rounding_mode: Any = None, out: Any = None) -> Any:
    if rounding_mode is not None or out is not None:
        return None
    if type(input) is not _T:
        input, other = other, input
    if type(input) is not _T or not input.dtype.is_floating_point:
        return None
    if type(other) in (int, float):
        return input.clone()
    if type(other) is not _T:
        return None
    if other.dtype is input.dtype and other.shape == input.shape and other.stride() == input.stride():
        return input.clone()
    shape = broadcast(input.shape, other.shape)
    if shape is None:
        return None
    if shape == input.shape and input.is_contiguous() is False:
        return None
    return _fresh(shape, torch.result_type(input, other))


_enter(
    _arithmetic,
    *("add", "sub", "mul", "div", "true_divide", "multiply", "divide", "subtract"),
    *("__rsub__", "__rdiv__", "__rtruediv__"),
)


def _batch_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    *args: Any,
    **kwargs: Any,
) -> Any:
    if input.dim() < 2 or (training and input.numel() <= input.shape[1]):
        return None
    if not training and (running_mean is None or running_var is None):
        return None
    return _channelwise(input, running_mean, running_var, weight, bias)


def _channelwise(input: Any, *parameters: Any) -> Any:
    channels = (input.shape[1],)
    if any(p is not None and (p.shape != channels or p.dtype is not input.dtype) for p in parameters):
        return None
    return _alike(input)


def _instance_norm(input: Any, mean: Any = None, var: Any = None, weight: Any = None, bias: Any = None, *a: Any) -> Any:
    return _channelwise(input, mean, var, weight, bias) if input.dim() > 2 and input.shape[2:].numel() > 1 else None


def _group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 0.0) -> Any:
    if input.dim() < 2 or num_groups < 1 or input.shape[1] % num_groups:
        return None
    return _channelwise(input, weight, bias)


def _layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: Any = 0.0) -> Any:
    normalized = tuple(normalized_shape)
    if not normalized or tuple(input.shape[-len(normalized) :]) != normalized or not input.dtype.is_floating_point:
        return None
    if any(p is not None and (p.shape != normalized or p.dtype is not input.dtype) for p in (weight, bias)):
        return None
    return _fresh(input.shape, input.dtype)


def _rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: Any = None) -> Any:
    return _layer_norm(input, normalized_shape, weight)


for _rule, _name in (
    (_batch_norm, "batch_norm"),
    (_instance_norm, "instance_norm"),
    (_group_norm, "group_norm"),
    (_layer_norm, "layer_norm"),
    (_rms_norm, "rms_norm"),
):
    RULES[getattr(F, _name)] = _rule


def _linear(input: Any, weight: Any, bias: Any = None) -> Any:
    if type(input) is not _T or input.dim() < 2 or weight.dim() != 2 or input.shape[-1] != weight.shape[1]:
        return None
    alike = weight.dtype is input.dtype and (bias is None or bias.dtype is input.dtype)
    if not alike or (bias is not None and bias.shape != weight.shape[:1]):
        return None
    return _fresh((*input.shape[:-1], weight.shape[0]), input.dtype)


RULES[F.linear] = _linear


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Any:
    if query.dim() < 3 or query.dtype is not key.dtype or key.dtype is not value.dtype or enable_gqa:
        return None
    if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2] or query.shape[-1] != key.shape[-1]:
        return None
    if key.shape[-2] != value.shape[-2]:
        return None
    scores = (*query.shape[:-1], key.shape[-2])
    if attn_mask is not None and (is_causal or broadcast(scores, attn_mask.shape) != scores):
        return None
    return _fresh((*query.shape[:-1], value.shape[-1]), query.dtype)


RULES[F.scaled_dot_product_attention] = _attention


def _interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
    antialias: bool = False,
) -> Any:
    spatial = input.dim() - 2
    modes = {1: ("nearest", "linear"), 2: ("nearest", "bilinear", "bicubic"), 3: ("nearest", "trilinear")}
    if mode not in modes.get(spatial, ()) or (size is None) is (scale_factor is None) or antialias:
        return None
    if (mode == "nearest" and align_corners is not None) or recompute_scale_factor or not input.is_contiguous():
        return None
    given = size if size is not None else scale_factor
    wanted = tuple(given) if isinstance(given, (tuple, list)) else (given,) * spatial
    if len(wanted) != spatial or any(type(part) not in (int, float) for part in wanted):
        return None
    if size is None:
        wanted = tuple(math.floor(length * factor) for length, factor in zip(input.shape[2:], wanted, strict=True))
    if any(type(part) is not int or part < 1 for part in wanted) or not input.dtype.is_floating_point:
        return None
    return _fresh((*input.shape[:2], *wanted), input.dtype)


RULES[F.interpolate] = _interpolate


def _grid_sample(input: Any, grid: Any, *args: Any, **kwargs: Any) -> Any:
    rank = input.dim()
    fits = rank in (4, 5) and grid.dim() == rank and grid.shape[0] == input.shape[0] and grid.shape[-1] == rank - 2
    return _fresh((*input.shape[:2], *grid.shape[1:-1]), input.dtype) if fits and grid.dtype is input.dtype else None


RULES[F.grid_sample] = _grid_sample
