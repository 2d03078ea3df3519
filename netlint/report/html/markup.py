"""Text as HTML."""

from __future__ import annotations

from html import escape
from typing import Any

from netlint.report.wording import clean


def escaped(value: Any) -> str:
    """Any text, safe in HTML, in an attribute, too; control characters and changes of direction are spelled out."""
    return escape(clean(str(value)), quote=True)


def tag(name: str, content: str, **attributes: str) -> str:
    """An element around markup; attributes are texts, a trailing underscore spares Python's keywords."""
    listed = "".join(f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"' for key, value in attributes.items())
    return f"<{name}{listed}>{content}</{name}>"


def text(name: str, content: Any, **attributes: str) -> str:
    """An element around a text."""
    return tag(name, escaped(content), **attributes)
