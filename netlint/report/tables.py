"""Tables at the end of the text report: what was found how often, and where the time went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from netlint.report import Run
from netlint.rule import Level, RuleInfo

_ROWS = 15
"""Lines of the profile; what took less is summed up unless each is asked for."""


def statistics(run: Run) -> str:
    """How many findings each rule has, by level, the most frequent first; empty if there are none."""
    rules: dict[str, RuleInfo] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for report in run.reports:
        counted = [(found, str(found.level)) for found in report.findings]
        counted += [(entry.found, "suppressed") for entry in report.suppressed]
        for found, column in counted:
            rules[found.rule.code] = found.rule
            counts[found.rule.code, column] += 1
    columns = [*(str(level) for level in reversed(Level)), "suppressed"]
    rows = [([counts[code, column] for column in columns], rule) for code, rule in rules.items()]
    rows.sort(key=lambda row: (-sum(row[0]), row[1].code))
    heads = [*(f"{column}s" for column in columns[:-1]), columns[-1], "rule"]
    cells = [[*(f"{count:,}" if count else "·" for count in row), f"{rule.code} {rule.name}"] for row, rule in rows]
    return _table(heads, cells) if cells else ""


def profile(run: Run) -> str:
    """Milliseconds of all targets together, for loading and for each analysis and rule itself, the longest first.

    Empty if nothing was timed.
    """
    seconds: Counter[tuple[str, str]] = Counter()
    for report in run.reports:
        for spent in report.times:
            seconds[spent.kind, spent.name] += spent.seconds  # type: ignore[assignment]
    whole = sum(seconds.values()) or 1.0
    rows = seconds.most_common(None if run.verbose > 0 else _ROWS)
    shown = [(took, kind, name) for (kind, name), took in rows]
    rest = sum(seconds.values()) - sum(took for took, _, _ in shown)
    if len(shown) < len(seconds):
        shown.append((rest, "", f"{len(seconds) - len(shown)} more (-v)"))
    cells = [[f"{took * 1e3:,.1f}", f"{100 * took / whole:.1f} %", f"{kind:8} {name}"] for took, kind, name in shown]
    return _table(["ms", "share", "own time of"], cells) if cells else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns of numbers, to the right, and a last one of text."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads) - 1)]
    return "\n".join(
        "  ".join([*(cell.rjust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]) for line in lines
    )
