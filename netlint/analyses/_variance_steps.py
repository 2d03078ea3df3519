"""What each operator does to signals going forward and to gradients going back. Those missing here are unknown.

Gradients are measured by E‖g‖², the sum over all elements of a value: what moves or cuts elements keeps it, and so
does a sum over copies that the gradients of different readers are independent of.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, prod, sqrt

from netlint.graph import Node, Value
from netlint.ops import LAYOUT, NORMALISATION, POOLING, RANDOM, TRANSPARENT

from ._variance_signals import Backward, Facts, Signal, Step, product, total
from .stage import fan_in

SignalOf = Callable[[Value | None], Signal | None]
_UNKNOWN = Step(None, {})
_SAME = (
    LAYOUT
    | TRANSPARENT
    | frozenset({"Resize", "Upsample", "Pad", "MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "LRN", "Trilu"})
    | frozenset({"RotaryEmbedding", "CenterCropPad", "ScatterND", "ScatterElements"})
) - {"Concat", "Split", "SplitToSequence", "SequenceAt", "ConcatFromSequence"}
_BY_CHANNEL = frozenset({"BatchNormalization", "InstanceNormalization", "GroupNormalization"})
_SOFTEST = 1 / 16
"""The square of the largest derivative of a softmax."""


def step(node: Node, of: SignalOf, facts: Facts) -> Step:
    """The outputs' signal and the ways of the gradient."""
    if node.domain or node.bodies:
        return Step(None, dict.fromkeys(range(len(node.inputs)), None))
    made = _STEPS.get(node.op)
    if made is None:
        return Step(None, dict.fromkeys(range(len(node.inputs)), None))
    return made(node, of, facts)


def _unknown(node: Node) -> Step:
    return Step(None, dict.fromkeys(range(len(node.inputs)), None))


def _same(node: Node, of: SignalOf, facts: Facts) -> Step:
    return Step(of(node.input(0)), {0: 1.0})


def _gather(node: Node, of: SignalOf, facts: Facts) -> Step:
    return Step(of(node.input(0)), {0: 1.0})


def _split(node: Node, of: SignalOf, facts: Facts) -> Step:
    return Step(of(node.input(0)), {0: 1.0})


def _concat(node: Node, of: SignalOf, facts: Facts) -> Step:
    signals = [of(value) for value in node.inputs]
    axis = int(node.attrs.get("axis", 0))
    sizes = [facts.size(value, (axis,)) if value is not None else None for value in node.inputs]
    known = [size for size in sizes if size]
    shares = [size / sum(known) for size in known] if len(known) == len(sizes) else [1 / len(sizes)] * len(sizes)
    back: Backward = dict(enumerate(shares))
    parts = [signal for signal in signals if signal is not None]
    if len(parts) < len(signals):
        return Step(None, back)
    mean = sum(share * part.mean for share, part in zip(shares, parts, strict=True))
    return Step(Signal(mean, sum(share * part.square for share, part in zip(shares, parts, strict=True))), back)


def _sum(node: Node, of: SignalOf, facts: Facts) -> Step:
    slots = [slot for slot, value in enumerate(node.inputs) if value is not None and not facts.is_mask(value)]
    scale = 1 / len(node.inputs) if node.op == "Mean" else 1.0
    back: Backward = dict.fromkeys(slots, scale * scale)
    signals = [signal for slot in slots if (signal := of(node.input(slot))) is not None]
    if len(signals) < len(slots):
        return Step(None, back)
    signs = [-1 if node.op == "Sub" and slot == 1 else 1 for slot in slots]
    found = total(signals, signs)
    return Step(Signal(found.mean * scale, found.square * scale * scale), back)


def _mul(node: Node, of: SignalOf, facts: Facts) -> Step:
    a, b = of(node.input(0)), of(node.input(1))
    back: Backward = {0: b.square if b else None, 1: a.square if a else None}
    return Step(product(a, b) if a and b else None, back)


def _div(node: Node, of: SignalOf, facts: Facts) -> Step:
    """Where the divisor varies little, as a standard deviation over many units does."""
    a, b = of(node.input(0)), of(node.input(1))
    if b is None or b.mean == 0 or b.variance > b.mean * b.mean / 4:
        return _unknown(node)
    scale = 1 / (b.mean * b.mean)
    if a is None:
        return Step(None, {0: scale, 1: None})
    return Step(Signal(a.mean / b.mean, a.square * scale), {0: scale, 1: a.square * scale * scale})


def _where(node: Node, of: SignalOf, facts: Facts) -> Step:
    slots = [slot for slot in (1, 2) if node.input(slot) is not None and not facts.numbers.scalar(node.input(slot))]
    signals = [signal for slot in slots if (signal := of(node.input(slot))) is not None]
    back: Backward = dict.fromkeys(slots, 1.0 / max(len(slots), 1))
    if not slots or len(signals) < len(slots):
        return Step(None, back)
    count = len(signals)
    return Step(Signal(sum(s.mean for s in signals) / count, sum(s.square for s in signals) / count), back)


def _layer(node: Node, of: SignalOf, facts: Facts) -> Step:
    """`y = W x + b` with independent weights: E y² = n E w² E x² for n products, and E‖Wᵀg‖² = n E w² E‖g‖²."""
    layer = facts.layer(node)
    if layer is None:
        return _matmul(node, of, facts) if node.op in ("MatMul", "Gemm") else _unknown(node)
    data = next(slot for slot, value in enumerate(node.inputs) if value is layer.data)
    weight, count = of(layer.weight), fan_in(layer, facts.stats)
    if weight is None or count is None:
        return Step(None, {data: None})
    back: Backward = {data: count * weight.square}
    signal = of(layer.data)
    if signal is None:
        return Step(None, back)
    own = node.input(2) if node.op in ("Gemm", "Conv", "ConvTranspose") else None
    bias = of(own) if own is not None else Signal(0.0, 0.0)
    made = product(weight, signal, count)
    return Step(total([made, bias]) if bias is not None else None, back)


def _matmul(node: Node, of: SignalOf, facts: Facts) -> Step:
    """The product of two computed matrices, as queries and keys."""
    a, b = of(node.input(0)), of(node.input(1))
    count = facts.size(node.input(0), (-1,)) or facts.size(node.input(1), (-2,))
    if node.op == "Gemm" or count is None or a is None or b is None:
        return Step(None, {0: None, 1: None})
    return Step(product(a, b, count), {0: count * b.square, 1: count * a.square})


def _softmax(node: Node, of: SignalOf, facts: Facts) -> Step:
    signal, count = of(node.input(0)), facts.size(node.input(0), (int(node.attrs.get("axis", -1)),))
    if signal is None or count is None:
        return Step(None, {0: _SOFTEST})
    square = concentration(signal.variance, count) / count
    return Step(Signal(1 / count, square), {0: min(square, _SOFTEST)})


def concentration(variance: float, count: int) -> float:
    """The sum of the squares of a softmax of Gaussian logits: 1/n if they are equal, 1 if one stands out."""
    return min(1.0, exp(min(variance, 50.0)) / count)


def _attention(node: Node, of: SignalOf, facts: Facts) -> Step:
    """Weighted means of the values; gradients through queries and keys are left out, being small beside."""
    q, k, v = (of(node.input(slot)) for slot in range(3))
    width, count = facts.size(node.input(0), (-1,)), facts.size(node.input(2), (-2,))
    if v is None:
        return Step(None, {2: 1.0})
    if count is None or q is None or k is None or not width or len(facts.shapes.of(node.input(0)) or ()) != 4:
        return Step(v, {2: 1.0})
    scale = float(node.attrs.get("scale", 1 / sqrt(width)))
    kept = concentration(product(q, k, width).variance * scale * scale, count)
    return Step(Signal(v.mean, v.mean**2 + v.variance * kept), {2: kept})


def _norm(node: Node, of: SignalOf, facts: Facts) -> Step:
    """Normalised by its own statistics, as in training: E y² = γ² + β², E‖∂y/∂x‖² = γ² / Var x.

    The stored running statistics of a BatchNormalization are not those that training normalises with.
    """
    if node.op == "LRN":
        return _same(node, of, facts)
    data = of(node.input(0))
    gamma = of(node.input(1)) if node.input(1) is not None else Signal(1.0, 1.0)
    beta = of(node.input(2)) if node.op != "RMSNormalization" and node.input(2) is not None else Signal(0.0, 0.0)
    if node.op in ("LpNormalization", "MeanVarianceNormalization"):
        return _unknown(node) if node.op == "LpNormalization" else Step(Signal(0.0, 1.0), {0: None})
    if gamma is None or beta is None:
        return Step(None, {0: None})
    whole = node.op == "RMSNormalization"
    made = total([Signal(0.0, gamma.square), beta])
    if data is None:
        return Step(made, {0: None})
    spread = (data.square if whole else data.variance) + float(node.attrs.get("epsilon", 1e-5))
    return Step(made, {0: gamma.square / spread})


def _average(node: Node, of: SignalOf, facts: Facts) -> Step:
    """The mean of n elements that vary on their own; of unknown n, one."""
    signal = of(node.input(0))
    count, overlap = _window(node, facts)
    gradient = 1.0 / max(overlap, 1)
    if signal is None:
        return Step(None, {0: gradient})
    return Step(Signal(signal.mean, signal.mean**2 + signal.variance / max(count, 1)), {0: gradient})


def _window(node: Node, facts: Facts) -> tuple[int, int]:
    """How many elements are averaged, and by how much the total gradient shrinks (strides, where windows overlap)."""
    if node.op == "AveragePool":
        kernel = prod(node.attrs.get("kernel_shape", (1,)))
        return kernel, min(prod(node.attrs.get("strides", (1,))), kernel)
    if node.op == "ReduceMean":
        count = facts.reduced(node) or 1
        return count, count
    shape = facts.shapes.of(node.input(0))
    count = (facts.size(node.input(0), tuple(range(2, len(shape)))) or 1) if shape is not None else 1
    return count, count


def _reduce_sum(node: Node, of: SignalOf, facts: Facts) -> Step:
    signal, count = of(node.input(0)), facts.reduced(node)
    if count is None:
        return Step(None, {0: None})
    if signal is None:
        return Step(None, {0: float(count)})
    mean = count * signal.mean
    return Step(Signal(mean, mean * mean + count * signal.variance), {0: float(count)})


def _length(node: Node, of: SignalOf, facts: Facts) -> Step:
    """The length of a vector of n elements, which varies little for many."""
    signal, count = of(node.input(0)), facts.reduced(node)
    if signal is None or count is None:
        return Step(None, {0: 1.0})
    return Step(Signal(sqrt(count * signal.square), count * signal.square), {0: 1.0 / count})


def _random(node: Node, of: SignalOf, facts: Facts) -> Step:
    return Step(Signal(0.0, 1.0), {})


def _filled(node: Node, of: SignalOf, facts: Facts) -> Step:
    """One number, however many times; no gradient goes into the shape."""
    return Step(facts.stored(node.output()), {})


_STEPS: dict[str, Callable[[Node, SignalOf, Facts], Step]] = {
    **dict.fromkeys(_SAME | {"Split"}, _same),
    **dict.fromkeys(NORMALISATION, _norm),
    **dict.fromkeys(POOLING & {"AveragePool", "GlobalAveragePool"} | {"ReduceMean"}, _average),
    **dict.fromkeys(("Add", "Sub", "Sum", "Mean"), _sum),
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), _layer),
    **dict.fromkeys(RANDOM, _random),
    "ConstantOfShape": _filled,
    "Concat": _concat,
    "Mul": _mul,
    "Div": _div,
    "Where": _where,
    "Softmax": _softmax,
    "Attention": _attention,
    "ReduceSum": _reduce_sum,
    "ReduceL2": _length,
}
