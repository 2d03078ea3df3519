"""The softmax and the log-softmax, as operators and written out."""

from __future__ import annotations

from dataclasses import dataclass

from netlint import ops
from netlint.graph import ONNX, Graph, Node, Value
from netlint.ops import read

from ._idioms import both_orders


@dataclass(frozen=True, slots=True)
class SoftmaxLike:
    """A softmax or log-softmax, as an operator or written out; `data` are the logits."""

    node: Node
    data: Value
    log: bool
    reduction: Node | None = None
    """Where it is written out: the node that sums over the normalised axes."""


def softmax_like(graph: Graph, node: Node) -> SoftmaxLike | None:
    """Softmax(x), LogSoftmax(x), exp(x)/sum(exp(x)), x - log(sum(exp(x))), with or without the maximum taken off.

    The exponential of a log-softmax is a softmax, too.
    """
    if node.domain != ONNX:
        return None
    data = node.input(0)
    if node.op in ("Softmax", "LogSoftmax") and data is not None:
        return SoftmaxLike(node, data, node.op == "LogSoftmax")
    if node.op in ("Div", "Mul"):
        inner = _normalised_exp(graph, node)
        return SoftmaxLike(node, _shifted(graph, inner[0]), False, inner[1]) if inner is not None else None
    if node.op == "Sub" and data is not None:
        total = _log_sum_exp_of(graph, node.input(1), data)
        return SoftmaxLike(node, _shifted(graph, data), True, total) if total is not None else None
    made = graph.producer(data) if node.op == "Exp" else None
    log = softmax_like(graph, made) if made is not None and made.op in ("LogSoftmax", "Sub") else None
    return SoftmaxLike(node, log.data, False, log.reduction or made) if log is not None and log.log else None


def softmax_axes(graph: Graph, soft: SoftmaxLike, rank: int) -> tuple[int, ...] | None:
    """The axes, counted from 0, that a softmax normalises over; None where they are not constant."""
    node = soft.reduction or soft.node
    if node.op in ("Softmax", "LogSoftmax"):
        return read.softmax_axes(node, graph.opset.get("", 1), rank)
    found = read.axes(node)
    return tuple(axis % rank for axis in found) if found and rank else None


def _normalised_exp(graph: Graph, node: Node) -> tuple[Value, Node] | None:
    """x and the sum, where a node is exp(x) / sum(exp(x)), or exp(x) times the sum's reciprocal."""
    for part, whole in both_orders(node)[: 1 if node.op == "Div" else 2]:
        exp, total = graph.producer(part), _before_layout(graph, whole)
        if node.op == "Mul":
            total = _before_layout(graph, total.input(0)) if total is not None and total.op == "Reciprocal" else None
        data = exp.input(0) if exp is not None and exp.op == "Exp" else None
        if exp is not None and data is not None and total is not None and _sum_of(total, exp.output()):
            return data, total
    return None


def _shifted(graph: Graph, value: Value) -> Value:
    """x, where a value is x - max(x), the maximum brought back to x's shape by layout operators."""
    minus = graph.producer(value)
    if minus is None or minus.op != "Sub":
        return value
    x, top = minus.inputs[:2]
    node = _before_layout(graph, top)
    return x if x is not None and node is not None and node.op == "ReduceMax" and node.input(0) is x else value


def _before_layout(graph: Graph, value: Value | None) -> Node | None:
    """The node that computes a value's elements: a reduction, where layout operators bring back its axes."""
    node = graph.producer(value)
    while node is not None and node.op in ops.LAYOUT:
        node = graph.producer(node.input(0))
    return node


def _sum_of(node: Node | None, value: Value | None) -> bool:
    return node is not None and node.op == "ReduceSum" and node.input(0) is value


def _log_sum_exp_of(graph: Graph, log_sum: Value | None, value: Value) -> Node | None:
    """The node that sums, where a value is log(sum(exp(x)))."""
    node = _before_layout(graph, log_sum)
    if node is None:
        return None
    if node.op == "ReduceLogSumExp":
        return node if node.input(0) is value else None
    total = graph.producer(node.input(0)) if node.op == "Log" else None
    exp = graph.producer(total.input(0)) if total is not None and total.op == "ReduceSum" else None
    return total if exp is not None and exp.op == "Exp" and exp.input(0) is value else None
