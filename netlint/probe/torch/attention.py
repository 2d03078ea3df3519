"""The weights of fused attention, which no call returns: for some of the queries they are computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

NAME = "scaled_dot_product_attention"
"""Of the call, bare."""
QUERIES = 32
"""That are looked at, evenly spaced."""
_OPERANDS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")


def largest(args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """The largest weight that each of some queries gives a key; 0 where a mask leaves one key or none.

    Its last axis counts the queries, and those before it are the ones of the operands: samples and heads.
    """
    given = dict(zip(_OPERANDS, args, strict=False)) | dict(kwargs)
    query, key = given["query"].float(), given["key"].float()
    if given.get("enable_gqa"):
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    places = torch.arange(0, query.shape[-2], -(-query.shape[-2] // QUERIES) or 1, device=query.device)
    scale = given.get("scale") or query.shape[-1] ** -0.5
    scores = query[..., places, :] @ key.transpose(-2, -1) * scale
    scores = _masked(scores, given.get("attn_mask"), places)
    if given.get("is_causal"):
        scores = scores.masked_fill(torch.arange(key.shape[-2], device=query.device) > places[:, None], -torch.inf)
    choice = (scores > -torch.inf).sum(-1) > 1
    return torch.where(choice, scores.softmax(-1).amax(-1), 0.0)


def _masked(scores: torch.Tensor, mask: torch.Tensor | None, places: torch.Tensor) -> torch.Tensor:
    """Without the keys that a mask of all queries hides."""
    if mask is None:
        return scores
    rows = mask if mask.shape[-2] == 1 else mask[..., places, :]
    return scores.masked_fill(~rows, -torch.inf) if rows.dtype is torch.bool else scores + rows
