"""Run the examples in a rule's page: each says, line by line, what the rule must report, and nothing else.

An example is an ```onnx fence. `# want "text"` at the end of a line expects a finding there whose message has that
text; `# want note "text"` also expects the level; `# todo want "text"` marks a known gap and fails once the gap is
closed. A first line `# given loss=mse_loss targets=-1..1` sets the training contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .engine import Report, Reported, lint
from .frontends import TargetError
from .rule import Rule
from .training import parse_training

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_WANT = re.compile(r'#\s*(todo )?want (?:(error|warning|note) )?"([^"]*)"')
_OUTPUTS = re.compile(r"^\s*([\w./:-]+(?:\s*,\s*[\w./:-]+)*)\s*=")


@dataclass(frozen=True, slots=True)
class Want:
    """An expected finding: at the node that writes one of `outputs` (none: at the model itself)."""

    outputs: frozenset[str]
    level: str
    text: str
    todo: bool
    line: int


@dataclass(frozen=True, slots=True)
class Example:
    """One fence of a page."""

    section: str
    text: str
    given: dict[str, str]
    wants: tuple[Want, ...]


def examples(rule: Rule) -> list[Example]:
    """The ONNX examples of a rule's page, in order."""
    headings = [(match.start(), match[1]) for match in _HEADING.finditer(rule.page)]
    found = []
    for fence in _FENCE.finditer(rule.page):
        section = next((name for start, name in reversed(headings) if start < fence.start()), "")
        if fence[1] == "onnx":
            found.append(Example(section, fence[2], _given(fence[2]), tuple(_wants(fence[2]))))
    return found


def _given(text: str) -> dict[str, str]:
    first = text.lstrip().split("\n", 1)[0]
    if not first.startswith("# given "):
        return {}
    return dict(part.split("=", 1) for part in first.removeprefix("# given ").split())


def _wants(text: str) -> Iterator[Want]:
    for number, line in enumerate(text.splitlines(), 1):
        for match in _WANT.finditer(line):
            outputs = _OUTPUTS.match(line)
            names = frozenset(re.split(r"\s*,\s*", outputs[1])) if outputs else frozenset[str]()
            yield Want(names, match[2] or "", match[3], bool(match[1]), number)


def run(rule: Rule, example: Example) -> list[str]:
    """What differs from the example's expectations; empty if all is as expected."""
    from .frontends.onnx import load_text

    try:
        graph = load_text(example.text)
    except TargetError as error:
        return [str(error)]
    training = parse_training(example.given, lambda name: f"given {name}")
    return list(_compare(lint(graph, [rule], training), example))


def _compare(report: Report, example: Example) -> Iterator[str]:
    for crash in report.crashed:
        yield f"the rule crashed: {crash.error!r}"
    left = list(report.findings)
    for want in example.wants:
        hit = next((found for found in left if _matches(found, want)), None)
        if hit is not None:
            left.remove(hit)
        if hit is None and not want.todo:
            skipped = "".join(f" (skipped: {skip.why})" for skip in report.skipped)
            yield f'line {want.line}: expected "{want.text}"{skipped}'
        if hit is not None and want.todo:
            yield f'line {want.line}: "{want.text}" is reported now: turn the todo into a want'
    yield from (f"unexpected: {found.level} at {found.loc.path}: {found.finding.message}" for found in left)


def _matches(found: Reported, want: Want) -> bool:
    if want.text not in found.finding.message or want.level not in ("", str(found.level)):
        return False
    if found.op:
        return not want.outputs.isdisjoint(found.writes)
    # Without a node the path names what the line writes; the line of a signature writes nothing.
    return not want.outputs or bool(want.outputs & set(found.loc.path.split(" ▸ ")))
