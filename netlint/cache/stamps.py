"""Whether the files that a report rests on are still what they were.

A file whose size, times and inode are the same is taken for unchanged, as git and Ruff do, unless it had been written
so shortly before it was stamped that a later write could have left the same time. Then, and where only the stamp
differs, the content decides: of files that are not too large to be read again it is stored as a digest.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import NamedTuple

try:
    from _blake2 import blake2b  # hashlib would load OpenSSL as well, at the cost of a tenth of a run
except ImportError:
    from hashlib import blake2b

RACY_NS = 2_000_000_000
"""The coarsest time stamps of common file systems (FAT) have two seconds."""
MAX_DIGESTED = 16 << 20
"""Larger files are not read only to know their content."""

MISSING = -1


class Stamp(NamedTuple):
    """What was seen of a file."""

    size: int
    """Bytes; `MISSING` if there was no file."""
    mtime: int
    ctime: int
    inode: int
    recent: bool
    """Whether it had just been written."""

    @property
    def identity(self) -> tuple[int, int, int, int]:
        return self[:4]


def stamp(path: str) -> Stamp | None:
    """What a file looks like now; None if it is nothing whose content can be known."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return Stamp(MISSING, 0, 0, 0, False)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    recent = max(status.st_mtime_ns, status.st_ctime_ns) > time.time_ns() - RACY_NS
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, recent)


def digest(data: bytes) -> str:
    """A hash of content; two contents that differ never share one."""
    return blake2b(data, digest_size=20).hexdigest()


class Seen(NamedTuple):
    """A file that a report rests on, as it was."""

    name: str
    """As the model names it, seen from its folder; empty for the model itself."""
    stamp: Stamp
    digest: str
    """Of the content; empty where the file is missing or too large."""
    places: tuple[str, str]
    """Where it really lies, links followed, as seen from the model and from the file that the model links to."""


def see(model: str, name: str = "") -> Seen | None:
    """What a file looks like now and holds; None if that cannot be known."""
    path = _path(model, name)
    now = stamp(path)
    if now is None or (now.recent and now.size > MAX_DIGESTED):
        return None
    try:
        return Seen(name, now, _content(path, now), _places(model, path))
    except OSError:
        return None


def renewed(model: str, before: Seen) -> Seen | None:
    """What was seen of a file, with its stamp of now; None if the file may have changed."""
    path = _path(model, before.name)
    now = stamp(path)
    if now is None or now.size != before.stamp.size or _places(model, path) != before.places:
        return None
    if now.identity == before.stamp.identity and not before.stamp.recent:
        return before
    return before._replace(stamp=now) if before.digest and _content(path, now) == before.digest else None


def _path(model: str, name: str) -> str:
    return str(Path(model).parent / name) if name else model


def _content(path: str, seen: Stamp) -> str:
    if not 0 <= seen.size <= MAX_DIGESTED:
        return ""
    with open(path, "rb") as file:
        return digest(file.read())


def _places(model: str, path: str) -> tuple[str, str]:
    if path == model:
        return "", ""
    real = os.path.realpath(path)
    folders = os.path.realpath(os.path.dirname(model) or "."), os.path.dirname(os.path.realpath(model))
    return os.path.relpath(real, folders[0]), os.path.relpath(real, folders[1])
