"""Which constant weights are meant: sums, averages, transforms, variances, filters of single channels."""

from __future__ import annotations

from math import isfinite, prod, sqrt

from netlint.analyses.layers import Layer
from netlint.graph import Graph, Node
from netlint.ops import TRANSPARENT
from netlint.ops.read import scalar

_SAME = 2e-3
"""Two numbers that differ by less, relatively, may be the same in the coarsest type of 16 bits."""
_SPREADS = frozenset({"Exp", "Softplus", "Abs"})
_STEPS = 4


def _counts(layer: Layer, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """How many units read the same inputs, and how many inputs that are; None where unknown."""
    if layer.unit_axis is None or layer.unit_axis >= len(shape):
        return None
    groups = int(layer.node.attrs.get("group", 1)) or 1
    shared, inputs = shape[layer.unit_axis], prod(shape) // max(shape[layer.unit_axis], 1)
    if layer.kind == "conv":
        return shared // groups, inputs
    return (shared, inputs // groups) if layer.kind == "conv-transpose" else (shared, inputs)


def is_shared_by_units(layer: Layer, shape: tuple[int, ...]) -> bool:
    """Whether it connects two units or more, each with the same two inputs or more."""
    if layer.kind == "recurrent":
        return bool(layer.node.attrs.get("hidden_size", 0) != 1)
    counts = _counts(layer, shape)
    return counts is not None and min(counts) > 1


def is_fixed_sum(layer: Layer, shape: tuple[int, ...], value: float) -> bool:
    """Whether the number is one that a sum, a mean or an orthogonal transform has: whole, 2^-k, 1/n, 1/√n."""
    size = abs(value)
    if not isfinite(size):
        return False
    if size >= 1 or layer.kind == "recurrent":
        return size == round(size)
    kernel = prod(shape[2:]) if layer.kind.startswith("conv") else 1
    scales = {2**power for power in range(1, 11)} | {*shape, *(_counts(layer, shape) or ()), kernel, prod(shape)}
    return any(abs(size * scale - 1) < _SAME for known in scales if known > 0 for scale in (known, sqrt(known)))


def mixes_positions(layer: Layer, shape: tuple[int, ...]) -> bool:
    """Whether it may mix nodes or positions, as an adjacency matrix does, instead of features.

    Such matrices stand on the left or are square; what follows (biases, norms, activations) belongs to the features.
    """
    if layer.kind != "dense" or layer.unit_axis is None or len(shape) < 2:
        return False
    left = layer.data is not layer.node.input(0)
    if not left and (layer.node.op != "MatMul" or shape[-1] != shape[-2]):
        return False
    sizes = (1, *((layer.bias.shape or ()) if layer.bias is not None else ()))
    return sizes[-2 if left and len(sizes) > 1 else -1] != shape[layer.unit_axis]


def is_of_variances(layer: Layer, value: float, graph: Graph) -> bool:
    """Whether it weighs squares or feeds a square root: variances of random weights, which start equal."""
    producer = graph.producer(layer.data)
    while producer is not None and producer.op in TRANSPARENT:
        producer = graph.producer(producer.input(0))
    return value > 0 and ((producer is not None and _spreads(producer)) or _feeds_root(layer, graph))


def _spreads(node: Node) -> bool:
    if node.op == "Mul":
        return node.input(0) is node.input(1)
    return node.op in _SPREADS or (node.op == "Pow" and scalar(node.input(1)) == 2)


def _feeds_root(layer: Layer, graph: Graph) -> bool:
    values = [layer.output]
    for _ in range(_STEPS):
        nodes = [node for value in values for node in graph.uses(value)]
        if any(node.op == "Sqrt" or (node.op == "Pow" and scalar(node.input(1)) == 0.5) for node in nodes):
            return True
        on = [node for node in nodes if node.op in TRANSPARENT or node.op in ("Add", "Sum", "Clip", "Max")]
        values = [value for node in on for value in node.outputs if value is not None]
    return False
