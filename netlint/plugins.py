"""What is installed: the packages of rules, found through their entry points, and the versions of distributions.

The folders of `sys.path` are read directly. `importlib.metadata` says the same, but to import it costs as much as a
third of the command line; it is asked only where something other than folders may hold distributions.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import NamedTuple

GROUP = "netlint.rules"


class Plugin(NamedTuple):
    """A package of rules, and what it came with."""

    name: str
    package: str
    """What to import, dotted."""
    distribution: str
    """Name and version, e.g. `netlint-nn 0.3.0`."""


def plugins(found: Mapping[str, str] | None = None) -> list[Plugin]:
    """The installed packages of rules, in order of their names; `found`: what `distributions` gave just now."""
    if not _only_folders():
        return sorted(_asked())
    return sorted(_read(distributions() if found is None else found))


def distributions() -> dict[str, str]:
    """The metadata folder of each distribution by its normalised name; the first on `sys.path` counts."""
    found: dict[str, str] = {}
    for folder in dict.fromkeys(sys.path):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                found.setdefault(_split(name)[0], os.path.join(folder, name))
    return found


def _split(folder: str) -> tuple[str, str]:
    """`Name_x-1.0.dist-info`: the normalised name and the version, which an `.egg-info` may lack."""
    name, _, version = folder.rpartition(".")[0].partition("-")
    return re.sub(r"[-_.]+", "-", name).lower(), version


def versioned(folder: str) -> str:
    """Name and version of the distribution that a metadata folder describes."""
    return " ".join(_split(os.path.basename(folder)))


def _only_folders() -> bool:
    """Whether distributions can only be folders `NAME-VERSION.dist-info` and the like in folders of `sys.path`."""
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    return finders == [PathFinder] and not any(entry.endswith(".egg") or os.path.isfile(entry) for entry in sys.path)


def _read(found: Mapping[str, str]) -> Iterator[Plugin]:
    for folder in found.values():
        try:
            with open(os.path.join(folder, "entry_points.txt"), encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        if GROUP in text:
            for name, package in _points(text):
                yield Plugin(name, package, versioned(folder))


def _points(text: str) -> Iterator[tuple[str, str]]:
    """Name and value of each entry point of our group in an `entry_points.txt`."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == GROUP and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            yield name.strip(), value.partition("[")[0].strip()


def _asked() -> Iterator[Plugin]:
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        came = f"{point.dist.name.lower()} {point.dist.version}" if point.dist else ""
        yield Plugin(point.name, point.value, came)


def package_places(package: str) -> list[str]:
    """The folders of a package, or the file of a module; nothing is imported."""
    top, *below = package.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [spec.origin] if spec.origin else []
    places = [os.path.join(folder, *below) for folder in spec.submodule_search_locations]
    return [place if os.path.isdir(place) else f"{place}.py" for place in places]


def python_files(folder: str) -> Iterator[str]:
    """The paths of all files of Python below a folder."""
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names if name.endswith(".py"))
