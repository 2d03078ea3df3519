"""Products, norms, attention, recurrent layers, losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from .call import Call, Function, Result


def _gemm(call: Call) -> Tensor:
    left = call[0].T if call.attr("transA", 0) else call[0]
    right = call[1].T if call.attr("transB", 0) else call[1]
    alpha, beta, added = call.attr("alpha", 1.0), call.attr("beta", 1.0), call.get(2)
    product = left @ right
    product = product if alpha == 1 else alpha * product
    return product if added is None else product + (added if beta == 1 else beta * added)


def _matmul(call: Call) -> Tensor:
    return torch.matmul(call[0], call[1])


def _einsum(call: Call) -> Tensor:
    return torch.einsum(str(call.attr("equation")), *[x for x in call.inputs if x is not None])


def _batch_norm(call: Call) -> Result:
    scale, bias, mean, variance = (call[place] for place in range(1, 5))
    training = bool(call.attr("training_mode", 0))
    momentum = call.attr("momentum", 0.9)
    held = mean.detach().clone(), variance.detach().clone()
    y = F.batch_norm(call.x, *held, scale, bias, training, 0.0, call.attr("epsilon", 1e-5))
    if not training:
        return y
    axes = [axis for axis in range(call.x.dim()) if axis != 1]
    var, now = torch.var_mean(call.x.detach(), axes, correction=0)
    return y, mean * momentum + now * (1 - momentum), variance * momentum + var * (1 - momentum)


def _instance_norm(call: Call) -> Tensor:
    return F.instance_norm(call.x, weight=call[1], bias=call[2], eps=call.attr("epsilon", 1e-5))


def _layer_norm(call: Call) -> Result:
    axis = call.attr("axis", -1) % call.x.dim()
    eps, shape = call.attr("epsilon", 1e-5), call.x.shape[axis:]
    scale, bias = call[1].expand(shape), call.get(2)
    y = F.layer_norm(call.x, shape, scale, None if bias is None else bias.expand(shape), eps)
    if not call.wants(1, 2):
        return y
    axes = list(range(axis, call.x.dim()))
    variance, mean = torch.var_mean(call.x, axes, correction=0, keepdim=True)
    return y, mean, torch.rsqrt(variance + eps)


def _rms_norm(call: Call) -> Tensor:
    axis = call.attr("axis", -1) % call.x.dim()
    axes = list(range(axis, call.x.dim()))
    return call.x * torch.rsqrt((call.x * call.x).mean(axes, keepdim=True) + call.attr("epsilon", 1e-5)) * call[1]


def _group_norm(call: Call) -> Tensor:
    groups, scale, bias = int(call.attr("num_groups")), call[1], call[2]
    channels = call.x.shape[1]
    if scale.numel() != channels:  # before opset 21 there is one for each group
        scale, bias = scale.repeat_interleave(channels // groups), bias.repeat_interleave(channels // groups)
    return F.group_norm(call.x, groups, scale, bias, call.attr("epsilon", 1e-5))


def _lp_norm(call: Call) -> Tensor:
    return F.normalize(call.x, float(call.attr("p", 2)), int(call.attr("axis", -1)), eps=1e-38)


def _local_response(call: Call) -> Tensor:
    size = int(call.attr("size"))
    if size % 2 == 0:
        raise call.refused("has an even window")
    return F.local_response_norm(
        call.x, size, call.attr("alpha", 1e-4), call.attr("beta", 0.75), call.attr("bias", 1.0)
    )


def _dropout(call: Call) -> Result:
    rate = call.number(1, "ratio", 0.5)
    if not call.number(2, "", False) or not rate:
        return call.x, torch.ones_like(call.x, dtype=torch.bool)
    dropped = F.dropout(call.x, rate, training=True)
    return dropped, (dropped != 0) | (call.x == 0)


def _attention(call: Call) -> Tensor:
    """Over four axes, or over three with the heads side by side."""
    call.understands("is_causal", "scale", "q_num_heads", "kv_num_heads")
    if call.wants(1, 2, 3) or len(call.inputs) > 4:
        raise call.refused("keeps keys and values")
    wide = call.x.dim() == 3
    query, key, value = call[0], call[1], call[2]
    if wide:
        many, shared = int(call.attr("q_num_heads")), int(call.attr("kv_num_heads"))
        query, key, value = _heads(query, many), _heads(key, shared), _heads(value, shared)
    times = query.shape[1] // key.shape[1]
    if times > 1:
        key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
    mask, causal = call.get(3), bool(call.attr("is_causal", 0))
    if mask is not None and mask.shape[-1] < key.shape[-2]:
        raise call.refused("masks some of the keys alone")
    if mask is not None and causal:
        below = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=mask.device).tril()
        mask = mask & below if mask.dtype is torch.bool else mask.masked_fill(~below, -torch.inf)
    mask = mask.to(query.dtype) if mask is not None and mask.dtype is not torch.bool else mask
    found = F.scaled_dot_product_attention(
        query, key, value, mask, is_causal=causal and mask is None, scale=call.attr("scale")
    )
    return found.transpose(1, 2).flatten(2) if wide else found


def _heads(x: Tensor, count: int) -> Tensor:
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where torch's gates stand among those of ONNX: input, forget, cell, output; reset, update, new."""


def _recurrent(call: Call) -> Result:
    """One layer. torch knows one kind of each, which is what exporters make of torch's own."""
    op = call.node.op
    _refuse_others(call)
    x, size = call.x, int(call.attr("hidden_size"))
    backwards = call.attr("direction", "forward") == "reverse"
    ways = call[1].shape[0]
    weights = [tensor for way in range(ways) for tensor in _weights(call, way, size)]
    states = [call.get(place) for place in (5, 6)]
    first = [x.new_zeros(ways, x.shape[1], size) if state is None else state for state in states]
    run = _runner(call)
    out = run(
        x.flip(0) if backwards else x,
        (first[0], first[1]) if op == "LSTM" else first[0],
        weights,
        True,
        1,
        0.0,
        True,
        ways == 2,
        False,
    )
    rows = out[0].flip(0) if backwards else out[0]
    return (rows.unflatten(-1, (ways, size)).transpose(1, 2), *out[1:])


def _refuse_others(call: Call) -> None:
    usual = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}.get(call.node.op, ())
    stated = tuple(call.attr("activations") or ())
    other = call.node.op != "RNN" and any(
        stated[place : place + len(usual)] != usual for place in range(0, len(stated), max(len(usual), 1))
    )
    if other or call.attr("clip") or call.attr("layout", 0) or call.attr("input_forget", 0):
        raise call.refused("works in another way than torch's")
    if call.get(7) is not None or (call.node.op == "GRU" and not call.attr("linear_before_reset", 0)):
        raise call.refused("works in another way than torch's")
    lengths = call.get(4)
    if lengths is not None and bool((lengths != call.x.shape[0]).any()):
        raise call.refused("has sequences of many lengths")


def _runner(call: Call) -> Callable[..., Any]:
    if call.node.op == "RNN":
        stated = {str(each) for each in call.attr("activations") or ("Tanh",)}
        if stated not in ({"Tanh"}, {"Relu"}):
            raise call.refused("works in another way than torch's")
        return torch.rnn_relu if stated == {"Relu"} else torch.rnn_tanh  # type: ignore[attr-defined, no-any-return]
    found: Callable[..., Any] = torch.lstm if call.node.op == "LSTM" else torch.gru  # type: ignore[attr-defined]
    return found


def _weights(call: Call, way: int, size: int) -> list[Tensor]:
    """Of one direction: input to hidden, hidden to hidden, and the two biases."""
    order = _GATES[call.node.op]

    def sorted_gates(tensor: Tensor) -> Tensor:
        parts = tensor.split(size)
        return torch.cat([parts[place] for place in order])

    bias = call.get(3)
    both = bias[way] if bias is not None else call.x.new_zeros(2 * len(order) * size)
    halves = both.split(len(order) * size)
    return [*(sorted_gates(call[place][way]) for place in (1, 2)), *map(sorted_gates, halves)]


def _likelihood(call: Call, logs: Tensor) -> Tensor:
    weight, skipped = call.get(2), call.attr("ignore_index", -100)
    how = str(call.attr("reduction", "mean"))
    return F.nll_loss(logs, call[1].long(), weight, ignore_index=skipped, reduction=how)


def _cross_entropy(call: Call) -> Sequence[Tensor]:
    logs = torch.log_softmax(call.x, 1)
    return _likelihood(call, logs), logs


def _negative_likelihood(call: Call) -> Tensor:
    return _likelihood(call, call.x)


def _named(name: str, call: Call) -> Tensor:
    """A loss that the graph keeps under torch's name."""
    function: Callable[..., Tensor] = getattr(F, name)
    return function(call[0], call[1], reduction=str(call.attr("reduction", "mean")))


TABLE: dict[str, Function] = {
    "Attention": _attention,
    "BatchNormalization": _batch_norm,
    "Dropout": _dropout,
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gemm": _gemm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response,
    "LSTM": _recurrent,
    "LayerNormalization": _layer_norm,
    "LpNormalization": _lp_norm,
    "MatMul": _matmul,
    "NegativeLogLikelihoodLoss": _negative_likelihood,
    "RMSNormalization": _rms_norm,
    "RNN": _recurrent,
    "SoftmaxCrossEntropyLoss": _cross_entropy,
    **{f"torch.{name}": partial(_named, name) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")},
}
