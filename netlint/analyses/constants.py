"""What constants hold, those included that the graph computes from other constants or from known shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Tensor, TensorUnreadable, Value

from .shapes import Shapes, shapes

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Constants", "constants"]

MAX_ELEMENTS = 65_536
"""Larger constants are neither loaded nor computed here."""
_MAX_SOURCE = 1 << 22
"""Elements of a constant of which an operator takes a part."""
_TAKES_PART = frozenset({"Gather", "Slice", "Split"})
_KEEP = 4096
"""Stored constants up to this many elements stay in memory once read."""

# The keys of `_constants_fold.KERNELS`, listed here because that module needs numpy.
FOLDED = frozenset(
    (
        *("Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Gather", "GatherND"),
        *(
            "ScatterND",
            "Slice",
            "Split",
            "Expand",
            "Tile",
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Mod",
            "Pow",
            "Min",
            "Max",
            "Sum",
        ),
        *(
            "Equal",
            "Less",
            "Greater",
            "LessOrEqual",
            "GreaterOrEqual",
            "And",
            "Or",
            "Xor",
            "Not",
            "Where",
            "Neg",
            "Abs",
        ),
        *(
            "Floor",
            "Ceil",
            "Round",
            "Sign",
            "Sqrt",
            "Reciprocal",
            "Exp",
            "Log",
            "Sin",
            "Cos",
            "Tanh",
            "Sigmoid",
            "Cast",
        ),
        *("Clip", "CumSum", "ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ArgMax", "ArgMin"),
        *("Range", "ConstantOfShape", "EyeLike", "Trilu", "DequantizeLinear"),
    )
)
# Results hold the same numbers as input 0, so one number stays one number.
_REPEATS = frozenset({"Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Expand", "Tile"})


class Constants:
    """The contents of small constants. Nothing is loaded or computed before it is asked for."""

    def __init__(self, graph: Graph, known: Shapes) -> None:
        self._graph = graph
        self._shapes = known
        self._opset = graph.opset.get("", 1)
        self._arrays: dict[Value, np.ndarray[Any, Any] | None] = {}
        self._foldable: dict[Value, Node] = {}
        for node in graph.nodes:
            if node.op in FOLDED and not node.domain and self._may_fold(node):
                self._foldable.update((out, node) for out in node.outputs if out is not None)

    def get(self, value: Value | None) -> np.ndarray[Any, Any] | None:
        """The array of a stored or computed constant of at most 65,536 elements; None where there is none.

        Types that numpy lacks come as float32. The array is shared: do not change it.
        """
        if value is None:
            return None
        if value.constant is not None:
            return self._stored(value, MAX_ELEMENTS)
        if value in self._foldable and value not in self._arrays:
            self._fold(value)
        return self._arrays.get(value) if value in self._foldable else self._of_shapes(value)

    def scalar(self, value: Value | None) -> float | None:
        """The number that all elements of a constant are equal to; None where there is none, or for NaN."""
        value = self._repeated(value)
        node = self._graph.producer(value)
        if node is not None and node.op == "ConstantOfShape" and not node.domain:
            fill = node.attrs.get("value")
            return 0.0 if fill is None else _uniform(_load(fill))
        return _uniform(self.get(value))

    def _repeated(self, value: Value | None) -> Value | None:
        """Back over operators that only move or repeat elements."""
        node = self._graph.producer(value)
        while node is not None and node.op in _REPEATS and not node.domain and node.inputs:
            value = node.input(0)
            node = self._graph.producer(value)
        return value

    def _may_fold(self, node: Node) -> bool:
        """Whether the inputs are constant and the result is small."""
        for slot, value in enumerate(node.inputs):
            if value is not None and value not in self._foldable and self._integers(value) is None:
                limit = _MAX_SOURCE if node.op in _TAKES_PART and slot == 0 else MAX_ELEMENTS
                if value.constant is None or _elements(value.constant) > limit:
                    return False
        sizes = [_count(self._shapes, out) for out in node.outputs if out is not None]
        return bool(sizes) and all(size is not None and size <= MAX_ELEMENTS for size in sizes)

    def _fold(self, wanted: Value) -> None:
        """Compute a value and what it needs; without recursion, for chains can be long."""
        stack = [wanted]
        while stack:
            node = self._foldable[stack[-1]]
            due = [value for value in node.inputs if value in self._foldable and value not in self._arrays]
            if due:
                stack += (value for value in dict.fromkeys(due) if value is not None)
                continue
            if stack.pop() not in self._arrays:
                self._compute(node)

    def _compute(self, node: Node) -> None:
        from ._constants_fold import compute

        self._arrays.update((out, None) for out in node.outputs if out is not None)
        low_precision = any(_rounds_unlike_numpy(self._shapes.dtype(value)) for value in node.inputs)
        inputs = [self._input(node, slot) for slot in range(len(node.inputs))]
        if any(array is None and value is not None for array, value in zip(inputs, node.inputs, strict=True)):
            return
        found = compute(node, inputs, self._opset, low_precision)
        self._arrays.update((out, array) for out, array in zip(node.outputs, found, strict=False) if out is not None)

    def _input(self, node: Node, slot: int) -> np.ndarray[Any, Any] | None:
        value = node.input(slot)
        if value is not None and value.constant is not None:
            return self._stored(value, _MAX_SOURCE if node.op in _TAKES_PART else MAX_ELEMENTS)
        return self.get(value)

    def _integers(self, value: Value) -> tuple[int, ...] | None:
        """The elements of a computed value that `shapes` has followed to the last one."""
        followed = None if value.constant is not None else self._shapes.ints(value)
        whole = tuple(item for item in followed or () if isinstance(item, int))
        return whole if followed is not None and len(whole) == len(followed) else None

    def _of_shapes(self, value: Value) -> np.ndarray[Any, Any] | None:
        whole, shape, dtype = self._integers(value), self._shapes.of(value), self._shapes.dtype(value)
        if whole is None or shape is None or dtype not in ("int64", "int32"):
            return None
        import numpy as np

        return np.array(whole, dtype=dtype).reshape([dim for dim in shape if isinstance(dim, int)])

    def _stored(self, value: Value, limit: int) -> np.ndarray[Any, Any] | None:
        if value in self._arrays:
            return self._arrays[value]
        tensor = value.constant
        if tensor is None or _elements(tensor) > limit:
            return None
        array = _load(tensor)
        if _elements(tensor) <= _KEEP:
            self._arrays[value] = array
        return array


def _load(tensor: Tensor) -> np.ndarray[Any, Any] | None:
    try:
        return tensor.load()
    except (TensorUnreadable, ValueError, AttributeError):  # the last: an attribute that is no tensor
        return None


def _elements(tensor: Tensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def _count(known: Shapes, value: Value | None) -> int | None:
    """The number of elements where every length is known."""
    shape = known.of(value)
    count = 1
    for dim in shape or ():
        if not isinstance(dim, int):
            return None
        count *= dim
    return None if shape is None else count


def _uniform(array: np.ndarray[Any, Any] | None) -> float | None:
    if array is None or array.size == 0 or array.dtype.kind not in "fiub":
        return None
    first = array.reshape(-1)[0]
    return float(first) if bool((array == first).all()) else None


def _rounds_unlike_numpy(dtype: str | None) -> bool:
    """Types that are held as float32 here: arithmetic on them would round differently."""
    return dtype is not None and dtype.startswith(
        ("bfloat", "float8", "float4", "float6", "int4", "uint4", "int2", "uint2")
    )


@analysis(shapes)
def constants(scope: Scope) -> Constants:
    """The contents of stored constants and of what the graph computes from them and from known shapes."""
    return Constants(scope.graph, scope[shapes])
