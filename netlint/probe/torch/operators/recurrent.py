"""Recurrent layers, each with one layer of one or two directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .call import Call, Function, Result

_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where torch's gates stand among those of ONNX: input, forget, cell, output; reset, update, new."""
_USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}
"""The activations that torch knows."""


def _recurrent(call: Call) -> Result:
    """torch knows one kind of each, which is what exporters make of torch's own; the other GRU is run step by step."""
    _refuse_others(call)
    size, ways = int(call.attr("hidden_size")), call[1].shape[0]
    backwards = call.attr("direction", "forward") == "reverse"
    x = call.x.flip(0) if backwards else call.x
    states = [call.get(place) for place in (5, 6)]
    first = [x.new_zeros(ways, x.shape[1], size) if state is None else state for state in states]
    if call.node.op == "GRU" and not call.attr("linear_before_reset", 0):
        rows, *last = _by_steps(call, x, first[0])
    else:
        rows, *last = _by_torch(call, x, first)
        rows = rows.unflatten(-1, (ways, size)).transpose(1, 2)
    return (rows.flip(0) if backwards else rows, *last)


def _by_torch(call: Call, x: Tensor, first: list[Tensor]) -> tuple[Tensor, ...]:
    """[steps, samples, ways and units], and the states at the end."""
    ways = first[0].shape[0]
    weights = [tensor for way in range(ways) for tensor in _weights(call, way)]
    state = (first[0], first[1]) if call.node.op == "LSTM" else first[0]
    found: tuple[Tensor, ...] = _runner(call)(x, state, weights, True, 1, 0.0, True, ways == 2, False)
    return found


def _by_steps(call: Call, x: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """A GRU that resets the state before it is multiplied: [steps, ways, samples, units], and the states at the end."""
    ways = [_reset_first(x.flip(0) if way else x, first[way], *_weights(call, way)) for way in range(first.shape[0])]
    rows = [found.flip(0) if way else found for way, found in enumerate(ways)]
    return torch.stack(rows, 1), torch.stack([found[-1] for found in ways])


def _reset_first(x: Tensor, state: Tensor, w: Tensor, r: Tensor, wb: Tensor, rb: Tensor) -> Tensor:
    """One direction, [steps, samples, units]; of the three parts of weights the first is that of the reset."""
    units = state.shape[-1]
    given = torch.nn.functional.linear(x, w, wb + rb)
    gates, inner = r[: 2 * units], r[2 * units :]
    rows = []
    for row in given:
        reset, update = torch.sigmoid(row[:, : 2 * units] + state @ gates.T).chunk(2, -1)
        new = torch.tanh(row[:, 2 * units :] + (reset * state) @ inner.T)
        state = (1 - update) * new + update * state
        rows.append(state)
    return torch.stack(rows)


def _refuse_others(call: Call) -> None:
    usual = _USUAL.get(call.node.op, ())
    stated = tuple(call.attr("activations") or ())
    other = call.node.op != "RNN" and any(
        stated[place : place + len(usual)] != usual for place in range(0, len(stated), max(len(usual), 1))
    )
    if other or call.attr("clip") or call.attr("layout", 0) or call.attr("input_forget", 0) or call.get(7) is not None:
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


def _weights(call: Call, way: int) -> list[Tensor]:
    """Of one direction, gates in torch's order: input to hidden, hidden to hidden, and the two biases."""
    order, size = _GATES[call.node.op], int(call.attr("hidden_size"))

    def sorted_gates(tensor: Tensor) -> Tensor:
        parts = tensor.split(size)
        return torch.cat([parts[place] for place in order])

    bias = call.get(3)
    both = bias[way] if bias is not None else call.x.new_zeros(2 * len(order) * size)
    halves = both.split(len(order) * size)
    return [*(sorted_gates(call[place][way]) for place in (1, 2)), *map(sorted_gates, halves)]


TABLE: dict[str, Function] = dict.fromkeys(_GATES, _recurrent)
