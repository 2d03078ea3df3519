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
from ._idioms import Effect, SoftmaxLike, logistic, number, rectifier_floor, softmax_like, step, through
from ._losses import unguarded
from .contract import known_loss, losses
from .layers import Layer, Layers, layers
from .parameters import Parameters, parameters

__all__ = ["Head", "Reach", "Role", "Roles", "SoftmaxLike", "roles"]

Role: TypeAlias = Literal["body", "head", "gate", "attention", "recurrent", "quantiser", "postprocess", "unknown"]

_MAX_REACH = 128
_STEPS = frozenset({"Round", "Floor", "Ceil", "Sign"})
_COMPARES = frozenset(
    {"Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal", "ArgMax", "ArgMin", "NonMaxSuppression"}
)
_PRODUCTS = frozenset({"Mul", "MatMul", "Gemm", "Einsum", "GridSample", "DeformConv"})


@dataclass(frozen=True, slots=True)
class Reach:
    """What lies on the other side of operators that pass a value on (layout, constants, norms, pools, sums)."""

    layers: tuple[Layer, ...]
    """The weighted layers met, in the order met."""
    stops: tuple[Node, ...]
    """The nodes, none of them layers, at which the way ends: activations, products, what is not understood."""
    ends: tuple[Value, ...]
    """Graph outputs (ahead) or graph inputs (behind) met."""
    joins: tuple[Node, ...]
    """Sums and concatenations of several computed values on the way."""
    complete: bool
    """False where the walk was given up."""


class Roles:
    """The heads, and on demand the role and the surroundings of any node."""

    def __init__(self, graph: Graph, known: Parameters, found: Layers, heads: tuple[Head, ...]) -> None:
        self._graph = graph
        self._known = known
        self._layers = found
        self.heads = heads
        """For each loss in the graph what it reads; in a graph without losses, one for each float output."""
        self._read_by_loss = {head.value for head in heads if head.site is not None}
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
            self._ahead[node] = self._walk_ahead(node)
        return self._ahead[node]

    def behind(self, node: Node) -> Reach:
        """What feeds a node."""
        if node not in self._behind:
            self._behind[node] = self._walk_behind(node)
        return self._behind[node]

    def after(self, node: Node) -> tuple[Layer, ...]:
        """The weighted layers that a node feeds through operators that pass values on."""
        return self.ahead(node).layers

    def before(self, node: Node) -> tuple[Layer, ...]:
        """The weighted layers that feed a node through operators that pass values on."""
        return self.behind(node).layers

    def sigmoid(self, node: Node) -> Value | None:
        """The input of a sigmoid in any of its spellings; None if the node is none."""
        return logistic(self._graph, self._known, node)

    def softmax(self, node: Node) -> SoftmaxLike | None:
        """The softmax or log-softmax that a node is, as an operator or written out."""
        return softmax_like(self._graph, node)

    def rectifier(self, node: Node) -> float | None:
        """The least value that a ReLU-like node lets pass; None if it is none."""
        return rectifier_floor(self._graph, self._known, node)

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
        uses = _Uses(self, node)
        if any(value in self._read_by_loss for value in uses.values):
            return "head", "a loss reads it with no weighted layer in between"
        product = uses.product()
        if product is not None:
            kind: Role = "attention" if soft or product.op in ("MatMul", "Einsum", "Gemm") else "gate"
            return kind, f"its result is multiplied with another tensor at {product.loc.path}"
        stepped = uses.stepped()
        if stepped is not None:
            quantised = stepped.op in _STEPS
            return "quantiser" if quantised else "postprocess", f"{stepped.op} makes steps of its result"
        if uses.reach.ends:
            return "head", "an output of the model, with no weighted layer in between"
        if uses.reach.layers or self.ahead(node).layers:
            return "body", "weighted layers read it"
        return "unknown", "what reads it is not understood"

    # -- surroundings

    def _walk_ahead(self, node: Node) -> Reach:
        return _Uses(self, node, widely=True).reach

    def _walk_behind(self, node: Node) -> Reach:
        found, stops, ends, joins = dict[Layer, None](), dict[Node, None](), dict[Value, None](), dict[Node, None]()
        first = self.sigmoid(node)
        stack = [first] if first is not None else self._operands(node)
        seen = set(stack)
        while stack and len(seen) <= _MAX_REACH:
            value = stack.pop()
            made = self._graph.producer(value)
            layer = self._layers.ending_in(value) or self._layers.of(made)
            if layer is not None:
                found[layer] = None
            elif made is None:
                ends[value] = None
            elif self._passes(made):
                inner = self._operands(made)
                if len(inner) > 1:
                    joins[made] = None
                stack.extend(v for v in inner if v not in seen)
                seen.update(inner)
            else:
                stops[made] = None
        return Reach(tuple(found), tuple(stops), tuple(ends), tuple(joins), not stack)

    def _passes(self, node: Node) -> bool:
        """Whether a node passes values on: layout, constants, norms, pools, and sums and concatenations of several."""
        if node.op in ("Add", "Sum", "Concat") and node.domain == ONNX:
            return True
        taken = step(self._graph, self._known, node)
        if taken is None:
            return False
        return taken.effect <= Effect.AFFINE or (node.op in ops.NORMALISATION and node.op != "LpNormalization")

    def _operands(self, node: Node) -> list[Value]:
        """The computed values that a node's result is made of."""
        if node.op in ("Add", "Sum", "Concat"):
            return [v for v in dict.fromkeys(node.inputs) if v is not None and not self._known.constant(v)]
        taken = step(self._graph, self._known, node)
        data = taken.data if taken is not None else node.input(0)
        return [data] if data is not None else []


class _Uses:
    """What the result of a node flows into, until layers, products, or what changes it otherwise.

    Narrowly (for roles): through layout, resampling, pooling, shifts and scales by constants, sums with nothing.
    `widely` (for surroundings): also through norms, sums and concatenations with other values.
    """

    def __init__(self, roles: Roles, node: Node, *, widely: bool = False) -> None:
        self._roles = roles
        self._graph = roles._graph
        self._widely = widely
        self._start = node
        self.values: dict[Value, None] = dict.fromkeys(v for v in node.outputs[:1] if v is not None)
        self._layers: dict[Layer, None] = {}
        self._stops: dict[Node, None] = {}
        self._ends: dict[Value, None] = {}
        self._joins: dict[Node, None] = {}
        self.reach = self._walk()

    def product(self) -> Node | None:
        """The first product of the result with another computed tensor."""
        return next((node for node in self._stops if self._is_product(node)), None)

    def stepped(self) -> Node | None:
        """The first rounding or comparison of the result, if nothing else reads it."""
        stepped = [node for node in self._stops if node.op in _STEPS or node.op in _COMPARES]
        only = len(stepped) == len(self._stops) and not self._layers and not self._ends
        return stepped[0] if stepped and only else None

    def _is_product(self, node: Node) -> bool:
        if node.domain != ONNX or node.op not in _PRODUCTS:
            return False
        others = {v for v in node.inputs if v is not None and not self._roles._known.constant(v)}
        # Two parts of one result gate each other as well; a value times itself is a square.
        return len(others) > 1

    def _walk(self) -> Reach:
        stack = list(self.values)
        while stack and len(self.values) <= _MAX_REACH:
            value = stack.pop()
            if self._graph.is_output(value):
                self._ends[value] = None
            uses = self._graph.uses(value)
            if len(uses) > _MAX_REACH:
                stack.append(value)  # read by too many: given up, and `complete` says so
                break
            for node in uses:
                stack.extend(self._visit(node, value))
        return Reach(tuple(self._layers), tuple(self._stops), tuple(self._ends), tuple(self._joins), not stack)

    def _visit(self, node: Node, value: Value) -> list[Value]:
        """Take note of one use; returns the values to go on with."""
        if node.op in ("Shape", "Size") and node.domain == ONNX:
            return []
        layer = self._roles._layers.of(node)
        if layer is not None and layer.data is value:
            self._layers[layer] = None
            return []
        if layer is None and self._goes_on(node, value):
            fresh = [v for v in node.outputs if v is not None and v not in self.values]
            self.values.update(dict.fromkeys(fresh))
            return fresh
        self._stops[node] = None
        return []

    def _goes_on(self, node: Node, value: Value) -> bool:
        taken = step(self._graph, self._roles._known, node)
        if taken is not None and taken.effect <= Effect.AFFINE and taken.data is value:
            return True
        if node.domain != ONNX:
            return False
        if self._widely:
            return self._goes_on_widely(node, value)
        # A gate may be masked, chosen from (TopK), normalised by its own sum, glued to others.
        if node.op == "Div":
            return all(v in self.values or v is value or self._own(v) for v in node.inputs if v is not None)
        return (node.op == "TopK" and node.input(0) is value) or (
            node.op in ("Where", "Clip", "Concat", "Max", "Min") or node.op in ops.RESAMPLING
        )

    def _own(self, value: Value) -> bool:
        """Whether a value is made of the result alone (a sum that normalises it)."""
        node = self._graph.producer(value)
        for _ in range(4):
            taken = step(self._graph, self._roles._known, node) if node is not None else None
            if taken is None:
                return False
            if taken.data in self.values:
                return True
            node = self._graph.producer(taken.data)
        return False

    def _goes_on_widely(self, node: Node, value: Value) -> bool:
        if node.op in ops.NORMALISATION:
            return node.input(0) is value
        if node.op in ("Add", "Sum", "Concat"):
            self._joins[node] = None
            return True
        return False


@analysis(parameters, layers, losses)
def roles(scope: Scope) -> Roles:
    """The heads of the network; the role of any node on demand."""
    known, found = scope[parameters], scope[layers]
    heads = HeadFinder(scope.graph, known, found, scope[losses]).all()
    return Roles(scope.graph, known, found, heads)
