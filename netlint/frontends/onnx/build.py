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
        self.has_functions = bool(self._functions)
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
