"""One pass over the graph, in its order; bodies of loops are gone through until what they carry is stable."""

from __future__ import annotations

from netlint.graph import Graph, Node, Value

from .bodies import carry
from .idioms import keep_exact
from .interval import Range
from .rounding import settle
from .state import State
from .step import Step
from .table import EXACT, LANED, MOVES, PASSIVE, TRANSFER, WITH_BODIES

_FOLLOW_LANES = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min"})
"""Operators on two values, where a constant may bring in channels."""

_SUMS = frozenset({"Conv", "MatMul", "Gemm"})
"""Operators without bounds where input 0 has none, but for weights that are 0."""


def run(graph: Graph, state: State) -> None:
    """Fill `state` with what is known of each value of the graph."""
    import numpy as np

    with np.errstate(all="ignore"):  # ends are infinite as a rule; what becomes NaN is dropped where lanes settle
        for node in graph.nodes:
            visit(state, node)


def visit(state: State, node: Node) -> None:
    """Work out the results of one node."""
    inputs = node.inputs
    first = inputs[0] if inputs else None
    if state.given and not state.given.isdisjoint(node.outputs):
        return
    if first is not None and (first.constant is not None or first in state.fixed) and state.fold(node):
        return
    op = node.op if not node.domain else node.full_op
    if op in WITH_BODIES:
        carry(state, node, visit)
        return
    transfer = TRANSFER.get(op)
    if transfer is None or (op in PASSIVE and _silent(state, first)) or (op in _SUMS and _boundless(state, first)):
        return
    step = Step(node, state)
    if state.facts.exact and op in MOVES:
        keep_exact(step)
    found = transfer(step)
    if isinstance(found, Range):
        _store(state, step, op, node.outputs[0] if node.outputs else None, found)
    else:
        for out, each in zip(node.outputs, found, strict=False):
            _store(state, step, op, out, each)


def _boundless(state: State, value: Value | None) -> bool:
    """Whether sums of products with a value are unbounded, and no weight is looked at any more."""
    return not (state.spares or state.facts.units or value is None or value.constant is not None) and not (
        state.of(value).bounded
    )


def _silent(state: State, value: Value | None) -> bool:
    """Whether nothing is known of a value, neither range nor relation."""
    return value is None or not (state.of(value).known or state.facts.about(value) or state.lanes.get(value))


def _store(state: State, step: Step, op: str, out: Value | None, found: Range) -> None:
    if out is None or (out in state.opened and not found.known):
        return
    if found.known and op not in EXACT:
        dtype = state.dtype(out)
        found = settle(found, dtype)
        if dtype in ("int64", "int32"):
            found = state.followed(out, found)
    if out is step.node.outputs[0] and (found.known or out in state.lanes) and _laned(state, step, op, out):
        from .channels import refine

        found = refine(step, found)
    if found.known:
        state.ranges[out] = found


def _laned(state: State, step: Step, op: str, out: Value) -> bool:
    """Whether channels may be told apart in a result."""
    lanes = state.lanes
    if out in lanes:
        return True
    if op not in LANED or not state.affords_lanes:
        return False
    inputs = step.node.inputs
    if lanes:
        for value in inputs:
            if value is not None and value.constant is None and lanes.get(value) is not None:
                return True
    if op not in _FOLLOW_LANES or len(inputs) != 2:
        return False
    a, b = inputs
    # Channels that a constant brings in add little to bounds that are loose themselves.
    return (_brings(state, a) and not state.of(b).loose) or (_brings(state, b) and not state.of(a).loose)


def _brings(state: State, value: Value | None) -> bool:
    return value is not None and value.constant is not None and state.lanes_of(value) is not None
