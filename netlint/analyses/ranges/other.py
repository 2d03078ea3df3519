"""Transfer functions of what is left: random numbers, shapes, counts, bits, text."""

from __future__ import annotations

import math

from .interval import COUNT, INF, TOP, TRUTH, Range
from .step import Step, Transfer


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
    return start.join(limit)._replace(integral=whole, nan=False)


def count(step: Step) -> Range:
    return COUNT


def length(step: Step) -> Range:
    """Lengths of axes, or their product."""
    shape = step.shape(0)
    return Range(1.0, INF, integral=True) if shape is not None and step.state.has_length(shape) else COUNT


def truth(step: Step) -> Range:
    return TRUTH


def unique(step: Step) -> tuple[Range, ...]:
    return step.arg(0), COUNT, COUNT, COUNT


def multinomial(step: Step) -> Range:
    shape = step.shape(0)
    classes = shape[-1] if shape else None
    return Range(0.0, float(classes - 1), integral=True) if isinstance(classes, int) else COUNT


FARTHEST = 14.0
"""Deviations from the mean that no generator in use reaches.

Box and Muller's formula ends at 9.4 with uniform numbers of 64 bits, the tail of a ziggurat at 13.8.
"""


def normal(step: Step) -> Range:
    """A normal distribution, as it is drawn."""
    mean, reach = step.number("mean", 0.0), FARTHEST * abs(step.number("scale", 1.0))
    if not math.isfinite(mean) or not math.isfinite(reach):
        return TOP
    return Range(mean - reach, mean + reach, loose=True)


def bit_shift(step: Step) -> Range:
    """To the right numbers get smaller; to the left anything may happen."""
    a = step.arg(0)
    return Range(0.0, a.hi, integral=True) if step.text("direction", "") == "RIGHT" and a.lo >= 0 else TOP


def unknown(step: Step) -> Range:
    """Operators that are known, of whose results no bound is."""
    return TOP


def term_counts(step: Step) -> Range:
    """Counts of n-grams, weighted."""
    weights = step.attrs.get("weights")
    positive = not isinstance(weights, tuple) or all(weight >= 0 for weight in weights)
    return Range(0.0, INF, nan=False) if positive else TOP


OTHER: dict[str, Transfer] = {
    "RandomUniform": random_uniform,
    "RandomUniformLike": random_uniform,
    "RandomNormal": normal,
    "RandomNormalLike": normal,
    "Bernoulli": truth,
    "EyeLike": truth,
    "OptionalHasElement": truth,
    "RegexFullMatch": truth,
    "Range": range_,
    **dict.fromkeys(("Shape", "Size"), length),
    **dict.fromkeys(("NonZero", "NonMaxSuppression", "SequenceLength"), count),
    "Unique": unique,
    "Multinomial": multinomial,
    "BitShift": bit_shift,
    "TfIdfVectorizer": term_counts,
    **dict.fromkeys(("SequenceEmpty", "StringConcat", "StringNormalizer", "StringSplit", "BitCast", "Det"), unknown),
    "MeanVarianceNormalization": unknown,
    "ImageDecoder": lambda step: Range(0.0, 255.0, integral=True),
}
"""Everything else."""
