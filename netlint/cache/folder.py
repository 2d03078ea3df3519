"""The folder in which results lie: one file each, written as a whole, the oldest dropped when they grow too many.

Whatever is wrong with the folder or with a file in it, the answer is that nothing is stored.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator

from .stamps import digest

NAME = ".netlint_cache"
MAX_BYTES = 64 << 20
MAX_ENTRIES = 5000
MAX_ENTRY = 16 << 20
"""A longer result is not worth reading back."""

_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Results of netlint; see https://bford.info/cachedir/\n"
_ENTRY = r"(rules-)?[0-9a-f]{40}\.json|\.(rules-)?[0-9a-f]{40}\.\d+"
"""Names of entries, and of entries that are being written."""


class Folder:
    """A folder of entries by name. It is made when the first is written."""

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        """The content of an entry; None if there is none, or if it is not as it was written."""
        try:
            with open(self._file(name), "rb", opener=_opened) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_ENTRY:
                    return None
                written, _, data = file.read().partition(b"\n")
        except OSError:
            return None
        return data if written == digest(data).encode() else None

    def write(self, name: str, data: bytes) -> None:
        """Store an entry, or do nothing where that cannot be."""
        if len(data) > MAX_ENTRY:
            return
        partial = os.path.join(self.path, f".{name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._prepare()
            try:
                with open(partial, "xb") as file:
                    file.write(digest(data).encode() + b"\n" + data)
                os.replace(partial, self._file(name))
            except OSError:  # the disk is full, say
                os.unlink(partial)

    def prune(self) -> None:
        """Drop the oldest entries until three quarters of what is allowed are left."""
        with contextlib.suppress(OSError):
            entries = sorted(self._entries(), reverse=True)
            if len(entries) <= MAX_ENTRIES and sum(size for _, size, _ in entries) <= MAX_BYTES:
                return
            kept = 0
            for count, (_, size, path) in enumerate(entries):
                kept += size
                if count >= 3 * MAX_ENTRIES // 4 or kept > 3 * MAX_BYTES // 4:
                    os.unlink(path)

    def _file(self, name: str) -> str:
        return os.path.join(self.path, f"{name}.json")

    def _entries(self) -> Iterator[tuple[int, int, str]]:
        """Time, size and path of each file of ours."""
        with os.scandir(self.path) as found:
            for entry in found:
                if re.fullmatch(_ENTRY, entry.name):
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime_ns, status.st_size, entry.path

    def _prepare(self) -> None:
        """Make the folder, marked as one that neither backups nor version control need. Raises OSError."""
        if os.path.isdir(self.path):
            return
        os.makedirs(self.path)
        for name, text in ((".gitignore", "*\n"), ("CACHEDIR.TAG", _TAG)):
            with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
                file.write(text)


def _opened(path: str, flags: int) -> int:
    """Never a link, which may lead anywhere, nor waiting for a pipe, which may never end."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def usable(path: str) -> bool:
    """Whether a folder nobody named may be trusted: no link, which may have come with a checkout, and one's own."""
    try:
        status = os.lstat(path)
    except OSError:
        return True  # it will be made
    return stat.S_ISDIR(status.st_mode) and status.st_uid == getattr(os, "geteuid", lambda: status.st_uid)()
