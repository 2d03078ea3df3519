"""How operators that broadcast, move, cut or make elements treat the batch axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from netlint.graph import Dim, Node, Shape, Value
from netlint.ops import ACTIVATIONS, ARITHMETIC, COMPARISONS, ELEMENTWISE_UNARY

from ._axes_track import NONE, ONE, UNKNOWN, Product, State, Track, join, reshaped
from ._shapes_dims import axis_of, known

if TYPE_CHECKING:
    from ._axes_picked import Array


class Facts(Protocol):
    """What is known so far; `lengths` are the names of batch lengths."""

    opset: int
    lengths: frozenset[str]

    def state(self, value: Value | None) -> State: ...
    def producer(self, value: Value | None) -> Node | None: ...
    def of(self, value: Value | None) -> Shape | None: ...
    def ints(self, value: Value | None) -> tuple[Dim, ...] | None: ...
    def array(self, value: Value | None) -> Array | None: ...


Transfer = Callable[[Node, Facts], State | Sequence[State]]


def _data(node: Node, facts: Facts) -> State:
    """The first input's axes stay; the other inputs belong to the operator (parameters, thresholds)."""
    others = [facts.state(value) for value in node.inputs[1:]]
    return facts.state(node.input(0)) if all(state is NONE for state in others) else UNKNOWN


def _broadcast(node: Node, facts: Facts) -> State:
    return _aligned(node.inputs, node.output(), facts)


def _aligned(values: Sequence[Value | None], out: Value | None, facts: Facts) -> State:
    """Join of inputs that broadcast against each other, their last axes aligned."""
    states = [facts.state(value) for value in values]
    if len(values) == 1 or not any(isinstance(state, Track) for state in states):
        return join(states)
    rank = facts.of(out)
    return join([shifted(state, value, rank, facts) for state, value in zip(states, values, strict=True)])


def _cast_like(node: Node, facts: Facts) -> State:
    """Only the element type of the second input counts."""
    return facts.state(node.input(0))


def shifted(state: State, value: Value | None, result: Shape | None, facts: Facts) -> State:
    shape = facts.of(value)
    if not isinstance(state, Track):
        return state
    if shape is None or result is None:
        return UNKNOWN
    return state.moved(state.axis + len(result) - len(shape))


def _transpose(node: Node, facts: Facts) -> State:
    state, shape = facts.state(node.input(0)), facts.of(node.input(0))
    if not isinstance(state, Track):
        return state
    order = node.attrs.get("perm")
    if order is None:
        return UNKNOWN if shape is None else state.moved(len(shape) - 1 - state.axis)
    return state.moved(order.index(state.axis)) if state.axis in order else UNKNOWN


def _reshape(node: Node, facts: Facts) -> State:
    state = facts.state(node.input(0))
    return reshaped(state, facts.of(node.input(0)), facts.of(node.output())) if isinstance(state, Track) else state


def stated_axes(node: Node, facts: Facts, rank: int) -> tuple[int, ...] | None:
    listed = node.attrs.get("axes")
    if not isinstance(listed, tuple):
        listed = facts.ints(node.input(1)) if node.input(1) is not None else None
    found = [axis_of(axis, rank) for axis in listed or ()]
    return None if listed is None or None in found else tuple(axis for axis in found if axis is not None)


def _squeeze(node: Node, facts: Facts) -> State:
    state, shape = facts.state(node.input(0)), facts.of(node.input(0))
    if not isinstance(state, Track) or shape is None:
        return state if state is NONE else UNKNOWN
    axes = stated_axes(node, facts, len(shape))
    if axes is None and node.input(1) is None and "axes" not in node.attrs and None not in shape:
        axes = tuple(place for place, dim in enumerate(shape) if dim == 1)
    if axes is None or state.axis in axes:
        return UNKNOWN
    return state.moved(state.axis - sum(axis < state.axis for axis in axes))


def _unsqueeze(node: Node, facts: Facts) -> State:
    state, shape = facts.state(node.input(0)), facts.of(node.output())
    if not isinstance(state, Track) or shape is None:
        return state if state is NONE else UNKNOWN
    axes = stated_axes(node, facts, len(shape))
    if axes is None:
        return UNKNOWN
    kept = [place for place in range(len(shape)) if place not in axes]
    return state.moved(kept[state.axis])


def _concat(node: Node, facts: Facts) -> State:
    state, shape = join([facts.state(value) for value in node.inputs]), facts.of(node.output())
    if not isinstance(state, Track) or len(node.inputs) == 1:
        return state
    axis = axis_of(node.attrs.get("axis", 1), len(shape)) if shape is not None else None
    if axis is None or axis != state.axis:
        return UNKNOWN if axis is None else state
    # Batches one after the other: the batch runs inside, the inputs outside.
    same = all(facts.state(value) == state for value in node.inputs)
    if not same or not state.alone:
        return UNKNOWN
    return Track(axis, state.length, Product(len(node.inputs)), ONE)


def _along(*slots: int) -> Transfer:
    """Operators that work along the axes that `axis`/`axes` (or the input in a slot) names, and keep the others."""

    def transfer(node: Node, facts: Facts) -> Sequence[State]:
        state, shape = facts.state(node.input(0)), facts.of(node.input(0))
        others = [facts.state(value) for value in node.inputs[1:]]
        kept = state
        if not all(other is NONE for other in others):
            kept = UNKNOWN
        elif isinstance(state, Track):
            after = [facts.of(out) for out in node.outputs]
            same = all(_untouched(shape, result, state.axis) for result in after)
            kept = state if same or _elsewhere(node, facts, shape, state.axis, slots) else UNKNOWN
        return [kept] * len(node.outputs)

    return transfer


def _untouched(before: Shape | None, after: Shape | None, axis: int) -> bool:
    """Whether the axis has the same length, known not by a number alone when it could have been permuted."""
    return before is not None and after is not None and before[axis] is not None and before[axis] == after[axis]


def _elsewhere(node: Node, facts: Facts, shape: Shape | None, axis: int, slots: tuple[int, ...]) -> bool:
    if shape is None:
        return False
    listed = node.attrs.get("axes")
    if listed is None and "axis" in node.attrs:
        listed = (node.attrs["axis"],)
    for slot in slots:
        if listed is None and node.input(slot) is not None:
            listed = facts.ints(node.input(slot))
    if listed is None:
        return False
    places = [axis_of(place, len(shape)) for place in listed]
    return None not in places and axis not in places


def _split(node: Node, facts: Facts) -> Sequence[State]:
    state, shape = facts.state(node.input(0)), facts.of(node.input(0))
    if isinstance(state, Track):
        axis = axis_of(node.attrs.get("axis", 0), len(shape)) if shape is not None else None
        state = state if axis is not None and axis != state.axis else UNKNOWN
    return [state] * len(node.outputs)


def _split_sequence(node: Node, facts: Facts) -> State:
    """All members of the sequence have the same batch axis."""
    state, shape = facts.state(node.input(0)), facts.of(node.input(0))
    axis = axis_of(node.attrs.get("axis", 0), len(shape)) if shape is not None else None
    if not isinstance(state, Track) or axis is None or axis == state.axis:
        return state if state is NONE else UNKNOWN
    drops = node.input(1) is None and not node.attrs.get("keepdims", 1)
    return state.moved(state.axis - (drops and axis < state.axis))


def _gather(node: Node, facts: Facts) -> State:
    data, picked = facts.state(node.input(0)), facts.state(node.input(1))
    shape, indices = facts.of(node.input(0)), facts.of(node.input(1))
    if data is NONE and picked is NONE:
        return NONE
    axis = axis_of(node.attrs.get("axis", 0), len(shape)) if shape is not None else None
    if axis is None or indices is None:
        return UNKNOWN
    if data is NONE and isinstance(picked, Track):
        return picked.moved(axis + picked.axis)
    if picked is NONE and isinstance(data, Track) and data.axis != axis:
        return data.moved(data.axis if data.axis < axis else data.axis + len(indices) - 1)
    lengths, array = known(shape or ()), facts.array(node.input(1))
    if isinstance(data, Track) and picked is NONE and lengths is not None and array is not None:
        from ._axes_picked import gathered

        return gathered(data, lengths, array, axis)
    return UNKNOWN


def _gather_nd(node: Node, facts: Facts) -> State:
    data, shape = facts.state(node.input(0)), known(facts.of(node.input(0)) or (None,))
    picked = facts.state(node.input(1))
    if data is NONE and picked is NONE:
        return NONE
    if isinstance(data, Track) and isinstance(picked, Track) and not node.attrs.get("batch_dims", 0):
        from ._axes_picked import own_samples

        return picked if own_samples(node.input(1), data, picked, facts) else UNKNOWN
    array = facts.array(node.input(1))
    if not isinstance(data, Track) or shape is None or array is None or node.attrs.get("batch_dims", 0):
        return UNKNOWN
    from ._axes_picked import gathered_nd

    return gathered_nd(data, shape, array)


def _made(node: Node, facts: Facts) -> State:
    """A tensor made from a shape runs over samples if one of its lengths is a batch length."""
    shape = facts.of(node.output())
    if shape is None:
        return UNKNOWN
    batches = [place for place, dim in enumerate(shape) if dim in facts.lengths]
    return Track(batches[0], shape[batches[0]]) if len(batches) == 1 else NONE if None not in shape else UNKNOWN


def _expand(node: Node, facts: Facts) -> State:
    state = facts.state(node.input(0))
    if state is NONE:
        return _made(node, facts)
    return shifted(state, node.input(0), facts.of(node.output()), facts)


def _one_hot(node: Node, facts: Facts) -> State:
    state, shape = facts.state(node.input(0)), facts.of(node.output())
    axis = axis_of(node.attrs.get("axis", -1), len(shape)) if shape is not None else None
    if not isinstance(state, Track) or axis is None:
        return state if state is NONE else UNKNOWN
    return state.moved(state.axis + (axis <= state.axis))


TABLE: dict[str, Transfer] = {
    **dict.fromkeys((*(ARITHMETIC | COMPARISONS | ACTIVATIONS | ELEMENTWISE_UNARY), "Clip", "PRelu"), _broadcast),
    **dict.fromkeys(("Identity", "Dropout", "Cast", "Softmax", "LogSoftmax", "Hardmax", "LpNormalization"), _data),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "MeanVarianceNormalization", "Trilu", "CumSum"), _data),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _data),
    **dict.fromkeys(("RandomNormalLike", "RandomUniformLike", "Bernoulli"), _data),
    "CastLike": _cast_like,
    "Transpose": _transpose,
    **dict.fromkeys(("Reshape", "Flatten"), _reshape),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
    "Slice": _along(3),
    "Pad": _along(3),
    "Tile": _along(),
    "TopK": _along(),
    "Resize": _along(),
    "Upsample": _along(),
    "Split": _split,
    "SplitToSequence": _split_sequence,
    "SequenceAt": _data,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "GatherElements": _broadcast,
    **dict.fromkeys(("ConstantOfShape", "RandomNormal", "RandomUniform"), _made),
    "Expand": _expand,
    "OneHot": _one_hot,
}
