"""The edit that silences a rule on a line: `# netlint: ignore[rule] reason`."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator, Sequence

REASON = "TODO: reason"
_IGNORE = re.compile(r"#\s*netlint:\s*ignore\[([^\]]*)(?=\])")


def insertion(lines: Sequence[str], number: int, rule: str) -> tuple[int, str] | None:
    """The column, from 0, and what to insert there on a line, from 0; None where no comment can stand."""
    if not 0 <= number < len(lines):
        return None
    line = lines[number].rstrip("\r\n")
    before = _IGNORE.search(line)
    if before is not None:
        names = [name.strip() for name in before[1].split(",") if name.strip()]
        return None if rule in names else (before.end(1), f", {rule}" if names else rule)
    column = len(line.rstrip())
    if line[:column].endswith("\\"):  # the statement goes on: nothing may follow
        return None
    text = f"  # netlint: ignore[{rule}] {REASON}"
    edited = [*lines[:number], line[:column] + text + "\n", *lines[number + 1 :]]
    return (column, text) if any(at == number + 1 and text[2:] in said for at, said in _comments(edited)) else None


def _comments(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The comments of a program with their lines, as far as it can be read: a `#` may also stand in a string."""
    try:
        for token in tokenize.generate_tokens(iter([*lines, ""]).__next__):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError, StopIteration):
        return
