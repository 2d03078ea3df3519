"""What the user names on the command line -> the models to lint, in order, each once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

from .frontends import TargetError
from .graph import Graph

SUFFIXES = (".onnx", ".onnxtxt")
STDIN = "-"
_PYTHON = re.compile(r"\.py:|^[\w.]+:\w+(\(|$)")
_NO_PYTHON = ("is a Python target, which this version does not read", "export the model with torch.onnx.export")
_MAX_STDIN = 2 << 30


def expand(texts: Iterable[str]) -> Iterator[str | tuple[str, TargetError]]:
    """Files to lint; what leads to none comes with the reason. Folders are searched, links not followed."""
    seen: set[str] = set()
    for text in texts:
        try:
            found = [text] if text == STDIN else _expand(text)
        except TargetError as error:
            yield text, error
            continue
        for target in found:
            path = os.path.normpath(target)
            if path not in seen:
                seen.add(path)
                yield target


def _expand(text: str) -> list[str]:
    if "\0" in text:
        raise TargetError("is not a path", "name a model file")
    if os.path.isdir(text):
        found = sorted(_models_below(Path(text)))
        if not found:
            raise TargetError(f"holds no model ({' or '.join(SUFFIXES)})", "name a folder with models, or a file")
        return found
    if os.path.lexists(text):
        return [text]
    if has_magic(text):
        matches = sorted(glob(text, recursive=True))
        if not matches:
            raise TargetError("matches no file", "check the pattern")
        return [target for match in matches for target in (_expand(match) if os.path.isdir(match) else [match])]
    if _PYTHON.search(text):
        raise TargetError(*_NO_PYTHON)
    raise TargetError("does not exist", "check the path")


def _models_below(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (str(Path(parent) / name) for name in files if name.endswith(SUFFIXES))


def load(target: str) -> Graph:
    """The graph of a target. Raises `TargetError`."""
    from .frontends import onnx

    if target == STDIN:
        return _load_stdin()
    if target.endswith((".pt", ".pth", ".pt2", ".ckpt", ".safetensors", ".h5", ".keras", ".tflite", ".pb")):
        raise TargetError("is not an ONNX model", "export it to ONNX, e.g. with torch.onnx.export")
    if target.endswith(".py"):
        raise TargetError(*_NO_PYTHON)
    return onnx.load(Path(target))


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
