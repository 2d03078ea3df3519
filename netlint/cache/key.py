"""What a report rests on besides the files of the model: netlint, the rules, what it reads models with, the settings.

What was installed is known by its version. Code that is worked on (a checkout, an editable install, a folder of rules)
is known by the size and time of each of its files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from netlint import __version__
from netlint.index import package_places
from netlint.plugins import distributions, plugins, versioned

_LIBRARIES = ("onnx", "numpy", "ml-dtypes", "protobuf")
_INSTALLED = ("site-packages", "dist-packages")


def code(rule_folders: Iterable[Path] = ()) -> str:
    """The code that judges, in one text: equal texts stand for equal code."""
    found = distributions()
    lines = [f"netlint {__version__}", f"python {sys.implementation.cache_tag}"]
    lines += [versioned(found[name]) for name in _LIBRARIES if name in found]
    lines += _files(os.path.dirname(os.path.dirname(__file__)))
    for plugin in plugins():
        lines.append(f"{plugin.name} {plugin.package} {plugin.distribution}")
        lines += [line for place in package_places(plugin.package) for line in _files(place)]
    for folder in rule_folders:
        lines += [str(folder), *_stamps(str(folder))]
    return "\n".join(lines)


def _files(place: str) -> Iterator[str]:
    """The files of code that was not installed as a whole."""
    if not any(part in _INSTALLED for part in Path(place).parts):
        yield from _stamps(place)


def _stamps(place: str) -> Iterator[str]:
    if os.path.isfile(place):
        status = os.stat(place)
        yield f"{place} {status.st_size} {status.st_mtime_ns}"
        return
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            yield from _stamps(entry.path)
        elif entry.name.endswith(".py"):
            status = entry.stat()
            yield f"{entry.path} {status.st_size} {status.st_mtime_ns}"
