"""The true module paths of a traced export: parameters bear the names of the modules that hold them, nodes not always.

Tracing leaves out containers whose `forward` is never called by itself (`decoder.fc` for `model.decoder.fc`, or for
`layers.0.fc` and `layers.1.fc` alike) and numbers further calls of one module (`fc_1` for `fc`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from .strings import text

_OP_NAME = re.compile(r"[A-Z]\w*")
_CALL = re.compile(r"_\d+\Z")


def module_of_name(name: str) -> str | None:
    """`/layer1/layer1.0/conv1/Conv` -> `layer1.0.conv1`."""
    if not name.startswith("/"):
        return None
    *scopes, op = name[1:].split("/")
    if not scopes or not _OP_NAME.match(op):
        return None
    path: list[str] = []
    for scope in scopes:
        if path and scope.startswith(path[-1] + "."):
            path[-1] = scope
        else:
            path.append(scope)
    return ".".join(path)


class Scopes:
    """Which module each scope of a file's nodes stands for."""

    def __init__(self, nodes: Iterable[Any], initializers: Iterable[Any]) -> None:
        nodes = list(nodes)
        stored = {text(entry.name) for entry in initializers}
        for node in nodes:  # of equal parameters one is stored, the others are copies of it
            if text(node.op_type) == "Identity" and stored.issuperset(map(text, node.input)):
                stored.update(map(text, node.output))
        owners = {name: owner for name in stored if (owner := name.rpartition(".")[0])}
        self._modules = {prefix for owner in set(owners.values()) for prefix in accumulate(owner.split("."), _join)}
        self._places: dict[str, int] = {}
        self._seen: dict[str, list[tuple[int, str]]] = {}
        """By scope: from which node on it stands for which module."""
        for place, node in enumerate(nodes):
            name = text(node.name)
            self._places.setdefault(name, place)
            scope = module_of_name(name)
            if scope is not None and scope not in self._modules:
                self._learn(scope, place, filter(None, map(owners.get, map(text, node.input))))

    def _learn(self, scope: str, place: int, owners: Iterable[str]) -> None:
        for owner in owners:
            if _stands_for(scope, owner):
                for shorter, module in _above(scope, owner):
                    self._seen.setdefault(shorter, []).append((place, module))

    def module(self, name: str) -> str | None:
        """The module of a node by its name; what no parameter tells better stays as the name has it."""
        scope = module_of_name(name)
        if scope is None or scope in self._modules:
            return scope
        rest: list[str] = []
        while scope:
            found = self._found(scope, self._places.get(name, 0))
            if found is not None:
                return ".".join((found, *rest))
            scope, _, last = scope.rpartition(".")
            rest.insert(0, last)
        return ".".join(rest)

    def _found(self, scope: str, place: int) -> str | None:
        """The module that the last parameter before a node, else the first behind it, gives to a scope."""
        bare = _CALL.sub("", scope)
        seen = self._seen.get(scope) or self._seen.get(bare)
        if seen:
            return seen[max(bisect_right(seen, place, key=lambda entry: entry[0]) - 1, 0)][1]
        return bare if bare in self._modules else None


def _join(path: str, part: str) -> str:
    return f"{path}.{part}"


def _stands_for(scope: str, owner: str) -> bool:
    """Whether leaving out parts of the module's path, and numbering its calls, gives the scope."""
    parts, whole = [_CALL.sub("", part) for part in scope.split(".")], owner.split(".")
    rest = iter(whole)
    return parts[-1] == whole[-1] and all(part in rest for part in parts)


def _above(scope: str, owner: str) -> Iterator[tuple[str, str]]:
    """The scope and those around it, each with its module, as long as their names agree."""
    while scope and owner and _CALL.sub("", scope.rpartition(".")[2]) == owner.rpartition(".")[2]:
        yield scope, owner
        scope, owner = scope.rpartition(".")[0], owner.rpartition(".")[0]
