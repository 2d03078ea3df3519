"""Shapes after operators that compute: convolution, pooling, products, reductions, recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence

from netlint.graph import Dim, Node, Shape

from ._shapes_dims import Known, axis_of, broadcast, ceil_div, plus, same, times, unknown, window
from ._shapes_layout import Multiple, Single, axes_of, ints_of


def _same(node: Node, facts: Known) -> Shape | None:
    return facts.of(node.input(0))


def _elementwise(node: Node, facts: Known) -> Shape | None:
    """Broadcast of all inputs; before opset 7 the first input gives the shape."""
    shape = facts.of(node.input(0))
    if facts.opset < 7 and node.op not in _ALWAYS_BROADCAST:
        return shape
    for value in node.inputs[1:]:
        shape = broadcast(shape, facts.of(value))
    return shape


_ALWAYS_BROADCAST = frozenset({"Where"})


def _ints(node: Node, name: str, count: int) -> tuple[int, ...]:
    listed = node.attrs.get(name)
    return listed if isinstance(listed, tuple) and len(listed) == count else (1,) * count


def _pads(node: Node, count: int) -> tuple[int, ...]:
    listed = node.attrs.get("pads")
    return listed if isinstance(listed, tuple) and len(listed) == 2 * count else (0,) * (2 * count)


def _spatial(node: Node, data: Shape, kernel: Sequence[Dim]) -> list[Dim]:
    """The spatial axes after a sliding window."""
    count = len(kernel)
    strides, dilations, pads = _ints(node, "strides", count), _ints(node, "dilations", count), _pads(node, count)
    auto = node.attrs.get("auto_pad", "NOTSET")
    ceil = bool(node.attrs.get("ceil_mode", 0))
    result: list[Dim] = []
    for nth, (length, size) in enumerate(zip(data[2:], kernel, strict=True)):
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            result.append(ceil_div(length, strides[nth]))
        elif not isinstance(size, int):
            result.append(None)
        else:
            begin, end = (0, 0) if auto == "VALID" else (pads[nth], pads[nth + count])
            result.append(window(length, size, strides[nth], dilations[nth], begin + end, ceil, begin))
    return result


def _conv(node: Node, facts: Known) -> Shape | None:
    weight_slot = 3 if node.op == "QLinearConv" else 1
    data, weight = facts.of(node.input(0)), facts.of(node.input(weight_slot))
    if weight is None:
        return unknown(len(data)) if data is not None else None
    if data is None:
        return (None, weight[0], *unknown(len(weight) - 2)) if weight else None
    if len(data) != len(weight) or len(data) < 3:
        return None
    kernel = [same(size, given) for size, given in zip(weight[2:], _kernel(node, len(data) - 2), strict=True)]
    return (data[0], weight[0], *_spatial(node, data, kernel))


def _kernel(node: Node, count: int) -> Sequence[Dim]:
    listed = node.attrs.get("kernel_shape")
    return listed if isinstance(listed, tuple) and len(listed) == count else unknown(count)


def _conv_transpose(node: Node, facts: Known) -> Shape | None:
    data, weight = facts.of(node.input(0)), facts.of(node.input(1))
    if data is None or weight is None or len(data) != len(weight) or len(data) < 3:
        return None
    channels = times(weight[1], node.attrs.get("group", 1))
    count = len(data) - 2
    given = node.attrs.get("output_shape")
    if isinstance(given, tuple) and len(given) >= count:
        return (data[0], channels, *given[-count:])
    kernel = [same(size, stated) for size, stated in zip(weight[2:], _kernel(node, count), strict=True)]
    return (data[0], channels, *(_grown(node, data[2 + nth], kernel[nth], nth, count) for nth in range(count)))


def _grown(node: Node, length: Dim, kernel: Dim, nth: int, count: int) -> Dim:
    """One spatial axis after a transposed convolution (formula in the specification of ConvTranspose)."""
    stride = _ints(node, "strides", count)[nth]
    auto = node.attrs.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return times(length, stride)
    if not isinstance(kernel, int):
        return None
    extra = node.attrs.get("output_padding", ())
    pads = (0,) * (2 * count) if auto == "VALID" else _pads(node, count)
    span = _ints(node, "dilations", count)[nth] * (kernel - 1) + 1
    added = (extra[nth] if nth < len(extra) else 0) + span - pads[nth] - pads[nth + count] - stride
    grown = plus(times(length, stride), added)
    return grown if not isinstance(grown, int) or grown >= 0 else None


def _pool(node: Node, facts: Known) -> Shape | None:
    data = facts.of(node.input(0))
    if data is None or len(data) < 3:
        return None
    return (*data[:2], *_spatial(node, data, _kernel(node, len(data) - 2)))


def _pools(node: Node, facts: Known) -> Sequence[Shape | None]:
    return [_pool(node, facts)] * len(node.outputs)


def _global_pool(node: Node, facts: Known) -> Shape | None:
    data = facts.of(node.input(0))
    return None if data is None or len(data) < 2 else data[:2] + (1,) * (len(data) - 2)


def _roi(node: Node, facts: Known) -> Shape | None:
    data, regions = facts.of(node.input(0)), facts.of(node.input(1))
    if data is None or len(data) != 4:
        return None
    if node.op == "MaxRoiPool":
        size = node.attrs.get("pooled_shape", (None, None))
    else:
        size = (node.attrs.get("output_height", 1), node.attrs.get("output_width", 1))
    return (regions[0] if regions else None, data[1], *size)


def _matmul(node: Node, facts: Known) -> Shape | None:
    slot = 3 if node.op == "QLinearMatMul" else 1
    one, other = facts.of(node.input(0)), facts.of(node.input(slot))
    if not one or not other:
        return None
    if len(one) == 1 and len(other) == 1:
        return ()
    if len(one) == 1:
        return other[:-2] + other[-1:]
    if len(other) == 1:
        return one[:-1]
    outer = broadcast(one[:-2], other[:-2])
    return None if outer is None else (*outer, one[-2], other[-1])


def _gemm(node: Node, facts: Known) -> Shape | None:
    one, other = facts.of(node.input(0)), facts.of(node.input(1))
    rows = one[1 if node.attrs.get("transA") else 0] if one is not None and len(one) == 2 else None
    columns = other[0 if node.attrs.get("transB") else 1] if other is not None and len(other) == 2 else None
    return (rows, columns)


def _reduce(node: Node, facts: Known) -> Shape | None:
    shape, keep = facts.of(node.input(0)), bool(node.attrs.get("keepdims", 1))
    if ints_of(node, facts, "axes", 1) == () or ("axes" not in node.attrs and node.input(1) is None):
        if node.attrs.get("noop_with_empty_axes", 0):
            return shape
        return (None if shape is None else (1,) * len(shape)) if keep else ()
    if shape is None:
        return None
    axes = axes_of(node, facts, len(shape))
    if axes is None:
        return unknown(len(shape)) if keep else None
    return _without(shape, axes, keep)


def _without(shape: Shape, axes: Sequence[int], keep: bool) -> Shape:
    if keep:
        return tuple(1 if place in axes else dim for place, dim in enumerate(shape))
    return tuple(dim for place, dim in enumerate(shape) if place not in axes)


def _arg(node: Node, facts: Known) -> Shape | None:
    shape = facts.of(node.input(0))
    axis = axis_of(node.attrs.get("axis", 0), len(shape)) if shape is not None else None
    if shape is None or axis is None:
        return None
    return _without(shape, (axis,), bool(node.attrs.get("keepdims", 1)))


def _top_k(node: Node, facts: Known) -> Sequence[Shape | None]:
    shape = facts.of(node.input(0))
    axis = axis_of(node.attrs.get("axis", -1), len(shape)) if shape is not None else None
    if shape is None or axis is None:
        return [None] * len(node.outputs)
    count = facts.ints(node.input(1)) if node.input(1) is not None else None
    k = count[0] if count else node.attrs.get("k")
    return [(*shape[:axis], k, *shape[axis + 1 :])] * len(node.outputs)


def _batch_norm(node: Node, facts: Known) -> Sequence[Shape | None]:
    """The data, then running statistics, one number per channel."""
    return [facts.of(node.input(0)), *([facts.of(node.input(1))] * (len(node.outputs) - 1))]


def _layer_norm(node: Node, facts: Known) -> Sequence[Shape | None]:
    """The data, then mean and inverse standard deviation over the axes from `axis` on."""
    shape = facts.of(node.input(0))
    axis = axis_of(node.attrs.get("axis", -1), len(shape)) if shape is not None else None
    statistics = None if shape is None or axis is None else shape[:axis] + (1,) * (len(shape) - axis)
    return [shape, *([statistics] * (len(node.outputs) - 1))]


def _all_same(node: Node, facts: Known) -> Sequence[Shape | None]:
    return [facts.of(node.input(0))] * len(node.outputs)


def _recurrent(node: Node, facts: Known) -> Sequence[Shape | None]:
    """Y, Y_h, Y_c. Layout 0 is time, direction, batch, hidden; layout 1 puts the batch first."""
    data, weight = facts.of(node.input(0)), facts.of(node.input(2))
    hidden: Dim = node.attrs.get("hidden_size")
    if hidden is None and weight is not None and len(weight) == 3:
        hidden = weight[2]
    directions = 2 if node.attrs.get("direction", "forward") == "bidirectional" else 1
    first, second = data[:2] if data is not None and len(data) == 3 else (None, None)
    if node.attrs.get("layout", 0):
        shapes: list[Shape] = [(first, second, directions, hidden), (first, directions, hidden)]
    else:
        shapes = [(first, directions, second, hidden), (directions, second, hidden)]
    return [shapes[0], shapes[1], shapes[1]][: len(node.outputs)]


def _loss(node: Node, facts: Known) -> Sequence[Shape | None]:
    scores, targets = facts.of(node.input(0)), facts.of(node.input(1))
    loss = targets if node.attrs.get("reduction", "mean") == "none" else ()
    return [loss, scores][: len(node.outputs)]


def _non_zero(node: Node, facts: Known) -> Shape | None:
    shape = facts.of(node.input(0))
    return (None if shape is None else len(shape), None)


def _einsum(node: Node, facts: Known) -> Shape | None:
    terms, _, result = str(node.attrs.get("equation", "")).replace(" ", "").partition("->")
    inputs = terms.split(",")
    if "..." in terms or len(inputs) != len(node.inputs):
        return None
    lengths: dict[str, Dim] = {}
    for letters, value in zip(inputs, node.inputs, strict=True):
        shape = facts.of(value)
        if shape is not None and len(shape) != len(letters):
            return None
        for letter, dim in zip(letters, shape or (), strict=False):
            lengths[letter] = same(lengths[letter], dim) if lengths.get(letter, 1) != 1 else dim
    if "->" not in str(node.attrs.get("equation", "")):
        result = "".join(sorted(letter for letter in lengths if terms.count(letter) == 1))
    return tuple(lengths.get(letter) for letter in result)


def _stft(node: Node, facts: Known) -> Shape | None:
    """Batch, frames, frequency bins, real and imaginary part."""
    signal, step = facts.of(node.input(0)), facts.ints(node.input(1))
    weights, stated = facts.of(node.input(2)), facts.ints(node.input(3))
    length = stated[0] if stated else weights[0] if weights else None
    if signal is None or not signal or not isinstance(length, int):
        return None
    frames = window(signal[1], length, step[0], 1, 0, ceil=False) if step and isinstance(step[0], int) else None
    return (signal[0], frames, length // 2 + 1 if node.attrs.get("onesided", 1) else length, 2)


SINGLE: dict[str, Single] = {
    "STFT": _stft,
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), _conv),
    "ConvTranspose": _conv_transpose,
    **dict.fromkeys(("AveragePool", "LpPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), _global_pool),
    **dict.fromkeys(("RoiAlign", "MaxRoiPool"), _roi),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _matmul),
    "Gemm": _gemm,
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1"), _reduce),
    **dict.fromkeys(("ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"), _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    "NonZero": _non_zero,
    "Einsum": _einsum,
}

MULTIPLE: dict[str, Multiple] = {
    "MaxPool": _pools,
    "TopK": _top_k,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "Dropout": _all_same,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    "SoftmaxCrossEntropyLoss": _loss,
    "NegativeLogLikelihoodLoss": _loss,
}

ELEMENTWISE = _elementwise
UNCHANGED = _same
