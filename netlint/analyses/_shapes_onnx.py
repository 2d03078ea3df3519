"""One node's output types from ONNX's own C++ inference: the engine for operators that netlint has no function for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netlint import onnxlib
from netlint.graph import Dim, Node, Shape

from ._shapes_dims import MAX_RANK

Type = tuple[str | None, Shape | None]
"""Element type and shape of a tensor."""

# DataType numbers of TensorProto in the specification (onnx.proto).
_NUMBERED = (
    *("float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "float64"),
    *("uint32", "uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2"),
    *("float8e5m2fnuz", "uint4", "int4", "float4e2m1", "float8e8m0", "uint2", "int2"),
)
_NUMBERS = {name: number for number, name in enumerate(_NUMBERED, 1)}
NAMES = {number: name for name, number in _NUMBERS.items()}
_INFERRING_DOMAINS = frozenset({"", "ai.onnx.ml", "ai.onnx.preview.training"})


class NodeInference:
    """Asks ONNX about single nodes; equal questions are asked once."""

    def __init__(self, opset: Mapping[str, int]) -> None:
        self._opset = dict(opset)
        self._answers: dict[Any, Sequence[Type]] = {}
        self._schemas: dict[tuple[str, str], Any] = {}

    def infer(
        self, node: Node, types: Sequence[Type | None], elements: Sequence[tuple[int, ...] | None]
    ) -> Sequence[Type]:
        """The types of the outputs; `elements` are those of small integer inputs. Empty where ONNX cannot tell."""
        schema = self._schema(node)
        if schema is None or node.bodies or any(kind is not None and kind[0] not in _NUMBERS for kind in types):
            return ()
        key = self._key(node, types, elements)
        if key in self._answers:
            return self._answers[key]
        answer = self._ask(schema, node, types, elements)
        if key is not None:
            self._answers[key] = answer
        return answer

    def _schema(self, node: Node) -> Any:
        name = (node.domain, node.op)
        if name not in self._schemas:
            self._schemas[name] = _find_schema(node.op, self._opset.get(node.domain, 1), node.domain)
        return self._schemas[name]

    def _key(self, node: Node, types: Sequence[Any], elements: Sequence[Any]) -> Any:
        try:
            key = (node.op, tuple(sorted(node.attrs.items())), tuple(types), tuple(elements), len(node.outputs))
            hash(key)
        except TypeError:  # an attribute is a tensor
            return None
        return key

    def _ask(
        self, schema: Any, node: Node, types: Sequence[Type | None], elements: Sequence[tuple[int, ...] | None]
    ) -> Sequence[Type]:
        proto = _node_proto(node, types)
        if proto is None:
            return ()
        given = {f"i{slot}": _type_proto(*kind) for slot, kind in enumerate(types) if kind is not None}
        data = {
            f"i{slot}": _tensor_proto(kind[0], kind[1], items)
            for slot, (kind, items) in enumerate(zip(types, elements, strict=True))
            if items is not None and kind is not None
        }
        try:
            found = schema._infer_node_outputs(proto.SerializeToString(), given, data, {}, self._opset, 10)
        except Exception:  # the binding raises several types, all of which mean: no answer
            return ()
        return [_read(found.get(f"o{slot}")) for slot in range(len(node.outputs))]


def _find_schema(op: str, version: int, domain: str) -> Any:
    if domain not in _INFERRING_DOMAINS:
        return None
    try:
        return onnxlib.core().defs.get_schema(op, version, domain)
    except Exception:  # SchemaError: no such operator
        return None


def _node_proto(node: Node, types: Sequence[Type | None]) -> Any:
    """The node with numbered inputs and outputs; None where an attribute cannot be written."""
    pb2 = onnxlib.protobuf()
    proto = pb2.NodeProto(op_type=node.op, domain=node.domain)
    proto.input.extend("" if kind is None else f"i{slot}" for slot, kind in enumerate(types))
    proto.output.extend("" if out is None else f"o{slot}" for slot, out in enumerate(node.outputs))
    for name, value in node.attrs.items():
        attribute = proto.attribute.add(name=name)
        if not _write(attribute, value):
            return None
    return proto


def _write(attribute: Any, value: Any) -> bool:
    """Set an attribute's value and type (numbers of AttributeProto.AttributeType)."""
    if isinstance(value, int):
        attribute.i, attribute.type = value, 2
    elif isinstance(value, float):
        attribute.f, attribute.type = value, 1
    elif isinstance(value, str):
        attribute.s, attribute.type = value.encode(), 3
    elif isinstance(value, tuple):
        return _write_list(attribute, value)
    elif value.dtype in _NUMBERS:
        # Only type and shape count for inference; the elements stay where they are.
        attribute.t.data_type, attribute.type = _NUMBERS[value.dtype], 4
        attribute.t.dims.extend(value.shape)
    return True


def _write_list(attribute: Any, items: tuple[Any, ...]) -> bool:
    if all(isinstance(item, int) for item in items):
        attribute.type = 7
        attribute.ints.extend(items)
    elif all(isinstance(item, int | float) for item in items):
        attribute.type = 6
        attribute.floats.extend(items)
    elif all(isinstance(item, str) for item in items):
        attribute.type = 8
        attribute.strings.extend(item.encode() for item in items)
    else:
        return False
    return True


def _type_proto(dtype: str | None, shape: Shape | None) -> bytes:
    proto = onnxlib.protobuf().TypeProto()
    proto.tensor_type.elem_type = _NUMBERS[dtype or ""]
    if shape is not None:
        proto.tensor_type.shape.SetInParent()
        for size in shape:
            dim = proto.tensor_type.shape.dim.add()
            if isinstance(size, int):
                dim.dim_value = size
            elif size is not None:
                dim.dim_param = size
    serialized: bytes = proto.SerializeToString()
    return serialized


def _tensor_proto(dtype: str | None, shape: Shape | None, items: tuple[int, ...]) -> bytes:
    proto = onnxlib.protobuf().TensorProto(data_type=_NUMBERS[dtype or ""])
    proto.dims.extend(dim for dim in shape or () if isinstance(dim, int))
    (proto.int64_data if dtype == "int64" else proto.int32_data).extend(items)
    serialized: bytes = proto.SerializeToString()
    return serialized


def _read(serialized: bytes | None) -> Type:
    if serialized is None:
        return (None, None)
    proto = onnxlib.protobuf().TypeProto.FromString(serialized)
    if proto.WhichOneof("value") != "tensor_type":
        return (None, None)
    tensor = proto.tensor_type
    shape: Shape | None = tuple(map(_dim, tensor.shape.dim)) if tensor.HasField("shape") else None
    if shape is not None and len(shape) > MAX_RANK:
        shape = None
    return (NAMES.get(tensor.elem_type), shape)


def _dim(proto: Any) -> Dim:
    if proto.HasField("dim_value"):
        return int(proto.dim_value) if proto.dim_value >= 0 else None
    return proto.dim_param or None
