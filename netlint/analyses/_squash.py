"""The sigmoid in the spellings in which exporters and people write it."""

from __future__ import annotations

from collections.abc import Iterator

from netlint.graph import ONNX, Graph, Node, Value
from netlint.ops import read

from ._idioms import both_orders, number
from .parameters import Parameters

_MAX_AFFINE = 4
_TOLERANCE = 1e-3
_RESCALES = frozenset({"Add", "Sub", "Mul", "Div"})


def logistic(graph: Graph, known: Parameters, node: Node) -> Value | None:
    """The input of a sigmoid; None if the node is none.

    Sigmoid, HardSigmoid, 1 / (1 + exp(-x)), exp(x) / (1 + exp(x)), (tanh(x) + 1) / 2, and the clipped line
    clip(x + 3, 0, 6) / 6 or clip(a x + 0.5, 0, 1). The node is the last of the spelling.
    """
    if node.domain != ONNX:
        return None
    if node.op in ("Sigmoid", "HardSigmoid"):
        return node.input(0)
    if node.op in ("Div", "Reciprocal", "Pow"):
        found = _of_exponential(graph, known, node)
        if found is not None:
            return found
    return _of_rescaled(graph, known, node) if node.op in _RESCALES or node.op == "Clip" else None


def spelled(graph: Graph, known: Parameters) -> Iterator[Node]:
    """The nodes that are sigmoids, in any spelling; in graph order, from the operators that each spelling needs."""
    found = dict.fromkeys(graph.of("Sigmoid", "HardSigmoid"))
    for node in graph.of("Exp", "Tanh", "Clip"):
        for last in _behind(graph, node):
            if logistic(graph, known, last) is not None:
                found[last] = None
                break
    yield from sorted(found, key=graph.position.__getitem__)


def _behind(graph: Graph, node: Node) -> Iterator[Node]:
    """A node and the arithmetic in series behind it."""
    todo, steps = [node], 0
    while todo and steps <= _MAX_AFFINE:
        yield from todo
        users = [user for one in todo for user in graph.uses(one.output())[:_MAX_AFFINE]]
        todo = [user for user in users if user.op in _RESCALES or user.op in ("Reciprocal", "Pow")]
        steps += 1


def _of_exponential(graph: Graph, known: Parameters, node: Node) -> Value | None:
    if node.op == "Div":
        exp = _exp_plus_one(graph, known, node.input(1))
        if exp is not None and exp.output() is node.input(0):
            return exp.input(0)
        inverse = exp is not None and number(graph, known, node.input(0)) == 1.0
    else:
        exp = _exp_plus_one(graph, known, node.input(0))
        inverse = node.op == "Reciprocal" or (exp is not None and number(graph, known, node.input(1)) == -1.0)
    return _negated(graph, known, exp.input(0)) if exp is not None and inverse else None


def _exp_plus_one(graph: Graph, known: Parameters, value: Value | None) -> Node | None:
    """The exponential, where a value is 1 + exp(..)."""
    plus = graph.producer(value)
    if plus is None or plus.op != "Add":
        return None
    for one, other in both_orders(plus):
        exp = graph.producer(other)
        if exp is not None and exp.op == "Exp" and number(graph, known, one) == 1.0:
            return exp
    return None


def _negated(graph: Graph, known: Parameters, value: Value | None) -> Value | None:
    """x, where a value is -x, 0 - x, or x times -1."""
    node = graph.producer(value)
    if node is None:
        return None
    if node.op == "Neg":
        return node.input(0)
    if node.op == "Sub":
        return node.input(1) if number(graph, known, node.input(0)) == 0.0 else None
    if node.op not in ("Mul", "Div"):
        return None
    orders = both_orders(node)[: 1 if node.op == "Div" else 2]
    return next((x for x, factor in orders if number(graph, known, factor) == -1.0), None)


def _of_rescaled(graph: Graph, known: Parameters, node: Node) -> Value | None:
    """x, where a node rescales tanh(..) or a clipped line in x to the range from 0 to 1."""
    scale, shift, inner, steps = 1.0, 0.0, node, 0
    while inner.op in _RESCALES and inner.domain == ONNX and steps < _MAX_AFFINE:
        taken = rescaled(graph, known, inner)
        made = graph.producer(taken[0]) if taken is not None else None
        if taken is None or made is None:
            return None
        scale, shift, inner, steps = scale * taken[1], shift + scale * taken[2], made, steps + 1
    if inner.op == "Tanh":
        ends = (-1.0, 1.0)
    elif inner.op == "Clip" and (bounds := _centred(graph, known, inner)) is not None:
        ends = bounds
    else:
        return None
    low, high = (scale * end + shift for end in ends)
    if abs(low) > _TOLERANCE or abs(high - 1) > _TOLERANCE:
        return None
    return inner.input(0) if inner.op == "Tanh" else _line(graph, known, inner.input(0))


def rescaled(graph: Graph, known: Parameters, node: Node) -> tuple[Value, float, float] | None:
    """(x, a, b), where a node is a x + b with two numbers."""
    left, right = node.input(0), node.input(1)
    if left is None or right is None or known.constant(left) == known.constant(right):
        return None
    turned = known.constant(left)
    x, other = (right, left) if turned else (left, right)
    c = number(graph, known, other)
    if c is None or (node.op == "Div" and (turned or c == 0)):
        return None
    if node.op == "Sub":
        return (x, -1.0, c) if turned else (x, 1.0, -c)
    return {"Add": (x, 1.0, c), "Mul": (x, c, 0.0), "Div": (x, 1 / c if c else 0.0, 0.0)}.get(node.op)


def _centred(graph: Graph, known: Parameters, clip: Node) -> tuple[float, float] | None:
    """The bounds of a Clip whose input is a rising line that passes their middle at 0."""
    bounds = read.clip_bounds(clip)
    plus = graph.producer(clip.input(0))
    if bounds is None or bounds[0] is None or bounds[1] is None or plus is None or plus.op != "Add":
        return None
    taken = rescaled(graph, known, plus)
    low, high = float(bounds[0]), float(bounds[1])
    return (low, high) if taken is not None and abs(taken[2] - (low + high) / 2) < _TOLERANCE else None


def _line(graph: Graph, known: Parameters, value: Value | None) -> Value | None:
    """x, where a value is a x + b."""
    for _ in range(2):
        node = graph.producer(value)
        taken = rescaled(graph, known, node) if node is not None and node.op in _RESCALES else None
        if taken is None:
            break
        value = taken[0]
    return value
