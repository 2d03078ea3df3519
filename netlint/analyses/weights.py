"""What the elements of stored weights are like: extremes, moments, non-finite ones, all zero, all equal, equal units.

Nothing is read before it is asked for, each storage once, a bounded part at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from netlint.analysis import Scope, Unavailable, analysis
from netlint.graph import Graph, Node, Tensor, TensorUnreadable, Value

from ._weights_stats import Moments, WeightStats
from ._weights_units import StoredUnits, equal_units
from .layers import layers
from .parameters import Parameters, parameters

__all__ = ["MOST_ROWS", "Moments", "WeightStats", "Weights", "real_weights", "weights"]

_FLOATS = frozenset({"float32", "float64", "float16", "bfloat16"})
_SMALL = 1 << 12
MOST_ROWS = 1 << 17
"""Of more units than this it is not known which are equal: what is kept of each would take too much memory."""
_MANY = 1 << 10
"""After so many single weights the small ones that are left are read together."""
_FEW_LAYERS = 3
"""Below this many, weights that are all fills may well be meant."""


class Weights:
    """Statistics of constants, by value. Unknown is None: computed, not floating-point, unreadable."""

    def __init__(self, graph: Graph, known: Parameters) -> None:
        self._graph = graph
        self._known = known
        self._by_value: dict[Value, WeightStats | None] = {}
        self._moments: dict[Value, Moments | None] = {}
        self._by_storage: dict[object, WeightStats | None] = {}
        self._scanner: Callable[[Tensor], WeightStats] | None = None
        self.unreadable: dict[Value, str] = {}
        """Constants whose bytes cannot be had, and why; filled as they are met."""

    def of(self, value: Value | None) -> WeightStats | None:
        """The statistics of the stored constant behind a value, or of the number that fills it (whatever its shape)."""
        if value is None:
            return None
        if value not in self._by_value:
            self._by_value[value] = self._scan(value) if value.constant is not None else self._find(value)
            if len(self._by_value) == _MANY:
                self._scan_together()
        return self._by_value[value]

    def _scan_together(self) -> None:
        """Somebody asks for one weight after the other: all that are left and small are read at once."""
        from ._weights_batch import scan_together

        left = dict.fromkeys(value for node in self._graph.nodes for value in node.inputs if value is not None)
        self._by_value |= scan_together(value for value in left if value.constant is not None) | self._by_value

    def moments(self, value: Value | None) -> Moments | None:
        """Moments of a weight's elements; None where unknown, or where an element is not finite."""
        if value is None:
            return None
        if value not in self._moments:
            self._moments[value] = self._find_moments(value)
        return self._moments[value]

    def rms(self, value: Value | None) -> float | None:
        """The root of the mean square of a weight's elements, sooner found than its moments; None as there."""
        tensor = value.constant if value is not None else None
        if tensor is None or tensor.nbytes > _SMALL or value in self._moments:
            found = self.moments(value)
            return None if found is None else found.rms
        stats = self.of(value)
        if stats is None or stats.nan or stats.inf or stats.lo > stats.hi:
            return None
        from ._weights_scan import rms_of

        try:
            return rms_of(tensor)
        except TensorUnreadable:  # it could be a moment ago
            return None

    def _find_moments(self, value: Value) -> Moments | None:
        stats = self.of(value)
        if stats is None or stats.nan or stats.inf or stats.lo > stats.hi:
            return None
        if stats.constant:
            return Moments(1, stats.lo, stats.lo * stats.lo, 0.0, 1.0, float(stats.zero))
        if stats.moments is not None:
            return stats.moments
        stored = self._known.stored(value)
        if stored is None or stored.value.constant is None:
            return None
        from ._weights_scan import moments_of

        try:
            return moments_of(stored.value.constant)
        except TensorUnreadable as error:
            self.unreadable[value] = str(error)
            return None

    def bounds(self, value: Value | None) -> tuple[float, float] | None:
        """The least and the greatest element; None where unknown, or where an element is NaN."""
        stats = self.of(value)
        return None if stats is None or stats.has_nan or stats.lo > stats.hi else (stats.lo, stats.hi)

    def shape(self, value: Value) -> tuple[int, ...] | None:
        """The lengths of the axes of a weight, whether the file declares them or what is stored shows them."""
        if value.constant is not None:
            return value.constant.shape
        if value.shape is not None:
            sizes = tuple(size for size in value.shape if isinstance(size, int))
            return sizes if len(sizes) == len(value.shape) else None
        stored = self._known.stored(value)
        if stored is None or stored.perm is None or stored.value.constant is None:
            return None
        return tuple(stored.value.constant.shape[axis] for axis in stored.perm)

    def why_unreadable(self, value: Value) -> str:
        """Why the bytes of a weight cannot be had; empty if they can, or if nothing is stored."""
        if self.of(value) is not None:
            return ""
        stored = self._known.stored(value)
        return self.unreadable.get(stored.value, "") if stored is not None else ""

    def filled(self, value: Value | None) -> bool:
        """Whether a ConstantOfShape makes the value: such a weight is not stored."""
        return self._known.constant(value) and self._fill(value) is not None

    def unit_keys(self, value: Value, axis: int | None, count: int, indices: Sequence[int]) -> list[bytes] | None:
        """For each of some of the `count` units along an axis something that is equal only if their elements are.

        The axis may be longer than `count`: each unit then has a run of it (channels that were flattened). None as
        axis is for vectors of any layout; one element serves all units. The answer None: unknown, or too much to keep.
        """
        stats = self.of(value)
        if stats is None:
            return None
        return [b""] * len(indices) if stats.constant else self._slices(value, axis, count, indices)

    def equal_units(self, value: Value, axis: int) -> list[tuple[int, ...]] | None:
        """Groups of at least two units along an axis with the same elements; None where unknown.

        Units that show fewer than two magnitudes besides zero are left out: pruned and binary ones agree by chance.
        """
        stats = self.of(value)
        if stats is None:
            return None
        if value.constant is not None and _differ(stats, axis, len(value.constant.shape)):
            return []
        return [] if stats.constant else self._compared(value, axis, stats)

    def dead_units(self, value: Value, axis: int) -> tuple[int, int] | None:
        """How many units along an axis have nothing but zeros and denormals, and of how many; None where unknown.

        Whole units are read only where a sample shows enough such elements to make a difference of 1 %.
        """
        units, found = self._units(value, axis, None), self.moments(value)
        if units is None or found is None or units.count > MOST_ROWS:
            return None
        if found.tiny < 0.01:
            return 0, units.count
        from ._weights_scan import dead

        try:
            return dead(units.tensor, units.outer, units.count, units.inner), units.count
        except TensorUnreadable as error:
            self.unreadable[value] = str(error)
            return None

    def standardised(self, value: Value, axis: int) -> bool:
        """Whether the elements of each unit along an axis add up to 0, as standardisation leaves them."""
        units, found = self._units(value, axis, None), self.moments(value)
        if units is None or found is None:
            return False
        from ._weights_scan import centred

        return centred(units.tensor, units.outer, units.count, units.inner)

    def _compared(self, value: Value, axis: int, stats: WeightStats) -> list[tuple[int, ...]] | None:
        units = self._units(value, axis, None)
        if units is None or units.count > MOST_ROWS:
            return None
        if units.count < 2 or (units.outer == 1 and (stats.rows_differ or units.inner < 2)):
            return []
        if units.inner == 1 and stats.columns_differ:
            return []
        try:
            return equal_units(units)
        except TensorUnreadable as error:
            self.unreadable[value] = str(error)
            return None

    def _find(self, value: Value) -> WeightStats | None:
        stored = self._known.stored(value)
        if stored is not None:
            return self._scan(stored.value)
        node = self._fill(value)
        if node is None:
            return None
        number = node.attrs.get("value")
        if number is None:
            return WeightStats(0.0, 0.0, 0, 0)
        return self._scan_tensor(number, value) if hasattr(number, "storage") else None

    def _fill(self, value: Value | None) -> Node | None:
        """The ConstantOfShape whose number a value repeats."""
        return self._graph.producer(self._known.fill(value))

    def _scan(self, value: Value) -> WeightStats | None:
        return None if value.constant is None else self._scan_tensor(value.constant, value)

    def _scan_tensor(self, tensor: Tensor, value: Value) -> WeightStats | None:
        if tensor.dtype not in _FLOATS:
            return None
        if tensor.nbytes <= _SMALL:  # sooner read again than remembered
            return self._read(tensor, value)
        key = (tensor.storage, tensor.dtype, tensor.shape)
        if key not in self._by_storage:
            self._by_storage[key] = self._read(tensor, value)
        return self._by_storage[key]

    def _read(self, tensor: Tensor, value: Value) -> WeightStats | None:
        if self._scanner is None:
            from ._weights_scan import scan

            self._scanner = scan
        try:
            return self._scanner(tensor)
        except TensorUnreadable as error:
            self.unreadable[value] = str(error)
            return None

    def _units(self, value: Value, axis: int | None, count: int | None) -> StoredUnits | None:
        stored = self._known.stored(value)
        tensor = stored.value.constant if stored is not None else None
        if stored is None or tensor is None or tensor.dtype not in _FLOATS or not tensor.nbytes:
            return None
        if axis is None:
            size = prod(tensor.shape)
            return StoredUnits(tensor, 1, size, 1) if size in (count, 1) else None
        if stored.perm is None or axis >= len(stored.perm):
            return None
        at = stored.perm[axis]
        length = tensor.shape[at]
        units = count or length
        if length % units:
            return None
        return StoredUnits(tensor, prod(tensor.shape[:at]), units, length // units * prod(tensor.shape[at + 1 :]))

    def _slices(self, value: Value, axis: int | None, count: int, indices: Sequence[int]) -> list[bytes] | None:
        from ._weights_scan import slices

        units = self._units(value, axis, count)
        if units is None:
            return None
        if units.count == 1:
            return [b""] * len(indices)
        try:
            return slices(units.tensor, units.outer, units.count, units.inner, indices)
        except TensorUnreadable as error:
            self.unreadable[value] = str(error)
            return None


def _differ(stats: WeightStats, axis: int, rank: int) -> bool:
    return (axis == 0 and stats.rows_differ) or (axis == rank - 1 and stats.columns_differ)


@analysis(parameters)
def weights(scope: Scope) -> Weights:
    """What the elements of stored weights are like."""
    return Weights(scope.graph, scope[parameters])


@analysis(layers, weights)
def real_weights(scope: Scope) -> Weights:
    """The weights of a model that carries some: not one whose weights were stripped and replaced by fills."""
    found, all_layers = scope[weights], scope[layers].all
    if all_layers and all(found.why_unreadable(layer.weight) for layer in all_layers):
        raise Unavailable(f"the weights cannot be read: {found.why_unreadable(all_layers[0].weight)}")
    if len(all_layers) >= _FEW_LAYERS and all(_placeholder(found, layer.weight) for layer in all_layers):
        raise Unavailable("the weights are placeholders (ConstantOfShape fills), not values")
    return found


def _placeholder(found: Weights, weight: Value) -> bool:
    stats = found.of(weight) if found.filled(weight) else None
    return stats is not None and not stats.zero
