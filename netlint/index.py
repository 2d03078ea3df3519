"""Which rules there are, read off their source: for completion and the page of one rule, where importing all is dear.

A rule that is declared in another way than `@rule("CODE", "name", …)` is not seen here; the registry knows it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from .plugins import package_places, plugins, python_files
from .rule import Rule

_DECLARED = re.compile(r'^@rule\(\s*"([^"\n]+)",\s*"([^"\n]+)"', re.MULTILINE)


class Declared(NamedTuple):
    """A rule that stands in a file."""

    code: str
    name: str
    module: str
    """Dotted; empty where only the registry can import it, for it lies in a folder of rules."""
    summary: str


def find_rule(text: str, folders: Iterable[Path] = ()) -> Rule:
    """The rule of that code or name; its module alone is imported if that suffices.

    Raises `UnknownRule` and `RegistryError`.
    """
    wanted = (text.upper(), text.lower().replace("_", "-"))
    found = [entry for entry in declared(folders) if entry.code == wanted[0] or entry.name == wanted[1]]
    if len(found) == 1 and found[0].module and (rule := _imported(found[0])):
        return rule
    from .registry import load_rules

    return load_rules(folders).find(text)


def _imported(entry: Declared) -> Rule | None:
    try:
        module = import_module(entry.module)
    except Exception:
        return None  # the registry says what is wrong with it
    rules = [item for item in vars(module).values() if isinstance(item, Rule) and item.module == entry.module]
    return next((rule for rule in rules if (rule.code, rule.name) == (entry.code, entry.name)), None)


def declared(folders: Iterable[Path] = ()) -> list[Declared]:
    """The installed rules and those in the folders, in order of their codes."""
    places = [*_installed(), *((path, "") for folder in folders for path in python_files(str(folder)))]
    return sorted({entry for path, module in places for entry in _read(path, module)})


def _installed() -> Iterator[tuple[str, str]]:
    """Each file of an installed package of rules, and the name of its module."""
    for plugin in plugins():
        for place in package_places(plugin.package):
            if place.endswith(".py"):
                yield place, plugin.package
            for path in python_files(place):
                parts = os.path.relpath(path, place).removesuffix(".py").split(os.sep)
                yield path, ".".join([plugin.package, *parts])


def _read(path: str, module: str) -> Iterator[Declared]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return
    for code, name in _DECLARED.findall(text):
        summary = text.lstrip('r"').partition("\n")[0].rstrip('."')
        yield Declared(code, name, module, summary)
