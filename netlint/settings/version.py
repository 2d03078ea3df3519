"""`required-version = ">=0.3, <1"`: the releases of netlint that a settings file is written for."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

_CLAUSE = re.compile(r"\s*(>=|<=|==|!=|~=|>|<)\s*(\d+(?:\.\d+)*)\s*")

_Release = tuple[int, ...]

_HOLDS: dict[str, Callable[[_Release, _Release], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


def allows(required: str, version: str) -> bool | None:
    """Whether a version is among the required ones, by its release numbers; None if the text is no requirement."""
    clauses = [_CLAUSE.fullmatch(part) for part in required.split(",")]
    if not all(clauses):
        return None
    return all(_holds(clause[1], clause[2], version) for clause in clauses if clause)


def _holds(sign: str, wanted: str, version: str) -> bool:
    if sign == "~=":  # that release or a later one of the same series
        return _holds(">=", wanted, version) and _release(version)[: wanted.count(".")] == _release(wanted)[:-1]
    length = max(wanted.count("."), version.count(".")) + 1
    return _HOLDS[sign](_release(version, length), _release(wanted, length))


def _release(text: str, length: int = 0) -> _Release:
    match = re.match(r"\d+(?:\.\d+)*", text)
    numbers = tuple(map(int, match[0].split("."))) if match else ()
    return numbers + (0,) * (length - len(numbers))
