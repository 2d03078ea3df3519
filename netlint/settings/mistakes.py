"""How a mistake in a settings file is told: with its line, and a caret. Imported when there is one."""

from __future__ import annotations

import re

from netlint.config import KeyPath, Mistake

from .locate import Place, closest, places

_WIDEST = 120


def told(shown: str, text: str, path: KeyPath, mistake: Mistake) -> str:
    """`netlint.toml:3:1: message`, then the line with a caret under the key or the value."""
    text = text.replace("\r\n", "\n")
    place = _place(text, path)
    if place is None:
        return _plain(f"{shown}: {mistake}")
    start, end = place.key if mistake.at_key else place.value
    return _marked(shown, text, start, end, str(mistake))


def syntax(shown: str, text: str, error: Exception) -> str:
    """The same for what is not TOML at all: tomllib tells line and column in words."""
    text = text.replace("\r\n", "\n")
    message = re.sub(r" \(at .*\)$", "", str(error))
    match = re.search(r"\(at line (\d+), column (\d+)\)$", str(error))
    start = len(text.rstrip())
    if match is not None:
        starts = [0, *(newline.end() for newline in re.finditer("\n", text))]
        start = starts[int(match[1]) - 1] + int(match[2]) - 1
    if start and text[start : start + 1] in ("", "\n"):
        start -= 1  # the mistake is that the line ends
    return _marked(shown, text, start, start + 1, f"not valid TOML: {message[:1].lower()}{message[1:]}")


def _place(text: str, path: KeyPath) -> Place | None:
    """The place of a path, or of the closest table around it."""
    try:
        return closest(places(text), path)
    except RecursionError:
        return None


def line_of(text: str, path: KeyPath) -> int | None:
    """The line, counted from 1, of a path's key."""
    text = text.replace("\r\n", "\n")
    place = _place(text, path)
    return None if place is None else text.count("\n", 0, place.key[0]) + 1


def _marked(shown: str, text: str, start: int, end: int, message: str) -> str:
    line_start = text.rfind("\n", 0, start) + 1
    line = text[line_start:].partition("\n")[0]
    number, column = text.count("\n", 0, start) + 1, start - line_start
    margin = " " * len(str(number))
    length = max(1, min(end - start, len(line) - column))
    cut = max(0, column - _WIDEST // 2)  # a very long line is shown around the mistake
    visible = "".join(char if char.isprintable() else " " for char in line[cut : cut + _WIDEST])
    caret = " " * (column - cut) + "^" * min(length, _WIDEST - (column - cut))
    return (
        f"{_plain(f'{shown}:{number}:{column + 1}: {message}')}\n{margin} |\n{number} | {visible}\n{margin} | {caret}"
    )


def _plain(text: str) -> str:
    """Text from the file in one line, without what terminals obey."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
