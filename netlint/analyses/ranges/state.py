"""What a transfer function sees of its node, and what has been found so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from netlint.graph import Dim, Graph, Node, TensorUnreadable, Value
from netlint.training import Interval, Training

from . import rounding
from .facts import Facts
from .interval import COUNT, INF, TOP, Range

if TYPE_CHECKING:
    import numpy as np

    from netlint.analyses.constants import Constants
    from netlint.analyses.shapes import Shapes

SMALL = 1 << 16
"""Constants of up to this many elements are read to learn their smallest and largest element."""
BUDGET = 1 << 24
"""Elements of weights that one graph may cost, on top of small constants."""

Floats: TypeAlias = "np.ndarray[Any, Any]"


class State:
    """The ranges of one graph while they are worked out, in graph order."""

    def __init__(self, graph: Graph, shapes: Shapes, constants: Constants, training: Training) -> None:
        self.graph = graph
        self.shapes = shapes
        self.constants = constants
        self.opset = graph.opset.get("", 1)
        self.facts = Facts()
        self.ranges: dict[Value, Range] = {}
        self._budget = BUDGET
        stated = training.input_range
        self._stated: Interval | None = stated.value if stated.known else None  # type: ignore[union-attr]
        self._inputs = frozenset(graph.inputs)

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
        if value in self._inputs and self._stated and dtype in rounding.FORMATS:
            stated = Range(self._stated.lo, self._stated.hi, assumed=True)
            return rounding.settle(stated, dtype)
        return self.folded(value) or rounding.of_dtype(dtype) or TOP

    def folded(self, value: Value) -> Range | None:
        """The range of a value that turns out to be constant, or whose integers are known from shapes."""
        array = self.constants.get(value)
        if array is not None:
            return bounds(array)
        dims = self.shapes.ints(value)
        if dims and all(isinstance(dim, int) for dim in dims):
            whole = [float(dim) for dim in dims if isinstance(dim, int)]
            return Range(min(whole), max(whole), integral=True)
        return COUNT if dims and all(isinstance(dim, int | str) and _natural(dim) for dim in dims) else None

    def _constant(self, value: Value) -> Range:
        array = self.array(value, SMALL)
        return (rounding.of_dtype(value.dtype) or TOP) if array is None else bounds(array)

    def array(self, value: Value | None, limit: int = SMALL) -> Floats | None:
        """The elements of a constant of at most `limit` elements; None for others, and when the budget is spent."""
        if value is None:
            return None
        tensor = value.constant
        if tensor is None:
            return self.constants.get(value)
        count = 1
        for size in tensor.shape:
            count *= size
        if count > limit or count > self._budget or tensor.dtype == "string":
            return None
        if count > SMALL:
            self._budget -= count
        try:
            return tensor.load()
        except TensorUnreadable:
            return None

    def dtype(self, value: Value | None) -> str | None:
        return None if value is None else self.shapes.dtype(value) or value.dtype

    def shape(self, value: Value | None) -> tuple[Dim, ...] | None:
        return None if value is None else self.shapes.of(value)

    def rank(self, value: Value | None) -> int | None:
        return None if value is None else self.shapes.rank(value)


def _natural(dim: int | str) -> bool:
    """A length: a whole number that is not negative, or the name of one."""
    return dim >= 0 if isinstance(dim, int) else dim.isidentifier()


def bounds(array: Floats) -> Range:
    """The range of stored elements. TOP for none, and for what has no order."""
    import numpy as np

    if array.size == 0 or array.dtype.kind not in "fiub":
        return TOP
    lo, hi = float(array.min()), float(array.max())
    if lo == lo and hi == hi:
        whole = array.dtype.kind != "f" or (array.size <= SMALL and bool((np.floor(array) == array).all()))
        return Range(lo, hi, integral=whole)
    numbers = array[~np.isnan(array)]
    return Range(float(numbers.min()), float(numbers.max()), nan=True) if numbers.size else TOP


class Step:
    """One node, seen by its transfer function."""

    __slots__ = ("node", "state")

    def __init__(self, node: Node, state: State) -> None:
        self.node = node
        self.state = state

    def arg(self, index: int = 0) -> Range:
        """The range of an input; TOP where it is missing."""
        return self.state.of(self.node.input(index))

    def args(self) -> list[Range]:
        return [self.state.of(value) for value in self.node.inputs if value is not None]

    def has(self, index: int) -> bool:
        return self.node.input(index) is not None

    @property
    def attrs(self) -> Mapping[str, Any]:
        return self.node.attrs

    def number(self, name: str, default: float) -> float:
        """A numeric attribute."""
        found = self.node.attrs.get(name, default)
        return float(found) if isinstance(found, int | float) else default

    def ints(self, name: str) -> tuple[int, ...]:
        """An attribute that lists integers; empty where it is missing."""
        found = self.node.attrs.get(name, ())
        return found if isinstance(found, tuple) else ()

    def text(self, name: str, default: str) -> str:
        return str(self.node.attrs.get(name, default))

    @property
    def opset(self) -> int:
        return self.state.opset

    @property
    def dtype(self) -> str | None:
        """The type of the first output, else of the first input."""
        return self.state.dtype(self.node.output()) or self.state.dtype(self.node.input(0))

    @property
    def eps(self) -> float:
        """The relative rounding error of one operation (twice the unit roundoff)."""
        return rounding.format_of(self.dtype).eps

    def shape(self, index: int = 0) -> tuple[Dim, ...] | None:
        return self.state.shape(self.node.input(index))

    def same(self) -> bool:
        """Whether the first two inputs are one value, or copies of one."""
        a, b = self.node.inputs[:2]
        return a is b or (a is not None and b is not None and self.state.facts.root(a) is self.state.facts.root(b))

    def idle(self) -> bool:
        """Whether nothing is known of any input but constants."""
        state = self.state
        return not any(
            value is not None and value.constant is None and (state.of(value).known or state.facts.about(value))
            for value in self.node.inputs
        )

    def summed(self, found: Range, count: int | None) -> Range:
        """A sum or mean of `count` elements, widened by what accumulating in float32 may lose.

        The bound is count * eps (Higham, Accuracy and Stability of Numerical Algorithms, 4.2), cut at 65536 elements
        and taken for 4096 where the count is unknown: runtimes add pairwise, whose error grows with the logarithm.
        """
        unit = 2.0**-53 if self.dtype == "float64" else 2.0**-24
        terms = 4096 if count is None else min(count, 65536)
        return _widen_unless_exact(found, 2 * terms * unit + 2 * self.eps)


def _widen_unless_exact(found: Range, relative: float) -> Range:
    """Sums of powers of two, taken as often as one likes, are exact."""
    lo, hi = found.lo, found.hi
    if abs(lo) < INF and abs(math.frexp(lo)[0]) not in (0.0, 0.5):
        lo -= abs(lo) * relative
    if abs(hi) < INF and abs(math.frexp(hi)[0]) not in (0.0, 0.5):
        hi += abs(hi) * relative
    return found.moved(lo, hi)


Transfer: TypeAlias = Callable[[Step], Range | tuple[Range, ...]]
"""From a node to the range of its first output, or of all; outputs that are left out are TOP."""
