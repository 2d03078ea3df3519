"""Attention."""

from __future__ import annotations

from typing import Any

from netlint.graph import Value

from .builder import Builder, NotLowered
from .table import operator


@operator("scaled_dot_product_attention")
def scaled_dot_product_attention(
    b: Builder,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """One Attention over four axes (batch, heads, positions, features). In training torch drops some of the weights,
    which ONNX cannot say: the node is what the call computes in expectation."""
    rank = b.rank(query)
    if rank not in (3, 4) or b.rank(key) != rank or b.rank(value) != rank:
        raise NotLowered("attention over other axes")
    inputs = [x if rank == 4 else b.unsqueeze(x, 1) for x in (query, key, value)]
    mask = attn_mask
    if mask is not None and rank == 3 and b.rank(mask) == 3:
        mask = b.unsqueeze(mask, 1)
    attrs: dict[str, Any] = {"is_causal": 1} if is_causal else {}
    if scale is not None:
        attrs["scale"] = float(scale)
    found = b("Attention", *inputs, mask, shape=None, **attrs)
    return found if rank == 4 else b("Squeeze", found, b.ints(1), shape=None)
