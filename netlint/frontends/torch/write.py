"""Writes the trace of a run as a `torch.fx.Graph`."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import torch
import torch.fx

from netlint.frontends.torch.tensors import storage_of
from netlint.frontends.torch.trace import Slot, Step, Trace, slots_in
from netlint.graph import Location

_META = torch.device("meta")


def graph_of(trace: Trace) -> tuple[torch.fx.Graph, dict[str, torch.Tensor]]:
    """The graph, and what its `get_attr` nodes stand for."""
    writer = _Writer()
    for slot in trace.inputs:
        writer.input(slot)
    for step in trace.steps:
        writer.call(step)
    writer.output(trace.outputs)
    return writer.graph, writer.tensors


class _Writer:
    def __init__(self) -> None:
        self.graph = torch.fx.Graph()
        self.tensors: dict[str, torch.Tensor] = {}
        self._nodes: dict[int, torch.fx.Node] = {}
        self._parts: dict[tuple[int, Any], torch.fx.Node] = {}
        self._held: set[int] = set()
        """Slots made without gradients from what has some."""
        self._detached: dict[int, torch.fx.Node] = {}
        self._followed = False
        """Whether gradients flow through the call that is being written."""

    def input(self, slot: Slot) -> None:
        node = self.graph.placeholder(slot.name)
        node.meta = _meta(slot)
        self._nodes[id(slot)] = node

    def call(self, step: Step) -> None:
        # What is chosen without gradients, an index or a mask, is so of numbers that have none.
        self._followed = not step.no_grad or not any(slot.dtype.is_floating_point for slot in slots_in(step.result))
        args = tuple(self.argument(value) for value in step.args)
        kwargs = {name: self.argument(value) for name, value in step.kwargs.items()}
        node = self.graph.create_node("call_function", step.target, args, kwargs, step.name.strip("_") or None)
        node.meta = {
            "val": _nested(step.result, _value),
            "shape": _nested(step.result, lambda slot: slot.lengths),
            "storage": _nested(step.result, lambda slot: storage_of(slot.tensor)),
            "location": step.location,
        }
        if step.no_grad:
            node.meta["no_grad"] = True
            self._hold(step)
        self._nodes[id(step)] = node

    def _hold(self, step: Step) -> None:
        """Remember what a call under `torch.no_grad` cuts off; what it writes into keeps its gradient."""
        given = slots_in((step.args, dict(step.kwargs)))
        if not step.written and any(slot.grad or id(slot) in self._held for slot in given):
            self._held.update(id(slot) for slot in slots_in(step.result) if slot.dtype.is_floating_point)

    def output(self, slots: Any) -> None:
        self._followed = False
        self.graph.output(self.argument(slots))

    def argument(self, value: Any) -> Any:
        if isinstance(value, Slot):
            return self._node(value)
        if isinstance(value, list):
            return [self.argument(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self.argument(item) for item in value)
        if isinstance(value, dict):
            return {name: self.argument(item) for name, item in value.items()}
        if isinstance(value, slice) and any(True for _ in slots_in(value)):
            return slice(self.argument(value.start), self.argument(value.stop), self.argument(value.step))
        return value

    def _node(self, slot: Slot) -> torch.fx.Node:
        found = self._nodes.get(id(slot))
        if found is None:
            found = self._nodes[id(slot)] = self._outside(slot) if slot.step is None else self._part(slot)
        return self._without_gradient(slot, found) if self._followed and id(slot) in self._held else found

    def _without_gradient(self, slot: Slot, node: torch.fx.Node) -> torch.fx.Node:
        """What was made under `torch.no_grad`, where gradients are followed again: as if detached."""
        found = self._detached.get(id(slot))
        if found is None:
            found = self._detached[id(slot)] = self.graph.call_function(torch.Tensor.detach, (node,))
            found.meta = {**_meta(slot), "location": _detached(slot)}
        return found

    def _part(self, slot: Slot) -> torch.fx.Node:
        assert slot.step is not None
        node = self._nodes[id(slot.step)]
        for key in slot.key:
            part = self._parts.get((id(node), key))
            if part is None:
                part = self.graph.call_function(operator.getitem, (node, key))
                part.meta = {
                    name: value[key] for name, value in node.meta.items() if name in ("val", "shape", "storage")
                }
                part.meta["location"] = slot.step.location
                self._parts[(id(node), key)] = part
            node = part
        return node

    def _outside(self, slot: Slot) -> torch.fx.Node:
        name = slot.name or "unknown"
        known = self.tensors.get(name)
        while known is not None and known is not slot.original:
            name += "_"
            known = self.tensors.get(name)
        self.tensors[name] = slot.tensor if slot.original is None else slot.original
        node = self.graph.create_node("get_attr", name, name=name.replace(".", "_"))
        node.meta = {**_meta(slot), "held": slot.held}
        return node


def _meta(slot: Slot) -> dict[str, Any]:
    return {"val": _value(slot), "shape": slot.lengths, "storage": storage_of(slot.tensor)}


def _detached(slot: Slot) -> Location:
    assert slot.step is not None
    location = slot.step.location
    return replace(location, path=f"{location.path.rpartition(' ▸ ')[0]} ▸ detach".removeprefix(" ▸ "))


def _nested(value: Any, change: Any) -> Any:
    if isinstance(value, Slot):
        return change(value)
    if isinstance(value, (tuple, list)):
        return type(value)(_nested(item, change) for item in value)
    if isinstance(value, dict):
        return {name: _nested(item, change) for name, item in value.items()}
    return value


def _value(slot: Slot) -> torch.Tensor:
    """A tensor without elements, of the shape at the time."""
    tensor = slot.tensor
    if tensor.is_meta and tensor.shape == slot.shape:
        return tensor
    return torch.empty(slot.shape, dtype=slot.dtype, device=_META)
