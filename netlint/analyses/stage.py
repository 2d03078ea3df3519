"""Freshly initialised or trained: what the statistics of the stored weights tell, layer by layer and as a whole.

Initialisers draw all elements of a weight alike, from a uniform, a normal or a truncated normal distribution, and
leave biases at one number or, as torch does, within ±1/√fan_in. Training keeps none of that: rows differ in
size, tails grow heavy, no bias stays. What lies between is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, prod, sqrt
from typing import Literal, TypeAlias, TypeVar

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node
from netlint.training import Known

from .contract import contract
from .layers import Layer, layers
from .weights import Moments, Weights, WeightStats, real_weights

__all__ = ["Stage", "Stages", "fan_in", "stage"]

T = TypeVar("T")
Stage: TypeAlias = Literal["init", "trained"]

_ENOUGH = 256
"""With so many elements the kurtosis tells uniform, normal and trained weights apart."""
_FEW = 32
_ERRORS = 4.5
"""Standard errors that a moment of drawn weights may be off: one layer in 100,000 is further."""
_UNEVEN = 4.0
_MOST_UNIFORM = 1.77
"""The largest magnitude of uniform elements is √3 standard deviations, give or take the sampling error."""
_CUT_KURTOSIS, _CUT_AT = 2.36, 2.28
"""A normal distribution cut at two of its standard deviations (1.76 and 2.27 of what remains)."""
_ALMOST_ALL = 0.8
_MOST_ASKED = 256
_NORMS: dict[str, tuple[int, ...]] = {"BatchNormalization": (1, 2), "InstanceNormalization": (1, 2)}
_NORMS |= {"LayerNormalization": (1, 2), "GroupNormalization": (1, 2), "RMSNormalization": (1,)}


def fan_in(layer: Layer, stats: Weights) -> int | None:
    """How many products each output sums, for a dense or convolutional layer; None where unknown.

    A transposed convolution spreads each input over its kernel: an output sums `kernel / strides` positions.
    """
    shape, unit = stats.shape(layer.weight), layer.unit_axis
    if shape is None or unit is None or unit >= len(shape) or 0 in shape:
        return None
    if layer.kind == "dense":
        return shape[layer.input_axis] if layer.input_axis is not None else None
    if layer.kind == "conv-transpose":
        strides = layer.node.attrs.get("strides", ())
        groups = int(layer.node.attrs.get("group", 1)) or 1
        steps = int(prod(strides)) or 1
        return max(prod(shape) // (shape[1] * steps * groups), 1)
    return prod(shape) // shape[unit] if layer.kind == "conv" else None


def is_drawn(found: Moments, stats: WeightStats) -> bool:
    """Whether elements look drawn alike from a uniform, normal or truncated normal distribution around some mean."""
    error = sqrt(1 / found.count)
    if found.std <= 0 or found.unevenness > _UNEVEN:
        return False
    reach = max(stats.hi - found.mean, found.mean - stats.lo) / found.std
    near_uniform = abs(found.kurtosis - 1.8) < _ERRORS * 0.9 * error + 0.02
    if near_uniform and reach < _MOST_UNIFORM + 2 * error:
        return True
    near_cut = abs(found.kurtosis - _CUT_KURTOSIS) < _ERRORS * 1.8 * error + 0.05
    if near_cut and reach < _CUT_AT + 2 * error:
        return True
    near_normal = abs(found.kurtosis - 3) < _ERRORS * sqrt(24) * error
    return near_normal and reach < sqrt(2 * log(max(found.count, 2) * 1e4)) + 1


class Judge:
    """Judges the layers and norms of one graph."""

    def __init__(self, graph: Graph, stats: Weights) -> None:
        self._graph = graph
        self._stats = stats
        self._layers: dict[Layer, Stage | None] = {}

    def layer(self, layer: Layer) -> Stage | None:
        """By its weight and bias alone; None where they are too few, constant or contradict each other."""
        if layer not in self._layers:
            self._layers[layer] = self._layer(layer)
        return self._layers[layer]

    def _layer(self, layer: Layer) -> Stage | None:
        if layer.weight.trainable is False:
            return None
        about, found = self._stats.of(layer.weight), self._stats.moments(layer.weight)
        if about is None or found is None or about.constant or found.count < _FEW:
            return None
        drawn, untouched = is_drawn(found, about), self._untouched(layer)
        if found.count < _ENOUGH:
            centred = abs(found.mean) < _ERRORS * found.std / sqrt(found.count)
            return "init" if drawn and centred and untouched else None
        if drawn and untouched is not False:
            return "init"
        return None if drawn else "trained"

    def _untouched(self, layer: Layer) -> bool | None:
        """Whether the bias is as initialisers leave it; None if there is none, or none that can be read."""
        about, found = self._stats.of(layer.bias), self._stats.moments(layer.bias)
        if about is None or found is None:
            return None
        if about.constant:
            return True
        size = fan_in(layer, self._stats)
        if size is not None and max(abs(about.lo), abs(about.hi)) <= 1.001 / sqrt(size):
            return True
        return True if found.count >= _FEW and is_drawn(found, about) else None if layer.kind == "recurrent" else False

    def norm(self, node: Node) -> bool | None:
        """Whether the parameters of a norm have been trained; None where they cannot tell."""
        touched: bool | None = None
        for slot in _NORMS[node.op]:
            about = self._stats.of(node.input(slot))
            found = self._stats.moments(node.input(slot)) if about is not None else None
            if about is None or found is None:
                continue
            if not about.constant and (found.count < _FEW or not is_drawn(found, about)):
                return True
            touched = False
        return touched


@dataclass(frozen=True, slots=True)
class Stages:
    """The stage of the model (`whole`) and of each layer; None: unknown."""

    whole: Stage | None
    origin: str
    """Who said so: the contract's field, or what the weights show."""
    stated: bool
    """Somebody has stated the stage."""
    judge: Judge

    def of(self, layer: Layer) -> Stage | None:
        """The stage of a layer; where its own weight is too small to tell, that of the model."""
        own = self.whole if self.stated else self.judge.layer(layer)
        return own if own is not None else self.whole

    def touched(self, norm: Node) -> bool | None:
        """Whether the scale and shift of a norm have been trained; None where they cannot tell."""
        return self.judge.norm(norm)

    def fresh(self, layer: Layer) -> bool:
        """Whether the layer is as it was initialised."""
        return self.of(layer) == "init"


def _whole(layers_: Counter[Stage | None], norms: Counter[bool | None]) -> Stage | None:
    told = layers_["init"] + layers_["trained"]
    if norms[True] > norms[False]:
        return "trained"
    if told and layers_["init"] >= _ALMOST_ALL * told and norms[False] >= norms[True]:
        return "init" if not norms[True] else None
    return "trained" if layers_["trained"] > told / 2 else None


@analysis(contract, layers, real_weights)
def stage(scope: Scope) -> Stages:
    """Whether the model and each of its layers are freshly initialised or trained."""
    stated = scope[contract].stage
    found = scope[layers].all
    judge = Judge(scope.graph, scope[real_weights])
    if isinstance(stated, Known):
        said: Stage = "init" if stated.value == "init" else "trained"
        return Stages(said, stated.origin, True, judge)
    asked = _some(found)
    verdicts = Counter(judge.layer(layer) for layer in asked)
    norms = Counter(judge.norm(node) for node in _some(scope.graph.of(*_NORMS)))
    whole = _whole(verdicts, norms)
    return Stages(whole, f"the statistics of {verdicts[whole]} of {len(asked)} weights" if whole else "", False, judge)


def _some(items: Sequence[T]) -> Sequence[T]:
    """At most 256 of them, spread evenly: enough to tell the stage of the whole."""
    return items[:: -(-len(items) // _MOST_ASKED) or 1]
