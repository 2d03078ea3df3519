"""Activation functions, softmax and dropout."""

from __future__ import annotations

from netlint.graph import Value

from .builder import Builder, NotLowered
from .compare import clamp
from .table import operator


@operator("relu")
def relu(b: Builder, input: Value, inplace: bool = False) -> Value:
    return b("Relu", input)


@operator("relu6")
def relu6(b: Builder, input: Value, inplace: bool = False) -> Value:
    return clamp(b, input, 0, 6)


@operator("hardtanh")
def hardtanh(b: Builder, input: Value, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Value:
    return clamp(b, input, min_val, max_val)


@operator("leaky_relu")
def leaky_relu(b: Builder, input: Value, negative_slope: float = 0.01, inplace: bool = False) -> Value:
    return b("LeakyRelu", input, alpha=float(negative_slope))


@operator("prelu", "_prelu_kernel")
def prelu(b: Builder, input: Value, weight: Value) -> Value:
    """torch's slope counts channels at axis 1; ONNX's broadcasts from the last axis."""
    rank, slope = b.rank(input), b.dims(weight)
    if len(slope) == 1 and slope != (1,) and rank > 2:
        weight = b.unsqueeze(weight, *range(1, rank - 1))
    return b("PRelu", input, weight)


@operator("rrelu")
def rrelu(
    b: Builder,
    input: Value,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Value:
    """In training the slope is drawn at random."""
    if training:
        raise NotLowered("random slopes")
    return b("LeakyRelu", input, alpha=(lower + upper) / 2)


@operator("elu")
def elu(b: Builder, input: Value, alpha: float = 1.0, *rest: float, inplace: bool = False) -> Value:
    """`rest`: aten's `scale` and `input_scale`, or `inplace`."""
    numbers = [x for x in rest if type(x) is not bool]
    if len(numbers) > 1 and numbers[1] != 1:
        raise NotLowered("an elu of a scaled argument")
    if numbers and numbers[0] != 1:
        return b("Selu", input, alpha=float(alpha), gamma=float(numbers[0]))
    return b("Elu", input, alpha=float(alpha))


@operator("selu")
def selu(b: Builder, input: Value, inplace: bool = False) -> Value:
    return b("Selu", input)


@operator("celu")
def celu(b: Builder, input: Value, alpha: float = 1.0, inplace: bool = False) -> Value:
    return b("Celu", input, alpha=float(alpha))


@operator("gelu")
def gelu(b: Builder, input: Value, approximate: str = "none") -> Value:
    return b("Gelu", input, approximate=approximate)


@operator("sigmoid", "special_expit")
def sigmoid(b: Builder, input: Value) -> Value:
    return b("Sigmoid", b.floating(input))


@operator("tanh")
def tanh(b: Builder, input: Value) -> Value:
    return b("Tanh", b.floating(input))


@operator("silu", "swish")
def silu(b: Builder, input: Value, inplace: bool = False) -> Value:
    return b("Mul", input, b("Sigmoid", input))


@operator("mish")
def mish(b: Builder, input: Value, inplace: bool = False) -> Value:
    return b("Mish", input)


@operator("hardswish")
def hardswish(b: Builder, input: Value, inplace: bool = False) -> Value:
    return b("HardSwish", input)


@operator("hardsigmoid")
def hardsigmoid(b: Builder, input: Value, inplace: bool = False) -> Value:
    return b("HardSigmoid", input, alpha=1 / 6, beta=0.5)


@operator("softplus")
def softplus(b: Builder, input: Value, beta: float = 1, threshold: float = 20) -> Value:
    """Above the threshold torch returns the argument itself, which for 20 is the same number in float32."""
    if beta == 1:
        return b("Softplus", input) if threshold >= 20 else _bent(b, input, b("Softplus", input), threshold)
    scaled = b("Mul", input, b.number(beta, input.dtype))
    soft = b("Div", b("Softplus", scaled), b.number(beta, input.dtype))
    return soft if threshold >= 20 else _bent(b, input, soft, threshold / beta)


def _bent(b: Builder, input: Value, below: Value, threshold: float) -> Value:
    """The argument itself above a threshold."""
    above = b("Greater", input, b.number(threshold, input.dtype))
    return b("Where", above, input, below, dtype=input.dtype)


@operator("logsigmoid", "log_sigmoid")
def logsigmoid(b: Builder, input: Value) -> Value:
    return b("Neg", b("Softplus", b("Neg", input)))


@operator("log_sigmoid_forward")
def log_sigmoid_forward(b: Builder, input: Value) -> list[Value]:
    found = logsigmoid(b, input)
    return [found, found]


@operator("softsign")
def softsign(b: Builder, input: Value) -> Value:
    return b("Softsign", input)


@operator("tanhshrink")
def tanhshrink(b: Builder, input: Value) -> Value:
    return b("Sub", input, b("Tanh", input))


@operator("softshrink")
def softshrink(b: Builder, input: Value, lambd: float = 0.5) -> Value:
    return b("Shrink", input, lambd=float(lambd), bias=float(lambd))


@operator("hardshrink")
def hardshrink(b: Builder, input: Value, lambd: float = 0.5) -> Value:
    return b("Shrink", input, lambd=float(lambd), bias=0.0)


@operator("threshold")
def threshold(b: Builder, input: Value, threshold: float, value: float, inplace: bool = False) -> Value:
    above = b("Greater", input, b.number(threshold, input.dtype))
    return b("Where", above, input, b.number(value, input.dtype), dtype=input.dtype)


@operator("glu")
def glu(b: Builder, input: Value, dim: int = -1) -> Value:
    axis = b.axis(input, dim)
    first, gate = b.several("Split", input, types=[input.dtype] * 2, attrs={"axis": axis, "num_outputs": 2})
    return b("Mul", first, b("Sigmoid", gate))


@operator("softmax", "special_softmax", "_softmax", "_safe_softmax")
def softmax(b: Builder, input: Value, dim: int | None = None, *rest: object, dtype: str | None = None) -> Value:
    return _normalised(b, "Softmax", input, dim, dtype)


@operator("log_softmax", "special_log_softmax", "_log_softmax")
def log_softmax(b: Builder, input: Value, dim: int | None = None, *rest: object, dtype: str | None = None) -> Value:
    return _normalised(b, "LogSoftmax", input, dim, dtype)


@operator("softmin")
def softmin(b: Builder, input: Value, dim: int | None = None, *rest: object, dtype: str | None = None) -> Value:
    return _normalised(b, "Softmax", b("Neg", input), dim, dtype)


def _normalised(b: Builder, op: str, input: Value, dim: int | None, dtype: str | None) -> Value:
    if dim is None:  # what torch does where nobody says
        dim = 0 if b.rank(input) in (0, 1, 3) else 1
    x = b.cast(input, dtype or b.dtype)
    if x.shape == ():  # one number: ONNX wants an axis
        return b.squeeze(b(op, b.unsqueeze(x, 0), axis=0), 0)
    return b(op, x, axis=b.axis(input, dim))


@operator("softmax2d")
def softmax2d(b: Builder, input: Value) -> Value:
    return b("Softmax", input, axis=b.rank(input) - 3)


@operator("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout")
def dropout(b: Builder, input: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    """`dropout1d` … drop whole channels: the same in expectation."""
    return _dropout(b, input, p, training)[0]


@operator("native_dropout")
def native_dropout(b: Builder, input: Value, p: float, training: bool | None) -> list[Value]:
    return _dropout(b, input, p, bool(training), mask=True)


def _dropout(b: Builder, input: Value, p: float, training: bool, mask: bool = False) -> list[Value]:
    types = [input.dtype, "bool"] if mask else [input.dtype]
    return b.several("Dropout", input, b.number(p, "float32"), b.number(bool(training), "bool"), types=types)


@operator("alpha_dropout", "feature_alpha_dropout")
def alpha_dropout(b: Builder, input: Value, p: float = 0.5, training: bool = False, inplace: bool = False) -> Value:
    """In training it sets elements to the lower limit of SELU and rescales, for which ONNX has no operator."""
    if training and p > 0:
        raise NotLowered("alpha dropout in training")
    return _dropout(b, input, p, False)[0]
