"""Statistics of values and gradients: reduced where they lie, fetched once at the end."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from netlint.graph import Value
from netlint.probe.arrays import MARGIN
from netlint.probe.observed import Seen, Units

from .folded import KINDS, Folded, Part
from .heaps import Heaps, Numbers, Place
from .plan import Watched

if TYPE_CHECKING:
    from netlint.probe.observed import Floats


@dataclass(slots=True)
class _Row:
    """What was taken of one value."""

    watched: Watched
    count: int
    careful: bool
    parts: dict[str, Part] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    """Where these are once they are fetched."""
    judged: int = 1
    """Of how many elements, or distributions, it was counted which are saturated."""
    hook: Any = None


class Statistics:
    """Collects the statistics of one run."""

    def __init__(self, suspects: Collection[Value] = ()) -> None:
        self._suspects = suspects
        """Values with numbers that may be missing or infinite: these are counted apart, in float64."""
        self._rows: dict[Value, _Row] = {}
        self._heaps = Heaps()
        self.outputs: dict[Value, torch.Tensor] = {}

    def see(self, watched: Watched, tensor: torch.Tensor, shares: torch.Tensor | None) -> None:
        """Take the statistics of a value, and those of its gradient when that arrives; `shares`: the largest of each
        of some distributions that it was made with."""
        if watched.output and tensor.dim():
            self.outputs[watched.value] = tensor.detach()
        if not watched.statistics or tensor.dtype not in KINDS or not tensor.numel():
            return
        if tensor.layout is not torch.strided or watched.value in self._rows:
            return
        row = self._rows[watched.value] = _Row(watched, tensor.numel(), watched.value in self._suspects)
        self._forward(row, tensor.detach(), shares)
        if tensor.requires_grad:
            row.hook = tensor.register_hook(lambda grad: self._backward(row, grad))

    def _forward(self, row: _Row, tensor: torch.Tensor, shares: torch.Tensor | None) -> None:
        folded = Folded(tensor.double() if row.careful else tensor, row.watched.axis)
        folded = self._finite(row, folded) if row.careful else self._ends(row, folded)
        row.parts |= {"sum": folded.sum(), "squares": folded.squares(), "nonzero": folded.nonzero()}
        if row.watched.softmax is not None and row.watched.softmax < tensor.dim():
            shares = tensor.amax(row.watched.softmax)
        if shares is not None:
            row.judged = shares.numel()
            row.parts["saturated"] = Folded(shares, None).beyond(0.0, 1.0 - MARGIN)
        elif row.watched.span is not None:
            self._saturation(row, folded, *row.watched.span)

    def _ends(self, row: _Row, folded: Folded) -> Folded:
        row.parts["lo"], row.parts["hi"] = folded.ends()
        return folded

    def _finite(self, row: _Row, folded: Folded) -> Folded:
        """The ends without what is missing, and counts; zeros stand for what is not finite afterwards."""
        view = folded.view
        row.parts["nan"] = folded.of(torch.isnan(view).double()).sum()
        row.parts["finite"] = folded.of(torch.isfinite(view).double()).sum()
        row.parts["lo"] = folded.of(torch.nan_to_num(view, math.inf, math.inf, -math.inf)).ends()[0]
        row.parts["hi"] = folded.of(torch.nan_to_num(view, -math.inf, math.inf, -math.inf)).ends()[1]
        return folded.of(torch.nan_to_num(view, 0.0, 0.0, 0.0))

    def _saturation(self, row: _Row, folded: Folded, lo: float, hi: float) -> None:
        row.judged = row.count
        row.parts["saturated"] = folded.beyond((lo + hi) / 2, (hi - lo) / 2 * (1 - 2 * MARGIN))

    def _backward(self, row: _Row, grad: torch.Tensor | None) -> None:
        if grad is None or "grad" in row.parts:  # a function of the user's may give none
            return
        if grad.shape.numel() != row.count or grad.layout is not torch.strided:
            return
        with torch.no_grad():
            folded = Folded(grad.detach().double() if row.careful else grad.detach(), row.watched.axis)
            row.parts["grad"] = folded.squares()

    @property
    def differentiated(self) -> bool:
        """Whether a gradient has arrived anywhere."""
        return any("grad" in row.parts for row in self._rows.values())

    def add(self, numbers: Sequence[torch.Tensor]) -> list[Place]:
        """Further numbers to fetch with the others."""
        return [self._heaps.put(Part("sum", part.reshape(1, -1))) for part in numbers]

    def close(self) -> None:
        """No more gradients are awaited."""
        for row in self._rows.values():
            if row.hook is not None:
                row.hook.remove()

    def fetch(self) -> Numbers:
        """All numbers, in one transfer. Nothing is sorted before: the GPU is still busy with the passes now."""
        for row in self._rows.values():
            row.places = {name: self._heaps.put(part) for name, part in row.parts.items()}
        return self._heaps.fetch()

    def suspects(self, numbers: Numbers) -> list[Value]:
        """Values some of whose numbers are missing or infinite."""
        return [
            value
            for value, row in self._rows.items()
            if not all(np.isfinite(numbers.at(place)).all() for place in row.places.values())
        ]

    def seen(self, numbers: Numbers) -> dict[Value, Seen]:
        """What was seen of each value, in the order of execution."""
        with np.errstate(invalid="ignore", over="ignore"):  # infinities are what is to be told
            return {value: _seen(row, numbers) for value, row in self._rows.items()}


def _seen(row: _Row, numbers: Numbers) -> Seen:
    parts = {name: numbers.at(place) for name, place in row.places.items()}
    size = row.count / parts["sum"].size
    finite: Floats = parts["finite"] if row.careful else np.full(parts["sum"].size, float(size), dtype=np.float64)
    nonfinite = row.count - round(float(finite.sum()))
    total = max(float(finite.sum()), 1.0)
    mean, std = _moments(parts["sum"].sum() / total, parts["squares"].sum() / total)
    lo, hi = float(parts["lo"].min()), float(parts["hi"].max())
    nonzero: Floats = np.round(parts["nonzero"]).astype(np.float64)
    grad = parts.get("grad")
    zeros = 1.0 - (float(nonzero.sum()) + nonfinite) / row.count
    return Seen(
        node=row.watched.node,
        count=row.count,
        mean=float(mean),
        std=_bounded(float(std), lo, hi),
        lo=lo if lo <= hi else math.nan,
        hi=hi if lo <= hi else math.nan,
        zeros=min(max(zeros, 0.0), 1.0),
        nonfinite=nonfinite,
        nans=round(float(parts["nan"].sum())) if row.careful else 0,
        saturated=float(parts["saturated"].sum()) / row.judged if "saturated" in parts else None,
        grad=None if grad is None else math.sqrt(float(grad.sum()) / row.count),
        units=_units(parts, finite, nonzero, size) if row.watched.axis is not None else None,
    )


def _units(parts: dict[str, Floats], finite: Floats, nonzero: Floats, size: float) -> Units:
    count = np.maximum(finite, 1.0)
    mean, std = _moments(parts["sum"] / count, parts["squares"] / count)
    half = (parts["hi"] - parts["lo"]) / 2
    return Units(
        lo=parts["lo"],
        hi=parts["hi"],
        mean=mean,
        std=np.where(np.isfinite(half), np.minimum(std, half), std),
        zeros=np.clip(1.0 - (nonzero + size - finite) / size, 0.0, 1.0),
        grad=np.sqrt(parts["grad"] / size) if "grad" in parts else None,
    )


def _moments(mean: Any, square: Any) -> tuple[Any, Any]:
    """Mean and deviation."""
    return mean, np.sqrt(np.maximum(square - np.square(mean), 0.0))


def _bounded(std: float, lo: float, hi: float) -> float:
    """No deviation exceeds half the span: of numbers that are all alike it is 0, whatever rounding says."""
    half = (hi - lo) / 2
    return min(std, half) if math.isfinite(half) and half >= 0 else std
