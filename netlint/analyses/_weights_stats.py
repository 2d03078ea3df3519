"""What is kept of the elements of a stored weight."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of the elements of a weight, from a sample of at most 8,192 spread evenly over it."""

    count: int
    """The size of the sample."""
    mean: float
    square: float
    """The mean of the squares."""
    kurtosis: float
    """Of the centred elements: 1.8 if uniform, 3 if normal, 2.37 if normal and cut at two standard deviations."""
    unevenness: float
    """How much the variance differs between parts of the weight, over what chance explains: about 1 if drawn alike."""
    tiny: float
    """The share of elements that are zero or smaller than any normal float32."""

    @property
    def std(self) -> float:
        """Standard deviation."""
        return sqrt(max(self.square - self.mean * self.mean, 0.0))

    @property
    def rms(self) -> float:
        """Root of the mean square."""
        return sqrt(self.square)


# Not frozen: models have a hundred thousand constants, and freezing triples the cost of each.
@dataclass(slots=True)
class WeightStats:
    """The elements of a constant taken together."""

    lo: float
    hi: float
    """Extremes of all elements but NaN; `lo > hi` if there is no such element."""
    nan: int
    inf: int
    rows_differ: bool = False
    """No two slices along the first axis of the stored tensor are equal; False: not known."""
    columns_differ: bool = False
    """The same along the last axis."""
    moments: Moments | None = None
    """Of tensors that are read in several parts; `Weights.moments` has those of all."""

    @property
    def has_nan(self) -> bool:
        return self.nan > 0

    @property
    def has_inf(self) -> bool:
        return self.inf > 0

    @property
    def constant(self) -> bool:
        """All elements are equal."""
        return self.lo == self.hi and not self.nan

    @property
    def zero(self) -> bool:
        return self.lo == self.hi == 0 and not self.nan
