"""A transformer of about 1,000 nodes as exporters write it: every operator spelled out, some with all shapes stored."""

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 2
WIDTH, HEADS, LENGTH = 256, 4, 64
NODES_PER_LAYER = 44


def transformer(layers: int, stored_shapes: bool) -> onnx.ModelProto:
    """A valid model of `layers` blocks of attention and feed-forward, each of `NODES_PER_LAYER` nodes."""
    writer = _Writer()
    value = "input"
    for layer in range(layers):
        value = writer.block(f"layers.{layer}", value)
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", LENGTH, WIDTH]) for name in ("input", value)
    ]
    graph = helper.make_graph(writer.nodes, "transformer", infos[:1], infos[1:], writer.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model) if stored_shapes else model


class _Writer:
    """Collects nodes and weights."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(SEED)

    def op(self, op: str, *inputs: str, **attributes: Any) -> str:
        """One node; returns its result."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f"/{name}/{op}", **attributes))
        return name

    def number(self, *values: float, dtype: type = np.float32, scalar: bool = True) -> str:
        """A stored constant."""
        return self._store(np.array(values[0] if scalar else values, dtype=dtype))

    def weight(self, *shape: int) -> str:
        drawn = self._random.standard_normal(shape, dtype=np.float32)
        return self._store(drawn / np.float32(math.sqrt(shape[0])))

    def _store(self, array: np.ndarray[Any, Any]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def block(self, path: str, value: str) -> str:
        """Attention and feed-forward, each behind a layer normalisation and beside a shortcut."""
        mixed = self.op("Add", value, self._attention(self._norm(value)))
        return self.op("Add", mixed, self._feed_forward(self._norm(mixed)))

    def _norm(self, value: str) -> str:
        mean = self.op("ReduceMean", value, axes=[-1])
        centred = self.op("Sub", value, mean)
        square = self.op("Pow", centred, self.number(2.0))
        variance = self.op("Add", self.op("ReduceMean", square, axes=[-1]), self.number(1e-5))
        scaled = self.op("Div", centred, self.op("Sqrt", variance))
        return self.op("Add", self.op("Mul", scaled, self.weight(WIDTH)), self.weight(WIDTH))

    def _attention(self, value: str) -> str:
        query, key, content = (self._heads(value) for _ in range(3))
        scores = self.op("MatMul", query, self.op("Transpose", key, perm=[0, 1, 3, 2]))
        weights = self.op("Softmax", self.op("Div", scores, self.number(math.sqrt(WIDTH / HEADS))), axis=-1)
        merged = self.op("Transpose", self.op("MatMul", weights, content), perm=[0, 2, 1, 3])
        flat = self.op("Reshape", merged, self.number(0, 0, WIDTH, dtype=np.int64, scalar=False))
        return self.op("MatMul", flat, self.weight(WIDTH, WIDTH))

    def _heads(self, value: str) -> str:
        projected = self.op("MatMul", value, self.weight(WIDTH, WIDTH))
        shape = self.number(0, 0, HEADS, WIDTH // HEADS, dtype=np.int64, scalar=False)
        return self.op("Transpose", self.op("Reshape", projected, shape), perm=[0, 2, 1, 3])

    def _feed_forward(self, value: str) -> str:
        wide = self.op("MatMul", value, self.weight(WIDTH, 4 * WIDTH))
        error = self.op("Erf", self.op("Div", wide, self.number(math.sqrt(2))))
        half = self.op("Mul", wide, self.op("Mul", self.op("Add", error, self.number(1.0)), self.number(0.5)))
        return self.op("MatMul", half, self.weight(4 * WIDTH, WIDTH))
