"""One scope of names of a model: values, constants, nodes, calls of local functions expanded in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netlint.graph import Body, Location, Node, Shape, Tensor, Value

from .source import locate
from .storage import ELEMENT_TYPES, ListedTensor, MissingTensor
from .strings import domain, shown, text

if TYPE_CHECKING:
    from .build import Builder

# AttributeProto.type -> the field that holds the value, for what is decoded to plain Python.
_ATTRIBUTE = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints", 8: "strings"}
_TENSOR, _GRAPH = 4, 5
_HAS_BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})


class Level:
    """One scope of names: the main graph, a body, or one call of a local function."""

    def __init__(self, builder: Builder, outer: Level | None = None) -> None:
        self._builder = builder
        self._outer = outer
        self.prefix: str = outer.prefix if outer else ""
        self.depth: int = outer.depth if outer else 0
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
            self._define(Value(name, tensor.dtype, tensor.shape, tensor) if tensor else Value(name))
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
        kept: list[tuple[Any, str, list[str]]] = []
        values, declared = self._values, self._declared
        for proto in protos:
            op = proto.op_type
            if op == "Constant" and self._constant(proto):
                continue
            names = list(proto.output)
            kept.append((proto, op, names))
            for name in names:
                if name and name not in values:
                    info = declared.get(name)
                    values[name] = Value(name) if info is None else _typed(info)
        return self._linked(kept)

    def _linked(self, protos: Sequence[tuple[Any, str, list[str]]]) -> list[Node]:
        """Nodes with their values; this loop sees every node of a model, so the usual case makes no calls."""
        built: list[Node] = []
        values, defined, producers = self._values, self._defined, self.producers
        special = bool(self.depth) or self._builder.has_functions
        for proto, op, names in protos:
            inputs = [values[name] if name in defined else self._read(name, proto) for name in proto.input]
            outputs = [
                values[name] if name and name not in defined else self._rewrite(name, proto) for name in names
            ]
            defined.update(names)
            defined.discard("")
            if special and (expanded := self._expand(proto, inputs, outputs)) is not None:
                built += expanded
                continue
            bodies = self._bodies(proto) if op in _HAS_BODIES else _NO_BODIES
            node = Node(op, inputs, outputs, _Detail(proto, self), proto.domain, bodies)
            for value in outputs:
                producers[value] = node
            built.append(node)
        producers.pop(None, None)
        return built

    def _expand(
        self, proto: Any, inputs: Sequence[Value | None], outputs: Sequence[Value | None]
    ) -> list[Node] | None:
        """The nodes that a call stands for (none, where the limit is reached); None for a node of its own."""
        function = self._builder.function(proto, self)
        if function is not None:
            return self._call(function, proto, inputs, outputs)
        return [] if self.depth and not self._builder.take(self) else None

    def _bodies(self, proto: Any) -> dict[str, Body]:
        return {a.name: self._body(a.g) for a in proto.attribute if a.type == _GRAPH}

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
            if actual is not None:
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
                passed.append(Node("Identity", [self._values[name]], [actual], _Detail(call, self)))
                self.producers[actual] = passed[-1]
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
        """The value of a name that is not defined in this level, or not yet."""
        if not name:
            return None
        value = self._values.get(name)
        if value is None:
            value = self._find(name)
            if value is None:
                message = f"{proto.op_type} reads '{name}', which nothing produces"
                self._builder.defect("dangling", message, self, proto, "export the model again")
                value = self._define(Value(name))
        elif value is not _ABSENT:
            message = f"{proto.op_type} reads '{name}' before it is produced"
            self._builder.defect("unsorted", message, self, proto, "sort the nodes topologically")
        return None if value is _ABSENT else value

    def _rewrite(self, name: str, proto: Any) -> Value | None:
        """What a node writes to a name that is empty or taken."""
        if not name:
            return None
        self._duplicate(f"'{name}', which {proto.op_type} produces,", proto)
        return Value(name)  # the first definition's users stay right

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
        if _domain(proto.domain) or len(proto.output) != 1:
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
_NO_BODIES: dict[str, Body] = {}


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
