"""What stands behind a layer: the operators that read its output, and the constant factors on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from netlint.analyses.folded import CONVOLUTIONS, folded
from netlint.analyses.layers import Layer
from netlint.analyses.roles import Roles
from netlint.analyses.stage import Stages, fan_in
from netlint.analyses.weights import Weights
from netlint.graph import Graph, Node, Value
from netlint.ops import ACTIVATIONS, NORMALISATION, POOLING, TRANSPARENT
from netlint.rule import Unavailable

_STEPS = 6
_PASSES = TRANSPARENT | POOLING | {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"}
_RECTIFIERS = frozenset({"Relu", "LeakyRelu", "PRelu", "Elu", "Celu", "Gelu", "Swish", "HardSwish", "Mish"})
_SQUASHERS = frozenset({"Tanh", "Sigmoid", "HardSigmoid", "Softsign", "Erf"})
_PERIODIC = frozenset({"Sin", "Cos"})


@dataclass(frozen=True, slots=True)
class Behind:
    """What reads the output of a layer."""

    nodes: tuple[Node, ...]
    """The first operators that are neither layout nor constant factors."""
    scale: float
    """The product of the constant factors before them."""

    @property
    def normalised(self) -> bool:
        """Whether a norm reads it, which takes its scale away."""
        return any(node.op in NORMALISATION and node.op != "LRN" for node in self.nodes)

    @property
    def periodic(self) -> bool:
        """Whether sines or cosines read it: their frequencies are set by the scale of the weight (SIREN)."""
        return any(node.op in _PERIODIC for node in self.nodes)

    @property
    def activation(self) -> str:
        """The activation that reads it; empty where there is none."""
        return next((node.op for node in self.nodes if node.op in ACTIVATIONS and node.op != "Clip"), "")


def behind(layer: Layer, graph: Graph, number: Callable[[Value | None], float | None]) -> Behind:
    """Follows the output of a layer through layout and constant factors."""
    values, scale = [layer.output], 1.0
    found: dict[Node, None] = {}
    for _ in range(_STEPS):
        ahead: list[Value] = []
        for value in values:
            for node in graph.uses(value):
                factor = _factor(node, value, number)
                output = node.output()
                if (factor is None and (node.op not in _PASSES or node.input(0) is not value)) or output is None:
                    found[node] = None
                    continue
                scale *= 1.0 if factor is None else factor
                ahead.append(output)
        values = ahead
    return Behind(tuple(found), scale)


def _factor(node: Node, value: Value, number: Callable[[Value | None], float | None]) -> float | None:
    if node.domain or node.op not in ("Mul", "Div") or node.input(0) is node.input(1):
        return None
    other = node.input(1) if node.input(0) is value else node.input(0)
    factor = number(other)
    if factor is None or (node.op == "Div" and (other is node.input(0) or factor == 0)):
        return None
    return abs(factor if node.op == "Mul" else 1 / factor)


def fresh_model(stages: Stages) -> bool:
    """Whether the model is as it was initialised. Raises `Unavailable` where that cannot be told."""
    if stages.whole is None:
        raise Unavailable("needs to know that the weights are freshly initialised: --stage=init")
    return stages.whole == "init"


def may_hide_norm(layer: Layer, stats: Weights) -> bool:
    """Whether a batch normalisation may have been folded into a layer of a model file, and takes its scale away.

    Fresh statistics leave a bias of zeros, which some exporters drop. Where names do not tell, every such convolution
    counts. A torch module shows its norms.
    """
    found = folded(layer)
    if found is not None:
        return found
    about = stats.of(layer.bias)
    return layer.kind in CONVOLUTIONS and (layer.bias is None or about is None or about.zero)


def heads(known: Roles) -> set[Layer]:
    """The last layers before the outputs or losses."""
    return {head.layer for head in known.heads if head.layer is not None}


@dataclass(frozen=True, slots=True)
class Fans:
    """How many inputs each output of a layer sums, and to how many outputs each input goes."""

    into: int
    out_of: int
    narrow: int
    """The least and the greatest number that initialisers take for either."""
    wide: int


def fans(layer: Layer, stats: Weights) -> Fans | None:
    """The fans of a layer; initialisers differ in whether they mind groups and strides, so both readings count."""
    shape, inputs = stats.shape(layer.weight), fan_in(layer, stats)
    if inputs is None or shape is None or layer.unit_axis is None or layer.input_axis is None:
        return None
    if max(layer.unit_axis, layer.input_axis) >= len(shape):
        return None  # a broken model
    groups = 1 if layer.kind == "dense" else int(layer.node.attrs.get("group", 1)) or 1
    return _fans(layer.kind, inputs, shape, (layer.unit_axis, layer.input_axis), groups)


@lru_cache(maxsize=1024)
def _fans(kind: str, inputs: int, shape: tuple[int, ...], axes: tuple[int, int], groups: int) -> Fans:
    """The fans of a weight; deep models repeat a few shapes."""
    units, before = shape[axes[0]], shape[axes[1]]
    if kind == "dense":
        return Fans(inputs, units, max(min(inputs, units), 1), max(inputs, units))
    size = prod(shape) // (units * before)
    out = max(units * size // groups, 1) if kind == "conv" else units * size
    every = (inputs, before * size, before * size * groups, out, units * size)
    return Fans(inputs, out, max(min(every), 1), max(every))


def recommended(activation: str, fan: Fans) -> tuple[str, float]:
    """The initialiser for the activation behind a layer, and its standard deviation."""
    if activation in _RECTIFIERS:
        return "He", float((2 / fan.into) ** 0.5)
    if activation in _SQUASHERS:
        return "Xavier", float((2 / (fan.into + fan.out_of)) ** 0.5)
    return "LeCun", float((1 / fan.into) ** 0.5)
