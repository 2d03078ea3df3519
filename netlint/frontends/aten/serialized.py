"""The JSON of an exported program -> `Program`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from netlint.graph import Dim, Location, Tensor

from .calls import Call, Program, Ref
from .expressions import readable
from .locations import locate
from .payload import SCALAR_TYPES, dtype_of

Stored = Callable[[str, str, Any], Tensor]
"""Takes the kind (`parameter`, `buffer`, `tensor_constant`), the name and the description of a constant."""

WRAPPERS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}
"""Operators that run a graph as it is, and the place of the graph among their arguments."""
_MAX_DEPTH = 50
_NAMES = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}


class UnknownName(Exception):
    """A call reads what nothing before it computes."""


def program(module: Any, stored: Stored, name: str = "") -> Program:
    """The program of one serialised graph module. Malformed JSON raises what indexing it raises, or `UnknownName`."""
    graph, signature = module["graph"], module["signature"]
    reader = _Reader(graph)
    for spec in signature["input_specs"]:
        reader.define(spec, stored)
    calls = list(reader.calls())
    outputs: list[Ref] = []
    for spec in signature["output_specs"]:
        kind, given = _only(spec)
        if kind in ("user_output", "loss_output"):
            arg = given["arg"]
            outputs += refs(reader.argument(arg if kind == "user_output" else {"as_tensor": arg}))
    return Program(reader.inputs, calls, outputs, name)


class _Reader:
    """One graph of the file; the graphs that an operator runs are read in place."""

    def __init__(self, graph: Any, depth: int = 0) -> None:
        self._graph = graph
        self._depth = depth
        self._known: dict[str, Any] = {}
        self.inputs: list[Ref] = []

    def define(self, spec: Any, stored: Stored) -> None:
        """An input of the graph: a tensor of the user's, or one that the file holds."""
        kind, given = _only(spec)
        if kind == "user_input":
            key, value = _only(given["arg"])
            if key in ("as_tensor", "as_sym_int"):
                name = value.get("name") or value.get("as_name")
                ref = self._new(name) if key == "as_tensor" else Ref(name, "int64", ())
                self._known[name] = ref
                self.inputs.append(ref)
        elif kind in _NAMES:
            name, target = given["arg"]["name"], str(given[_NAMES[kind]])
            meta = self._graph["tensor_values"][name]
            tensor = stored(kind, target, meta)
            trainable = kind == "parameter" and bool(meta.get("requires_grad"))
            self._known[name] = Ref(target, tensor.dtype, tensor.shape, tensor, trainable, storage=tensor.storage)

    def calls(self) -> Iterator[Call]:
        for node in self._graph["nodes"]:
            yield from self._node(node)

    def _node(self, node: Any) -> Iterator[Call]:
        name, overload, origin = spelled(node["target"])
        given = node["inputs"]
        graph = WRAPPERS.get(name)
        if graph is not None and self._depth < _MAX_DEPTH and len(given) > graph:
            yield from self._inlined(node, given[graph]["arg"], given[graph + 1 :])
            return
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for item in given:
            value = self.argument(item["arg"])
            if item.get("kind") == 1 and not kwargs:
                args.append(value)
            else:
                kwargs[str(item["name"])] = value
        results = [self._result(output) for output in node["outputs"]]
        result = results[0] if len(results) == 1 else results
        if isinstance(result, Ref) and result.dtype == "int64" and name in ("floordiv", "mod"):
            name = f"sym_{name}"
        yield Call(name, overload, origin, args, kwargs, result, _location(node, name))

    def _inlined(self, node: Any, graph: Any, operands: Sequence[Any]) -> Iterator[Call]:
        """The calls of a graph that runs as it is; its results go under the names that the caller gives them."""
        inner = _Reader(graph["as_graph"]["graph"], self._depth + 1)
        for formal, actual in zip(inner._graph["inputs"], operands, strict=True):
            inner._known[_name(formal)] = self.argument(actual["arg"])
        yield from inner.calls()
        values = [inner.argument(output) for output in inner._graph["outputs"]]
        names = [name for output in node["outputs"] for name in _names(output)]
        self._known.update(zip(names, values, strict=True))

    def argument(self, arg: Any) -> Any:
        """An argument: literals, and a `Ref` for every tensor and every length that is computed."""
        kind, value = _only(arg)
        if kind in ("as_int", "as_float", "as_string", "as_bool", "as_ints", "as_floats", "as_strings", "as_bools"):
            return value
        if kind in ("as_int_lists", "as_float_lists"):
            return value
        if kind == "as_tensor":
            return self._find(value["name"])
        if kind == "as_tensors":
            return [self._find(item["name"]) for item in value]
        if kind == "as_nested_tensors":
            return [[self._find(item["name"]) for item in items] for items in value]
        if kind in ("as_optional_tensor", "as_sym_int", "as_sym_float", "as_sym_bool"):
            return self._named(value)
        if kind in ("as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools"):
            return [self._named(item) for item in value]
        if kind == "as_scalar_type":
            return SCALAR_TYPES.get(value)
        return None

    def _named(self, union: Any) -> Any:
        """A tensor, a computed number, or the number itself."""
        kind, value = _only(union)
        if kind == "as_name":
            return self._find(value)
        if kind == "as_tensor":
            return self._find(value["name"])
        return None if kind == "as_none" else value

    def _find(self, name: str) -> Any:
        if name not in self._known:
            raise UnknownName(name)
        return self._known[name]

    def _result(self, output: Any) -> Any:
        kind, value = _only(output)
        if kind in ("as_tensors", "as_optional_tensors"):
            return [self._result(item if kind == "as_optional_tensors" else {"as_tensor": item}) for item in value]
        if kind == "as_tensor":
            return self._keep(self._new(value["name"]))
        if kind in ("as_sym_int", "as_sym_bool", "as_sym_float") and "as_name" in value:
            dtype = {"as_sym_int": "int64", "as_sym_bool": "bool", "as_sym_float": "float32"}[kind]
            return self._keep(Ref(str(value["as_name"]), dtype, ()))
        return None

    def _keep(self, ref: Ref) -> Ref:
        if ref.name in self._known:
            raise ValueError(f"'{ref.name[:100]}' is computed twice")
        self._known[ref.name] = ref
        return ref

    def _new(self, name: str) -> Ref:
        meta = self._graph["tensor_values"].get(name)
        if meta is None:
            return Ref(str(name), None, None)
        return Ref(str(name), dtype_of(meta), tuple(_dim(size) for size in meta["sizes"]))


def spelled(target: Any) -> tuple[str, str, str]:
    """`torch.ops.aten.add.Tensor` -> `add`, `Tensor`, `aten.add.Tensor`; `_operator.mul` -> `__mul__`."""
    text = str(target)
    if text.startswith("_operator."):
        bare = text.removeprefix("_operator.").strip("_")
        return (bare if bare in ("getitem", "floordiv", "mod") else f"__{bare}__"), "", f"operator.{bare}"
    path = text.removeprefix("torch.ops.")
    parts = path.split(".")
    if len(parts) == 3:
        return parts[1], parts[2], path
    return parts[-1], "default" if text.startswith("torch.ops.") else "", path


def _location(node: Any, name: str) -> Location:
    noted = node.get("metadata") or {}
    modules = []
    for entry in str(noted.get("nn_module_stack") or "").split(";"):
        parts = entry.split(",")
        if len(parts) >= 3 and not parts[0].startswith("_empty"):
            modules.append((",".join(parts[1:-1]), parts[-1]))
    return locate(name, modules, str(noted.get("stack_trace") or ""))


def _dim(size: Any) -> Dim:
    kind, value = _only(size)
    if kind == "as_int" and type(value) is int and 0 <= value < 1 << 62:
        return value
    return readable(value["expr_str"]) if kind == "as_expr" else None


def _only(union: Any) -> tuple[str, Any]:
    """The kind and the value of a union."""
    ((kind, value),) = union.items()
    return kind, value


def _name(argument: Any) -> str:
    value = _only(argument)[1]
    return str(value.get("name") or value.get("as_name"))


def _names(output: Any) -> list[str]:
    kind, value = _only(output)
    return [str(item["name"]) for item in value] if kind == "as_tensors" else [_name(output)]


def refs(structure: Any) -> list[Ref]:
    if isinstance(structure, Ref):
        return [structure]
    return [ref for item in structure for ref in refs(item)] if isinstance(structure, list) else []
