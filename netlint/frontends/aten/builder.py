"""Emits the nodes of one graph in ONNX vocabulary; what the lowering of every operator is written with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netlint.graph import ONNX, Dim, Location, Node, Shape, Tensor, Value
from netlint.ops import ACTIVATIONS, ARITHMETIC, COMPARISONS, ELEMENTWISE_UNARY, SOFTMAX

from . import lengths
from .calls import Length, Ref
from .literals import Literal
from .types import ONNX_CODES, is_float, is_integral, result_type

OPSET = 23
_SAME_SHAPE = ACTIVATIONS | ELEMENTWISE_UNARY | SOFTMAX | {"Cast", "Identity", "CumSum"}
_BROADCAST = ARITHMETIC | COMPARISONS
_TESTS = frozenset(
    {"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor", "Not", "IsNaN", "IsInf"}
)
_UNSET: Any = object()
_NO_ATTRS: Mapping[str, Any] = {}
END = (1 << 63) - 1
"""The end of a Slice that goes to the last element."""


class NotLowered(Exception):
    """The arguments of a call are beyond what its lowering expresses; the call stays as it is."""


class Emitted:
    """Attributes and location of an emitted node."""

    __slots__ = ("_attrs", "_loc")

    def __init__(self, attrs: Mapping[str, Any], loc: Location) -> None:
        self._attrs = attrs
        self._loc = loc

    def attrs(self) -> Mapping[str, Any]:
        return self._attrs

    def location(self) -> Location:
        return self._loc


class Builder:
    """Collects nodes. Called with an operator and its inputs, it emits the node and returns the first output."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.producers: dict[Value, Node] = {}
        self.lengths: dict[str, tuple[Value, int]] = {}
        """Where the length that a symbol stands for can be taken from: a value and its axis."""
        self.failures: list[tuple[str, Exception]] = []
        """Calls of known operators that were not lowered, and why."""
        self.loc = Location("")
        self.out: Ref | None = None
        """The first tensor that the call being lowered gives, as recorded."""
        self.origin = ""
        """How the program wrote the call being lowered."""

    def __call__(
        self,
        op: str,
        *inputs: Value | None,
        dtype: str | None = _UNSET,
        shape: Shape | None = _UNSET,
        domain: str = ONNX,
        **attrs: Any,
    ) -> Value:
        """Emit a node with one output. Type and shape are worked out for elementwise operators unless given."""
        if dtype is _UNSET:
            first = next((value for value in inputs if value is not None), None)
            dtype = "bool" if op in _TESTS else first.dtype if first is not None else None
        if shape is _UNSET:
            shape = _shape(op, inputs)
        out = Value("", dtype, shape)
        if "dtype_" in attrs:  # an attribute that is called like an argument of ours
            attrs = {name.removesuffix("_"): given for name, given in attrs.items()}
        self._add(op, inputs, (out,), attrs, domain)
        return out

    def several(
        self,
        op: str,
        *inputs: Value | None,
        types: Sequence[str | None],
        domain: str = ONNX,
        attrs: Mapping[str, Any] = _NO_ATTRS,
    ) -> list[Value]:
        """Emit a node with one output for each of `types`."""
        outs = [Value("", dtype) for dtype in types]
        self._add(op, inputs, outs, attrs, domain)
        return outs

    def forget(self, start: int) -> None:
        """Take back the nodes emitted from the one of this number on."""
        for node in self.nodes[start:]:
            for out in node.outputs:
                if out is not None:
                    del self.producers[out]
        del self.nodes[start:]

    def _add(
        self, op: str, inputs: Sequence[Value | None], outs: Sequence[Value], attrs: Mapping[str, Any], domain: str
    ) -> None:
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        for value in inputs:
            if value is not None and type(value) is not Value:
                raise NotLowered(f"a {type(value).__name__} for a tensor")
        node = Node(op, inputs, outs, Emitted(attrs, self.loc), domain)
        self.nodes.append(node)
        for out in outs:
            self.producers[out] = node

    # Constants

    def constant(self, tensor: Tensor) -> Value:
        return Value("", tensor.dtype, tensor.shape, tensor)

    def number(self, number: float, dtype: str | None) -> Value:
        """A constant without axes."""
        if isinstance(number, Length):
            return self.cast(self.squeeze(self.length(number), 0), dtype)
        dtype = dtype or ("bool" if isinstance(number, bool) else "int64" if isinstance(number, int) else "float32")
        if dtype.startswith("complex") or isinstance(number, complex):
            raise NotLowered("complex numbers")
        converted = bool(number) if dtype == "bool" else float(number) if is_float(dtype) else int(number)
        return self.constant(Literal(dtype, (), (converted,)))

    def ints(self, *items: int) -> Value:
        """A list of int64."""
        return self.constant(Literal("int64", (len(items),), items))

    def floats(self, *items: float) -> Value:
        """A list of float32."""
        return self.constant(Literal("float32", (len(items),), items))

    def filled(self, shape: Sequence[int], number: float, dtype: str | None) -> Value:
        """A constant that is one number throughout."""
        return self.constant(Literal(dtype or "float32", tuple(shape), number))

    # Types

    @property
    def dtype(self) -> str | None:
        """The element type of the result, as recorded."""
        return self.out.dtype if self.out is not None else None

    @property
    def shape(self) -> Shape | None:
        """The shape of the result, as recorded."""
        return self.out.shape if self.out is not None else None

    def cast(self, value: Value, dtype: str | None) -> Value:
        """The value in another type; as it is where either is unknown."""
        if dtype is None or value.dtype is None or value.dtype == dtype:
            return value
        if dtype not in ONNX_CODES or value.dtype not in ONNX_CODES:
            raise NotLowered(f"conversion to {dtype}")
        return self("Cast", value, dtype=dtype, to=ONNX_CODES[dtype])

    def tensor(self, operand: Value | float, dtype: str | None = None) -> Value:
        """A tensor or number as a value of the type."""
        if isinstance(operand, Value):
            return self.cast(operand, dtype)
        return self.number(operand, dtype)

    def promoted(self, *operands: Value | float, floating: bool = False) -> list[Value]:
        """Tensors and numbers in the type in which torch computes with them; `floating`: integers become floats."""
        if any(not isinstance(x, Value | int | float) for x in operands):
            raise NotLowered("operands that are no tensors or real numbers")
        dtype = result_type(operands)
        if dtype is not None and floating and is_integral(dtype):
            dtype = self.dtype if is_float(self.dtype) else "float32"
        return [self.tensor(x, dtype or _known(operands)) for x in operands]

    def floating(self, value: Value) -> Value:
        """Integers as the default float, for functions that have no integer result."""
        if is_integral(value.dtype):
            return self.cast(value, self.dtype if is_float(self.dtype) else "float32")
        return value

    # Shapes

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


def _known(operands: Sequence[Value | float]) -> str | None:
    """The type of the one tensor whose type is known, for the numbers beside it."""
    return next((x.dtype for x in operands if isinstance(x, Value) and x.dtype is not None), None)


def _shape(op: str, inputs: Sequence[Value | None]) -> Shape | None:
    if op in _SAME_SHAPE:
        return inputs[0].shape if inputs and inputs[0] is not None else None
    if op in _BROADCAST:
        return broadcast([value.shape for value in inputs if value is not None])
    return None


def broadcast(shapes: Sequence[Shape | None]) -> Shape | None:
    """The shape that numpy's rule gives; a length is None where nobody can tell."""
    if len(shapes) == 2 and shapes[0] == shapes[1]:
        return shapes[0]
    if not all(isinstance(shape, tuple) for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    rank = max(map(len, known), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in known]
    return tuple(_length(column) for column in zip(*padded, strict=True))


def _length(column: Sequence[Dim]) -> Dim:
    wide = {dim for dim in column if dim != 1}
    if len(wide) < 2:
        return wide.pop() if wide else 1
    return next((dim for dim in wide if isinstance(dim, int)), None)
