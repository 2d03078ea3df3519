"""What stands around the findings: counts and the filter above them, what was not judged below."""

from __future__ import annotations

from collections.abc import Iterator

from netlint import __version__
from netlint.report import Run
from netlint.report.html.markup import escaped, tag, text
from netlint.report.wording import broken_off, plural, stated
from netlint.reported import Report
from netlint.rule import Level


def summary(run: Run) -> str:
    """The head of the page: how much was found, and the controls of the filter."""
    checked = plural(len(run.reports), "model")
    counts = [
        text("span", plural(count, str(level)), class_=f"badge {level}")
        for level in reversed(Level)
        if (count := run.count(level))
    ] or [text("span", "no findings", class_="badge")]
    counts += [text("span", f"{run.suppressed:,} suppressed", class_="badge")] if run.suppressed else []
    counts += [text("span", f"{len(run.failures):,} not analysed", class_="badge error")] if run.failures else []
    head = f"<h1>netlint <small>{escaped(__version__)}</small></h1>"
    return tag("header", f"{head}\n<p>{escaped(checked)} checked: {' '.join(counts)}</p>\n{_filter(run)}")


def _filter(run: Run) -> str:
    found = [(entry.rule, report.target) for report in run.reports for entry in report.findings]
    if not found:
        return ""
    rules = {rule.code: f"{rule.code} {rule.name}" for rule, _ in sorted(found, key=lambda entry: entry[0].code)}
    targets = {target: target for _, target in found}
    levels = "".join(
        f'<label><input type="checkbox" name="level" value="{level}" checked> {level}s</label>'
        for level in reversed(Level)
        if run.count(level)
    )
    return f"""<form id="filter" role="search" hidden>
<label>Text <input type="search" name="text" placeholder="press / to search" autocomplete="off"></label>
<label>Rule <select name="rule"><option value="">all</option>{_options(rules)}</select></label>
<label>Target <select name="target"><option value="">all</option>{_options(targets)}</select></label>
<fieldset><legend>Levels</legend>{levels}</fieldset>
<button type="reset">Show all</button>
<output aria-live="polite"></output>
</form>"""


def _options(named: dict[str, str]) -> str:
    return "".join(text("option", name, value=value) for value, name in named.items())


def not_analysed(run: Run) -> str:
    """Targets and rules that failed, before all else."""
    items = [
        tag("li", f"{text('b', failure.target)} {'<br>'.join(map(escaped, str(failure.error).splitlines()))}")
        for failure in run.failures
    ]
    for report in run.reports:
        for crash in report.crashed:
            said = f"rule {crash.rule.name} failed, a bug in that rule: {crash.error!r} at {crash.where}"
            items.append(tag("li", f"{text('b', report.target)} {escaped(said)}"))
    return tag("section", "<h2>Not analysed</h2>" + tag("ul", "\n".join(items)), id="failed") if items else ""


def not_judged(run: Run) -> str:
    """Target by target: rules that were skipped, what was assumed, what was not understood."""
    blocks = [block for report in run.reports if (block := _limits(report))]
    if not blocks:
        return ""
    head = text("summary", "What was assumed and what was not judged")
    return tag("section", f"<details>{head}\n{''.join(blocks)}</details>", id="limits")


def _limits(report: Report) -> str:
    items = "".join(text("li", line) for line in _lines(report))
    return f"{text('h3', report.target)}<ul>{items}</ul>" if items else ""


def _lines(report: Report) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for skip in report.skipped:
        reasons.setdefault(skip.why, []).append(skip.rule.name)
    for why, names in reasons.items():
        yield f"skipped: {', '.join(names)}: {why}"
    for name, known in report.assumptions.items():
        yield f"assumed: {name} = {stated(known.value)} ({known.origin})"
    yield from (f"ignored: {why}" for why in report.misstated)
    yield from map(broken_off, report.cuts)
    for op, count in report.not_understood.items():
        yield f"not understood: {op} ({plural(count, 'node')})"
