"""ModelProto -> Graph. Whatever is wrong with the model becomes a `Defect`; building goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from netlint.frontends import order
from netlint.graph import ONNX, Defect, Graph, Location, Node, Tensor, Value

from . import schema
from .attributes import GRAPH
from .level import Level
from .scopes import Scopes
from .strings import domain, function_key, shown, text
from .tensors import TensorReader

MAX_EXPANDED = 300_000
"""Calls and nodes that local functions may expand into; a model that nests calls exponentially stops here."""
_MAX_CALL_DEPTH = 40
_MAX_DEFECTS = 1000


class Builder:
    """Builds one graph; holds what all its levels share."""

    def __init__(self, model: Any, tensors: TensorReader, traced: bool = True) -> None:
        self._model = model
        self.traced = traced
        """Whether nodes may tell which line of code they come from; no need to ask each of them where none does."""
        self._tensors = tensors
        self._functions = {function_key(f): f for f in model.functions}
        self._costs = {key: _cost(function) for key, function in self._functions.items()}
        self.has_functions = bool(self._functions)
        self._expansions_left = MAX_EXPANDED
        self._stopped: set[str] = set()
        self.opset = {domain(entry.domain): entry.version for entry in model.opset_import}
        self.defects: list[Defect] = []
        self.attributes: dict[tuple[str | bytes, ...], Mapping[str, Any]] = {}
        """Decoded attributes without tensors, by operator and the bytes in which they are written."""

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
            name=text(proto.name),
            metadata={text(entry.key): text(entry.value) for entry in self._model.metadata_props},
            defects=tuple(self.defects),
        )

    @cached_property
    def scopes(self) -> Scopes:
        """Which module each node belongs to, where only its name tells."""
        return Scopes(self._model.graph.node, self._model.graph.initializer)

    def defect(self, kind: str, message: str, at: Location | Node | Level, proto: Any = None, help: str = "") -> None:
        """Note a defect; its location is worked out only as long as defects are still collected."""
        if len(self.defects) < _MAX_DEFECTS:
            where = at if isinstance(at, Location) else at.loc if isinstance(at, Node) else at.location(proto)
            self.defects.append(Defect(kind, message, where, help))

    def tensor(self, proto: Any, level: Level, node: Any = None) -> Tensor | None:
        return self._tensors.read(proto, lambda kind, message, help: self.defect(kind, message, level, node, help))

    def function(self, call: Any, level: Level) -> Any:
        """The local function a node calls, if it can be expanded in place; else the call stays opaque."""
        key = (domain(call.domain), text(call.op_type), text(call.overload))
        found = self._functions.get(key)
        if found is None:
            return None
        versions = {domain(entry.domain): entry.version for entry in found.opset_import}
        if versions.get(ONNX, self.opset.get(ONNX)) != self.opset.get(ONNX):
            return None  # operators mean something else inside
        if key in level.callers:
            self._stop(f"the local function {shown(found.name)} calls itself", level)
            return None
        if level.depth >= _MAX_CALL_DEPTH:
            self._stop(f"local functions call each other more than {_MAX_CALL_DEPTH} levels deep", level)
            return None
        if self._costs[key] > self._expansions_left:
            self._expansions_left = 0
            self._stop(f"local functions expand into more than {MAX_EXPANDED} nodes", level)
            return None
        self._expansions_left -= self._costs[key]
        return found

    def _stop(self, why: str, level: Level) -> None:
        """Note, once, that calls are left as they are."""
        if why not in self._stopped:
            self._stopped.add(why)
            self.defect("expansion", f"{why}; the rest is not analysed", level, help="inline the functions at export")

    def order(self, nodes: Sequence[Node], outputs: Sequence[Value | None], level: Level) -> list[Node]:
        ordered, cycles = order.canonical(nodes, outputs, level.producers)
        for cycle in cycles:
            names = " → ".join(node.loc.path for node in cycle[:5]) + (" → …" if len(cycle) > 5 else "")
            count = f"{len(cycle)} nodes feed each other" if len(cycle) > 1 else "a node feeds itself"
            self.defect("cycle", f"{count} in a cycle: {names}", cycle[0], help="a model is acyclic: export it again")
        return ordered


def _cost(function: Any) -> int:
    """How many steps one expansion of a function takes, nodes of bodies included."""
    return 1 + len(function.input) + len(function.attribute_proto) + len(function.value_info) + _count(function.node)


def _count(nodes: Iterable[Any]) -> int:
    count = 0
    for node in nodes:
        count += 1 + sum(_count(a.g.node) + len(a.g.initializer) for a in node.attribute if a.type == GRAPH)
    return count
