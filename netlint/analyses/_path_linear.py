"""Weighted layers that compose linearly, and what one layer in their place would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from netlint import ops
from netlint.graph import ONNX, Graph, Node, Shape, Value

from ._idioms import Effect, step, through
from ._path_gradient import cuts_decimals
from ._path_readers import Readers
from ._path_widths import composed, conv_of, dense_widths
from .layers import Layer, Layers
from .parameters import Parameters

_MAX_BETWEEN = 24
_KEEPS_UNITS_LAST = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather", "Expand"})
_BEHIND_CONV = frozenset({"MaxPool", "GlobalAveragePool", "ReduceMean", "Flatten", "Reshape", "Squeeze"})
_PASSES = frozenset({"Identity", "Dropout", "Cast", "BatchNormalization"})
_MAY_GO_ON = _PASSES | ops.ARITHMETIC | _BEHIND_CONV | _KEEPS_UNITS_LAST | {"Transpose"}


@dataclass(frozen=True, eq=False, slots=True)
class LinearPair:
    """Two layers with nothing but affine operators between them. Compared by identity."""

    first: Layer
    second: Layer
    between: tuple[Node, ...]
    """The operators between them."""
    inputs: int
    inner: int
    units: int
    """Widths: what the first layer reads, what lies between, what the second one answers; channels or features."""
    cost: int
    """Numbers in both weights."""
    merged: int
    """Numbers in the weight of the one layer that computes the same (up to borders that padding fills)."""
    spatial: bool
    """Whether both are convolutions with kernels larger than 1."""
    maxpooled: bool = False
    """Whether max pooling lies between two convolutions, or a convolution and a dense layer: all but linear."""
    by_design: bool = False
    """Whether the pair is linear by design: the projection behind a depthwise convolution and what reads it, or a
    low-rank update that runs beside the layer that it adapts."""
    unread: tuple[Node, ...] = ()
    """What reads a value between them for nothing, such as an activation whose result nobody used."""


class LinearPairs:
    """Finds the pairs of one graph. `shape` tells the shape of a value, and is asked only where layout changes."""

    def __init__(
        self, graph: Graph, known: Parameters, layers: Layers, shape: Callable[[Value | None], Shape | None]
    ) -> None:
        self._graph = graph
        self._known = known
        self._layers = layers
        self._shape = shape
        self._reading = Readers(graph)

    @cached_property
    def _readers(self) -> Counter[Value]:
        """How many layers read each stored weight."""
        return Counter(stored for layer in self._layers.all if (stored := self._stored(layer)) is not None)

    def all(self) -> list[LinearPair]:
        """All pairs, in graph order of their first layer."""
        return [pair for layer in self._layers.all if (pair := self._from(layer)) is not None]

    def _from(self, first: Layer) -> LinearPair | None:
        value = first.output
        between: list[Node] = []
        unread: list[Node] = []
        while len(between) < _MAX_BETWEEN:
            uses, idle = self._reading.split(value)
            unread.extend(idle)
            if len(uses) != 1 or self._graph.is_output(value):
                return None
            node = uses[0]
            second = self._layers.of(node)
            if second is not None:
                pair = self._pair(first, second, value, tuple(between))
                return replace(pair, unread=tuple(unread)) if pair is not None and unread else pair
            if not self._goes_on(first, node, value):
                return None
            between.append(node)
            made = node.output()
            if made is None:
                return None
            value = made
        return None

    def _goes_on(self, first: Layer, node: Node, value: Value) -> bool:
        """Whether a node is affine in a value and leaves the units where they are."""
        if node.op not in _MAY_GO_ON:
            return False
        taken = step(self._graph, self._known, node)
        if node.domain != ONNX or taken is None or taken.data is not value or node.output() is None:
            return False
        if node.op in _PASSES:
            return taken.effect <= Effect.AFFINE and not cuts_decimals(node)
        if node.op in ops.ARITHMETIC:
            return taken.effect == Effect.AFFINE
        if first.kind == "conv":
            return node.op in _BEHIND_CONV
        return first.kind == "dense" and self._keeps_last(node, value)

    def _keeps_last(self, node: Node, value: Value) -> bool:
        """Whether the last axis, which counts a dense layer's units, stays the last and whole."""
        if node.op == "Transpose":
            order = tuple(node.attrs.get("perm", ()))
            return order[-1:] == (len(order) - 1,)
        if node.op not in _KEEPS_UNITS_LAST:
            return False
        before, after = self._shape(value) or (None,), self._shape(node.output()) or (None,)
        return isinstance(before[-1], int) and before[-1] == after[-1]

    def _pair(self, first: Layer, second: Layer, value: Value, between: tuple[Node, ...]) -> LinearPair | None:
        if second.data is not value or not self._own_weight(first) or not self._own_weight(second):
            return None
        pooled = any(node.op in ("GlobalAveragePool", "ReduceMean") for node in between)
        if any(node.op == "MaxPool" for node in between):
            return self._maxpooled(first, second, between)
        if first.kind == second.kind == "dense":
            return self._dense(first, second, between)
        if {first.kind, second.kind} <= {"conv", "conv-transpose"}:
            moved = any(node.op in _KEEPS_UNITS_LAST or node.op == "ReduceMean" for node in between)
            return None if moved or pooled else self._convolved(first, second, between)
        if first.kind == "conv" and second.kind == "dense":
            return self._flattened(first, second, between, pooled)
        return None

    def _maxpooled(self, first: Layer, second: Layer, between: tuple[Node, ...]) -> LinearPair | None:
        """Costs are those of the layers themselves: no one layer does the same."""
        one = conv_of(first)
        if one is None or one.groups != 1 or max(one.extent) == 1:
            return None
        two = conv_of(second) if second.kind == "conv" else None
        if two is not None and two.groups == 1 and max(two.extent) > 1:
            cost = one.cost + two.cost
            return LinearPair(first, second, between, one.inputs, one.units, two.units, cost, cost, True, True)
        dense = dense_widths(second) if second.kind == "dense" else None
        if dense is None or not any(node.op in ("Flatten", "Reshape") for node in between):
            return None
        cost = one.cost + dense[0] * dense[1]
        return LinearPair(first, second, between, one.inputs, one.units, dense[1], cost, cost, False, True)

    def _dense(self, first: Layer, second: Layer, between: tuple[Node, ...]) -> LinearPair | None:
        one, two = dense_widths(first), dense_widths(second)
        if one is None or two is None or one[1] != two[0]:
            return None
        (inputs, inner), units = one, two[1]
        cost = inputs * inner + inner * units
        beside = self._beside_a_layer(first, second)
        return LinearPair(first, second, between, inputs, inner, units, cost, inputs * units, False, False, beside)

    def _convolved(self, first: Layer, second: Layer, between: tuple[Node, ...]) -> LinearPair | None:
        one, two = conv_of(first), conv_of(second)
        if one is None or two is None or one.units != two.inputs or len(one.extent) != len(two.extent):
            return None
        extent = composed(one, two, first.kind, second.kind)
        if extent is None:
            return None
        groups = min(one.groups, two.groups) if max(one.groups, two.groups) % min(one.groups, two.groups) == 0 else 1
        merged = one.inputs * two.units // groups * prod(extent)
        spatial = all(max(conv.extent) > 1 for conv in (one, two)) and one.groups == two.groups == 1
        aligned = all((a > 1) == (b > 1) for a, b in zip(one.extent, two.extent, strict=True))
        return LinearPair(
            first,
            second,
            between,
            one.inputs,
            one.units,
            two.units,
            one.cost + two.cost,
            merged,
            spatial and aligned,
            by_design=max(one.extent) == 1 and self._behind_depthwise(first),
        )

    def _beside_a_layer(self, first: Layer, second: Layer) -> bool:
        """Whether the pair's result is added to what another layer makes of the same data."""
        value = second.output
        for _ in range(_MAX_BETWEEN):
            uses = self._graph.uses(value)
            made = uses[0].output() if len(uses) == 1 else None
            if made is None or uses[0].domain != ONNX:
                return False
            if uses[0].op == "Add" and step(self._graph, self._known, uses[0]) is None:
                others = [other for other in uses[0].inputs if other is not None and other is not value]
                return any(self._reads_same(other, first) for other in others)
            if step(self._graph, self._known, uses[0]) is None:
                return False
            value = made
        return False

    def _reads_same(self, value: Value, first: Layer) -> bool:
        value = through(self._graph, self._known, value, Effect.AFFINE)
        layer = self._layers.ending_in(value) or self._layers.of(self._graph.producer(value))
        if layer is None:
            return False
        return through(self._graph, self._known, layer.data) is through(self._graph, self._known, first.data)

    def _behind_depthwise(self, layer: Layer) -> bool:
        """Whether a depthwise convolution feeds a layer, past activations, norms and gates."""
        todo, seen = [layer.data], {layer.data}
        while todo and len(seen) <= _MAX_BETWEEN:
            value = todo.pop()
            node = self._graph.producer(value)
            behind = self._layers.ending_in(value) or self._layers.of(node)
            if behind is not None:
                conv = conv_of(behind) if behind.kind == "conv" else None
                if conv is not None and conv.groups == conv.inputs > 1:
                    return True
            elif node is not None:
                fresh = [v for v in node.inputs if v is not None and v not in seen and not self._known.constant(v)]
                todo.extend(fresh)
                seen.update(fresh)
        return False

    def _flattened(self, first: Layer, second: Layer, between: tuple[Node, ...], pooled: bool) -> LinearPair | None:
        """A convolution, flattened or averaged over space, and a dense layer."""
        one, two = conv_of(first), dense_widths(second)
        if one is None or two is None or one.groups != 1:
            return None
        after = self._shape(second.data)
        if not after or after[-1] != two[0]:
            return None
        inner, units = two
        cost = one.cost + inner * units
        if pooled:
            if inner != one.units:
                return None
            merged = one.inputs * units * prod(one.extent)
            return LinearPair(first, second, between, one.inputs, inner, units, cost, merged, False)
        before, made = self._shape(first.data), self._shape(first.output)
        sizes = [size for size in (before or ())[1:] if isinstance(size, int)]
        whole = [size for size in (made or ())[1:] if isinstance(size, int)]
        if not before or not made or len(sizes) != len(before) - 1 or prod(whole) != inner or len(after) != 2:
            return None
        inputs = prod(sizes)
        return LinearPair(first, second, between, inputs, inner, units, cost, inputs * units, False)

    def _stored(self, layer: Layer) -> Value | None:
        stored = self._known.stored(layer.weight)
        return stored.value if stored is not None else None

    def _own_weight(self, layer: Layer) -> bool:
        """Whether a layer has a weight of its own, which training may move."""
        if layer.node.op not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
            return False  # the quantised ones cut off what does not fit
        stored = self._stored(layer)
        return stored is not None and stored.trainable is not False and self._readers[stored] == 1
