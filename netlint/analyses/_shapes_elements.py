"""The elements of small tensors in shape arithmetic: numbers, names of lengths, or None.

`Shape → Gather → Mul → Concat → Reshape` and its relatives. A name is a length, hence at least 0; arithmetic on it is
None unless it cancels. Arrays have dtype object. Kernels follow the contract of `_shapes_arrays`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np

from netlint.graph import Dim, Node

from ._shapes_arrays import LAYOUT, Array, Inputs, Kernel, Unfoldable, given, listed, whole
from ._shapes_dims import float32

Element: TypeAlias = int | float | str | None


def objects(elements: Iterable[Element], shape: tuple[int, ...]) -> Array:
    """An object array of the elements."""
    found = list(elements)
    array = np.empty(len(found), dtype=object)
    array[:] = found
    return array.reshape(shape)


def rounded(array: Array, dtype: str | None) -> Array:
    """The elements as this type stores them; None where they do not fit or the type's rounding is not known."""
    fit = _STORED.get(dtype or "", _opaque)
    return objects(map(fit, array.reshape(-1).tolist()), array.shape)


def _opaque(element: Element) -> Element:
    return None


def _single(element: Element) -> Element:
    return float32(element) if isinstance(element, int | float) else element


def _double(element: Element) -> Element:
    return float(element) if isinstance(element, int) else element


def _integer(bits: int, signed: bool) -> Callable[[Element], Element]:
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)

    def fit(element: Element) -> Element:
        if isinstance(element, float):
            element = int(element) if math.isfinite(element) else None
        if isinstance(element, bool):
            element = int(element)
        return None if isinstance(element, int) and not low <= element < high else element

    return fit


def _truth(element: Element) -> Element:
    return bool(element) if isinstance(element, int | float) else None


_STORED: dict[str, Callable[[Element], Element]] = {
    "int64": _integer(64, True),
    "int32": _integer(32, True),
    "uint8": _integer(8, False),
    "float32": _single,
    "float64": _double,
    "bool": _truth,
}


def _numeric(*elements: Element) -> bool:
    return all(isinstance(element, int | float) for element in elements)


def _add(a: Any, b: Any) -> Element:
    if _numeric(a, b):
        return a + b  # type: ignore[no-any-return]
    return b if a == 0 else a if b == 0 else None


def _sub(a: Any, b: Any) -> Element:
    if _numeric(a, b):
        return a - b  # type: ignore[no-any-return]
    if isinstance(a, str) and a == b:
        return 0
    return a if b == 0 else None


def _mul(a: Any, b: Any) -> Element:
    if _numeric(a, b):
        return a * b  # type: ignore[no-any-return]
    if a == 0 or b == 0:
        return 0
    return b if a == 1 else a if b == 1 else None


def _div(a: Any, b: Any) -> Element:
    """Integers are cut towards zero, as in C."""
    if isinstance(a, int) and isinstance(b, int) and b:
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if _numeric(a, b):
        return a / b if b else None
    return a if b == 1 else None


def _mod(a: Any, b: Any) -> Element:
    if _numeric(a, b) and b:
        return a % b  # type: ignore[no-any-return]
    return None


def _pow(a: Any, b: Any) -> Element:
    if not _numeric(a, b) or abs(b) > 64 or (a == 0 and b < 0) or (a < 0 and b != int(b)):
        return None
    return a**b  # type: ignore[no-any-return]


def _chosen(pick: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Element]:
    def choose(a: Any, b: Any) -> Element:
        return pick(a, b) if _numeric(a, b) else a if a == b else None

    return choose


def _equal(a: Any, b: Any) -> Element:
    if _numeric(a, b) or (a is not None and a == b):
        return bool(a == b)
    negative = [x for x in (a, b) if isinstance(x, int | float) and x < 0]
    return False if negative and a is not None and b is not None else None


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Element]:
    return lambda a, b: compare(a, b) if _numeric(a, b) else None


def _and(a: Any, b: Any) -> Element:
    return False if a is False or b is False else None if a is None or b is None else True


def _or(a: Any, b: Any) -> Element:
    return True if a is True or b is True else None if a is None or b is None else False


def _where(condition: Any, a: Any, b: Any) -> Element:
    if isinstance(condition, int):
        return a if condition else b  # type: ignore[no-any-return]
    return a if a == b else None


def _unary(compute: Callable[[Any], Any], names_stay: bool = False) -> Callable[[Any], Element]:
    def apply(element: Any) -> Element:
        if isinstance(element, int | float):
            return compute(element) if math.isfinite(element) else None
        return element if names_stay else None

    return apply


def _sqrt(number: float) -> float | None:
    return math.sqrt(number) if number >= 0 else None


_SCALAR: dict[str, tuple[int, Callable[..., Element]]] = {
    "Add": (2, _add),
    "Sub": (2, _sub),
    "Mul": (2, _mul),
    "Div": (2, _div),
    "Mod": (2, _mod),
    "Pow": (2, _pow),
    "Min": (2, _chosen(min)),
    "Max": (2, _chosen(max)),
    "Equal": (2, _equal),
    "Less": (2, _compared(operator.lt)),
    "Greater": (2, _compared(operator.gt)),
    "LessOrEqual": (2, _compared(operator.le)),
    "GreaterOrEqual": (2, _compared(operator.ge)),
    "And": (2, _and),
    "Or": (2, _or),
    "Where": (3, _where),
    "Neg": (1, _unary(operator.neg)),
    "Abs": (1, _unary(abs, names_stay=True)),
    "Floor": (1, _unary(math.floor, names_stay=True)),
    "Ceil": (1, _unary(math.ceil, names_stay=True)),
    "Round": (1, _unary(round, names_stay=True)),
    "Sqrt": (1, _unary(_sqrt)),
    "Reciprocal": (1, _unary(lambda number: 1 / number if number else None)),
    "Not": (1, _unary(operator.not_)),
    "Cast": (1, lambda element: element),
}
_UFUNCS = {op: np.frompyfunc(compute, arity, 1) for op, (arity, compute) in _SCALAR.items()}


def _elementwise(node: Node, inputs: Inputs, opset: int) -> Array:
    ufunc = _UFUNCS[node.op]
    arrays = [given(inputs, slot) for slot in range(len(inputs))]
    if node.op == "Mod" and node.attrs.get("fmod", 0):
        raise Unfoldable
    result = arrays[0]
    if node.op in ("Min", "Max"):
        for array in arrays[1:]:
            result = np.asarray(ufunc(result, array), dtype=object)
        return result
    with np.errstate(all="ignore"):
        return np.asarray(ufunc(*arrays), dtype=object)


_FOLDS: dict[str, tuple[str, int | None]] = {
    "ReduceProd": ("Mul", 1),
    "ReduceSum": ("Add", 0),
    "ReduceMax": ("Max", None),
    "ReduceMin": ("Min", None),
}


def _reduce(node: Node, inputs: Inputs, opset: int) -> Array:
    data, axes = given(inputs, 0), listed(node, inputs, "axes", 1)
    op, start = _FOLDS[node.op]
    if not axes and node.attrs.get("noop_with_empty_axes", 0):
        return data
    places = sorted(axis % data.ndim for axis in axes) if axes else list(range(data.ndim))
    for place in reversed(places):
        data = _folded(np.moveaxis(data, place, 0), op, start)
    return np.expand_dims(data, tuple(places)) if node.attrs.get("keepdims", 1) else data


def _folded(parts: Array, op: str, start: int | None) -> Array:
    """All parts along the first axis, combined."""
    if len(parts) == 0 and start is None:
        raise Unfoldable
    result = objects([start] * math.prod(parts.shape[1:]), parts.shape[1:]) if start is not None else parts[0]
    for part in parts if start is not None else parts[1:]:
        result = np.asarray(_UFUNCS[op](result, part), dtype=object)
    return np.asarray(result, dtype=object)


def _range(node: Node, inputs: Inputs, opset: int) -> Array:
    start, limit, step = (given(inputs, slot).reshape(-1)[0] for slot in range(3))
    if not all(type(end) is int for end in (start, limit, step)) or step == 0:
        raise Unfoldable
    numbers = range(start, limit, step)
    return objects(numbers, (len(numbers),))


def _made(node: Node, inputs: Inputs, opset: int) -> Array:
    shape = tuple(whole(given(inputs, 0)))
    fill = node.attrs.get("value")
    number: Element = 0.0 if fill is None else fill.load().reshape(-1)[0].item()
    return objects([number] * math.prod(shape), shape)


KERNELS: dict[str, Kernel] = {
    **LAYOUT,
    **dict.fromkeys(_SCALAR, _elementwise),
    **dict.fromkeys(_FOLDS, _reduce),
    "Range": _range,
    "ConstantOfShape": _made,
}


def dims(array: Array) -> tuple[Dim, ...] | None:
    """The elements as lengths; None where some are no integers."""
    flat = array.reshape(-1).tolist()
    if any(isinstance(element, float | bool) for element in flat):
        return None
    return tuple(flat)
