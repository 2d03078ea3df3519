"""Where in a program a node stands: before a loss, behind trained weights, behind a normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from netlint import ops
from netlint.analyses.contract import losses
from netlint.analyses.layers import Layers, layers
from netlint.analyses.parameters import Parameters, parameters
from netlint.analyses.reached.patterns import readers
from netlint.analyses.roles import Roles, roles
from netlint.analyses.shapes import Shapes, shapes
from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Node, Value, is_float

_FEW = 60
_TO_SCALAR = 40
FRAMEWORK = "torch.nn.modules."
"""What the framework's own modules compute is not the user's to change."""
_SAFE_AT_ZERO = frozenset({"norm", "vector_norm", "frobenius_norm", "linalg_norm", "linalg_vector_norm"})
_SAFE_AT_ZERO |= {"cdist", "dist", "pairwise_distance", "normalize", "std", "std_mean"}
"""Functions of torch that take the gradient 0 where they are 0."""
_NO_GRADIENT = frozenset(
    {"ArgMax", "ArgMin", "Shape", "Size", "NonMaxSuppression", "NonZero", "Not", "IsNaN", "IsInf", "Sign", "Floor"}
    | {"Ceil", "Round", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "OneHot"}
)
_MOVES = frozenset(
    {"Reshape", "Transpose", "Unsqueeze", "Squeeze", "Pad", "Cast", "Identity", "Slice", "Gather", "Flatten"}
)
_MOVES_AND_SCALES = _MOVES | {"Mul", "Div", "Add", "Sub", "Expand", "Concat", "Split"}


@dataclass(frozen=True, slots=True)
class _Flow:
    """Values by what is behind them."""

    fixed: set[Value]
    """Inputs, moved and scaled."""
    trained: set[Value]
    learning: set[Value]
    """Likewise, and no `detach` is on the way of the gradient."""
    steady: set[Value]


class Surroundings:
    """Answers about one graph, each worked out when it is asked for."""

    def __init__(self, scope: Scope) -> None:
        self._graph: Graph = scope.graph
        self._known: Parameters = scope[parameters]
        self._layers: Layers = scope[layers]
        self._roles: Roles = scope[roles]
        self._shapes: Shapes = scope[shapes]
        self._sites = tuple(site.node for site in scope[losses])
        self._before_loss: frozenset[Node] | None = None

    def before_loss(self, node: Node) -> bool:
        """Whether a loss in the graph depends on a node."""
        if self._before_loss is None:
            self._before_loss = frozenset(self._cone())
        return node in self._before_loss

    def _cone(self) -> set[Node]:
        losses = filter(self._is_loss, self._graph.outputs)
        made_of = (self._graph.producer(out) for out in losses)
        ends = [*self._sites, *(node for node in made_of if node is not None)]
        cone, due = set(ends), list(ends)
        while due:
            node = due.pop()
            inside = (v for body in node.bodies.values() for v in body.outputs)
            for value in (*node.inputs, *inside):
                made = self._graph.producer(value)
                if made is not None and made not in cone:
                    cone.add(made)
                    due.append(made)
        return cone

    def _is_loss(self, output: Value) -> bool:
        """One number that sums or averages everything, perhaps scaled or added to another such number."""
        if not is_float(self._shapes.dtype(output)) or not self._single(output) or (self._shapes.rank(output) or 0) > 1:
            return False
        due: list[Value | None] = [output]
        for _, value in zip(range(_TO_SCALAR), due, strict=False):
            node = self._graph.producer(value)
            if node is None:
                continue
            if node.op in ops.LOSSES or node.full_op in ops.TORCH_LOSSES:
                return True
            if node.op in ("ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2") and self._reduces(
                node
            ):
                return True
            if self._single(value):
                due += node.inputs
        return False

    def _single(self, value: Value | None) -> bool:
        shape = self._shapes.of(value)
        return shape is not None and all(size == 1 for size in shape)

    def _reduces(self, node: Node) -> bool:
        """More than one number to one."""
        before = self._shapes.of(node.input(0))
        return self._single(node.output()) and (before is None or any(size != 1 for size in before))

    def trained(self, value: Value | None) -> bool:
        """Whether gradient descent moves what a value is computed with: weights behind it that are not a fixed
        transform at the input, such as the windows of a spectrum."""
        return value in self._flow.trained

    def steady(self, value: Value | None) -> bool:
        """Whether a normalisation behind a value keeps its length from vanishing."""
        return value in self._flow.steady

    @cached_property
    def _flow(self) -> _Flow:
        """One pass over the graph."""
        flow = _Flow(set(self._graph.inputs), set(), set(), set())
        for node in self._graph.nodes:
            data = [v for v in node.inputs if v is not None and not self._known.constant(v)]
            if any(v in flow.steady for v in data) or self._normalises(node):
                flow.steady.update(v for v in node.outputs if v is not None)
            learns = self._learns(node, all(v in flow.fixed for v in data))
            if learns or any(v in flow.trained for v in data):
                flow.trained.update(v for v in node.outputs if v is not None)
                if ops.STOPS_GRADIENT not in node.attrs and (learns or any(v in flow.learning for v in data)):
                    flow.learning.update(v for v in node.outputs if v is not None)
            elif self._moves(node) and all(v in flow.fixed for v in data):
                flow.fixed.update(v for v in node.outputs if v is not None)
        return flow

    def _moves(self, node: Node) -> bool:
        """Whether a node moves or scales, or multiplies without a bias, as a transform at the input does."""
        return node.op in _MOVES_AND_SCALES or self._layers.of(node) is not None

    def _learns(self, node: Node, fixed: bool) -> bool:
        """Whether a node has parameters of its own; `fixed`: it reads an input that was only moved and scaled."""
        layer = self._layers.of(node)
        if layer is None or layer.weight.trainable is False:
            return any(v is not None and v.trainable for v in node.inputs)
        front_end = fixed and layer.bias is None and layer.kind != "embedding"
        return bool(layer.weight.trainable) or not front_end

    def passes_gradient(self, node: Node) -> bool:
        """Whether the result of a node reaches an output, a layer or a loss by operators that have a gradient."""
        due, seen = [node.output()], {node.output()}
        for count, value in enumerate(due):
            if count > _FEW or self._graph.is_output(value):
                return True
            for use in self._graph.uses(value):
                if (
                    use.op in _NO_GRADIENT
                    or ops.STOPS_GRADIENT in use.attrs
                    or (use.op == "Cast" and not self._is_float(use.output()))
                ):
                    continue
                if use.op == "Where" and value is use.input(0):
                    continue
                for out in use.outputs:
                    if out is not None and out not in seen:
                        seen.add(out)
                        due.append(out)
        return False

    def _is_float(self, value: Value | None) -> bool:
        return is_float(self._shapes.dtype(value) or "float")

    def learns(self, node: Node) -> bool:
        """Whether a gradient flows through a node when the model is trained."""
        source = node.input(0)
        learned = source in self._flow.learning if self.trained(source) else self.before_loss(node)
        return learned and self.passes_gradient(node)

    def _normalises(self, node: Node) -> bool:
        if node.op in ops.NORMALISATION or node.full_op.endswith("LayerNormalization"):
            return True
        divisor = self._roles.source_node(divided) if node.op == "Div" and (divided := node.input(1)) else None
        inside = self._graph.producer(divisor.input(0)) if divisor is not None and divisor.op == "Sqrt" else None
        return inside is not None and inside.op == "Add" and any(self._is_mean(value) for value in inside.inputs)

    def _is_mean(self, value: Value | None) -> bool:
        node = self._graph.producer(value)
        return node is not None and node.op == "ReduceMean"

    def exported_with_logits(self, log: Node) -> bool:
        """Whether the logarithm of p or of 1 - p belongs to a cross-entropy with logits as torch's TorchScript exporter
        writes it, -(t * log p + (1 - t) * log(1 - p)): the 1 is a vector of one element, and the sum is negated before
        the average."""
        operand = log.input(0)
        inner = self._roles.source_node(operand) if operand is not None else None
        rests = self._readers(inner) if inner is not None and inner.op == "Sigmoid" else [inner]
        if not any(rest is not None and rest.op == "Sub" and self._shapes.of(rest.input(0)) == (1,) for rest in rests):
            return False
        node = log
        for op in ("Mul", "Add", "Neg"):
            uses = self._readers(node)
            if len(uses) == 1 and op == "Add" and uses[0].op == "Mul":  # by the weight of the positives
                uses = self._readers(uses[0])
            if len(uses) != 1 or uses[0].op != op:
                return False
            node = uses[0]
        return True

    def _readers(self, node: Node) -> list[Node]:
        return [use for use, _ in readers(self._graph, node.output())]

    def of_framework(self, node: Node) -> bool:
        """Whether a module of the framework itself computes a node."""
        return (node.loc.module_class or "").startswith(FRAMEWORK)

    def gradient_is_safe(self, node: Node) -> bool:
        """Whether it is the framework that computes a root, and knows what to do with its gradient at 0."""
        return self.of_framework(node) or node.loc.path.rpartition(" ▸ ")[2] in _SAFE_AT_ZERO


@analysis(layers, losses, parameters, roles, shapes)
def surroundings(scope: Scope) -> Surroundings:
    """Where nodes stand."""
    return Surroundings(scope)
