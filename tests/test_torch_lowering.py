"""Calls of torch are lowered to nodes that compute the same: numbers of torch against runs of the lowered graph."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812
from torch import nn  # noqa: E402
from torch._subclasses import FakeTensorMode  # noqa: E402
from torch.fx.passes.shape_prop import ShapeProp  # noqa: E402
from torch.nn.utils import rnn  # noqa: E402

from netlint.analyses.layers import layers  # noqa: E402
from netlint.analysis import Results  # noqa: E402
from netlint.frontends.aten import lower  # noqa: E402
from netlint.frontends.aten.table import OPERATORS, Entry  # noqa: E402
from netlint.frontends.torch import fx  # noqa: E402
from netlint.frontends.torch.tensors import LiveTensor  # noqa: E402
from netlint.graph import TensorUnreadable  # noqa: E402
from netlint.ops import TORCH_LOSSES  # noqa: E402
from netlint.ops.read import dropout_active  # noqa: E402
from netlint.training import Training  # noqa: E402

from .onnx_graphs import opaque, run  # noqa: E402
from .torch_programs import written  # noqa: E402

X = (2, 3, 4)
Function = Callable[..., Any]


def tensor(spec: Any, rng: np.random.Generator) -> Any:
    """A shape makes floats; `("int", high, shape)` integers below `high`; `("bool", shape)` truth values."""
    if isinstance(spec, torch.Tensor):
        return spec
    if spec and spec[0] == "int":
        return torch.from_numpy(rng.integers(0, spec[1], spec[2]))
    if spec and spec[0] == "signed":
        return torch.from_numpy(rng.integers(-9, 10, spec[1]))
    if spec and spec[0] == "bool":
        return torch.from_numpy(rng.integers(0, 2, spec[1]).astype(bool))
    if spec and spec[0] == "pos":
        return torch.from_numpy(rng.random(spec[1]).astype(np.float32) + 0.1)
    return torch.from_numpy(np.asarray(rng.standard_normal(spec), dtype=np.float32))


def same_numbers(function: Function, *specs: Any, opaque_ops: tuple[str, ...] = ()) -> None:
    """The function and its lowered graph agree on random inputs."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    inputs = [tensor(spec, rng) for spec in specs]
    program, expected = written(function, *inputs)
    graph = lower(program)
    assert opaque(graph) == list(opaque_ops)
    if opaque_ops:
        return
    for found, wanted in zip(run(graph, [x.numpy() for x in inputs]), expected, strict=True):
        assert found.shape == tuple(wanted.shape)
        assert str(found.dtype) == str(wanted.dtype).removeprefix("torch.")
        close = {"rtol": 2e-3, "atol": 1e-3} if wanted.dtype == torch.float16 else {"rtol": 1e-4, "atol": 2e-5}
        np.testing.assert_allclose(found, wanted.detach().numpy(), **close)


I34 = ("int", 3, (3, 4))
S = ("signed", X)
B = ("bool", X)
IMAGE = (2, 4, 9, 11)

CASES: dict[str, tuple[Any, ...]] = {
    # arithmetic and promotion
    "add alpha": (lambda x, y: torch.add(x, y, alpha=2.5), X, X),
    "add number": (lambda x: x + 2, X),
    "add int and float": (lambda x: x + 2.5, S),
    "add int tensor": (lambda x, y: x + y, X, S),
    "add broadcast": (lambda x, y: x + y, X, (3, 1)),
    "add 0-d": (lambda x, y: x + y, S, ()),
    "add 0-d int": (lambda x, y: x + y.sum(), X, S),
    "add bool": (lambda x, y: x + y, B, B),
    "add bool int": (lambda x, y: x + y, B, S),
    "sub alpha": (lambda x, y: torch.sub(x, y, alpha=3), X, X),
    "sub int alpha": (lambda x, y: torch.sub(x, y, alpha=3), S, S),
    "rsub": (lambda x: 1 - x, X),
    "rsub function": (lambda x, y: torch.rsub(x, y, alpha=2), X, X),
    "rdiv": (lambda x: 1 / x, X),
    "rpow": (lambda x: 2**x, X),
    "mul bool": (lambda x, y: x * y, B, B),
    "mul int float": (lambda x: x * 0.5, S),
    "div ints": (lambda x, y: x / (y + 10), S, S),
    "div trunc": (lambda x: torch.div(x, 3, rounding_mode="trunc"), S),
    "div floor": (lambda x: torch.div(x, 3, rounding_mode="floor"), S),
    "div floor negative": (lambda x: torch.div(x, -3, rounding_mode="floor"), S),
    "div trunc float": (lambda x: torch.div(x, 0.3, rounding_mode="trunc"), X),
    "div floor float": (lambda x: torch.div(x, 0.3, rounding_mode="floor"), X),
    "floordiv": (lambda x: x // 2, S),
    "rfloordiv": (lambda x: 7 // (x + 10), S),
    "floordiv float": (lambda x: x // 0.7, X),
    "mod": (lambda x: x % 4, S),
    "mod negative": (lambda x: x % -4, S),
    "mod float": (lambda x: x % 0.7, X),
    "fmod": (lambda x: torch.fmod(x, 0.7), X),
    "fmod int": (lambda x: torch.fmod(x, 4), S),
    "remainder negative": (lambda x: torch.remainder(x, -0.7), X),
    "pow": (lambda x: x**3, X),
    "pow tensor": (lambda x, y: x**y, ("pos", X), X),
    "pow half": (lambda x: x**0.5, ("pos", X)),
    "pow int": (lambda x: x**2, S),
    "pow int float": (lambda x: (x + 10) ** 0.5, S),
    "square": (torch.square, X),
    "matmul operator": (lambda x, y: x @ y, (2, 3, 4), (4, 5)),
    "iadd": (lambda x, y: (x.__iadd__(y), x)[1], X, X),
    "addcmul": (lambda x, y, z: torch.addcmul(x, y, z, value=0.5), X, X, X),
    "addcdiv": (lambda x, y, z: torch.addcdiv(x, y, z, value=0.5), X, X, ("pos", X)),
    "lerp": (lambda x, y: torch.lerp(x, y, 0.3), X, X),
    "lerp tensor": (lambda x, y, z: x.lerp(y, z), X, X, X),
    "logaddexp": (torch.logaddexp, X, X),
    "hypot": (torch.hypot, X, X),
    "xlogy": (lambda x, y: torch.xlogy(torch.relu(x), y), X, ("pos", X)),
    "half add": (lambda x: x.half() + 1.5, X),
    "half and float 0-d": (lambda x, y: x.half() * y, X, ()),
    "double": (lambda x: x.double() * 2, X),
    "int32": (lambda x: x.int() + 3, S),
    # comparisons
    "eq": (lambda x: x == 1, S),
    "ne": (lambda x, y: x != y, S, S),
    "gt float of int": (lambda x: x > 0.5, S),
    "ge le": (lambda x, y: (x >= y) & (x <= 1), X, X),
    "lt": (lambda x, y: torch.lt(x, y), X, S),
    "logical": (lambda x, y: torch.logical_and(x, torch.logical_not(y)), S, S),
    "xor": (lambda x, y: x ^ y, B, B),
    "or int": (lambda x, y: x | y, S, S),
    "invert": (lambda x: ~x, B),
    "invert int": (lambda x: ~x, S),
    "isnan": (lambda x: torch.isnan(x / torch.relu(x)), X),
    "isfinite": (lambda x: torch.isfinite(1 / torch.relu(x)), X),
    "isinf": (lambda x: torch.isinf(1 / torch.relu(x)), X),
    "maximum": (torch.maximum, X, (3, 1)),
    "minimum int": (lambda x, y: torch.minimum(x, y), S, X),
    "clamp": (lambda x: x.clamp(-0.5, 0.5), X),
    "clamp min": (lambda x: torch.clamp(x, min=0.2), X),
    "clamp int": (lambda x: x.clamp(min=-2, max=3), S),
    "clamp int float": (lambda x: x.clamp(min=-1.5), S),
    "clamp tensor": (lambda x, y: x.clamp(min=y), X, (4,)),
    "clamp_min": (lambda x: x.clamp_min(0.1), X),
    "clamp_max": (lambda x: torch.clamp_max(x, 0.1), X),
    "where": (lambda x, y: torch.where(x > 0, x, y), X, X),
    "where number": (lambda x: torch.where(x > 0, x, 0.0), X),
    "where method": (lambda x, y: x.where(x > 0, y), X, X),
    "where int": (lambda x: torch.where(x > 0, 1, 0), X),
    "where mixed": (lambda x: torch.where(x > 0, x, 2.5), S),
    "masked_fill": (lambda x, m: x.masked_fill(m, -1e9), X, ("bool", (3, 4))),
    "masked_fill 0-d": (lambda x, m, v: x.masked_fill(m, v), X, B, ()),
    "nan_to_num": (lambda x: torch.nan_to_num(x / torch.relu(x), 1.0, 2.0, -2.0), X),
    # functions of one number
    **{name: (getattr(torch, name), X) for name in ("abs", "neg", "exp", "sin", "cos", "tan", "atan", "sinh", "cosh")},
    **{name: (getattr(torch, name), X) for name in ("asinh", "erf", "erfc", "sign", "floor", "ceil", "round", "trunc")},
    **{name: (getattr(torch, name), X) for name in ("expm1", "exp2", "frac", "reciprocal", "sigmoid", "tanh", "relu")},
    **{name: (getattr(torch, name), ("pos", X)) for name in ("log", "log2", "log10", "log1p", "sqrt", "rsqrt")},
    "asin": (lambda x: torch.asin(torch.tanh(x)), X),
    "acos": (lambda x: torch.acos(torch.tanh(x)), X),
    "atanh": (lambda x: torch.atanh(torch.tanh(x)), X),
    "acosh": (lambda x: torch.acosh(x.abs() + 1.1), X),
    "exp of int": (torch.exp, S),
    "sigmoid of int": (torch.sigmoid, S),
    "sqrt of int": (lambda x: torch.sqrt(x + 10), S),
    "floor of int": (torch.floor, S),
    # activations
    **{name: (getattr(F, name), X) for name in ("relu6", "selu", "silu", "mish", "hardswish", "hardsigmoid", "gelu")},
    **{name: (getattr(F, name), X) for name in ("logsigmoid", "softsign", "tanhshrink", "softplus", "hardtanh")},
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), X),
    "leaky_relu inplace": (lambda x: F.leaky_relu(x * 1, 0.2, True), X),
    "elu": (lambda x: F.elu(x, 0.7), X),
    "elu inplace": (lambda x: F.elu(x * 1, 0.7, True), X),
    "aten elu": (lambda x: torch.ops.aten.elu(x, 1.5, 2.0), X),
    "celu": (lambda x: F.celu(x, 0.7), X),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), X),
    "prelu": (F.prelu, (2, 3, 4, 5), (3,)),
    "prelu one": (F.prelu, (2, 3, 4, 5), (1,)),
    "prelu matrix": (F.prelu, (2, 3), (3,)),
    "rrelu eval": (lambda x: F.rrelu(x, training=False), X),
    "softplus beta": (lambda x: F.softplus(x, 2.0, 1.5), X),
    "softplus threshold": (lambda x: F.softplus(x, threshold=0.5), X),
    "softshrink": (lambda x: F.softshrink(x, 0.3), X),
    "hardshrink": (lambda x: F.hardshrink(x, 0.3), X),
    "threshold": (lambda x: F.threshold(x, 0.1, 20), X),
    "hardtanh bounds": (lambda x: F.hardtanh(x, -0.3, 0.4), X),
    "glu": (lambda x: F.glu(x, 1), (2, 6, 4)),
    "softmax": (lambda x: F.softmax(x, 1), X),
    "softmax implicit": (lambda x: F.softmax(x), X),
    "softmax method": (lambda x: x.softmax(dim=-1), X),
    "softmax dtype": (lambda x: torch.softmax(x.half(), -1, dtype=torch.float32), X),
    "softmax 0-d": (lambda x: x.softmax(0), ()),
    "softmax of int": (lambda x: F.softmax(x, -1, dtype=torch.float32), S),
    "log_softmax": (lambda x: F.log_softmax(x, dim=1), X),
    "softmin": (lambda x: F.softmin(x, dim=1), X),
    "softmax2d": (lambda x: nn.Softmax2d()(x), (2, 3, 4, 5)),
    "dropout eval": (lambda x: F.dropout(x, 0.3, False), X),
    "dropout2d eval": (lambda x: F.dropout2d(x, 0.3, training=False), (2, 3, 4, 5)),
    "alpha_dropout eval": (lambda x: F.alpha_dropout(x, 0.3, False), X),
    # products
    "linear": (F.linear, (2, 4), (3, 4), (3,)),
    "linear no bias": (F.linear, (2, 4), (3, 4)),
    "linear 3-d": (F.linear, (5, 2, 4), (3, 4), (3,)),
    "linear 1-d": (F.linear, (4,), (3, 4), (3,)),
    "linear vector": (F.linear, (2, 4), (4,)),
    "matmul": (torch.matmul, (2, 1, 3, 4), (5, 4, 2)),
    "mv": (torch.mv, (3, 4), (4,)),
    "dot": (torch.dot, (4,), (4,)),
    "bmm": (torch.bmm, (2, 3, 4), (2, 4, 5)),
    "addmm": (lambda x, y, z: torch.addmm(x, y, z, beta=0.5, alpha=2), (5,), (3, 4), (4, 5)),
    "baddbmm": (lambda x, y, z: torch.baddbmm(x, y, z, beta=0.5, alpha=2), (1, 3, 5), (2, 3, 4), (2, 4, 5)),
    "baddbmm beta 0": (lambda x, y, z: x.baddbmm(y, z, beta=0.0, alpha=2), (1, 3, 5), (2, 3, 4), (2, 4, 5)),
    "addbmm": (torch.addbmm, (3, 5), (2, 3, 4), (2, 4, 5)),
    "outer": (torch.outer, (3,), (4,)),
    "einsum": (lambda x, y: torch.einsum("bij, bjk -> bik", x, y), (2, 3, 4), (2, 4, 5)),
    "einsum ellipsis": (lambda x, y: torch.einsum("...ij,kj->...ik", x, y), (2, 3, 4), (5, 4)),
    "einsum implicit": (lambda x, y: torch.einsum("ij,jk", [x, y]), (3, 4), (4, 5)),
    "tensordot": (lambda x, y: torch.tensordot(x, y, dims=2), (2, 3, 4), (3, 4, 5)),
    "tensordot axes": (lambda x, y: torch.tensordot(x, y, dims=([1], [0])), (2, 3, 4), (3, 5)),
    "bilinear": (F.bilinear, (2, 3), (2, 4), (5, 3, 4), (5,)),
    "cross": (lambda x, y: torch.linalg.cross(x, y), (2, 3), (2, 3)),
    "trace": (torch.trace, (3, 3)),
    "inner": (torch.inner, (2, 4), (3, 4)),
    # convolutions and pools
    "conv1d": (lambda x, w: F.conv1d(x, w, stride=2, padding=1), (2, 4, 9), (6, 4, 3)),
    "conv2d groups": (lambda x, w, c: F.conv2d(x, w, c, (2, 1), (1, 2), (1, 2), 2), IMAGE, (6, 2, 3, 3), (6,)),
    "conv2d same": (lambda x, w: F.conv2d(x, w, padding="same", dilation=2), IMAGE, (6, 4, 2, 3)),
    "conv2d valid": (lambda x, w: F.conv2d(x, w, padding="valid"), IMAGE, (6, 4, 3, 3)),
    "conv2d one image": (lambda x, w: F.conv2d(x, w), (4, 9, 11), (6, 4, 3, 3)),
    "conv3d": (lambda x, w: F.conv3d(x, w, padding=1), (1, 2, 4, 5, 6), (3, 2, 3, 3, 3)),
    "conv_transpose2d": (
        lambda x, w, c: F.conv_transpose2d(x, w, c, (2, 3), 1, (1, 0), 2, 1),
        IMAGE,
        (4, 3, 3, 3),
        (6,),
    ),
    "conv_transpose1d": (lambda x, w: F.conv_transpose1d(x, w, stride=2, dilation=2), (2, 4, 9), (4, 3, 3)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1), IMAGE),
    "max_pool2d ceil": (lambda x: F.max_pool2d(x, 2, ceil_mode=True), IMAGE),
    "max_pool2d dilation": (lambda x: F.max_pool2d(x, 3, 1, 1, 2), IMAGE),
    "max_pool2d indices": (lambda x: F.max_pool2d(x, 2, return_indices=True), IMAGE),
    "max_pool1d one": (lambda x: F.max_pool1d(x, 2), (4, 9)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1), IMAGE),
    "avg_pool2d no pad": (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), IMAGE),
    "avg_pool2d divisor": (lambda x: F.avg_pool2d(x, 3, divisor_override=5), IMAGE),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 2), (2, 4, 9)),
    "lp_pool2d": (lambda x: F.lp_pool2d(x, 2, 3, 2), IMAGE),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 1), IMAGE),
    "adaptive_avg_pool2d none": (lambda x: F.adaptive_avg_pool2d(x, (3, None)), IMAGE),
    "adaptive_avg_pool2d uneven": (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), IMAGE),
    "adaptive_avg_pool1d": (lambda x: F.adaptive_avg_pool1d(x, 4), (2, 3, 8)),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (4, 5)), IMAGE),
    "adaptive same": (lambda x: F.adaptive_avg_pool2d(x, (9, 11)), IMAGE),
    # resampling
    "interpolate nearest": (lambda x: F.interpolate(x, scale_factor=2), IMAGE),
    "interpolate nearest odd": (lambda x: F.interpolate(x, size=(7, 20)), IMAGE),
    "interpolate exact": (lambda x: F.interpolate(x, size=(7, 20), mode="nearest-exact"), IMAGE),
    "interpolate bilinear": (lambda x: F.interpolate(x, size=(13, 7), mode="bilinear"), IMAGE),
    "interpolate corners": (
        lambda x: F.interpolate(x, size=(13, 7), mode="bilinear", align_corners=True),
        IMAGE,
    ),
    "interpolate scale": (lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"), IMAGE),
    "interpolate recompute": (
        lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True),
        IMAGE,
    ),
    "interpolate bicubic": (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), IMAGE),
    "interpolate linear": (lambda x: F.interpolate(x, size=7, mode="linear"), (2, 3, 5)),
    "interpolate antialias": (
        lambda x: F.interpolate(x, size=(5, 6), mode="bilinear", antialias=True),
        (1, 2, 10, 12),
    ),
    "upsample": (lambda x: nn.UpsamplingBilinear2d(scale_factor=2)(x), IMAGE),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), (2, 8, 3, 5)),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 2), (2, 3, 4, 6)),
    "channel_shuffle": (lambda x: F.channel_shuffle(x, 2), (2, 6, 4, 5)),
    "grid_sample": (lambda x, g: F.grid_sample(x, g.tanh(), align_corners=False), (2, 3, 5, 6), (2, 4, 4, 2)),
    "grid_sample border": (
        lambda x, g: F.grid_sample(x, g, padding_mode="border", align_corners=True),
        (2, 3, 5, 6),
        (2, 4, 4, 2),
    ),
    "affine_grid": (lambda t: F.affine_grid(t, [2, 3, 5, 6], align_corners=True), (2, 2, 3)),
    "unfold image": (lambda x: F.unfold(x, (2, 3), dilation=(2, 1), padding=(1, 2), stride=(1, 2)), IMAGE),
    "fold": (lambda x: F.fold(x, (4, 5), (2, 2)), (2, 12, 12)),
    "unfold": (lambda x: x.unfold(1, 3, 2), (2, 9, 4)),
}

CASES |= {
    # layout
    "view": (lambda x: x.view(6, -1), X),
    "view list": (lambda x: x.view([4, 6]), X),
    "reshape": (lambda x: torch.reshape(x, (-1,)), X),
    "reshape keyword": (lambda x: x.reshape(shape=(2, 12)), X),
    "reshape of transposed": (lambda x: x.transpose(0, 1).reshape(3, 8), X),
    "view_as": (lambda x, y: x.view_as(y), X, (4, 6)),
    "flatten": (lambda x: x.flatten(1), X),
    "flatten inner": (lambda x: x.flatten(0, 1), X),
    "flatten all": (lambda x: torch.flatten(x), X),
    "flatten one": (lambda x: torch.flatten(x), (3,)),
    "unflatten": (lambda x: x.unflatten(1, (3, -1)), (2, 12)),
    "squeeze": (lambda x: x.squeeze(), (1, 3, 1, 4)),
    "squeeze axis": (lambda x: x.squeeze(-2), (1, 3, 1, 4)),
    "squeeze no axis": (lambda x: x.squeeze(1), (1, 3, 1, 4)),
    "squeeze axes": (lambda x: x.squeeze((0, 2)), (1, 3, 1, 4)),
    "unsqueeze": (lambda x: x.unsqueeze(-2), X),
    "transpose": (lambda x: x.transpose(-1, 0), X),
    "permute": (lambda x: x.permute(2, 0, 1), X),
    "permute list": (lambda x: torch.permute(x, (-1, 0, 1)), X),
    "permute keyword": (lambda x: x.permute(dims=(2, 0, 1)), X),
    "t": (lambda x: x.t(), (2, 3)),
    "T": (lambda x: x.T, (2, 3)),
    "mT": (lambda x: x.mT, X),
    "movedim": (lambda x: torch.movedim(x, (0, 1), (2, 0)), X),
    "swapaxes": (lambda x: torch.swapaxes(x, 0, 2), X),
    "expand": (lambda x: x.expand(-1, 5, -1), (2, 1, 4)),
    "expand more": (lambda x: x.expand(3, 2, 4), (2, 4)),
    "expand_as": (lambda x, y: x.expand_as(y), (3, 1), X),
    "broadcast_to": (lambda x: torch.broadcast_to(x, (2, 3)), (3,)),
    "broadcast_tensors": (lambda x, y: torch.broadcast_tensors(x, y), (3, 1), (1, 4)),
    "repeat": (lambda x: x.repeat(2, 1, 3), (2, 3)),
    "repeat list": (lambda x: x.repeat([2, 2]), (2, 3)),
    "tile": (lambda x: torch.tile(x, (2,)), (2, 3)),
    "cat": (lambda x, y: torch.cat([x, y], dim=-1), X, (2, 3, 1)),
    "cat mixed types": (lambda x, y: torch.cat([x, y]), X, S),
    "cat empty": (lambda x: torch.cat([torch.zeros(0), x]), X),
    "stack": (lambda x, y: torch.stack((x, y), -1), X, X),
    "stack axis": (lambda x, y: torch.stack((x, y), 1), X, X),
    "hstack": (lambda x, y: torch.hstack((x, y)), (2, 3), (2, 4)),
    "vstack": (lambda x, y: torch.vstack((x, y)), (3,), (3,)),
    "to": (lambda x: x.to(torch.int64), X),
    "to other": (lambda x, y: x.to(y), X, S),
    "type string": (lambda x: x.type(torch.float64), X),
    "type_as": (lambda x, y: x.type_as(y), S, X),
    "bool": (lambda x: x.bool(), S),
    "chunk": (lambda x: x.chunk(3, 1), (2, 7)),
    "split": (lambda x: x.split(3, -1), (2, 7)),
    "split sizes": (lambda x: torch.split(x, [1, 4, 2], dim=1), (2, 7)),
    "tensor_split": (lambda x: torch.tensor_split(x, 3, 1), (2, 7)),
    "unbind": (lambda x: torch.unbind(x, 1), X),
    "unbind part": (lambda x: x.unbind(1)[2], X),
    "flip": (lambda x: x.flip(0, -1), X),
    "flip keyword": (lambda x: torch.flip(x, dims=[1]), X),
    "roll": (lambda x: torch.roll(x, (1, -2), (0, 2)), X),
    "roll flat": (lambda x: torch.roll(x, 5), X),
    "rot90": (lambda x: torch.rot90(x, 1, (0, 1)), X),
    "rot90 back": (lambda x: torch.rot90(x, -1, (1, 2)), X),
    "repeat_interleave": (lambda x: x.repeat_interleave(3, dim=1), X),
    "repeat_interleave flat": (lambda x: torch.repeat_interleave(x, 2), X),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 3), value=1.5), X),
    "pad negative": (lambda x: F.pad(x, (-1, 2)), X),
    "pad reflect": (lambda x: F.pad(x, (1, 2), mode="reflect"), X),
    "pad replicate": (lambda x: F.pad(x, (1, 2, 1, 0), mode="replicate"), IMAGE),
    "pad circular": (lambda x: F.pad(x, (1, 2), mode="circular"), X),
    "diagonal": (lambda x: torch.diagonal(x, 1, 1, 2), X),
    "diag": (torch.diag, (3, 4)),
    "diag vector": (torch.diag, (3,)),
    "diag_embed": (torch.diag_embed, (2, 3)),
    # indexing
    "select": (lambda x: x.select(1, -1), X),
    "getitem int": (lambda x: x[1], X),
    "getitem negative": (lambda x: x[-1, :, -2], X),
    "getitem slice": (lambda x: x[:, 1:, ::2], X),
    "getitem ellipsis": (lambda x: x[..., 1:3], X),
    "getitem none": (lambda x: x[:, None, 0, None], X),
    "getitem none last": (lambda x: x[..., None], X),
    "getitem tensor": (lambda x, i: x[i], (3, 4), I34),
    "getitem tensor axis": (lambda x, i: x[:, i], (2, 3, 4), I34),
    "getitem two": (lambda x, i: x[i, i], (3, 3, 5), I34),
    "getitem two inner": (lambda x, i: x[:, i, i], (2, 3, 3, 5), I34),
    "getitem apart": (lambda x, i: x[i, :, i], (3, 2, 3, 5), I34),
    "getitem broadcast": (lambda x, i: x[torch.arange(3)[:, None], i], (3, 3), I34),
    "getitem int and tensor": (lambda x, i: x[0, i], (2, 3, 4), I34),
    "getitem int, slice, tensor": (lambda x, i: x[0, 1:, i], (2, 3, 4), I34),
    "getitem list": (lambda x: x[:, [2, 0]], X),
    "getitem mask": (lambda x: x[x > 0], X),
    "getitem mask rows": (lambda x, m: x[m], X, ("bool", (2,))),
    "getitem mask axis": (lambda x, m: x[:, m], X, ("bool", (3,))),
    "getitem scalar tensor": (lambda x, i: x[i.sum() % 2], X, I34),
    "getitem tensor and none": (lambda x, i: x[i, None], (3, 4), I34),
    "getitem negative tensor": (lambda x, i: x[i - 3], (3, 4), I34),
    "slice then index": (lambda x, i: x[1:, i], (3, 3, 2), I34),
    "narrow": (lambda x: x.narrow(1, 1, 2), X),
    "index_select": (lambda x, i: torch.index_select(x, 1, i), X, ("int", 3, (5,))),
    "gather": (lambda x, i: x.gather(1, i), X, ("int", 3, (2, 2, 4))),
    "take": (lambda x, i: torch.take(x, i), X, ("int", 24, (5,))),
    "masked_select": (lambda x, m: torch.masked_select(x, m), X, B),
    "embedding of limited norm": (lambda i, w: F.embedding(i, w, None, 1.5), I34, (3, 5)),
    "embedding": (lambda i, w: F.embedding(i, w, padding_idx=0), I34, (3, 5)),
    "one_hot": (lambda i: F.one_hot(i, 3), I34),
    "scatter": (lambda x, i, s: x.scatter(1, i, s), X, ("int", 3, (2, 1, 4)), X),
    "scatter number": (lambda x, i: x.scatter(1, i, 7.5), X, ("int", 3, (2, 1, 4))),
    "scatter_add": (lambda x, i, s: x.scatter_add(1, i, s), X, ("int", 3, (2, 3, 3)), X),
    "scatter_reduce": (lambda x, i, s: x.scatter_reduce(1, i, s, "amax"), X, ("int", 3, (2, 3, 4)), X),
    "index_add": (lambda x, i, s: x.index_add(1, i, s, alpha=2), X, ("int", 3, (5,)), (2, 5, 4)),
    "index_copy": (lambda x, s: x.index_copy(1, torch.tensor([2, 0]), s), X, (2, 2, 4)),
    "index_fill": (lambda x: x.index_fill(1, torch.tensor([2, 0]), 3.0), X),
    "index_put": (lambda x, v: x.index_put((torch.tensor([0, 1]), torch.tensor([2, 0])), v), X, (2, 4)),
    "index_put accumulate": (
        lambda x, v: x.index_put((torch.tensor([1, 1]),), v, accumulate=True),
        X,
        (2, 3, 4),
    ),
    "masked_scatter": (lambda x, m, s: x.masked_scatter(m, s), X, B, X),
    "select_scatter": (lambda x, s: torch.select_scatter(x, s, 1, 2), X, (2, 4)),
    "slice_scatter": (lambda x, s: torch.slice_scatter(x, s, 1, 1, 3), X, (2, 2, 4)),
    # reductions
    "sum": (lambda x: x.sum(), X),
    "sum axes": (lambda x: x.sum((0, -1), keepdim=True), X),
    "sum of bool": (lambda x: x.sum(-1), B),
    "sum of int": (lambda x: x.int().sum(), S),
    "sum dtype": (lambda x: x.sum(1, dtype=torch.float64), X),
    "sum axis keyword": (lambda x: x.sum(axis=1), X),
    "sum of number": (lambda x: x.sum(0), ()),
    "mean": (lambda x: torch.mean(x, dim=[1, 2]), X),
    "mean dtype": (lambda x: x.mean(dtype=torch.float32), S),
    "prod": (lambda x: x.prod(1), X),
    "prod all": (lambda x: x.prod(), (2, 3)),
    "amax": (lambda x: x.amax((1, 2)), X),
    "amin": (lambda x: torch.amin(x, 1, True), X),
    "aminmax": (lambda x: list(torch.aminmax(x, dim=1)), X),
    "max": (lambda x: x.max(), X),
    "max axis": (lambda x: list(x.max(1)), X),
    "max keep": (lambda x: list(torch.max(x, -1, keepdim=True)), X),
    "max values": (lambda x: x.max(dim=1)[0], X),
    "max of two": (torch.max, X, X),
    "min axis": (lambda x: list(x.min(1)), X),
    "argmax": (lambda x: x.argmax(), X),
    "argmax axis": (lambda x: x.argmax(-1, keepdim=True), X),
    "argmin": (lambda x: torch.argmin(x, dim=0), X),
    "any": (lambda x: (x > 1).any(), X),
    "any axis": (lambda x: torch.any(x > 1, 1, keepdim=True), X),
    "all of int": (lambda x: x.all(-1), S),
    "var": (lambda x: x.var(), X),
    "var axis": (lambda x: x.var(1), X),
    "var biased": (lambda x: x.var(-1, unbiased=False, keepdim=True), X),
    "var flag": (lambda x: torch.var(x, False), X),
    "var correction": (lambda x: torch.var(x, dim=(0, 2), correction=2), X),
    "std": (lambda x: x.std(1), X),
    "std positional": (lambda x: torch.std(x, 1, False, True), X),
    "var_mean": (lambda x: torch.var_mean(x, dim=1, correction=0, keepdim=True), X),
    "std_mean": (lambda x: torch.std_mean(x, 1), X),
    "renorm": (lambda x: torch.renorm(x, 2, -1, 2.0), X),
    "renorm of sums": (lambda x: torch.renorm(x, p=1, dim=0, maxnorm=5.0), X),
    "norm": (lambda x: x.norm(), X),
    "norm axis": (lambda x: x.norm(p=1, dim=-1, keepdim=True), X),
    "norm inf": (lambda x: torch.norm(x, float("inf"), 1), X),
    "norm 3": (lambda x: x.norm(3, 1), X),
    "linalg norm": (lambda x: torch.linalg.norm(x, dim=1), X),
    "vector_norm": (lambda x: torch.linalg.vector_norm(x, ord=2, dim=-1), X),
    "vector_norm 0": (lambda x: torch.linalg.vector_norm(F.relu(x), 0), X),
    "logsumexp": (lambda x: torch.logsumexp(x, 1), X),
    "logsumexp keep": (lambda x: x.logsumexp((0, 1), True), X),
    "cumsum": (lambda x: x.cumsum(-1), X),
    "cumsum of bool": (lambda x: x.cumsum(0), B),
    "topk": (lambda x: list(x.topk(2, 1)), X),
    "topk smallest": (lambda x: list(torch.topk(x, 2, largest=False)), X),
    "sort": (lambda x: list(x.sort(1, descending=True)), X),
    "argsort": (lambda x: x.argsort(-1), X),
    "kthvalue": (lambda x: list(x.kthvalue(2, 1)), X),
    "median": (lambda x: x.median(), X),
    "median axis": (lambda x: list(x.median(1)), X),
    "nonzero": (lambda x: torch.nonzero(x > 0), X),
    "nonzero tuple": (lambda x: torch.nonzero(x > 0, as_tuple=True), X),
    "count_nonzero": (lambda x: torch.count_nonzero(x > 0, 1), X),
    "diff": (lambda x: torch.diff(x, dim=1), X),
    "diff prepend": (lambda x, y: torch.diff(x, dim=1, prepend=y), X, (2, 1, 4)),
    # normalisation
    "batch_norm eval": (
        lambda x, m, v, w, c: F.batch_norm(x, m, v, w, c, False, 0.1, 1e-3),
        IMAGE,
        (4,),
        ("pos", (4,)),
        (4,),
        (4,),
    ),
    "batch_norm train": (lambda x, w, c: F.batch_norm(x, None, None, w, c, True), IMAGE, (4,), (4,)),
    "batch_norm train plain": (lambda x, m, v: F.batch_norm(x, m, v, training=True), (5, 3), (3,), ("pos", (3,))),
    "torch batch_norm": (
        lambda x, w, c, m, v: torch.batch_norm(x, w, c, m, v, False, 0.1, 1e-5, False),
        IMAGE,
        (4,),
        (4,),
        (4,),
        ("pos", (4,)),
    ),
    "layer_norm": (lambda x, w, c: F.layer_norm(x, (4,), w, c, 1e-3), X, (4,), (4,)),
    "layer_norm plain": (lambda x: F.layer_norm(x, (3, 4)), X),
    "layer_norm no bias": (lambda x, w: F.layer_norm(x, (4,), w), X, (4,)),
    "native_layer_norm": (lambda x, w, c: torch.native_layer_norm(x, (4,), w, c, 1e-3), X, (4,), (4,)),
    "rms_norm": (lambda x, w: F.rms_norm(x, (4,), w, 1e-3), X, (4,)),
    "rms_norm plain": (lambda x: F.rms_norm(x, (4,)), X),
    "group_norm": (lambda x, w, c: F.group_norm(x, 2, w, c), IMAGE, (4,), (4,)),
    "group_norm plain": (lambda x: F.group_norm(x, 2), (2, 4, 5)),
    "instance_norm": (lambda x, w, c: F.instance_norm(x, weight=w, bias=c), IMAGE, (4,), (4,)),
    "instance_norm running": (
        lambda x, m, v: F.instance_norm(x, m, v, use_input_stats=False),
        IMAGE,
        (4,),
        ("pos", (4,)),
    ),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3, 0.01, 0.5, 2.0), IMAGE),
    "normalize": (lambda x: F.normalize(x), X),
    "normalize p": (lambda x: F.normalize(x, p=1.0, dim=-1), X),
    "cosine_similarity": (lambda x, y: F.cosine_similarity(x, y, dim=-1), X, X),
    "pairwise_distance": (lambda x, y: F.pairwise_distance(x, y), (2, 4), (2, 4)),
    "cdist": (lambda x, y: torch.cdist(x, y), (2, 3, 4), (2, 5, 4)),
    "weight_norm": (lambda v, g: torch._weight_norm(v, g, 0), (3, 4, 5), (3, 1, 1)),
    "weight_norm axis": (lambda v, g: torch._weight_norm(v, g, 1), (3, 4), (1, 4)),
    # makers
    "zeros": (lambda x: x + torch.zeros(3, 4), X),
    "ones like": (lambda x: torch.ones_like(x), X),
    "full": (lambda x: x * torch.full((3, 4), 2.5), X),
    "full int": (lambda x: x * torch.full((2,), 7), (2,)),
    "full_like": (lambda x: torch.full_like(x, 3), X),
    "new_full": (lambda x: x.new_full((2, 2), 3), X),
    "new_zeros": (lambda x: x.new_zeros(2, 3), X),
    "arange": (lambda x: x + torch.arange(4), X),
    "arange bounds": (lambda x: x + torch.arange(1, 9, 2), X),
    "arange float": (lambda x: x + torch.arange(0, 1, 0.25), X),
    "arange int32": (lambda x: x + torch.arange(4, dtype=torch.int32), X),
    "linspace": (lambda x: x + torch.linspace(-1, 1, 4), X),
    "eye": (lambda x: x @ torch.eye(4, 3), X),
    "tril": (lambda x: x.tril(-1), X),
    "triu": (lambda x: torch.triu(x, diagonal=1), X),
    "tensor": (lambda x: x + torch.tensor([[1.0], [2.0], [3.0]]), X),
    "meshgrid": (lambda x, y: torch.meshgrid(x, y, indexing="ij"), (3,), (4,)),
    "meshgrid xy": (lambda x, y: torch.meshgrid([x, y], indexing="xy"), (3,), (4,)),
    # attention
    "sdpa": (F.scaled_dot_product_attention, (2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 4)),
    "sdpa causal": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3),
        (2, 3, 5, 4),
        (2, 3, 5, 4),
        (2, 3, 5, 4),
    ),
    "sdpa mask": (
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m),
        (2, 3, 5, 4),
        (2, 3, 6, 4),
        (2, 3, 6, 4),
        (2, 1, 5, 6),
    ),
    "sdpa bool mask": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, torch.ones(5, 6).tril().bool()),
        (2, 3, 5, 4),
        (2, 3, 6, 4),
        (2, 3, 6, 4),
    ),
    "sdpa 3-d": (F.scaled_dot_product_attention, (2, 5, 4), (2, 6, 4), (2, 6, 4)),
    "sdpa groups": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        (2, 4, 5, 4),
        (2, 2, 6, 4),
        (2, 2, 6, 4),
    ),
}


TARGETS = ("int", 4, (5,))

CASES |= {
    # losses that ONNX has
    "cross_entropy": (F.cross_entropy, (5, 4), TARGETS),
    "cross_entropy weighted": (
        lambda x, t, w: F.cross_entropy(x, t, w, ignore_index=1),
        (5, 4),
        TARGETS,
        ("pos", (4,)),
    ),
    "cross_entropy of an image": (
        lambda x, t: F.cross_entropy(x, t, reduction="none"),
        (2, 4, 3, 3),
        ("int", 4, (2, 3, 3)),
    ),
    "cross_entropy by flags": (lambda x, t: F.cross_entropy(x, t, size_average=False), (5, 4), TARGETS),
    "nll_loss": (lambda x, t: F.nll_loss(x.log_softmax(1), t, reduction="sum"), (5, 4), TARGETS),
    "CrossEntropyLoss": (nn.CrossEntropyLoss(), (5, 4), TARGETS),
}


@pytest.mark.parametrize("name", CASES)
def test_operators_compute_what_torch_does(name: str) -> None:
    same_numbers(*CASES[name])


def _written(view: Function, write: Function, *, read_view: bool = True) -> Function:
    """A program that writes through a view and returns the base, the view and another view made before."""

    def function(x: Any, *rest: Any) -> Any:
        base = x * 2
        other = base.reshape(-1)[1:]
        seen = view(base)
        write(seen, *rest)
        return (base, seen, other) if read_view else (base + 1, other)

    return function


def _set(index: Any) -> Function:
    def write(x: Any, *values: Any) -> None:
        x[index] = values[0] if values else 5.0

    return write


ALIASES: dict[str, tuple[Any, ...]] = {
    "in place of an input": (lambda x: (x.add_(1), x)[1] * 2, X),
    "in place twice": (lambda x: x.mul(2).relu_().add_(1), X),
    "old name": (lambda x: [y := x * 2, y.relu_(), y + 1][2], X),
    "augmented": (lambda x, y: _augmented(x, y), X, X),
    "int stays int": (lambda x: [y := x * 1, y.mul_(3)][0], S),
    "half takes float": (lambda x, y: [h := x.half(), h.add_(y)][0], X, X),
    "bool takes int": (lambda x, y: [h := x > 0, h.logical_and_(y)][0], X, S),
    "broadcast into": (lambda x, y: [h := x * 1, h.add_(y)][0], X, (4,)),
    "copy_": (lambda x, y: [h := x * 1, h.copy_(y)][0], X, (3, 1)),
    "copy_ casts": (lambda x, y: [h := x * 1, h.copy_(y)][0], X, S),
    "fill_": (lambda x: [h := x * 1, h.fill_(3)][0], X),
    "zero_": (lambda x: [h := x * 1, h[0].zero_()][0], X),
    "masked_fill_": (lambda x, m: [h := x * 1, h.masked_fill_(m, 2.0)][0], X, B),
    "clamp_": (lambda x: [h := x * 1, h.clamp_(0, 1)][0], X),
    "out": (lambda x, y: [h := torch.zeros(2, 3, 4), torch.add(x, y, out=h)][0], X, X),
    "inplace argument": (lambda x: [h := x * 1, F.relu(h, inplace=True)][0], X),
    "inplace position": (lambda x: [h := x * 1, F.elu(h, 0.5, True)][0], X),
    "view": (_written(lambda x: x.view(4, 6), lambda v: v.add_(1)), X),
    "view twice": (_written(lambda x: x.view(4, 6).view(-1), lambda v: v.mul_(3)), X),
    "transpose": (_written(lambda x: x.transpose(0, 2), lambda v: v.add_(1)), X),
    "transpose and write": (_written(lambda x: x.transpose(0, 2), _set((0, slice(1, 3)))), X),
    "permute": (_written(lambda x: x.permute(2, 0, 1), _set(1)), X),
    "mT": (_written(lambda x: x.mT, _set((slice(None), 0))), X),
    "t": (_written(lambda x: x.t(), _set(0)), (3, 4)),
    "movedim": (_written(lambda x: torch.movedim(x, 0, 2), _set(0)), X),
    "unsqueeze": (_written(lambda x: x.unsqueeze(1), lambda v: v.relu_()), X),
    "squeeze": (_written(lambda x: x.squeeze(1), lambda v: v.relu_()), (2, 1, 4)),
    "select": (_written(lambda x: x.select(1, 2), lambda v: v.relu_()), X),
    "slice": (_written(lambda x: x[:, 1:], lambda v: v.relu_()), X),
    "slices": (_written(lambda x: x[1:, :2, 1:3], lambda v: v.mul_(7)), X),
    "step": (_written(lambda x: x[:, ::2], lambda v: v.mul_(7)), X),
    "step of another axis": (_written(lambda x: x[..., 1::2], lambda v: v.mul_(7)), X),
    "new axis": (_written(lambda x: x[:, None, 1], lambda v: v.mul_(7)), X),
    "narrow": (_written(lambda x: x.narrow(-1, 1, 2), lambda v: v.mul_(7)), X),
    "chunk": (_written(lambda x: x.chunk(2, -1)[1], lambda v: v.mul_(7)), X),
    "split": (_written(lambda x: x.split([1, 3], 2)[1], lambda v: v.mul_(7)), X),
    "split equal": (_written(lambda x: x.split(3, 2)[1], lambda v: v.mul_(7)), X),
    "unbind": (_written(lambda x: x.unbind(1)[1], lambda v: v.mul_(7)), X),
    "diagonal": (_written(lambda x: x.diagonal(), lambda v: v.mul_(7)), (3, 4)),
    "detach": (_written(lambda x: x.detach(), lambda v: v.mul_(7)), X),
    "flatten": (_written(lambda x: x.flatten(), lambda v: v.mul_(7)), X),
    "unflatten": (_written(lambda x: x.unflatten(2, (2, 2)), lambda v: v.mul_(7)), X),
    "expand is only read": (lambda x: [h := x * 1, e := h.expand(2, 3), h.add_(1), e][3], (3,)),
    "contiguous of transposed is a copy": (
        _written(lambda x: x.transpose(0, 1).contiguous(), lambda v: v.mul_(7)),
        X,
    ),
    "reshape of transposed is a copy": (_written(lambda x: x.transpose(0, 1).reshape(-1), lambda v: v.mul_(7)), X),
    "to is the same": (_written(lambda x: x.to(torch.float32), lambda v: v.mul_(7)), X),
    "to is a copy": (_written(lambda x: x.to(torch.float64), lambda v: v.mul_(7)), X),
    "clone is a copy": (_written(lambda x: x.clone(), lambda v: v.mul_(7)), X),
    "view of view": (_written(lambda x: x[1].transpose(0, 1)[2:], lambda v: v.mul_(7)), X),
    "only the base is read": (_written(lambda x: x[0], lambda v: v.mul_(7), read_view=False), X),
    "setitem": (_written(lambda x: x, _set(1)), X),
    "setitem slices": (_written(lambda x: x, _set((slice(None), slice(0, 2), -1))), X),
    "setitem tensor": (_written(lambda x: x, _set((slice(None), slice(0, 2)))), X, (2, 4)),
    "setitem ellipsis": (_written(lambda x: x, _set((..., 0))), X, (3,)),
    "setitem mask": (lambda x: [h := x * 1, _set(h > 0)(h), h][2], X),
    "setitem mask tensor": (lambda x: [h := x * 1, _set(h > 0)(h, h[h > 0] * 2), h][2], X),
    "setitem mask rows": (lambda x, m: [h := x * 1, _set(m)(h), h][2], X, ("bool", (2,))),
    "setitem mask column": (lambda x, m: [h := x * 1, _set((slice(None), m))(h), h][2], X, ("bool", (3,))),
    "setitem indices": (lambda x, i, v: [h := x * 1, _set(i)(h, v), h][2], (3, 4), ("int", 3, (1,)), (1, 4)),
    "setitem two indices": (lambda x: [h := x * 1, _set((_I, _J))(h), h][2], X),
    "setitem inner indices": (lambda x, v: [h := x * 1, _set((slice(None), _I, _J))(h, v), h][2], X, (2, 2)),
    "setitem apart": (lambda x, v: [h := x * 1, _set((_I, slice(None), _J))(h, v), h][2], X, (2, 3)),
    "setitem int and indices": (lambda x, v: [h := x * 1, _set((0, _I, _J))(h, v), h][2], X, (2,)),
    "setitem slice and indices": (lambda x: [h := x * 1, _set((slice(0, 1), _I))(h), h][2], X),
    "setitem with lower rank": (lambda x: [h := x * 1, _set(0)(h, torch.ones(1, 1, 4)), h][2], X),
    "index_put_": (lambda x: [h := x * 1, h.index_put_((_I,), torch.tensor(3.0))][0], X),
    "index_add_": (lambda x, v: [h := x * 1, h.index_add_(1, _I, v)][0], X, (2, 2, 4)),
    "scatter_": (lambda x, i: [h := x * 1, h.scatter_(1, i, 1.0)][0], X, ("int", 3, (2, 1, 4))),
    "write into transposed view of slice": (
        lambda x: [h := x * 1, h[:, 1:].transpose(1, 2).copy_(torch.ones(2, 4, 2)), h][2],
        X,
    ),
    "two views, one base": (
        lambda x: [h := x * 1, a := h[0], b := h[:, 0], a.add_(1), b.mul_(2), a, h][5:],
        X,
    ),
}
_I, _J = torch.tensor([1, 0]), torch.tensor([2, 0])


def _augmented(x: Any, y: Any) -> Any:
    x = x * 1
    z = x
    x += y
    x -= 1
    x *= 2
    x /= 3
    return z, x


@pytest.mark.parametrize("name", ALIASES)
def test_views_and_in_place_calls(name: str) -> None:
    same_numbers(*ALIASES[name])


def test_a_copy_that_nobody_can_tell_from_a_view_is_not_guessed() -> None:
    """Without the memory that tensors lie in, `reshape` may or may not share it."""

    def function(x: Any) -> Any:
        base = x * 2
        flat = base.transpose(0, 1).reshape(-1)
        flat.add_(1)
        return base

    program, _ = written(function, torch.ones(2, 3))
    for call in program.calls:
        if call.result is not None:
            call.result.storage = None
    assert opaque(lower(program)) == ["torch.overlapping_write"]


def test_buffers_that_are_updated_are_no_part_of_the_graph() -> None:
    norm = nn.BatchNorm1d(3).train()
    program, _ = written(lambda x: norm(x) * 2, torch.randn(4, 3))
    graph = lower(program)
    assert [node.op for node in graph.nodes] == ["BatchNormalization", "Mul"]


def test_what_is_computed_for_nothing_stays() -> None:
    def function(x: Any) -> Any:
        torch.exp(x).sum()
        a, _ = x.chunk(2)
        return a

    graph = lower(written(function, torch.randn(4, 3))[0])
    assert [node.op for node in graph.nodes] == ["Split", "Exp", "ReduceSum"]


def _packed(layer: nn.RNNBase, x: torch.Tensor) -> Any:
    """Sequences of different lengths, not in order."""
    steps = rnn.pack_padded_sequence(x, torch.tensor([2, 4, 1]), layer.batch_first, enforce_sorted=False)
    out, states = layer(steps)
    padded, lengths = rnn.pad_packed_sequence(out, layer.batch_first)
    return padded, lengths, *(states if isinstance(states, tuple) else (states,)), out.data


_PLAIN, _DEEP = nn.LSTM(3, 5), nn.LSTM(3, 5, 2)
RECURRENT: dict[str, tuple[Any, ...]] = {
    "LSTM": (nn.LSTM(3, 5), (4, 2, 3)),
    "LSTM deep": (nn.LSTM(3, 5, num_layers=3, bidirectional=True, batch_first=True), (2, 4, 3)),
    "LSTM without bias": (nn.LSTM(3, 5, bias=False), (4, 2, 3)),
    "LSTM one sequence": (nn.LSTM(3, 5, bidirectional=True), (4, 3)),
    "LSTM with states": (lambda x, h, c: _DEEP(x, (h, c)), (4, 2, 3), (2, 2, 5), (2, 2, 5)),
    "GRU": (nn.GRU(3, 5), (4, 2, 3)),
    "GRU deep": (nn.GRU(3, 5, num_layers=2, bidirectional=True, batch_first=True), (2, 4, 3)),
    "RNN": (nn.RNN(3, 5), (4, 2, 3)),
    "RNN relu": (nn.RNN(3, 5, nonlinearity="relu", num_layers=2, bidirectional=True), (4, 2, 3)),
    "LSTM of computed weights": (lambda x: _halved(_PLAIN, x), (4, 2, 3)),
    "packed LSTM": (functools.partial(_packed, nn.LSTM(3, 5, 2, bidirectional=True)), (4, 3, 3)),
    "packed GRU": (functools.partial(_packed, nn.GRU(3, 5, batch_first=True)), (3, 4, 3)),
    "packed RNN": (functools.partial(_packed, nn.RNN(3, 5)), (4, 3, 3)),
    "LSTMCell": (nn.LSTMCell(3, 5), (2, 3)),
    "GRUCell": (nn.GRUCell(3, 5), (2, 3)),
    "RNNCell": (nn.RNNCell(3, 5), (2, 3)),
}


def _halved(module: Any, x: Any) -> Any:
    weights = [weight * 0.5 for weight in module._flat_weights]
    states = (torch.zeros(1, 2, 5), torch.zeros(1, 2, 5))
    return torch.lstm(x, states, weights, True, 1, 0.0, False, False, False)


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers(name: str) -> None:
    same_numbers(*RECURRENT[name])


def test_recurrent_weights_stay_constants() -> None:
    graph = lower(written(nn.LSTM(3, 5, bidirectional=True), torch.randn(4, 2, 3))[0])
    (node,) = graph.of("LSTM")
    kernel, recurrence, bias = (node.input(place) for place in (1, 2, 3))
    assert [value.constant is not None for value in (kernel, recurrence, bias) if value] == [True] * 3
    assert kernel is not None and kernel.shape == (2, 20, 3) and kernel.trainable
    assert bias is not None and bias.constant is not None
    assert sum(len(part) for part in bias.constant.chunks(16)) == bias.constant.load().size == 2 * 40


LOSSES: dict[str, tuple[Any, ...]] = {
    "mse_loss": (F.mse_loss, X, X),
    "l1_loss": (lambda x, y: F.l1_loss(x, y, reduction="sum"), X, X),
    "smooth_l1_loss": (lambda x, y: F.smooth_l1_loss(x, y, beta=0.5), X, X),
    "huber_loss": (lambda x, y: F.huber_loss(x, y, delta=0.5), X, X),
    "binary_cross_entropy": (lambda x, y: F.binary_cross_entropy(x.sigmoid(), y.sigmoid()), X, X),
    "binary_cross_entropy_with_logits": (F.binary_cross_entropy_with_logits, X, X),
    "kl_div": (lambda x, y: F.kl_div(x, y, reduction="batchmean", log_target=True), X, X),
    "poisson_nll_loss": (F.poisson_nll_loss, X, X),
    "gaussian_nll_loss": (F.gaussian_nll_loss, X, X, ("pos", X)),
    "hinge_embedding_loss": (lambda x, y: F.hinge_embedding_loss(x, y.sign(), 0.5), X, X),
    "soft_margin_loss": (lambda x, y: F.soft_margin_loss(x, y.sign()), X, X),
    "multilabel_soft_margin_loss": (lambda x, y: F.multilabel_soft_margin_loss(x, y.sigmoid()), (2, 3), (2, 3)),
    "multi_margin_loss": (F.multi_margin_loss, (5, 4), TARGETS),
    "margin_ranking_loss": (lambda x, y: F.margin_ranking_loss(x, y, y.sign(), 0.1), (5,), (5,)),
    "cosine_embedding_loss": (lambda x, y: F.cosine_embedding_loss(x, y, y[:, 0].sign()), (5, 4), (5, 4)),
    "triplet_margin_loss": (lambda x, y: F.triplet_margin_loss(x, y, y * 2), (5, 4), (5, 4)),
    "cross_entropy": (lambda x, y: F.cross_entropy(x, y.softmax(1)), (5, 4), (5, 4)),
    "nll_loss": (lambda x, t: F.nll_loss(x, t), (4,), ("int", 4, ())),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_stay_single_nodes(name: str) -> None:
    function, *specs = LOSSES[name]
    rng = np.random.default_rng(0)
    graph = lower(written(function, *(tensor(spec, rng) for spec in specs))[0])
    (node,) = graph.of(f"torch.{name}")
    assert node.full_op in TORCH_LOSSES
    assert node.attrs["reduction"] in ("mean", "sum", "none", "batchmean")
    assert node.input(0) is not None and node.input(1) is not None
    assert node.inputs[0] is graph.inputs[0] or graph.producer(node.inputs[0]) is not None


def test_smoothed_labels_and_binary_weights_are_said() -> None:
    program, _ = written(
        lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), torch.randn(5, 4), torch.ones(5).long()
    )
    (node,) = lower(program).nodes
    assert (node.full_op, node.attrs["label_smoothing"]) == ("torch.cross_entropy", 0.1)
    function = lambda x, t, w: F.binary_cross_entropy_with_logits(x, t, pos_weight=w)  # noqa: E731
    (node,) = lower(written(function, *(torch.ones(2, 3) for _ in range(3)))[0]).nodes
    assert node.inputs[2] is None and node.inputs[3] is not None


def test_random_numbers_are_drawn() -> None:
    def function(x: Any) -> Any:
        a = torch.randn(2, 3) + torch.rand_like(x) + torch.randn_like(x)
        b = torch.empty(2, 3).normal_(1, 2) + torch.empty(2, 3).uniform_(-1, 2) + torch.bernoulli(x.sigmoid())
        return a + b + F.dropout(x, 0.3)

    graph = lower(written(function, torch.randn(2, 3))[0])
    assert opaque(graph) == []
    assert {"RandomNormal", "RandomUniformLike", "RandomNormalLike", "Bernoulli", "Dropout"} <= graph.ops


def test_drawing_by_a_softmax_takes_no_logarithm() -> None:
    graph = lower(written(lambda x: torch.multinomial(x.softmax(-1), 1), torch.randn(2, 3))[0])
    assert graph.of("Multinomial")[0].inputs == graph.inputs and not graph.of("Log")
    assert opaque(lower(written(lambda x: torch.multinomial(x, 1), torch.rand(2, 3))[0])) == ["torch.multinomial"]


def test_training_is_said() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3))
    graph = lower(written(module.train(), torch.randn(5, 3))[0])
    assert graph.of("BatchNormalization")[0].attrs["training_mode"] == 1
    assert dropout_active(graph.of("Dropout")[0], graph.opset[""])
    graph = lower(written(module.eval(), torch.randn(5, 3))[0])
    assert "training_mode" not in graph.of("BatchNormalization")[0].attrs
    assert not dropout_active(graph.of("Dropout")[0], graph.opset[""])


def test_layers_are_found_with_their_weights() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5), nn.Unflatten(1, (5, 1)), nn.Linear(1, 2))
    graph = lower(written(module, torch.randn(2, 3, 4, 4))[0])
    found = Results(graph, Training()).get(layers).all
    assert [(layer.kind, layer.unit_axis, layer.bias is not None) for layer in found] == [
        ("conv", 0, True),
        ("dense", 0, True),
        ("dense", 1, True),
    ]
    assert all(layer.weight.trainable or layer.node.op == "MatMul" for layer in found)


def test_unknown_calls_and_odd_arguments_stay_as_they_are() -> None:
    program, _ = written(lambda x: torch.histc(x, 4) + torch.round(x, decimals=2).sum(), torch.randn(3))
    graph = lower(program)
    assert opaque(graph) == ["torch.histc", "torch.round"]
    (node,) = graph.of("torch.round")
    assert node.inputs == graph.inputs and dict(node.attrs) == {"decimals": 2}
    (node,) = graph.of("torch.histc")
    assert dict(node.attrs) == {"arg1": 4}


def test_complex_numbers_stay_as_they_are() -> None:
    graph = lower(written(lambda x: torch.fft.fft(x).real * 2, torch.randn(3))[0])
    assert len(opaque(graph)) == 2 and [node.op for node in graph.nodes][-1] == "Mul"


def test_a_function_that_fails_leaves_no_nodes_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(b: Any, input: Any) -> Any:
        b("Relu", b("Exp", input))
        raise ZeroDivisionError

    monkeypatch.setitem(OPERATORS, "relu", Entry(fails, None, False))
    graph = lower(written(lambda x: torch.relu(x) * 2, torch.randn(3))[0])
    assert [node.full_op for node in graph.nodes] == ["torch.relu", "Mul"]


def test_the_order_is_the_same_whatever_the_names() -> None:
    def function(x: Any) -> Any:
        a = x.exp()
        b = x.sin()
        return b + a, a * b

    graph = lower(written(function, torch.randn(3))[0])
    assert [node.op for node in graph.nodes] == ["Sin", "Exp", "Add", "Mul"]


def test_five_thousand_calls_are_lowered_at_once() -> None:
    def function(x: Any) -> Any:
        for _ in range(1000):
            x = F.layer_norm((x.view(2, 6).transpose(0, 1) + 1).relu(), (2,)).reshape(3, 4)
        return x

    program, _ = written(function, torch.randn(3, 4))
    assert len(program.calls) == 6000
    start = time.process_time()
    lower(program)
    assert time.process_time() - start < 2  # takes a tenth of that


class Net(nn.Module):
    """Convolution, normalisation, in-place activation, a view, buffers, a constant, a switch of gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.head = nn.Linear(8, 4)
        self.tied = nn.Linear(8, 4)
        self.tied.weight = self.head.weight
        self.register_buffer("scale", torch.full((4,), 2.0))

    def forward(self, x: Any) -> Any:
        hidden = self.body(x).mean((2, 3))
        hidden = hidden.view(x.size(0), -1)
        hidden[:, 0] = 0.5
        with torch.no_grad():
            weight = hidden.softmax(-1)
        return {"out": (self.head(hidden) + self.tied(hidden)) * self.scale + torch.tensor([1.0, 2, 3, 4]), "w": weight}


IMAGES = (3, 3, 8, 8)


def module_numbers(module: Any, graph: Any, images: Any) -> None:
    """The graph computes what the module does."""
    assert opaque(graph) == []
    with torch.no_grad():
        expected = module(images)
    for found, wanted in zip(run(graph, [images.numpy()]), expected.values(), strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_exported_programs() -> None:
    module = Net().eval()
    batch = torch.export.Dim("batch")
    exported = torch.export.export(module, (torch.randn(IMAGES),), dynamic_shapes={"x": {0: batch}})
    for program_of in (exported, exported.run_decompositions()):
        graph = lower(fx.program(program_of))
        module_numbers(module, graph, torch.randn(5, 3, 8, 8))
        assert [value.name for value in graph.inputs] == ["x"]
        batch_name = graph.inputs[0].shape[0]  # type: ignore[index]
        assert isinstance(batch_name, str)
        assert all(value.shape and value.shape[0] == batch_name for value in graph.outputs)


def test_exported_programs_say_where_their_calls_stand() -> None:
    graph = lower(fx.program(torch.export.export(Net().eval(), (torch.randn(IMAGES),))))
    (conv,) = graph.of("Conv")
    assert (conv.loc.module, conv.loc.path) == ("body.0", "body.0 ▸ conv2d")
    assert conv.loc.module_class == "torch.nn.modules.conv.Conv2d"
    assert conv.loc.source is not None and conv.loc.source[0] == __file__


def test_parameters_are_read_where_they_lie() -> None:
    module = Net().eval()
    graph = lower(fx.program(torch.export.export(module, (torch.randn(IMAGES),))))
    first, second = (node.input(1) for node in graph.of("Gemm"))
    assert first is second and first is not None and first.trainable and first.constant is not None
    with torch.no_grad():
        module.head.weight.fill_(3)
    assert first.constant.load().tolist() == [[3.0] * 8] * 4
    (scale,) = (node.input(1) for node in graph.of("Mul") if node.input(1) and node.input(1).constant)  # type: ignore[union-attr]
    assert scale is not None and scale.trainable is False


def test_training_mode_exports() -> None:
    module = Net().train()
    graph = lower(fx.program(torch.export.export(module, (torch.randn(IMAGES),))))
    assert opaque(graph) == []
    assert len(graph.outputs) == 2
    assert not [node for node in graph.nodes if "int64" in {value.dtype for value in node.outputs if value}]


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.GELU()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        first, second = self.act(self.norm(self.conv(x))).mean((2, 3)).chunk(2)
        return self.head(torch.cat([second, first.relu()]).sin_())


def test_symbolic_traces_without_shapes() -> None:
    module = Plain().train()
    tracked = module.norm.num_batches_tracked.clone()
    graph = lower(fx.program(torch.fx.symbolic_trace(module)))
    assert module.norm.num_batches_tracked == tracked
    assert {"Conv", "BatchNormalization", "Gelu", "MatMul", "Concat"} <= graph.ops
    assert graph.of("Conv")[0].loc.module == "conv"
    assert graph.of("Conv")[0].input(1).trainable  # type: ignore[union-attr]


def test_symbolic_traces_with_shapes() -> None:
    module = Plain().eval()
    traced = torch.fx.symbolic_trace(module)
    images = torch.randn(4, 3, 8, 8)
    ShapeProp(traced).propagate(images)
    graph = lower(fx.program(traced))
    assert graph.outputs[0].shape == (4, 2)


def test_leaves_that_cannot_be_opened_stay() -> None:
    class Odd(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return True

    root = nn.Sequential(Odd(), nn.ReLU())
    traced = torch.fx.GraphModule(root, Tracer().trace(root))
    graph = lower(fx.program(traced))
    assert [node.full_op for node in graph.nodes] == ["torch.Odd", "Relu"]
    assert graph.nodes[0].loc.module == "0"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float16, torch.int64, torch.bool])
def test_live_tensors_of_every_type(dtype: Any) -> None:
    made = LiveTensor(torch.tensor([[1, 0], [1, 1]]).to(dtype).t())
    assert made.load().astype(float).tolist() == [[1, 1], [0, 1]]
    assert sum(part.nbytes for part in made.chunks(2)) == made.nbytes


def test_tensors_without_memory_say_so() -> None:
    for made in (torch.empty(3, device="meta"), FakeTensorMode().from_tensor(torch.ones(3))):
        with pytest.raises(TensorUnreadable, match="no memory"):
            LiveTensor(made).load()
    with pytest.raises(TensorUnreadable, match="sparse"):
        LiveTensor(torch.eye(3).to_sparse()).load()
    first, second = torch.ones(4), torch.ones(4)
    assert LiveTensor(first).storage == LiveTensor(first[:]).storage != LiveTensor(second).storage
    assert LiveTensor(first[:2]).storage != LiveTensor(first[2:]).storage
