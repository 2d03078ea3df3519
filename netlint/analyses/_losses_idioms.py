"""What people and frameworks wrap around the operands of a loss."""

from __future__ import annotations

from netlint.graph import ONNX, Graph, Node, Value

from ._idioms import Effect, both_orders, number, step
from ._softmax import softmax_like
from .parameters import Parameters

_MAX_STEPS = 40
_MAX_GUARDS = 4
# `log(p + eps)`: above this the addend is part of the model, not a guard.
_LARGEST_GUARD = 1e-2
_CLIPS = frozenset({"Clip", "Max", "Min"})


def unguarded(graph: Graph, known: Parameters, value: Value | None) -> Value | None:
    """p, where a value is p, p + eps, max(p, eps), min(p, 1 - eps), clip(p, eps, ..), or some of these in a row."""
    for _ in range(_MAX_GUARDS):
        node = graph.producer(value)
        taken = step(graph, known, node) if node is not None else None
        if node is None or taken is None or not (node.op in _CLIPS or _is_guard(graph, known, node, taken.data)):
            break
        value = taken.data
    return value


def _is_guard(graph: Graph, known: Parameters, node: Node, data: Value) -> bool:
    added = next((v for v in node.inputs if v is not data), None) if node.op == "Add" else None
    eps = number(graph, known, added)
    return eps is not None and 0 <= eps <= _LARGEST_GUARD


def rescaled(graph: Graph, value: Value | None) -> Value | None:
    """p, where a value is p / sum(p), which Keras does to what it is given."""
    node = graph.producer(value)
    total = graph.producer(node.input(1)) if node is not None and node.op == "Div" else None
    if node is None or total is None or total.op != "ReduceSum" or total.input(0) is not node.input(0):
        return value
    return value if softmax_like(graph, node) is not None else node.input(0)


def difference(graph: Graph, known: Parameters, value: Value | None) -> tuple[Value, Value] | None:
    """(a, b), where a value is a - b, through absolute values, layout, and what cuts off large ones."""
    for _ in range(_MAX_STEPS):
        node = graph.producer(value)
        if node is None or node.domain != ONNX:
            return None
        if node.op == "Sub":
            a, b = _unexpanded(graph, node.input(0), node.input(1))
            return None if a is None or b is None or known.constant(a) or known.constant(b) else (a, b)
        if node.op == "Add":
            return _negated_sum(graph, known, node)
        taken = step(graph, known, node)
        if taken is None or (taken.effect > Effect.LAYOUT and node.op not in ("Abs", "Min", "Mul")):
            return None
        value = taken.data
    return None


def _negated_sum(graph: Graph, known: Parameters, node: Node) -> tuple[Value, Value] | None:
    for a, b in both_orders(node):
        minus = graph.producer(b)
        if minus is not None and minus.op == "Neg" and a is not None and (inner := minus.input(0)) is not None:
            return None if known.constant(a) or known.constant(inner) else (a, inner)
    return None


def _unexpanded(graph: Graph, a: Value | None, b: Value | None) -> tuple[Value | None, Value | None]:
    """The operands before a framework brought both to their common shape; one alone was expanded on purpose."""
    one, other = graph.producer(a), graph.producer(b)
    if one is None or other is None or one.op != "Expand" or other.op != "Expand":
        return a, b
    return one.input(0), other.input(0)
