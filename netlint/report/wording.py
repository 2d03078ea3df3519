"""How reports spell what they hold: text of a model that is safe to print, numbers, evidence, counts."""

from __future__ import annotations

import re
from typing import Any

from netlint.reported import Cut
from netlint.rule import Evidence

# Control characters, line separators, changes of writing direction, and what no encoding and no XML holds.
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
_LONGEST = 400


def clean(text: str, longest: int = _LONGEST) -> str:
    """Text from a model file, safe to print: bounded, and free of the control characters that terminals obey."""
    if len(text) > longest:
        text = text[:longest] + "…"
    if text.isprintable():  # then it has none of them
        return text
    return re.sub(_CONTROL, lambda match: match[0].encode("unicode_escape").decode(), text)


def evidence(fact: Evidence) -> str:
    """A fact in one line, with who said so."""
    origin = f" (from {fact.origin})" if fact.origin else ""
    return clean(f"{fact.label} {shown(fact.value)}{origin}")


def shown(value: Any) -> str:
    """Plain data as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items())
    return str(value)


def stated(value: Any) -> str:
    """A field of the training contract."""
    return str(getattr(value, "name", value))


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def broken_off(cut: Cut) -> str:
    """Where the analysis of ranges ends."""
    more = f" and {cut.others} more" if cut.others else ""
    return f"not analysed behind {clean(cut.op)} at {clean(cut.at.path)}{more} ({plural(cut.nodes, 'node')})"
