"""What a real run is to watch: the calls of the recording, and the value of the graph that each result is."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.fx

from netlint.frontends.aten.calls import Ref
from netlint.frontends.torch import functions
from netlint.frontends.torch.fx import mirrored
from netlint.frontends.torch.recording import Recording
from netlint.graph import Graph, Node, Shape, Value, is_float
from netlint.probe.arrays import SPANS, moves, softmax_axis


@dataclass(frozen=True, slots=True)
class Watched:
    """One tensor in the result of a call."""

    value: Value
    node: Node
    key: tuple[Any, ...]
    """Where in the result it stands."""
    axis: int | None
    """The axis of its units (channels, features), from the front; None: it has no axes."""
    span: tuple[float, float] | None
    """The asymptotes of the function that made it; None: it has none."""
    softmax: int | None
    """The axis over which it is a distribution."""
    statistics: bool
    output: bool
    """Whether it is an output of the model, and to be kept."""


See = Callable[[Watched, torch.Tensor, torch.Tensor | None], None]
"""Is shown a result, and of fused attention the largest weights of some queries."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the recording."""

    name: str
    shape: Shape | None
    """Of a call that gives one tensor: its shape, symbols included."""
    watched: tuple[Watched, ...]


def plan(recording: Recording, graph: Graph) -> list[Call]:
    """The calls in program order. Values whose names are not unique in the graph are left out."""
    values = _by_name(graph)
    axes: dict[torch.fx.Node, int | None] = {}
    return [_call(node, values, graph, axes) for node in recording.graph.nodes if _is_call(node)]


def _is_call(node: torch.fx.Node) -> bool:
    """Parts of nested results are nodes, too, but no calls: the target is not a method of tensors."""
    return node.op == "call_function" and node.target is not operator.getitem


def _by_name(graph: Graph) -> dict[str, Value]:
    computed = [out for node in graph.nodes for out in node.outputs if out is not None and out.name]
    counts = Counter(value.name for value in computed)
    return {value.name: value for value in computed if counts[value.name] == 1}


def name_of(node: torch.fx.Node) -> str:
    """The bare name of what was called, of a property its own."""
    if node.target in (getattr, setattr):
        return str(node.args[1])
    return functions.bare_name(node.target)


def _call(node: torch.fx.Node, values: dict[str, Value], graph: Graph, axes: dict[torch.fx.Node, int | None]) -> Call:
    result = mirrored(node.name, node.meta.get("val"), node.meta.get("shape"))
    name = name_of(node)
    axes[node] = axis = _axis(node, name, result, axes)
    watched = []
    for key, ref in _parts(result, ()):
        value = values.get(ref.name)
        producer = graph.producer(value)
        if value is not None and producer is not None and ref.shape is not None:
            place = _within(axis, len(ref.shape))
            watched.append(_watched(value, producer, key, place, ref, graph))
            if name in _REARRANGED and (made := _rearranged(producer, graph)) is not None:
                watched.append(_watched(*made, key, place, ref, graph))
    return Call(name, result.shape if isinstance(result, Ref) else None, tuple(watched))


def _parts(result: Any, key: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Ref]]:
    if isinstance(result, Ref):
        yield key, result
    elif isinstance(result, list | tuple):
        for place, item in enumerate(result):
            yield from _parts(item, (*key, place))
    elif isinstance(result, dict):
        for name, item in result.items():
            yield from _parts(item, (*key, name))


def _rearranged(node: Node, graph: Graph) -> tuple[Value, Node] | None:
    """What a layer gives whose axes ONNX has in another order than torch, and the layer; None: they are the same."""
    value: Value | None = None
    before: Node | None = node
    while before is not None and before.op in ("Squeeze", "Transpose", "Reshape"):
        value = before.input(0)
        before = graph.producer(value)
    return (value, before) if value is not None and before is not None else None


def _watched(value: Value, node: Node, key: tuple[Any, ...], axis: int | None, ref: Ref, graph: Graph) -> Watched:
    floating = is_float(ref.dtype)
    softmax = softmax_axis(node, len(ref.shape or ()))
    kept = floating and graph.is_output(value)
    return Watched(value, node, key, axis, SPANS.get(node.op), softmax, floating and not moves(node), kept)


_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_REARRANGED = _RECURRENT | {"scaled_dot_product_attention"}
_LAST = _RECURRENT | {"linear", "embedding", "layer_norm", "rms_norm", "bilinear"}
_SECOND = ("conv", "batch_norm", "instance_norm", "group_norm")


def _axis(node: torch.fx.Node, name: str, result: Any, axes: dict[torch.fx.Node, int | None]) -> int | None:
    """The axis of units: where the layer puts it, else where the first operand has it, else the usual one.

    Counted from the end where it is negative; the same for all parts of a result.
    """
    if name in _LAST:
        return -1
    if name.startswith(_SECOND):
        return 1 if not isinstance(result, Ref) or result.shape is None or len(result.shape) > 1 else 0
    source = node.args[0] if node.args and isinstance(node.args[0], torch.fx.Node) else None
    before = _rank(source)
    rank = len(result.shape) if isinstance(result, Ref) and result.shape is not None else None
    known = axes.get(source) if source is not None else None
    if known is not None and name in ("transpose", "permute") and before == rank and rank is not None:
        return _moved(known % rank, node, name, rank)
    if known is not None and before == rank:
        return known
    return None if rank is None else 1 if rank in (2, 4, 5) else -1


def _moved(axis: int, node: torch.fx.Node, name: str, rank: int) -> int | None:
    numbers = [arg for arg in node.args[1:] if isinstance(arg, int)]
    if name == "transpose" and len(numbers) == 2:
        one, two = numbers[0] % rank, numbers[1] % rank
        return two if axis == one else one if axis == two else axis
    if name == "permute":
        places = numbers or next((list(arg) for arg in node.args[1:] if isinstance(arg, list | tuple)), [])
        if len(places) == rank and all(isinstance(place, int) for place in places):
            return [int(place) % rank for place in places].index(axis)
    return None


def _rank(node: torch.fx.Node | None) -> int | None:
    value = node.meta.get("val") if node is not None else None
    return value.dim() if isinstance(value, torch.Tensor) else None


def _within(axis: int | None, rank: int) -> int | None:
    """An axis of a tensor of that rank, from the front."""
    if not rank:
        return None
    return rank - 1 if axis is None or not -rank <= axis < rank else axis % rank
