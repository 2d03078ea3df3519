"""Where a call stands, from what torch's exporters note beside each one: the stack of modules and the stack trace."""

from __future__ import annotations

import re
from collections.abc import Sequence

from netlint.graph import Location

_FRAME = re.compile(r'^\s*File "([^"\n]+)", line (\d{1,9})\b', re.MULTILINE)
_LIBRARY = re.compile(r"[/\\](site-packages|dist-packages)[/\\]|(^|[/\\])torch[/\\](nn|_|onnx|fx|export|utils)|^<")
_WRAPPER = re.compile(r"^(L\['self'\]|L__self__|self)\.?")
_MAX_TRACE = 20_000


def locate(name: str, modules: Sequence[tuple[str, str]], trace: str) -> Location:
    """`modules` are paths and classes, from the outside in."""
    path, kind = modules[-1] if modules else ("", None)
    path = _WRAPPER.sub("", path)
    return Location(f"{path} ▸ {name}" if path else name, source_line(trace), path or None, kind or None)


def source_line(trace: str) -> tuple[str, int] | None:
    """The innermost frame that is not torch's or another library's; else the innermost of all."""
    frames = [(m[1], int(m[2])) for m in _FRAME.finditer(trace[-_MAX_TRACE:])]
    own = [frame for frame in frames if not _LIBRARY.search(frame[0])]
    outside_torch = [frame for frame in frames if not re.search(r"(^|[/\\])torch[/\\]", frame[0])]
    return next((found[-1] for found in (own, outside_torch) if found), None)
