"""The weighted layers: which nodes multiply an activation with a parameter."""

from __future__ import annotations

from dataclasses import dataclass

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Value, is_float
from netlint.ops import RECURRENT, WEIGHTED

from .parameters import Parameters, parameters


# Not frozen: deep models have layers by the ten thousand, and freezing triples the cost of each.
@dataclass(eq=False, slots=True)
class Layer:
    """A node with a weight. Compared by identity."""

    node: Node
    data: Value
    weight: Value
    """As the node reads it; `Parameters.stored` tells what lies behind."""
    bias: Value | None
    kind: str
    """`dense`, `conv`, `conv-transpose`, `recurrent`, `embedding`."""
    unit_axis: int | None
    """The axis of `weight` that counts output units; None where there is no single one."""
    input_axis: int | None
    """The axis of `weight` that counts inputs (per group); None where there is no single one."""
    output: Value
    """The first output, with a bias added by a following Add."""


class Layers:
    """All weighted layers, in graph order."""

    def __init__(self, found: list[Layer]) -> None:
        self.all = tuple(found)
        self._by_node = {layer.node: layer for layer in found}
        self._by_output = {layer.output: layer for layer in found}

    def of(self, node: Node | None) -> Layer | None:
        return None if node is None else self._by_node.get(node)

    def ending_in(self, value: Value | None) -> Layer | None:
        """The layer whose result, bias included, a value is."""
        return None if value is None else self._by_output.get(value)


@analysis(parameters)
def layers(scope: Scope) -> Layers:
    """The weighted layers."""
    graph, known = scope.graph, scope[parameters]
    nodes = graph.of(*WEIGHTED, "Gather")
    return Layers([layer for node in nodes if (layer := _layer(graph, node, known)) is not None])


def _layer(graph: Graph, node: Node, known: Parameters) -> Layer | None:
    if node.domain or node.output() is None:
        return None
    if node.op == "Gather":
        return _embedding(node, known)
    if node.op in ("MatMul", "MatMulInteger", "Gemm", "QLinearMatMul", "Einsum"):
        return _dense(graph, node, known)
    slots = WEIGHTED[node.op]
    data, weight = node.input(slots.data), node.input(slots.weight)
    if data is None or weight is None or known.constant(data):
        return None
    if node.op in RECURRENT:
        return Layer(node, data, weight, node.input(slots.bias), "recurrent", None, None, _first(node))
    transposed = node.op == "ConvTranspose"
    unit, fan_in = (1, 0) if transposed else (0, 1)
    output, bias = _with_bias(graph, node, node.input(slots.bias), known)
    return Layer(node, data, weight, bias, "conv-transpose" if transposed else "conv", unit, fan_in, output)


def _first(node: Node) -> Value:
    return next(value for value in node.outputs if value is not None)


def _embedding(node: Node, known: Parameters) -> Layer | None:
    """A Gather of rows of a parameter matrix by computed indices."""
    table, indices = node.input(0), node.input(1)
    if table is None or indices is None or not known.constant(table) or known.constant(indices):
        return None
    weight = known.parameter(table)
    constant = weight.constant if weight is not None else None
    if known.stored(table) is None and not (weight is not None and weight.trainable):
        return None  # computed once and for all: positions, say
    if constant is None or len(constant.shape) != 2 or not is_float(constant.dtype):
        return None
    return Layer(node, indices, table, None, "embedding", 1, 0, _first(node))


def _dense(graph: Graph, node: Node, known: Parameters) -> Layer | None:
    """A product with exactly one constant factor, on either side; a constant of one axis is a layer of one unit."""
    slots = WEIGHTED[node.op]
    left, right = node.input(slots.data), node.input(slots.weight)
    if left is None or right is None or known.constant(left) == known.constant(right):
        return None
    if len([value for value in node.inputs if value is not None]) > 2 and node.op == "Einsum":
        return None
    flipped = known.constant(left)
    data, weight = (right, left) if flipped else (left, right)
    unit, fan_in = _dense_axes(node, weight, flipped)
    output, bias = _with_bias(graph, node, node.input(slots.bias) if slots.bias > 0 else None, known)
    return Layer(node, data, weight, bias, "dense", unit, fan_in, output)


def _dense_axes(node: Node, weight: Value, flipped: bool) -> tuple[int | None, int | None]:
    """Axes of units and of inputs in the weight; MatMul multiplies over the last two."""
    rank = len(weight.shape) if weight.shape is not None else 2
    if node.op == "Einsum":
        return _einsum_axes(str(node.attrs.get("equation", "")), flipped)
    if rank < 2:
        return None, None
    last, before = rank - 1, rank - 2
    if node.op == "Gemm" and node.attrs.get("transA" if flipped else "transB", 0):
        last, before = before, last
    return (before, last) if flipped else (last, before)


def _einsum_axes(equation: str, flipped: bool) -> tuple[int | None, int | None]:
    """The axes of the weight that only the result has, and only the data has; None where there is no single one."""
    operands, arrow, result = equation.replace(" ", "").partition("->")
    terms = operands.split(",")
    if len(terms) != 2 or not arrow:
        return None, None
    data, weight = (terms[1], terms[0]) if flipped else (terms[0], terms[1])
    if "." in weight or len(set(weight)) < len(weight):
        return None, None
    units = [axis for axis, label in enumerate(weight) if label in result and label not in data]
    summed = [axis for axis, label in enumerate(weight) if label in data and label not in result]
    if len(units) + len(summed) < len(weight):
        return None, None
    return units[0] if len(units) == 1 else None, summed[0] if len(summed) == 1 else None


def _with_bias(graph: Graph, node: Node, own: Value | None, known: Parameters) -> tuple[Value, Value | None]:
    """The value behind a following `Add(layer, constant)`, which exporters write for a bias."""
    output = _first(node)
    if own is not None and known.constant(own):
        return output, own
    uses = graph.uses(output)
    if len(uses) == 1 and uses[0].op == "Add" and not graph.is_output(output):
        added = next((value for value in uses[0].inputs if value is not output), None)
        if known.constant(added) and uses[0].output() is not None:
            return _first(uses[0]), added
    return output, own
