"""The graph that every rule and analysis reads: frozen, framework-free, in ONNX operator vocabulary.

A front end builds a `Graph` once; nothing changes it afterwards. What analyses find lies beside it, keyed by
the identity of a `Node` or a `Value`. The nodes of If/Loop/Scan bodies belong to the graph like all others:
a value that a body captures from outside is the same `Value` object inside and outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from .location import Location as Location

if TYPE_CHECKING:
    import numpy as np

    from .training import Training

Dim: TypeAlias = int | str | None
"""One axis of a shape: its length, the name of an unknown length, or None (nothing is known)."""

Shape: TypeAlias = tuple[Dim, ...]

Holder: TypeAlias = Literal["model", "aside", "call"]
"""What holds a parameter: the `model`, so that an optimizer of its parameters gets it; something `aside`, such as a
plain list; nothing beyond one `call` of the model, which draws it anew."""

ONNX = ""
"""The default operator domain (`ai.onnx` is spelled the same way)."""

FRAMEWORKS = frozenset({"aten", "torch"})
"""Domains of what a front end met and ONNX has no operator for; written `aten.foo`, not `aten::foo`."""


def is_float(dtype: str | None) -> bool:
    """Whether a type is one of floating-point numbers; an unknown one is not."""
    return dtype is not None and dtype.startswith(("float", "bfloat"))


class Tensor(Protocol):
    """The stored value of a constant; nothing is read before it is asked for."""

    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def storage(self) -> object:
        """Equal for tensors that lie in the same bytes; hashable."""

    def load(self) -> np.ndarray[Any, Any]:
        """The whole tensor. Low-precision floats come back as float32. Raises `TensorUnreadable`."""

    def chunks(self, nbytes: int) -> Iterator[np.ndarray[Any, Any]]:
        """The elements in storage order, flat, a bounded part at a time; a chunk dies with the next one.

        Types that numpy lacks come as their bits (bfloat16 as uint16). Raises `TensorUnreadable`.
        """


class TensorUnreadable(Exception):
    """The bytes of a constant cannot be had; the message names the way out."""


class Value:
    """What flows along one edge. Two values are equal only if they are the same object."""

    __slots__ = ("constant", "dtype", "held", "name", "shape", "trainable")

    def __init__(
        self,
        name: str,
        dtype: str | None = None,
        shape: Shape | None = None,
        constant: Tensor | None = None,
        trainable: bool | None = None,
        held: Holder | None = None,
    ) -> None:
        self.name = name
        self.dtype = dtype
        """`float32`, `bfloat16`, `int64`, `bool`, `string` …; None where the file does not say."""
        self.shape = shape
        """As declared; None where the rank is unknown. The `shapes` analysis knows more."""
        self.constant = constant
        self.trainable = trainable
        """Of a constant: whether it is a parameter that gradient descent moves; None where nobody says."""
        self.held = held
        """Of a parameter: see `Holder`; None where nobody says."""

    def __repr__(self) -> str:
        return f"<Value {self.name} {self.dtype} {self.shape}>"


class Detail(Protocol):
    """What a front end can say of a node when asked; decoding waits until then."""

    def attrs(self) -> Mapping[str, Any]: ...
    def location(self) -> Location: ...
    def source(self) -> tuple[str, int] | None:
        """The `source` of the location, for much less work where the rest of it must be decoded."""


_NO_BODIES: Mapping[str, Body] = {}


class Node:
    """One operation. Missing optional inputs are None."""

    __slots__ = ("_attrs", "_detail", "_loc", "bodies", "domain", "inputs", "op", "outputs")

    def __init__(
        self,
        op: str,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value | None],
        detail: Detail,
        domain: str = ONNX,
        bodies: Mapping[str, Body] = _NO_BODIES,
    ) -> None:
        self.op = op
        self.domain = ONNX if domain == "ai.onnx" else domain
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.bodies = bodies
        self._detail = detail
        self._attrs: Mapping[str, Any] | None = None
        self._loc: Location | None = None

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Attributes as int, float, str, tuples of these, or `Tensor`; bodies are in `bodies`."""
        if self._attrs is None:
            self._attrs = self._detail.attrs()
        return self._attrs

    @property
    def loc(self) -> Location:
        if self._loc is None:
            self._loc = self._detail.location()
        return self._loc

    @property
    def source(self) -> tuple[str, int] | None:
        """File and line of the call in the user's code, as in `loc`."""
        return self._detail.source() if self._loc is None else self._loc.source

    @property
    def full_op(self) -> str:
        """The operator with its domain, `com.microsoft::Gelu`, `torch.mse_loss`; without it in the default domain."""
        if not self.domain:
            return self.op
        return f"{self.domain}{'.' if self.domain in FRAMEWORKS else '::'}{self.op}"

    def input(self, index: int) -> Value | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def output(self, index: int = 0) -> Value | None:
        return self.outputs[index] if index < len(self.outputs) else None

    def __repr__(self) -> str:
        return f"<Node {self.loc.path}>"


@dataclass(frozen=True, slots=True)
class Body:
    """A subgraph held by a node: the branch of an If, the body of a Loop or Scan."""

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value | None, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Defect:
    """Something wrong with the model itself, met while reading it; rules turn defects into findings."""

    kind: str
    message: str
    loc: Location
    help: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Runner(Protocol):
    """Executes the model that a graph is of; a graph has one only if the user asked for that."""

    def run(self, stage: str, graph: Graph, training: Training) -> Any:
        """Do one of the probe's stages and give what it shows. Raises `Unavailable` where it cannot."""


@dataclass(frozen=True, eq=False)
class Graph:
    """A whole model. `nodes` holds every node, those of bodies before their holder, producers before users.

    The order depends on the structure alone (depth first from the outputs), not on names or on the order in
    the file.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    opset: Mapping[str, int]
    name: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    defects: tuple[Defect, ...] = ()
    runner: Runner | None = None

    @cached_property
    def _by_op(self) -> dict[str, list[Node]]:
        index: dict[str, list[Node]] = {}
        for node in self.nodes:
            index.setdefault(node.full_op if node.domain else node.op, []).append(node)
        return index

    @cached_property
    def _producers(self) -> dict[Value, Node]:
        return {out: node for node in self.nodes for out in node.outputs if out is not None}

    @cached_property
    def _uses(self) -> dict[Value, list[Node]]:
        index: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                if value is None:
                    continue
                users = index.get(value)
                if users is None:
                    index[value] = [node]
                elif users[-1] is not node:
                    users.append(node)
        return index

    @cached_property
    def _outputs(self) -> frozenset[Value]:
        return frozenset(self.outputs)

    @cached_property
    def position(self) -> Mapping[Node, int]:
        """The place of each node in graph order."""
        return {node: index for index, node in enumerate(self.nodes)}

    @property
    def ops(self) -> frozenset[str]:
        return frozenset(self._by_op)

    def of(self, *ops: str) -> list[Node]:
        """The nodes with one of these operators, in graph order; `domain::op` outside the default domain."""
        if len(ops) == 1:
            return self._by_op.get(ops[0], [])
        found = [node for op in ops for node in self._by_op.get(op, ())]
        return sorted(found, key=self.position.__getitem__)

    def producer(self, value: Value | None) -> Node | None:
        """The node that computes a value; None for inputs, constants and body inputs."""
        return None if value is None else self._producers.get(value)

    def uses(self, value: Value | None) -> list[Node]:
        """The nodes that read a value, bodies included, each once."""
        return [] if value is None else self._uses.get(value, [])

    def is_output(self, value: Value | None) -> bool:
        return value in self._outputs
