"""Which axis of the inputs runs over the samples: what the layers that know it of their own input say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

Sizes: TypeAlias = tuple[int, ...]
Told: TypeAlias = tuple[Sizes, int]
"""The shape of the tensor that a layer reads, and which of its axes is the batch; `ALONE`: none, it is one sample."""

ALONE = -1

_SPATIAL = {f"{kind}{rank}d": rank for kind in ("conv", "conv_transpose") for rank in (1, 2, 3)}
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_FLAGS = 9
"""Arguments of a recurrent layer: input, states, weights, and six settings; the last one is `batch_first`."""

TELLING = frozenset((*_SPATIAL, *_RECURRENT, "linear", "multi_head_attention_forward", "scaled_dot_product_attention"))
"""By bare name: calls that may know it."""


def axis(name: str, rank: int, args: Sequence[Any]) -> int | None:
    """The batch axis of the first argument of a call; None where the call does not tell."""
    if name in _SPATIAL:
        return {_SPATIAL[name] + 2: 0, _SPATIAL[name] + 1: ALONE}.get(rank)
    if name in _RECURRENT:
        return _of_recurrent(name, rank, args)
    if name == "multi_head_attention_forward":
        return {3: 1, 2: ALONE}.get(rank)
    if name == "linear":
        return ALONE if rank == 1 else None
    return 0 if rank == 4 else None


def _of_recurrent(name: str, rank: int, args: Sequence[Any]) -> int | None:
    packed = not isinstance(args[1 if name == "lstm" else 2], (list, tuple))
    if packed or len(args) != _FLAGS or rank != 3:
        return None
    return 0 if args[-1] else 1


def elsewhere(one: Sequence[Told], two: Sequence[Told], sizes: tuple[int, int]) -> Told | None:
    """What the first layer says that contradicts the batch being what was changed between two runs; None if none does.

    Only a layer whose input has changed can tell.
    """
    for (before, at), (after, _) in zip(one, two, strict=False):
        changed = [place for place, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]]
        if len(before) != len(after) or not changed:
            continue
        if at in changed:
            return None
        if any((before[place], after[place]) == sizes for place in changed):
            return before, at
    return None
