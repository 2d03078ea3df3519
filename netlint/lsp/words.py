"""What the editor shows when it is asked about a line: the finding, its reasons and the page of its rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netlint.report.json import JsonEvidence, JsonFinding
from netlint.report.markdown import literal
from netlint.report.wording import clean, shown

from .findings import Entry

_LISTED = 6


def page(entry: Entry, rule_page: str) -> str:
    """An entry in Markdown, with the page of its rule behind it."""
    code = f" `{entry.code}`" if entry.code else ""
    head = f"**{entry.level}**{code} {literal(entry.message)}"
    facts = "\n".join(f"- **{name}**: {said}" for name, said in _facts(entry) if said)
    return "\n\n".join(part for part in (head, facts, _lowered(rule_page)) if part)


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    if not entry.alike:
        return
    first = entry.alike[0]
    yield "why", literal(first.why)
    yield "evidence", "; ".join(map(_evidence, first.evidence))
    yield "help", literal(first.help)
    yield "graph", _code(first.graph)
    yield "in", f"{_code(entry.target)} ▸ {_places(entry.alike)}"


def _evidence(fact: JsonEvidence) -> str:
    return literal(f"{fact.label} {shown(fact.value)}" + (f" (from {fact.origin})" if fact.origin else ""))


def _places(alike: Sequence[JsonFinding]) -> str:
    listed = ", ".join(_code(finding.location.path) for finding in alike[:_LISTED])
    return listed + (f", +{len(alike) - _LISTED} more" if len(alike) > _LISTED else "")


def _code(text: str) -> str:
    """Text of a model as code, which it cannot end."""
    return f"`{clean(text).replace('`', chr(39))}`" if text else ""


def _lowered(markdown: str) -> str:
    """A page behind a rule, its headings below that of the hover; a `#` in code is none."""
    code = False
    lines = ["---", ""] if markdown else []
    for line in markdown.splitlines():
        code ^= line.startswith("```")
        lines.append(f"##{line}" if line.startswith("#") and not code else line)
    return "\n".join(lines)
