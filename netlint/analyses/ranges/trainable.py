"""Which stored constants training moves, and what hangs on them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property

from netlint.analyses.layers import Layer, Layers, layers
from netlint.analyses.parameters import Parameters, parameters
from netlint.analysis import Scope, analysis
from netlint.graph import Graph, TensorUnreadable, Value, is_float

from .interval import INF, REALS, Range

_POSITIVE = Range(0.0, INF, nan=False)

_NORM_SLOTS = {
    "BatchNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "RMSNormalization": (1,),
    "com.microsoft::SkipLayerNormalization": (2, 3),
    "com.microsoft::SkipSimplifiedLayerNormalization": (2,),
    "com.microsoft::Attention": (1, 2),
    "com.microsoft::FusedConv": (1, 2),
    "com.microsoft::FusedMatMul": (1,),
    "com.microsoft::BiasGelu": (1,),
    "com.microsoft::FastGelu": (1,),
    "PRelu": (1,),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), (1, 2, 3)),
    **dict.fromkeys(("Add", "Sub", "Mul", "Max", "Min", "Div"), (0, 1)),
}
"""Inputs of operators that are parameters; those of elementwise ones only where they hold nothing but zeros."""
_ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Max", "Min", "Div"})
_NO_GRADIENT = frozenset(
    (
        *("Shape", "Size", "ArgMax", "ArgMin", "Floor", "Ceil", "Round", "Sign", "Equal", "Greater", "Less", "Not"),
        *("GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor", "IsNaN", "IsInf", "NonZero", "OneHot", "EyeLike"),
        *("ConstantOfShape", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Hardmax"),
        *("QuantizeLinear", "DynamicQuantizeLinear", "NonMaxSuppression", "Unique"),
    )
)


class Trainable:
    """The parameters of a model: what the front end says of each, else what is a weight, bias or norm's scale."""

    def __init__(self, graph: Graph, opened: Mapping[Value, Range]) -> None:
        self._graph = graph
        self.opened = opened
        """Each parameter with what training may make of it; running variances stay non-negative."""

    def reaches_parameter(self, value: Value | None) -> bool:
        """Whether a gradient that arrives at a value goes on to some parameter."""
        return value in self._learned

    @cached_property
    def _learned(self) -> frozenset[Value]:
        learned = {value for value, r in self.opened.items() if value.trainable is not False and r is REALS}
        for node in self._graph.nodes:
            if node.op in _NO_GRADIENT and not node.domain:
                continue
            given = any(value in learned for value in node.inputs) or any(
                out in learned for body in node.bodies.values() for out in body.outputs
            )
            if given:
                learned.update(out for out in node.outputs if out is not None)
        return frozenset(learned)


@analysis(parameters, layers)
def trainable(scope: Scope) -> Trainable:
    """Which constants are parameters, and which values depend on them."""
    graph = scope.graph
    opened: dict[Value, Range] = {}
    for value in _candidates(graph, scope[parameters], scope[layers]):
        if value is not None and value.trainable is not False and _floats(value):
            opened[value] = REALS
    for node in graph.of("BatchNormalization"):
        for slot, r in ((3, REALS._replace(loose=True)), (4, _POSITIVE)):
            value = node.input(slot)
            if value is not None and value.constant is not None:
                opened.setdefault(value, r)
    return Trainable(graph, opened)


def _candidates(graph: Graph, known: Parameters, all_layers: Layers) -> Iterator[Value | None]:
    for layer in all_layers.all:
        for value in (layer.weight, layer.bias if not _guard(layer) else None):
            yield known.parameter(value) or known.fill(value)
    for node in graph.nodes:
        slots = _NORM_SLOTS.get(node.full_op if node.domain else node.op, ())
        for slot, value in enumerate(node.inputs):
            if value is not None and value.trainable:
                yield value
            elif value is not None and slot in slots and (node.op not in _ELEMENTWISE or _blank(value)):
                stored = known.stored(value)
                yield stored.value if stored is not None else known.fill(value)


def _guard(layer: Layer) -> bool:
    """Whether one number is added to many units: what keeps a sum off 0, rather than a bias."""
    bias, weight = layer.bias, layer.weight
    if bias is None or bias.constant is None or math.prod(bias.constant.shape) != 1:
        return False
    units = weight.shape[layer.unit_axis] if weight.shape and layer.unit_axis is not None else None
    return units != 1


def _floats(value: Value) -> bool:
    dtype = value.dtype or (value.constant.dtype if value.constant is not None else "float32")
    return is_float(dtype)


def _blank(value: Value) -> bool:
    """Whether a stored constant has several elements, all 0: nobody adds or multiplies such a number on purpose, so
    it stands for what training will put there."""
    tensor = value.constant
    if tensor is None or not any(size > 1 for size in tensor.shape) or not is_float(tensor.dtype):
        return False
    try:
        return all(not (chunk != 0).any() for chunk in tensor.chunks(1 << 20))
    except TensorUnreadable:
        return False
