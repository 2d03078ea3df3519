"""ModelProto -> Graph. Whatever is wrong with the model becomes a `Defect`; building goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from netlint.graph import ONNX, Body, Defect, Graph, Location, Node, Shape, Tensor, Value

from . import order, schema
from .source import locate
from .storage import ELEMENT_TYPES, ListedTensor, MissingTensor
from .tensors import TensorReader

MAX_EXPANDED = 300_000
"""Calls and nodes that local functions may expand into; a model that nests calls exponentially stops here."""
_MAX_CALL_DEPTH = 40
_MAX_DEFECTS = 1000
# AttributeProto.type -> the field that holds the value, for what is decoded to plain Python.
_ATTRIBUTE = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints", 8: "strings"}
_TENSOR, _GRAPH = 4, 5
_HAS_BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})


class Builder:
    """Builds one graph; holds what all its levels share."""

    def __init__(self, model: Any, tensors: TensorReader) -> None:
        self._model = model
        self._tensors = tensors
        self._functions = {(_domain(f.domain), f.name, f.overload): f for f in model.functions}
        self._expansions_left = MAX_EXPANDED
        self.opset = {_domain(entry.domain): entry.version for entry in model.opset_import}
        self.defects: list[Defect] = []

    def build(self) -> Graph:
        """The graph of the model, with its defects."""
        proto = self._model.graph
        level = Level(self)
        inputs = level.declare(proto)
        nodes = level.nodes(proto.node)
        outputs = level.outputs(proto.output)
        ordered = tuple(order.flatten(self.order(nodes, outputs, level)))
        self.defects += islice(schema.check(ordered, self.opset), max(_MAX_DEFECTS - len(self.defects), 0))
        return Graph(
            inputs=tuple(inputs),
            outputs=tuple(value for value in outputs if value is not None),
            nodes=ordered,
            opset=self.opset,
            name=proto.name,
            metadata={entry.key: entry.value for entry in self._model.metadata_props},
            defects=tuple(self.defects),
        )

    def defect(self, kind: str, message: str, at: Location | Node | Level, proto: Any = None, help: str = "") -> None:
        """Note a defect; its location is worked out only as long as defects are still collected."""
        if len(self.defects) < _MAX_DEFECTS:
            where = at if isinstance(at, Location) else at.loc if isinstance(at, Node) else at.location(proto)
            self.defects.append(Defect(kind, message, where, help))

    def tensor(self, proto: Any, level: Level, node: Any = None) -> Tensor | None:
        return self._tensors.read(proto, lambda kind, message, help: self.defect(kind, message, level, node, help))

    def function(self, call: Any, level: Level) -> Any:
        """The local function a node calls, if it can be expanded in place."""
        if not self._functions:
            return None
        found = self._functions.get((_domain(call.domain), call.op_type, call.overload))
        if found is None or level.depth >= _MAX_CALL_DEPTH:
            return None
        versions = {_domain(entry.domain): entry.version for entry in found.opset_import}
        if versions.get(ONNX, self.opset.get(ONNX)) != self.opset.get(ONNX):
            return None  # operators mean something else inside: the call stays opaque
        return found if self.take(level) else None

    def take(self, level: Level) -> bool:
        """Whether one more call or node may come out of a function."""
        if self._expansions_left == 0:
            message = f"local functions expand into more than {MAX_EXPANDED} nodes; the rest is not analysed"
            self.defect("expansion", message, level, help="inline the functions at export")
        self._expansions_left -= 1
        return self._expansions_left >= 0

    def order(self, nodes: Sequence[Node], outputs: Sequence[Value | None], level: Level) -> list[Node]:
        ordered, cycles = order.canonical(nodes, outputs, level.producers)
        for cycle in cycles[:_MAX_DEFECTS]:
            names = " → ".join(node.loc.path for node in cycle[:5]) + (" → …" if len(cycle) > 5 else "")
            message = f"{len(cycle)} nodes feed each other in a cycle: {names}"
            self.defect("cycle", message, cycle[0], help="a model is acyclic: export it again")
        return ordered


class Level:
    """One scope of names: the main graph, a body, or one call of a local function."""

    def __init__(self, builder: Builder, outer: Level | None = None) -> None:
        self._builder = builder
        self._outer = outer
        self.prefix = outer.prefix if outer else ""
        self.depth = outer.depth if outer else 0
        self._call_attributes: Mapping[str, Any] = outer._call_attributes if outer else {}
        """Attributes of the call being expanded, which a function's nodes refer to by name."""
        self._values: dict[str, Value] = {}
        self._defined: set[str] = set()
        """Names whose definition lies behind us; the others in `_values` are defined by later nodes."""
        self._declared: Mapping[str, Any] = {}
        self.producers: dict[Value, Node] = {}

    def declare(self, proto: Any) -> list[Value]:
        """Take in the inputs and initializers of a GraphProto; returns the inputs without an initializer."""
        self._declared = {info.name: info for info in (*proto.value_info, *proto.output)}
        constants = self._initializers(proto)
        inputs = []
        for info in proto.input:
            if info.name in self._defined:
                self._duplicate(f"the input '{info.name}'")
            elif info.name not in constants:
                inputs.append(self._define(_typed(info)))
        for name, tensor in constants.items():
            self._define(Value(name, tensor and tensor.dtype, tensor and tensor.shape, tensor))
        return inputs

    def _initializers(self, proto: Any) -> dict[str, Tensor | None]:
        constants: dict[str, Tensor | None] = {}
        for initializer in proto.initializer:
            if initializer.name in constants:
                self._duplicate(f"the initializer '{initializer.name}'")
            else:
                constants[initializer.name] = self._builder.tensor(initializer, self)
        for sparse in proto.sparse_initializer:
            dtype = ELEMENT_TYPES.get(sparse.values.data_type, ("float32",))[0]
            why = "sparse tensors are not read"
            constants.setdefault(sparse.values.name, MissingTensor(dtype, tuple(sparse.dims), why))
        return constants

    def _define(self, value: Value) -> Value:
        self._values[value.name] = value
        self._defined.add(value.name)
        return value

    def _duplicate(self, what: str, proto: Any = None) -> None:
        self._builder.defect("duplicate", f"{what} is defined twice", self, proto, "rename one of the two")

    def nodes(self, protos: Sequence[Any]) -> list[Node]:
        """The nodes of this level; calls are expanded, Constant nodes turned into constants."""
        kept = [proto for proto in protos if not self._constant(proto)]
        values, declared = self._values, self._declared
        for proto in kept:
            for name in proto.output:
                if name and name not in values:
                    info = declared.get(name)
                    values[name] = Value(name) if info is None else _typed(info)
        built: list[Node] = []
        for proto in kept:
            built += self._expand(proto)
        return built

    def _expand(self, proto: Any) -> list[Node]:
        inputs = [self._read(name, proto) if name else None for name in proto.input]
        outputs = [self._write(name, proto) if name else None for name in proto.output]
        function = self._builder.function(proto, self)
        if function is not None:
            return self._call(function, proto, inputs, outputs)
        if self.depth and not self._builder.take(self):
            return []
        return [self._add(Node(proto.op_type, inputs, outputs, _Detail(proto, self), *self._rest(proto)))]

    def _rest(self, proto: Any) -> tuple[str, str, dict[str, Body] | None]:
        bodies = None
        if proto.op_type in _HAS_BODIES:
            bodies = {a.name: self._body(a.g) for a in proto.attribute if a.type == _GRAPH}
        return _domain(proto.domain), proto.name, bodies

    def _add(self, node: Node) -> Node:
        for value in node.outputs:
            if value is not None:
                self.producers[value] = node
        return node

    def _body(self, proto: Any) -> Body:
        level = Level(self._builder, self)
        inputs = level.declare(proto)
        nodes = level.nodes(proto.node)
        outputs = level.outputs(proto.output)
        return Body(proto.name, tuple(inputs), tuple(outputs), tuple(self._builder.order(nodes, outputs, level)))

    def _call(
        self, function: Any, call: Any, inputs: Sequence[Value | None], outputs: Sequence[Value | None]
    ) -> list[Node]:
        """The nodes of a local function, computing the caller's own output values from its input values."""
        inner = Level(self._builder)
        inner.prefix = f"{self.prefix} ▸ {call.name or call.op_type}".removeprefix(" ▸ ")
        inner.depth = self.depth + 1
        defaults = {attribute.name: attribute for attribute in function.attribute_proto}
        inner._call_attributes = defaults | {a.name: self._resolve(a) or a for a in call.attribute}
        inner._declared = {info.name: info for info in function.value_info}
        for index, name in enumerate(function.input):
            actual = inputs[index] if index < len(inputs) else None
            inner._values[name] = _ABSENT if actual is None else actual
            inner._defined.add(name)
        passed = inner._bind(function.output, outputs, call)
        nodes = inner.nodes(function.node) + passed
        self.producers.update(inner.producers)
        return nodes

    def _bind(self, names: Sequence[str], outputs: Sequence[Value | None], call: Any) -> list[Node]:
        """Let the function's results be the caller's values; an input that it returns goes through Identity."""
        passed = []
        for name, actual in zip(names, outputs, strict=False):
            if actual is None:
                continue
            if name not in self._values:
                self._values[name] = actual
            else:
                passed.append(self._add(Node("Identity", [self._values[name]], [actual], _Detail(call, self))))
        return passed

    def outputs(self, infos: Iterable[Any]) -> list[Value | None]:
        found = []
        for info in infos:
            value = self._find(info.name)
            if value is None:
                message = f"the output '{info.name}' is not produced"
                self._builder.defect("dangling", message, self, help="export the model again")
            found.append(value)
        return found

    def _read(self, name: str, proto: Any) -> Value | None:
        value = self._values.get(name)
        if value is None:
            value = self._find(name)
            if value is None:
                message = f"{proto.op_type} reads '{name}', which nothing produces"
                self._builder.defect("dangling", message, self, proto, "export the model again")
                value = self._define(Value(name))
        elif name not in self._defined:
            message = f"{proto.op_type} reads '{name}' before it is produced"
            self._builder.defect("unsorted", message, self, proto, "sort the nodes topologically")
        return None if value is _ABSENT else value

    def _write(self, name: str, proto: Any) -> Value:
        if name in self._defined:
            self._duplicate(f"'{name}', which {proto.op_type} produces,", proto)
            return Value(name)  # the first definition's users stay right
        self._defined.add(name)
        return self._values[name]

    def _find(self, name: str) -> Value | None:
        level: Level | None = self
        while level is not None:
            value = level._values.get(name)
            if value is not None:
                return value
            level = level._outer
        return None

    def _constant(self, proto: Any) -> bool:
        """Turn a Constant node into a constant of this level; False where it is none or cannot be read."""
        if proto.op_type != "Constant" or _domain(proto.domain) or len(proto.output) != 1:
            return False
        name = proto.output[0]
        if len(proto.attribute) != 1 or name in self._defined:
            return False
        tensor = self._constant_tensor(self._resolve(proto.attribute[0]) or proto.attribute[0], proto)
        if tensor is None:
            return False
        value = self._define(self._values.get(name) or Value(name))
        value.dtype, value.shape, value.constant = tensor.dtype, tensor.shape, tensor
        return True

    def _constant_tensor(self, attribute: Any, proto: Any) -> Tensor | None:
        if attribute.type == _TENSOR:
            return self._builder.tensor(attribute.t, self, proto)
        if attribute.type not in _ATTRIBUTE:
            return None
        value = getattr(attribute, _ATTRIBUTE[attribute.type])
        dtype = {"f": "float32", "i": "int64"}.get(_ATTRIBUTE[attribute.type][0], "string")
        single = attribute.type < 4
        items = [value] if single else list(value)
        return ListedTensor(dtype, () if single else (len(items),), items)

    def _resolve(self, attribute: Any) -> Any:
        """The call's attribute that a function's attribute refers to; None if it refers to none."""
        return self._call_attributes.get(attribute.ref_attr_name) if attribute.ref_attr_name else None

    def attrs(self, proto: Any) -> dict[str, Any]:
        """The attributes of a node, decoded; those of kinds that no analysis reads are left out."""
        decoded = {}
        for attribute in proto.attribute:
            actual = self._resolve(attribute) if attribute.ref_attr_name else attribute
            value = None if actual is None else self._decode(actual, proto)
            if value is not None:
                decoded[attribute.name] = value
        return decoded

    def _decode(self, attribute: Any, proto: Any) -> Any:
        if attribute.type == _TENSOR:
            return self._builder.tensor(attribute.t, self, proto)
        if attribute.type not in _ATTRIBUTE:
            return None
        value = getattr(attribute, _ATTRIBUTE[attribute.type])
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, int | float):
            return value
        return tuple(item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in value)

    def location(self, proto: Any = None) -> Location:
        """Where a node of this level is; without one, where the level is."""
        if proto is None:
            return Location(self.prefix or "model")
        metadata = {entry.key: entry.value for entry in proto.metadata_props}
        output = proto.output[0] if proto.output else ""
        return locate(proto.op_type, proto.name, output, metadata, self.prefix)


class _Detail:
    """What a node says of itself, decoded on demand."""

    __slots__ = ("_level", "_proto")

    def __init__(self, proto: Any, level: Level) -> None:
        self._proto = proto
        self._level = level

    def attrs(self) -> Mapping[str, Any]:
        return self._level.attrs(self._proto)

    def location(self) -> Location:
        return self._level.location(self._proto)


_ABSENT = Value("")
"""Stands for an optional input that the caller of a function left out."""


def _domain(name: str) -> str:
    return ONNX if name == "ai.onnx" else name


def _typed(info: Any) -> Value:
    """A value with the type and shape that the file declares."""
    kind = info.type.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type"):
        return Value(info.name, kind and kind.removesuffix("_type"))
    tensor = getattr(info.type, kind)
    dtype = ELEMENT_TYPES.get(tensor.elem_type, (None,))[0]
    return Value(info.name, dtype, _shape(tensor.shape) if tensor.HasField("shape") else None)


def _shape(proto: Any) -> Shape:
    return tuple(dim.dim_param or None if not dim.HasField("dim_value") else _size(dim.dim_value) for dim in proto.dim)


def _size(length: int) -> int | None:
    """Exporters of old wrote 0 or -1 for an axis of unknown length."""
    return length if length > 0 else None
