"""Comments in source code that silence findings: `# netlint: ignore[log-domain, INI001] the reason`.

A comment covers the statement that it stands in; alone on its line it covers the statement that follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO

from .finish import MARK
from .records import record

_ASKS = re.compile(r"#\s*netlint:\s*ignore\b\s*(?:\[(?P<names>[^\]#]*)\])?(?P<reason>[^#]*)")


@record
class Comment:
    """One comment, as it stands in a file."""

    line: int
    names: tuple[str, ...]
    """The rules it names; none where it has no brackets, or nothing in them."""
    reason: str
    covers: range
    """The lines, counted from 1, of the statement it is about."""


def comments(text: str) -> list[Comment]:
    """The comments in a Python file that silence findings; what looks like one inside a string is none."""
    if MARK not in text:
        return []
    asking = list(_ASKS.finditer(text))  # some of them inside strings
    return list(_comments(text, text.count("\n", 0, asking[-1].start()) + 1)) if asking else []


def _comments(text: str, last: int) -> Iterator[Comment]:
    """Those up to the end of the statement that the line `last` is in: it takes longer to read on than to find them."""
    import tokenize

    waiting: list[tuple[int, re.Match[str]]] = []
    start = 0
    try:
        for token in tokenize.generate_tokens(StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                waiting += [(token.start[0], asks) for asks in _ASKS.finditer(token.string)]
            elif token.type == tokenize.NEWLINE:
                yield from (_comment(line, asks, range(start, token.start[0] + 1)) for line, asks in waiting)
                waiting, start = [], 0
                if token.start[0] > last:
                    return
            elif token.type not in (tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
                start = start or token.start[0]
    except (tokenize.TokenError, SyntaxError):
        pass  # half a file, or no Python: what was found so far counts
    yield from (_comment(line, asks, range(line, line + 1)) for line, asks in waiting)


def _comment(line: int, asks: re.Match[str], covers: range) -> Comment:
    names = tuple(name.strip() for name in (asks["names"] or "").split(",") if name.strip())
    return Comment(line, names, asks["reason"].strip(" \t:-–—"), covers)
