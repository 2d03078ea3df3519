"""How operators compose: which input a result is made of, and functions that exporters write in many ways."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from netlint import ops
from netlint.graph import ONNX, Graph, Node, TensorUnreadable, Value
from netlint.ops import read

from .parameters import Parameters

_MAX_STEPS = 40
_MAX_REPEATED = 1 << 16
MAX_OPERANDS = 64
"""A node that joins more values than this is not looked into."""

_SELECT = frozenset({"MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin"})
_AVERAGE = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean", "Resize", "Upsample", "Pad"})
_AFFINE = frozenset({"BatchNormalization", "Neg", "ReduceSum", "CumSum"})
_NON_AFFINE = (
    ops.ACTIVATIONS
    | ops.SOFTMAX
    | (ops.NORMALISATION - {"BatchNormalization"})
    | frozenset({"Abs", "Exp", "Log", "Sqrt", "Reciprocal", "Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh", "LpPool"})
    | frozenset({"ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceLogSum", "ReduceSumSquare", "ReduceProd"})
)
_STEPPED = frozenset({"Round", "Floor", "Ceil", "Sign"})
# Whether a comparison holds where its first operand is the larger.
_ORDERS = {"Greater": True, "GreaterOrEqual": True, "Less": False, "LessOrEqual": False}


class Effect(IntEnum):
    """What a node does to the one value its result is made of, from harmless to not understood."""

    LAYOUT = 0
    """Elements are moved, copied, cut, or change precision only."""
    SELECT = 1
    """Elements are chosen by their size, or averaged: bounds stay."""
    AFFINE = 2
    """Shifted and scaled by constants, or summed."""
    NON_AFFINE = 3
    """A non-linearity of the one value."""
    STEPPED = 4
    """Rounded: no gradient."""


# Not frozen: steps are taken by the hundred thousand, and freezing doubles the cost of each.
@dataclass(slots=True)
class Step:
    """A node whose result is made of one value and of constants."""

    data: Value
    effect: Effect


def step(graph: Graph, known: Parameters, node: Node) -> Step | None:
    """What a node makes of its one data input; None if it joins several computed values or is not understood."""
    if node.domain != ONNX or node.bodies or len(node.inputs) > MAX_OPERANDS:
        return None
    op, data = node.op, node.input(0)
    if op in ops.ARITHMETIC or op == "Where":
        return _arithmetic(graph, known, node)
    if data is None or known.constant(data):
        return None
    if op == "Concat":
        return _single(node, known, Effect.LAYOUT)
    if op in ops.LAYOUT or op in ops.TRANSPARENT or op in _STEPPED:
        return Step(data, Effect.STEPPED if op in _STEPPED else Effect.LAYOUT)
    if op in _SELECT or op in _AVERAGE:
        return Step(data, Effect.SELECT)
    if op in _AFFINE:
        return Step(data, Effect.AFFINE)
    return Step(data, Effect.NON_AFFINE) if op in _NON_AFFINE else None


def _single(node: Node, known: Parameters, effect: Effect) -> Step | None:
    """The step of a node with exactly one computed input."""
    computed: Value | None = None
    for value in node.inputs:
        if value is None or value is computed or known.constant(value):
            continue
        if computed is not None:
            return None
        computed = value
    return None if computed is None else Step(computed, effect)


def _arithmetic(graph: Graph, known: Parameters, node: Node) -> Step | None:
    if node.op == "Where":
        return _where(node, known)
    found = _single(node, known, Effect.NON_AFFINE)
    if found is None:
        masked = _masked(graph, known, node)
        return Step(masked[0], Effect.NON_AFFINE) if masked is not None else None
    # x + x doubles, x - x is nothing, x * x squares: only the first is affine, and nobody writes it.
    once = sum(value is found.data for value in node.inputs) == 1
    affine = node.op in ("Add", "Sub", "Mul", "Sum", "Mean") or (node.op == "Div" and node.input(0) is found.data)
    return Step(found.data, Effect.AFFINE) if once and affine else found


def _where(node: Node, known: Parameters) -> Step | None:
    """A mask: one of the two branches is constant, whatever the condition is."""
    branches = [value for value in node.inputs[1:3] if value is not None and not known.constant(value)]
    return Step(branches[0], Effect.NON_AFFINE) if len(branches) == 1 else None


def both_orders(node: Node) -> tuple[tuple[Value | None, Value | None], tuple[Value | None, Value | None]]:
    """The first two inputs, as they are and swapped."""
    left, right = node.input(0), node.input(1)
    return (left, right), (right, left)


def through(graph: Graph, known: Parameters, value: Value, most: Effect = Effect.LAYOUT) -> Value:
    """The value from which a value comes by steps no worse than `most`."""
    for _ in range(_MAX_STEPS):
        node = graph.producer(value)
        taken = step(graph, known, node) if node is not None else None
        if taken is None or taken.effect > most or (node is not None and value is not node.output()):
            break
        value = taken.data
    return value


def number(graph: Graph, known: Parameters, value: Value | None) -> float | None:
    """The one number a constant holds, through layout operators; repeated in all its elements, too."""
    if value is None or not known.constant(value):
        return None
    filled = known.fill(value)
    if filled is not None and (node := graph.producer(filled)) is not None:
        return _fill(node)
    stored = known.stored(value)
    held = stored.value if stored else value
    single = read.scalar(held)
    return single if single is not None else _repeated(held)


def _repeated(value: Value) -> float | None:
    """The number in all elements of a constant: exporters compute `zeros_like(x)` beforehand."""
    tensor = value.constant
    if tensor is None or not tensor.dtype.startswith(("float", "bfloat", "int")) or tensor.nbytes > _MAX_REPEATED:
        return None
    try:
        elements = tensor.load().reshape(-1)
    except TensorUnreadable:
        return None
    return float(elements[0]) if elements.size and bool((elements == elements[0]).all()) else None


def _fill(node: Node) -> float | None:
    tensor = node.attrs.get("value")
    return 0.0 if tensor is None else read.scalar(Value("fill", constant=tensor))


def rectifier_floor(graph: Graph, known: Parameters, node: Node) -> float | None:
    """The value below which a ReLU-like node lets nothing pass; None if it is no rectifier.

    Relu, Abs, ThresholdedRelu, a leaky one without slope, Clip and Max with a lower bound in either order of operands,
    any of these cut off above by Min, `x if x > c else k`, and x * (x > c).
    """
    if node.domain != ONNX:
        return None
    if node.op in ("Relu", "Abs"):
        return 0.0
    if node.op == "ThresholdedRelu":
        return 0.0 if float(node.attrs.get("alpha", 1.0)) >= 0 else None
    if node.op == "LeakyRelu":
        return 0.0 if float(node.attrs.get("alpha", 0.01)) == 0 else None
    if node.op == "Clip":
        bounds = read.clip_bounds(node)
        return bounds[0] if bounds is not None else None
    if node.op in ("Max", "Min") and len(node.inputs) == 2:
        return _extreme_floor(graph, known, node)
    chosen = _masked(graph, known, node) if node.op == "Mul" else _chosen(graph, known, node)
    return chosen[1] if chosen is not None else None


def _extreme_floor(graph: Graph, known: Parameters, node: Node) -> float | None:
    """c of max(x, c); of min(x, c) the smaller of c and x's own floor."""
    for other, bound in both_orders(node):
        limit, inner = number(graph, known, bound), graph.producer(other)
        if limit is None:
            continue
        if node.op == "Max":
            return limit
        floor = rectifier_floor(graph, known, inner) if inner is not None and inner.op != "Min" else None
        return min(limit, floor) if floor is not None else None
    return None


def _chosen(graph: Graph, known: Parameters, node: Node) -> tuple[Value, float] | None:
    """(x, min(c, k)), where a node is `x if x > c else k`, the comparison in any direction."""
    found = _comparison(graph, known, node.input(0)) if node.op == "Where" else None
    if found is None:
        return None
    x, bound, above = found
    kept, other = (node.input(1), node.input(2)) if above else (node.input(2), node.input(1))
    filler = number(graph, known, other)
    return (x, min(bound, filler)) if kept is x and filler is not None else None


def _masked(graph: Graph, known: Parameters, node: Node) -> tuple[Value, float] | None:
    """(x, min(c, 0)), where a node is x * (x > c)."""
    if node.op != "Mul" or len(node.inputs) != 2:
        return None
    for kept, mask in both_orders(node):
        cast = graph.producer(mask)
        found = _comparison(graph, known, cast.input(0)) if cast is not None and cast.op == "Cast" else None
        if kept is not None and found is not None and found[0] is kept and found[2]:
            return kept, min(found[1], 0.0)
    return None


def _comparison(graph: Graph, known: Parameters, value: Value | None) -> tuple[Value, float, bool] | None:
    """(x, c, True), where a value is x > c or x >= c; (x, c, False), where it is x < c or x <= c."""
    node = graph.producer(value)
    if node is None or node.domain != ONNX or node.op not in _ORDERS:
        return None
    for (x, other), turned in zip(both_orders(node), (False, True), strict=True):
        bound = number(graph, known, other)
        if x is not None and bound is not None:
            return x, bound, _ORDERS[node.op] != turned
    return None
