"""Where in a TOML text each key and value stands; tomllib does not tell.

The text must be valid TOML: the scanner only has to find where things end, not whether they are right.
"""

from __future__ import annotations

import re
import tomllib
from typing import TypeAlias

from netlint.config import KeyPath
from netlint.records import record

Span: TypeAlias = tuple[int, int]


@record
class Place:
    """Offsets in the text, from and to. The value of a table with a header is that header."""

    key: Span
    value: Span


def places(text: str) -> dict[KeyPath, Place]:
    """The place of every key, item and table of a valid TOML text."""
    return _Scanner(text.replace("\r\n", "\n")).scan()


def closest(found: dict[KeyPath, Place], path: KeyPath) -> Place | None:
    """The place of a path, or of the longest part of it that has one."""
    return next((found[path[:end]] for end in range(len(path), 0, -1) if path[:end] in found), None)


_BLANK = re.compile(r"(?:\s+|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d[^\s,\]}#]*|[^\s,\]}#]+")
"""A date and a time may have a space between them."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[KeyPath, Place] = {}
        self._lengths: dict[KeyPath, int] = {}
        """Of arrays of tables: how many headers there were."""

    def scan(self) -> dict[KeyPath, Place]:
        table: KeyPath = ()
        while self._next():
            if self._next() == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._found

    def _next(self) -> str:
        """The next character that is neither blank nor of a comment; empty at the end."""
        self._take(_BLANK)
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(f"no {pattern.pattern} at {self._at}: the text is not valid TOML")
        self._at = match.end()
        return match[0]

    def _skip(self, expected: str) -> bool:
        found = self._next() == expected
        self._at += found
        return found

    def _header(self) -> KeyPath:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 1 + is_array
        path: KeyPath = ()
        names = self._keys()
        for place, (name, span) in enumerate(names, 1):
            path = (*path, name)
            self._found.setdefault(path, Place(span, span))
            if is_array and place == len(names):
                self._lengths[path] = self._lengths.get(path, 0) + 1
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        self._at = self._text.index("]", self._at) + 1 + is_array
        self._found[path] = Place(names[-1][1], (start, self._at))
        return path

    def _pair(self, table: KeyPath) -> None:
        path = table
        names = self._keys()
        for name, span in names:
            path = (*path, name)
            self._found.setdefault(path, Place(span, span))
        self._skip("=")
        self._next()
        self._value(path, names[-1][1])

    def _keys(self) -> list[tuple[str, Span]]:
        """A key, dotted or not: each part with its place."""
        found = []
        while True:
            quoted = self._next() in ("'", '"')
            start = self._at
            text = self._take(_STRING if quoted else _BARE)
            found.append((tomllib.loads(f"x = {text}")["x"] if quoted else text, (start, self._at)))
            if not self._skip("."):
                return found

    def _value(self, path: KeyPath, key: Span | None = None) -> None:
        start, first = self._at, self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._take(_STRING if first in "'\"" else _SCALAR)
        span = (start, self._at)
        self._found[path] = Place(key or span, span)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        index = 0
        while not self._skip("]"):
            self._value((*path, index))
            self._skip(",")
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while not self._skip("}"):
            self._pair(path)
            self._skip(",")
