"""One scope of names of a model: values, constants, nodes, calls of local functions expanded in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from netlint.graph import Body, Location, Node, Tensor, Value
from netlint.ops import HOLDS_BODIES

from . import schema
from .attributes import GRAPH, constant, decoded
from .declared import typed
from .source import STACK_TRACE, locate, source_line
from .storage import ELEMENT_TYPES, MissingTensor
from .strings import domain, function_key, shown, text

if TYPE_CHECKING:
    from .build import Builder


class Level:
    """One scope of names: the main graph, a body, or one call of a local function."""

    def __init__(self, builder: Builder, outer: Level | None = None) -> None:
        self._builder = builder
        self._outer = outer
        self.prefix: str = outer.prefix if outer else ""
        self.depth: int = outer.depth if outer else 0
        self.callers: frozenset[tuple[str, str, str]] = outer.callers if outer else frozenset()
        """The local functions being expanded around this level."""
        self._call_attributes: Mapping[str, Any] = outer._call_attributes if outer else {}
        """Attributes of the call being expanded, which a function's nodes refer to by name."""
        self._defined: dict[str, Value] = {}
        """The values of names whose definition lies behind us."""
        self._awaited: dict[str, Value] = {}
        """Of names that a later node defines, where the value is known before: it is read too early, or a function's
        result; `_ABSENT` for inputs of a function that its call leaves out."""
        self._protos: Sequence[Any] = ()
        self._hoisted: set[str] = set()
        """Names of nodes ahead of us that are constants already."""
        self._declared: Mapping[str, Any] = {}
        self.producers: dict[Value, Node] = {}

    def declare(self, proto: Any) -> list[Value]:
        """Take in the inputs and initializers of a GraphProto; returns the inputs without an initializer."""
        self._declared = {info.name: info for info in (*proto.value_info, *proto.output)}
        constants = self._initializers(proto)
        inputs = []
        seen: set[str] = set()
        for info in proto.input:
            if info.name in seen:
                self._duplicate(f"the input '{shown(info.name)}'")
            elif info.name not in constants:
                inputs.append(self._define(info.name, typed(info)))
            seen.add(info.name)
        for name, tensor in constants.items():
            known = Value(text(name), tensor.dtype, tensor.shape, tensor) if tensor else Value(text(name))
            self._define(name, known)
        return inputs

    def _initializers(self, proto: Any) -> dict[str, Tensor | None]:
        constants: dict[str, Tensor | None] = {}
        for initializer in proto.initializer:
            name = initializer.name
            if name in constants:
                self._duplicate(f"the initializer '{shown(name)}'")
            else:
                constants[name] = self._builder.tensor(initializer, self)
        for sparse in proto.sparse_initializer:
            dtype = ELEMENT_TYPES.get(sparse.values.data_type, ("float32",))[0]
            why = "sparse tensors are not read"
            constants.setdefault(sparse.values.name, MissingTensor(dtype, tuple(sparse.dims), why))
        return constants

    def _define(self, name: str, value: Value) -> Value:
        if name:  # without a name nothing can refer to it: the empty one means that an input is left out
            self._defined[name] = value
        return value

    def _duplicate(self, what: str, proto: Any = None) -> None:
        self._builder.defect("duplicate", f"{what} is defined twice", self, proto, "rename one of the two")

    def nodes(self, protos: Sequence[Any]) -> list[Node]:
        """The nodes of this level; calls are expanded, Constant nodes turned into constants."""
        built: list[Node] = []
        self._protos = protos
        defined, producers = self._defined, self.producers
        has_functions, opset, arity = self._builder.has_functions, self._builder.opset, schema.arity
        for proto in protos:  # every node of a model comes by: the usual case makes few calls
            op = text(proto.op_type)
            if (op == "Constant" and self._constant(proto)) or (op == "Identity" and self._alias(proto)):
                continue
            # Slices are the quickest copies of a repeated field.
            inputs = [defined.get(name) or self._read(name, proto) for name in proto.input[:]]
            outputs = [self._written(name, proto) for name in proto.output[:]]
            if has_functions and (function := self._builder.function(proto, self)) is not None:
                built += self._call(function, proto, inputs, outputs)
                continue
            where = proto.domain and domain(proto.domain)
            op = schema.named(where, op)
            least, most, sure = arity(where, op, opset.get(where, 0))
            if not least <= len(inputs) <= most:
                self._fit(inputs, least, most, proto if sure else None)
            bodies = self._bodies(proto) if op in HOLDS_BODIES or where else _NO_BODIES
            node = Node(op, inputs, outputs, _Detail(proto, self), where, bodies)
            for value in outputs:
                if value is not None:
                    producers[value] = node
            built.append(node)
        return built

    def _fit(self, inputs: list[Value | None], least: int, most: int, proto: Any) -> None:
        """Give a node as many inputs as its operator has: whoever reads it relies on that. None: not a defect."""
        while len(inputs) > most and inputs[-1] is None:
            inputs.pop()
        if proto is not None and not least <= len(inputs) <= most:
            wanted = str(least) if least == most else f"{least} or more" if least > len(inputs) else f"at most {most}"
            message = f"{text(proto.op_type)} takes {wanted} inputs, but has {len(inputs)}"
            self._builder.defect("arity", message, self, proto, "export the model again")
        inputs[:] = (inputs + [None] * least)[: max(min(len(inputs), most), least)]

    def _bodies(self, proto: Any) -> dict[str, Body]:
        """The bodies by name, in an order that does not depend on the file: then_branch before else_branch."""
        graphs = {text(a.name): a.g for a in proto.attribute if a.type == GRAPH and not a.ref_attr_name}
        return {name: self._body(graphs[name]) for name in sorted(graphs, reverse=True)}

    def _body(self, proto: Any) -> Body:
        level = Level(self._builder, self)
        level.depth += bool(level.depth)
        inputs = level.declare(proto)
        nodes = level.nodes(proto.node)
        outputs = level.outputs(proto.output)
        return Body(text(proto.name), tuple(inputs), tuple(outputs), tuple(self._builder.order(nodes, outputs, level)))

    def _call(
        self, function: Any, call: Any, inputs: Sequence[Value | None], outputs: Sequence[Value | None]
    ) -> list[Node]:
        """The nodes of a local function, computing the caller's own output values from its input values."""
        inner = Level(self._builder)
        inner.prefix = f"{self.prefix} ▸ {text(call.name or call.op_type)}".removeprefix(" ▸ ")
        inner.depth = self.depth + 1
        inner.callers = self.callers | {function_key(function)}
        defaults = {attribute.name: attribute for attribute in function.attribute_proto}
        given = ((a.name, self._actual(a)) for a in call.attribute)
        inner._call_attributes = defaults | {name: actual for name, actual in given if actual is not None}
        inner._declared = {info.name: info for info in function.value_info}
        for index, name in enumerate(function.input):
            actual = inputs[index] if index < len(inputs) else None
            if actual is not None:
                inner._define(name, actual)
            elif name:
                inner._awaited[name] = _ABSENT
        passed = inner._bind(function.output, outputs, call)
        nodes = inner.nodes(function.node) + passed
        for name in function.output:
            if name not in inner._defined and inner._awaited.get(name) is not _ABSENT:
                message = f"the local function {shown(function.name)} does not produce its output '{shown(name)}'"
                self._builder.defect("dangling", message, self, call, "export the model again")
        self.producers.update(inner.producers)
        return nodes

    def _bind(self, names: Sequence[str], outputs: Sequence[Value | None], call: Any) -> list[Node]:
        """Let the function's results be the caller's values; an input that it returns goes through Identity."""
        passed = []
        for name, actual in zip(names, outputs, strict=False):
            if actual is None or not name:
                continue
            given = self._defined.get(name) or self._awaited.get(name)
            if given is None:
                self._awaited[name] = actual
            else:
                passed.append(Node("Identity", [None if given is _ABSENT else given], [actual], _Detail(call, self)))
                self.producers[actual] = passed[-1]
        return passed

    def outputs(self, infos: Iterable[Any]) -> list[Value | None]:
        found = []
        for info in infos:
            value = self._find(info.name)[0]
            if value is None:
                message = f"the output '{shown(info.name)}' is not produced"
                self._builder.defect("dangling", message, self, help="export the model again")
            found.append(None if value is _ABSENT else value)
        return found

    def _read(self, name: str, proto: Any) -> Value | None:
        """The value of a name that is not defined in this level, or not yet."""
        if not name:
            return None
        value, defined = self._find(name)
        if value is None:
            message = f"{text(proto.op_type)} reads '{shown(name)}', which nothing produces"
            self._builder.defect("dangling", message, self, proto, "export the model again")
            return self._define(name, Value(text(name)))
        if value is _ABSENT:
            return None
        if not defined:
            message = f"{text(proto.op_type)} reads '{shown(name)}' before it is produced"
            self._builder.defect("unsorted", message, self, proto, "sort the nodes topologically")
        return value

    def _written(self, name: str, proto: Any) -> Value | None:
        """What a node writes to a name, which may be empty or taken."""
        if not name:
            return None
        if name not in self._defined:
            known = self._awaited.get(name, _ABSENT) if self._awaited else _ABSENT
            value = self._defined[name] = self._declare(name) if known is _ABSENT else known
            return value
        self._duplicate(f"'{shown(name)}', which {text(proto.op_type)} produces,", proto)
        return Value(text(name))  # the first definition's users stay right

    def _find(self, name: str) -> tuple[Value | None, bool]:
        """The value of a name in the closest level that knows it, and whether it is defined already."""
        level: Level | None = self
        while level is not None:
            if name in level._defined:
                return level._defined[name], True
            if name in level._awaited:
                return level._awaited[name], False
            if name in level._ahead:
                if name in level._defined:
                    return level._defined[name], True
                value = level._awaited[name] = level._declare(name)
                return value, False
            level = level._outer
        return None, False

    @cached_property
    def _ahead(self) -> frozenset[str]:
        """The names that all nodes of this level define, asked for where one is read that is not defined yet.

        A constant may be read before its node comes.
        """
        for op, make in (("Constant", self._constant), ("Identity", self._alias)):
            self._hoisted.update(proto.output[0] for proto in self._protos if text(proto.op_type) == op and make(proto))
        return frozenset(name for proto in self._protos for name in proto.output if name)

    def _declare(self, name: str) -> Value:
        """A value with what is declared of it."""
        info = self._declared.get(name)
        return Value(text(name)) if info is None else typed(info)

    def _constant(self, proto: Any) -> bool:
        """Turn a Constant node into a constant of this level; False where it is none or cannot be read."""
        if domain(proto.domain) or len(proto.output) != 1 or len(proto.attribute) != 1:
            return False
        name = proto.output[0]
        attribute = self._actual(proto.attribute[0])
        if name in self._hoisted:
            self._hoisted.discard(name)
            return True
        if not name or name in self._defined or attribute is None:
            return False
        tensor = constant(attribute, lambda tensor: self._builder.tensor(tensor, self, proto))
        if tensor is None:
            return False
        known = self._awaited.get(name, _ABSENT)
        value = self._define(name, Value(text(name)) if known is _ABSENT else known)
        value.dtype, value.shape, value.constant = tensor.dtype, tensor.shape, tensor
        return True

    def _alias(self, proto: Any) -> bool:
        """Turn an Identity of a constant into a constant of its own: exporters store equal parameters once."""
        if domain(proto.domain) or len(proto.input) != 1 or len(proto.output) != 1:
            return False
        name = proto.output[0]
        if name in self._hoisted:
            self._hoisted.discard(name)
            return True
        stored = self._defined.get(proto.input[0])
        if not name or name in self._defined or name in self._awaited or stored is None or stored.constant is None:
            return False
        self._define(name, Value(text(name), stored.dtype, stored.shape, stored.constant))
        return True

    def _actual(self, attribute: Any) -> Any:
        """The attribute, or the call's one that it refers to; None if the call gives none."""
        return self._call_attributes.get(attribute.ref_attr_name) if attribute.ref_attr_name else attribute

    def attrs(self, proto: Any) -> Mapping[str, Any]:
        """The attributes of a node, decoded; those of kinds that no analysis reads are left out.

        So are those of another kind than the operator takes: whoever reads `axis` may rely on an integer. Nodes whose
        attributes are written in the same bytes share one mapping: deep models repeat a few thousands of times.
        """
        if not proto.attribute:
            return _NO_ATTRIBUTES
        if self._call_attributes:
            return self._decoded(proto)
        key = (proto.domain, proto.op_type, *[attribute.SerializeToString() for attribute in proto.attribute])
        shared = self._builder.attributes
        found = shared.get(key)
        if found is None:
            found = self._decoded(proto)
            if not any(hasattr(value, "storage") for value in found.values()):
                shared[key] = found
        return found

    def _decoded(self, proto: Any) -> dict[str, Any]:
        found = {}
        where = domain(proto.domain)
        op = schema.named(where, text(proto.op_type))
        types = schema.attribute_types(where, op, self._builder.opset.get(where, 0))
        for attribute in proto.attribute:
            actual = self._actual(attribute)
            fits = actual is not None and types.get(text(attribute.name), actual.type) == actual.type
            value = decoded(actual, lambda tensor: self._builder.tensor(tensor, self, proto)) if fits else None
            if value is not None:
                found[text(attribute.name)] = value
        return found

    def location(self, proto: Any = None) -> Location:
        """Where a node of this level is; without one, where the level is."""
        if proto is None:
            return Location(self.prefix or "model")
        metadata = {text(entry.key): text(entry.value) for entry in proto.metadata_props}
        output = text(proto.output[0]) if proto.output else ""
        weight = text(proto.input[1]) if len(proto.input) > 1 else ""
        modules = self._builder.scopes.module
        return locate(text(proto.op_type), text(proto.name), output, metadata, self.prefix, modules, weight)

    def source(self, proto: Any) -> tuple[str, int] | None:
        """The line of code that a node of this level comes from."""
        for entry in proto.metadata_props if self._builder.traced else ():
            if entry.key == STACK_TRACE:
                return source_line(text(entry.value))
        return None


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

    def source(self) -> tuple[str, int] | None:
        return self._level.source(self._proto)


_ABSENT = Value("")
"""Stands for an optional input that the caller of a function left out."""
_NO_BODIES: dict[str, Body] = {}
_NO_ATTRIBUTES: Mapping[str, Any] = {}
