"""The edit that silences a rule on a line: `# netlint: ignore[rule] reason`."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

from netlint.comments import comments

REASON = "TODO: reason"
_IGNORE = re.compile(r"#\s*netlint:\s*ignore\s*\[([^\]#]*)(?=\])")


@dataclass(frozen=True, slots=True)
class Insertion:
    """Text to insert; line and column are counted from 0, the column in characters."""

    line: int
    column: int
    text: str


def insertion(lines: Sequence[str], number: int, rule: str) -> Insertion | None:
    """What silences a rule on a line, counted from 0: there or where its statement ends.

    None where that cannot be done, or is done already.
    """
    if not 0 <= number < len(lines) or _ignores(lines, number, rule):
        return None
    for edit in (_at(lines[number], number, rule), *_at_the_end(lines, number, rule)):
        line = lines[edit.line]
        if line[: edit.column].endswith("\\"):
            continue  # the tokenizer of some versions lets a comment follow, the compiler of none does
        edited = line[: edit.column] + edit.text + line[edit.column :]
        if _ignores([*lines[: edit.line], edited, *lines[edit.line + 1 :]], number, rule):
            return edit
    return None


def _at(line: str, number: int, rule: str) -> Insertion:
    """A name more in the comment of a line, or a comment of its own."""
    before = _IGNORE.search(line)
    if before is not None:
        return Insertion(number, before.end(1), f", {rule}" if before[1].strip() else rule)
    return Insertion(number, len(line.rstrip()), f"  # netlint: ignore[{rule}] {REASON}")


def _at_the_end(lines: Sequence[str], number: int, rule: str) -> list[Insertion]:
    """On the last line of the statement: no comment can stand behind a backslash or in a string."""
    try:
        for token in tokenize.generate_tokens(iter([*lines, ""]).__next__):
            if token.type == tokenize.NEWLINE and token.start[0] > number:
                return [_at(lines[token.start[0] - 1], token.start[0] - 1, rule)]
    except (tokenize.TokenError, SyntaxError, StopIteration):
        pass
    return []


def _ignores(lines: Sequence[str], number: int, rule: str) -> bool:
    return any(rule in comment.names and number + 1 in comment.covers for comment in comments("".join(lines)))
