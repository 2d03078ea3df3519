"""What values are shown to reach, worked out only behind the operators that a rule asks about."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property

from netlint.analyses.constants import Constants, constants
from netlint.analyses.layers import Layer, Layers, layers
from netlint.analyses.parameters import Parameters, parameters
from netlint.analyses.ranges import Ranges, ranges, training_ranges
from netlint.analyses.roles import Roles, roles
from netlint.analyses.shapes import Shapes, shapes
from netlint.analyses.weights import Weights, weights
from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Value, is_float
from netlint.training import Known

from .interval import INF, MANY, MOST_SOURCES, How, Reach, free, point
from .patterns import normalised_by_norm, sums_of_exponentials

_MOST = 20_000
"""Nodes that one question may look at; beyond that the answer is that nothing is shown."""

_LARGEST_SCAN = 1 << 24
"""Bytes of a weight that are read to learn its signs."""


class Reached:
    """What each value is shown to reach. Nothing is computed before it is asked for."""

    def __init__(self, scope: Scope) -> None:
        self.graph: Graph = scope.graph
        self.known: Parameters = scope[parameters]
        self.shapes: Shapes = scope[shapes]
        self._scope = scope
        self.roles: Roles = scope[roles]
        self.constants: Constants = scope[constants]
        self._layers: Layers = scope[layers]
        self._weights: Weights = scope[weights]
        self._found: dict[Value, Reach | None] = {}
        stated = scope.training.input_range
        self._stated = (stated.value.lo, stated.value.hi) if isinstance(stated, Known) else None
        self._inputs = frozenset(scope.graph.inputs)
        # Of several inputs the declared range is the common one: which of them reaches its ends is not told.
        self._single_input = sum(is_float(self.shapes.dtype(value)) for value in scope.graph.inputs) == 1

    @cached_property
    def ranges(self) -> Ranges:
        """What holds for any weights, for findings must not rest on numbers that training changes; for the stored ones
        where training is declared to be over."""
        stage = self._scope.training.stage
        return self._scope[ranges if isinstance(stage, Known) and stage.value == "trained" else training_ranges]

    @cached_property
    def sums_of_exponentials(self) -> tuple[tuple[Node, Node, str], ...]:
        """Softmaxes and log-sum-exps that are written out, as node, exponential and kind: each is one idiom, which is
        judged as a whole."""
        return tuple(sums_of_exponentials(self.graph, self))

    @cached_property
    def summed_exponentials(self) -> frozenset[Node]:
        """The exponentials in these."""
        return frozenset(exp for _, exp, _ in self.sums_of_exponentials)

    def of(self, value: Value | None) -> Reach | None:
        """What a value reaches; None where nothing is shown."""
        if value is None:
            return None
        if value not in self._found:
            self._work_out(value)
        return self._found.get(value)

    def zero(self, value: Value | None) -> How:
        """How 0 is reached, where it is not proved to be out of reach and the value is more than an input."""
        found, proved = self.of(value), self.ranges.of(value)
        if found is None or found.raw or proved.lo > 0 or proved.hi < 0:
            return How.NEVER
        return found.zero

    def number(self, value: Value | None) -> float | None:
        """The number that all elements of a constant are equal to."""
        return self.constants.scalar(value) if self.known.constant(value) else None

    def source(self, value: Value) -> Value:
        """Where a value's elements come from, through layout."""
        return self.roles.source(value)

    def known_so_far(self, value: Value | None) -> Reach | None:
        """What transfer functions read: their operands have been worked out before."""
        return None if value is None else self._found.get(value)

    def _work_out(self, wanted: Value) -> None:
        from .transfer import transfer

        stack, steps = [wanted], 0
        while stack:
            value = stack[-1]
            node = self.graph.producer(value)
            due = self._due(value, node)
            steps += 1
            if due and steps < _MOST:
                stack += due
                continue
            stack.pop()
            if value not in self._found:
                outside = self._outside(value, node)
                found = transfer(self, node, value) if node is not None and outside is None else outside
                if found is not None and len(found.sources) > MOST_SOURCES:
                    found = replace(found, sources=frozenset({MANY}))
                self._found[value] = found

    def _due(self, value: Value, node: Node | None) -> list[Value]:
        """The operands to work out first; none where the value begins here, or where they are under way."""
        if value in self._found or node is None or self.known.constant(value):
            return []
        layer = self.layer(node)
        if layer is not None:
            return [layer.data] if self._follows(layer) and layer.data not in self._found else []
        if node.domain or node.bodies:
            return []
        return [v for v in dict.fromkeys(node.inputs) if v is not None and v not in self._found]

    def layer(self, node: Node | None) -> Layer | None:
        return self._layers.of(node)

    def _outside(self, value: Value, node: Node | None) -> Reach | None:
        """Constants, inputs and layers; None for what an operator computes, and for what nobody knows."""
        if self.known.constant(value):
            return self._constant(value)
        layer = self.layer(node)
        if layer is not None:
            return self._of_layer(layer, value)
        if node is None and value in self._inputs:
            return self._of_input(value)
        return None

    def _of_input(self, value: Value) -> Reach | None:
        dtype = self.shapes.dtype(value) or ""
        if dtype == "bool":
            return Reach(0.0, 1.0, How.SOLID, How.SOLID, sources=frozenset({value}))
        if self._stated is not None and self._single_input and is_float(dtype):
            lo, hi = self._stated
            return Reach(lo, hi, How.SOLID, How.SOLID, How.SOLID, False, frozenset({value}))
        # Zeros are always possible (padding, a black image, silence), and so is 1 (a mask, a class).
        return Reach(0.0, 1.0, How.SOLID, How.SOLID, How.SOLID, True, frozenset({value}))

    def _constant(self, value: Value) -> Reach | None:
        number = self.number(value)
        if number is not None:
            return point(number)
        bounds = self._weights.bounds(value)
        array = self.constants.get(value) if bounds is None else None
        if array is not None and array.size and array.dtype.kind in "fiu":
            bounds = (float(array.min()), float(array.max()))
        if bounds is None or not math.isfinite(bounds[0] - bounds[1]):
            return None
        # Elements differ, so what is between them is not reached, and not all of a slice is 0.
        return Reach(*bounds, How.POINT, How.POINT, How.NEVER)

    def _follows(self, layer: Layer) -> bool:
        """Whether what a layer reaches hangs on what it reads: without a bias nothing moves 0."""
        return layer.kind in ("dense", "conv", "conv-transpose") and not self._biased(layer)

    def _biased(self, layer: Layer) -> bool:
        """One number that is added behind the layer is a guard, and is added there."""
        own = layer.output in layer.node.outputs
        return layer.bias is not None and (own or self.number(layer.bias) is None)

    def _of_layer(self, layer: Layer, value: Value) -> Reach | None:
        if layer.kind == "recurrent":
            return Reach(-1.0, 1.0, How.ROUNDED, How.ROUNDED, How.POINT, sources=frozenset({value}))
        data = self._found.get(layer.data) if self._follows(layer) else None
        if data is None:
            rectified = self._follows(layer) and self.ranges.of(layer.data).lo >= 0 and self._positive(layer)
            return None if rectified else free(value)
        if all(normalised_by_norm(self, side) for side in (layer.data, layer.weight)):
            return Reach(-1.0, 1.0, How.ROUNDED, How.ROUNDED, How.POINT, sources=data.sources)
        if (data.raw or data.lo >= 0) and self._positive(layer):
            # Sums of what is not negative are not negative; how large they are is not told.
            return data if data.raw else data.like(0.0, INF if data.hi > 0 else 0.0, data.at_lo, data.at_hi)
        return free(value, zero=max(data.zero, How.POINT))

    def _positive(self, layer: Layer) -> bool:
        """Whether the weights have one sign and training is not said to change them: a filter bank, an average."""
        tensor = layer.weight.constant
        if layer.weight.trainable or (tensor is not None and tensor.nbytes > _LARGEST_SCAN):
            return False
        if tensor is None and self.ranges.of(layer.weight).lo >= 0 and not self._weights.filled(layer.weight):
            return True  # computed from weights, by a square or an exponential
        bounds = self._weights.bounds(layer.weight)
        return bounds is not None and bounds[0] >= 0 and bounds[1] > 0


@analysis(constants, layers, parameters, ranges, roles, shapes, training_ranges, weights)
def reach(scope: Scope) -> Reached:
    """What values are shown to reach, for some input and some weights."""
    return Reached(scope)
