"""Into what a function takes an argument apart: `x, y = batch`, `batch["image"]`, `model(**batch)`. Runs nothing."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, is_typeddict

import torch
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
    """Whether it holds them by name."""
    made: Callable[..., Any] = dict
    """What holds them by name: a dict, a dataclass, a namespace."""

    def held(self, values: Mapping[str, Any]) -> Any:
        """The argument that holds these."""
        return self.made(**values) if self.keyed else tuple(values.values())


def declared(parameter: inspect.Parameter, function: Callable[..., Any]) -> Parts | None:
    """What an argument holds whose annotation is a dataclass, a named tuple or a typed dict; None of all others."""
    kind = parameter.annotation
    if isinstance(kind, str):
        kind = getattr(inspect.unwrap(function), "__globals__", {}).get(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return Parts(tuple(field.name for field in dataclasses.fields(kind) if _needed(field)), True, kind)
    if isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields"):
        defaults = getattr(kind, "_field_defaults", {})
        return Parts(tuple(name for name in kind._fields if name not in defaults), True, kind)
    return Parts(tuple(kind.__annotations__), True) if is_typeddict(kind) else None


def _needed(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.init and field.default is missing and field.default_factory is missing


def parts_of(function: Callable[..., Any], name: str, model: nn.Module, depth: int = _DEPTH) -> Parts | None:
    """The parts of the argument of that name; None where its source does not tell."""
    nodes = nodes_of(function)
    for node in nodes:
        if isinstance(node, ast.Assign) and is_name(node.value, name) and isinstance(node.targets[0], ast.Tuple):
            return _unpacked(node.targets[0].elts)
    keys = dict.fromkeys(node.slice.value for node in _subscripts(nodes, name) if isinstance(node.slice, ast.Constant))
    texts = tuple(key for key in keys if isinstance(key, str))
    count = max((key + 1 for key in keys if isinstance(key, int)), default=0)
    if texts:
        return Parts(texts, True)
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    if read := _attributes(nodes, calls, name):
        return Parts(read, True, SimpleNamespace)
    if any(keyword.arg is None and is_name(keyword.value, name) for call in calls for keyword in call.keywords):
        return Parts(_wanted(model), True)
    if count < 2:  # `batch[0]` alone may be the first sample of a tensor
        count = _walked(nodes, name, model)
    if count:
        return Parts(tuple(f"part{index}" for index in range(count)), False)
    return next((found for call in calls if depth and (found := _handed(call, name, model, depth - 1))), None)


def nodes_of(function: Callable[..., Any]) -> list[ast.AST]:
    """The syntax of its source, in order; empty where there is none to read."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError):
        return []
    return sorted(ast.walk(tree), key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))


def keywords(model: nn.Module) -> tuple[str, ...]:
    """What `forward(self, **batch)` looks up in its arguments; nothing where it has others."""
    (entry, *others) = parameters_of(model.forward).values() or (None,)
    if entry is None or others or entry.kind is not entry.VAR_KEYWORD:
        return ()
    parts = parts_of(model.forward, entry.name, model)
    return parts.names if parts is not None and parts.keyed and parts.made is dict else ()


def is_name(node: ast.AST, name: str) -> bool:
    """Whether a piece of syntax is this variable."""
    return isinstance(node, ast.Name) and node.id == name


def _subscripts(nodes: list[ast.AST], name: str) -> Iterator[ast.Subscript]:
    return (node for node in nodes if isinstance(node, ast.Subscript) and is_name(node.value, name))


def _walked(nodes: list[ast.AST], name: str, model: nn.Module) -> int:
    """How many tensors there are in an argument that a loop walks along a list of layers, as of a feature pyramid."""
    walks = [node.iter for node in nodes if isinstance(node, ast.For | ast.comprehension)]
    along = [part for walk in walks for part in (walk, *(walk.args if isinstance(walk, ast.Call) else ()))]
    own = (
        getattr(model, node.attr, None)
        for node in nodes
        if isinstance(node, ast.Attribute) and is_name(node.value, "self")
    )
    lengths = {len(layers) for layers in own if isinstance(layers, nn.ModuleList)}
    return lengths.pop() if len(lengths) == 1 and any(is_name(part, name) for part in along) else 0


def _attributes(nodes: list[ast.AST], calls: list[ast.Call], name: str) -> tuple[str, ...]:
    """`data.x, data.edge_index`; nothing where the argument may be a tensor, or has methods that are called."""
    looks = [node for node in nodes if isinstance(node, ast.Attribute) and is_name(node.value, name)]
    methods = {id(call.func) for call in calls}
    if any(hasattr(torch.Tensor, node.attr) or id(node) in methods for node in looks):
        return ()
    return tuple(dict.fromkeys(node.attr for node in looks if isinstance(node.ctx, ast.Load)))


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
    place = next((index for index, value in enumerate(call.args) if is_name(value, name)), None)
    inner = getattr(type(model), call.func.attr, None) if isinstance(call.func, ast.Attribute) else None
    if place is None or not inspect.isfunction(inner):
        return None
    names = list(parameters_of(inner))
    return parts_of(inner, names[place + 1], model, depth) if place + 1 < len(names) else None
