"""A loss as arithmetic: the sum of products that a scalar is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netlint.graph import ONNX, Graph, Node, TensorUnreadable, Value

from ._idioms import number, rectifier_floor, step
from ._losses_idioms import rescaled, unguarded
from ._softmax import softmax_like
from .parameters import Parameters

_MAX_TERMS = 64
_MAX_DEPTH = 40
_MAX_WEIGHTS = 1 << 16
_KEEPS = frozenset({"Identity", "Cast"})
_SHAPES = frozenset({"Squeeze", "Reshape", "Flatten", "Unsqueeze", "Expand", "Transpose"})
_LAYOUT = _KEEPS | _SHAPES
_SUMS = frozenset({"ReduceSum", "ReduceMean"})
_ADDS = frozenset({"Add", "Sum", "Mean", "Sub", "Neg", "Mul", "Div", "Where"}) | _SUMS
_PICKS = frozenset({"GatherElements", "GatherND", "Gather"})


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a product, told apart from others by what it is made of."""

    kind: str
    """`value`; `log`: the logarithm of `of`; `log-softmax`; `softplus` of `of`; `square`, `abs` of `of`."""
    of: Value
    node: Node | None = None
    """The operator that makes the factor."""
    picked: Value | None = None
    """The class ids by which one element a sample is picked from `of`."""


@dataclass(frozen=True, slots=True)
class Term:
    """A product with its sign. Its numbers and non-negative weights are left out."""

    sign: float
    factors: tuple[Factor, ...]
    summed: bool = False
    """Whether a sum or mean lies between the product and the scalar."""


class Expansion:
    """Writes values of one graph as sums of products.

    Means and sums count as sums, since they change no sign. `learned` tells what depends on a weighted layer,
    `claimed` the nodes that have been understood otherwise.
    """

    def __init__(
        self, graph: Graph, known: Parameters, learned: Callable[[Value], bool], claimed: frozenset[Node]
    ) -> None:
        self._graph = graph
        self._known = known
        self._learned = learned
        self._claimed = claimed
        self._done: dict[Value, tuple[Term, ...]] = {}

    def of(self, value: Value, depth: int = _MAX_DEPTH) -> tuple[Term, ...]:
        """The terms of a value; one opaque term where it is not arithmetic, or too much of it."""
        if value not in self._done:
            found = self._expand(value, depth)
            self._done[value] = found if len(found) <= _MAX_TERMS else (self._opaque(value),)
        return self._done[value]

    def log(self, value: Value | None) -> Factor | None:
        """log p, through a floor (`max(log p, -100)`), a guard (`p + eps`) and the choice of a class."""
        picked, value = self._pick(value)
        node = self._graph.producer(value)
        if node is not None and node.op in ("Max", "Clip") and rectifier_floor(self._graph, self._known, node):
            taken = step(self._graph, self._known, node)
            node = self._graph.producer(taken.data) if taken is not None else None
        if node is None or node.domain != ONNX or value is None:
            return None
        if node.op == "Log":
            inner, of = self._pick(unguarded(self._graph, self._known, node.input(0)))
            of = rescaled(self._graph, of)
            return Factor("log", of, node, picked or inner) if of is not None else None
        soft = softmax_like(self._graph, node)
        if soft is None or not soft.log or (out := node.output()) is None:
            return None
        return Factor("log-softmax", out, node, picked)

    def _pick(self, value: Value | None) -> tuple[Value | None, Value | None]:
        """(class ids, p), where a value is p of the class ids; else (None, value)."""
        node = self._graph.producer(value)
        while node is not None and node.op in _LAYOUT and not node.domain:
            node = self._graph.producer(node.input(0))
        if node is None or node.op not in _PICKS or node.domain or self._known.constant(node.input(1)):
            return None, value
        data, ids = node.input(0), node.input(1)
        made = self._graph.producer(data)
        if made is not None and made.op == "Flatten":
            data = made.input(0)
        return (ids, data) if data is not None and not self._known.constant(data) else (None, value)

    # -- expansion

    def _opaque(self, value: Value) -> Term:
        node = self._graph.producer(value)
        return Term(1.0, (self.log(value) or self._named(value, node) or Factor("value", value, node),))

    def _named(self, value: Value, node: Node | None) -> Factor | None:
        data = node.input(0) if node is not None and node.domain == ONNX else None
        if node is None or data is None:
            return None
        if node.op == "Softplus":
            return Factor("softplus", data, node)
        if node.op == "Where" and (inner := self._overflowing(node)) is not None:
            return Factor("softplus", inner, node)
        if node.op in ("Abs", "ReduceL1"):
            return Factor("abs", data, node)
        if node.op in ("ReduceSumSquare", "ReduceL2") or self._is_square(node):
            return Factor("square", data, node)
        return None

    def _overflowing(self, node: Node) -> Value | None:
        """x, where a node is `x if x is large else softplus(x)`."""
        branches = node.input(1), node.input(2)
        for x, other in (branches, branches[::-1]):
            made = self._graph.producer(other)
            if x is not None and made is not None and made.op == "Softplus" and made.input(0) is x:
                return x
        return None

    def _expand(self, value: Value, depth: int) -> tuple[Term, ...]:
        if self._known.constant(value):
            return self._constant(value)
        node = self._graph.producer(value)
        if node is None or depth <= 0 or node.domain != ONNX or node in self._claimed:
            return (self._opaque(value),)
        data = node.input(0)
        if data is None:
            return (self._opaque(value),)
        if node.op in _KEEPS or (node.op in _SHAPES and self._arithmetic(data)):
            return self.of(data, depth - 1)
        if node.op in _SUMS:
            return tuple(Term(term.sign, term.factors, True) for term in self.of(data, depth - 1))
        if node.op in ("Add", "Sum", "Mean", "Sub", "Neg"):
            return self._added(node, depth)
        if node.op in ("Mul", "Div") and not self._is_square(node):
            return self._product(node, value, depth)
        return self._other(node, value, depth)

    def _arithmetic(self, value: Value) -> bool:
        """Whether layout operators stand between sums: before the first arithmetic they belong to the operand."""
        node = self._graph.producer(value)
        while node is not None and node.op in _LAYOUT:
            node = self._graph.producer(node.input(0))
        return node is not None and (node.op in _ADDS or self.log(node.output()) is not None)

    def _constant(self, value: Value) -> tuple[Term, ...]:
        """Nothing for zeros, a bare sign for positive numbers, else an opaque factor."""
        single = number(self._graph, self._known, value)
        if single is not None:
            return () if single == 0 else (Term(1.0 if single > 0 else -1.0, ()),)
        return (Term(1.0, ()),) if self._no_negative(value) else (Term(1.0, (Factor("value", value),)),)

    def _no_negative(self, value: Value) -> bool:
        stored = self._known.stored(value)
        tensor = stored.value.constant if stored is not None else None
        if tensor is None or tensor.nbytes > _MAX_WEIGHTS or not tensor.dtype.startswith(("float", "bfloat", "int")):
            return False
        try:
            return bool((tensor.load() >= 0).all())
        except TensorUnreadable:
            return False

    def _added(self, node: Node, depth: int) -> tuple[Term, ...]:
        found: list[Term] = []
        for place, value in enumerate(node.inputs):
            sign = -1.0 if node.op == "Neg" or (node.op == "Sub" and place == 1) else 1.0
            inner = self.of(value, depth - 1) if value is not None else ()
            found.extend(Term(sign * term.sign, term.factors, term.summed) for term in inner)
        return tuple(found)

    def _product(self, node: Node, value: Value, depth: int) -> tuple[Term, ...]:
        left, right = node.input(0), node.input(1)
        if left is None or right is None:
            return (self._opaque(value),)
        if node.op == "Div":
            if self._known.constant(left) or (not self._known.constant(right) and self._learned(right)):
                return (self._opaque(value),)
            below = self._constant(right) if self._known.constant(right) else ()
            sign = below[0].sign if len(below) == 1 else 1.0  # what is not constant counts or weighs
            return tuple(Term(sign * term.sign, term.factors, term.summed) for term in self.of(left, depth - 1))
        one, other = self.of(left, depth - 1), self.of(right, depth - 1)
        if len(one) * len(other) > _MAX_TERMS:
            return (Term(1.0, (self._opaque(left).factors[0], self._opaque(right).factors[0])),)
        return tuple(Term(a.sign * b.sign, a.factors + b.factors, a.summed or b.summed) for a in one for b in other)

    def _other(self, node: Node, value: Value, depth: int) -> tuple[Term, ...]:
        """A mask passes its one computed branch on; the logarithm of a quotient is a difference."""
        if node.op == "Log" and (parts := self._quotient(node)) is not None:
            above, below = (Factor("log", part, node) for part in parts)
            return Term(1.0, (above,)), Term(-1.0, (below,))
        taken = step(self._graph, self._known, node) if node.op == "Where" else None
        if taken is not None:
            return self.of(taken.data, depth - 1)
        if node.op == "Where" and (branch := self._masked(node)) is not None:
            return self.of(branch, depth - 1)
        return (self._opaque(value),)

    def _quotient(self, log: Node) -> tuple[Value, Value] | None:
        """(p, q), where a node is log(p / q), both guarded or not."""
        inside = unguarded(self._graph, self._known, log.input(0))
        node = self._graph.producer(inside)
        if node is None or node.op != "Div" or any(self._known.constant(value) for value in node.inputs):
            return None
        above, below = (unguarded(self._graph, self._known, node.input(place)) for place in (0, 1))
        if softmax_like(self._graph, node) is not None or above is None or below is None:
            return None
        return above, below

    def _masked(self, node: Node) -> Value | None:
        """The branch of a Where whose other branch repeats a number."""
        branches = [v for v in node.inputs[1:3] if v is not None and number(self._graph, self._known, v) is None]
        filled = [v for v in branches if self._fills(v)]
        kept = [v for v in branches if v not in filled]
        return kept[0] if len(kept) == 1 else None

    def _fills(self, value: Value) -> bool:
        node = self._graph.producer(value)
        return node is not None and node.op == "ConstantOfShape"

    def _is_square(self, node: Node) -> bool:
        """x to the power of 2, x * x, or the product of two Subs of the same operands."""
        if node.op != "Mul":
            return node.op == "Pow" and number(self._graph, self._known, node.input(1)) == 2.0
        left, right = self._graph.producer(node.input(0)), self._graph.producer(node.input(1))
        if node.input(0) is node.input(1):
            return True
        return left is not None and right is not None and left.op == right.op == "Sub" and left.inputs == right.inputs
