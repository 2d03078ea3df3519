"""What the user names on the command line -> the models to lint, in order, each once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from .capture import python_target
from .errors import get_close_matches
from .frontends import TargetError

if TYPE_CHECKING:
    from .frontends.onnx.external import ExternalFiles
    from .graph import Graph

SUFFIXES = (".onnx", ".onnxtxt", ".pt2")
CHECKPOINTS = (".pt", ".pth", ".ckpt")
STDIN = "-"
OTHERS = {
    ".safetensors": ("holds weights alone", "name what makes the model, such as net.py:Net"),
    **dict.fromkeys((".h5", ".keras", ".tflite", ".pb"), ("is not an ONNX model", "convert it, e.g. with tf2onnx")),
}
"""What files of other formats are, and the way out."""
_MAX_STDIN = 2 << 30
_MAX_SOURCE = 4 << 20
_CLASS = r"(?m)^class\s+(\w+)\s*\(.*\b\w*Module\w*\b.*\)\s*:"


def expand(texts: Iterable[str]) -> Iterator[str | tuple[str, TargetError]]:
    """Targets to lint; what leads to none comes with the reason. Folders are searched, links not followed."""
    seen: set[str] = set()
    for text in texts:
        try:
            found = [text] if text == STDIN else _expand(text)
        except TargetError as error:
            yield text, error
            continue
        for target in found:
            path = target if is_python(target) else os.path.normpath(target)
            if path not in seen:
                seen.add(path)
                yield target


def is_python(target: str) -> bool:
    """Whether a target is Python code that makes a model. A file of that name goes before."""
    try:
        return not os.path.lexists(target) and python_target(target) is not None
    except TargetError:
        return False


def _expand(text: str) -> list[str]:
    if "\0" in text:
        raise TargetError("is not a path", "name a model file")
    if os.path.isdir(text):
        _check_readable(text)
        found = sorted(_models_below(Path(text)))
        if not found:
            raise TargetError(f"holds no model ({', '.join(SUFFIXES)})", "name a folder with models, or a file")
        return found
    if os.path.lexists(text):
        return [text]
    if python_target(text) is not None:
        return [text]
    if has_magic(text):
        matches = sorted(glob(text, recursive=True))
        if not matches:
            raise TargetError("matches no file", "check the pattern")
        return [target for match in matches for target in (_expand(match) if os.path.isdir(match) else [match])]
    if "://" in text:
        raise TargetError("is an address, and netlint reads files alone", "fetch the file first")
    raise TargetError("does not exist", _similar(Path(text)) or "check the path")


def _similar(missing: Path) -> str:
    """What in the same folder was perhaps meant; that two names end in `.onnx` says nothing."""
    try:
        beside = [entry.name for entry in os.scandir(missing.parent)]
    except (OSError, ValueError):
        return ""
    found = get_close_matches(missing.name, beside, n=1, cutoff=0.8)
    return f"did you mean {missing.parent / found[0]}?" if found else ""


def _check_readable(folder: str) -> None:
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise TargetError(f"cannot be read: {error.strerror or error}", "check its permissions") from None


def _models_below(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (str(Path(parent) / name) for name in files if name.endswith(SUFFIXES))


def load(target: str, external: ExternalFiles | None = None) -> Graph:
    """The graph in a model file, or on standard input. Runs no code of a user's. Raises `TargetError`.

    `external` remembers which other files the model names.
    """
    from .frontends import onnx

    if target == STDIN:
        return _load_stdin()
    if target.endswith(".pt2"):
        from .frontends.pt2 import load as load_pt2

        return load_pt2(Path(target))
    if target.endswith(".py"):
        raise TargetError(*_name_in(Path(target)))
    if target.endswith(CHECKPOINTS):
        from .checkpoints import describe

        raise TargetError(
            f"holds {describe(Path(target))}; netlint runs no pickle",
            "name what makes the model: --factory net.py:Net loads the weights into it",
        )
    if (other := OTHERS.get(Path(target).suffix)) is not None:
        raise TargetError(*other)
    return onnx.load(Path(target), external)


def _name_in(file: Path) -> tuple[str, str]:
    """Why a file of Python alone is no target, and what in it could be meant."""
    try:
        names = re.findall(_CLASS, file.read_text("utf-8", "replace")) if file.stat().st_size <= _MAX_SOURCE else []
    except OSError as error:
        return f"cannot be read: {error.strerror or error}", "check the path"
    example = " or ".join(f"{file}:{name}" for name in names[-2:]) or f"{file}:Net"
    return "is Python, and may hold many models", f"name a class, or a function that makes the model: {example}"


def _load_stdin() -> Graph:
    import sys

    from .frontends import onnx

    if sys.stdin is None:  # the caller closed it
        raise TargetError("is closed", "pipe a model into it")
    data = sys.stdin.buffer.read(_MAX_STDIN + 1)
    if len(data) > _MAX_STDIN:
        raise TargetError("is longer than a model can be (2 GiB)", "save it to a file with external data")
    if data.lstrip()[:1] == b"<" and b"ir_version" in data[:4096]:
        return onnx.load_text(data.decode("utf-8", "replace"))
    return onnx.load_bytes(data)
