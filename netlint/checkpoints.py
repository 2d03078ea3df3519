"""What a `.pt` or `.pth` file holds, read off its pickle's opcodes: nothing is unpickled."""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path

from .frontends import TargetError

_MAX_PICKLE = 64 << 20
_OF_WEIGHTS: tuple[str, ...] = (
    "collections ",
    "torch._utils ",
    "torch ",
    "torch.storage ",
    "numpy ",
    "numpy.core.multiarray ",
)
_OF_WEIGHTS += ("torch._tensor ", "torch.serialization ", "_codecs ", "torch.nn.parameter ", "builtins ")


def describe(file: Path) -> str:
    """A few words on what is in the file: `weights without a model`, `a pickled net.Net` … Raises `TargetError`."""
    try:
        with file.open("rb") as stream:
            head = stream.read(64)
        if head.startswith(b"version https://git-lfs"):
            raise TargetError("is a Git LFS pointer, not the weights themselves", "git lfs pull")
        if head.startswith(b"PK\x03\x04"):
            return _archive(file)
        if head.startswith(b"\x80"):
            return _pickle(file.read_bytes()[:_MAX_PICKLE])
    except OSError as error:
        raise TargetError(f"cannot be read: {error.strerror or error}", "check the path") from None
    raise TargetError("is not what torch.save writes" if head else "is empty", "save it again")


def _archive(file: Path) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if any("/code/" in name for name in names):
                return "a TorchScript program"
            stored = next((name for name in names if name.endswith("/data.pkl")), None)
            if stored is None or archive.getinfo(stored).file_size > _MAX_PICKLE:
                return "an archive that torch.save did not write" if stored is None else "a very large pickle"
            return _pickle(archive.read(stored))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        raise TargetError("is a damaged archive", "copy or save it again") from None


def _pickle(data: bytes) -> str:
    strange = next((name for name in _globals(data) if not name.startswith(_OF_WEIGHTS)), None)
    return f"a pickled {strange.replace(' ', '.')}" if strange else "weights without a model"


def _globals(data: bytes) -> Iterator[str]:
    """The names that unpickling would import, `module name` each, as far as the opcodes can be read."""
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "GLOBAL":
                yield str(argument)
            elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
                yield f"{texts[-2]} {texts[-1]}"
            elif isinstance(argument, str):
                texts = [*texts[-1:], argument]
    except Exception:
        return  # a damaged pickle, or one of several in a row: what was read so far is told
