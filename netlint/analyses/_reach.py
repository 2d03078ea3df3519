"""What lies around a node, as far as operators pass its value on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netlint import ops
from netlint.graph import ONNX, Graph, Node, Value

from ._idioms import MAX_OPERANDS, Effect, step
from ._softmax import softmax_like
from ._squash import logistic
from .layers import Layer, Layers
from .parameters import Parameters

ROUNDING = frozenset({"Round", "Floor", "Ceil", "Sign"})

_MAX_REACH = 128
_JOINS = frozenset({"Add", "Sum", "Concat"})
_COMPARES = frozenset(
    {"Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal", "ArgMax", "ArgMin", "NonMaxSuppression"}
)
_PRODUCTS = frozenset({"Mul", "MatMul", "Gemm", "Einsum", "GridSample", "DeformConv", "Attention"})


@dataclass(frozen=True, slots=True)
class Reach:
    """What lies on the other side of operators that pass a value on (layout, constants, norms, pools, sums)."""

    layers: tuple[Layer, ...]
    """The weighted layers met, in the order met."""
    stops: tuple[Node, ...]
    """The nodes, none of them layers, at which the way ends: activations, products, what is not understood."""
    ends: tuple[Value, ...]
    """Graph outputs (ahead) or graph inputs (behind) met."""
    joins: tuple[Node, ...]
    """Sums and concatenations of several computed values on the way."""
    complete: bool
    """False where the walk was given up."""


def handed_out(graph: Graph) -> dict[Value, Value]:
    """For each value that a branch of an If ends in, the output of the If that it becomes."""
    found: dict[Value, Value] = {}
    for node in graph.of("If"):
        for body in node.bodies.values():
            found.update(
                (inner, out)
                for inner, out in zip(body.outputs, node.outputs, strict=False)
                if inner is not None and out is not None
            )
    return found


class Surroundings:
    """Walks from any node of one graph."""

    def __init__(self, graph: Graph, known: Parameters, found: Layers) -> None:
        self._graph = graph
        self._known = known
        self._layers = found
        self._handed = handed_out(graph)

    def flow(self, node: Node, *, widely: bool = False) -> Flow:
        """What the result of a node flows into."""
        return Flow(self._graph, self._known, self._layers, node, widely, self._handed)

    def behind(self, node: Node) -> Reach:
        """What feeds a node."""
        found, stops, ends, joins = dict[Layer, None](), dict[Node, None](), dict[Value, None](), dict[Node, None]()
        soft = softmax_like(self._graph, node)
        first = soft.data if soft is not None else logistic(self._graph, self._known, node)
        stack = [first] if first is not None else self._operands(node)
        seen = set(stack)
        while stack and len(seen) <= _MAX_REACH:
            value = stack.pop()
            made = self._graph.producer(value)
            layer = self._layers.ending_in(value) or self._layers.of(made)
            if layer is not None:
                found[layer] = None
            elif made is None:
                ends[value] = None
            elif self._passes(made):
                inner = self._operands(made)
                if len(inner) > 1:
                    joins[made] = None
                stack.extend(v for v in inner if v not in seen)
                seen.update(inner)
            else:
                stops[made] = None
        return Reach(tuple(found), tuple(stops), tuple(ends), tuple(joins), not stack)

    def _passes(self, node: Node) -> bool:
        """Whether a node passes values on: layout, constants, norms, pools, and sums and concatenations of several."""
        if node.op in _JOINS and node.domain == ONNX:
            return len(node.inputs) <= MAX_OPERANDS
        taken = step(self._graph, self._known, node)
        if taken is None:
            return False
        return taken.effect <= Effect.AFFINE or (node.op in ops.NORMALISATION and node.op != "LpNormalization")

    def _operands(self, node: Node) -> list[Value]:
        """The computed values that a node's result is made of."""
        if node.op in _JOINS:
            return [v for v in dict.fromkeys(node.inputs) if v is not None and not self._known.constant(v)]
        taken = step(self._graph, self._known, node)
        data = taken.data if taken is not None else node.input(0)
        return [data] if data is not None else []


class Flow:
    """What the result of a node flows into, until layers, products, or what changes it otherwise.

    Narrowly (for roles): through layout, resampling, pooling, shifts and scales by constants, sums with nothing.
    `widely` (for surroundings): also through norms, sums and concatenations with other values.
    """

    def __init__(
        self,
        graph: Graph,
        known: Parameters,
        found: Layers,
        node: Node,
        widely: bool,
        handed: Mapping[Value, Value],
    ) -> None:
        self._graph = graph
        self._known = known
        self._all_layers = found
        self._widely = widely
        self.values: dict[Value, None] = dict.fromkeys(v for v in node.outputs[:1] if v is not None)
        self._layers: dict[Layer, None] = {}
        self._stops: dict[Node, None] = {}
        self._ends: dict[Value, None] = {}
        self._joins: dict[Node, None] = {}
        self._handed = handed
        self.picked: Node | None = None
        """The TopK that picks the largest elements of the result, as an expert router does."""
        self.reach = self._walk()

    def product(self) -> Node | None:
        """The first product of the result with another computed tensor."""
        return next((node for node in self._stops if self._is_product(node)), None)

    def stepped(self) -> Node | None:
        """The first rounding or comparison of the result, if nothing else reads it."""
        stepped = [node for node in self._stops if node.op in ROUNDING or node.op in _COMPARES]
        only = len(stepped) == len(self._stops) and not self._layers and not self._ends
        return stepped[0] if stepped and only else None

    def _is_product(self, node: Node) -> bool:
        if node.domain != ONNX or node.op not in _PRODUCTS:
            return False
        others = {v for v in node.inputs if v is not None and not self._known.constant(v)}
        # Two parts of one result gate each other as well; a value times itself is a square.
        return len(others) > 1

    def _walk(self) -> Reach:
        stack = list(self.values)
        while stack and len(self.values) <= _MAX_REACH:
            value = stack.pop()
            if self._graph.is_output(value):
                self._ends[value] = None
            outside = self._handed.get(value)
            if outside is not None and outside not in self.values:
                self.values[outside] = None
                stack.append(outside)
            uses = self._graph.uses(value)
            if len(uses) > _MAX_REACH:
                stack.append(value)  # read by too many: given up, and `complete` says so
                break
            for node in uses:
                stack.extend(self._visit(node, value))
        return Reach(tuple(self._layers), tuple(self._stops), tuple(self._ends), tuple(self._joins), not stack)

    def _visit(self, node: Node, value: Value) -> list[Value]:
        """Take note of one use; returns the values to go on with."""
        if node.op in ("Shape", "Size") and node.domain == ONNX:
            return []
        layer = self._all_layers.of(node)
        if layer is not None and layer.data is value:
            self._layers[layer] = None
            return []
        if layer is None and self._goes_on(node, value):
            fresh = [v for v in node.outputs if v is not None and v not in self.values]
            self.values.update(dict.fromkeys(fresh))
            return fresh
        self._stops[node] = None
        return []

    def _goes_on(self, node: Node, value: Value) -> bool:
        taken = step(self._graph, self._known, node)
        if taken is not None and taken.effect <= Effect.AFFINE and taken.data is value:
            return True
        if node.domain != ONNX or len(node.inputs) > MAX_OPERANDS:
            return False
        if self._widely:
            return self._goes_on_widely(node, value)
        # A gate may be masked, chosen from (TopK), normalised by its own sum, glued to others.
        if node.op == "TopK" and node.input(0) is value:
            self.picked = node
            return True
        if node.op == "Div":
            return all(v in self.values or v is value or self._own(v) for v in node.inputs if v is not None)
        return node.op in ("Where", "Clip", "Concat", "Max", "Min") or node.op in ops.RESAMPLING

    def _own(self, value: Value) -> bool:
        """Whether a value is made of the result alone (a sum that normalises it)."""
        node = self._graph.producer(value)
        for _ in range(4):
            taken = step(self._graph, self._known, node) if node is not None else None
            if taken is None:
                return False
            if taken.data in self.values:
                return True
            node = self._graph.producer(taken.data)
        return False

    def _goes_on_widely(self, node: Node, value: Value) -> bool:
        if node.op in ops.NORMALISATION:
            return node.input(0) is value
        if node.op in _JOINS:
            self._joins[node] = None
            return True
        return False
