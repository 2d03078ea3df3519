"""The findings of the page: a card each, those that differ only in numbers on one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netlint.graph import Location
from netlint.report import Run
from netlint.report.folding import folded, others
from netlint.report.html.markup import escaped, tag, text
from netlint.report.html.picture import picture
from netlint.report.wording import plural, shown
from netlint.reported import Reported, Suppressed
from netlint.rule import Evidence
from netlint.sources import Sources, shorten

MOST = 1_000
"""Cards of the page: a browser shows no more at ease."""


def findings(run: Run) -> str:
    """All findings that count, target by target; with more than a page bears, the worst."""
    groups = [(group, report.target) for report in run.reports for group in folded(report.findings)]
    ranked = sorted(groups, key=lambda entry: -entry[0][0].level)
    left_out = sum(len(group) for group, _ in ranked[MOST:])
    kept = {id(group) for group, _ in ranked[:MOST]}
    cards = [_card(group, target, run.sources) for group, target in groups if id(group) in kept]
    if left_out:
        cards.append(text("p", f"+{plural(left_out, 'more finding')}, none worse than these", class_="more"))
    body = "\n".join(cards) or text("p", "No findings.", class_="more")
    nothing = text("p", "No finding passes the filter.", class_="more", id="nothing", hidden="")
    return f'<section id="findings" aria-label="Findings" tabindex="-1">\n{body}\n{nothing}\n</section>'


def suppressed(run: Run) -> str:
    """What the user has silenced, and why."""
    entries = [(entry, report.target) for report in run.reports for entry in report.suppressed]
    if not entries:
        return ""
    items = "\n".join(_silenced(entry, target) for entry, target in entries)
    head = text("summary", f"{plural(len(entries), 'suppressed finding')}")
    return f'<section id="suppressed"><details>{head}\n<ul>\n{items}\n</ul>\n</details></section>'


def _silenced(entry: Suppressed, target: str) -> str:
    found = entry.found
    why = f"{entry.reason} ({entry.origin})" if entry.reason else entry.origin
    place = text("span", f"{target} ▸ {found.loc.path}", class_="path")
    return tag("li", f"{_head(found)} {escaped(found.finding.message)}<br>{place}<br>{escaped(why)}")


def _card(group: Sequence[Reported], target: str, sources: Sources) -> str:
    found = group[0]
    parts = [
        tag("h2", f"{_head(found)} {text('span', found.finding.message, class_='message')}"),
        _place(found.loc, target, sources),
        tag("div", tag("div", "".join(_facts(group))) + picture(found.neighbourhood), class_="body"),
    ]
    data = {"data_level": str(found.level), "data_rule": found.rule.code, "data_target": target}
    return tag("article", "\n".join(parts), class_=f"finding {found.level}", data_count=str(len(group)), **data)


def _head(found: Reported) -> str:
    level = text("span", found.level, class_=f"badge {found.level}")
    name = f"{found.rule.code} {found.rule.name}"
    return f"{level} {text('a', name, href=f'#rule-{found.rule.code}', class_='rule')}"


def _place(loc: Location, target: str, sources: Sources) -> str:
    logical = text("span", f"{target} ▸ {loc.path}", class_="path")
    if loc.source is None:
        return tag("p", logical, class_="place")
    recorded, number = loc.source
    file = sources.find(recorded)
    if file is None:
        lost = f"{shorten(recorded)}:{number} (not at hand)"
        return tag("p", f"{text('span', lost, class_='file')} {logical}", class_="place")
    place = tag("p", f"{text('span', f'{file.as_posix()}:{number}', class_='file')} {logical}", class_="place")
    return place + _source(sources.line(file, number), number)


def _source(line: str | None, number: int) -> str:
    if line is None or not line.strip():
        return ""
    code = text("code", line.expandtabs(4).strip())
    return tag("pre", f"{text('span', number, class_='number')}{code}", class_="source")


def _facts(group: Sequence[Reported]) -> Iterator[str]:
    finding = group[0].finding
    rows = list(_rows(group))
    yield tag("dl", "".join(rows)) if rows else ""
    if finding.evidence:
        told = any(fact.origin for fact in finding.evidence)
        head = f"<thead><tr><th>evidence</th><th>value</th>{'<th>from</th>' if told else ''}</tr></thead>"
        body = "".join(map(_fact, finding.evidence))
        yield tag("table", f"{head}<tbody>{body}</tbody>", class_="evidence")


def _rows(group: Sequence[Reported]) -> Iterator[str]:
    found = group[0]
    rows = [("help", found.finding.help), ("why", found.finding.why), ("graph", found.context)]
    rows += [("see", f"{message} ({loc.path})") for message, loc in found.finding.related]
    rows += [(f"same in {len(group) - 1} more", others(group))] if len(group) > 1 else []
    return (text("dt", name) + text("dd", said) for name, said in rows if said)


def _fact(fact: Evidence) -> str:
    origin = text("td", fact.origin) if fact.origin else ""
    return tag("tr", text("th", fact.label, scope="row") + text("td", shown(fact.value)) + origin)
