"""What a report rests on besides the files of the model: netlint, the rules, what it reads models with, the settings.

What was installed is known by its version. Code that is worked on (a checkout, an editable install) is known by the
size and time of each of its files, a folder of rules by what is in them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from netlint import __version__
from netlint.plugins import distributions, package_places, plugins, python_files, versioned

from .stamps import digest

_LIBRARIES = ("onnx", "numpy", "ml-dtypes", "protobuf")
_INSTALLED = ("site-packages", "dist-packages")


def code(rule_folders: Iterable[Path] = ()) -> str:
    """The code that judges, in one text: equal texts stand for equal code."""
    found = distributions()
    lines = [f"netlint {__version__}", f"python {sys.implementation.cache_tag}"]
    lines += [versioned(found[name]) for name in _LIBRARIES if name in found]
    lines += _files(os.path.dirname(os.path.dirname(__file__)))
    for plugin in plugins(found):
        lines.append(f"{plugin.name} {plugin.package} {plugin.distribution}")
        lines += [line for place in package_places(plugin.package) for line in _files(place)]
    for folder in rule_folders:
        lines += [f"{path} {digest(path.read_bytes())}" for path in sorted(folder.rglob("*.py"))]
    return "\n".join(lines)


def _files(place: str) -> Iterator[str]:
    """The files of code that was not installed as a whole, each with size and time."""
    if any(part in _INSTALLED for part in Path(place).parts):
        return
    paths = [place] if os.path.isfile(place) else sorted(python_files(place))
    for path in paths:
        status = os.stat(path)
        yield f"{path} {status.st_size} {status.st_mtime_ns}"
