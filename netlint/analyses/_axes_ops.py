"""How operators that compute treat the batch axis; `TABLE` holds the transfer functions of all operators."""

from __future__ import annotations

from collections.abc import Sequence

from netlint.graph import Node

from . import _axes_layout
from ._axes_layout import Facts, Transfer, shifted, stated_axes
from ._axes_track import NONE, UNKNOWN, State, Track, join
from ._shapes_dims import axis_of


def _reduce(node: Node, facts: Facts) -> State:
    state, shape = facts.state(node.input(0)), facts.of(node.input(0))
    if not isinstance(state, Track):
        return state
    stated = "axes" in node.attrs or node.input(1) is not None
    axes = stated_axes(node, facts, len(shape)) if shape is not None and stated else None
    if not stated or axes == ():
        return state if node.attrs.get("noop_with_empty_axes", 0) else NONE
    return UNKNOWN if axes is None else _reduced(state, axes, bool(node.attrs.get("keepdims", 1)))


def _reduced(state: Track, axes: Sequence[int], keep: bool) -> State:
    if state.axis in axes:
        return NONE if state.alone else UNKNOWN
    return state if keep else state.moved(state.axis - sum(axis < state.axis for axis in axes))


def _arg(node: Node, facts: Facts) -> State:
    state, shape = facts.state(node.input(0)), facts.of(node.input(0))
    axis = axis_of(node.attrs.get("axis", 0), len(shape)) if shape is not None else None
    if not isinstance(state, Track):
        return state
    return UNKNOWN if axis is None else _reduced(state, (axis,), bool(node.attrs.get("keepdims", 1)))


def _matmul(node: Node, facts: Facts) -> State:
    slot = 3 if node.op == "QLinearMatMul" else 1
    values = (node.input(0), node.input(slot))
    left, right = facts.of(values[0]), facts.of(values[1])
    result = facts.of(node.output())
    if all(facts.state(value) is NONE for value in values):
        return NONE
    if left is None or right is None or result is None or len(left) < 2 or len(right) < 2:
        return UNKNOWN
    moved = [shifted(facts.state(value), value, result, facts) for value in values]
    last = len(result) - 1
    # The last axis of the left factor and the last but one of the right are summed over.
    summed = [isinstance(s, Track) and s.axis == place for s, place in zip(moved, (last, last - 1), strict=True)]
    if any(summed):
        both = all(summed) or moved[summed.index(False)] is NONE
        return NONE if both and all(not isinstance(s, Track) or s.alone for s in moved) else UNKNOWN
    return join(moved)


def _gemm(node: Node, facts: Facts) -> State:
    states = [facts.state(node.input(0)), facts.state(node.input(1)), facts.state(node.input(2))]
    if all(state is NONE for state in states):
        return NONE
    data = states[0]
    if not isinstance(data, Track) or states[1] is not NONE or states[2] is UNKNOWN:
        return UNKNOWN
    return data.moved(0) if data.axis == (1 if node.attrs.get("transA") else 0) else NONE if data.alone else UNKNOWN


def _batch_first(node: Node, facts: Facts) -> Sequence[State]:
    """Operators defined on batch, channels, space."""
    states = [facts.state(value) for value in node.inputs]
    if not states or any(state is not NONE for state in states[1:]):
        return [UNKNOWN] * len(node.outputs)
    misplaced = isinstance(states[0], Track) and states[0].axis != 0
    # A BatchNormalization in training also returns its statistics.
    statistics: State = NONE if node.op == "BatchNormalization" else states[0]
    return [UNKNOWN if misplaced else states[0], *[statistics] * (len(node.outputs) - 1)]


def _grid(node: Node, facts: Facts) -> State:
    """AffineGrid and GridSample: transformations, images and sampling points all have the batch first."""
    state = join([facts.state(value) for value in node.inputs[: 1 if node.op == "AffineGrid" else 2]])
    return UNKNOWN if isinstance(state, Track) and state.axis != 0 else state


def _recurrent(node: Node, facts: Facts) -> Sequence[State]:
    """Layout 0: time, batch, features; the result has a direction axis in between."""
    state = facts.state(node.input(0))
    first = bool(node.attrs.get("layout", 0))
    if not isinstance(state, Track) or state.axis != (0 if first else 1):
        return [state if state is NONE else UNKNOWN] * len(node.outputs)
    last = state.moved(0 if first else 1)
    return [state.moved(0 if first else 2), last, last][: len(node.outputs)]


def _einsum(node: Node, facts: Facts) -> State:
    terms, arrow, result = str(node.attrs.get("equation", "")).replace(" ", "").partition("->")
    letters = set()
    for term, value in zip(terms.split(","), node.inputs, strict=True):
        state = facts.state(value)
        if isinstance(state, Track) and state.alone and "." not in term:
            letters.add(term[state.axis])
        elif state is not NONE:
            return UNKNOWN
    if len(letters) != 1:
        return UNKNOWN if letters else NONE
    letter = letters.pop()
    length = next(state.length for state in map(facts.state, node.inputs) if isinstance(state, Track))
    if not arrow or "." in result:
        return UNKNOWN
    return Track(result.index(letter), length) if letter in result else NONE


def _attention(node: Node, facts: Facts) -> Sequence[State]:
    """Query, key and value have the batch first; a mask may have it first as well."""
    states = [facts.state(value) for value in node.inputs]
    state = join(states)
    misplaced = isinstance(state, Track) and state.axis != 0
    # A mask of rank 2 or 3 is aligned at its last axes and has no batch axis.
    mask = node.input(3)
    short = mask is not None and facts.state(mask) is not NONE and len(facts.of(mask) or ()) != 4
    return [UNKNOWN if misplaced or short else state] * len(node.outputs)


def _fused_bias(node: Node, facts: Facts) -> Sequence[State]:
    """Operators whose tensors with the data's rank are added to it, the others being parameters."""
    states = [facts.state(value) for value in node.inputs]
    rank = len(facts.of(node.input(0)) or ())
    aligned = all(
        not isinstance(state, Track) or len(facts.of(value) or ()) == rank
        for state, value in zip(states, node.inputs, strict=True)
    )
    return [join(states) if aligned else UNKNOWN] * len(node.outputs)


def _no_batch(node: Node, facts: Facts) -> State:
    return NONE


def _quantised(node: Node, facts: Facts) -> Sequence[State]:
    """DynamicQuantizeLinear: scale and zero point are taken over the whole tensor."""
    return [facts.state(node.input(0)), NONE, NONE]


def _loss(node: Node, facts: Facts) -> Sequence[State]:
    scores, targets = facts.state(node.input(0)), facts.state(node.input(1))
    each = node.attrs.get("reduction", "mean") == "none"
    return [join([scores, targets]) if each else NONE, scores][: len(node.outputs)]


TABLE: dict[str, Transfer] = {
    **_axes_layout.TABLE,
    **dict.fromkeys(
        ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"), _reduce
    ),
    **dict.fromkeys(("ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"), _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _matmul),
    "Gemm": _gemm,
    **dict.fromkeys(
        ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DepthToSpace", "SpaceToDepth"), _batch_first
    ),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool"), _batch_first),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth", "LRN"), _batch_first),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization", "GroupNormalization"), _batch_first),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    "Einsum": _einsum,
    **dict.fromkeys(("AffineGrid", "GridSample"), _grid),
    **dict.fromkeys(("Shape", "Size"), _no_batch),
    "DynamicQuantizeLinear": _quantised,
    "Attention": _attention,
    **dict.fromkeys(("com.microsoft::FusedConv", "com.microsoft::NhwcMaxPool"), _batch_first),
    **dict.fromkeys(("com.microsoft::Gelu", "com.microsoft::FastGelu", "com.microsoft::BiasGelu"), _fused_bias),
    **dict.fromkeys(("com.microsoft::QuickGelu", "com.microsoft::SkipLayerNormalization"), _fused_bias),
    "com.microsoft::FusedGemm": _gemm,
    **dict.fromkeys(
        ("ai.onnx.ml::Scaler", "ai.onnx.ml::Normalizer", "ai.onnx.ml::TreeEnsembleClassifier"), _batch_first
    ),
    **dict.fromkeys(("ai.onnx.ml::TreeEnsembleRegressor", "ai.onnx.ml::LinearRegressor"), _batch_first),
    "ai.onnx.ml::LinearClassifier": _batch_first,
    **dict.fromkeys(("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"), _loss),
}
