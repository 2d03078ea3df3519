"""Infers shapes, element types and the elements of shape tensors, node by node in graph order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netlint.graph import Dim, Graph, Node, Shape, Tensor, TensorUnreadable, Value
from netlint.ops import ACTIVATIONS, ARITHMETIC, COMPARISONS, ELEMENTWISE_UNARY, SOFTMAX

from . import _shapes_contrib, _shapes_layout, _shapes_makers, _shapes_nn
from ._shapes_dims import MAX_RANK, clean
from ._shapes_dtypes import output_dtype
from ._shapes_layout import Multiple, Single
from ._shapes_onnx import NodeInference, Type

if TYPE_CHECKING:
    from ._shapes_arrays import Array

MAX_ELEMENTS = 256
"""Integer tensors with more elements than this are not followed element by element."""
_MAX_FLOATS = 16
"""The same for floats, which matter as scales of a Resize only."""

_UNCHANGED = (
    *(ACTIVATIONS | ELEMENTWISE_UNARY | SOFTMAX),
    *("QuantizeLinear", "DequantizeLinear", "CumSum", "CumProd", "LRN", "LpNormalization", "MeanVarianceNormalization"),
    *("InstanceNormalization", "GroupNormalization", "RMSNormalization", "Bernoulli"),
)

_SINGLE: dict[str, Single] = {
    **dict.fromkeys(_UNCHANGED, _shapes_nn.UNCHANGED),
    **dict.fromkeys(ARITHMETIC | COMPARISONS, _shapes_nn.ELEMENTWISE),
    **_shapes_layout.SINGLE,
    **_shapes_makers.SINGLE,
    **_shapes_nn.SINGLE,
    **_shapes_contrib.SINGLE,
}
_BY_SHAPES = frozenset({"Conv", "ConvTranspose", "AveragePool", "Reshape"})
"""Operators whose result has a shape that hangs on attributes and shapes (Reshape: and on the numbers of input 1), and
that takes long to work out."""
_MULTIPLE: dict[str, Multiple] = {**_shapes_layout.MULTIPLE, **_shapes_nn.MULTIPLE, **_shapes_contrib.MULTIPLE}

# `Shape` and the keys of `_shapes_elements.KERNELS`, listed here because that module needs numpy.
TRACKED = frozenset(
    (
        *("Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Gather", "GatherND"),
        *("ScatterND", "Slice", "Split", "Expand", "Tile", "Add", "Sub", "Mul", "Div", "Mod", "Pow", "Min", "Max"),
        *("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Where", "Neg", "Abs", "Floor"),
        *("Ceil", "Round", "Sqrt", "Reciprocal", "Not", "Cast", "ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin"),
        *("Range", "ConstantOfShape", "Shape"),
    )
)

# What malformed attributes (a number for a list, a missing axis) make a shape function raise.
_MALFORMED = (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError)


class Engine:
    """Holds what is known so far; implements `Known`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.opset = graph.opset.get("", 1)
        self.shapes: dict[Value, Shape | None] = {}
        self.dtypes: dict[Value, str | None] = {}
        self.known_elements: dict[Value, Array | None] = {}
        self.contradictions: dict[Value, tuple[Shape, Shape]] = {}
        self._sane: set[Shape | None] = set()
        self._listed: dict[Value, tuple[Dim, ...] | None] = {}
        """`ints` of stored constants, which deep models read by the thousand."""
        self._repeated: dict[tuple[object, ...], Shape | None] = {}
        """Results of `_BY_SHAPES`, by operator, attributes and shapes."""
        self._onnx = NodeInference(graph.opset)
        for value in graph.inputs:
            self.shapes[value] = clean(value.shape)

    def producer(self, value: Value | None) -> Node | None:
        return self.graph.producer(value)

    def of(self, value: Value | None) -> Shape | None:
        if value is None:
            return None
        return self.shapes[value] if value in self.shapes else clean(value.shape)

    def dtype(self, value: Value | None) -> str | None:
        return None if value is None else self.dtypes.get(value) or value.dtype

    def ints(self, value: Value | None) -> tuple[Dim, ...] | None:
        """The elements of a small integer tensor, flat; None per element or as a whole where unknown."""
        if value is None or value.constant is None:
            return _flat(self.elements(value))
        if value not in self._listed:
            self._listed[value] = _flat(self.elements(value))
        return self._listed[value]

    def numbers(self, value: Value | None) -> tuple[float | None, ...] | None:
        """The elements of a small tensor of numbers, flat."""
        array = self.elements(value)
        if array is None:
            return None
        return tuple(None if isinstance(element, str) else element for element in array.reshape(-1).tolist())

    def elements(self, value: Value | None) -> Array | None:
        """The elements of a small tensor, as an array of numbers, names and None."""
        if value is None:
            return None
        if value not in self.known_elements and value.constant is not None:
            self.known_elements[value] = _stored(value.constant)
        return self.known_elements.get(value)

    def visit(self, node: Node) -> None:
        """Infer the outputs of one node."""
        op = node.full_op if node.domain else node.op
        try:
            single = _SINGLE.get(op)
            if single is not None:
                if node.outputs:
                    shape = self._shape_after(node, op) if op in _BY_SHAPES else single(node, self)
                    self.settle(node.outputs[0], shape)
                self._set_dtypes(node)
            elif op in _MULTIPLE:
                self._settle_all(node, _MULTIPLE[op](node, self))
                self._set_dtypes(node)
            else:
                self._ask_onnx(node)
            if op in TRACKED:
                self._track(node)
        except _MALFORMED:
            self.forget(node)

    def _shape_after(self, node: Node, op: str) -> Shape | None:
        """The shape of a result that other nodes may have, too."""
        target = node.input(1) if op == "Reshape" else None
        if target is not None and target.constant is None:
            return _SINGLE[op](node, self)
        key = (op, id(node.attrs), target, *[self.of(value) for value in node.inputs])
        if key not in self._repeated:
            self._repeated[key] = _SINGLE[op](node, self)
        return self._repeated[key]

    def forget(self, node: Node) -> None:
        """Nothing can be said of the outputs beyond what is declared."""
        for out in node.outputs:
            self.settle(out, None)

    def _settle_all(self, node: Node, shapes: Sequence[Shape | None]) -> None:
        for nth, out in enumerate(node.outputs):
            self.settle(out, shapes[nth] if nth < len(shapes) else None)

    def settle(self, value: Value | None, inferred: Shape | None) -> None:
        """Note the shape of a value: inferred first, declared where that says nothing."""
        if value is None:
            return
        if inferred is not None and inferred not in self._sane:
            inferred = _checked(inferred)
            self._sane.add(inferred)
        declared = value.shape
        if declared is not None and declared != inferred:
            inferred = self._merge(value, inferred, clean(declared) or ())
        self.shapes[value] = inferred

    def _merge(self, value: Value, inferred: Shape | None, declared: Shape) -> Shape:
        if inferred is None:
            return declared
        pairs = list(zip(inferred, declared, strict=False))
        differ = any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs)
        if differ or len(inferred) != len(declared):
            self.contradictions[value] = (declared, inferred)
            return inferred
        self.contradictions.pop(value, None)
        # A name that inference carried here outranks a declared number: exporters leave stale batch sizes behind.
        return tuple(b if a is None else a for a, b in pairs)

    def _set_dtypes(self, node: Node) -> None:
        own = _shapes_contrib.output_dtype if node.domain else output_dtype
        for nth, out in enumerate(node.outputs):
            if out is not None:
                found = own(node, nth, self)
                if found is not None and found != out.dtype:
                    self.dtypes[out] = found

    def _ask_onnx(self, node: Node) -> None:
        types: list[Type | None] = [
            None if value is None else (self.dtype(value), self.of(value)) for value in node.inputs
        ]
        answers = self._onnx.infer(node, types, [self._whole(value) for value in node.inputs])
        for nth, out in enumerate(node.outputs):
            dtype, shape = answers[nth] if nth < len(answers) else (None, None)
            self.settle(out, shape)
            if out is not None and dtype is not None:
                self.dtypes[out] = dtype

    def _whole(self, value: Value | None) -> tuple[int, ...] | None:
        found = self.ints(value) if self.dtype(value) in ("int64", "int32") else None
        return found if found is not None and all(type(dim) is int for dim in found) else None  # type: ignore[return-value]

    def _track(self, node: Node) -> None:
        """Follow the elements of a small result."""
        if node.op != "Shape":
            for value in node.inputs:  # most results hang on a value that is not followed: no more steps than needed
                if value is not None and value.constant is None and value not in self.known_elements:
                    return
        out = node.output()
        shape = self.of(out)
        if out is None or shape is None or not _small(shape, self.dtype(out)):
            return
        if node.op == "Shape":
            self._track_shape(node, out)
        elif all(value is None or self._followed(value) for value in node.inputs):
            self._compute(node)

    def _followed(self, value: Value) -> bool:
        return value in self.known_elements or (value.constant is not None and self.elements(value) is not None)

    def _track_shape(self, node: Node, out: Value) -> None:
        from ._shapes_elements import objects

        shape = self.of(node.input(0))
        if shape is not None:
            part = shape[node.attrs.get("start", 0) : node.attrs.get("end", len(shape))]
            self.known_elements[out] = objects(part, (len(part),))

    def _compute(self, node: Node) -> None:
        from ._shapes_arrays import Unfoldable
        from ._shapes_elements import KERNELS, rounded

        try:
            found = KERNELS[node.op](node, [self.elements(value) for value in node.inputs], self.opset)
        except (Unfoldable, *_MALFORMED):
            return
        for out, array in zip(node.outputs, found if isinstance(found, list) else [found], strict=False):
            if out is not None and array.size <= MAX_ELEMENTS:
                self.known_elements[out] = rounded(array, self.dtype(out))


def _flat(array: Array | None) -> tuple[Dim, ...] | None:
    """The elements in a row; None where they are not whole numbers."""
    if array is None:
        return None
    flat = tuple(array.reshape(-1).tolist())
    return None if any(isinstance(element, float | bool) for element in flat) else flat


def _checked(shape: Shape) -> Shape | None:
    if len(shape) > MAX_RANK:
        return None
    for dim in shape:
        if type(dim) is int and dim < 0:
            return tuple(None if isinstance(dim, int) and dim < 0 else dim for dim in shape)
    return shape


def _small(shape: Shape, dtype: str | None) -> bool:
    count = 1
    for dim in shape:
        if type(dim) is not int:
            return False
        count *= dim
    return count <= (_MAX_FLOATS if dtype is not None and dtype.startswith("float") else MAX_ELEMENTS)


def _stored(tensor: Tensor) -> Array | None:
    if not _small(tensor.shape, tensor.dtype) or tensor.dtype == "string" or tensor.dtype.startswith("complex"):
        return None
    from ._shapes_elements import objects

    try:
        return objects(tensor.load().reshape(-1).tolist(), tensor.shape)
    except (TensorUnreadable, ValueError):
        return None
