"""Arguments that are no tensors: numbers, flags, names of modes, as annotations and the source tell. Runs nothing."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from .batches import is_name, nodes_of
from .inputs import Slot, parameters_of

_USUAL: dict[str, Any] = {"int": 1, "bool": False, "float": 1.0}
"""By annotation: once round a loop, the usual way, unscaled."""


def plain(model: nn.Module, name: str) -> Slot | None:
    """The argument of that name of a forward pass; None where it may be a tensor, or nothing tells its value."""
    entry = parameters_of(model.forward).get(name)
    if entry is None:
        return None
    kind = entry.annotation if isinstance(entry.annotation, str) else getattr(entry.annotation, "__name__", "")
    if kind in _USUAL:
        return Slot.plain(name, _USUAL[kind])
    if kind == "device" or name == "device":
        return Slot.plain(name, torch.device("cpu"))
    if kind == "str" or entry.annotation is inspect.Parameter.empty:
        return next((Slot.plain(name, value) for value in _told(nodes_of(model.forward), name, model)), None)
    return None


def _told(nodes: Sequence[ast.AST], name: str, model: nn.Module) -> Iterator[Any]:
    """What the source uses the argument as."""
    for node in nodes:
        if isinstance(node, ast.Compare) and is_name(node.left, name):
            yield from _texts(node.comparators[0])
        elif isinstance(node, ast.Match) and is_name(node.subject, name):
            yield from _texts(node)
        elif isinstance(node, ast.Subscript) and is_name(node.slice, name):
            yield from _first_key(node.value, model)
        elif isinstance(node, ast.Call) and is_name(node.func, "range"):
            yield from (1 for bound in node.args if is_name(bound, name))
        elif isinstance(node, ast.If | ast.IfExp):
            test = node.test.operand if isinstance(node.test, ast.UnaryOp) else node.test
            yield from [False] if is_name(test, name) else []


def _texts(node: ast.AST) -> Iterator[str]:
    """Texts that it is compared with."""
    literals = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return (value for value in literals if isinstance(value, str))


def _first_key(node: ast.expr, model: nn.Module) -> Iterator[Any]:
    """Of layers by name or by number: `self.heads[task]`."""
    if isinstance(node, ast.Attribute) and is_name(node.value, "self"):
        layers = getattr(model, node.attr, None)
        if isinstance(layers, nn.ModuleDict | nn.ParameterDict | dict):
            yield from list(layers)[:1]
        elif isinstance(layers, nn.ModuleList | nn.ParameterList | list | tuple):
            yield 0
