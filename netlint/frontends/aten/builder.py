"""What the lowering of every operator is written with: nodes, lengths, changes of layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netlint.graph import Dim, Shape, Value

from . import lengths
from .calls import Length
from .emitter import OPSET, Emitter, NotLowered

END = (1 << 63) - 1
"""The end of a Slice that goes to the last element."""
MAX_PARTS = 1 << 16
"""More parts of a tensor than this are not written out one by one."""


class Builder(Emitter):
    """Emits the nodes of one graph in ONNX vocabulary."""

    def number(self, number: float, dtype: str | None) -> Value:
        """A number without axes: a constant, or computed where it is a length that follows a symbol."""
        if isinstance(number, Length):
            return self.cast(self.squeeze(self.length(number), 0), dtype)
        return super().number(number, dtype)

    def bounded(self, count: int) -> int:
        """A number of parts, if that many can be written out."""
        if count > MAX_PARTS:
            raise NotLowered("too many parts")
        return count

    def sizes(self, dims: Sequence[Value | Dim], *sources: Value) -> Value:
        """Lengths as an int64 list: a constant if all are numbers, else computed where the program runs."""
        if all(type(dim) is int for dim in dims):
            return self.ints(*dims)  # type: ignore[arg-type]
        return self("Concat", *self._runs(dims, sources), dtype="int64", shape=(len(dims),), axis=0)

    def _runs(self, dims: Sequence[Value | Dim], sources: Sequence[Value]) -> list[Value]:
        """The parts of a list of lengths; neighbouring numbers make one part."""
        parts: list[Value] = []
        run: list[int] = []
        for dim in (*dims, None):
            if type(dim) is int:
                run.append(dim)
                continue
            if run:
                parts.append(self.ints(*run))
                run = []
            if dim is not None:
                parts.append(self.length(dim, sources))
        if len(parts) < len(dims) and None in dims:
            raise NotLowered("unknown lengths")
        return parts

    def length(self, dim: Value | Dim, sources: Sequence[Value] = ()) -> Value:
        """One length as an int64 list of one element."""
        if isinstance(dim, Value):
            scalar = self.cast(dim, "int64")
            return scalar if scalar.shape == (1,) else self("Reshape", scalar, self.ints(1), shape=(1,))
        if isinstance(dim, Length):
            dim = dim.symbol
        if isinstance(dim, int):
            return self.ints(dim)
        for source in sources:
            if source.shape is not None and dim in source.shape:
                return self._length_of(source, source.shape.index(dim))
        if dim in self.lengths:
            return self._length_of(*self.lengths[dim])
        found = lengths.computed(dim or "", self)
        if found is None:
            raise NotLowered(f"the length {dim}")
        return found

    def _length_of(self, source: Value, axis: int) -> Value:
        return self("Shape", source, dtype="int64", shape=(1,), start=axis, end=axis + 1)

    def size(self, value: Value, axis: int) -> Value:
        """The length of one axis as an int64 list of one element."""
        length = self.dims(value)[axis]
        return self.ints(length) if isinstance(length, int) else self._length_of(value, axis % self.rank(value))

    def shape_of(self, value: Value) -> Value:
        """The shape of a value as an int64 list."""
        dims = value.shape
        if dims is not None and all(type(dim) is int for dim in dims):
            return self.ints(*dims)  # type: ignore[arg-type]
        return self("Shape", value, dtype="int64", shape=None if dims is None else (len(dims),))

    def dims(self, value: Value) -> Shape:
        """The shape of a value, of known rank."""
        if value.shape is None:
            raise NotLowered("a tensor of unknown rank")
        return value.shape

    def rank(self, value: Value) -> int:
        return len(self.dims(value))

    def count(self, value: Value, axis: int) -> int:
        """The length of one axis, a number."""
        length = self.dims(value)[axis]
        if not isinstance(length, int):
            raise NotLowered("an unknown length")
        return length

    def static(self, value: Value) -> tuple[int, ...]:
        """The shape of a value, all of it numbers."""
        found = tuple(dim for dim in self.dims(value) if isinstance(dim, int))
        if len(found) < self.rank(value):
            raise NotLowered("unknown lengths")
        return found

    def axis(self, value: Value, axis: object) -> int:
        """An axis counted from 0; a tensor without axes is treated as having one."""
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise NotLowered("an axis that is no number")
        if value.shape is None:
            if axis < 0:
                return axis
            return axis
        return axis % max(len(value.shape), 1)

    def axes(self, value: Value, axes: object) -> tuple[int, ...] | None:
        """Axes given as None, a number or a list; None stands for all, as an empty list does in torch."""
        if axes is None or axes == [] or axes == ():
            return None
        if isinstance(axes, list | tuple):
            return tuple(self.axis(value, axis) for axis in axes)
        return (self.axis(value, axes),)

    # Layout that many operators need

    def transpose(self, value: Value, perm: Sequence[int]) -> Value:
        if list(perm) == list(range(len(perm))):
            return value
        shape = None if value.shape is None else tuple(value.shape[axis] for axis in perm)
        return self("Transpose", value, shape=shape, perm=tuple(perm))

    def unsqueeze(self, value: Value, *axes: int) -> Value:
        """New axes at these places of the result, counted from 0 (or all from the end)."""
        shape = None
        if value.shape is not None:
            rank = len(value.shape) + len(axes)
            places = {axis % rank for axis in axes}
            old = iter(value.shape)
            shape = tuple(1 if place in places else next(old) for place in range(rank))
        return self("Unsqueeze", value, self.ints(*axes), shape=shape)

    def squeeze(self, value: Value, *axes: int) -> Value:
        shape = None
        if value.shape is not None:
            places = {axis % len(value.shape) for axis in axes}
            shape = tuple(dim for place, dim in enumerate(value.shape) if place not in places)
        return self("Squeeze", value, self.ints(*axes), shape=shape)

    def reshape(self, value: Value, *dims: int) -> Value:
        """A Reshape to literal lengths; one of them may be -1."""
        shape = None if -1 in dims else dims
        return self("Reshape", value, self.ints(*dims), shape=shape)

    def expand(self, value: Value, shape: Shape | None, *sources: Value) -> Value:
        """The value broadcast to a shape."""
        if value.shape == shape and shape is not None:
            return value
        if shape is None:
            raise NotLowered("a tensor of unknown rank")
        return self("Expand", value, self.sizes(shape, *sources), shape=shape)

    def slice(self, value: Value, axis: int, start: Any, end: Any, step: int = 1) -> Value:
        """Part of one axis; `start` and `end` are numbers or int64 values, and count as in Python."""
        bounds = [x if isinstance(x, Value) else self.ints(x) for x in (start, end)]
        bounds = [x if x.shape == (1,) else self.length(x) for x in bounds]
        shape = None
        if value.shape is not None:
            length = value.shape[axis]
            literal = isinstance(length, int) and isinstance(start, int) and isinstance(end, int)
            dim = len(range(length)[start:end:step]) if literal else None  # type: ignore[arg-type]
            shape = tuple(dim if place == axis % len(value.shape) else old for place, old in enumerate(value.shape))
        extra = (self.ints(step),) if step != 1 else ()
        return self("Slice", value, *bounds, self.ints(axis), *extra, shape=shape)


__all__ = ["END", "OPSET", "Builder", "NotLowered"]
