"""Graphs of torch.fx -> `Program`: recordings, `ExportedProgram`s and what `symbolic_trace` gives."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.fx
from torch.overrides import resolve_name

from netlint.frontends.aten.calls import Call, Length, Program, Ref
from netlint.frontends.aten.locations import locate
from netlint.frontends.aten.serialized import WRAPPERS
from netlint.frontends.aten.types import dtype_name
from netlint.graph import Dim, Holder, Location, Shape

from .leaves import opened
from .recording import Recording, SymbolicInt
from .tensors import LiveTensor, storage_of

_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
_NAMED = (torch.device, torch.memory_format, torch.layout)


def program(source: Recording | torch.fx.GraphModule | torch.export.ExportedProgram, name: str = "") -> Program:
    """The calls of a graph, in its order. Shapes and types are those in `meta`; without these they are unknown."""
    if isinstance(source, Recording):
        return _Reader(source.graph, source.tensors.__getitem__).program(name)
    if isinstance(source, torch.export.ExportedProgram):
        return _exported(source).program(name)
    module = opened(source)
    return _Reader(module.graph, lambda target: _attribute(module, target)).program(name)


def _attribute(module: torch.nn.Module, target: str) -> Any:
    found: Any = module
    for part in target.split("."):
        found = getattr(found, part)
    return found


def _exported(exported: torch.export.ExportedProgram) -> _Reader:
    """Parameters, buffers and constants are placeholders there; outputs that update buffers are left out."""
    signature = exported.graph_signature
    lifted: dict[str, torch.Tensor] = {}
    for spec in signature.input_specs:
        if spec.target is None or not hasattr(spec.arg, "name"):
            continue
        stored = exported.state_dict.get(spec.target, exported.constants.get(spec.target))
        if isinstance(stored, torch.Tensor):
            lifted[spec.arg.name] = stored
    named = {spec.arg.name: spec.target for spec in signature.input_specs if getattr(spec.arg, "name", None)}
    reader = _Reader(exported.graph, lambda target: _attribute(exported.graph_module, target), lifted, named)
    kinds = torch.export.graph_signature.OutputKind
    reader.returned = [spec.kind in (kinds.USER_OUTPUT, kinds.LOSS_OUTPUT) for spec in signature.output_specs]
    return reader


class _Reader:
    """Walks one graph."""

    def __init__(
        self,
        graph: torch.fx.Graph,
        attribute: Callable[[str], Any],
        lifted: Mapping[str, torch.Tensor] | None = None,
        named: Mapping[str, str | None] | None = None,
    ) -> None:
        self._graph = graph
        self._attribute = attribute
        self._lifted = lifted or {}
        self._named = named or {}
        self._results: dict[torch.fx.Node, Any] = {}
        self._constants: dict[Hashable, Ref] = {}
        self._inputs: list[Ref] = []
        self._calls: list[Call] = []
        self.returned: list[bool] | None = None
        """Which outputs the program's user gets; None: all."""

    def program(self, name: str) -> Program:
        outputs = self._walk(self._graph, self._attribute)
        return Program(self._inputs, self._calls, list(_refs(outputs)), name)

    def _walk(
        self, graph: torch.fx.Graph, attribute: Callable[[str], Any], operands: Sequence[Any] | None = None
    ) -> Any:
        """Read the nodes of a graph and return what it returns. `operands`: in place of its inputs."""
        given = iter(operands or ())
        result: Any = None
        for node in graph.nodes:
            if node.op == "placeholder":
                self._results[node] = next(given, None) if operands is not None else self._placeholder(node)
            elif node.op == "get_attr":
                self._results[node] = self._held(node, attribute(str(node.target)))
            elif node.op == "output":
                result = self._given(self._outputs(node) if operands is None else node.args[0])
            else:
                self._results[node] = self._call(node)
        return result

    def _outputs(self, node: torch.fx.Node) -> Any:
        values = node.args[0]
        if self.returned is None or not isinstance(values, list | tuple):
            return values
        return [value for value, kept in zip(values, self.returned, strict=False) if kept]

    def _placeholder(self, node: torch.fx.Node) -> Any:
        if node.name in self._lifted:
            return self._stored(str(self._named.get(node.name) or node.name), self._lifted[node.name])
        value = node.meta.get("val")
        if value is None and "val" in node.meta:
            return None
        found = self._result(node, value) if "val" in node.meta else Ref(str(node.target), None, None)
        self._inputs += _refs(found)
        return found

    def _held(self, node: torch.fx.Node, tensor: Any) -> Any:
        """What a recording holds lies, for what is written into it, where its stand-in lay."""
        return self._stored(str(node.target), tensor, node.meta.get("storage"), node.meta.get("held"))

    def _stored(self, target: str, tensor: Any, storage: Hashable = None, held: Holder | None = None) -> Any:
        """A parameter, buffer or constant; the same tensor under two names is one."""
        if not isinstance(tensor, torch.Tensor):
            return tensor
        live = LiveTensor(tensor)
        known = self._constants.get(id(tensor))
        if known is None:
            trainable = isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad
            known = Ref(target, live.dtype, live.shape, live, trainable, held, storage or storage_of(tensor))
            self._constants[id(tensor)] = known
        return known

    # Calls

    def _call(self, node: torch.fx.Node) -> Any:
        name, overload, origin = spelled(node)
        args, kwargs = [self._given(arg) for arg in node.args], {k: self._given(v) for k, v in node.kwargs.items()}
        if name == "getitem" and not isinstance(args[0], Ref):
            return _part(args[0], args[1])
        if name == "getattr":
            name, origin, args = str(args[1]), f"torch.Tensor.{args[1]}", args[:1]
            if name in ("shape", "dtype", "device", "ndim"):
                return self._property(node, name, args[0])
        graph = WRAPPERS.get(name, len(args))
        if graph < len(args) and isinstance(args[graph], torch.fx.GraphModule):
            inner = args[graph]
            return self._walk(inner.graph, lambda target: _attribute(inner, target), args[graph + 1 :])
        result = self._recorded(node, name, args)
        if isinstance(node.meta.get("val"), _SYMBOLIC) and name in ("floordiv", "mod", "__floordiv__", "__mod__"):
            name = f"sym_{name.strip('_')}"
        self._calls.append(Call(name, overload, origin, args, kwargs, result, self._location(node, name)))
        return result

    def _property(self, node: torch.fx.Node, name: str, ref: Any) -> Any:
        if isinstance(ref, Ref) and ref.shape is not None:
            return {"shape": list(ref.shape), "dtype": ref.dtype, "ndim": len(ref.shape)}.get(name)
        return None

    def _recorded(self, node: torch.fx.Node, name: str, args: Sequence[Any]) -> Any:
        if "val" in node.meta:
            return self._result(node, node.meta["val"])
        if "tensor_meta" in node.meta:
            return _from_meta(node.name, node.meta["tensor_meta"])
        places = [
            user.args[1] for user in node.users if user.target is operator.getitem and isinstance(user.args[1], int)
        ]
        if places and len(places) == len(node.users) and name in _SEVERAL:
            return [Ref(f"{node.name}_{place}", None, None) for place in range(max(places) + 1)]
        return Ref(node.name, None, None)

    def _result(self, node: torch.fx.Node, value: Any) -> Any:
        return mirrored(node.name, value, node.meta.get("shape"), node.meta.get("storage"))

    def _location(self, node: torch.fx.Node, name: str) -> Location:
        given = node.meta.get("location")
        if isinstance(given, Location):
            return given
        stack = node.meta.get("nn_module_stack") or {}
        modules = [(str(path), _class_name(kind)) for path, kind in stack.values()]
        return locate(name, modules, str(node.meta.get("stack_trace") or ""))

    def _given(self, arg: Any) -> Any:
        """An argument without anything of torch in it."""
        if isinstance(arg, torch.fx.Node):
            return self._results.get(arg)
        if isinstance(arg, SymbolicInt):
            return Length(arg, arg.symbol)
        if arg is None or isinstance(arg, bool | int | float | str):
            return arg
        if isinstance(arg, list | tuple):
            return [self._given(item) for item in arg]
        if isinstance(arg, dict):
            return {key: self._given(item) for key, item in arg.items()}
        if isinstance(arg, slice):
            return slice(self._given(arg.start), self._given(arg.stop), self._given(arg.step))
        if isinstance(arg, torch.dtype):
            return dtype_name(str(arg))
        if isinstance(arg, _NAMED):
            return str(arg)
        if isinstance(arg, torch.Tensor):
            return self._stored("constant", arg)
        return arg.item() if isinstance(arg, np.generic) else arg


_SEVERAL = frozenset(
    (
        *("chunk", "split", "unbind", "topk", "sort", "max", "min", "lstm", "gru", "rnn_tanh", "rnn_relu", "var_mean"),
        *("std_mean", "meshgrid", "tensor_split", "split_with_sizes", "median", "kthvalue", "lstm_cell", "aminmax"),
    )
)
"""Where nobody ran the program: these return several tensors if their result is taken apart."""


def spelled(node: torch.fx.Node) -> tuple[str, str, str]:
    """Bare name, overload and full name of what a node calls."""
    target = node.target
    if isinstance(target, str):
        return target, "", f"torch.Tensor.{target}" if node.op == "call_method" else target
    return _spelled(target)


@lru_cache(maxsize=10_000)
def _spelled(target: Callable[..., Any]) -> tuple[str, str, str]:
    if isinstance(target, torch._ops.OpOverload):
        return target._schema.name.rpartition("::")[2], target._overloadname, str(target)
    if target is getattr:
        return "getattr", "", "getattr"
    name = str(getattr(target, "__name__", None) or type(target).__name__)
    module = getattr(target, "__module__", None) or "torch"
    if module in ("_operator", "operator"):
        bare = name.strip("_")
        return (bare if bare in ("getitem", "setitem") else f"__{bare}__"), "", f"operator.{bare}"
    return name, "", resolve_name(target) or f"{module}.{name}"


def _part(structure: Any, key: Any) -> Any:
    try:
        return structure[key]
    except (TypeError, LookupError):
        return None


def mirrored(name: str, value: Any, shape: Any, storage: Any = None) -> Any:
    """Refs in place of the tensors of a recorded result; numbers that are symbolic are tensors here.

    `shape` and `storage` mirror the value where the recording tells them.
    """
    if isinstance(value, torch.Tensor):
        dims = shape if isinstance(shape, tuple) else tuple(_dim(length) for length in value.shape)
        return Ref(name, dtype_name(str(value.dtype)), dims, storage=storage or storage_of(value))
    if isinstance(value, _SYMBOLIC):
        kinds = {torch.SymInt: "int64", torch.SymFloat: "float32", torch.SymBool: "bool"}
        return Ref(name, kinds[type(value)], ())
    if isinstance(value, list | tuple):
        told = [
            part if isinstance(part, list | tuple) and len(part) == len(value) else None for part in (shape, storage)
        ]
        shapes, storages = (part or [None] * len(value) for part in told)
        return [mirrored(f"{name}_{nth}", item, shapes[nth], storages[nth]) for nth, item in enumerate(value)]
    if isinstance(value, dict):
        keyed, held = (part if isinstance(part, dict) else {} for part in (shape, storage))
        return {key: mirrored(f"{name}_{key}", item, keyed.get(key), held.get(key)) for key, item in value.items()}
    return value


def _from_meta(name: str, meta: Any) -> Any:
    """What `torch.fx.passes.shape_prop` notes."""
    if hasattr(meta, "shape") and hasattr(meta, "dtype"):
        shape: Shape = tuple(_dim(length) for length in meta.shape)
        return Ref(name, dtype_name(str(meta.dtype)), shape)
    if isinstance(meta, list | tuple):
        return [_from_meta(f"{name}_{nth}", item) for nth, item in enumerate(meta)]
    return Ref(name, None, None)


def _dim(length: Any) -> Dim:
    return (
        length if type(length) is int else str(length).strip("()") if isinstance(length, torch.SymInt) else int(length)
    )


def _class_name(kind: Any) -> str:
    return kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def _refs(structure: Any) -> Iterator[Ref]:
    if isinstance(structure, Ref):
        yield structure
    elif isinstance(structure, list | tuple):
        for item in structure:
            yield from _refs(item)
    elif isinstance(structure, dict):
        for item in structure.values():
            yield from _refs(item)
