"""Products, norms, attention, losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

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
    "Gemm": _gemm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response,
    "LayerNormalization": _layer_norm,
    "LpNormalization": _lp_norm,
    "MatMul": _matmul,
    "NegativeLogLikelihoodLoss": _negative_likelihood,
    "RMSNormalization": _rms_norm,
    "SoftmaxCrossEntropyLoss": _cross_entropy,
    **{f"torch.{name}": partial(_named, name) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")},
}
