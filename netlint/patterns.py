"""Patterns of targets in the settings, as people write them for git, Ruff and ESLint."""

from __future__ import annotations

from fnmatch import fnmatch

ANY_DEPTH = "**/"


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern means a target, or a folder that it lies in; both are ways from the folder of the settings.

    `*` stands for slashes, too, and `**/` for no folder as well. A name that is spelled out needs no escapes.
    """
    pattern = pattern.removeprefix("./").rstrip("/")
    return any(way == pattern or _fits(way, pattern) for way in _ways(name))


def _ways(name: str) -> list[str]:
    """The name, and the folders above it."""
    ends = [place for place, sign in enumerate(name) if sign == "/"]
    return [name, *(name[:end] for end in ends if end)]


def _fits(name: str, pattern: str) -> bool:
    before, found, behind = pattern.partition(ANY_DEPTH)
    if not found or (before and not before.endswith("/")):
        return fnmatch(name, pattern)
    return _fits(name, before + behind) or _fits(name, f"{before}*/{behind}")
