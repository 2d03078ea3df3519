"""A picture of a node and its neighbours, drawn as SVG: a row for each step, data flowing down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netlint.report.html.markup import escaped, text
from netlint.reported import Box, Neighbourhood

_WIDTH, _LINE, _PAD = 186, 15, 8
_GAP_X, _GAP_Y, _MARGIN = 18, 30, 10
_LONGEST = 24
"""Characters that fit into a box."""

ARROW = """<svg width="0" height="0" aria-hidden="true" class="defs"><defs>
<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 Z"/></marker></defs></svg>"""
"""The arrow's head, once for all pictures of a page."""

_Point = tuple[float, float]


def picture(neighbourhood: Neighbourhood | None) -> str:
    """The drawing; empty for a finding about the model."""
    if neighbourhood is None:
        return ""
    boxes = neighbourhood.boxes
    rows: dict[int, list[int]] = {}
    for index, box in enumerate(boxes):
        rows.setdefault(box.step, []).append(index)
    width = max(len(row) for row in rows.values()) * (_WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    corners, height = _place(boxes, rows, width)
    arrows = neighbourhood.arrows
    drawn = [_arrow(boxes, corners, start, end) for start, end in arrows]
    drawn += [_box(box, *corners[index]) for index, box in enumerate(boxes)]
    sides = [_side(boxes, corners, start, end) for start, end in arrows if _skips(boxes, start, end)]
    whole = max([float(width), *sides])
    view = f'width="{whole:g}" height="{height:g}" viewBox="0 0 {whole:g} {height:g}"'
    label = escaped(_described(neighbourhood))
    return f'<figure><svg class="net" role="img" aria-label="{label}" {view}>{"".join(drawn)}</svg></figure>'


def _place(boxes: Sequence[Box], rows: Mapping[int, Sequence[int]], width: float) -> tuple[dict[int, _Point], float]:
    """The upper left corner of each box, and the height of it all."""
    corners: dict[int, _Point] = {}
    y = float(_MARGIN)
    for step in sorted(rows):
        row = rows[step]
        x = (width - len(row) * (_WIDTH + _GAP_X) + _GAP_X) / 2
        for place, index in enumerate(row):
            corners[index] = (x + place * (_WIDTH + _GAP_X), y)
        y += max(_height(boxes[index]) for index in row) + _GAP_Y
    return corners, y - _GAP_Y + _MARGIN


def _height(box: Box) -> int:
    return len(_lines(box)) * _LINE + 2 * _PAD


def _lines(box: Box) -> list[str]:
    weights = [f"weights {', '.join(_short(type_) for type_ in box.constants)}"] if box.constants else []
    return [box.title, *([box.type] if box.type else []), *weights]


def _short(type_: str) -> str:
    """The shape alone: the element type of weights is that of the result nearly always."""
    return type_[type_.index("[") :] if "[" in type_ else type_


def _box(box: Box, x: float, y: float) -> str:
    lines = _lines(box)
    texts = "".join(
        text(
            "text",
            _cut(line),
            x=f"{x + _WIDTH / 2:g}",
            y=f"{y + _PAD + 11 + row * _LINE:g}",
            class_=f"line{min(row, 1)}",
        )
        for row, line in enumerate(lines)
    )
    shape = f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_height(box)}" rx="6"/>'
    title = text("title", "; ".join(filter(None, (box.path, *lines))))
    return f'<g class="{box.kind}">{title}{shape}{texts}</g>'


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _arrow(boxes: Sequence[Box], corners: Mapping[int, _Point], start: int, end: int) -> str:
    """From the foot of one box to the head of another; around the boxes between them, where there are any."""
    (x1, y1), (x2, y2) = corners[start], corners[end]
    if _skips(boxes, start, end):
        side = _side(boxes, corners, start, end)
        y1, y2 = y1 + _height(boxes[start]) / 2, y2 + _height(boxes[end]) / 2
        path = f"M{x1 + _WIDTH:g} {y1:g} C{side:g} {y1:g} {side:g} {y2:g} {x2 + _WIDTH:g} {y2:g}"
    else:
        x1, y1, x2 = x1 + _WIDTH / 2, y1 + _height(boxes[start]), x2 + _WIDTH / 2
        middle = (y1 + y2) / 2
        path = f"M{x1:g} {y1:g} C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2:g}"
    return f'<path class="arrow" d="{path}" marker-end="url(#arrow)"/>'


def _skips(boxes: Sequence[Box], start: int, end: int) -> bool:
    return boxes[end].step - boxes[start].step > 1


def _side(boxes: Sequence[Box], corners: Mapping[int, _Point], start: int, end: int) -> float:
    """How far right an arrow bends that passes by the boxes between its ends."""
    rows = range(boxes[start].step, boxes[end].step + 1)
    return max(corners[index][0] for index, box in enumerate(boxes) if box.step in rows) + _WIDTH + 2.5 * _GAP_X


def _described(neighbourhood: Neighbourhood) -> str:
    """The picture in words."""
    boxes = neighbourhood.boxes
    flows = [f"{boxes[start].title} → {boxes[end].title}" for start, end in neighbourhood.arrows]
    return f"Operators around {next(box.title for box in boxes if box.kind == 'flagged')}: {'; '.join(flows)}"
