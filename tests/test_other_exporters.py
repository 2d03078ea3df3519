"""Healthy models as exporters other than torch's write them: no warning, with names and without."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from netlint.engine import lint
from netlint.frontends.onnx import load_bytes
from netlint.registry import load_rules
from netlint.rule import WARNING
from netlint.training import parse_training
from tests.onnx_models import info
from tests.test_invariance import rename, reorder

RULES = load_rules()
MICROSOFT = "com.microsoft"


class Writer:
    """Writes one model, node by node; weights are drawn as Glorot and Bengio draw them."""

    def __init__(self, opset: int = 17) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.opset = opset
        self._random = np.random.default_rng(0)

    def input(self, *shape: int | str, dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(info(f"input_{len(self.inputs)}", shape, dtype))
        return self.inputs[-1].name

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        self.stored.append(numpy_helper.from_array(np.array(value, dtype), f"const_{len(self.stored)}"))
        return self.stored[-1].name

    def weight(self, *shape: int, inputs: int | None = None) -> str:
        fan = inputs or (int(np.prod(shape[1:])) if len(shape) == 4 else shape[0])
        return self.const(self._random.uniform(-1, 1, shape) * (6 / fan) ** 0.5)

    def drawn(self, *shape: int) -> Any:
        return self._random.normal(size=shape)

    def __call__(self, op: str, *inputs: str, domain: str = "", **attrs: Any) -> str:
        out = f"model/{op}_{len(self.nodes)}:0"
        self.nodes.append(helper.make_node(op, inputs, [out], domain=domain, **attrs))
        return out

    def dense(self, x: str, before: int, after: int) -> str:
        return self("Add", self("MatMul", x, self.weight(before, after)), self.const(np.zeros(after)))

    def model(self, *outputs: str) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "g", self.inputs, [info(name, None) for name in outputs], self.stored)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


def keras(w: Writer) -> Sequence[str]:
    """Channels last, biases and folded norms as Mul and Add."""
    x = w("Transpose", w.input("N", 16, 16, 3), perm=[0, 3, 1, 2])
    for before, after in ((3, 8), (8, 16)):
        x = w("Conv", x, w.weight(after, before, 3, 3), auto_pad="SAME_UPPER", kernel_shape=[3, 3])
        x = w("Add", x, w.const(np.zeros((1, after, 1, 1))))
        x = w("Add", w("Mul", x, w.const(np.ones((1, after, 1, 1)))), w.const(np.zeros((1, after, 1, 1))))
        x = w("MaxPool", w("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
    x = w("Reshape", w("Transpose", x, perm=[0, 2, 3, 1]), w.const([-1, 256], np.int64))
    return [w("Softmax", w.dense(w("Relu", w.dense(x, 256, 32)), 32, 5))]


def keras_norm(w: Writer, x: str, size: int) -> str:
    mean = w("ReduceMean", x, axes=[-1])
    centred = w("Sub", x, mean)
    spread = w("Sqrt", w("Add", w("ReduceMean", w("Mul", centred, centred), axes=[-1]), w.const(1e-6)))
    scale = w("Mul", w("Reciprocal", spread), w.const(np.ones(size)))
    return w("Add", w("Mul", x, scale), w("Sub", w.const(np.zeros(size)), w("Mul", mean, scale)))


def jax(w: Writer) -> Sequence[str]:
    """Attention by Einsum, its softmax and the tanh form of GELU written out."""
    x = w.input("N", 9, 16)

    def project() -> str:
        return w("Einsum", x, w.weight(16, 4, 4, inputs=16), equation="abc,cde->abde")

    scores = w("Einsum", w("Mul", project(), w.const(0.5)), project(), equation="abcd,aecd->acbe")
    e = w("Exp", w("Sub", scores, w("ReduceMax", scores, axes=[-1])))
    shares = w("Div", e, w("ReduceSum", e, w.const([-1], np.int64)))
    mixed = w("Einsum", shares, project(), equation="acbe,aecd->abcd")
    x = keras_norm(w, w("Add", x, w("Einsum", mixed, w.weight(4, 4, 16, inputs=16), equation="abcd,cde->abe")), 16)
    h = w.dense(x, 16, 64)
    cube = w("Mul", w.const(0.044715), w("Pow", h, w.const(3.0)))
    tanh = w("Tanh", w("Mul", w.const(0.7978846), w("Add", h, cube)))
    h = w("Mul", w("Mul", w.const(0.5), h), w("Add", w.const(1.0), tanh))
    x = keras_norm(w, w("Add", x, w.dense(h, 64, 16)), 16)
    return [w.dense(w("ReduceMean", x, axes=[1], keepdims=0), 16, 5)]


def keras_embedding(w: Writer) -> Sequence[str]:
    """A vector divided by its length, which is clipped from below."""
    x = w.dense(w("Relu", w.dense(w.input("N", 32), 32, 64)), 64, 16)
    square = w("ReduceSum", w("Mul", x, x), w.const([1], np.int64))
    return [w("Mul", x, w("Reciprocal", w("Sqrt", w("Max", square, w.const(1e-12)))))]


def fused(w: Writer) -> Sequence[str]:
    """A block of a transformer after onnxruntime's optimiser."""
    x = w.input("N", "S", 32)
    one, zero = w.const(np.ones(32)), w.const(np.zeros(32))
    attended = w("Attention", x, w.weight(32, 96), w.const(np.zeros(96)), domain=MICROSOFT, num_heads=4)
    x = w("SkipLayerNormalization", w("MatMul", attended, w.weight(32, 32)), x, one, zero, domain=MICROSOFT)
    h = w("BiasGelu", w("MatMul", x, w.weight(32, 64)), w.const(np.zeros(64)), domain=MICROSOFT)
    x = w("SkipLayerNormalization", w("MatMul", h, w.weight(64, 32)), x, one, zero, domain=MICROSOFT)
    x = w("SimplifiedLayerNormalization", x, one, axis=-1, epsilon=1e-6)
    return [w("FusedMatMul", x, w.weight(5, 32, inputs=32), domain=MICROSOFT, transB=1)]


def quantised(w: Writer) -> Sequence[str]:
    """Weights in eight bits a channel, activations between pairs of nodes."""
    scale, centre = w.const(0.05), w.const(128, np.uint8)

    def pair(x: str) -> str:
        return w("DequantizeLinear", w("QuantizeLinear", x, scale, centre), scale, centre)

    def weight(*shape: int, axis: int) -> str:
        codes = w.const(np.clip(w.drawn(*shape) * 50, -127, 127), np.int8)
        size = shape[axis]
        return w("DequantizeLinear", codes, w.const(np.full(size, 2e-3)), w.const(np.zeros(size), np.int8), axis=axis)

    x = pair(w.input("N", 3, 16, 16))
    for before, after in ((3, 8), (8, 16)):
        x = pair(w("Relu", w("Conv", x, weight(after, before, 3, 3, axis=0), kernel_shape=[3, 3])))
    return [pair(w("Gemm", w("Flatten", pair(w("GlobalAveragePool", x))), weight(16, 5, axis=1)))]


def columns(w: Writer) -> Sequence[str]:
    """Samples in columns: the weight is the first operand, transposed."""
    x = w.input(10, "N")
    for before, after in ((10, 32), (32, 32)):
        x = w("Relu", w("Gemm", w.weight(before, after), x, w.const(np.zeros((after, 1))), transA=1))
    return [w("Gemm", x, w.weight(32, 1), w.const(np.zeros(1)), transA=1)]


STYLES: dict[str, tuple[Callable[[Writer], Sequence[str]], dict[str, Any]]] = {
    "keras": (keras, {"loss": "categorical_cross_entropy", "classes": 5}),
    "jax": (jax, {"loss": "cross_entropy", "classes": 5}),
    "keras_embedding": (keras_embedding, {"stage": "init"}),
    "fused": (fused, {"loss": "cross_entropy", "classes": 5}),
    "quantised": (quantised, {}),
    "columns": (columns, {"loss": "mse_loss", "targets": [-3, 3]}),
}


@pytest.mark.parametrize("name", STYLES)
def test_healthy_models_of_other_exporters(name: str) -> None:
    write, contract = STYLES[name]
    w = Writer()
    model = w.model(*write(w))
    rng = random.Random(name)
    for _ in range(2):
        report = lint(
            load_bytes(model.SerializeToString()), RULES.values(), parse_training(contract, lambda field: field)
        )
        assert report.crashed == ()
        assert [found.finding.message for found in report.findings if found.level >= WARNING] == []
        model = rename(reorder(model, rng), rng)
