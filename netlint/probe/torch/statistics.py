"""Statistics of values and gradients: reduced where they lie, fetched once at the end.

Whole reductions (maximum, sum, norm) run at the speed of memory; `var_mean`, comparisons and per-element counts do not
on a CPU, so deviations come from sums of squares and zeros from the norm of the signs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from netlint.graph import Value
from netlint.probe.arrays import MARGIN
from netlint.probe.observed import Seen, Units

from .plan import Watched

if TYPE_CHECKING:
    from netlint.probe.observed import Floats


@dataclass(slots=True)
class _Row:
    """Where the numbers of one value begin in the list of all."""

    watched: Watched
    count: int
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    hook: Any = None


class Statistics:
    """Collects the statistics of one run."""

    def __init__(self, careful: bool = False) -> None:
        self.careful = careful
        """Whether numbers may be missing or infinite: they are counted apart, in float64."""
        self._rows: dict[Value, _Row] = {}
        self._parts: list[torch.Tensor] = []
        self._length = 0
        self.outputs: dict[Value, torch.Tensor] = {}

    def see(self, watched: Watched, tensor: torch.Tensor) -> None:
        """Take the statistics of a value, and those of its gradient when that arrives."""
        if watched.output and tensor.dim():
            self.outputs[watched.value] = tensor.detach()
        if not watched.statistics or not tensor.is_floating_point() or not tensor.numel():
            return
        if tensor.layout is not torch.strided or watched.value in self._rows:
            return
        row = self._rows[watched.value] = _Row(watched, tensor.numel())
        self._forward(row, tensor.detach())
        if tensor.requires_grad:
            row.hook = tensor.register_hook(lambda grad: self._backward(row, grad))

    def _forward(self, row: _Row, tensor: torch.Tensor) -> None:
        axis = row.watched.axis
        if self.careful:
            tensor = tensor.double()
            finite = torch.isfinite(tensor)
            self._put(row, "nonfinite", (~finite).sum())
            self._put(row, "nan", torch.isnan(tensor).sum())
            self._put(row, "lo", _over(torch.amin, torch.nan_to_num(tensor, math.inf, math.inf, -math.inf), axis))
            self._put(row, "hi", _over(torch.amax, torch.nan_to_num(tensor, -math.inf, math.inf, -math.inf), axis))
            self._put(row, "finite", _over(torch.sum, finite.double(), axis))
            tensor = torch.nan_to_num(tensor, 0.0, 0.0, 0.0)
        else:
            self._put(row, "lo", _over(torch.amin, tensor, axis))
            self._put(row, "hi", _over(torch.amax, tensor, axis))
        self._put(row, "sum", _sum(tensor, axis))
        self._put(row, "norm", _norm(tensor, axis))
        self._put(row, "nonzero", _norm(tensor.sign(), axis))
        self._saturation(row, tensor)

    def _saturation(self, row: _Row, tensor: torch.Tensor) -> None:
        """Shares through signs: of x - c, +1 above, -1 below."""
        if row.watched.softmax is not None and row.watched.softmax < tensor.dim():
            most = tensor.amax(row.watched.softmax)
            self._put(row, "saturated", _above(most, 1.0 - MARGIN))
        elif row.watched.span is not None:
            lo, hi = row.watched.span
            middle, reach = (lo + hi) / 2, (hi - lo) / 2
            self._put(row, "saturated", _above((tensor - middle).abs_(), reach * (1 - 2 * MARGIN)))

    def _backward(self, row: _Row, grad: torch.Tensor) -> None:
        if "grad" in row.places or grad.shape.numel() != row.count or grad.layout is not torch.strided:
            return
        with torch.no_grad():
            grad = grad.detach().double() if self.careful else grad.detach()
            axis = row.watched.axis
            most, least = _over(torch.amax, grad, axis), _over(torch.amin, grad, axis)
            self._put(row, "most", torch.maximum(most, -least))
            self._put(row, "grad", torch.linalg.vector_norm(grad, dtype=_wide(grad)))

    def _put(self, row: _Row, name: str, numbers: torch.Tensor) -> None:
        part = numbers.reshape(-1)
        row.places[name] = self._length, self._length + part.numel()
        self._parts.append(part)
        self._length += part.numel()

    def add(self, numbers: Sequence[torch.Tensor]) -> slice:
        """Further numbers to fetch with the others, one each."""
        start = self._length
        self._parts += [number.reshape(1) for number in numbers]
        self._length += len(numbers)
        return slice(start, self._length)

    def close(self) -> None:
        """No more gradients are awaited."""
        for row in self._rows.values():
            if row.hook is not None:
                row.hook.remove()

    def fetch(self) -> Floats:
        """All numbers, in one transfer."""
        if not self._parts:
            return np.zeros(0)
        return _joined(self._parts).cpu().double().numpy()

    def seen(self, numbers: Floats) -> dict[Value, Seen]:
        """What was seen of each value, in the order of execution."""
        with np.errstate(invalid="ignore", over="ignore"):  # infinities are what is to be told
            return {value: _seen(row, numbers, self.careful) for value, row in self._rows.items()}


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    kinds = {part.dtype for part in parts}
    wanted = torch.float32 if kinds <= {torch.float32, torch.float16, torch.bfloat16} else torch.float64
    if any(part.device.type != parts[0].device.type for part in parts):
        return torch.cat([part.cpu().to(wanted) for part in parts])
    return torch.cat([part.to(wanted) for part in parts] if len(kinds) > 1 else list(parts))


def _wide(tensor: torch.Tensor) -> torch.dtype | None:
    """Sums of half-precision numbers are wanted in single."""
    return torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else None


def _others(tensor: torch.Tensor, axis: int | None) -> tuple[int, ...]:
    return tuple(place for place in range(tensor.dim()) if place != axis)


def _over(reduce: Any, tensor: torch.Tensor, axis: int | None) -> torch.Tensor:
    """A reduction over all axes but one."""
    others = _others(tensor, axis)
    found: torch.Tensor = reduce(tensor, others) if others else tensor
    return found


def _sum(tensor: torch.Tensor, axis: int | None) -> torch.Tensor:
    others = _others(tensor, axis)
    return torch.sum(tensor, others, dtype=_wide(tensor)) if others else tensor


def _norm(tensor: torch.Tensor, axis: int | None) -> torch.Tensor:
    """Root of the sum of squares over all axes but one: inner axes first, which lie together."""
    wide = _wide(tensor)
    if wide is not None:
        tensor = tensor.to(wide)
    if axis is None or tensor.dim() == 1:
        return torch.linalg.vector_norm(tensor) if axis is None else tensor.abs()
    inner, outer = tuple(range(axis + 1, tensor.dim())), tuple(range(axis))
    if not inner:
        return (tensor * tensor).sum(outer).sqrt_()
    rows = torch.linalg.vector_norm(tensor, dim=inner)
    return torch.linalg.vector_norm(rows, dim=outer) if outer else rows


def _above(tensor: torch.Tensor, bound: float) -> torch.Tensor:
    """The share of elements above a bound."""
    return (tensor - bound).sign_().mean(dtype=torch.float32).add_(1.0).mul_(0.5)


def _seen(row: _Row, numbers: Floats, careful: bool) -> Seen:
    parts = {name: numbers[start:stop] for name, (start, stop) in row.places.items()}
    size = row.count / parts["sum"].size
    finite: Floats = parts["finite"] if careful else np.full(parts["sum"].size, float(size), dtype=np.float64)
    nonfinite = int(parts["nonfinite"][0]) if careful else 0
    total = max(float(finite.sum()), 1.0)
    mean, std = _moments(parts["sum"].sum() / total, np.square(parts["norm"]).sum() / total)
    lo, hi = float(parts["lo"].min()), float(parts["hi"].max())
    nonzero: Floats = np.round(np.square(parts["nonzero"])).astype(np.float64)
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
        nans=int(parts["nan"][0]) if careful else 0,
        saturated=float(parts["saturated"][0]) if "saturated" in parts else None,
        grad=None if grad is None else float(grad[0]) / math.sqrt(row.count),
        units=_units(parts, finite, nonzero, size) if row.watched.axis is not None else None,
    )


def _units(parts: dict[str, Floats], finite: Floats, nonzero: Floats, size: float) -> Units:
    count = np.maximum(finite, 1.0)
    mean, std = _moments(parts["sum"] / count, np.square(parts["norm"]) / count)
    half = (parts["hi"] - parts["lo"]) / 2
    return Units(
        lo=parts["lo"],
        hi=parts["hi"],
        mean=mean,
        std=np.where(np.isfinite(half), np.minimum(std, half), std),
        zeros=np.clip(1.0 - (nonzero + size - finite) / size, 0.0, 1.0),
        grad=parts.get("most"),
    )


def _moments(mean: Any, square: Any) -> tuple[Any, Any]:
    """Mean and deviation."""
    return mean, np.sqrt(np.maximum(square - np.square(mean), 0.0))


def _bounded(std: float, lo: float, hi: float) -> float:
    """No deviation exceeds half the span: of numbers that are all alike it is 0, whatever rounding says."""
    half = (hi - lo) / 2
    return min(std, half) if math.isfinite(half) and half >= 0 else std
