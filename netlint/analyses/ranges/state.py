"""What has been found so far about the values of one graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from netlint.graph import Dim, Graph, Node, Tensor, TensorUnreadable, Value
from netlint.training import Interval, Training

from . import rounding
from .facts import Facts
from .interval import INF, TOP, Range

if TYPE_CHECKING:
    import numpy as np

    from netlint.analyses.constants import Constants
    from netlint.analyses.shapes import Shapes

SMALL = 1 << 16
"""Constants of up to this many elements are read to learn their smallest and largest element."""
FREE = 1 << 12
"""Smaller ones than this are not counted."""
_WHOLE = 1 << 8
"""Constants of up to this many elements are looked at for fractions."""
BUDGET = 1 << 20
"""What weights and channels may cost in one graph, in elements of weights looked at: some 10 ms. Once it is spent,
weights count as unknown numbers and channels are no longer told apart; small models never spend it."""
READING = 1 << 12
"""What opening a weight costs besides its elements."""
FOLLOWING = 1 << 13
"""What one operation on channels costs."""
MOST_LANES = 4096
"""Channels that are told apart."""
_SPARE = 64
_VISITS = 8
"""Visits per node that bodies of loops may cost."""
_REPRODUCED = frozenset(
    (
        *("Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Gather", "GatherND"),
        *("ScatterND", "Slice", "Split", "Expand", "Tile", "Add", "Sub", "Mul", "Div", "Min", "Max", "Where", "Neg"),
        *("Abs", "Floor", "Ceil", "Round", "Sign", "Sqrt", "Reciprocal", "Cast", "Clip", "ReduceMax", "ReduceMin"),
        *("ConstantOfShape", "EyeLike", "Trilu", "DequantizeLinear"),
    )
)
"""Operators that round once at most, as IEEE 754 wants it: all runtimes agree on their results."""
_FLOATS = frozenset(rounding.FORMATS)

Floats: TypeAlias = "np.ndarray[Any, Any]"


class Lanes(NamedTuple):
    """Bounds for each place along one axis, at most `MOST_LANES`; they hold as those of `Range` do."""

    axis: int
    """Counted from the end: -1 is the last."""
    lo: Floats
    hi: Floats


class State:
    """The ranges of one graph while they are worked out, in graph order."""

    def __init__(
        self, graph: Graph, shapes: Shapes, constants: Constants, training: Training, opened: Mapping[Value, Range]
    ) -> None:
        self.graph = graph
        self.shapes = shapes
        self.constants = constants
        self.opset = graph.opset.get("", 1)
        self.facts = Facts()
        self.ranges: dict[Value, Range] = dict(opened)
        self.lanes: dict[Value, Lanes | None] = {}
        self.given = frozenset(value for value in opened if value.constant is None)
        """Values that the graph computes from constants, and that stand for parameters."""
        self.opened = set(opened)
        """Constants of which only a range is assumed, and what is computed from them and other constants."""
        self.axes: dict[Value, tuple[int, ...] | None] = {}
        """The elements of constants that list axes."""
        self.fixed: set[Value] = set(self.given)
        """Computed from constants alone, with known elements or without."""
        self.inexact: set[Value] = set()
        """Those of them that runtimes may compute to slightly other numbers: sums of many, transcendental functions."""
        self.visits_left = _VISITS * len(graph.nodes)
        self._budget = BUDGET
        self._spare = _SPARE
        stated = training.input_range
        self._stated: Interval | None = stated.value if stated.known else None  # type: ignore[union-attr]
        self._inputs = frozenset(graph.inputs)
        self._lengths = {dim for value in graph.inputs for dim in value.shape or () if isinstance(dim, str)}

    def of(self, value: Value | None) -> Range:
        """The range of a value; of a missing input TOP."""
        if value is None:
            return TOP
        found = self.ranges.get(value)
        if found is None:
            found = self.ranges[value] = self._outside(value)
        return found

    def _outside(self, value: Value) -> Range:
        """The range of what no transfer function gave: constants, inputs, results of unknown operators."""
        if value.constant is not None:
            return self._constant(value)
        dtype = self.dtype(value)
        if dtype in _FLOATS:
            if self._stated is not None and value in self._inputs:
                return rounding.settle(Range(float(self._stated.lo), float(self._stated.hi), assumed=True), dtype)
            return TOP
        return self._followed(value) or rounding.of_dtype(dtype) or TOP

    def _followed(self, value: Value) -> Range | None:
        """The range of integers that are known from shapes: numbers, and lengths of axes."""
        dims = self.shapes.ints(value)
        if not dims or not all(isinstance(dim, int) or (isinstance(dim, str) and dim.isidentifier()) for dim in dims):
            return None
        whole = [float(dim) for dim in dims if isinstance(dim, int)]
        if len(whole) == len(dims):
            return Range(min(whole), max(whole), integral=True)
        return Range(min([float(self.has_length(dims)), *whole]), INF, integral=True)

    def has_length(self, dims: Iterable[Dim]) -> bool:
        """Whether none of these lengths is 0: numbers, and those of inputs. What data decides (NonZero) may be 0."""
        return all(dim > 0 if isinstance(dim, int) else dim in self._lengths for dim in dims)

    def followed(self, value: Value, found: Range) -> Range:
        """A range of integers, with what is known from shapes."""
        known = None if found.lo == found.hi else self._followed(value)
        return found if known is None else found.meet(known)

    def _constant(self, value: Value) -> Range:
        assert value.constant is not None
        size = _elements(value.constant)
        array = self.array(value) if size <= FREE or self.afford(size) else None
        return (rounding.of_dtype(value.dtype) or TOP) if array is None else bounds(array)

    def fold(self, node: Node) -> bool:
        """Whether a node computes on constants alone, with a result that is known; its range is noted then."""
        constant = all(value is None or value.constant is not None or value in self.fixed for value in node.inputs)
        if not constant or node.bodies:  # bodies capture values that are no inputs
            return False
        outputs = [out for out in node.outputs if out is not None]
        self.fixed.update(outputs)
        if not self.opened.isdisjoint(node.inputs):
            self.opened.update(outputs)
            return False
        if node.domain or not (node.op in _REPRODUCED or self._whole_numbers(outputs)):
            self.inexact.update(outputs)
        if not self.inexact.isdisjoint(outputs) or not self.inexact.isdisjoint(node.inputs):
            self.inexact.update(outputs)
            return False
        for out in outputs:
            array = self.constants.get(out)
            if array is None or array.size == 0 or array.dtype.kind not in "fiub":
                return False
            self.ranges[out] = bounds(array)
        return True

    def _whole_numbers(self, outputs: list[Value]) -> bool:
        return all(self.dtype(out) in rounding.INTEGER_LIMITS for out in outputs)

    def array(self, value: Value | None) -> Floats | None:
        """The elements of a small constant; None for others."""
        if value is None or value in self.opened or value in self.inexact:
            return None
        tensor = value.constant
        if tensor is None or _elements(tensor) <= SMALL:
            return self.constants.get(value)
        return None

    def weight(self, value: Value | None) -> Floats | None:
        """The elements of a floating-point constant while the budget lasts; None for others."""
        if value is None or value in self.opened or value in self.inexact:
            return None
        tensor = value.constant
        if tensor is None:
            array = self.constants.get(value)
        elif not self.afford(READING + _elements(tensor)):
            return None
        else:
            try:
                array = tensor.load()
            except TensorUnreadable:
                return None
        return array if array is not None and array.dtype.kind == "f" and array.size else None

    @property
    def spares(self) -> bool:
        """Whether `spare` has not been used up."""
        return self._spare > 0

    def spare(self) -> bool:
        """Whether a small weight may be looked at though nothing is known of the data."""
        self._spare -= 1
        return self._spare >= 0

    def afford(self, cost: int) -> bool:
        """Whether the budget still covers that; it is spent then."""
        if cost > self._budget:
            return False
        self._budget -= cost
        return True

    @property
    def affords_lanes(self) -> bool:
        return self._budget >= FOLLOWING

    def lanes_of(self, value: Value | None) -> Lanes | None:
        """Bounds by channel, where they say more than the range; of constants that vary along one axis too."""
        if value is None:
            return None
        if value in self.lanes or (value.constant is None and value not in self.fixed):
            return self.lanes.get(value)
        found = self.lanes[value] = self._constant_lanes(value)
        return found

    def _constant_lanes(self, value: Value) -> Lanes | None:
        shape = value.constant.shape if value.constant is not None else self.shape(value)
        long = [axis for axis, size in enumerate(shape or ()) if size != 1]
        if shape is None or len(long) != 1:
            return None
        size = shape[long[0]]
        array = self.array(value) if isinstance(size, int) and 1 < size <= MOST_LANES else None
        if array is None or array.dtype.kind != "f":
            return None
        import numpy as np

        with np.errstate(invalid="ignore"):  # NaN of any kind is looked for below
            wide = array.reshape(-1).astype("float64")
        return Lanes(long[0] - len(shape), wide, wide) if not (wide != wide).any() else None

    def dtype(self, value: Value | None) -> str | None:
        return self.shapes.dtype(value)

    def shape(self, value: Value | None) -> tuple[Dim, ...] | None:
        return None if value is None else self.shapes.of(value)

    def rank(self, value: Value | None) -> int | None:
        return None if value is None else self.shapes.rank(value)


def _elements(tensor: Tensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def bounds(array: Floats) -> Range:
    """The range of stored elements. TOP for none, and for what has no order."""
    if array.size == 0 or array.dtype.kind not in "fiub":
        return TOP
    if array.size == 1:
        number = float(array.reshape(-1)[0])
        return TOP if number != number else Range(number, number, integral=number.is_integer())
    lo, hi = float(array.min()), float(array.max())
    if lo == lo and hi == hi:
        return Range(lo, hi, integral=array.dtype.kind != "f" or _whole(array))
    import numpy as np

    numbers = array[~np.isnan(array)]
    return Range(float(numbers.min()), float(numbers.max()), nan=True) if numbers.size else TOP


def _whole(array: Floats) -> bool:
    if array.size > _WHOLE:
        return False
    import numpy as np

    return bool((np.floor(array) == array).all())
