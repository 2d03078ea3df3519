"""Transfer functions of what is left: recurrent cells, losses, control flow, random numbers, shapes."""

from __future__ import annotations

import math
from dataclasses import replace

from . import algebra
from .interval import COUNT, INF, TOP, TRUTH, ZERO, Range
from .rounding import widen
from .state import Step, Transfer

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
    return replace(found, nan=data.nan or not data.bounded or any(part.nan for part in parts), integral=False)


def if_(step: Step) -> tuple[Range, ...]:
    """Either branch, output by output."""
    branches = [body.outputs for body in step.node.bodies.values()]
    if len(branches) != 2:
        return ()
    both = zip(branches[0], branches[1], strict=False)
    return tuple(step.state.of(a).join(step.state.of(b)) for a, b in both)


def cross_entropy(step: Step) -> tuple[Range, ...]:
    """-log p, weighted: not negative. The second output is the log-probability."""
    weights = step.arg(2) if step.has(2) else Range(1.0, 1.0)
    loss = Range(0.0, INF, nan=True) if weights.lo >= 0 else TOP
    return loss, Range(-INF, 0.0, nan=True)


def negative_log_likelihood(step: Step) -> Range:
    """Picked elements, negated; 0 for ignored ones."""
    picked = algebra.with_zero(algebra.negate(step.arg(0)))
    weights = step.arg(2) if step.has(2) else Range(1.0, 1.0)
    if step.has(2) or step.text("reduction", "mean") == "sum":
        if weights.lo >= 0 and picked.lo >= 0:
            return Range(0.0, INF, nan=True, assumed=picked.assumed)
        return Range(-INF, 0.0, nan=True) if weights.lo >= 0 and picked.hi <= 0 else TOP
    return step.summed(picked, None).having(nan=step.text("reduction", "mean") == "mean")


def random_uniform(step: Step) -> Range:
    return Range(step.number("low", 0.0), step.number("high", 1.0))


def range_(step: Step) -> Range:
    """From start toward the limit, which is not reached."""
    start, limit, delta = step.arg(0), step.arg(1), step.arg(2)
    whole = start.integral and delta.integral
    if delta.lo >= 0 and start.known:
        return Range(start.lo, max(start.hi, limit.hi), integral=whole, loose=True)
    if delta.hi <= 0 and start.known:
        return Range(min(start.lo, limit.lo), start.hi, integral=whole, loose=True)
    return replace(start.join(limit), integral=whole, nan=False)


def count(step: Step) -> Range:
    return COUNT


def truth(step: Step) -> Range:
    return TRUTH


def unique(step: Step) -> tuple[Range, ...]:
    return step.arg(0), COUNT, COUNT, COUNT


def multinomial(step: Step) -> Range:
    shape = step.shape(0)
    classes = shape[-1] if shape else None
    return Range(0.0, float(classes - 1), integral=True) if isinstance(classes, int) else COUNT


def window(step: Step) -> Range:
    """Hann, Hamming, Blackman: in [0, 1] up to the cancellation of their cosines."""
    return widen(Range(-4 * step.eps, 1.0 + 4 * step.eps), step.eps)


def mel_weights(step: Step) -> Range:
    return Range(0.0, 1.0)


def reals(step: Step) -> Range:
    """A normal distribution: any finite number."""
    return Range(-INF, INF, nan=math.isnan(step.number("mean", 0.0)))


OTHER: dict[str, Transfer] = {
    "LSTM": lstm,
    "GRU": gru,
    "RNN": rnn,
    "If": if_,
    "SoftmaxCrossEntropyLoss": cross_entropy,
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "RandomUniform": random_uniform,
    "RandomUniformLike": random_uniform,
    "RandomNormal": reals,
    "RandomNormalLike": reals,
    "Bernoulli": truth,
    "EyeLike": truth,
    "OptionalHasElement": truth,
    "RegexFullMatch": truth,
    "Range": range_,
    **dict.fromkeys(("Shape", "Size", "NonZero", "NonMaxSuppression", "SequenceLength"), count),
    "Unique": unique,
    "Multinomial": multinomial,
    **dict.fromkeys(("HannWindow", "HammingWindow", "BlackmanWindow"), window),
    "MelWeightMatrix": mel_weights,
    "ImageDecoder": lambda step: Range(0.0, 255.0, integral=True),
}
"""Everything else."""
