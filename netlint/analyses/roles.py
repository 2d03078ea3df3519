"""What each part of a network is for: heads, gates, attention, and which layers an activation stands between.

Everything is told by structure. A role holds for a node whose result is elementwise or a distribution (an activation,
a softmax); other nodes are `body`, `recurrent`, or `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from netlint import ops
from netlint.analysis import Scope, analysis
from netlint.graph import ONNX, Graph, Node, Value
from netlint.training import Known, Loss, Training

from ._heads import Head, HeadFinder
from ._idioms import Effect, number, rectifier_floor, step, through
from ._losses import unguarded
from ._reach import ROUNDING, Reach, Surroundings
from ._softmax import SoftmaxLike, softmax_axes, softmax_like
from ._squash import logistic, rescaled
from .contract import known_loss, losses
from .layers import Layer, Layers, layers
from .parameters import Parameters, parameters

__all__ = ["Head", "LogOfProbability", "Reach", "Role", "Roles", "SoftmaxLike", "roles"]

Role: TypeAlias = Literal[
    "body", "head", "gate", "attention", "router", "recurrent", "quantiser", "postprocess", "unknown"
]


@dataclass(frozen=True, slots=True)
class LogOfProbability:
    """What a logarithm is taken of where one operator would do both."""

    inner: Node
    kind: Literal["softmax", "sigmoid"]
    guarded: bool
    """Whether a constant is added, or a bound put, in between."""


class Roles:
    """The heads, and on demand the role and the surroundings of any node."""

    def __init__(self, graph: Graph, known: Parameters, found: Layers, heads: tuple[Head, ...]) -> None:
        self._graph = graph
        self._known = known
        self._layers = found
        self.heads = heads
        """For each loss in the graph what it reads; in a graph without losses, one for each float output."""
        self._read_by_loss = {head.value for head in heads if head.site is not None}
        self._around = Surroundings(graph, known, found)
        self._roles: dict[Node, tuple[Role, str]] = {}
        self._ahead: dict[Node, Reach] = {}
        self._behind: dict[Node, Reach] = {}

    @property
    def predictions(self) -> tuple[Head, ...]:
        """The heads that a loss may read: no recurrent states, features that later layers read, picked results."""
        return tuple(head for head in self.heads if head.kind == "prediction")

    def reads(self, training: Training) -> tuple[tuple[Head, Known[Loss]], ...]:
        """Which loss reads which head; `training` is the `contract`. Raises `Unavailable` where no loss is known.

        A loss in the graph reads one value for certain. Without one, the loss is known and its prediction is not:
        every prediction is a candidate.
        """
        sites = [head.site for head in self.heads if head.site is not None]
        if len({site.loss.name for site in sites}) > 1:
            own = ((head, head.site) for head in self.heads)
            return tuple((head, Known(site.loss, site.origin)) for head, site in own if site is not None)
        loss = known_loss(training)
        return tuple((head, loss) for head in self.predictions)

    def certainly(self, heads: Iterable[Head]) -> tuple[Head, ...]:
        """Of heads that something is wrong with, those that a loss reads for certain.

        Where only candidates are known, one candidate that is not among them clears them all.
        """
        wrong = set(heads)
        open_ones = [head for head in self.predictions if head.site is None]
        cleared = any(head not in wrong for head in open_ones)
        return tuple(head for head in self.predictions if head in wrong and (head.site is not None or not cleared))

    def role(self, node: Node) -> Role:
        """The role of an activation or softmax."""
        return self._judge(node)[0]

    def why(self, node: Node) -> str:
        """What in the structure gives a node its role, as half a sentence."""
        return self._judge(node)[1]

    def ahead(self, node: Node) -> Reach:
        """What a node feeds."""
        if node not in self._ahead:
            self._ahead[node] = self._around.flow(node, widely=True).reach
        return self._ahead[node]

    def behind(self, node: Node) -> Reach:
        """What feeds a node."""
        if node not in self._behind:
            self._behind[node] = self._around.behind(node)
        return self._behind[node]

    def after(self, node: Node) -> tuple[Layer, ...]:
        """The weighted layers that a node feeds through operators that pass values on."""
        return self.ahead(node).layers

    def before(self, node: Node) -> tuple[Layer, ...]:
        """The weighted layers that feed a node through operators that pass values on."""
        return self.behind(node).layers

    def log_of_probability(self, log: Node) -> LogOfProbability | None:
        """The softmax or sigmoid of which a node takes the logarithm, in two steps."""
        data = log.input(0)
        if data is None or log.domain or log.op != "Log":
            return None
        for guarded in (False, True):
            inner = self.source_node(self.source(data, guards=guarded))
            soft = self.softmax(inner) if inner is not None else None
            if inner is not None and soft is not None and not soft.log:
                return LogOfProbability(inner, "softmax", guarded)
            if inner is not None and self.sigmoid(inner) is not None and inner.op != "HardSigmoid":
                return LogOfProbability(inner, "sigmoid", guarded)
        return None

    def sigmoid(self, node: Node) -> Value | None:
        """The input of a sigmoid in any of its spellings; None if the node is none."""
        return logistic(self._graph, self._known, node)

    def reads_inputs_too(self, layer: Layer) -> bool:
        """Whether the weight of a layer is applied to an input of the graph elsewhere, as in a discriminator."""
        twins = [self._layers.of(node) for node in self._graph.uses(layer.weight)]
        read = [
            through(self._graph, self._known, twin.data) for twin in twins if twin is not None and twin is not layer
        ]
        return any(value in self._graph.inputs for value in read)

    def softmax(self, node: Node) -> SoftmaxLike | None:
        """The softmax or log-softmax that a node is, as an operator or written out."""
        return softmax_like(self._graph, node)

    def softmax_axes(self, soft: SoftmaxLike, rank: int) -> tuple[int, ...] | None:
        """The axes, counted from 0, that a softmax normalises over; None where they are not constant."""
        return softmax_axes(self._graph, soft, rank)

    def rectifier(self, node: Node) -> float | None:
        """The least value that a ReLU-like node lets pass; None if it is none."""
        return rectifier_floor(self._graph, self._known, node)

    def rescaled(self, node: Node) -> tuple[float, float] | None:
        """(a, b), where a node makes a x + b of its one computed input; (1, 0) for layout."""
        taken = step(self._graph, self._known, node)
        if taken is not None and taken.effect == Effect.LAYOUT:
            return 1.0, 0.0
        found = rescaled(self._graph, self._known, node) if taken is not None else None
        return found[1:] if found is not None else None

    def number(self, value: Value | None) -> float | None:
        """The one number that a constant holds."""
        return number(self._graph, self._known, value)

    def source(self, value: Value, *, guards: bool = False) -> Value:
        """Where a value's elements come from through layout operators; with `guards`, also `+ eps` and clips."""
        source = through(self._graph, self._known, value)
        bare = unguarded(self._graph, self._known, source) if guards else source
        return source if bare is source or bare is None else through(self._graph, self._known, bare)

    def maker(self, value: Value) -> Node | None:
        """The node that computes a value's elements, before layout, pooling and averaging."""
        return self._graph.producer(through(self._graph, self._known, value, Effect.SELECT))

    def source_node(self, value: Value) -> Node | None:
        """The node that computes a value's elements, before layout."""
        return self._graph.producer(self.source(value))

    def floored(self, log: Node) -> bool:
        """Whether every use of a logarithm is cut off below by a constant (`max(log p, -100)`)."""
        uses = self._graph.uses(log.output())
        if not uses or self._graph.is_output(log.output()):
            return False
        return all(self.rectifier(node) is not None for node in uses if node.op in ("Max", "Clip")) and all(
            node.op in ("Max", "Clip") for node in uses
        )

    # -- roles

    def _judge(self, node: Node) -> tuple[Role, str]:
        if node not in self._roles:
            self._roles[node] = self._role_of(node)
        return self._roles[node]

    def _role_of(self, node: Node) -> tuple[Role, str]:
        if node.op in ops.RECURRENT:
            return "recurrent", "it is a recurrent layer"
        if node.domain != ONNX or node.op not in ops.KNOWN_OPS:
            return "unknown", f"netlint does not know {node.op}"
        soft = softmax_like(self._graph, node) is not None
        uses = self._around.flow(node)
        if any(value in self._read_by_loss for value in uses.values):
            return "head", "a loss reads it with no weighted layer in between"
        product = uses.product()
        if product is not None and uses.picked is not None:
            return "router", f"the largest are picked at {uses.picked.loc.path}, and weight what they pick"
        if product is not None:
            kind: Role = "attention" if soft or product.op in ("MatMul", "Einsum", "Gemm", "Attention") else "gate"
            return kind, f"its result is multiplied with another tensor at {product.loc.path}"
        stepped = uses.stepped()
        if stepped is not None:
            quantised = stepped.op in ROUNDING
            return "quantiser" if quantised else "postprocess", f"{stepped.op} makes steps of its result"
        if uses.reach.ends:
            return "head", "an output of the model, with no weighted layer in between"
        if uses.reach.layers or self.ahead(node).layers:
            return "body", "weighted layers read it"
        return "unknown", "what reads it is not understood"


@analysis(parameters, layers, losses)
def roles(scope: Scope) -> Roles:
    """The heads of the network; the role of any node on demand."""
    known, found = scope[parameters], scope[layers]
    heads = HeadFinder(scope.graph, known, found, scope[losses]).all()
    return Roles(scope.graph, known, found, heads)
