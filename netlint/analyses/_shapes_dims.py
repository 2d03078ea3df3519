"""Arithmetic on lengths that are numbers, named unknowns or unknown, and what shape functions may ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, prod
from struct import Struct
from typing import Protocol

from netlint.graph import Dim, Node, Shape, Value

MAX_RANK = 64
"""Shapes longer than this (hostile or nonsensical) count as unknown."""


class Known(Protocol):
    """What is known so far about the values before a node."""

    opset: int

    def producer(self, value: Value | None) -> Node | None: ...
    def of(self, value: Value | None) -> Shape | None: ...
    def ints(self, value: Value | None) -> tuple[Dim, ...] | None: ...
    def numbers(self, value: Value | None) -> tuple[float | None, ...] | None: ...


_FLOAT32 = Struct("<f")


def float32(number: float) -> float:
    """The nearest float32, as a float; infinite beyond its range."""
    try:
        rounded: float = _FLOAT32.unpack(_FLOAT32.pack(number))[0]
    except OverflowError:
        return inf if number > 0 else -inf
    return rounded


def unknown(rank: int) -> Shape:
    return (None,) * rank


def clean(shape: Shape | None) -> Shape | None:
    """A declared shape without names that say nothing: exporters write `?`, `-1` or `None` for any unknown length."""
    for dim in shape or ():
        if type(dim) is not int:
            return tuple(None if isinstance(dim, str) and _says_nothing(dim) else dim for dim in shape or ())
    return shape


def _says_nothing(symbol: str) -> bool:
    return symbol == "None" or not any(char.isalpha() for char in symbol)


def known(dims: Iterable[Dim]) -> tuple[int, ...] | None:
    """The dims if all of them are numbers."""
    found = tuple(dims)
    return found if all(type(dim) is int for dim in found) else None  # type: ignore[return-value]


def axis_of(axis: object, rank: int) -> int | None:
    """The axis counted from 0; None if it lies outside the rank."""
    if not isinstance(axis, int) or not -rank <= axis < rank:
        return None
    return axis % rank


def same(one: Dim, other: Dim) -> Dim:
    """What is known of a length that two sources state: the number if either has one."""
    if one is None or one == other:
        return other
    return other if isinstance(other, int) and not isinstance(one, int) else one


def meet(one: Shape | None, other: Shape | None) -> Shape | None:
    """What holds for both of two shapes, of which either may occur."""
    if one is None or other is None or len(one) != len(other):
        return None
    return one if one == other else tuple(a if a == b else None for a, b in zip(one, other, strict=True))


def broadcast_dim(one: Dim, other: Dim) -> Dim:
    """Numpy's rule. A length > 1 wins over an unknown one, which must be 1 or the same."""
    if one == other or other == 1:
        return one
    if one == 1:
        return other
    if isinstance(one, int):
        return one
    return other if isinstance(other, int) else None


def broadcast(one: Shape | None, other: Shape | None) -> Shape | None:
    if one is None or other is None:
        return None
    if one == other:
        return one if None not in one else tuple(one)
    if len(one) < len(other):
        one, other = other, one
    head = len(one) - len(other)
    if not other:
        return one
    return one[:head] + tuple(map(broadcast_dim, one[head:], other))


def window(length: Dim, kernel: int, stride: int, dilation: int, pads: int, ceil: bool, begin: int = 0) -> Dim:
    """Number of window positions along one axis (the formula in the specification of MaxPool and Conv).

    With ceil mode the last window must still start inside the input or its begin padding.
    """
    span = dilation * (kernel - 1) + 1
    if not isinstance(length, int):
        return length if stride == 1 and pads == span - 1 else None
    room = length + pads - span
    if room < 0 or stride < 1:
        return None
    count = (room + (stride - 1 if ceil else 0)) // stride + 1
    if ceil and (count - 1) * stride >= length + begin:
        count -= 1
    return count


def ceil_div(length: Dim, divisor: int) -> Dim:
    if divisor == 1:
        return length
    return -(-length // divisor) if isinstance(length, int) and divisor > 0 else None


def times(length: Dim, factor: Dim) -> Dim:
    """A product; a name survives only the factor 1."""
    if isinstance(length, int) and isinstance(factor, int):
        return length * factor
    if length == 1:
        return factor
    return length if factor == 1 else None


def total(dims: Sequence[Dim]) -> Dim:
    """The number of elements; a name if it is the only factor that is not 1."""
    count: Dim = 1
    for dim in dims:
        count = times(count, dim)
    return 0 if 0 in dims else count


def plus(one: Dim, other: Dim) -> Dim:
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    if one == 0:
        return other
    return one if other == 0 else None


def reshape(shape: Shape | None, target: Sequence[Dim], allow_zero: bool = False) -> Shape | None:
    """The result of a Reshape. 0 copies the axis at its place unless `allow_zero`; -1 takes what is left."""
    if len(target) > MAX_RANK:
        return None
    result: list[Dim] = list(target)
    # A copied axis cancels against its source even where its length is unknown: (place,) stands for that length.
    factors: list[object] = list(target)
    for place, dim in enumerate(target):
        if dim == 0 and not allow_zero:
            copied = shape[place] if shape is not None and place < len(shape) else None
            result[place] = copied
            factors[place] = (place,) if copied is None else copied
    if -1 not in result:
        return tuple(result)
    rest = result.index(-1)
    del factors[rest]
    result[rest] = None if shape is None else _left_over(shape, factors)
    return tuple(None if dim == -1 else dim for dim in result)


def _left_over(shape: Shape, taken: Sequence[object]) -> Dim:
    """The length of the -1 axis: all factors of the input divided by those already used."""
    if 0 in taken:
        return None
    if known(shape) is not None and all(type(item) is int for item in taken):
        size, used = prod(known(shape) or ()), prod(item for item in taken if isinstance(item, int))
        return size // used if used > 0 and size % used == 0 else None
    left: list[object] = [(place,) if dim is None else dim for place, dim in enumerate(shape)]
    for item in taken:
        if not isinstance(item, int):
            if item is None or item not in left:
                return None
            left.remove(item)
    number = prod(item for item in left if isinstance(item, int))
    used = prod(item for item in taken if isinstance(item, int))
    names = [item for item in left if not isinstance(item, int)]
    if not names:
        return number // used if used > 0 and number % used == 0 else None
    name = names[0]
    return name if len(names) == 1 and number == used and isinstance(name, str) else None
