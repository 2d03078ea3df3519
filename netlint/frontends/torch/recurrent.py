"""The results of recurrent calls on meta tensors: torch would go through them step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from netlint.frontends.torch.sizes import RULES, fresh

_GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def _layers(gates: int, *args: Any) -> Any:
    """`args` as of `torch.lstm`, padded: (input, hx, weights, bias, layers, dropout, training, both ways, batch_first),
    or packed: (data, batch_sizes, hx, weights, bias, layers, dropout, training, both ways)."""
    packed = isinstance(args[1], torch.Tensor) and isinstance(args[2], (torch.Tensor, list, tuple))
    packed = packed and isinstance(args[3], (list, tuple))
    data, (hx, weights, bias, layers, _, _, both) = args[0], args[2:9] if packed else args[1:8]
    states = list(hx) if isinstance(hx, (list, tuple)) else [hx]
    ways = 2 if both else 1
    projected = gates == 4 and len(weights) == layers * ways * (5 if bias else 3)
    if not isinstance(bias, bool) or len(weights) != layers * ways * ((4 if bias else 2) + projected):
        return None
    hidden, taken = weights[0].shape[0] // gates, weights[0].shape[1]
    out = weights[4 if bias else 2].shape[0] if projected else hidden
    if not _fits(data, states, weights, taken, (layers * ways, out)) or data.dim() != (2 if packed else 3):
        return None
    result = fresh((*data.shape[:-1], out * ways), data.dtype)
    last = [fresh(state.shape, data.dtype) for state in states]
    return (result, *last)


def _fits(data: Any, states: Sequence[Any], weights: Sequence[Any], taken: int, ends: tuple[int, int]) -> bool:
    alike = all(tensor.dtype is data.dtype for tensor in (*states, *weights))
    first = states[0].shape
    return alike and data.shape[-1] == taken and len(first) == 3 and (first[0], first[2]) == ends


def _cell(gates: int, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    states = list(hx) if isinstance(hx, (list, tuple)) else [hx]
    hidden = w_hh.shape[1]
    if input.dim() != 2 or w_ih.shape != (gates * hidden, input.shape[1]) or w_hh.shape[0] != gates * hidden:
        return None
    if any(state.shape != (input.shape[0], hidden) or state.dtype is not input.dtype for state in states):
        return None
    made = tuple(fresh((input.shape[0], hidden), input.dtype) for _ in states)
    return made if gates == 4 else made[0]


for _name, _count in _GATES.items():
    RULES[getattr(torch._VF, _name)] = lambda *args, _count=_count: _layers(_count, *args)
    RULES[getattr(torch._VF, f"{_name}_cell")] = lambda *args, _count=_count, **kw: _cell(_count, *args, **kw)
