"""Transfer functions of reductions, of what joins and fills, and of random numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from netlint.graph import Node, Value
from netlint.ops.read import axes

from . import Reached
from . import interval as inner
from .interval import How, Reach
from .patterns import maker
from .step import Transfer, arg, dtype_of, is_unit


def _keeps(known: Reached, node: Node) -> Reach | None:
    """Means and extremes: as many elements as one likes may be near an end together.

    The largest of probabilities is no small one.
    """
    a = arg(known, node)
    largest = node.op in ("ReduceMax", "TopK", "MaxPool", "GlobalMaxPool")
    if a is not None and largest and known.ranges.sums_to_one(node.input(0)) is not None:
        return a.like(0.0, 1.0, How.NEVER, How.ROUNDED)
    return a


def _sum(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    along = known.ranges.sums_to_one(node.input(0))
    if a is None or (along is not None and _runs_along(known, node, along)):
        return None
    if a.lo >= 0 and along is None and _mixes_distributions(known, node.input(0)):
        return None
    product = maker(known, node.input(0))
    if product is not None and product.op == "Mul" and all(is_unit(known, v) for v in product.inputs):
        return Reach(-1.0, 1.0, How.ROUNDED, How.ROUNDED, How.POINT, sources=a.sources)
    if a.raw:
        return replace(a, raw=False)
    return a.like(_grown(a.lo), _grown(a.hi), a.at_lo, a.at_hi)


def _runs_along(known: Reached, node: Node, along: Iterable[int]) -> bool:
    """Whether a sum runs along an axis of a distribution, or may: that of one class over all positions does not."""
    rank, summed = known.shapes.rank(node.input(0)), axes(node)
    if rank is None or not summed:
        return True
    return not {axis % rank for axis in along}.isdisjoint(axis % rank for axis in summed)


def _mixes_distributions(known: Reached, value: Value | None, far: int = 4) -> bool:
    """Whether among the terms of a value are distributions, each multiplied as a whole: summed they give what they are
    multiplied with, and not all of their elements are rounded to 0 together."""
    if known.ranges.sums_to_one(value) is not None:
        return True
    node = maker(known, value)
    if node is None or not far:
        return False
    if node.op == "Add":
        return any(_mixes_distributions(known, term, far - 1) for term in node.inputs)
    return node.op == "Mul" and any(_scaled(known, *pair) for pair in (node.inputs[:2], node.inputs[1::-1]))


def _scaled(known: Reached, distribution: Value | None, factor: Value | None) -> bool:
    """Whether one factor of a product is a distribution, and the other the same for all its elements."""
    axes, rank = known.ranges.sums_to_one(distribution), known.shapes.rank(distribution)
    sizes = known.shapes.of(factor)
    if axes is None or rank is None or sizes is None:
        return False
    return all(len(sizes) < rank - axis % rank or sizes[axis % rank - rank] == 1 for axis in axes)


def _grown(x: float) -> float:
    """At least twice as large: the number of summands is often not known."""
    return 2 * x


def _sum_squares(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    return None if a is None else inner.square(a, dtype_of(known, node))


def _norm(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    return None if a is None else inner.magnitude(replace(a, raw=False))


def _product(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    return a if a is not None and (a.lo >= 0 or a.raw) else None


def _concat(known: Reached, node: Node) -> Reach | None:
    found = [known.known_so_far(value) for value in node.inputs if value is not None]
    joined = found[0] if found else None
    for each in found[1:]:
        joined = None if joined is None or each is None else inner.join(joined, each)
    return joined


def _pad(known: Reached, node: Node) -> Reach | None:
    a = arg(known, node)
    return a if a is None or a.raw or a.lo <= 0 <= a.hi else inner.join(a, inner.point(0.0))


def _scatter(known: Reached, node: Node) -> Reach | None:
    """Elements of the data that nothing is written to stay; so does what is written."""
    data, updates = arg(known, node, 0), arg(known, node, 2)
    if data is None or updates is None:
        return None
    joined = inner.join(data, updates)
    added = node.attrs.get("reduction") == "add"
    return joined if not added else joined.like(joined.lo, joined.hi, joined.at_lo, joined.at_hi)


def _length(known: Reached, node: Node) -> Reach | None:
    """Lengths of axes: positive whole numbers, of which 4 stands for all."""
    return inner.point(4.0)


def _fill(known: Reached, node: Node) -> Reach | None:
    number = known.constants.scalar(node.output())
    return None if number is None else inner.point(number)


def _normal(known: Reached, node: Node) -> Reach | None:
    """Four deviations and more are met in every training."""
    out = node.output()
    mean, far = float(node.attrs.get("mean", 0.0)), 4 * abs(float(node.attrs.get("scale", 1.0)))
    return None if out is None else Reach(mean - far, mean + far, inside=How.NEVER, sources=frozenset({out}))


def _uniform(known: Reached, node: Node) -> Reach | None:
    """The lower end belongs to the interval, and the numbers drawn are multiples of 2**-24 or so: it does occur, and
    nothing beyond the last multiple below the upper one."""
    out = node.output()
    lo, hi = float(node.attrs.get("low", 0.0)), float(node.attrs.get("high", 1.0))
    last = hi - (hi - lo) * 2.0**-24
    return None if out is None else Reach(lo, last, at_lo=How.ROUNDED, sources=frozenset({out}))


def _drawn(known: Reached, node: Node) -> Reach | None:
    out = node.output()
    return None if out is None else Reach(0.0, 1.0, How.SOLID, How.SOLID, sources=frozenset({out}))


def _one_hot(known: Reached, node: Node) -> Reach | None:
    """Either of two stored numbers, at will of the indices."""
    values = known.constants.get(node.input(2))
    out = node.output()
    if values is None or values.size != 2 or out is None:
        return None
    return Reach(float(values.min()), float(values.max()), How.SOLID, How.SOLID, sources=frozenset({out}))


REDUCTIONS: dict[str, Transfer] = {
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Upsample"), _keeps),
    **dict.fromkeys(("ReduceMax", "ReduceMin", "ReduceMean", "ReduceLogSumExp", "TopK", "CumSum", "LpPool"), _keeps),
    **dict.fromkeys(("GridSample", "RoiAlign", "MaxRoiPool"), _keeps),
    "ReduceSum": _sum,
    "ReduceSumSquare": _sum_squares,
    "ReduceL1": _norm,
    "ReduceL2": _norm,
    "ReduceProd": _product,
    "Concat": _concat,
    "Pad": _pad,
    **dict.fromkeys(("ScatterElements", "ScatterND", "Scatter"), _scatter),
    "Shape": _length,
    "Size": _length,
    "ConstantOfShape": _fill,
    "OneHot": _one_hot,
    "Bernoulli": _drawn,
    "Hardmax": _drawn,
    **dict.fromkeys(("RandomNormal", "RandomNormalLike"), _normal),
    **dict.fromkeys(("RandomUniform", "RandomUniformLike"), _uniform),
}
