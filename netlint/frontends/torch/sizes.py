"""The results of common calls on meta tensors, made without executing them.

torch computes most results on meta tensors through decompositions in Python: 1 ms for a normalisation, and the first
of them imports its compiler, a second. A rule here returns a new meta tensor of the same shape, type and strides, or
None wherever anything is unusual: then torch itself is asked, which also raises the errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}
"""By function, as the API hands it to a mode."""

_T = torch.Tensor
_META = torch.device("meta")


def enter(rule: Rule, *names: str) -> None:
    """A rule for all spellings of these functions."""
    for name in names:
        for space in (torch, _T, F, torch.special, torch.linalg):
            func = getattr(space, name, None)
            if func is not None:
                RULES[func] = rule


def fresh(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """A new tensor in the usual layout."""
    return torch.empty(shape, dtype=dtype, device=_META)


def alike(tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """A new tensor of the same shape, its axes in memory in the same order."""
    if tensor.is_contiguous():
        return torch.empty(tensor.shape, dtype=dtype or tensor.dtype, device=_META)
    shape, strides = tensor.shape, tensor.stride()
    if 0 in strides:  # repeated elements: torch goes by the shape alone
        return torch.empty(shape, dtype=dtype or tensor.dtype, device=_META)
    dense, step = [0] * len(shape), 1
    for axis in sorted(range(len(shape)), key=lambda axis: (strides[axis], -axis)):
        dense[axis] = step
        step *= max(shape[axis], 1)
    return torch.empty_strided(shape, dense, dtype=dtype or tensor.dtype, device=_META)


def broadcast(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    """The common shape; None where there is none."""
    if len(a) < len(b):
        a, b = b, a
    shape = list(a)
    for place, length in enumerate(b, len(a) - len(b)):
        if shape[place] != length:
            if shape[place] == 1:
                shape[place] = length
            elif length != 1:
                return None
    return tuple(shape)


def _inexact(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype.is_floating_point or dtype.is_complex else torch.get_default_dtype()


# One tensor


def _float_alike(input: Any, *args: Any, dtype: Any = None, out: Any = None, **kwargs: Any) -> Any:
    if type(input) is not _T or not input.dtype.is_floating_point or dtype is not None or out is not None:
        return None
    return input if kwargs.get("inplace") else alike(input)


enter(
    _float_alike,
    *("relu", "relu6", "gelu", "silu", "elu", "selu", "celu", "leaky_relu", "hardtanh", "hardswish", "hardsigmoid"),
    *("mish", "softplus", "logsigmoid", "softsign", "tanhshrink", "hardshrink", "softshrink", "threshold", "rrelu"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "logit"),
    *("bernoulli", "erfinv"),
)


def _inexact_alike(input: Any, *, out: Any = None) -> Any:
    return alike(input, _inexact(input.dtype)) if type(input) is _T and out is None else None


enter(
    _inexact_alike,
    *("sigmoid", "tanh", "exp", "log", "sqrt", "rsqrt", "erf", "sin", "cos", "reciprocal", "log1p", "expm1", "log2"),
    *("log10", "exp2", "tan", "atan", "asin", "acos", "sinh", "cosh", "erfc", "sinc", "expit"),
)


_ODD = frozenset({torch.bool, torch.complex64, torch.complex128, torch.complex32})


def _any_alike(input: Any, *args: Any, out: Any = None, dtype: Any = None, **kwargs: Any) -> Any:
    plain = type(input) is _T and out is None and dtype is None and input.dtype not in _ODD
    return alike(input) if plain and not any(isinstance(value, _T) for value in (*args, *kwargs.values())) else None


enter(_any_alike, "neg", "abs", "negative", "absolute", "square", "clone", "floor", "ceil", "round", "sign", "trunc")
enter(_any_alike, "roll", "flip", "triu", "tril", "frac")
enter(_any_alike, "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "nan_to_num")


def _clamp(input: Any, min: Any = None, max: Any = None, *, out: Any = None) -> Any:
    bounds = [bound for bound in (min, max) if bound is not None]
    if out is not None or not bounds or any(type(bound) not in (int, float) for bound in bounds):
        return None
    kinds = {torch.result_type(input, bound) for bound in bounds}
    return alike(input, kinds.pop()) if len(kinds) == 1 and input.dtype not in _ODD else None


enter(_clamp, "clamp", "clip")
enter(lambda input, min: _clamp(input, min), "clamp_min")
enter(lambda input, max: _clamp(input, None, max), "clamp_max")


def _bool_alike(input: Any, *, out: Any = None) -> Any:
    return alike(input, torch.bool) if type(input) is _T and out is None else None


enter(_bool_alike, "isnan", "isinf", "isfinite", "logical_not", "signbit", "isneginf", "isposinf")


def _softmax(input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None, **kwargs: Any) -> Any:
    if type(dim) is not int or not -input.dim() <= dim < input.dim() or kwargs or not input.dtype.is_floating_point:
        return None
    return alike(input, dtype or input.dtype)


enter(_softmax, "softmax", "log_softmax", "softmin")


def _scan(input: Any, dim: Any = None, *, dtype: Any = None, out: Any = None) -> Any:
    if type(dim) is not int or not -input.dim() <= dim < input.dim() or dtype is not None or out is not None:
        return None
    whole = not input.dtype.is_floating_point and not input.dtype.is_complex
    return alike(input, torch.int64 if whole else input.dtype)


enter(_scan, "cumsum", "cumprod")


def _to(input: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    if isinstance(dtype, torch.device):
        dtype, args = (args[0], args[1:]) if args else (kwargs.pop("dtype", None), ())
    elif dtype is None:
        dtype = kwargs.pop("dtype", None)
    kwargs = {name: value for name, value in kwargs.items() if name not in ("device", "non_blocking")}
    if isinstance(dtype, _T):
        dtype = dtype.dtype
    if kwargs or any(value is not False and value is not None for value in args) or type(input) is not _T:
        return None
    return input if dtype is None or dtype is input.dtype else alike(input, dtype)


def _cast(wanted: torch.dtype) -> Rule:
    return lambda input: _to(input, wanted)


RULES[_T.to] = _to
for _name, _dtype in (
    ("float", torch.float32),
    ("half", torch.float16),
    ("double", torch.float64),
    ("int", torch.int32),
):
    RULES[getattr(_T, _name)] = _cast(_dtype)
for _name, _dtype in (("long", torch.int64), ("bool", torch.bool), ("bfloat16", torch.bfloat16)):
    RULES[getattr(_T, _name)] = _cast(_dtype)
RULES[_T.type_as] = lambda input, other: _to(input, other.dtype)


# Several tensors


def _joined(input: Any, other: Any, dtype: Callable[[torch.dtype], torch.dtype]) -> Any:
    if type(input) is not _T:
        return None if type(other) is not _T else _joined(other, input, dtype)
    if type(other) in (int, float, bool):
        return alike(input, dtype(torch.result_type(input, other)))
    if type(other) is not _T:
        return None
    kind = dtype(torch.result_type(input, other))
    shape = broadcast(input.shape, other.shape)
    if shape is None:
        return None
    if shape == input.shape:
        return alike(input, kind)
    return alike(other, kind) if shape == other.shape else fresh(shape, kind)


def _same(dtype: torch.dtype) -> torch.dtype:
    return dtype


def _arithmetic(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    return _joined(input, other, _same) if out is None else None


def _difference(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    odd = any(isinstance(value, _T) and value.dtype is torch.bool for value in (input, other))
    return None if odd else _arithmetic(input, other, alpha=alpha, out=out)


def _division(input: Any, other: Any, *, rounding_mode: Any = None, out: Any = None) -> Any:
    return _joined(input, other, _same if rounding_mode else _inexact) if out is None else None


def _comparison(input: Any, other: Any, *, out: Any = None) -> Any:
    return _joined(input, other, lambda dtype: torch.bool) if out is None else None


enter(_arithmetic, "add", "mul", "multiply", "maximum", "minimum", "pow", "__pow__", "__rpow__")
enter(_difference, "sub", "subtract", "__rsub__", "rsub")
enter(_arithmetic, "remainder", "fmod", "bitwise_and", "bitwise_or", "bitwise_xor", "floor_divide", "__rfloordiv__")
enter(_arithmetic, "__and__", "__or__", "__xor__", "__rand__", "__ror__", "__mod__", "__floordiv__", "__rmod__")
enter(_division, "div", "divide", "true_divide", "__rdiv__", "__rtruediv__", "atan2", "arctan2")
enter(_comparison, "eq", "ne", "lt", "le", "gt", "ge", "greater", "less", "not_equal", "greater_equal", "less_equal")
enter(
    _comparison, "logical_and", "logical_or", "logical_xor", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"
)


def _where(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    tensors = [value for value in (condition, input, other) if isinstance(value, _T)]
    if input is None or other is None or out is not None or type(condition) is not _T:
        return None
    shape: tuple[int, ...] | None = ()
    for tensor in tensors:
        shape = broadcast(shape, tensor.shape) if shape is not None else None
    return None if shape is None else fresh(shape, torch.result_type(input, other))


RULES[torch.where] = _where
RULES[_T.where] = lambda input, condition, other: _where(condition, input, other)


def _masked_fill(input: Any, mask: Any, value: Any) -> Any:
    shape = broadcast(input.shape, mask.shape)
    if shape is None or mask.dtype is not torch.bool or type(input) is not _T:
        return None
    return alike(input) if shape == input.shape else fresh(shape, input.dtype)


enter(_masked_fill, "masked_fill")


def _inplace(input: Any, *args: Any, **kwargs: Any) -> Any:
    if type(input) is not _T or "out" in kwargs:
        return None
    others = [value for value in (*args, *kwargs.values()) if isinstance(value, _T)]
    kinds = [torch.result_type(input, value) for value in (*args, *kwargs.values()) if isinstance(value, (_T, float))]
    if not input.dtype.is_floating_point and any(kind.is_floating_point for kind in kinds):
        return None
    return input if all(broadcast(input.shape, other.shape) == input.shape for other in others) else None


enter(
    _inplace,
    *("add_", "sub_", "mul_", "clamp_", "relu_", "zero_", "fill_", "normal_", "uniform_", "masked_fill_", "clamp_min_"),
    *("bernoulli_", "__iadd__", "__isub__", "__imul__", "clamp_max_", "exp_", "neg_", "sqrt_", "sigmoid_", "tanh_"),
    *("leaky_relu_", "hardtanh_", "elu_", "exponential_", "trunc_", "addcmul_", "addcdiv_", "lerp_", "abs_", "random_"),
)


def _inplace_division(input: Any, *args: Any, **kwargs: Any) -> Any:
    return _inplace(input, *args, **kwargs) if input.dtype.is_floating_point else None


enter(_inplace_division, "div_", "__itruediv__", "__idiv__", "pow_")


def _copy(input: Any, src: Any, non_blocking: bool = False) -> Any:
    return input if type(src) is _T and broadcast(input.shape, src.shape) == tuple(input.shape) else None


RULES[_T.copy_] = _copy
