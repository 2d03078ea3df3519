"""Operators that work element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from netlint.ops import STOPS_GRADIENT

from .call import Call, Function

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "BitwiseNot": torch.bitwise_not,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "HardSwish": F.hardswish,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Mish": F.mish,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Softsign": F.softsign,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
}

_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "And": torch.logical_and,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Sub": torch.sub,
    "Xor": torch.logical_xor,
}

_MANY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"Max": torch.maximum, "Min": torch.minimum, "Sum": torch.add}


def _of_one(function: Callable[[Tensor], Tensor]) -> Function:
    return lambda call: function(call.x)


def _of_two(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    return lambda call: function(call[0], call[1])


def _of_many(function: Callable[[Tensor, Tensor], Tensor]) -> Function:
    return lambda call: reduce(function, _all(call))


def _all(call: Call) -> list[Tensor]:
    return [call[place] for place in range(len(call.inputs))]


def _mean(call: Call) -> Tensor:
    return reduce(torch.add, _all(call)) / len(call.inputs)


def _identity(call: Call) -> Tensor:
    return call.x.detach() if call.attr(STOPS_GRADIENT) else call.x


def _div(call: Call) -> Tensor:
    whole = not call.x.is_floating_point() and not call[1].is_floating_point()
    return torch.div(call.x, call[1], rounding_mode="trunc" if whole else None)


def _mod(call: Call) -> Tensor:
    return torch.fmod(call.x, call[1]) if call.attr("fmod", 0) else torch.remainder(call.x, call[1])


def _pow(call: Call) -> Tensor:
    return torch.pow(call.x, call[1]).to(call.x.dtype)


def _shift(call: Call) -> Tensor:
    wide = call.x.long(), call[1].long()  # torch shifts no narrow unsigned numbers
    shifted = torch.bitwise_left_shift(*wide) if call.attr("direction") == "LEFT" else torch.bitwise_right_shift(*wide)
    return shifted.to(call.x.dtype)


def _where(call: Call) -> Tensor:
    return torch.where(call[0], call[1], call[2])


def _clip(call: Call) -> Tensor:
    low, high = call.number(1, "min", None), call.number(2, "max", None)
    if low is not None and high is not None and low > high:
        return torch.full_like(call.x, high)
    return call.x if low is None and high is None else torch.clamp(call.x, low, high)


def _is_infinite(call: Call) -> Tensor:
    none = torch.zeros_like(call.x, dtype=torch.bool)
    above = torch.isposinf(call.x) if call.attr("detect_positive", 1) else none
    return above | torch.isneginf(call.x) if call.attr("detect_negative", 1) else above


def _cast(call: Call) -> Tensor:
    return call.x.to(call.dtype(int(call.attr("to"))))


def _cast_like(call: Call) -> Tensor:
    return call.x.to(call[1].dtype)


def _gelu(call: Call) -> Tensor:
    return F.gelu(call.x, approximate=str(call.attr("approximate", "none")))


def _hard_sigmoid(call: Call) -> Tensor:
    return torch.clamp(call.attr("alpha", 0.2) * call.x + call.attr("beta", 0.5), 0.0, 1.0)


def _selu(call: Call) -> Tensor:
    alpha, gamma = call.attr("alpha", 1.67326319217681884765625), call.attr("gamma", 1.05070102214813232421875)
    return gamma * torch.where(call.x > 0, call.x, alpha * torch.expm1(torch.clamp(call.x, max=0.0)))


def _elu(call: Call) -> Tensor:
    return F.elu(call.x, call.attr("alpha", 1.0))


def _celu(call: Call) -> Tensor:
    return F.celu(call.x, call.attr("alpha", 1.0))


def _leaky(call: Call) -> Tensor:
    return F.leaky_relu(call.x, call.attr("alpha", 0.01))


def _prelu(call: Call) -> Tensor:
    return torch.where(call.x >= 0, call.x, call.x * call[1])


def _thresholded(call: Call) -> Tensor:
    return torch.where(call.x > call.attr("alpha", 1.0), call.x, torch.zeros_like(call.x))


def _shrink(call: Call) -> Tensor:
    bias, edge = call.attr("bias", 0.0), call.attr("lambd", 0.5)
    inner = torch.where(call.x > edge, call.x - bias, torch.zeros_like(call.x))
    return torch.where(call.x < -edge, call.x + bias, inner)


def _swish(call: Call) -> Tensor:
    return call.x * torch.sigmoid(call.attr("alpha", 1.0) * call.x)


def _softplus(call: Call) -> Tensor:
    return F.softplus(call.x, threshold=math.inf)


TABLE: dict[str, Function] = {
    **{op: _of_one(function) for op, function in _UNARY.items()},
    **{op: _of_two(function) for op, function in _BINARY.items()},
    **{op: _of_many(function) for op, function in _MANY.items()},
    "BitShift": _shift,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Celu": _celu,
    "Clip": _clip,
    "Div": _div,
    "Elu": _elu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "Identity": _identity,
    "IsInf": _is_infinite,
    "LeakyRelu": _leaky,
    "Mean": _mean,
    "Mod": _mod,
    "PRelu": _prelu,
    "Pow": _pow,
    "Selu": _selu,
    "Shrink": _shrink,
    "Softplus": _softplus,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded,
    "Where": _where,
}
