"""Models of few nodes and gigabytes of weights: a chain of MatMul and Relu, written without holding the weights."""

import math
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import onnx

SEED = 2
WIDTH = 2048
LAYER_BYTES = WIDTH * WIDTH * 4
WEIGHT_STD = math.sqrt(2 / WIDTH)

# External weights are slices of one random buffer (64 MiB). Consecutive layers start this many bytes apart:
# a multiple of the item size but not of a row, so that neither tensors nor rows at one place are equal.
BUFFER_ITEMS = 1 << 24
SLICE_STEP_BYTES = 196_612

# Field numbers of onnx.proto.
MODEL_GRAPH = 7
GRAPH_INITIALIZER = 5
TENSOR_RAW_DATA = 9


def write_one_file(path: Path, layers: int) -> None:
    """Write a model with `layers` × 16 MiB of raw_data inside, one layer in memory at a time."""
    before, after = _chain(layers)
    graph_head, graph_tail = before.graph.SerializeToString(), after.graph.SerializeToString()
    before.ClearField("graph")
    after.ClearField("graph")
    headers = [_tensor_header(tensor) for tensor in _tensors(layers)]
    initializer_bytes = sum(len(header) + LAYER_BYTES for header in headers)
    framing_bytes = sum(len(_field(GRAPH_INITIALIZER, len(header) + LAYER_BYTES)) for header in headers)
    graph_bytes = len(graph_head) + initializer_bytes + framing_bytes + len(graph_tail)
    with path.open("wb") as file:
        file.write(before.SerializeToString() + _field(MODEL_GRAPH, graph_bytes) + graph_head)
        _write_initializers(file, headers)
        file.write(graph_tail + after.SerializeToString())
        _flush_to_disk(file)


def write_external(path: Path, layers: int) -> None:
    """Write a model whose `layers` × 16 MiB of weights lie in one side file, `<name>.onnx.data`."""
    model, after = _chain(layers)
    model.MergeFrom(after)
    side_file = path.with_name(f"{path.name}.data")
    for index, tensor in enumerate(_tensors(layers)):
        tensor.data_location = onnx.TensorProto.EXTERNAL
        place = {"location": side_file.name, "offset": index * LAYER_BYTES, "length": LAYER_BYTES}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())
    _write_side_file(side_file, layers)


def _chain(layers: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The model without its initializers, in two parts: what the wire format puts before them and after them."""
    before = onnx.ModelProto(ir_version=8, producer_name="benchmarks")
    before.graph.name = "dense_chain"
    value = "input"
    for index in range(layers):
        for operator, weights in (("MatMul", [_weight_name(index)]), ("Relu", [])):
            name = f"layers.{index}.{operator.lower()}"
            before.graph.node.add(op_type=operator, name=f"/{name}", input=[value, *weights], output=[name])
            value = name
    after = onnx.ModelProto()
    after.opset_import.add(domain="", version=17)
    for values, name in ((after.graph.input, "input"), (after.graph.output, value)):
        values.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", WIDTH]))
    return before, after


def _weight_name(layer: int) -> str:
    """Name of the weight of a layer."""
    return f"layers.{layer}.weight"


def _tensors(layers: int) -> list[onnx.TensorProto]:
    """The initializers without their data."""
    dims, data_type = [WIDTH, WIDTH], onnx.TensorProto.FLOAT
    return [onnx.TensorProto(dims=dims, data_type=data_type, name=_weight_name(i)) for i in range(layers)]


def _random_weights(rng: np.random.Generator, items: int) -> npt.NDArray[np.float32]:
    """Normal float32 values with the deviation that keeps the variance through a layer and its Relu."""
    return rng.standard_normal(items, dtype=np.float32) * np.float32(WEIGHT_STD)


def _write_initializers(file: BinaryIO, headers: list[bytes]) -> None:
    """Write the initializers of the one-file model on the wire."""
    rng = np.random.default_rng(SEED)
    for header in headers:
        file.write(_field(GRAPH_INITIALIZER, len(header) + LAYER_BYTES) + header)
        file.write(_random_weights(rng, WIDTH * WIDTH).data)


def _write_side_file(path: Path, layers: int) -> None:
    """Write the external weights: for each layer another slice of one random buffer."""
    buffer = _random_weights(np.random.default_rng(SEED), BUFFER_ITEMS).data.cast("B")
    starts = range(0, len(buffer) - LAYER_BYTES + 1, SLICE_STEP_BYTES)
    with path.open("wb") as file:
        for index in range(layers):
            start = starts[index % len(starts)]
            file.write(buffer[start : start + LAYER_BYTES])
        _flush_to_disk(file)


def _flush_to_disk(file: BinaryIO) -> None:
    """Wait until the file is written, so that writing does not go on beside the measurement."""
    file.flush()
    os.fsync(file.fileno())


def _tensor_header(tensor: onnx.TensorProto) -> bytes:
    """All of an initializer on the wire up to the first byte of its raw_data."""
    fields: bytes = tensor.SerializeToString()
    return fields + _field(TENSOR_RAW_DATA, LAYER_BYTES)


def _field(number: int, length: int) -> bytes:
    """Tag and length of a length-delimited field of `length` bytes."""
    return _varint(number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    """A non-negative integer in protobuf's base-128 form."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
