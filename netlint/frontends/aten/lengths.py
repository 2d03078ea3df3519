"""Lengths that are computed from others: `2*batch`, `s0 + 1`, `s0//2`."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING

from netlint.graph import Value

if TYPE_CHECKING:
    from .builder import Builder

_OPERATORS: dict[type[ast.operator], str] = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul", ast.FloorDiv: "Div"}
_CALLS = {"Max": "Max", "Min": "Min", "FloorDiv": "Div", "Mod": "Mod", "PythonMod": "Mod"}
_MAX_TEXT = 200


def computed(text: str, builder: Builder) -> Value | None:
    """The nodes that compute a length, as an int64 list of one element; None if it says something else."""
    tree = _parsed(text)
    if tree is None or isinstance(tree, ast.Name):
        return None
    return _value(tree, builder)


@lru_cache(maxsize=1000)
def _parsed(text: str) -> ast.expr | None:
    if len(text) > _MAX_TEXT:
        return None
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _value(tree: ast.expr, builder: Builder) -> Value | None:
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return builder.ints(tree.value)
    if isinstance(tree, ast.Name):
        return builder.length(tree.id) if tree.id in builder.lengths else None
    if isinstance(tree, ast.BinOp) and type(tree.op) in _OPERATORS:
        return _joined(_OPERATORS[type(tree.op)], [tree.left, tree.right], builder)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in _CALLS:
        return _joined(_CALLS[tree.func.id], tree.args, builder)
    return None


def _joined(op: str, parts: list[ast.expr], builder: Builder) -> Value | None:
    operands = [_value(part, builder) for part in parts]
    return builder(op, *operands) if operands and None not in operands else None
