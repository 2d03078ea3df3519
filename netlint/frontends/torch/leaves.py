"""Leaf modules in what `symbolic_trace` gives, opened: their own calls in place of `call_module`."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.fx


class _Inside(torch.fx.Tracer):
    """Goes into everything; buffers stay symbols, so that nothing of the user's is updated while tracing."""

    proxy_buffer_attributes = True

    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        return False


def opened(module: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """A copy of the graph, over the same parameters, without `call_module` where a module can be traced."""
    if not any(node.op == "call_module" for node in module.graph.nodes):
        return module
    graph = torch.fx.Graph()
    values: dict[torch.fx.Node, Any] = {}
    for node in module.graph.nodes:
        leaf = module.get_submodule(str(node.target)) if node.op == "call_module" else None
        inner = _traced(leaf) if leaf is not None else None
        if leaf is None or inner is None:
            made = graph.node_copy(node, lambda old: values[old])
            if leaf is not None:
                made.op, made.target = "call_function", _opaque(leaf)
                made.meta = {**node.meta, "nn_module_stack": _stack(node, leaf)}
            values[node] = made
        else:
            values[node] = _inlined(graph, node, leaf, inner, values)
    return torch.fx.GraphModule(module, graph)


def _traced(leaf: torch.nn.Module) -> torch.fx.Graph | None:
    if hasattr(leaf, "_check_input_dim"):  # it branches on the rank, which nobody knows here
        leaf = copy.copy(leaf)
        leaf.__dict__["_check_input_dim"] = _unchecked
    try:
        return _Inside().trace(leaf)
    except Exception:  # control flow that depends on values, arguments beyond tensors
        return None


def _unchecked(*args: object) -> None:
    """In place of a check of an input's rank."""


def _opaque(leaf: torch.nn.Module) -> Any:
    """A function that only lends its name."""

    def called(*args: object) -> None:
        raise NotImplementedError

    called.__name__ = type(leaf).__name__
    called.__module__ = "torch.nn"
    return called


def _stack(node: torch.fx.Node, leaf: torch.nn.Module) -> dict[str, tuple[str, Any]]:
    return {**(node.meta.get("nn_module_stack") or {}), str(node.target): (str(node.target), type(leaf))}


def _inlined(
    graph: torch.fx.Graph, call: torch.fx.Node, leaf: torch.nn.Module, inner: torch.fx.Graph, values: dict[Any, Any]
) -> Any:
    """The calls inside a module, with its parameters under their full names."""
    given = iter(torch.fx.map_arg(call.args, lambda old: values[old]))
    named = torch.fx.map_arg(call.kwargs, lambda old: values[old])
    own: dict[torch.fx.Node, Any] = {}
    result: Any = None
    for node in inner.nodes:
        if node.op == "placeholder":
            default = node.args[0] if node.args else None
            own[node] = next(given, named.get(str(node.target), default))
        elif node.op == "output":
            result = torch.fx.map_arg(node.args[0], lambda old: own[old])
        else:
            made = graph.node_copy(node, lambda old: own[old])
            if node.op == "get_attr":
                made.target = f"{call.target}.{node.target}"
            made.meta = {**copy.copy(node.meta), "nn_module_stack": _stack(call, leaf)}
            if call.meta.get("stack_trace"):
                made.meta["stack_trace"] = call.meta["stack_trace"]
            own[node] = made
    if isinstance(result, torch.fx.Node) and len(list(result.users)) == 0 and call.meta:
        for key in ("val", "tensor_meta"):
            if key in call.meta and key not in result.meta:
                result.meta[key] = call.meta[key]
    return result
