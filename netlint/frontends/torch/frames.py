"""Where in the source a call stands, and in which module."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, TracebackType
from weakref import WeakKeyDictionary

import torch
from torch import nn

from netlint.frontends.torch.errors import Lost
from netlint.graph import Location

Line = tuple[str, int]

_SKIPPED, _LIBRARY, _USER, _BENEATH = range(4)

_HERE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "")
_TORCH = os.path.join(os.path.dirname(os.path.abspath(torch.__file__)), "")
_OPERATORS = tuple(
    os.path.join(_TORCH, name) for name in ("_refs", "_prims", "_prims_common", "_decomp", "_meta_registrations.py")
)
"""Here torch works out single operators."""
_STDLIB = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib"))
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_GENERATED = ("<frozen", "<string>", "<eval_with_key>", "<attrs generated", "<__array_function__", "<lambdifygenerated")

_kinds: dict[str, int] = {}
_paths: dict[str, str] = {}

# Every call of a module passes here; what stands further out belongs to the modules around it.
_MODULE_CALLS: frozenset[CodeType] = frozenset(
    {nn.Module._wrapped_call_impl.__code__, nn.Module._call_impl.__code__}  # type: ignore[attr-defined]
)
_ends: set[CodeType] = set()

BORN: WeakKeyDictionary[nn.Module, Line] = WeakKeyDictionary()
"""The line that made a module; of modules that `build` made."""


def ends_here(code: CodeType) -> None:
    """Frames of this function and further out are not the model's."""
    _ends.add(code)


def kind_of(filename: str) -> int:
    kind = _kinds.get(filename)
    if kind is None:
        kind = _kinds[filename] = _classified(filename)
    return kind


def is_users(filename: str) -> bool:
    return kind_of(filename) == _USER


def files() -> list[str]:
    """The files of users and libraries that calls came from so far."""
    return [filename for filename, kind in _kinds.items() if kind in (_USER, _LIBRARY)]


def _classified(filename: str) -> int:
    if filename.startswith(_GENERATED):
        return _SKIPPED
    path = os.path.abspath(filename)
    if path.startswith((_HERE, _TORCH)):
        return _BENEATH if path.startswith(_OPERATORS) else _SKIPPED
    if any(part in path for part in _INSTALLED):
        return _LIBRARY
    return _SKIPPED if path.startswith(_STDLIB) else _USER


def _line(filename: str, number: int) -> Line:
    path = _paths.get(filename)
    if path is None:
        path = _paths[filename] = filename if filename.startswith("<") else os.path.abspath(filename)
    return path, number


def here(depth: int = 1) -> Line | None:
    """The line that the caller was called from: the innermost of the user's inside the innermost module that has one.

    Where the innermost module with any line is a library's, that line. Raises `Lost` if torch called itself, to work
    out an operator that reached it unseen.
    """
    frame: FrameType | None = sys._getframe(depth)
    library: FrameType | None = None
    while frame is not None:
        code = frame.f_code
        if code in _ends:
            break
        if library is not None and code in _MODULE_CALLS:
            break
        kind = _kinds.get(code.co_filename)
        if kind is None:
            kind = kind_of(code.co_filename)
        if kind == _USER:
            return _line(code.co_filename, frame.f_lineno)
        if kind == _LIBRARY and library is None:
            library = frame
        elif kind == _BENEATH:
            raise Lost
        frame = frame.f_back
    return None if library is None else _line(library.f_code.co_filename, library.f_lineno)


def caller() -> FrameType | None:
    """The frame that called torch, or that is part of torch and called the recorder."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return frame


def by_torch() -> bool:
    """Whether it is torch's own Python code that called."""
    frame = caller()
    return frame is not None and os.path.abspath(frame.f_code.co_filename).startswith(_TORCH)


def line_of(traceback: TracebackType | None) -> Line | None:
    """The innermost line of the user's in a traceback, or else of a library's."""
    user: Line | None = None
    library: Line | None = None
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        kind = kind_of(filename)
        if kind == _USER:
            user = _line(filename, traceback.tb_lineno)
        elif kind == _LIBRARY:
            library = _line(filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return user or library


_asked: list[Line | None] = [None]


@contextmanager
def asked_here() -> Iterator[None]:
    """While a model is linted, the line that asked for it stands for layers that no line of the user's is known of."""
    before = _asked[0]
    _asked[0] = here()
    try:
        yield
    finally:
        _asked[0] = before


def _defined(cls: type[nn.Module]) -> Line | None:
    """The line of a class's forward: the library's, where nothing of the user's is known to have made the module."""
    code = getattr(cls.forward, "__code__", None)
    return _line(code.co_filename, code.co_firstlineno) if code is not None else None


class Modules:
    """The modules being called, innermost last."""

    def __init__(self, root: nn.Module | None) -> None:
        self._names = {id(module): name for name, module in root.named_modules()} if root is not None else {}
        self._stack: list[tuple[str | None, str, Line | None]] = [(None, "", _asked[0])]
        self._locations: dict[tuple[object, ...], Location] = {}

    def enter(self, module: nn.Module) -> None:
        """A module is called. One that the model does not hold counts to the module around it."""
        name = self._names.get(id(module))
        around = self._stack[-1]
        cls = type(module)
        born = BORN.get(module) or around[2] or _defined(cls)
        self._stack.append((around[0] if name is None else name, f"{cls.__module__}.{cls.__qualname__}", born))

    def leave(self) -> None:
        if len(self._stack) > 1:
            self._stack.pop()

    @property
    def inside(self) -> bool:
        """Whether the model itself is being called."""
        return self._stack[-1][0] is not None

    def location(self, name: str, line: Line | None, assumed: str | None) -> Location:
        """The location of a call made now."""
        module, module_class, born = self._stack[-1]
        key = (name, line, assumed, module, module_class, born)
        found = self._locations.get(key)
        if found is None:
            path = f"{module} ▸ {name}" if module else name
            found = Location(path, line or born, module or None, module_class or None, assumed)
            self._locations[key] = found
        return found
