"""Rules, as in `sizes`, for layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from netlint.frontends.torch.convolution import spatial
from netlint.frontends.torch.sizes import RULES, alike, broadcast, enter, fresh

_T = torch.Tensor


def _normalize(input: Any, p: Any = 2.0, dim: Any = 1, eps: Any = 0.0, out: Any = None) -> Any:
    return alike(input) if input.dtype.is_floating_point and out is None else None


RULES[F.normalize] = _normalize


def _prelu(input: Any, weight: Any) -> Any:
    fits = weight.numel() == 1 or (input.dim() > 1 and weight.numel() == input.shape[1])
    return alike(input) if fits and weight.dtype is input.dtype else None


enter(_prelu, "prelu")


def _batch_norm(
    input: Any,
    mean: Any = None,
    var: Any = None,
    weight: Any = None,
    bias: Any = None,
    *args: Any,
    **kw: Any,
) -> Any:
    training = args[0] if args else kw.get("training", False)
    if input.dim() < 2 or (training and input.numel() <= input.shape[1]):
        return None
    if not training and (mean is None or var is None):
        return None
    return _channelwise(input, mean, var, weight, bias)


def _channelwise(input: Any, *parameters: Any) -> Any:
    channels = (input.shape[1],)
    given = [parameter for parameter in parameters if parameter is not None]
    if any(p.shape != channels or p.dtype is not input.dtype for p in given) or not input.dtype.is_floating_point:
        return None
    return alike(input)


def _instance_norm(
    input: Any,
    mean: Any = None,
    var: Any = None,
    weight: Any = None,
    bias: Any = None,
    *a: Any,
    **kw: Any,
) -> Any:
    if input.dim() < 3 or input.shape[2:].numel() < 2:
        return None
    return _channelwise(input, mean, var, weight, bias)


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
    if (mode == "nearest" and (align_corners is not None or antialias)) or not input.dtype.is_floating_point:
        return None
    given = size if size is not None else scale_factor
    wanted = tuple(given) if isinstance(given, (tuple, list)) else (given,) * axes
    if len(wanted) != axes or any(type(part) not in (int, float) for part in wanted):
        return None
    if size is None:
        wanted = tuple(math.floor(length * factor) for length, factor in zip(input.shape[2:], wanted, strict=True))
    return spatial(input, wanted) if all(type(part) is int and part > 0 for part in wanted) else None


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
        return spatial(input, full) if all(type(size) is int for size in full) and input.numel() else None

    return rule


for _axes in (1, 2, 3):
    RULES[getattr(F, f"adaptive_avg_pool{_axes}d")] = _adaptive(_axes)
    RULES[getattr(torch, f"adaptive_avg_pool{_axes}d", None)] = _adaptive(_axes)
    RULES[getattr(F, f"adaptive_max_pool{_axes}d")] = _adaptive(_axes)
RULES.pop(None, None)


# Products


def _matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    if input.dtype is not other.dtype or out is not None or min(input.dim(), other.dim()) < 1:
        return None
    a = input.shape if input.dim() > 1 else (1, *input.shape)
    b = other.shape if other.dim() > 1 else (*other.shape, 1)
    batch = broadcast(a[:-2], b[:-2])
    if a[-1] != b[-2] or batch is None:
        return None
    rows = a[-2:-1] if input.dim() > 1 else ()
    return fresh((*batch, *rows, *(b[-1:] if other.dim() > 1 else ())), input.dtype)


def _mm(rank: int) -> Callable[..., Any]:
    def rule(input: Any, mat2: Any, *, out: Any = None) -> Any:
        same = input.dim() == mat2.dim() == rank and input.shape[:-2] == mat2.shape[:-2]
        return _matmul(input, mat2, out=out) if same else None

    return rule


enter(_matmul, "matmul", "__matmul__")
enter(lambda input, other: _matmul(other, input), "__rmatmul__")
enter(_mm(2), "mm")
enter(_mm(3), "bmm")


def _embedding(input: Any, weight: Any, *args: Any, **kwargs: Any) -> Any:
    plain = weight.dim() == 2 and input.dtype in (torch.int64, torch.int32)
    return fresh((*input.shape, weight.shape[1]), weight.dtype) if plain else None


RULES[F.embedding] = _embedding


def _einsum(equation: Any, *operands: Any) -> Any:
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not isinstance(equation, str) or "." in equation or len({operand.dtype for operand in operands}) != 1:
        return None
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        right = "".join(sorted(letter for letter in set(left) - {","} if left.count(letter) == 1))
    lengths: dict[str, int] = {}
    for term, operand in zip(terms, operands, strict=True):
        for letter, length in zip(term, operand.shape, strict=True):
            if lengths.setdefault(letter, length) != length:
                return None
    return fresh([lengths[letter] for letter in right], operands[0].dtype)


RULES[torch.einsum] = _einsum


def _grouped_mm(mat_a: Any, mat_b: Any, *, offs: Any = None, bias: Any = None, out_dtype: Any = None) -> Any:
    fits = mat_a.dim() == 2 and mat_b.dim() == 3 and mat_a.shape[1] == mat_b.shape[1] and mat_a.dtype is mat_b.dtype
    return fresh((mat_a.shape[0], mat_b.shape[2]), out_dtype or mat_a.dtype) if fits and bias is None else None


enter(_grouped_mm, "_grouped_mm", "grouped_mm")
