"""Strings of a model file: the protobuf parser hands out bytes where one is not UTF-8."""

from __future__ import annotations

from typing import Any

from netlint.graph import ONNX

_LONGEST = 200


def text(raw: str | bytes) -> str:
    """A string of the file, with a replacement character for what is not UTF-8."""
    return raw if isinstance(raw, str) else raw.decode("utf-8", "replace")


def shown(raw: object) -> str:
    """A name, or a shape, as a message may quote it: of bounded length."""
    whole = text(raw) if isinstance(raw, str | bytes) else str(raw)
    return whole if len(whole) <= _LONGEST else whole[:_LONGEST] + "…"


def domain(raw: str | bytes) -> str:
    """An operator domain; the default one has two spellings."""
    name = text(raw)
    return ONNX if name == "ai.onnx" else name


def function_key(function: Any) -> tuple[str, str, str]:
    """What a call of a local function must name: domain, name and overload."""
    return domain(function.domain), text(function.name), text(function.overload)
