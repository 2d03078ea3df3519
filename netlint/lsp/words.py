"""What the editor shows when it is asked about a line: the finding, its reasons and the page of its rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netlint.report.json import JsonEvidence, JsonFinding

from .findings import Entry

_LISTED = 6


def page(entry: Entry, rule_page: str) -> str:
    """An entry in Markdown, with the page of its rule behind it."""
    head = f"**{entry.level}** `{entry.code}` {entry.message}" if entry.code else f"**{entry.level}** {entry.message}"
    facts = "\n".join(f"- {line}" for line in _facts(entry))
    return "\n\n".join(part for part in (head, facts, _lowered(rule_page)) if part)


def _facts(entry: Entry) -> Iterator[str]:
    if not entry.alike:
        return
    first = entry.alike[0]
    if first.why:
        yield f"**why**: {first.why}"
    if first.evidence:
        yield f"**evidence**: {'; '.join(map(_evidence, first.evidence))}"
    if first.help:
        yield f"**help**: {first.help}"
    if first.graph:
        yield f"**graph**: `{first.graph}`"
    yield f"**in**: {_places(entry.target, entry.alike)}"


def _evidence(fact: JsonEvidence) -> str:
    return f"{fact.label} {fact.value}" + (f" (from {fact.origin})" if fact.origin else "")


def _places(target: str, alike: Sequence[JsonFinding]) -> str:
    shown = ", ".join(f"`{finding.location.path}`" for finding in alike[:_LISTED])
    return f"`{target}` ▸ {shown}" + (f", +{len(alike) - _LISTED} more" if len(alike) > _LISTED else "")


def _lowered(markdown: str) -> str:
    """A page behind a rule, its headings below that of the hover; a `#` in code is none."""
    code = False
    lines = ["---", ""] if markdown else []
    for line in markdown.splitlines():
        code ^= line.startswith("```")
        lines.append(f"##{line}" if line.startswith("#") and not code else line)
    return "\n".join(lines)
