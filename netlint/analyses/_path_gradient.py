"""Which operators let a gradient pass, what it reaches, and where it is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from netlint import ops
from netlint.graph import FRAMEWORKS, ONNX, Graph, Node, TensorUnreadable, Value

from ._idioms import Effect, step, through
from ._reach import handed_out
from .layers import Layer, Layers
from .parameters import Parameters

Passage: TypeAlias = Literal["full", "partial", "none", "unknown"]

STEPS = frozenset({"Round", "Floor", "Ceil", "Sign"})
COMPARES = frozenset({"Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal"})
PICKS = frozenset({"ArgMax", "ArgMin"})
_NEVER = STEPS | COMPARES | PICKS | {"Not", "And", "Or", "Xor", "IsNaN", "IsInf", "Shape", "Size", "NonZero", "OneHot"}
_PARTIAL = frozenset(
    {"Relu", "Clip", "Min", "Max", "ThresholdedRelu", "HardSigmoid", "MaxPool", "GlobalMaxPool", "ReduceMax"}
    | {"ReduceMin", "TopK", "Shrink"}
)
_ZERO_SLOTS = {"Where": (0,), "Gather": (1,), "GatherElements": (1,), "GatherND": (1,), "OneHot": (0, 1)}
_STOPS_GRADIENT = frozenset({"detach", "stop_gradient"})
_MAX_ONWARD = 128
# ONNX numbers of float, float16, double, bfloat16 and the 8-bit and 4-bit floats.
_FLOATS = frozenset({1, 10, 11, 16, 17, 18, 19, 20, 23})
_BINARY_BYTES = 1 << 24
_BOUNDING = frozenset({"Clip", "Tanh", "Sigmoid", "HardSigmoid", "Min", "Max", "Erf"})
_RESCALING = frozenset({"Mul", "Div"})


def cuts_decimals(node: Node) -> bool:
    """Whether a node turns numbers into integers or truth values."""
    return node.op == "Cast" and not node.domain and node.attrs.get("to", 1) not in _FLOATS


@dataclass(frozen=True, slots=True)
class Onward:
    """Where the result of a node goes as the only ingredient, through operators of one operand."""

    layers: tuple[Layer, ...]
    ends: tuple[Value, ...]
    """Graph outputs and values that a loss reads."""
    encoded: bool
    """Whether indices became one-hot vectors on the way, or choose rows of an embedding."""


class GradientPaths:
    """Gradients of one graph, taken at all its outputs."""

    def __init__(self, graph: Graph, known: Parameters, layers: Layers, read_by_loss: frozenset[Value]) -> None:
        self._graph = graph
        self._known = known
        self._layers = layers
        self._read_by_loss = read_by_loss
        self._handed = handed_out(graph)
        self._learned = self._forward()
        self._reached = self._backward()

    def passage(self, node: Node) -> Passage:
        """How much of the gradient a node hands on to its data: everywhere, on part of its domain, nowhere."""
        if (node.domain in FRAMEWORKS and node.op in _STOPS_GRADIENT) or ops.STOPS_GRADIENT in node.attrs:
            return "none"
        if node.domain != ONNX or node.op not in ops.KNOWN_OPS or node.bodies:
            return "unknown"
        if node.op in _NEVER or cuts_decimals(node):
            return "none"
        return "partial" if node.op in _PARTIAL else "full"

    def learned(self, value: Value | None) -> bool:
        """Whether a value depends on a trainable weight by operators that a gradient passes."""
        return value in self._learned

    def reached(self, value: Value | None) -> bool:
        """Whether a gradient from some output may arrive at a value."""
        return value in self._reached

    def onward(self, node: Node) -> Onward | None:
        """Where the result of a node goes; None if anything joins it, multiplies it, picks by it, or is unknown."""
        layers, ends = dict[Layer, None](), dict[Value, None]()
        todo = [value for value in node.outputs[:1] if value is not None]
        seen = set(todo)
        while todo:
            value = todo.pop()
            if self._graph.is_output(value) or value in self._read_by_loss:
                ends[value] = None
                continue
            if value in self._handed:
                todo.append(self._handed[value])
            for user in self._graph.uses(value):
                fresh = self._one_step(user, value, layers)
                if fresh is None or len(seen) > _MAX_ONWARD:
                    return None
                todo.extend(out for out in fresh if out not in seen)
                seen.update(fresh)
        encoded = any(user.op == "OneHot" for value in seen for user in self._graph.uses(value))
        encoded = encoded or any(layer.kind == "embedding" for layer in layers)
        return Onward(tuple(layers), tuple(ends), encoded)

    def cut_off(self, node: Node) -> list[Layer]:
        """The layers behind a node of no gradient whose weights get a gradient on no other way, nearest first."""
        found: dict[Layer, None] = {}
        todo = [value for value in node.inputs if value in self._learned]
        seen = set(todo)
        for value in todo:
            made = self._graph.producer(value)
            layer = self._layers.ending_in(value) or self._layers.of(made)
            if value in self._reached or made is None:
                continue
            if layer is not None and self.trainable(layer) and not self._moved_elsewhere(layer):
                found[layer] = None
            inner = [v for v in (made.inputs if layer is None else (layer.data,)) if v in self._learned]
            todo.extend(v for v in inner if v is not None and v not in seen)
            seen.update(inner)
        return list(found)

    def quantises(self, node: Node) -> bool:
        """Whether a rounding is part of a quantiser: its bounded input is scaled before it, and scaled back after."""
        bounded, scaled, value = False, False, node.input(0)
        for _ in range(5):
            made = self._graph.producer(value)
            taken = step(self._graph, self._known, made) if made is not None else None
            if made is None or taken is None:
                break
            bounded, scaled = bounded or made.op in _BOUNDING, scaled or made.op in _RESCALING
            value = taken.data
        after, current = False, node.output()
        for _ in range(4):
            uses = self._graph.uses(current)
            taken = step(self._graph, self._known, uses[0]) if len(uses) == 1 else None
            if taken is None or taken.data is not current:
                break
            bounded, after = bounded or uses[0].op in _BOUNDING, after or uses[0].op in _RESCALING
            current = uses[0].output()
        return bounded and after and (scaled or node.op == "Sign")

    def binary(self, layer: Layer) -> bool:
        """Whether a layer's weight is a sign: computed by Sign, or of two opposite numbers for each unit."""
        node = self._graph.producer(layer.weight)
        for _ in range(4):
            if node is None:
                break
            if node.op == "Sign":
                return True
            node = self._graph.producer(next((v for v in node.inputs if v is not None and v.constant is None), None))
        stored = self._known.stored(layer.weight)
        tensor = stored.value.constant if stored is not None else None
        if tensor is None or tensor.nbytes > _BINARY_BYTES:
            return False
        try:
            sizes = abs(tensor.load()).reshape(-1)
        except TensorUnreadable:
            return False
        return bool(sizes.size > 1 and sizes[0] > 0 and (sizes == sizes[0]).all())

    def picks_a_unit(self, node: Node) -> bool:
        """Whether a node is an ArgMax over what one layer answers, by operators of one operand; not over distances."""
        data = node.input(0)
        if node.op != "ArgMax" or data is None:
            return False
        value = through(self._graph, self._known, data, Effect.NON_AFFINE)
        return (self._layers.ending_in(value) or self._layers.of(self._graph.producer(value))) is not None

    def own(self, layer: Layer) -> bool:
        """Whether nothing but a layer reads its stored weight."""
        weight = self._known.parameter(layer.weight)
        return weight is not None and len(self._graph.uses(weight)) == 1

    def _one_step(self, user: Node, value: Value, layers: dict[Layer, None]) -> list[Value] | None:
        if user.op in ("Shape", "Size") and user.domain == ONNX:
            return []
        layer = self._layers.of(user)
        if layer is not None:
            layers[layer] = None
            return [] if layer.data is value else None
        if user.op == "OneHot" and user.domain == ONNX and user.input(0) is value:
            return [out for out in user.outputs if out is not None]
        taken = step(self._graph, self._known, user)
        normal = user.domain == ONNX and user.op in ops.NORMALISATION and user.input(0) is value
        if not normal and (taken is None or taken.data is not value or taken.effect > Effect.NON_AFFINE):
            return None
        return [out for out in user.outputs if out is not None]

    def _moved_elsewhere(self, layer: Layer) -> bool:
        """Whether a gradient arrives at a layer's weight where another node uses it."""
        return self._known.parameter(layer.weight) in self._reached

    def trainable(self, layer: Layer) -> bool:
        """Whether the weight of a layer is one that gradient descent may move."""
        weight = self._known.parameter(layer.weight)
        return weight is not None and weight.trainable is not False and layer.node.op in _MOVABLE

    def _forward(self) -> set[Value]:
        learned: set[Value] = set()
        for node in self._graph.nodes:
            layer = self._layers.of(node)
            moved = layer is not None and self.trainable(layer)
            if moved or (self.passage(node) != "none" and any(value in learned for value in node.inputs)):
                learned.update(value for value in node.outputs if value is not None)
            for body in node.bodies.values():
                if any(value in learned for value in body.outputs):
                    learned.update(value for value in node.outputs if value is not None)
        return learned

    def _backward(self) -> set[Value]:
        reached: set[Value] = {*self._graph.outputs, *self._read_by_loss}
        for node in reversed(self._graph.nodes):
            for body in node.bodies.values():
                reached.update(value for value in body.outputs if value is not None)
            if self.passage(node) == "none" or not any(value in reached for value in node.outputs):
                continue
            closed = _ZERO_SLOTS.get(node.op, ())
            reached.update(v for nth, v in enumerate(node.inputs) if v is not None and nth not in closed)
        return reached


_MOVABLE = frozenset(
    {"Conv", "ConvTranspose", "DeformConv", "MatMul", "Gemm", "Einsum", "LSTM", "GRU", "RNN", "Gather"}
)
