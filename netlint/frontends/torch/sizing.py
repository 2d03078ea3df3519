"""Lengths and shapes to try next, when a model does not run on those that were tried."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from torch import nn

from .inputs import parameters_of


def split(total: int, model: nn.Module) -> tuple[int, int]:
    """A width as a sum: of two numbers that the model was made with, of something and one of them, or of two halves."""
    defaults = (entry.default for entry in parameters_of(type(model).__init__).values())
    own = [value for value in vars(model).values() if type(value) is int]
    numbers = [value for value in (*own, *defaults) if type(value) is int and value > 0]
    both = ((first, total - first) for place, first in enumerate(numbers) if total - first in numbers[place + 1 :])
    one = ((total - number, number) for number in own if 1 < number < total)
    return next(both, None) or next(one, (total - total // 2, total // 2))


def ranked(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """A shape of another rank for the same kind of sample."""
    samples = shape[0] if shape else 2
    usual = {1: (), 2: (16,), 3: (16, 16), 4: (3, 224, 224), 5: (3, 16, 64, 64)}
    return (samples, *usual.get(rank, (4,) * (rank - 1)))


def other_lengths(
    shape: tuple[int, ...], got: Sequence[int], want: Sequence[int], fixed: Collection[int]
) -> Iterator[tuple[int, ...]]:
    """A shape with one of the lengths wanted wherever one of those that were got is the length of an axis."""
    for old in got:
        axes = [axis for axis, length in enumerate(shape) if axis and length == old and axis not in fixed]
        for new in want:
            if axes and new not in (old, 0) and new <= 1 << 14:
                yield tuple(new if axis in axes else length for axis, length in enumerate(shape))


def next_size(points: Sequence[tuple[int, int]], want: int, axes: int) -> int | None:
    """The size to try next; None where the elements do not depend on it, or no size fits."""
    size, got = points[-1]
    if len(points) > 1 and len({number for _, number in points}) == 1:
        return None
    tried = {number for number, _ in points}
    below = max((number for number, count in points if count < want), default=0)
    above = min((number for number, count in points if count > want), default=None)
    guess = round(size * (want / got) ** (1 / axes)) if got else size * 2
    if above is not None and not below < guess < above:
        guess = (below + above) // 2
    elif above is None and guess <= below:
        guess = below + max(1, below // 2)
    even = [] if guess < 16 else [guess - guess % 4, guess - guess % 4 + 4]  # sizes that people choose
    for step in range(64):
        for candidate in (*even, guess + step, guess - step):
            inside = candidate > below and (above is None or candidate < above)
            if inside and candidate not in tried and candidate <= 1 << 14:
                return candidate
    return None
