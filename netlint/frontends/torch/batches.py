"""Into what a function takes an argument apart: `x, y = batch`, `batch["image"]`, `model(**batch)`. Runs nothing."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from .inputs import parameters_of

_DEPTH = 3
"""Methods that hand the batch on to another one."""
_LOOSE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Parts:
    """What an argument holds."""

    names: tuple[str, ...]
    """In order; empty: not known."""
    keyed: bool
    """Whether it is a dict."""


def parts_of(function: Callable[..., Any], name: str, model: nn.Module, depth: int = _DEPTH) -> Parts | None:
    """The parts of the argument of that name; None where its source does not tell."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError):
        return None
    nodes = sorted(ast.walk(tree), key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))
    for node in nodes:
        if isinstance(node, ast.Assign) and _is(node.value, name) and isinstance(node.targets[0], ast.Tuple):
            return _unpacked(node.targets[0].elts)
    keys = dict.fromkeys(node.slice.value for node in _subscripts(nodes, name) if isinstance(node.slice, ast.Constant))
    texts = tuple(key for key in keys if isinstance(key, str))
    count = max((key + 1 for key in keys if isinstance(key, int)), default=0)
    if texts:
        return Parts(texts, True)
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    if any(keyword.arg is None and _is(keyword.value, name) for call in calls for keyword in call.keywords):
        return Parts(_wanted(model), True)
    if count > 1:  # `batch[0]` alone may be the first sample of a tensor
        return Parts(tuple(f"part{index}" for index in range(count)), False)
    return next((found for call in calls if depth and (found := _handed(call, name, model, depth - 1))), None)


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _subscripts(nodes: list[ast.AST], name: str) -> Iterator[ast.Subscript]:
    return (node for node in nodes if isinstance(node, ast.Subscript) and _is(node.value, name))


def _unpacked(elements: list[ast.expr]) -> Parts | None:
    if not all(isinstance(element, ast.Name) for element in elements):
        return None
    names = [element.id for element in elements if isinstance(element, ast.Name)]
    unique = len(set(names)) == len(names)
    return Parts(tuple(names if unique else (f"part{index}" for index in range(len(names)))), False)


def _wanted(model: nn.Module) -> tuple[str, ...]:
    entries = parameters_of(model.forward)
    needed = [name for name, p in entries.items() if p.default is p.empty and p.kind not in _LOOSE]
    usual = [name for name in ("input_ids", "pixel_values", "labels") if name in entries and name not in needed]
    return (*needed, *usual)


def _handed(call: ast.Call, name: str, model: nn.Module, depth: int) -> Parts | None:
    """`self.shared_step(batch, "train")`"""
    place = next((index for index, value in enumerate(call.args) if _is(value, name)), None)
    inner = getattr(type(model), call.func.attr, None) if isinstance(call.func, ast.Attribute) else None
    if place is None or not inspect.isfunction(inner):
        return None
    names = list(parameters_of(inner))
    return parts_of(inner, names[place + 1], model, depth) if place + 1 < len(names) else None
