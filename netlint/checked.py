"""A report as people hold it: `findings`, `raise_if("error")`, readable when printed, a page in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from .engine import lint
from .graph import Graph, Value
from .records import record
from .reported import Crashed, Report, Reported
from .rule import Level, Rule
from .times import Spent
from .training import Known, Training


class Findings(AssertionError):
    """A model has findings that its test does not allow; the message is the report."""

    def __init__(self, message: str, report: CheckReport) -> None:
        super().__init__(message)
        self.report = report


@record
class CheckReport(Report):
    """All there is to say about one model."""

    def raise_if(self, level: str | Level = "error") -> CheckReport:
        """Raises `Findings` if there is one of that level or above, or a rule crashed; else gives the report back."""
        lowest = Level[level.upper()] if isinstance(level, str) else level
        bad = [found for found in self.findings if found.level >= lowest]
        if bad or self.crashed:
            raise Findings(_text(replace(self, findings=tuple(bad))), self)
        return self

    def __repr__(self) -> str:
        return _text(self).rstrip("\n")

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(_text(self, html=True))}</pre>".translate(_TAGS)


_STYLES = {
    "error": "color:#c62828;font-weight:bold",
    "warning": "color:#b26a00;font-weight:bold",
    "note": "color:#00838f;font-weight:bold",
    "frame": "color:#1565c0",
    "strong": "font-weight:bold",
    "mark": "color:#b26a00",
}
# Painted spans pass through `escape` as characters of Unicode's private use area.
_OPEN = {role: chr(0xE000 + index) for index, role in enumerate(_STYLES)}
_CLOSE = "\uf8ff"
_TAGS = {ord(_OPEN[role]): f'<span style="{style}">' for role, style in _STYLES.items()} | {ord(_CLOSE): "</span>"}


def _text(report: Report, html: bool = False) -> str:
    from .report import Run
    from .report.text import render, unpainted
    from .sources import Sources

    paint = (lambda text, role: f"{_OPEN[role]}{text}{_CLOSE}") if html else unpainted
    return render(Run((report,), Sources(Path.cwd())), paint)


def check_graph(
    graph: Graph,
    rules: Iterable[Rule],
    training: Training,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    target: str = "",
    facts: Mapping[str, Known[Any]] | None = None,
    loading: Iterable[Spent] = (),
) -> CheckReport:
    """The report on a graph; `facts` are further assumptions to print, such as the example inputs; `loading` is what
    it took to get the graph."""
    report = lint(graph, rules, training, options, target)
    values = {field.name: getattr(report, field.name) for field in fields(Report)}
    values["assumptions"] = {**report.assumptions, **(facts or {})}
    values["times"] = (*loading, *report.times)
    return CheckReport(**values)


class _Told(Exception):
    """An error of another process that cannot travel: it still prints as what it was."""

    def __repr__(self) -> str:
        return str(self)


def portable(report: CheckReport) -> CheckReport:
    """The report as another process can read it: without tensors, and with errors that can be pickled."""
    return replace(
        report,
        findings=tuple(map(_without_tensors, report.findings)),
        crashed=tuple(_picklable(crash) for crash in report.crashed),
        assumptions=dict(report.assumptions),
        not_understood=dict(report.not_understood),
    )


def _without_tensors(found: Reported) -> Reported:
    claim = found.finding.claim
    if claim is None:
        return found
    bare = Value(claim.value.name, claim.value.dtype, claim.value.shape)
    return replace(found, finding=replace(found.finding, claim=replace(claim, value=bare)))


def _picklable(crash: Crashed) -> Crashed:
    import pickle

    try:
        pickle.loads(pickle.dumps(crash.error))
    except Exception:
        return replace(crash, error=_Told(repr(crash.error)))
    return crash
