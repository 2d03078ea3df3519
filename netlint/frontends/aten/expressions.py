"""Symbolic lengths as exporters store them (`FloorDiv(Symbol('s77', …), Integer(2))`) -> as people read them."""

from __future__ import annotations

import ast
from functools import lru_cache

_MAX_TEXT = 2000
_INFIX = {"Add": " + ", "Mul": "*", "FloorDiv": "//", "CleanDiv": "//", "IntTrueDiv": "/"}


@lru_cache(maxsize=10_000)
def readable(stored: str) -> str | None:
    """`s77//2`, `2*s0`, `s0 + 1`; None for what is no such expression."""
    if len(stored) > _MAX_TEXT:
        return None
    try:
        return _text(ast.parse(stored, mode="eval").body)
    except (SyntaxError, ValueError, TypeError, IndexError, RecursionError, MemoryError):
        return None


def _text(tree: ast.expr) -> str:
    if isinstance(tree, ast.Name):
        return tree.id
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return str(tree.value)
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return f"-{_text(tree.operand)}"
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise ValueError("not an expression")
    name = tree.func.id
    if name == "Symbol":
        symbol = tree.args[0]
        if not isinstance(symbol, ast.Constant) or not isinstance(symbol.value, str) or not symbol.value.isidentifier():
            raise ValueError("not a symbol")
        return symbol.value
    if name == "Integer":
        return _text(tree.args[0])
    parts = [_text(part) for part in tree.args]
    if name in _INFIX and len(parts) > 1:
        return _INFIX[name].join(_bracketed(part, name) for part in parts)
    return f"{name}({', '.join(parts)})"


def _bracketed(part: str, around: str) -> str:
    loose = " " in part or "//" in part
    return f"({part})" if loose and around != "Add" else part
