"""Small models for the tests of the front end, healthy and broken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from netlint.graph import Graph, Node, Value

FLOAT = onnx.TensorProto.FLOAT


def info(name: str, shape: Sequence[int | str | None] | None = (2, 4), dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model(
    nodes: Iterable[onnx.NodeProto],
    inputs: Sequence[str] = ("x",),
    outputs: Sequence[str] = ("y",),
    initializers: Sequence[onnx.TensorProto] = (),
    functions: Sequence[onnx.FunctionProto] = (),
    opset: int = 21,
) -> onnx.ModelProto:
    """A model of float32[2, 4] inputs and outputs; the domains of its nodes and functions are imported."""
    nodes = list(nodes)
    graph = helper.make_graph(nodes, "g", [info(name) for name in inputs], [info(name) for name in outputs])
    graph.initializer.extend(initializers)
    domains = {node.domain for node in nodes} | {function.domain for function in functions}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in sorted(domains - {""}))]
    return helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=10)


def reader(*names: str) -> onnx.NodeProto:
    """A node that takes anything: y = com.example.Read(names)."""
    return helper.make_node("Read", list(names), ["y"], domain="com.example")


def chain(*ops: str) -> list[onnx.NodeProto]:
    """x → op → … → y, one unary operator after the other."""
    names = ["x", *(f"h{index}" for index in range(1, len(ops))), "y"]
    return [helper.make_node(op, [names[i]], [names[i + 1]], name=f"n{i}") for i, op in enumerate(ops)]


def dense(size: int = 4) -> onnx.ModelProto:
    """MatMul with a stored weight, then Relu: the smallest model with weights."""
    weight = numpy_helper.from_array(np.arange(4 * size, dtype=np.float32).reshape(4, size) / 7 + 0.1, "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"], name="mm"), helper.make_node("Relu", ["h"], ["y"])]
    return model(nodes, initializers=[weight])


def nested_ifs(levels: int) -> bytes:
    """An If in a branch of an If, `levels` deep; the innermost negates an outer value.

    Written on the wire, since protobuf builds no message that it could not read back.
    """
    inner = helper.make_node("Neg", ["x"], ["v0"]).SerializeToString()
    for level in range(1, levels + 1):
        branch = tagged(1, inner) + tagged(2, b"b") + tagged(12, info(f"v{level - 1}").SerializeToString())
        attribute = tagged(1, b"then_branch") + tagged(6, branch) + b"\xa0\x01\x05"
        inner = helper.make_node("If", ["c"], [f"v{level}"]).SerializeToString() + tagged(5, attribute)
    last = helper.make_node("Identity", [f"v{levels}"], ["y"]).SerializeToString()
    built = model([])
    built.graph.input.append(info("c", (), onnx.TensorProto.BOOL))
    return built.SerializeToString() + tagged(7, tagged(1, inner) + tagged(1, last))


def tagged(field: int, content: bytes) -> bytes:
    """A length-delimited field of a protobuf message."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def summary(graph: Graph) -> list[tuple[Any, ...]]:
    """What a graph says, without the identity of its values: these are numbered as they are met."""
    numbers: dict[Value, int] = {}

    def seen(values: Iterable[Value | None]) -> list[Any]:
        return [
            None
            if value is None
            else (numbers.setdefault(value, len(numbers)), value.dtype, value.shape, constant(value))
            for value in values
        ]

    def constant(value: Value) -> object:
        return None if value.constant is None else bits(value.constant)

    def of(node: Node) -> tuple[Any, ...]:
        attrs = {key: bits(item) if hasattr(item, "chunks") else item for key, item in node.attrs.items()}
        bodies = [(key, seen(body.inputs), seen(body.outputs), len(body.nodes)) for key, body in node.bodies.items()]
        return node.op, node.domain, seen(node.inputs), seen(node.outputs), repr(attrs), bodies

    return [(seen(graph.inputs), seen(graph.outputs), *(of(node) for node in graph.nodes))]


def bits(tensor: Any) -> object:
    """The stored bits of a tensor, or why there are none."""
    from netlint.graph import TensorUnreadable

    try:
        if tensor.dtype == "string":
            return tensor.dtype, tensor.shape, tensor.load().tolist()
        return tensor.dtype, tensor.shape, b"".join(part.tobytes() for part in tensor.chunks(4096))
    except TensorUnreadable:
        return tensor.dtype, tensor.shape, "unreadable"
