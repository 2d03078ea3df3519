"""Reports as JSON and back: no pickle, so that a file which came with a checkout can run nothing.

A dataclass is written as `{"Name": [its fields in order]}`, a tuple as an array; what JSON has no word for is tagged.
Reading checks every field against its annotation: whatever does not fit raises.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias

from netlint.rule import LOCAL, RuleInfo

Check: TypeAlias = Callable[[Any], bool]

TYPES = {
    **dict.fromkeys(("Report", "Reported", "Skipped", "Neighbourhood", "Box", "Cut"), "reported"),
    **dict.fromkeys(("Level", "Finding", "Evidence", "Claim", "RuleInfo"), "rule"),
    "Location": "location",
    **dict.fromkeys(("Known", "Interval", "Loss"), "training"),
}
"""The types that a report is made of, and their modules, which are imported when one is met."""


class Told:
    """A value of a type of its own, as it prints and as plain data."""

    def __init__(self, text: str, data: Any) -> None:
        self._text = text
        self._data = data

    def __str__(self) -> str:
        return self._text

    def item(self) -> Any:
        """What JSON reports show, as of numpy's numbers."""
        return self._data


def encode(value: Any) -> Any:
    """A report, or a part of one, as JSON can hold it."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, list | frozenset | set):
        return {type(value).__name__: [encode(item) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    name = next((kind.__name__ for kind in type(value).__mro__ if kind.__name__ in TYPES), "")
    if name and is_dataclass(value):
        content = [encode(getattr(value, field.name)) for field in fields(_type(name))]
        if isinstance(value, RuleInfo) and value.module.startswith(LOCAL):
            content[-1] = value.page  # nothing can import it by its name
        return {name: content}
    if name:
        return {name: value.value}  # a Level
    if hasattr(value, "constant"):  # the Value of a claim, whose tensor stays behind
        return {"Value": [value.name, value.dtype, encode(value.shape)]}
    from netlint.report.json import plain

    return {"told": [str(value), encode(plain(value))]}


def decode(data: Any) -> Any:
    """What `encode` was given. Raises TypeError, ValueError or KeyError for what it has not written."""
    if isinstance(data, list):
        return tuple(map(decode, data))
    if not isinstance(data, dict):
        return data
    ((name, content),) = data.items()
    if name in _MAKERS:
        return _MAKERS[name](content)
    kind = _type(name)
    if name == "Level":
        return kind(content)
    values = [decode(item) for item in content]
    for field, value in zip(fields(kind), values, strict=True):
        if not _check(str(field.type))(value):
            raise TypeError(f"{name}.{field.name} is no {field.type}")
    return kind(*values)


_MAKERS: Mapping[str, Callable[[Any], Any]] = {
    "float": float,
    "list": lambda items: [decode(item) for item in items],
    "set": lambda items: {decode(item) for item in items},
    "frozenset": lambda items: frozenset(map(decode, items)),
    "dict": lambda items: {decode(key): decode(item) for key, item in items},
    "Value": lambda parts: import_module("netlint.graph").Value(str(parts[0]), parts[1], decode(parts[2])),
    "told": lambda told: Told(str(told[0]), decode(told[1])),
}


@cache
def _type(name: str) -> Any:
    return getattr(import_module(f"netlint.{TYPES[name]}"), name)


_PLAIN: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "bool": bool,
    "int": int,
    "float": (int, float),
    "None": type(None),
}
_CONTAINERS = {"tuple": tuple, "list": list, "frozenset": frozenset, "Mapping": dict, "dict": dict}


_OTHERS = ("Value", "Node", "Crashed", "Suppressed")
"""Types in annotations of which no stored report has any, and the one with a maker of its own."""


@cache
def _check(annotation: str) -> Check:
    """Whether a value fits an annotation such as `Mapping[str, Known[Any]]` or `tuple[str, int] | None`."""
    return _fits(ast.parse(annotation, mode="eval").body)


def _fits(node: ast.expr) -> Check:
    if isinstance(node, ast.BinOp):
        left, right = _fits(node.left), _fits(node.right)
        return lambda value: left(value) or right(value)
    if isinstance(node, ast.Subscript):
        return _fits_inside(ast.unparse(node.value), node.slice)
    name = ast.unparse(node)
    if name in _PLAIN:
        kinds = _PLAIN[name]
        return lambda value: isinstance(value, kinds)
    if name in TYPES or name in _OTHERS:
        return lambda value: type(value).__name__ == name
    return lambda value: True  # Any, and aliases of types


def _fits_inside(outer: str, inner: ast.expr) -> Check:
    if outer not in _CONTAINERS:  # Known[Any]
        return lambda value: type(value).__name__ == outer
    kind = _CONTAINERS[outer]
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if kind is dict:
        key, item = map(_fits, parts)
        return lambda value: isinstance(value, dict) and all(key(k) and item(v) for k, v in value.items())
    if kind is tuple and ast.unparse(parts[-1]) != "...":
        each = [_fits(part) for part in parts]
        return lambda value: isinstance(value, tuple) and _all_fit(each, value)
    one = _fits(parts[0])
    return lambda value: isinstance(value, kind) and all(map(one, value))


def _all_fit(checks: Sequence[Check], values: Sequence[Any]) -> bool:
    return len(checks) == len(values) and all(check(value) for check, value in zip(checks, values, strict=True))
