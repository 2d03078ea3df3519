"""Front ends: each turns one kind of target into a `Graph`."""

from __future__ import annotations

LFS_POINTER = b"version https://git-lfs"
"""How a file begins that stands for one which git has not fetched."""


class TargetError(Exception):
    """A target cannot be analysed. The message continues a sentence that begins with the target's name."""

    def __init__(self, message: str, way_out: str) -> None:
        super().__init__(message)
        self.help = way_out

    def __reduce__(self) -> tuple[type[TargetError], tuple[str, str]]:
        """It travels between processes."""
        return TargetError, (str(self), self.help)
