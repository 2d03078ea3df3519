"""How operators compose: which input a result is made of, and functions that exporters write in many ways."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from netlint import ops
from netlint.graph import ONNX, Graph, Node, Value
from netlint.ops import read

from .parameters import Parameters

_MAX_STEPS = 40
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


@dataclass(frozen=True, slots=True)
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
        return _arithmetic(node, known)
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
    computed = {value for value in node.inputs if value is not None and not known.constant(value)}
    return Step(computed.pop(), effect) if len(computed) == 1 else None


def _arithmetic(node: Node, known: Parameters) -> Step | None:
    if node.op == "Where":
        return _where(node, known)
    found = _single(node, known, Effect.NON_AFFINE)
    if found is None:
        return None
    # x + x doubles, x - x is nothing, x * x squares: only the first is affine, and nobody writes it.
    once = sum(value is found.data for value in node.inputs) == 1
    affine = node.op in ("Add", "Sub", "Mul", "Sum", "Mean") or (node.op == "Div" and node.input(0) is found.data)
    return Step(found.data, Effect.AFFINE) if once and affine else found


def _where(node: Node, known: Parameters) -> Step | None:
    """A mask: one of the two branches is constant, whatever the condition is."""
    branches = [value for value in node.inputs[1:3] if value is not None and not known.constant(value)]
    return Step(branches[0], Effect.NON_AFFINE) if len(branches) == 1 else None


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
    """The one number a constant holds, through layout operators (a repeated fill included)."""
    if value is None or not known.constant(value):
        return None
    filled = known.fill(value)
    if filled is not None and (node := graph.producer(filled)) is not None:
        return _fill(node)
    stored = known.stored(value)
    return read.scalar(stored.value if stored else value)


def _fill(node: Node) -> float | None:
    tensor = node.attrs.get("value")
    return 0.0 if tensor is None else read.scalar(Value("fill", constant=tensor))


def logistic(graph: Graph, known: Parameters, node: Node) -> Value | None:
    """The input of a sigmoid, hard sigmoid, or 1 / (1 + exp(-x)); None if the node is none of these."""
    if node.domain != ONNX:
        return None
    if node.op in ("Sigmoid", "HardSigmoid"):
        return node.input(0)
    if node.op == "Div" and number(graph, known, node.input(0)) == 1.0:
        return _one_plus_exp(graph, known, node.input(1))
    return _one_plus_exp(graph, known, node.input(0)) if node.op == "Reciprocal" else None


def _one_plus_exp(graph: Graph, known: Parameters, value: Value | None) -> Value | None:
    """x, where a value is 1 + exp(-x)."""
    plus = graph.producer(value)
    if plus is None or plus.op != "Add":
        return None
    for one, other in (plus.inputs, plus.inputs[::-1]):
        exp = graph.producer(other)
        neg = graph.producer(exp.input(0)) if exp is not None and exp.op == "Exp" else None
        if neg is not None and neg.op == "Neg" and number(graph, known, one) == 1.0:
            return neg.input(0)
    return None


def rectifier_floor(graph: Graph, known: Parameters, node: Node) -> float | None:
    """The value below which a ReLU-like node lets nothing pass; None if it is no rectifier.

    Relu, Abs, ThresholdedRelu, Clip and Max with a lower bound, in either order of operands.
    """
    if node.domain != ONNX:
        return None
    if node.op in ("Relu", "Abs"):
        return 0.0
    if node.op == "ThresholdedRelu":
        return 0.0 if float(node.attrs.get("alpha", 1.0)) >= 0 else None
    if node.op == "Clip":
        bounds = read.clip_bounds(node)
        return bounds[0] if bounds is not None else None
    if node.op == "Max" and len(node.inputs) == 2:
        floors = [number(graph, known, value) for value in node.inputs]
        return next((floor for floor in floors if floor is not None), None)
    return None


@dataclass(frozen=True, slots=True)
class SoftmaxLike:
    """A softmax or log-softmax, as an operator or written out; `data` are the logits."""

    node: Node
    data: Value
    log: bool


def softmax_like(graph: Graph, node: Node) -> SoftmaxLike | None:
    """Softmax(x), LogSoftmax(x), exp(x)/sum(exp(x)), x - log(sum(exp(x))), with or without the maximum taken off."""
    if node.domain != ONNX:
        return None
    data = node.input(0)
    if node.op in ("Softmax", "LogSoftmax") and data is not None:
        return SoftmaxLike(node, data, node.op == "LogSoftmax")
    if node.op == "Div":
        exp, total = graph.producer(node.input(0)), graph.producer(node.input(1))
        if exp is not None and exp.op == "Exp" and _sum_of(total, exp.output()) and (inner := exp.input(0)) is not None:
            return SoftmaxLike(node, _shifted(graph, inner), False)
    if node.op == "Sub" and data is not None and _log_sum_exp_of(graph, graph.producer(node.input(1)), data):
        return SoftmaxLike(node, _shifted(graph, data), True)
    return None


def _shifted(graph: Graph, value: Value) -> Value:
    """x, where a value is x - max(x), the maximum brought back to x's shape by layout operators."""
    minus = graph.producer(value)
    if minus is None or minus.op != "Sub":
        return value
    x, top = minus.inputs[:2]
    node = graph.producer(top)
    while node is not None and node.op in ops.LAYOUT:
        node = graph.producer(node.input(0))
    return x if x is not None and node is not None and node.op == "ReduceMax" and node.input(0) is x else value


def _sum_of(node: Node | None, value: Value | None) -> bool:
    return node is not None and node.op == "ReduceSum" and node.input(0) is value


def _log_sum_exp_of(graph: Graph, node: Node | None, value: Value) -> bool:
    if node is None:
        return False
    if node.op == "ReduceLogSumExp":
        return node.input(0) is value
    total = graph.producer(node.input(0)) if node.op == "Log" else None
    exp = graph.producer(total.input(0)) if total is not None and total.op == "ReduceSum" else None
    return exp is not None and exp.op == "Exp" and exp.input(0) is value
