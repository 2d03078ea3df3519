"""Findings that repeated blocks have in common, told once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from netlint.report.wording import clean
from netlint.reported import Reported

_NUMBER = re.compile(r"\d+")
_SHOWN_PLACES = 6


def folded(findings: Iterable[Reported]) -> list[list[Reported]]:
    """Findings that differ only in numbers (of blocks, of nodes) stand together, in the order of the first."""
    groups: dict[tuple[str, ...], list[Reported]] = {}
    for found in findings:
        loc = found.loc
        # Without a module path only the node's own name tells the place, and names differ in more than numbers.
        place = _NUMBER.sub("#", loc.module) if loc.module else found.op
        key = (found.rule.code, str(found.level), found.op, place, _NUMBER.sub("#", found.finding.message))
        groups.setdefault(key if found.op else (*key, loc.path), []).append(found)
    return list(groups.values())


def others(group: Sequence[Reported]) -> str:
    """Where else the first of a group is found: modules that differ in one number become a range, paths are listed."""
    modules = [found.loc.module for found in group]
    ranged = _range([module for module in modules if module]) if all(modules) else None
    if ranged:
        return clean(ranged)
    shown = ", ".join(found.loc.module or found.loc.path for found in group[1 : 1 + _SHOWN_PLACES])
    return clean(shown) + (f", +{len(group) - 1 - _SHOWN_PLACES} more" if len(group) - 1 > _SHOWN_PLACES else "")


def _range(modules: Sequence[str]) -> str | None:
    pieces = [_NUMBER.split(module) for module in modules]
    numbers = [[int(number) for number in _NUMBER.findall(module)] for module in modules]
    varying = [slot for slot in range(len(numbers[0])) if len({row[slot] for row in numbers}) > 1]
    if len(varying) != 1:
        return None
    slot = varying[0]
    rest = sorted({row[slot] for row in numbers[1:]})
    runs = [list(run) for _, run in groupby(enumerate(rest), lambda pair: pair[1] - pair[0])]
    text = ",".join(f"{run[0][1]}–{run[-1][1]}" if len(run) > 1 else str(run[0][1]) for run in runs)
    filled = [str(number) for number in numbers[0]]
    filled[slot] = text
    return "".join(piece + number for piece, number in zip(pieces[0], [*filled, ""], strict=True))
