"""The page of `netlint show TARGET --probe`: one line a layer, with bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from .observed import Setup
from .summary import Row, Summary

_BAR = 10
_BLOCKS = " ▏▎▍▌▋▊▉█"
_LEAST_NAME = 18


def table(found: Summary, width: int) -> str:
    """The passes as a table of that many columns."""
    if found.setup is None:
        return f"the model was not run: it {found.why}" if found.why.startswith("raises") else found.why
    return "\n".join([*_head(found, found.setup), *_lines(found.rows, width)])


def _head(found: Summary, setup: Setup) -> Iterator[str]:
    yield f"run       {setup.batch}, seed {setup.seed}, on {setup.device} with {setup.runner}"
    if setup.loss:
        number = "" if found.loss is None else f" = {found.loss:.4g}"
        yield f"loss      {setup.loss}{number}"
    yield from (f"note      {note}" for note in setup.notes)
    yield ""


def _lines(rows: Sequence[Row], width: int) -> list[str]:
    spread, slope = _scale([row.std for row in rows]), _scale([row.grad for row in rows])
    cells = [_cells(row, spread, slope) for row in rows]
    titles = ("op", "type", "mean", "std", "10^std", "zeros", "sat.", "gradient", "10^grad")
    columns = [max(len(line[place]) for line in (titles, *cells)) for place in range(len(titles))]
    left = max(_LEAST_NAME, min(width - sum(columns) - len(columns), max((len(_name(row)) for row in rows), default=0)))
    lines = [_line("layer", titles, left, columns)]
    return lines + [_line(_name(row), line, left, columns) for row, line in zip(rows, cells, strict=True)]


def _name(row: Row) -> str:
    return row.path.partition(" ▸ ")[0] if " ▸ " in row.path else row.path


def _line(name: str, cells: Sequence[str], left: int, columns: Sequence[int]) -> str:
    shown = name if len(name) <= left else f"…{name[1 - left :]}"
    padded = [
        cell.ljust(column) if place in _TEXTS else cell.rjust(column)
        for place, (cell, column) in enumerate(zip(cells, columns, strict=True))
    ]
    return " ".join([shown.ljust(left), *padded]).rstrip()


_TEXTS = frozenset({0, 1, 4, 8})
"""Columns that begin at the left."""


def _cells(row: Row, spread: Callable[[float | None], str], slope: Callable[[float | None], str]) -> tuple[str, ...]:
    return (
        row.op,
        row.type.removeprefix("float32"),
        f"{row.mean:.2g}",
        f"{row.std:.2g}" if not row.nonfinite else f"{row.nonfinite} not finite",
        spread(row.std),
        _share(row.zeros),
        _share(row.saturated),
        "" if row.grad is None else f"{row.grad:.1e}",
        slope(row.grad),
    )


def _share(number: float | None) -> str:
    if number is None or number == 0:
        return ""
    return f"{number:.0%}" if number >= 0.01 else "<1%"


def _scale(numbers: Sequence[float | None]) -> Callable[[float | None], str]:
    """Draws a number as a bar: the logarithm between those of the least and the largest of all."""
    logs = [math.log10(number) for number in numbers if number and math.isfinite(number)]
    lo, hi = (math.floor(min(logs)), math.ceil(max(logs))) if logs else (0, 1)

    def bar(number: float | None) -> str:
        if not number or not math.isfinite(number):
            return ""
        eighths = round((math.log10(number) - lo) / max(hi - lo, 1) * _BAR * 8)
        whole, rest = divmod(max(eighths, 1), 8)
        return "█" * whole + (_BLOCKS[rest] if rest else "")

    return bar
