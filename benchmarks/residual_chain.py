"""A model of very many small nodes: pre-activation residual blocks of convolutions and a matrix product."""

import math
from pathlib import Path

import numpy as np
import onnx

SEED = 1
CHANNELS = 4
MAP_SHAPE = (1, CHANNELS, 4, 4)
ROWS_SHAPE = (1, 16, CHANNELS)

# Initializers of one block, with their shapes.
BLOCK_WEIGHTS: dict[str, tuple[int, ...]] = {
    "conv1.weight": (CHANNELS, CHANNELS, 3, 3),
    "conv1.bias": (CHANNELS,),
    "mix.weight": (CHANNELS, CHANNELS),
    "conv2.weight": (CHANNELS, CHANNELS, 1, 1),
    "conv2.bias": (CHANNELS,),
    "scale": (CHANNELS, 1, 1),
}
# Nodes of one block (name, operator, initializers read); each reads the output of the one before.
# A final Add closes the residual connection.
BLOCK_STEPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("relu1", "Relu", ()),
    ("conv1", "Conv", ("conv1.weight", "conv1.bias")),
    ("relu2", "Relu", ()),
    ("to_rows", "Reshape", ("rows_shape",)),
    ("mix", "MatMul", ("mix.weight",)),
    ("relu3", "Relu", ()),
    ("to_map", "Reshape", ("map_shape",)),
    ("conv2", "Conv", ("conv2.weight", "conv2.bias")),
    ("rescale", "Mul", ("scale",)),
)
NODES_PER_BLOCK = len(BLOCK_STEPS) + 1
WEIGHTS_STD = {"conv1.bias": 0.01, "conv2.bias": 0.01, "scale": 0.1}


def write_residual_chain(path: Path, nodes: int) -> None:
    """Write a valid model of `nodes` nodes (a multiple of 10) with about 0.75 KB of weights per block of ten."""
    model = onnx.ModelProto(ir_version=8, producer_name="benchmarks")
    model.opset_import.add(domain="", version=17)
    graph = model.graph
    graph.name = "residual_chain"
    _add_int64(graph, "rows_shape", ROWS_SHAPE)
    _add_int64(graph, "map_shape", MAP_SHAPE)
    rng = np.random.default_rng(SEED)
    value = "input"
    for index in range(nodes // NODES_PER_BLOCK):
        _add_weights(graph, f"blocks.{index}", rng)
        value = _add_block(graph, f"blocks.{index}", value)
    for values, name in ((graph.input, "input"), (graph.output, value)):
        values.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, MAP_SHAPE))
    path.write_bytes(model.SerializeToString())


def _add_int64(graph: onnx.GraphProto, name: str, values: tuple[int, ...]) -> None:
    """Add a one-dimensional integer initializer."""
    raw = np.array(values, dtype="<i8").tobytes()
    graph.initializer.add(name=name, dims=[len(values)], data_type=onnx.TensorProto.INT64, raw_data=raw)


def _add_weights(graph: onnx.GraphProto, block: str, rng: np.random.Generator) -> None:
    """Add one block's initializers, scaled to keep the variance of what passes through."""
    for name, shape in BLOCK_WEIGHTS.items():
        std = WEIGHTS_STD.get(name) or math.sqrt(2 / math.prod(shape[1:]))
        raw = (rng.standard_normal(shape, dtype=np.float32) * np.float32(std)).tobytes()
        graph.initializer.add(name=f"{block}.{name}", dims=shape, data_type=onnx.TensorProto.FLOAT, raw_data=raw)


def _add_block(graph: onnx.GraphProto, block: str, value: str) -> str:
    """Add one block's nodes behind `value` and return the name of its output."""
    current = value
    for name, operator, weights in BLOCK_STEPS:
        inputs = [current, *(w if w.endswith("_shape") else f"{block}.{w}" for w in weights)]
        current = f"{block}.{name}"
        node = graph.node.add(op_type=operator, name=f"/{block}/{name}", input=inputs, output=[current])
        if operator == "Conv":
            _add_conv_attributes(node, BLOCK_WEIGHTS[f"{name}.weight"][-1])
    output = f"{block}.out"
    graph.node.add(op_type="Add", name=f"/{block}/add", input=[current, value], output=[output])
    return output


def _add_conv_attributes(node: onnx.NodeProto, kernel: int) -> None:
    """Make a convolution with a square kernel keep the size of its map."""
    ints = onnx.AttributeProto.INTS
    node.attribute.add(name="kernel_shape", type=ints, ints=[kernel] * 2)
    node.attribute.add(name="pads", type=ints, ints=[kernel // 2] * 4)
