"""Emits nodes and constants, and converts element types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netlint.graph import ONNX, Dim, Location, Node, Shape, Tensor, Value, is_float
from netlint.ops import ACTIVATIONS, ARITHMETIC, COMPARISONS, ELEMENTWISE_UNARY, SOFTMAX

from .calls import Ref
from .literals import Literal
from .types import ONNX_CODES, is_integral, result_type

OPSET = 23
_SAME_SHAPE = ACTIVATIONS | ELEMENTWISE_UNARY | SOFTMAX | {"Cast", "Identity", "CumSum"}
_BROADCAST = ARITHMETIC | COMPARISONS
_TESTS = frozenset(
    {"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor", "Not", "IsNaN", "IsInf"}
)
_UNSET: Any = object()
_NO_ATTRS: Mapping[str, Any] = {}


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

    def source(self) -> tuple[str, int] | None:
        return self._loc.source


@dataclass(frozen=True, slots=True)
class Steps:
    """The valid steps of a batch of sequences."""

    padded: Value
    """`(position, sample, …)`."""
    lengths: Value
    """Of each sample, int64."""
    cleared: bool
    """Whether what lies behind a sequence is zero."""


class Emitter:
    """Collects nodes. Called with an operator and its inputs, it emits the node and returns the first output."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.producers: dict[Value, Node] = {}
        self.lengths: dict[str, tuple[Value, int]] = {}
        """Where the length that a symbol stands for can be taken from: a value and its axis."""
        self.packed: dict[Value, Steps] = {}
        """By the packed form, what it was packed from."""
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
