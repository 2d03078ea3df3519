"""Element types as torch promotes them, under the names that `Value.dtype` uses."""

from __future__ import annotations

from collections.abc import Iterable

from netlint.graph import Value

BOOL, INTEGER, FLOAT, COMPLEX = range(4)
"""Categories, from the lowest: a Python number changes the type of a tensor only if its category is higher."""

_INTEGERS = ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
_CATEGORY = {
    "bool": BOOL,
    **dict.fromkeys(_INTEGERS, INTEGER),
    **dict.fromkeys(("float16", "bfloat16", "float32", "float64"), FLOAT),
    **dict.fromkeys(("complex32", "complex64", "complex128"), COMPLEX),
}
_WIDTH = {"float16": 1, "bfloat16": 1, "float32": 2, "float64": 3, "complex32": 1, "complex64": 2, "complex128": 3}
_SIGNED = ("int8", "int16", "int32", "int64")
_OF_WIDTH = {1: "complex32", 2: "complex64", 3: "complex128"}

ONNX_CODES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "bfloat16": 16,
    "float8e4m3fn": 17,
    "float8e4m3fnuz": 18,
    "float8e5m2": 19,
    "float8e5m2fnuz": 20,
    "float8e8m0": 24,
}
"""The number that ONNX gives a type, for the `to` of a Cast. Complex types are left out: few operators take them."""

_TORCH_NAMES = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "char": "int8",
    "byte": "uint8",
    "cfloat": "complex64",
    "cdouble": "complex128",
    "chalf": "complex32",
    "float8_e4m3fn": "float8e4m3fn",
    "float8_e4m3fnuz": "float8e4m3fnuz",
    "float8_e5m2": "float8e5m2",
    "float8_e5m2fnuz": "float8e5m2fnuz",
    "float8_e8m0fnu": "float8e8m0",
}


def dtype_name(torch_name: str) -> str:
    """The name of a type here for one that torch prints, `torch.float8_e4m3fn` or `half`."""
    bare = torch_name.removeprefix("torch.")
    return _TORCH_NAMES.get(bare, bare)


def category(dtype: str | None) -> int | None:
    """The category of a type; None where it is unknown or has no arithmetic in torch."""
    return None if dtype is None else _CATEGORY.get(dtype)


def is_integral(dtype: str | None) -> bool:
    """Integers and bool."""
    return _CATEGORY.get(dtype or "") in (BOOL, INTEGER)


def promote(a: str, b: str) -> str | None:
    """`torch.promote_types`; None for types that are not promoted."""
    if a == b:
        return a
    kinds = (_CATEGORY.get(a), _CATEGORY.get(b))
    if kinds[0] is None or kinds[1] is None:
        return None
    if kinds[0] != kinds[1]:
        low, high = (a, b) if kinds[0] < kinds[1] else (b, a)
        if COMPLEX in kinds and FLOAT in kinds:
            return _OF_WIDTH[max(_WIDTH[low], _WIDTH[high])]
        return high
    if kinds[0] == INTEGER:
        return _promote_integers(a, b)
    if {a, b} == {"float16", "bfloat16"}:
        return "float32"
    return a if _WIDTH[a] > _WIDTH[b] else b


def _promote_integers(a: str, b: str) -> str | None:
    if "uint8" in (a, b):
        other = b if a == "uint8" else a
        return "int16" if other == "int8" else other if other in _SIGNED else None
    if a in _SIGNED and b in _SIGNED:
        return _SIGNED[max(_SIGNED.index(a), _SIGNED.index(b))]
    return None


def number_category(number: object) -> int:
    """The category of a Python number."""
    return BOOL if isinstance(number, bool) else INTEGER if isinstance(number, int) else FLOAT


def result_type(operands: Iterable[object], default: str = "float32") -> str | None:
    """The type in which torch computes with these tensors (`Value`) and Python numbers together; None if unknown.

    Tensors with axes go before tensors without, these before Python numbers: a lower group counts only by its
    category (https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc).
    """
    groups: list[str | None] = [None, None, None]
    for operand in operands:
        if isinstance(operand, Value):
            if operand.dtype is None or operand.dtype not in _CATEGORY:
                return None
            place, dtype = 1 if operand.shape == () else 0, operand.dtype
        else:
            place, dtype = 2, ("bool", "int64", default, "complex64")[number_category(operand)]
        known = groups[place]
        groups[place] = dtype if known is None else promote(known, dtype)
        if groups[place] is None:
            return None
    found: str | None = None
    for group in groups:
        if group is not None and (found is None or _CATEGORY[group] > _CATEGORY[found]):
            found = group if found is None else _merged(found, group)
    return found


def _merged(higher: str, lower: str) -> str:
    """The type where a group of higher priority has a lower category: a complex number keeps the width of a float."""
    return _OF_WIDTH[_WIDTH[higher]] if _CATEGORY[higher] == FLOAT else lower
