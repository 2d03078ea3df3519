"""The ends of a network: what lies between the last weighted layer and an output or a loss."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from netlint.graph import ONNX, Graph, Node, Value, is_float
from netlint.ops import RECURRENT

from ._idioms import Effect, rectifier_floor, step
from ._losses import LossSite
from ._softmax import softmax_like
from ._squash import logistic
from .layers import Layer, Layers
from .parameters import Parameters

_MAX_CHAIN = 200
_MAX_BRANCHES = 8
# Its operators pick labels and measure distances; none is a layer that was trained with the rest.
_CLASSICAL = "ai.onnx.ml"
# They pick results out of what the network computed: no loss reads them.
_POSTPROCESS = frozenset({"TopK", "NonMaxSuppression", "ArgMax", "ArgMin", "NonZero", "Unique", "OneHot"})


@dataclass(frozen=True, eq=False, slots=True)
class Head:
    """The way from the last weighted layer to a float output or to a loss. Compared by identity."""

    value: Value
    """What the loss, or the user of the model, reads."""
    kind: str
    """`prediction`; `feature`: later layers read it too; `state`: a recurrent layer's last state; `postprocess`."""
    chain: tuple[Node, ...]
    """The nodes from the value back to the layer, or to where the way is lost; without the layer itself."""
    layer: Layer | None
    """The last weighted layer; None where several computed values join behind it, or nothing is understood."""
    activation: Node | None
    """The last non-affine operator; None where all is affine from the layer on, or where none was met."""
    exact: bool
    """Whether the activation's result reaches the value unchanged but for layout."""
    softmax: Node | None
    """The activation, if it is a softmax or log-softmax (written out or not) and exact."""
    log: bool
    """Whether `softmax` is a log-softmax."""
    sigmoid: bool
    """Whether the activation is a sigmoid, in any spelling, and exact."""
    floor: float | None
    """Where the activation is a rectifier and exact: the least value it lets pass."""
    site: LossSite | None
    """The loss that reads the value, in a training graph."""
    summed: tuple[Layer, ...] = ()
    """The layers whose outputs are added up, where the value is their sum (wide and deep), but for affine operators."""

    @property
    def affine(self) -> bool:
        """Whether nothing bounds the value: a dense or convolutional layer, then affine operators only."""
        return self.layer is not None and self.activation is None and self.layer.kind not in ("recurrent", "embedding")

    @property
    def at(self) -> Node | None:
        """The node to point at: the activation, else the layer's, else the last one."""
        own = self.layer.node if self.layer is not None else None
        return self.activation or own or (self.chain[0] if self.chain else None)


class HeadFinder:
    """Finds the heads of one graph."""

    def __init__(self, graph: Graph, known: Parameters, layers: Layers, sites: tuple[LossSite, ...]) -> None:
        self._graph = graph
        self._known = known
        self._layers = layers
        self._sites = sites

    def all(self) -> tuple[Head, ...]:
        """One head for each loss in the graph; in a graph without, one for each distinct float output."""
        if self._sites:
            return tuple(self._head(site.predictions, site) for site in self._sites)
        floats = [value for value in dict.fromkeys(self._graph.outputs) if is_float(value.dtype)]
        computed = [value for value in floats if self._graph.producer(value) is not None]
        return tuple(self._head(inner, None, value) for value in computed for inner in self._chosen(value))

    def _chosen(self, value: Value) -> list[Value]:
        """A value, or where an If gives it, what its branches give."""
        found, todo = dict[Value, None](), [value]
        while todo and len(found) < _MAX_BRANCHES:
            one = todo.pop()
            node = self._graph.producer(one)
            branches = branch_values(node, one) if node is not None and node.op == "If" and not node.domain else ()
            computed = [inner for inner in branches if self._graph.producer(inner) is not None]
            todo.extend(reversed(computed))
            if not computed:
                found[one] = None
        return list(found)

    def _head(self, value: Value, site: LossSite | None, given: Value | None = None) -> Head:
        chain, layer, ended_at = self._walk(value)
        activation, exact = self._activation(chain)
        soft = softmax_like(self._graph, activation) if activation is not None and exact else None
        kind = "prediction" if site is not None else self._kind(given or value, ended_at)
        plain = activation if exact else None
        return Head(
            value=value,
            kind=kind,
            chain=tuple(chain),
            layer=layer,
            activation=activation,
            exact=exact,
            softmax=soft.node if soft else None,
            log=soft is not None and soft.log,
            sigmoid=plain is not None and logistic(self._graph, self._known, plain) is not None,
            floor=rectifier_floor(self._graph, self._known, plain) if plain is not None else None,
            site=site,
            summed=self._summed(chain[-1]) if layer is None and activation is None and chain else (),
        )

    def _summed(self, node: Node) -> tuple[Layer, ...]:
        """The layers that an addition joins; none where one of its operands is anything else."""
        if node.op != "Add" or node.domain:
            return ()
        found: list[Layer] = []
        for value in node.inputs:
            chain, layer, _ = self._walk(value) if value is not None else ([], None, value)
            unbounded = layer is not None and layer.kind not in ("recurrent", "embedding")
            if layer is None or not unbounded or self._activation(chain)[0] is not None:
                return ()
            found.append(layer)
        return tuple(found)

    def _walk(self, value: Value) -> tuple[list[Node], Layer | None, Value]:
        """The chain back from a value, the layer it begins at, and the value where the walk ended."""
        chain: list[Node] = []
        while len(chain) < _MAX_CHAIN:
            layer = self._layers.ending_in(value) or self._layers.of(self._graph.producer(value))
            node = self._graph.producer(value)
            if layer is not None or node is None:
                return chain, layer, value
            soft = softmax_like(self._graph, node)
            taken = step(self._graph, self._known, node)
            data = soft.data if soft is not None else logistic(self._graph, self._known, node)
            data = taken.data if data is None and taken is not None else data
            if data is None or (value is not node.output() and node.op not in ("Split", "Dropout")):
                # The node that joins or that nobody understands is the chain's end, and tells what the head is not.
                return [*chain, node], None, value
            chain.append(node)
            value = data
        return chain, None, value

    def _activation(self, chain: Iterable[Node]) -> tuple[Node | None, bool]:
        """The last non-affine node of a chain, and whether only layout follows it."""
        exact = True
        for node in chain:
            taken = step(self._graph, self._known, node)
            named = softmax_like(self._graph, node) is not None or logistic(self._graph, self._known, node) is not None
            if named or (taken and taken.effect >= Effect.NON_AFFINE):
                return node, exact
            if taken is None:
                break
            exact = exact and taken.effect == Effect.LAYOUT
        return None, False

    def _kind(self, value: Value, ended_at: Value) -> str:
        made = self._graph.producer(ended_at)
        if made is not None and made.op in RECURRENT and ended_at is not made.output(0):
            return "state"
        if made is not None and made.op in _POSTPROCESS:
            return "postprocess"
        return "feature" if self._graph.uses(value) and value in self._feeding else "prediction"

    @cached_property
    def _feeding(self) -> set[Value | None]:
        """The values ahead of which lies a weighted layer, or something not understood."""
        feeding: set[Value | None] = set()
        for node in reversed(self._graph.nodes):
            if node.op in ("Shape", "Size"):
                continue
            unread = node.domain not in (ONNX, _CLASSICAL) or node.bodies
            if unread or self._layers.of(node) is not None or not feeding.isdisjoint(node.outputs):
                feeding.update(node.inputs)
                feeding.discard(None)  # a missing optional output must not match a missing optional input
        return feeding


def branch_values(node: Node, value: Value) -> list[Value]:
    """What the branches of an If give for one of its outputs."""
    place = next((nth for nth, out in enumerate(node.outputs) if out is value), -1)
    inner = [body.outputs[place] for body in node.bodies.values() if 0 <= place < len(body.outputs)]
    return [found for found in inner if found is not None]
