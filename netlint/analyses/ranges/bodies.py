"""Into and out of the bodies of If, Loop, Scan and SequenceMap.

The nodes of a body come before their holder and have been visited with formal inputs of which nothing is known. What
goes in is then assumed for the formal inputs, the body visited again, and what comes out joined to it, until nothing
changes; an end that still moves is given up (widening: Cousot and Cousot, POPL 1977).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from netlint.graph import Body, Node, Value

from .interval import COUNT, INF, TOP, TRUTH, Range
from .state import State

Visit = Callable[[State, Node], None]

_ROUNDS = 7
"""Visits of a body: two that join, then some that give up moving ends, one that forgets what was carried."""


def carry(state: State, node: Node, visit: Visit) -> None:
    """The results of a node with bodies."""
    if node.op == "If":
        _branches(state, node)
    else:
        body = node.bodies.get("body")
        if body is not None:
            _loop(state, node, body, visit)


def _branches(state: State, node: Node) -> None:
    """Either branch, output by output; one of them where the condition is known."""
    bodies = [node.bodies.get("then_branch"), node.bodies.get("else_branch")]
    condition = state.of(node.input(0))
    if condition.lo == condition.hi:
        bodies = [bodies[0] if condition.lo else bodies[1]]
    for nth, out in enumerate(node.outputs):
        found = [state.of(body.outputs[nth]) if body and nth < len(body.outputs) else TOP for body in bodies]
        joined = found[0] if len(found) == 1 else found[0].join(found[1])
        if out is not None and joined.known:
            state.ranges[out] = joined


def _loop(state: State, node: Node, body: Body, visit: Visit) -> None:
    """Visit the body under guesses of what it is given, until one holds; without a guess the first visit stands."""
    inner = list(_flat(body))
    carried = _carried(node, body)
    guess = {formal: _initial(state, node, body, nth) for nth, formal in enumerate(body.inputs)}
    if state.visits_left > 0 and any(r.known for r in guess.values()):
        for attempt in range(_ROUNDS):
            state.visits_left -= len(inner)
            if attempt == _ROUNDS - 1 or state.visits_left < 0:
                guess.update((formal, TOP) for formal, _ in carried)
            _visit_again(state, inner, guess, visit)
            grown = _grown(state, guess, carried, give_up=attempt >= 2)
            if grown == guess:
                break
            guess = grown
    _results(state, node, body, carried)


def _visit_again(state: State, inner: list[Node], guess: dict[Value, Range], visit: Visit) -> None:
    for node in inner:
        formals = [formal for body in node.bodies.values() for formal in body.inputs]
        for value in (*node.outputs, *formals):
            if value is not None and value not in state.fixed:
                state.ranges.pop(value, None)
                state.lanes.pop(value, None)
                state.facts.forget(value)
    state.ranges.update(guess)
    for node in inner:
        visit(state, node)


def _grown(
    state: State, guess: dict[Value, Range], carried: list[tuple[Value, Value | None]], give_up: bool
) -> dict[Value, Range]:
    """The guess, joined with what comes out; equal to it where it covers that."""
    grown = dict(guess)
    for formal, result in carried:
        taken = guess[formal]
        joined = taken.join(state.of(result))
        if (joined.lo, joined.hi, joined.nan, joined.integral) != (taken.lo, taken.hi, taken.nan, taken.integral):
            grown[formal] = _widened(taken, joined, give_up)
    return grown


def _widened(taken: Range, joined: Range, give_up: bool) -> Range:
    """The next guess: an end that moves goes on to 0, to 1, and then to infinity."""
    if not give_up:
        return joined
    lo = joined.lo if joined.lo == taken.lo else 0.0 if joined.lo >= 0 else -1.0 if joined.lo >= -1 else -INF
    hi = joined.hi if joined.hi == taken.hi else 0.0 if joined.hi <= 0 else 1.0 if joined.hi <= 1 else INF
    return joined._replace(lo=lo, hi=hi, lo_open=False, hi_open=False, loose=True)


def _initial(state: State, node: Node, body: Body, nth: int) -> Range:
    """What a formal input is at first: a counter, a condition, an input of the node, or a slice of one."""
    if node.op == "Loop" and nth < 2:
        return (COUNT, TRUTH)[nth]
    shift = len(node.inputs) - len(body.inputs) if node.op == "Scan" and state.opset < 9 else 0
    return state.of(node.input(nth + shift))


def _carried(node: Node, body: Body) -> list[tuple[Value, Value | None]]:
    """Formal input and result of each value that goes from one iteration to the next."""
    if node.op == "Loop":
        return list(zip(body.inputs[2:], body.outputs[1:], strict=False))
    if node.op == "SequenceMap":
        return []
    scanned = node.attrs.get("num_scan_inputs", 0)
    states = len(body.inputs) - scanned
    return list(zip(body.inputs[:states], body.outputs[:states], strict=False))


def _results(state: State, node: Node, body: Body, carried: list[tuple[Value, Value | None]]) -> None:
    """After no iteration what went in, after some what the body gave; collected results are elements of the latter."""
    skip = 1 if node.op == "Loop" else 0
    for nth, out in enumerate(node.outputs):
        result = state.of(body.outputs[skip + nth]) if skip + nth < len(body.outputs) else TOP
        if nth < len(carried):
            place = nth + (2 if node.op == "Loop" else 0)
            result = result.join(_initial(state, node, body, place))
        if out is not None and result.known:
            state.ranges[out] = result


def _flat(body: Body) -> Iterator[Node]:
    """The nodes of a body, and of the bodies in it before their holders."""
    for node in body.nodes:
        for inner in node.bodies.values():
            yield from _flat(inner)
        yield node
