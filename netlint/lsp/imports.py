"""Which files of the user's a Python file is made of: itself and what its import statements lead to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

MOST_FILES = 1000


class Imports:
    """Files and what they import; each file is parsed again when it has changed."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[Stamp, list[tuple[int, str]]]] = {}

    def closure(self, file: Path, folder: Path) -> set[Path]:
        """A file and all that it imports, directly or not, from its package, from beside it or from a folder."""
        roots = {folder, _package_root(file)}
        found, waiting = {file}, [file]
        while waiting and len(found) < MOST_FILES:
            importing = waiting.pop()
            for level, dotted in self._imports(importing):
                bases = {importing.parents[level - 1]} if level and level <= len(importing.parents) else roots
                new = {path for base in bases for path in _files(base, dotted)} - found
                found |= new
                waiting += sorted(new)
        return found

    def _imports(self, file: Path) -> list[tuple[int, str]]:
        """The level (0: absolute) and name of each import; while a file does not parse, those it had before."""
        now = stamp(file)
        before = self._read.get(file)
        if before is None or before[0] != now:
            try:
                found = list(_imported(ast.parse(file.read_bytes())))
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
                found = before[1] if before else []
            self._read[file] = (now, found)
        return self._read[file][1]


Stamp = tuple[int, int]


def stamp(file: Path) -> Stamp:
    """Differs when the file has been written: the time and its size; (0, 0) where there is none."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield node.level, module
            yield from ((node.level, f"{module}.{name.name}".lstrip(".")) for name in node.names)


def _files(base: Path, dotted: str) -> Iterator[Path]:
    """The files that importing a dotted name from a folder executes."""
    place = base
    for part in dotted.split(".") if dotted else []:
        place = place / part
        for file in (place / "__init__.py", place.with_name(part + ".py")):
            if file.is_file():
                yield file
    if not dotted and (base / "__init__.py").is_file():
        yield base / "__init__.py"


def _package_root(file: Path) -> Path:
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder
