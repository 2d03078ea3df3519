"""Transfer functions of interpolation."""

from __future__ import annotations

from .interval import TOP, ZERO, Range, point
from .rounding import widen
from .step import Step, Transfer


def resize(step: Step) -> Range:
    """Nearest and linear interpolation average neighbours; cubic overshoots."""
    data = step.arg(0)
    mode = step.text("mode", "nearest")
    if mode == "cubic":
        return _cubic(step, data, step.number("cubic_coeff_a", -0.75))
    if mode not in ("nearest", "linear", "bilinear"):
        return TOP
    if step.text("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        data = data.join(point(step.number("extrapolation_value", 0.0)))
    return data if mode == "nearest" else _averaged(step, data)


def _cubic(step: Step, data: Range, a: float) -> Range:
    """Weights of two signs that add up to 1: in each direction the magnitudes to at most 1 + |a| / 2 (Keys, IEEE TASSP
    29, 1981: the outer two give |a| t (1 - t), the inner two 1 plus that)."""
    rank = step.state.rank(step.node.input(0))
    special = step.number("antialias", 0) or step.number("exclude_outside", 0)
    if rank is None or not data.bounded or special or step.text("coordinate_transformation_mode", "").startswith("tf_"):
        return TOP
    total = (1 + abs(a) / 2) ** max(rank - 2, 1) if rank > 2 else (1 + abs(a) / 2) ** rank
    beyond = (total - 1) / 2 * (data.hi - data.lo)
    found = data._replace(lo=data.lo - beyond, hi=data.hi + beyond, integral=False, loose=True)
    return _averaged(step, found)


def _averaged(step: Step, data: Range) -> Range:
    """Weights computed in the type of the data add up to 1 only nearly."""
    margin = 32 * step.eps
    found = widen(data, margin, margin * data.magnitude if data.bounded else 0.0)
    lo = found.lo - margin if found.lo in (1.0, -1.0) else found.lo
    hi = found.hi + margin if found.hi in (1.0, -1.0) else found.hi
    return found._replace(lo=lo, hi=hi)


def grid_sample(step: Step) -> Range:
    mode = step.text("mode", "bilinear")
    data = step.arg(0)
    found = data.join(ZERO) if step.text("padding_mode", "zeros") == "zeros" else data
    if mode in ("bicubic", "cubic"):
        return _cubic(step, found, -0.75).having(nan=step.arg(1).nan)
    if mode not in ("bilinear", "linear", "nearest"):
        return TOP
    return _averaged(step, found).having(nan=step.arg(1).nan)


def roi_align(step: Step) -> Range:
    return _averaged(step, step.arg(0).join(ZERO))


RESAMPLING: dict[str, Transfer] = {
    **dict.fromkeys(("Resize", "Upsample"), resize),
    "GridSample": grid_sample,
    "RoiAlign": roi_align,
}
"""Weighted averages of neighbours."""
