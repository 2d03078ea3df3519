"""Standard output: whether it wants colour, and what to do where it takes no more."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from .errors import ConfigError


def put(text: str) -> None:
    """Print a text that ends its last line itself. Raises `ConfigError` where standard output takes no more."""
    try:
        click.echo(text, nl=False, color=colours())
    except OSError as error:
        # Nobody reads on (`netlint … | head`), or the disk is full: keep the interpreter from flushing it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise ConfigError(f"cannot write to standard output: {error.strerror or error}") from None


_STYLES: dict[str, dict[str, Any]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "note": {"fg": "cyan", "bold": True},
    "frame": {"fg": "blue", "bold": True},
    "strong": {"bold": True},
    "mark": {"fg": "yellow"},
}


def painted(text: str, role: str) -> str:
    return click.style(text, **_STYLES[role])


def colours() -> bool:
    """Whether standard output wants colour: a terminal, unless NO_COLOR (https://no-color.org) is set."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (attended() and os.environ.get("TERM") != "dumb")


def attended() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()  # None: the caller closed it
