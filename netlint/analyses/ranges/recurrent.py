"""Transfer functions of recurrent operators."""

from __future__ import annotations

from . import algebra
from .interval import INF, TOP, ZERO, Range
from .step import Step, Transfer

_UNIT = Range(0.0, 1.0, True, True)
_BALL = Range(-1.0, 1.0, True, True)
_ACTIVATIONS = {
    "tanh": _BALL,
    "softsign": _BALL,
    "sigmoid": _UNIT,
    "hardsigmoid": Range(0.0, 1.0),
    "relu": Range(0.0, INF),
    "softplus": Range(0.0, INF, lo_open=True),
}
"""What activation functions of recurrent operators give, by their lower-case names."""


def _activations(step: Step, default: tuple[str, ...]) -> list[list[Range]]:
    """For each direction the range of each of its activations."""
    names = step.attrs.get("activations") or default * 2
    found = [_ACTIVATIONS.get(str(name).lower(), TOP) for name in names]
    return [found[start : start + len(default)] for start in range(0, len(found), len(default))]


def lstm(step: Step) -> tuple[Range, ...]:
    """Y = o * h(c): the product of the gate's and the last activation's range. Y_c is unknown."""
    parts = [algebra.multiply(d[0], d[2]) for d in _activations(step, ("Sigmoid", "Tanh", "Tanh")) if len(d) == 3]
    hidden = _hidden(step, parts)
    return hidden, hidden


def rnn(step: Step) -> tuple[Range, ...]:
    hidden = _hidden(step, [direction[0] for direction in _activations(step, ("Tanh",))])
    return hidden, hidden


def gru(step: Step) -> tuple[Range, ...]:
    """Averages of the candidate state and the previous one, back to the initial one."""
    directions = [d for d in _activations(step, ("Sigmoid", "Tanh")) if len(d) == 2]
    gated = all(d[0].within(0.0, 1.0) for d in directions)
    hidden = _hidden(step, [d[1] for d in directions]) if gated else TOP
    if step.has(5):
        initial = step.arg(5)
        hidden = hidden.join(initial) if initial.bounded else TOP
    return hidden, hidden


def _hidden(step: Step, parts: list[Range]) -> Range:
    """All directions, and the zeros behind the end of short sequences."""
    data = step.arg(0)
    found = ZERO
    for part in parts:
        found = found.join(part)
    return found._replace(nan=data.nan or not data.bounded or any(part.nan for part in parts), integral=False)


RECURRENT: dict[str, Transfer] = {
    **dict.fromkeys(("LSTM", "com.microsoft::DynamicQuantizeLSTM"), lstm),
    "GRU": gru,
    "RNN": rnn,
}
"""Whole sequences through one cell."""
