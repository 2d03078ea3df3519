"""netlint's `Graph` -> ModelProto, and runs of it: what a front end made, executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from netlint.graph import Graph, Node, Tensor, Value
from netlint.ops import STOPS_GRADIENT

Array = np.ndarray[Any, Any]

CODES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "bool": TensorProto.BOOL,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "int16": TensorProto.INT16,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
}


def opaque(graph: Graph) -> list[str]:
    """The operators that ONNX has no name for, each once."""
    return sorted({node.full_op for node in graph.nodes if node.domain})


def model_of(graph: Graph) -> onnx.ModelProto:
    """The graph as a model, values under names of their own."""
    names: dict[Value, str] = {}

    def name(value: Value | None) -> str:
        return "" if value is None else names.setdefault(value, f"v{len(names)}")

    nodes = [_node(node, name) for node in graph.nodes]
    inputs = [helper.make_tensor_value_info(name(v), CODES[v.dtype or "float32"], _dims(v)) for v in graph.inputs]
    outputs = []
    for place, value in enumerate(graph.outputs):  # an input or a constant may be an output, also twice
        nodes.append(helper.make_node("Identity", [name(value)], [f"out{place}"]))
        outputs.append(helper.make_tensor_value_info(f"out{place}", CODES[value.dtype or "float32"], _dims(value)))
    constants = [_constant(value.constant, key) for value, key in names.items() if value.constant is not None]
    made = helper.make_graph(nodes, "graph", inputs, outputs, constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in graph.opset.items()]
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


def _dims(value: Value) -> list[int | str | None] | None:
    return None if value.shape is None else list(value.shape)


def _node(node: Node, name: Any) -> onnx.NodeProto:
    given = {key: each for key, each in node.attrs.items() if key != STOPS_GRADIENT}
    attrs = {key: list(each) if isinstance(each, tuple) else each for key, each in given.items()}
    assert not node.bodies
    return helper.make_node(node.op, [*map(name, node.inputs)], [*map(name, node.outputs)], domain=node.domain, **attrs)


def _constant(tensor: Tensor, name: str) -> onnx.TensorProto:
    array = tensor.load()
    if tensor.dtype == "bfloat16":
        return helper.make_tensor(name, TensorProto.BFLOAT16, tensor.shape, array.reshape(-1))
    assert tuple(array.shape) == tuple(tensor.shape), (array.shape, tensor.shape)
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def run(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The outputs, by ONNX Runtime; where that lacks an operator, by onnx's reference evaluator."""
    model = model_of(graph)
    if all(value.shape is not None for value in graph.outputs):
        onnx.checker.check_model(model)
    feeds = {info.name: array for info, array in zip(model.graph.input, inputs, strict=True)}
    try:
        found = _by_runtime(model, feeds)
    except Exception as error:
        from onnx.reference import ReferenceEvaluator

        try:
            found = ReferenceEvaluator(model).run(None, feeds)
        except Exception:
            raise error from None
    return found


def _by_runtime(model: onnx.ModelProto, feeds: dict[str, Array]) -> list[Array]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    found: list[Array] = session.run(None, feeds)
    return found
