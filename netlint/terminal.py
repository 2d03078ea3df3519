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


def linked(text: str, address: str) -> str:
    """A text that leads to an address, as terminals understand it (OSC 8)."""
    return f"\x1b]8;;{address}\x1b\\{text}\x1b]8;;\x1b\\"


_PROGRAMS = frozenset({"iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio"})
_TERMINALS = frozenset({"xterm-kitty", "xterm-ghostty", "alacritty"})


def hyperlinks() -> bool:
    """Whether standard output is a terminal known to show links; FORCE_HYPERLINK=1 or =0 decides for any terminal.

    Multiplexers may not pass links on: inside tmux and screen there are none.
    """
    env = os.environ
    if not attended() or env.get("TERM") == "dumb":
        return False
    if forced := env.get("FORCE_HYPERLINK"):
        return forced != "0"
    if env.get("TMUX") or env.get("STY") or env.get("CI"):
        return False
    named = env.get("TERM_PROGRAM") in _PROGRAMS or env.get("TERM") in _TERMINALS or bool(env.get("WT_SESSION"))
    return named or _at_least("VTE_VERSION", 5000) or _at_least("KONSOLE_VERSION", 201200)


def _at_least(variable: str, version: int) -> bool:
    value = os.environ.get(variable, "")
    return value.isdecimal() and int(value) >= version


def attended() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()  # None: the caller closed it
