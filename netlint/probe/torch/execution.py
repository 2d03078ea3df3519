"""A graph as a torch module: what was read from a file, run operator by operator, with gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from netlint.analyses.layers import layers
from netlint.analyses.parameters import parameters
from netlint.analysis import Results, Unavailable
from netlint.errors import first_line
from netlint.graph import Body, Graph, Node, TensorUnreadable, Value
from netlint.ops import NORMALISATION, RECURRENT
from netlint.training import Training

from .control import BODIES
from .devices import out_of_memory
from .operators import FUNCTIONS, Call

MOST = 4 << 30
"""Bytes of constants that are loaded."""

_FEW = 64
T = TypeVar("T")
See = Callable[[Node, Value, torch.Tensor], None]
_LOW = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Execution(nn.Module):
    """Runs a graph. Its parameters are the weights that training would move, by the names of their values."""

    def __init__(self, graph: Graph) -> None:
        """Raises `Unavailable` for a graph that cannot be run."""
        super().__init__()
        self._graph = graph
        self._nodes = _main(graph)
        _refuse_unknown(graph)
        used = {value for node in graph.nodes for value in node.inputs if value is not None} | set(graph.outputs)
        used |= {value for body in _bodies(graph) for value in body.outputs if value is not None}
        constants = [value for value in used if value.constant is not None]
        if sum(value.constant.nbytes for value in constants if value.constant is not None) > MOST:
            raise Unavailable(f"its weights take more than {MOST >> 30} GiB")
        self._named = _names(graph, constants)
        learnt = _trained(graph)
        numbers: dict[Value, torch.Tensor] = {}
        for value, name in self._named.items():
            tensor = _tensor(value)
            if value not in learnt and _told(tensor):
                numbers[value] = tensor
            elif value in learnt and tensor.is_floating_point():
                self._parameters[name] = nn.Parameter(tensor)
            else:
                self._buffers[name] = tensor
        self._numbers = MappingProxyType(numbers)
        """Lengths and the like, which Python reads: they stay with the CPU, and with them what is computed of them."""
        self._last = _last_uses(self._nodes, graph)
        self.see: See | None = None
        """Is shown what nodes compute."""

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs in the order of the graph."""
        known: dict[Value, torch.Tensor] = dict(zip(self._graph.inputs, inputs, strict=True))
        for value, name in self._named.items():
            found = self._parameters.get(name)
            if value not in self._numbers:
                known[value] = found if found is not None else self._buffer(name)
        wide = any(tensor.dtype is torch.float64 for tensor in self.parameters())
        wide = wide and not any(value.dtype == "float64" for value in self._named)
        for value, number in self._numbers.items():
            known[value] = number.double() if wide and number.is_floating_point() else number
        self._run(self._nodes, known, wide, self._last)
        return tuple(known[value] for value in self._graph.outputs)

    def _buffer(self, name: str) -> torch.Tensor:
        found = self._buffers[name]
        assert found is not None
        return found

    def _run(
        self, nodes: Iterable[Node], known: dict[Value, torch.Tensor], wide: bool, last: dict[Node, list[Value]]
    ) -> None:
        for node in nodes:
            results = self._controlled(node, known, wide) if node.bodies else _computed(node, known, self._graph, wide)
            for value, tensor in zip(node.outputs, results, strict=False):
                if value is not None and tensor is not None:
                    known[value] = tensor
                    if self.see is not None:
                        self.see(node, value, tensor)
            for value in last.get(node, ()):
                del known[value]

    def _controlled(self, node: Node, known: dict[Value, torch.Tensor], wide: bool) -> Sequence[torch.Tensor | None]:
        """What bodies compute is not shown."""

        def run(body: Body, given: Sequence[torch.Tensor]) -> list[torch.Tensor]:
            known.update(zip(body.inputs, given, strict=True))
            self._run(body.nodes, known, wide, {})
            return [known[value] for value in body.outputs if value is not None]

        see, self.see = self.see, None
        try:
            return _guarded(node, lambda: BODIES[node.op](node, _operands(node, known), run))
        finally:
            self.see = see


def _computed(node: Node, known: dict[Value, torch.Tensor], graph: Graph, wide: bool) -> Sequence[torch.Tensor | None]:
    call = Call(node, _operands(node, known), graph.opset.get("", 1), wide)
    found = _guarded(node, lambda: FUNCTIONS[node.full_op](call), call.device.type == "cuda")
    return [found] if isinstance(found, torch.Tensor) else found


def _operands(node: Node, known: Mapping[Value, torch.Tensor]) -> list[torch.Tensor | None]:
    return [known[value] if value is not None else None for value in node.inputs]


def _guarded(node: Node, compute: Callable[[], T], on_gpu: bool = False) -> T:
    """Raises `Unavailable` that names the node, but where the memory is full, or a CPU may do it."""
    try:
        return compute()
    except Unavailable:
        raise
    except Exception as error:
        if on_gpu or out_of_memory(error):
            raise
        raise Unavailable(f"{node.op} at {node.loc.path} raises {first_line(error)}") from None


def _bodies(graph: Graph) -> list[Body]:
    return [body for holder in graph.nodes for body in holder.bodies.values()]


def _main(graph: Graph) -> list[Node]:
    """The nodes outside of bodies."""
    inside = {node for body in _bodies(graph) for node in body.nodes}
    return [node for node in graph.nodes if node not in inside]


def _refuse_unknown(graph: Graph) -> None:
    known = FUNCTIONS.keys() | BODIES.keys()
    if graph.opset.get("", 1) < 9:
        known -= {"Scan"}  # which then counted samples and lengths itself
    counts = Counter(node.full_op for node in graph.nodes if node.full_op not in known)
    if counts:
        shown = ", ".join(f"{op} ({count})" for op, count in counts.most_common(4))
        raise Unavailable(f"torch is not taught these operators: {shown}{', …' if len(counts) > 4 else ''}")


def _names(graph: Graph, constants: Sequence[Value]) -> dict[Value, str]:
    """A name of its own for each constant, in the order of use."""
    place = {value: at for at, value in enumerate(value for node in graph.nodes for value in node.inputs)}
    ordered = sorted(constants, key=lambda value: place.get(value, len(place)))
    counts = Counter(value.name for value in constants)
    return {
        value: value.name if value.name and counts[value.name] == 1 else f"{value.name}#{at}"
        for at, value in enumerate(ordered)
    }


def _last_uses(nodes: Sequence[Node], graph: Graph) -> dict[Node, list[Value]]:
    """By node the values that nothing reads behind it; what bodies read is kept to the end."""
    main = set(nodes)
    last: dict[Node, list[Value]] = {}
    for node in nodes:
        for value in node.outputs:
            users = graph.uses(value)
            if value is not None and users and main.issuperset(users) and not graph.is_output(value):
                last.setdefault(users[-1], []).append(value)
    return last


def _told(tensor: torch.Tensor) -> bool:
    """Whether it is a number, or a few whole ones."""
    return tensor.numel() == 1 or (not tensor.is_floating_point() and tensor.dim() == 1 and tensor.numel() <= _FEW)


def _tensor(value: Value) -> torch.Tensor:
    assert value.constant is not None
    try:
        array = np.array(value.constant.load())
    except TensorUnreadable as error:
        raise Unavailable(f"the weight {value.name} cannot be read: {error}") from None
    if array.dtype.kind not in "fiub":
        raise Unavailable(f"the constant {value.name} holds {value.dtype}")
    found = torch.from_numpy(array)
    return found.to(_LOW[value.dtype]) if value.dtype in _LOW else found


def _trained(graph: Graph) -> set[Value]:
    """The constants that training moves: those that say so, or weights, biases and scales where nothing is said."""
    results = Results(graph, Training())
    known = results.get(parameters)
    asked = [value for layer in results.get(layers).all for value in (layer.weight, layer.bias)]
    for node in graph.nodes:
        if node.op in NORMALISATION or node.op == "PRelu":
            asked += node.inputs[1:3]
        elif node.op in RECURRENT:
            asked += node.inputs[1:4]
    parts = [known.parameter(value) for value in asked]
    learnt = {found for found in parts if found is not None and found.trainable is not False}
    stated = {value for node in graph.nodes for value in node.inputs if value is not None and value.trainable}
    return learnt | stated
