"""Bounds by channel through operators that keep channels apart. Imported when there are some: it needs numpy.

A lane is computed like the range, end by end, and moved outward by some units in the last place. What no function here
follows loses its lanes and keeps the range.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from netlint.ops import read

from .facts import match_axes, match_long_axes
from .interval import INF, Range
from .rounding import INTEGER_LIMITS, Format, format_of
from .state import FOLLOWING, MOST_LANES, Floats, Lanes
from .step import Step
from .table import EXACT

Ends = tuple[Floats, Floats]
Follow = Callable[[Step, Range], Lanes | None]


def refine(step: Step, found: Range) -> Range:
    """The range of the first output, narrowed to the hull of its lanes, which are noted if they say more."""
    state, out = step.state, step.node.output()
    if out is None:
        return found
    lanes = state.lanes.pop(out, None)
    follow = LANES.get(step.node.op) if not step.node.domain else None
    if lanes is None and follow is not None and state.afford(FOLLOWING):
        with np.errstate(all="ignore"):
            lanes = follow(step, found)
    if lanes is None or not lanes.lo.size or state.dtype(out) in INTEGER_LIMITS:
        return found
    if np.isnan(lanes.lo).any() or np.isnan(lanes.hi).any():
        return found
    lo, hi = _settled(lanes, format_of(state.dtype(out)), step.node.op in EXACT)
    lo, hi = np.fmax(lo, found.lo), np.fmin(hi, found.hi)
    if (lo > hi).any():
        return found
    found = found.meet(Range(float(lo.min()), float(hi.max())))
    if (lo > found.lo).any() or (hi < found.hi).any():
        state.lanes[out] = Lanes(lanes.axis, lo, hi)
    return found


def _settled(lanes: Lanes, form: Format, exact: bool) -> Ends:
    """Ends rounded outward; what underflows may be 0, what overflows infinite."""
    lo, hi = lanes.lo, lanes.hi
    if not exact:
        finest = math.ldexp(1.0, form.smallest_step)
        lo, hi = lo - (np.abs(lo) * form.eps + finest), hi + (np.abs(hi) * form.eps + finest)
    lo = np.where((lo > 0) & (lo < form.smallest), 0.0, np.where(lo < -form.largest, -INF, lo))
    hi = np.where((hi < 0) & (hi > -form.smallest), 0.0, np.where(hi > form.largest, INF, hi))
    return np.minimum(lo, form.largest), np.maximum(hi, -form.largest)


def _outward(step: Step, lo: Floats, hi: Floats, relative: float, absolute: float = 0.0) -> Ends:
    """Ends moved by what an implementation may err beyond rounding."""
    eps = step.eps
    return lo - (np.abs(lo) * relative + absolute) * eps, hi + (np.abs(hi) * relative + absolute) * eps


def kept(step: Step, found: Range) -> Lanes | None:
    """The lanes of input 0, where its elements stay."""
    return step.state.lanes_of(step.node.input(0))


def monotone(f: Callable[[Floats], Floats], relative: float = 8.0, absolute: float = 4.0) -> Follow:
    """An increasing function."""

    def follow(step: Step, found: Range) -> Lanes | None:
        lanes = kept(step, found)
        if lanes is None:
            return None
        return Lanes(lanes.axis, *_outward(step, f(lanes.lo), f(lanes.hi), relative, absolute))

    return follow


def _relu(step: Step, found: Range) -> Lanes | None:
    lanes = kept(step, found)
    return None if lanes is None else lanes._replace(lo=np.maximum(lanes.lo, 0), hi=np.maximum(lanes.hi, 0))


def _leaky(step: Step, found: Range) -> Lanes | None:
    slope = step.number("alpha", 0.01)
    return monotone(lambda x: np.where(x < 0, x * slope, x), 1, 0)(step, found) if 0 <= slope <= 1 else None


def _negated(step: Step, found: Range) -> Lanes | None:
    lanes = kept(step, found)
    return None if lanes is None else lanes._replace(lo=-lanes.hi, hi=-lanes.lo)


def _clipped(step: Step, found: Range) -> Lanes | None:
    """A Clip between numbers: the bounds of the range do it."""
    lanes = kept(step, found)
    if lanes is None or any(step.arg(slot).lo != step.arg(slot).hi for slot in (1, 2) if step.has(slot)):
        return None
    lo, hi = np.clip(lanes.lo, found.lo, found.hi), np.clip(lanes.hi, found.lo, found.hi)
    return lanes._replace(lo=lo, hi=hi)


def _both(step: Step) -> tuple[int, Ends, Ends] | None:
    """The bounds of both operands along the axis that one of them varies on."""
    state = step.state
    a, b = (state.lanes_of(value) for value in step.node.inputs[:2])
    if a is not None and b is not None and (a.axis != b.axis or a.lo.size != b.lo.size):
        a, b = (None, b) if step.node.inputs[0] in state.fixed else (a, None)
    if a is None and b is None:
        return None
    found = a or b
    assert found is not None
    ends = [
        (r_lanes.lo, r_lanes.hi) if r_lanes is not None else (np.array(r.lo), np.array(r.hi))
        for r_lanes, r in ((a, step.arg(0)), (b, step.arg(1)))
    ]
    return found.axis, ends[0], ends[1]


def binary(combine: Callable[[Ends, Ends], Ends | None]) -> Follow:
    """An operator on two values of equal standing."""

    def follow(step: Step, found: Range) -> Lanes | None:
        both = _both(step)
        ends = combine(both[1], both[2]) if both is not None else None
        return None if both is None or ends is None else Lanes(both[0], *ends)

    return follow


def _add(a: Ends, b: Ends) -> Ends:
    return a[0] + b[0], a[1] + b[1]


def _subtract(a: Ends, b: Ends) -> Ends:
    return a[0] - b[1], a[1] - b[0]


def _corners(a: Ends, b: Ends) -> Ends:
    corners = [np.where((x == 0) | (y == 0), 0.0, x * y) for x in a for y in b]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def _divide(a: Ends, b: Ends) -> Ends | None:
    if not ((b[0] > 0).all() or (b[1] < 0).all()):
        return None
    corners = [np.where(x == 0, 0.0, x / y) for x in a for y in b]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def _largest(a: Ends, b: Ends) -> Ends:
    return np.maximum(a[0], b[0]), np.maximum(a[1], b[1])


def _smallest(a: Ends, b: Ends) -> Ends:
    return np.minimum(a[0], b[0]), np.minimum(a[1], b[1])


def _two(follow: Follow) -> Follow:
    """For operators that take any number of inputs: two."""
    return lambda step, found: follow(step, found) if len(step.node.inputs) == 2 else None


def _moved(step: Step, old: dict[int, int]) -> Lanes | None:
    """`old` maps axes of the result to axes of the input, both counted from 0."""
    lanes = step.state.lanes_of(step.node.input(0))
    before, after = step.state.rank(step.node.input(0)), step.state.rank(step.node.output())
    if lanes is None or before is None or after is None:
        return None
    places = [new for new, source in old.items() if source == lanes.axis + before]
    return lanes._replace(axis=places[0] - after) if len(places) == 1 else None


def _transposed(step: Step, found: Range) -> Lanes | None:
    rank = step.state.rank(step.node.input(0))
    if rank is None:
        return None
    return _moved(step, dict(enumerate(step.ints("perm") or range(rank)[::-1])))


def _reshaped(step: Step, found: Range) -> Lanes | None:
    """Where the axis stays apart, or is the first of several that are laid into one."""
    lanes = kept(step, found)
    before, after = step.shape(0), step.state.shape(step.node.output())
    if lanes is None or before is None or after is None:
        return None
    pairs = match_long_axes(before, after)
    matched = dict(pairs) if pairs is not None else match_axes(before, after)
    axis = lanes.axis + len(before)
    if axis in matched:
        return lanes._replace(axis=matched[axis] - len(after))
    size = after[axis] if axis < len(after) and all(place in matched for place in range(axis)) else None
    times = size // lanes.lo.size if isinstance(size, int) and 0 < size <= MOST_LANES else 0
    rest = [length for length in before[axis + 1 :] if isinstance(length, int)]
    if not times or len(rest) != len(before) - axis - 1 or np.prod(rest, dtype=float) != times:
        return None
    return Lanes(axis - len(after), np.repeat(lanes.lo, times), np.repeat(lanes.hi, times))


def _expanded(step: Step, found: Range) -> Lanes | None:
    """Axes are counted from the end, where broadcasting keeps them."""
    return kept(step, found)


def _concatenated(step: Step, found: Range) -> Lanes | None:
    """Along the axis of the lanes one after the other; along another the hull."""
    inputs = step.node.inputs
    each = [step.state.lanes_of(value) for value in inputs]
    rank = step.state.rank(step.node.output())
    first = next((lanes for lanes in each if lanes is not None), None)
    if first is None or rank is None or any(lanes is not None and lanes.axis != first.axis for lanes in each):
        return None
    if int(step.number("axis", 0)) % rank - rank != first.axis:
        same = [lanes for lanes in each if lanes is not None and lanes.lo.size == first.lo.size]
        if len(same) != len(each):
            return None
        return first._replace(
            lo=np.minimum.reduce([lanes.lo for lanes in same]), hi=np.maximum.reduce([lanes.hi for lanes in same])
        )
    parts = []
    for place, lanes in enumerate(each):
        shape = step.shape(place)
        size = shape[first.axis] if shape is not None and len(shape) == rank else None
        r = step.arg(place)
        if not isinstance(size, int) or size > MOST_LANES:
            return None
        parts.append(lanes or Lanes(first.axis, np.full(size, r.lo), np.full(size, r.hi)))
    lo, hi = np.concatenate([part.lo for part in parts]), np.concatenate([part.hi for part in parts])
    return Lanes(first.axis, lo, hi) if lo.size <= MOST_LANES else None


def _pooled(step: Step, found: Range) -> Lanes | None:
    """Windows run along space: 0 of the padding may join what is averaged."""
    lanes = kept(step, found)
    rank = step.state.rank(step.node.input(0))
    if lanes is None or rank is None or lanes.axis != 1 - rank:
        return None
    if step.node.op == "MaxPool" and any(size > 1 for size in step.ints("dilations")):
        return None
    if step.node.op == "AveragePool":
        lanes = lanes._replace(lo=np.minimum(lanes.lo, 0), hi=np.maximum(lanes.hi, 0))
    return lanes if "Max" in step.node.op else Lanes(lanes.axis, *_outward(step, lanes.lo, lanes.hi, 4096 / 16))


def _reduced(step: Step, found: Range) -> Lanes | None:
    """An average or extreme over other axes that are kept."""
    lanes, rank, axes = kept(step, found), step.state.rank(step.node.input(0)), read.axes(step.node)
    if lanes is None or rank is None or not axes or not step.number("keepdims", 1):
        return None
    if any(axis % rank - rank == lanes.axis for axis in axes):
        return None
    return Lanes(lanes.axis, *_outward(step, lanes.lo, lanes.hi, 4096 / 16 if "Mean" in step.node.op else 0.0))


def _passed(step: Step, found: Range) -> Lanes | None:
    """A Dropout that drops nothing; a Cast between floats."""
    if step.node.op == "Dropout" and read.dropout_active(step.node, step.opset):
        return None
    return kept(step, found)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


LANES: dict[str, Follow] = {
    **dict.fromkeys(("Identity", "Expand"), _expanded),
    **dict.fromkeys(("Dropout", "Cast"), _passed),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshaped),
    "Transpose": _transposed,
    "Concat": _concatenated,
    "Relu": _relu,
    "LeakyRelu": _leaky,
    "Neg": _negated,
    "Clip": _clipped,
    "Sigmoid": monotone(_sigmoid),
    "Tanh": monotone(np.tanh),
    "Exp": monotone(np.exp),
    "Sqrt": monotone(lambda x: np.sqrt(np.maximum(x, 0))),
    "Softplus": monotone(lambda x: np.logaddexp(0, x)),
    "Add": binary(_add),
    "Sub": binary(_subtract),
    "Mul": binary(_corners),
    "Div": binary(_divide),
    "Max": _two(binary(_largest)),
    "Min": _two(binary(_smallest)),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"), _pooled),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceMin"), _reduced),
}
"""Operators that lanes are followed through."""
