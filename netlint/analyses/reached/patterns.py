"""How the arithmetic of these rules is written: maxima taken off, deviations, norms, guards before and behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netlint import ops
from netlint.graph import ONNX, Graph, Node, Value

from .interval import INF, How

if TYPE_CHECKING:
    from . import Reached

_ORDERS = {
    "Greater": (True, True),
    "GreaterOrEqual": (True, False),
    "Less": (False, True),
    "LessOrEqual": (False, False),
}
"""Whether the first operand is the larger one, and whether the comparison is strict."""
_DEPTH = 3
_MOST_TERMS = 6
_MEANS = frozenset({"ReduceMean", "GlobalAveragePool", "AveragePool"})
_MAXIMA = frozenset({"ReduceMax", "TopK", "ReduceLogSumExp", "GlobalMaxPool"})
_COPIES = frozenset(
    {"Identity", "Cast", "Reshape", "Unsqueeze", "Squeeze", "Expand", "Transpose", "Flatten", "Dropout", "Tile"}
)
_PICKS = frozenset({"Gather", "GatherElements", "GatherND"})
_SCATTERS = frozenset({"ScatterElements", "ScatterND"})
_SHAPES_SCORES = frozenset({"Mul", "Div", "Add", "Where", "Clip", "Max", "Min"})
_MOST_COPIES = 16
_ROOTS = frozenset({"Sqrt", "Pow"})


def maker(known: Reached, value: Value | None) -> Node | None:
    """The node that computes a value's elements, before layout."""
    return None if value is None else known.roles.source_node(value)


def readers(graph: Graph, value: Value | None) -> Iterator[tuple[Node, Value]]:
    """The nodes that read a value, and what they read of it: the value, or a copy in another layout."""
    due = [value]
    for _, copy in zip(range(_MOST_COPIES), due, strict=False):
        for use in graph.uses(copy):
            if use.op in _COPIES and not use.domain and use.input(0) is copy:
                due.append(use.output())
            elif copy is not None:
                yield use, copy


def same(known: Reached, a: Value | None, b: Value | None) -> bool:
    """Whether two values hold the same elements, but for layout."""
    return a is not None and b is not None and (a is b or known.source(a) is known.source(b))


def alike(known: Reached, a: Value | None, b: Value | None, depth: int = 2 * _DEPTH) -> bool:
    """Whether two values are the same, or computed in the same way from the same values."""
    if same(known, a, b):
        return True
    left, right = maker(known, a), maker(known, b)
    if left is None or right is None or not depth or left.op != right.op or left.domain or left.op in ops.RANDOM:
        return False
    pairs = list(zip(left.inputs, right.inputs, strict=False))
    return len(left.inputs) == len(right.inputs) and all(alike(known, u, v, depth - 1) for u, v in pairs)


def maximum_of(known: Reached, bound: Value | None, value: Value | None, depth: int = _DEPTH) -> bool:
    """Whether a value is at least another in every element because it is a maximum over it."""
    node = maker(known, bound)
    if node is None or node.domain:
        return False
    if node.op in _MAXIMA:
        return alike(known, node.input(0), value)
    spread_out = scattered(known, bound, "max")
    if spread_out is not None:
        return alike(known, spread_out, value)
    if node.op != "Max" or not depth:
        return False
    return any(alike(known, v, value) or maximum_of(known, v, value, depth - 1) for v in node.inputs)


def scattered(known: Reached, value: Value | None, reduction: str) -> Value | None:
    """x, where a value is x reduced within groups, by a scatter, and handed back to the members of each group."""
    node = maker(known, value)
    for _ in range(_DEPTH):
        if node is not None and node.op in _PICKS and not node.domain:
            node = maker(known, node.input(0))
    if node is None or node.domain or node.op not in _SCATTERS or node.attrs.get("reduction") != reduction:
        return None
    return node.input(2)


def lowered(known: Reached, value: Value | None, depth: int = 2 * _DEPTH) -> bool:
    """Whether the maximum has been taken off a value, which may have been scaled, masked or cut off since."""
    node = maker(known, value)
    if node is None or node.domain or not depth:
        return False
    if node.op == "Sub" and maximum_of(known, node.input(1), node.input(0)):
        return True
    follow = node.inputs if node.op in _SHAPES_SCORES else ()
    return any(lowered(known, v, depth - 1) for v in follow if not known.known.constant(v))


def deviation(known: Reached, node: Node) -> bool:
    """Whether a node is x - mean(x)."""
    mean = maker(known, node.input(1))
    return node.op == "Sub" and mean is not None and mean.op in _MEANS and same(known, mean.input(0), node.input(0))


def spread(known: Reached, node: Node) -> bool:
    """Whether a node is max(x) - min(x)."""
    top, bottom = maker(known, node.input(0)), maker(known, node.input(1))
    if node.op != "Sub" or top is None or bottom is None or (top.op, bottom.op) != ("ReduceMax", "ReduceMin"):
        return False
    return alike(known, top.input(0), bottom.input(0))


def complement(known: Reached, value: Value | None, other: Value | None) -> bool:
    """Whether a value is 1 - the other."""
    node = maker(known, value)
    if node is None or node.op != "Sub" or known.number(node.input(0)) != 1.0:
        return False
    return same(known, node.input(1), other)


def squared(known: Reached, value: Value | None) -> Value | None:
    """x, where a value is x * x or x ** 2."""
    node = maker(known, value)
    if node is None or node.domain:
        return None
    if node.op == "Mul" and alike(known, node.input(0), node.input(1)):
        return node.input(0)
    return node.input(0) if node.op == "Pow" and known.number(node.input(1)) == 2.0 else None


def square_sum(known: Reached, value: Value | None) -> Value | None:
    """x, where a value is a sum or mean of x * x."""
    node = maker(known, value)
    if node is None or node.domain:
        return None
    if node.op == "ReduceSumSquare":
        return node.input(0)
    if node.op == "Add":  # of a real and an imaginary part, of two coordinates
        parts = squared(known, node.input(0)), squared(known, node.input(1))
        return parts[0] if None not in parts else None
    return squared(known, node.input(0)) if node.op in ("ReduceSum", "ReduceMean") else None


def root_of(known: Reached, node: Node | None) -> Value | None:
    """x, where a node is the square root of x."""
    if node is None or node.domain or node.op not in _ROOTS:
        return None
    exponent = 0.5 if node.op == "Sqrt" else known.number(node.input(1))
    return node.input(0) if exponent is not None and abs(exponent - 0.5) < 1e-5 else None


def norm_of(known: Reached, value: Value | None) -> Value | None:
    """x, where a value is the length of the vectors x, guarded or not."""
    node = maker(known, value)
    for _ in range(_DEPTH):
        if node is not None and node.op in ("Clip", "Max", "Add", "Where") and not node.domain:
            inner = next((v for v in node.inputs if maker(known, v) is not None), None)
            node = maker(known, inner)
    if node is None or node.domain:
        return None
    if node.op in ("ReduceL2", "ReduceL1"):
        return node.input(0)
    inside = root_of(known, node)
    plus = maker(known, inside)
    if plus is not None and plus.op in ("Add", "Clip", "Max"):
        inside = next((v for v in plus.inputs if maker(known, v) is not None), inside)
    return square_sum(known, inside)


def cosine(known: Reached, node: Node) -> bool:
    """Whether a node is a sum of products divided by the product of two lengths."""
    top, bottom = maker(known, node.input(0)), _unguarded(known, maker(known, node.input(1)))
    if node.op != "Div" or top is None or bottom is None or top.op not in ("ReduceSum", "MatMul", "Einsum"):
        return False
    if bottom.op == "Mul":
        return all(norm_of(known, value) is not None for value in bottom.inputs)
    inside = maker(known, root_of(known, bottom))
    return inside is not None and inside.op == "Mul" and all(square_sum(known, v) is not None for v in inside.inputs)


def _unguarded(known: Reached, node: Node | None) -> Node | None:
    """The node before a lower bound or a small constant was put on it."""
    if node is None or node.op not in ("Max", "Clip", "Add") or node.domain:
        return node
    return next((made for value in node.inputs if (made := maker(known, value)) is not None), None)


def normalised_by_norm(known: Reached, value: Value) -> bool:
    """Whether a value is x / |x|."""
    node = maker(known, value)
    if node is None or node.domain:
        return False
    if node.op == "LpNormalization":
        return True
    if node.op == "Div":
        return same(known, norm_of(known, node.input(1)), node.input(0))
    if node.op != "Mul":
        return False
    for x, inverse in ((node.input(0), node.input(1)), (node.input(1), node.input(0))):
        inverted = maker(known, inverse)
        if inverted is not None and inverted.op == "Reciprocal" and same(known, norm_of(known, inverted.input(0)), x):
            return True
    return False


def terms(known: Reached, node: Node) -> Iterator[tuple[Value, float]]:
    """The summands of an expression of Add, Sub and Neg, each with its factor."""
    due: list[tuple[Value | None, float]] = [(node.output(), 1.0)]
    for _, (value, sign) in zip(range(_MOST_TERMS), due, strict=False):
        made = maker(known, value)
        if made is None or made.domain or value is None:
            continue
        factor = known.number(made.input(0)), known.number(made.input(1))
        if made.op in ("Add", "Sub"):
            due += [(made.input(0), sign), (made.input(1), sign if made.op == "Add" else -sign)]
        elif made.op == "Neg":
            due.append((made.input(0), -sign))
        elif made.op == "Mul" and (factor[0] is not None or factor[1] is not None):
            index = 1 if factor[0] is not None else 0
            due.append((made.input(index), sign * (factor[1 - index] or 0.0)))
        else:
            yield value, sign


def cancels(known: Reached, node: Node) -> bool:
    """Whether a node is E[x²] - E[x]² or |a|² + |b|² - 2ab: never negative but for rounding."""
    first = maker(known, node.input(0)), maker(known, node.input(1))
    if any(made is None or made.op not in _MAY_CANCEL or known.known.constant(made.output()) for made in first):
        return False
    summands = list(terms(known, node))
    plus = [value for value, factor in summands if factor > 0]
    minus = [value for value, factor in summands if factor < 0]
    if any(_same_average(known, value, squared(known, other)) for value in plus for other in minus):
        return True
    squares = [x for value in plus if (x := square_sum(known, value)) is not None]
    for made in (maker(known, value) for value in minus) if squares else ():
        if made is not None and made.op in ("MatMul", "Einsum", "Gemm") and known.layer(made) is None:
            return True
    means = [maker(known, squared(known, value)) for value in minus]
    return any(mean.op in _MEANS and same(known, mean.input(0), x) for mean in means if mean for x in squares)


def _same_average(known: Reached, squares: Value | None, mean: Value | None) -> bool:
    """Whether two values are averages of x² and of x over the same windows, as in structural similarity.

    Of filters (a Gaussian window, in two passes perhaps) it is enough that both are the same.
    """
    for _ in range(_DEPTH):
        one, other = maker(known, squares), maker(known, mean)
        if one is None or other is None or one.op != other.op or one.domain or one.op not in _WINDOWED:
            return False
        if one.op == "Conv" and (len(one.inputs) != 2 or not alike(known, one.input(1), other.input(1))):
            return False
        squares, mean = one.input(0), other.input(0)
        x = squared(known, squares)
        if x is not None and same(known, x, mean):
            return True
    return False


_WINDOWED = _MEANS | {"Conv", "Pad"}
_MAY_CANCEL = frozenset({"Mul", "Pow", "ReduceSum", "ReduceSumSquare", "Add", "Sub", "MatMul"}) | _WINDOWED


def compared(
    known: Reached, condition: Value | None, value: Value | None, taken: bool
) -> tuple[float, float, How, bool] | None:
    """Where a condition holds (or, not `taken`, fails): the bounds it puts on a value, how they are reached, and
    whether it keeps the value from 0. None: it says nothing of the value."""
    node = maker(known, condition)
    while node is not None and node.op == "Not":
        node, taken = maker(known, node.input(0)), not taken
    if node is None or node.domain:
        return None
    for slot in (0, 1):
        x, bound = node.input(slot), known.number(node.input(1 - slot))
        if bound is None or x is None:
            continue
        if same(known, x, value) and node.op in _ORDERS:
            larger, strict = _ORDERS[node.op]
            larger = (larger != bool(slot)) == taken
            at = How.NEVER if strict == taken else How.POINT
            return (bound, INF, at, False) if larger else (-INF, bound, at, False)
        if _keeps_from_zero(known, node, slot, bound, value, taken):
            return -INF, INF, How.NEVER, True
    return None


def _keeps_from_zero(known: Reached, node: Node, slot: int, bound: float, value: Value | None, taken: bool) -> bool:
    """Whether a comparison says x != 0, or |x| > c."""
    if node.op == "Equal":
        return bound == 0 and not taken and same(known, node.input(slot), value)
    size = maker(known, node.input(slot))
    if node.op not in _ORDERS or size is None or size.op != "Abs" or not same(known, size.input(0), value):
        return False
    larger, strict = _ORDERS[node.op]
    return (larger != bool(slot)) == taken and (bound > 0 or (strict == taken and bound == 0))


def guarded_behind(graph: Graph, known: Reached, node: Node, operand: Value | None) -> bool:
    """Whether what a node makes of a bad operand is thrown away: `Where(d == 0, 0, a / d)`, `Where(isinf(y), 0, y)`.

    The value is safe then; the gradient of the branch not taken is not.
    """
    due, chosen = [node.output()], False
    for _, value in zip(range(_MOST_TERMS), due, strict=False):
        if graph.is_output(value):
            return False
        for use, copy in readers(graph, value):
            if graph.is_output(copy):
                return False
            if use.op == "Where" and _decides(known, use.input(0), (operand, copy, node.output())):
                chosen = True
            elif use.op in _CARRIES and not use.domain:
                due.append(use.output())
            elif use.op not in _ONLY_LOOKS:
                return False
    return chosen and len(due) <= _MOST_TERMS


_CARRIES = frozenset({"Mul", "Neg", "Where", "Sub"})
_ONLY_LOOKS = frozenset({"Shape", "Equal", "IsInf", "IsNaN", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"})


def _decides(known: Reached, condition: Value | None, about: tuple[Value | None, ...]) -> bool:
    """Whether a condition tests one of some values."""
    test = maker(known, condition)
    for _ in range(_DEPTH):
        if test is None or test.op not in ("Not", "And", "Or"):
            break
        test = maker(known, test.input(0))
    if test is None or test.domain != ONNX or test.op not in _ONLY_LOOKS:
        return False
    looked_at = [value for value in test.inputs if value is not None]
    sizes = [made.input(0) for value in looked_at if (made := maker(known, value)) is not None and made.op == "Abs"]
    return any(same(known, value, other) for value in (*looked_at, *sizes) for other in about)


def logit_of(known: Reached, node: Node | None) -> Value | None:
    """p, where a node is p / (1 - p)."""
    if node is None or node.op != "Div" or node.domain:
        return None
    return node.input(0) if complement(known, node.input(1), node.input(0)) else None


def sums_of_exponentials(graph: Graph, known: Reached) -> Iterator[tuple[Node, Node, str]]:
    """Softmaxes and logarithms of sums of exponentials that are written out: the division (or product with a
    reciprocal) or the logarithm, the exponential, and `softmax` or `log-sum-exp`."""
    for node in graph.of("Div", "Reciprocal", "Log"):
        exp = _summed(known, node.input(1 if node.op == "Div" else 0))
        if exp is None:
            continue
        if node.op == "Log":
            yield node, exp, "log-sum-exp"
        elif node.op == "Div":
            yield node, exp, "softmax"
        else:
            products = [use for use, _ in readers(graph, node.output()) if use.op == "Mul"]
            yield products[0] if products else node, exp, "softmax"


def _summed(known: Reached, value: Value | None) -> Node | None:
    """The exponential of which a value is the sum, with a guard added or not."""
    total = maker(known, value)
    if total is not None and total.op == "Add":
        parts = [v for v in total.inputs if not known.known.constant(v)]
        value = parts[0] if len(parts) == 1 else None
        total = maker(known, value)
    summed = total.input(0) if total is not None and total.op == "ReduceSum" else scattered(known, value, "add")
    exp = maker(known, summed)
    return exp if exp is not None and exp.op == "Exp" and not known.known.constant(exp.input(0)) else None
