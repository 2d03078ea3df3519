"""How the cases of test_soundness are written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class X:
    """A float input whose elements lie in the drawn contract."""

    shape: tuple[int, ...] = (2, 3, 4)


@dataclass(frozen=True)
class W:
    """A constant of random floats."""

    shape: tuple[int, ...]
    lo: float = -2.0
    hi: float = 2.0


@dataclass(frozen=True)
class C:
    """A constant with these elements."""

    value: Any
    dtype: str = "int64"


@dataclass(frozen=True)
class N:
    """An input of random whole numbers, of some integer type or bool."""

    shape: tuple[int, ...]
    dtype: str = "int64"
    lo: int = 0
    hi: int = 2


Spec = X | W | C | N


@dataclass(frozen=True)
class Case:
    """One node: its inputs (None: left out), the attributes to choose from, how many outputs it has."""

    inputs: tuple[Spec | None, ...] = (X(),)
    attrs: tuple[Mapping[str, Any], ...] = ({},)
    outputs: int = 1
    opset: int = 22
    within: tuple[float, float] = (-1e20, 1e20)
    """Where the contract may lie."""
    text: str = ""
    """A whole model instead of one node; its input is `x`."""


def attrs(**choices: Any) -> tuple[dict[str, Any], ...]:
    """All combinations of attribute values; None leaves one out."""
    found: list[dict[str, Any]] = [{}]
    for name, values in choices.items():
        found = [one | ({} if value is None else {name: value}) for one in found for value in values]
    return tuple(found)


def case(*inputs: Spec | None, **options: Any) -> Case:
    return Case(inputs, **options)


def unary(**choices: Any) -> tuple[Case, ...]:
    return (case(X(), attrs=attrs(**choices)),)


def binary(opset: int = 22) -> tuple[Case, ...]:
    return (
        case(X(), X((4,)), opset=opset),
        case(X(), W((3, 1)), opset=opset),
        case(W((2, 1, 1)), X(), opset=opset),
        case(X(), C(2.0, "float32"), opset=opset),
        case(X(), C(0.0, "float32"), opset=opset),
        case(N((3,), "int32", -9, 9), C(3, "int32"), opset=opset),
        case(C(-7, "int64"), N((3,), "int64", 1, 9), opset=opset),
    )


def text(body: str, result: str = "float") -> Case:
    """Nodes in ONNX text that compute `y` from the input `x` and the constant `w`, both float[2, 3]."""
    model = f"""<ir_version: 10, opset_import: ["" : 22]>
g (float[2, 3] x) => ({result} y) {{ w = Constant<value = float[2, 3] {{-4, 1, 0, 2, 0.5, 3}}>()\n {body} }}"""
    return Case((X((2, 3)),), text=model)
