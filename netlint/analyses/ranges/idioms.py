"""Idioms that intervals alone misjudge: variances by subtraction, p(1 - p), products of unit vectors."""

from __future__ import annotations

from netlint.graph import Node, Value

from . import algebra
from .facts import Axes
from .interval import Range
from .relations import constant, operands
from .step import Step


def on_sub(step: Step, a: Range) -> None:
    """E[x²] - E[x]² is not negative in real arithmetic, whatever cancellation makes of it."""
    found = operands(step)
    if found is None or step.state.facts.frozen:
        return
    x, y, out = found
    if _mean_square_minus_square(step, x, y):
        step.state.facts.exact[out] = Range(0.0, max(a.hi, 0.0), nan=a.nan, assumed=a.assumed)


def _mean_square_minus_square(step: Step, x: Value, y: Value) -> bool:
    facts, graph = step.state.facts, step.state.graph
    mean = graph.producer(facts.squares.get(facts.root(y)))
    squares = graph.producer(facts.root(x))
    if mean is None or squares is None or (mean.op, squares.op) != ("ReduceMean", "ReduceMean"):
        return False
    source, squared = mean.input(0), squares.input(0)
    if source is None or squared is None or not _alike(step, mean, squares):
        return False
    return facts.squares.get(facts.root(squared)) is facts.root(source)


def _alike(step: Step, a: Node, b: Node) -> bool:
    """Whether two reductions run over the same axes."""
    if a.attrs.get("axes") != b.attrs.get("axes") or a.attrs.get("keepdims", 1) != b.attrs.get("keepdims", 1):
        return False
    shapes = step.state.shapes
    first, second = a.input(1), b.input(1)
    if first is second:
        return True
    return first is not None and second is not None and shapes.ints(first) == shapes.ints(second) is not None


def on_add(step: Step) -> None:
    """A constant moves the real range as it does the other."""
    found = operands(step)
    facts = step.state.facts
    if found is None or facts.frozen or not facts.exact:
        return
    x, y, out = found
    for moved, by in ((x, y), (y, x)):
        real = facts.exact.get(facts.root(moved))
        if real is not None:
            facts.exact[out] = algebra.add(real, step.state.of(by))


def keep_exact(step: Step) -> None:
    """Elements that are moved keep what is known of them in real arithmetic."""
    source, out = step.node.input(0), step.node.output()
    facts = step.state.facts
    if facts.exact and source is not None and out is not None and not facts.frozen:
        real = facts.exact.get(facts.root(source))
        if real is not None:
            facts.exact[out] = real


def complement(step: Step, factor: Value, gate: Node) -> bool:
    """Whether `gate` is 1 - p where `factor` is p, in [0, 1]."""
    facts = step.state.facts
    one, p = gate.input(0), gate.input(1)
    same = p is not None and facts.root(p) is facts.root(factor)
    return same and one is not None and constant(step, one) == 1.0 and step.state.of(factor).within(0.0, 1.0)


def mark_unit(step: Step, out: Value | None, over: Axes, rank: int | None) -> None:
    """Note vectors of length at most 1 along `over`."""
    if out is not None:
        step.state.facts.set_unit(out, over if over is not None else tuple(range(rank)) if rank else None)


def unit_product(step: Step) -> Range | None:
    """A product of two unit vectors lies in [-1, 1] (Cauchy-Schwarz), up to rounding."""
    found = operands(step)
    facts = step.state.facts
    if found is None or not facts.units:
        return None
    a, b, _ = found
    ranks = step.state.rank(a), step.state.rank(b)
    if ranks[0] is None or ranks[1] is None or ranks[0] < 1 or ranks[1] < 1:
        return None
    last, before = ranks[0] - 1, max(ranks[1] - 2, 0)
    return _ball(step) if facts.unit(a) == (last,) and facts.unit(b) == (before,) else None


def unit_sum(step: Step, over: Axes) -> Range | None:
    """The sum of a product of two unit vectors along their axis."""
    facts, graph = step.state.facts, step.state.graph
    source = step.node.input(0)
    product = graph.producer(facts.root(source)) if source is not None and facts.units else None
    if product is None or product.op != "Mul" or product.domain or over is None:
        return None
    a, b = product.input(0), product.input(1)
    if a is None or b is None or facts.unit(a) != over or facts.unit(b) != over:
        return None
    return _ball(step) if step.state.rank(a) == step.state.rank(b) else None


def _ball(step: Step) -> Range:
    limit = 1 + 2.0**-9 + 16 * step.eps
    return Range(-limit, limit, nan=True)


def sum_with_constant(step: Step, over: Axes, count: int | None) -> Range | None:
    """The sum of x + C, with a constant C of the same shape, by what C sums to: I adds 1 to each row sum."""
    graph, state = step.state.graph, step.state
    added = graph.producer(step.node.input(0))
    if added is None or added.op != "Add" or added.domain or over is None or count is None:
        return None
    for moving, fixed in (added.inputs, reversed(added.inputs)):
        array, other = state.array(fixed), state.of(moving)
        if array is None or array.ndim < 2 or array.shape != step.shape(0) or not other.known:
            continue
        sums = array.astype("float64").sum(axis=over)
        total = algebra.add(algebra.times(other, count), Range(float(sums.min()), float(sums.max())))
        return step.summed(total._replace(integral=False), 2 * count)
    return None
