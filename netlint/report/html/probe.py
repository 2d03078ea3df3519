"""What runs of a model showed, drawn as SVG: the layers in order of depth from left to right, losses step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netlint.probe.observed import Setup
from netlint.probe.summary import Curve, Row, Summary
from netlint.report import Run
from netlint.report.html.markup import escaped, tag, text

_WIDTH, _HEIGHT, _LEFT, _TOP, _FOOT = 960, 150, 64, 12, 22

_FACTOR = 30

Points = Sequence[tuple[float, float]]
"""(place from 0 to 1, number), in order."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a chart."""

    label: str
    points: Points
    titles: Sequence[str]
    """What is said of each point."""


def probes(run: Run) -> str:
    """The section; empty where no model was run."""
    blocks = [_one(report.target, report.probe) for report in run.reports if report.probe is not None]
    return tag("section", "<h2>What runs of the model showed</h2>" + "\n".join(blocks), id="probe") if blocks else ""


def _one(target: str, found: Summary) -> str:
    head = text("h3", target)
    if found.setup is None:
        return head + text("p", f"not run: {found.why}")
    return head + "\n".join([text("p", _about(found, found.setup)), *_layers(found.rows), *_curves(found)])


def _about(found: Summary, setup: Setup) -> str:
    parts = [f"{setup.batch}, seed {setup.seed}, on {setup.device} with {setup.runner}"]
    if setup.loss:
        parts.append(f"loss: {setup.loss}" + (f", {found.loss:.4g} at first" if found.loss is not None else ""))
    return "; ".join([*parts, *setup.notes])


def _layers(rows: Sequence[Row]) -> list[str]:
    """Charts over the depth of the model."""
    charts = [
        _chart(
            "Spread of values and of gradients by depth",
            [_line("deviation", rows, lambda row: row.std), _line("gradient", rows, lambda row: row.grad)],
            logarithmic=True,
        ),
        _chart(
            "Zeros and saturation by depth",
            [_line("zeros", rows, lambda row: row.zeros), _line("saturated", rows, lambda row: row.saturated)],
            logarithmic=False,
            shares=1.0,
        ),
    ]
    return [chart for chart in charts if chart]


def _line(label: str, rows: Sequence[Row], number: Callable[[Row], float | None]) -> _Line:
    known = [(place, row, found) for place, row in enumerate(rows) if (found := number(row)) is not None]
    last = max(len(rows) - 1, 1)
    titles = [f"{row.path} ({row.op}): {label} {found:.3g}" for _, row, found in known]
    return _Line(label, [(place / last, found) for place, _, found in known], titles)


def _curves(found: Summary) -> list[str]:
    charts = []
    if found.overfit is not None:
        rate = found.overfit.rates[0] if found.overfit.rates else 0.0
        name = f"One batch learnt by heart: loss by step, {found.overfit.optimizer} at {rate:g}"
        charts.append(_chart(name, [_steps("loss", found.overfit)], _wide(found.overfit.losses)))
    if found.ramp is not None:
        ends = f"{found.ramp.rates[0]:.0e} to {found.ramp.rates[-1]:.0e}" if found.ramp.rates else ""
        name = f"Learning rate rising from {ends}: loss by step, {found.ramp.optimizer}"
        charts.append(_chart(name, [_steps("loss", found.ramp)], _wide(found.ramp.losses)))
    return [chart for chart in charts if chart]


def _wide(losses: Sequence[float]) -> bool:
    """Whether losses are told apart on a logarithmic scale only."""
    return min(losses, default=0.0) > 0 and max(losses) > _FACTOR * min(losses)


def _steps(label: str, curve: Curve) -> _Line:
    last = max(len(curve.losses) - 1, 1)
    titles = [
        f"step {step}, rate {rate:.2g}: {label} {loss:.4g}"
        for step, (loss, rate) in enumerate(zip(curve.losses, curve.rates, strict=False))
    ]
    return _Line(label, [(step / last, loss) for step, loss in enumerate(curve.losses)], titles)


def _chart(name: str, lines: Sequence[_Line], logarithmic: bool, shares: float | None = None) -> str:
    """The lines over one axis, which ends at `shares` if that is given; empty where there is no number to draw."""
    numbers = [number for line in lines for _, number in line.points if _drawn(number, logarithmic)]
    if not numbers:
        return ""
    lo, hi = min(numbers), max(numbers)
    if not logarithmic:
        lo, hi = min(lo, 0.0), hi if shares is None else shares
    height = _height(lo, hi, logarithmic)
    drawn = [_grid(lo, hi, logarithmic, height)]
    drawn += [_drawing(line, place, height, logarithmic) for place, line in enumerate(lines)]
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    keys = " ".join(text("span", line.label, class_=f"key line-{place}") for place, line in enumerate(lines))
    caption = tag("figcaption", f"{escaped(name)} {keys}")
    svg = f'<svg class="chart" role="img" aria-label="{escaped(name)}" {size}>{"".join(drawn)}</svg>'
    return tag("figure", caption + svg)


def _drawn(number: float, logarithmic: bool) -> bool:
    return math.isfinite(number) and (number > 0 or not logarithmic)


def _height(lo: float, hi: float, logarithmic: bool) -> Callable[[float], float]:
    """Where a number stands, in pixels from above."""
    if logarithmic:
        lo, hi = math.floor(math.log10(lo)), math.ceil(math.log10(hi))
    span = (hi - lo) or 1.0

    def height(number: float) -> float:
        place = math.log10(number) if logarithmic else number
        return _TOP + (1 - (place - lo) / span) * (_HEIGHT - _TOP - _FOOT)

    return height


def _grid(lo: float, hi: float, logarithmic: bool, height: Callable[[float], float]) -> str:
    """A few levels with their numbers."""
    if logarithmic:
        least, most = math.floor(math.log10(lo)), math.ceil(math.log10(hi))
        step = max(1, math.ceil((most - least) / 5))
        levels = [10.0**power for power in range(least, max(most, least + 1) + 1, step)]
        named = [f"{level:.0e}" for level in levels]
    else:
        levels = [lo, (lo + hi) / 2, hi]
        named = [f"{level:.3g}" for level in levels]
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{height(level):.1f}" y2="{height(level):.1f}"/>'
        + text("text", name, x=str(_LEFT - 8), y=f"{height(level) + 4:.1f}")
        for level, name in zip(levels, named, strict=True)
        if 0 <= height(level) <= _HEIGHT
    )


def _drawing(line: _Line, place: int, height: Callable[[float], float], logarithmic: bool) -> str:
    """A line with a dot for each number; what is not to be drawn breaks it."""
    dots: list[str] = []
    path: list[str] = []
    pen = "M"
    for (at, number), title in zip(line.points, line.titles, strict=True):
        if not _drawn(number, logarithmic):
            pen = "M"
            continue
        x, y = _LEFT + at * (_WIDTH - _LEFT - 8), height(number)
        path.append(f"{pen}{x:.1f} {y:.1f}")
        dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5">{text("title", title)}</circle>')
        pen = "L"
    return f'<g class="line-{place}"><path d="{" ".join(path)}"/>{"".join(dots)}</g>'
