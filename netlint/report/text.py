"""The report for people at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from netlint.capture import GUESSED, INPUTS, PART
from netlint.report import Failure, Run
from netlint.report.folding import folded, others
from netlint.report.wording import broken_off, clean, evidence, plural, stated
from netlint.reported import Report, Reported, Suppressed
from netlint.rule import Level, RuleInfo
from netlint.sources import Sources, shorten

if TYPE_CHECKING:
    from netlint.location import Location

Paint = Callable[[str, str], str]
"""Gives a text a role: `error`, `warning`, `note`, `frame`, `strong`, `mark`."""

Link = Callable[[str, str], str]
"""Makes a text a link to an address."""

_SHOWN_OPS = 4
_PLACES = 6
"""Further places of a finding that are shown; there may be hundreds, and programs want them all."""


def unpainted(text: str, role: str) -> str:
    return text


def unlinked(text: str, address: str) -> str:
    return text


def render(run: Run, paint: Paint = unpainted, link: Link = unlinked) -> str:
    """Target by target the findings in graph order, then what was not judged, the tables wanted, and the sum."""
    blocks: list[str] = []
    for result in run.results:
        if isinstance(result, Failure):
            blocks.append(_failure(result, paint))
        else:
            blocks += _report(result, run, paint, link)
    if run.verbose >= 0:
        blocks += _unjudged(run, paint)
    blocks += [table for table in _tables(run) if table]
    if run.verbose >= 0:
        blocks.append(_sum(run, paint))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _tables(run: Run) -> Iterator[str]:
    if run.statistics or run.profile:
        from netlint.report.tables import profile, statistics

        yield statistics(run) if run.statistics else ""
        yield profile(run) if run.profile else ""


def _failure(failure: Failure, paint: Paint) -> str:
    target = paint(clean(failure.target), "strong")
    why, *tried = str(failure.error).splitlines() or [""]
    lines = [f"{paint('failed', 'error')}: {target} {clean(why)}"]
    lines += [f"   {paint('=', 'frame')} {clean(line)}" for line in tried]
    lines += [f"   {paint('=', 'frame')} help: {clean(failure.error.help)}"] if failure.error.help else []
    return "\n".join(lines)


def _report(report: Report, run: Run, paint: Paint, link: Link) -> Iterator[str]:
    for group in folded(report.findings):
        yield "\n".join(_finding(group, report.target, run.sources, paint, link))
    for crash in report.crashed:
        yield (
            f"{paint('bug', 'error')}: rule {crash.rule.name} failed on {clean(report.target)}: "
            f"{clean(repr(crash.error))}\n"
            f"   {paint('=', 'frame')} at: {crash.where}\n"
            f"   {paint('=', 'frame')} help: a bug in that code, not in the model; please report it to its authors"
        )


def _finding(group: Sequence[Reported], target: str, sources: Sources, paint: Paint, link: Link) -> Iterator[str]:
    found = group[0]
    rule, finding = found.rule, found.finding
    level = str(found.level)
    yield f"{paint(f'{level}[{rule.code}]', level)} {paint(rule.name, 'strong')}: {clean(finding.message)}"
    yield from _place(found.loc, target, sources, paint, link)
    sign = paint("=", "frame")
    if len(group) > 1:
        yield f"   {sign} same in: {others(group)}"
    if found.context:
        yield f"   {sign} graph: {clean(found.context)}"
    if finding.evidence:
        yield f"   {sign} evidence: {'; '.join(map(evidence, finding.evidence))}"
    for message, loc in finding.related[:_PLACES]:
        yield f"   {sign} see: {clean(message)} ({clean(loc.path)})"
    if more := len(finding.related[_PLACES:]):
        yield f"   {sign} see: {more} more (in the other formats)"
    if finding.why:
        yield f"   {sign} why: {clean(finding.why)}"
    if finding.help:
        yield f"   {sign} help: {clean(finding.help)}"
    yield f"   {sign} docs: {_docs(rule, link)}"


def _docs(rule: RuleInfo, link: Link) -> str:
    """How to read the page of a rule; it is the beginning of the rule's own file."""
    command = f"netlint rule {rule.code}"
    if link is unlinked:
        return command
    try:
        spec = find_spec(rule.module)
    except (ImportError, ValueError):  # from a folder of the user's
        return command
    return link(command, Path(spec.origin).as_uri()) if spec and spec.origin else command


def _place(loc: Location, target: str, sources: Sources, paint: Paint, link: Link) -> Iterator[str]:
    arrow = paint("-->", "frame")
    logical = clean(f"{target} ▸ {loc.path}")
    if loc.source is None:
        yield f"  {arrow} {logical}"
        return
    recorded, number = loc.source
    file = sources.find(recorded)
    text = sources.line(file, number) if file else None
    if file:
        address = f"{(sources.root / file).absolute().as_uri()}#{number}"
        shown = link(f"{clean(file.as_posix())}:{number}", address)
    else:
        shown = f"{clean(shorten(recorded))}:{number} (not below this folder)"
    yield f"  {arrow} {shown}   {logical}"
    if text is not None and text.strip():
        bar = paint("|", "frame")
        margin = " " * len(str(number))
        stripped = clean(text.rstrip().expandtabs(4))
        indent = len(stripped) - len(stripped.lstrip())
        yield f" {margin} {bar}"
        yield f" {paint(str(number), 'frame')} {bar} {stripped}"
        yield f" {margin} {bar} {' ' * indent}{paint('^' * (len(stripped) - indent), 'mark')}"


def _unjudged(run: Run, paint: Paint) -> Iterator[str]:
    """What was not judged, once for all targets of which the same is to be said."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for report in run.reports:
        lines = _limits(report, run.verbose, paint)
        if lines:
            alike.setdefault(tuple(lines), []).append(report.target)
    for said, targets in alike.items():
        named = targets[0] if len(targets) == 1 else f"{targets[0]} and {len(targets) - 1} more"
        yield "\n".join([f"{paint(clean(named), 'strong')}:", *said])


def _limits(report: Report, verbose: int, paint: Paint) -> list[str]:
    sign = paint("=", "frame")
    lines = [f"   {sign} ignored: {clean(why)}" for why in report.misstated]
    used = report.assumptions.get(INPUTS)
    if used is not None and used.origin.startswith(GUESSED) and not verbose:
        lines.append(f"   {sign} inputs: {clean(used.value)} ({clean(used.origin)}; --input states them)")
    part = report.assumptions.get(PART)
    if part is not None and not verbose:
        lines.append(f"   {sign} imported: {clean(part.value)}, since it {clean(part.origin)}")
    if verbose:
        lines += [f"   {sign} suppressed: {_silenced(entry)}" for entry in report.suppressed]
    reasons: dict[str, list[str]] = {}
    for skip in report.skipped:
        reasons.setdefault(skip.why, []).append(skip.rule.name)
    if verbose:
        lines += [f"   {sign} skipped: {', '.join(names)}: {clean(why)}" for why, names in reasons.items()]
        for name, known in report.assumptions.items():
            origin = known.origin if known.origin.startswith(GUESSED) else f"from {known.origin}"
            lines.append(f"   {sign} assumed: {name} = {stated(known.value)} ({clean(origin)})")
        understood = report.nodes - sum(report.not_understood.values())
        lines.append(f"   {sign} understood: {understood:,} of {plural(report.nodes, 'node')}")
        for op, count in report.not_understood.items():
            lines.append(f"   {sign} not understood: {clean(op)} ({plural(count, 'node')})")
    else:
        lines += [f"   {sign} {plural(len(names), 'rule')} skipped: {clean(why)}" for why, names in reasons.items()]
        unknown = [op for op in report.not_understood if op not in {cut.op for cut in report.cuts}]
        if unknown:
            count = sum(report.not_understood[op] for op in unknown)
            ops = ", ".join(map(clean, unknown[:_SHOWN_OPS])) + (", …" if len(unknown) > _SHOWN_OPS else "")
            lines.append(f"   {sign} not understood: {plural(count, 'node')} with unknown operators: {ops}")
    shown = report.cuts if verbose else report.cuts[:_SHOWN_OPS]
    lines += [f"   {sign} {broken_off(cut)}" for cut in shown]
    if len(report.cuts) > len(shown):
        lines.append(f"   {sign} not analysed behind {len(report.cuts) - len(shown)} more operators")
    return lines


def _silenced(entry: Suppressed) -> str:
    found = entry.found
    why = f"{entry.reason} ({entry.origin})" if entry.reason else entry.origin
    rule = f"{found.level}[{found.rule.code}] {found.rule.name}"
    return f"{rule}: {clean(found.finding.message)} ({clean(found.loc.path)}): {clean(why)}"


def _sum(run: Run, paint: Paint) -> str:
    checked = plural(len(run.reports), "model")
    counts = [plural(run.count(level), str(level)) for level in reversed(Level) if run.count(level)]
    counts += [f"{run.suppressed:,} suppressed"] if run.suppressed else []
    counts += [f"{len(run.failures)} not analysed"] if run.failures else []
    worst = max((found.level for report in run.reports for found in report.findings), default=None)
    role = "error" if run.failures else str(worst) if worst else "strong"
    return f"{checked} checked: {paint(', '.join(counts) if counts else 'no findings', role)}"
