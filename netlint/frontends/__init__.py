"""Front ends: each turns one kind of target into a `Graph`."""

from __future__ import annotations

import os

LFS_POINTER = b"version https://git-lfs"
"""How a file begins that stands for one which git has not fetched."""


class TargetError(Exception):
    """A target cannot be analysed. The message continues a sentence that begins with the target's name."""

    def __init__(self, message: str, way_out: str) -> None:
        super().__init__(message)
        self.help = way_out

    def __reduce__(self) -> tuple[type[TargetError], tuple[str, str]]:
        """It travels between processes."""
        return type(self), (str(self), self.help)


class NetlintBug(TargetError):
    """netlint itself fails on a target; what is found in others is told all the same."""

    def __init__(
        self, message: str, way_out: str = "this is a bug in netlint; NETLINT_TRACEBACK=1 shows where. Please report it"
    ) -> None:
        super().__init__(message, way_out)


def bug(error: BaseException) -> NetlintBug:
    """An error of netlint's own, as that of the target at which it shows; with the traceback where that is wanted."""
    from traceback import format_exception

    wanted = os.environ.get("NETLINT_TRACEBACK")
    text = "".join(format_exception(error)) if wanted else f"{type(error).__name__}: {error}"
    return NetlintBug(f"makes netlint fail: {text}")
