"""The user's own mistakes: the message of each names the mistake and the way out, and is all that is printed."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can put right."""


class ConfigError(UserError):
    """A setting cannot be understood; the message names the file, the key and the way out."""


class ContractError(UserError, ValueError):
    """A field of the training contract cannot be understood; the message names the field and the way out."""


class RegistryError(UserError):
    """Rules that break the conventions, or a plugin that cannot be loaded; the message lists all of it."""


class UnknownRule(UserError, LookupError):
    """No rule has that code or name; the message suggests one."""


def said(error: BaseException) -> str:
    """The text of an exception; that of a user's own class may fail itself."""
    try:
        return str(error)
    except Exception:
        return "its text cannot be made"


def first_line(error: BaseException) -> str:
    """What is wrong, short: errors of torch and onnxruntime go on with advice for their developers."""
    return (said(error).strip().splitlines() or [type(error).__name__])[0][:300]


def get_close_matches(word: str, known: Iterable[str], n: int = 3, cutoff: float = 0.6) -> list[str]:
    """What may have been meant; `difflib` is imported only where there is a mistake to tell of."""
    from difflib import get_close_matches as matches

    return matches(word, list(known), n, cutoff)
