"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence

from netlint.graph import Value

from .builder import Builder, NotLowered
from .reduce import Axes, reduced, vector_norm
from .table import operator

_EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float64": 2.0**-52}


@operator("torch.nn.functional.batch_norm", origin=True)
def functional_batch_norm(
    b: Builder,
    input: Value,
    running_mean: Value | None,
    running_var: Value | None,
    weight: Value | None = None,
    bias: Value | None = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
) -> Value:
    return batch_norm(b, input, weight, bias, running_mean, running_var, training, momentum, eps)


@operator("batch_norm", "cudnn_batch_norm", "miopen_batch_norm")
def batch_norm(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    *rest: object,
) -> Value:
    """In training, or without running statistics, those of the batch."""
    own = training or running_mean is None
    inputs = _statistics(b, input, weight, bias, running_mean, running_var)
    if not own:
        return b("BatchNormalization", *inputs, shape=input.shape, epsilon=float(eps))
    attrs = {"epsilon": float(eps), "training_mode": 1, "momentum": 1 - float(momentum or 0)}
    return b.several("BatchNormalization", *inputs, types=[input.dtype] * 3, attrs=attrs)[0]


def _statistics(b: Builder, x: Value, *given: Value | None) -> list[Value]:
    """Scale, bias, mean and variance, all of which ONNX wants."""
    found = [x]
    for value, default in zip(given, (1, 0, 0, 1), strict=True):
        found.append(_one_per_channel(b, x, default) if value is None else value)
    return found


def _one_per_channel(b: Builder, x: Value, number: float) -> Value:
    channels = b.dims(x)[1]
    if isinstance(channels, int):
        return b.filled((channels,), number, x.dtype)
    return b("Expand", b.number(number, x.dtype), b.size(x, 1), shape=(channels,))


@operator("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_functional")
def native_batch_norm(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> list[Value]:
    """With the mean and the reciprocal standard deviation that a backward pass reads (empty in inference)."""
    found = batch_norm(b, input, weight, bias, running_mean, running_var, training, momentum, eps)
    if not training:
        empty = b.filled((0,), 0, input.dtype)
        return [found, empty, empty]
    axes = [0, *range(2, b.rank(input))]
    return [found, *_moments(b, input, axes, eps)]


@operator("aten._native_batch_norm_legit.no_stats", origin=True)
def native_batch_norm_no_stats(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> list[Value]:
    return native_batch_norm(b, input, weight, bias, None, None, True, momentum, eps)


@operator("_native_batch_norm_legit_no_training")
def native_batch_norm_no_training(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value,
    running_var: Value,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> list[Value]:
    return native_batch_norm(b, input, weight, bias, running_mean, running_var, False, momentum, eps)


def _moments(b: Builder, x: Value, axes: Sequence[int], eps: float, keepdim: bool = False) -> list[Value]:
    """Mean and reciprocal standard deviation."""
    centre = reduced(b, "ReduceMean", x, axes, True)
    distance = b("Sub", x, centre)
    variance = reduced(b, "ReduceMean", b("Mul", distance, distance), axes, keepdim)
    deviation = b("Sqrt", b("Add", variance, b.number(eps, x.dtype)))
    return [centre if keepdim else reduced(b, "ReduceMean", x, axes, False), b("Reciprocal", deviation)]


@operator("layer_norm")
def layer_norm(
    b: Builder,
    input: Value,
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    *rest: object,
) -> Value:
    count = len(normalized_shape)
    scale = weight if weight is not None else b.filled(_lengths(normalized_shape), 1, input.dtype)
    return b("LayerNormalization", input, scale, bias, shape=input.shape, axis=-count, epsilon=float(eps))


def _lengths(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(length) for length in shape)


@operator("native_layer_norm")
def native_layer_norm(
    b: Builder,
    input: Value,
    normalized_shape: Sequence[int],
    weight: Value | None,
    bias: Value | None,
    eps: float,
) -> list[Value]:
    found = layer_norm(b, input, normalized_shape, weight, bias, eps)
    axes = list(range(-len(normalized_shape), 0))
    return [found, *_moments(b, input, axes, eps, keepdim=True)]


@operator("rms_norm", "_fused_rms_norm")
def rms_norm(
    b: Builder,
    input: Value,
    normalized_shape: Sequence[int],
    weight: Value | None = None,
    eps: float | None = None,
) -> Value:
    scale = weight if weight is not None else b.filled(_lengths(normalized_shape), 1, input.dtype)
    epsilon = _EPSILON.get(input.dtype or "", 2.0**-23) if eps is None else float(eps)
    return b("RMSNormalization", input, scale, shape=input.shape, axis=-len(normalized_shape), epsilon=epsilon)


@operator("group_norm")
def group_norm(
    b: Builder,
    input: Value,
    num_groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    *rest: object,
) -> Value:
    inputs = _statistics(b, input, weight, bias, None, None)[:3]
    return b("GroupNormalization", *inputs, shape=input.shape, num_groups=int(num_groups), epsilon=float(eps))


@operator("native_group_norm")
def native_group_norm(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    batch: int,
    channels: int,
    positions: int,
    group: int,
    eps: float,
) -> list[Value]:
    found = group_norm(b, input, group, weight, bias, eps)
    grouped = b("Reshape", input, b.ints(0, group, -1), shape=(*b.dims(input)[:1], group, None))
    return [found, *_moments(b, grouped, [2], eps)]


@operator("torch.nn.functional.instance_norm", origin=True)
def functional_instance_norm(
    b: Builder,
    input: Value,
    running_mean: Value | None = None,
    running_var: Value | None = None,
    weight: Value | None = None,
    bias: Value | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Value:
    return instance_norm(b, input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps)


@operator("instance_norm")
def instance_norm(
    b: Builder,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    use_input_stats: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *rest: object,
) -> Value:
    inputs = _statistics(b, input, weight, bias, running_mean, running_var)
    if use_input_stats:
        return b("InstanceNormalization", *inputs[:3], shape=input.shape, epsilon=float(eps))
    return b("BatchNormalization", *inputs, shape=input.shape, epsilon=float(eps))


@operator("local_response_norm")
def local_response_norm(
    b: Builder, input: Value, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Value:
    """Over channels on both sides; for an even size torch has one more before, ONNX one more behind."""
    if size % 2 == 0:
        raise NotLowered("an even size")
    return b("LRN", input, shape=input.shape, size=size, alpha=float(alpha), beta=float(beta), bias=float(k))


@operator("normalize")
def normalize(b: Builder, input: Value, p: float = 2.0, dim: Axes = 1, eps: float = 1e-12) -> Value:
    length = vector_norm(b, input, p, dim, True)
    return b("Div", input, b("Clip", length, b.number(eps, length.dtype)), shape=input.shape)


@operator("_weight_norm")
def weight_norm(b: Builder, v: Value, g: Value, dim: int = 0) -> Value:
    """g · v / |v|, the norm taken over all axes but one."""
    axes = [axis for axis in range(b.rank(v)) if axis != dim % b.rank(v)] if dim != -1 else None
    length = reduced(b, "ReduceL2", v, axes, True)
    return b("Mul", v, b("Div", g, length))


@operator("_weight_norm_interface")
def weight_norm_interface(b: Builder, v: Value, g: Value, dim: int = 0) -> list[Value]:
    axes = [axis for axis in range(b.rank(v)) if axis != dim % b.rank(v)]
    return [weight_norm(b, v, g, dim), reduced(b, "ReduceL2", v, axes, True)]


@operator("cosine_similarity")
def cosine_similarity(b: Builder, x1: Value, x2: Value, dim: int = 1, eps: float = 1e-8) -> Value:
    """Each vector is divided by its norm, or by eps where that is greater."""
    parts = []
    rank = max(b.rank(x1), b.rank(x2))
    axis = dim % rank - rank
    for x in (x1, x2):
        length = vector_norm(b, x, 2, axis, True)
        parts.append(b("Div", x, b("Max", length, b.number(eps, x.dtype))))
    return reduced(b, "ReduceSum", b("Mul", *parts), axis)


@operator("pairwise_distance")
def pairwise_distance(
    b: Builder, x1: Value, x2: Value, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Value:
    distance = b("Sub", x1, x2)
    return vector_norm(b, b("Add", distance, b.number(eps, distance.dtype)), p, -1, keepdim)


@operator("cdist")
def cdist(b: Builder, x1: Value, x2: Value, p: float = 2.0, *rest: object, **given: object) -> Value:
    distance = b("Sub", b.unsqueeze(x1, b.rank(x1) - 1), b.unsqueeze(x2, b.rank(x2) - 2))
    return vector_norm(b, distance, p, -1)
