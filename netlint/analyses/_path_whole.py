"""Networks that are one linear map as a whole, though no two of their layers make a smaller one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from netlint.graph import ONNX, Graph, Node, Shape, Value, is_float
from netlint.ops import ARITHMETIC

from ._idioms import Effect, step
from ._path_gradient import cuts_decimals
from ._path_readers import Readers
from ._path_widths import conv_of, dense_widths
from .layers import Layer, Layers
from .parameters import Parameters

_MAX_NODES = 400
_LINEAR = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "BatchNormalization"})
_LINEAR |= {"Identity", "Dropout", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Pad", "Neg"}


@dataclass(frozen=True, slots=True)
class LinearNetwork:
    """All layers from an input of the graph to a dense last layer, in series, with affine operators between them."""

    layers: tuple[Layer, ...]
    """From the input to the end; at least one of them is an ordinary convolution."""
    inputs: int
    """Numbers of one sample that the network reads."""
    units: int
    cost: int
    """Numbers in all weights."""

    @property
    def merged(self) -> int:
        """Numbers in the weight of one dense layer that computes the same."""
        return self.inputs * self.units


class WholeNetwork:
    """Looks at one graph. `shape` tells the shape of a value, and is asked of the few networks that are linear."""

    def __init__(
        self, graph: Graph, known: Parameters, layers: Layers, shape: Callable[[Value | None], Shape | None]
    ) -> None:
        self._graph = graph
        self._known = known
        self._layers = layers
        self._shape = shape
        self._readers = Readers(graph)

    def ending_in(self, last: Layer) -> LinearNetwork | None:
        """The linear network that a dense layer ends; None if what feeds it is not linear in one input of the graph.

        None as well where a narrow code lies between two layers (a factorisation, a linear autoencoder), where layers
        share a weight or are not trained, and where something else reads a value on the way.
        """
        widths = dense_widths(last)
        if last.kind != "dense" or widths is None or len(self._layers.all) < 2:
            return None
        found = self._series(last)
        if found is None:
            return None
        source, series = found
        sizes = [self._size(layer.data) for layer in series[1:]]
        inputs, units = self._size(source), widths[1]
        if inputs is None or any(size is None or size < min(inputs, units) for size in sizes):
            return None
        return LinearNetwork(series, inputs, units, self._cost(series)) if self._convolves(series) else None

    def _series(self, last: Layer) -> tuple[Value, tuple[Layer, ...]] | None:
        """The input of the graph and the layers from it to the last one."""
        series, value, place = [last], last.data, 0
        while place < _MAX_NODES:
            place += 1
            if len(self._readers.split(value)[0]) != 1 or self._graph.is_output(value):
                return None
            layer = self._layers.ending_in(value) or self._layers.of(self._graph.producer(value))
            node = self._graph.producer(value)
            if layer is not None:
                series.append(layer)
                value = layer.data
            elif node is None:
                return self._started(value, series)
            else:
                before = self._before(node)
                if before is None:
                    return None
                value = before
        return None

    def _started(self, source: Value, series: list[Layer]) -> tuple[Value, tuple[Layer, ...]] | None:
        floating = is_float(source.dtype)
        own = self._own_weights(series) and len(series) > 1
        return (source, tuple(reversed(series))) if floating and own and source in self._graph.inputs else None

    def _before(self, node: Node) -> Value | None:
        """What a node that is affine in one value is made of."""
        taken = step(self._graph, self._known, node)
        if node.domain != ONNX or taken is None or taken.effect > Effect.AFFINE or cuts_decimals(node):
            return None
        return taken.data if node.op in _LINEAR or node.op in ARITHMETIC else None

    def _own_weights(self, series: Sequence[Layer]) -> bool:
        """Whether every layer has a weight of its own that is trained."""
        stored = [self._known.stored(layer.weight) for layer in series]
        values = {held.value for held in stored if held is not None and held.value.trainable is not False}
        plain = all(layer.node.op in ("Conv", "ConvTranspose", "MatMul", "Gemm") for layer in series)
        return plain and len(values) == len(series) and all(len(self._graph.uses(value)) == 1 for value in values)

    def _cost(self, series: Sequence[Layer]) -> int:
        stored = [self._known.stored(layer.weight) for layer in series]
        return sum(prod(held.value.constant.shape) for held in stored if held and held.value.constant is not None)

    def _convolves(self, series: Sequence[Layer]) -> bool:
        """Whether one of the layers is an ordinary convolution: dense layers alone are judged in pairs."""
        convs = [conv for layer in series if layer.kind == "conv" and (conv := conv_of(layer)) is not None]
        return any(conv.groups == 1 and max(conv.extent) > 1 for conv in convs)

    def _size(self, value: Value) -> int | None:
        """Numbers of one sample; None where a length is not known. Axis 0 counts samples."""
        shape = self._shape(value)
        sizes = [size for size in (shape or ())[1:] if isinstance(size, int)]
        return prod(sizes) if shape and len(shape) > 1 and len(sizes) == len(shape) - 1 else None
