"""Where a training graph feeds predictions to a loss: by operator, by the module a node comes from, by structure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netlint import ops
from netlint.graph import ONNX, Graph, Node, Value
from netlint.training import LOSSES, Loss, find_loss

from ._idioms import Effect, number, step, through
from .layers import Layers
from .parameters import Parameters

_MAX_REGION = 50
_MAX_TERMS = 8
_MAX_STEPS = 200
_MAX_LOSSES = 64
_MAX_BACK = 200_000
_LOSS_MODULE = "torch.nn.modules.loss."
_OPERATORS = {"SoftmaxCrossEntropyLoss": "cross_entropy", "NegativeLogLikelihoodLoss": "nll_loss"}
# `log(p + eps)`: above this the addend is part of the model, not a guard.
_LARGEST_GUARD = 1e-2


@dataclass(frozen=True, eq=False, slots=True)
class LossSite:
    """One loss in the graph and what it reads. Compared by identity."""

    loss: Loss
    node: Node
    """Where the loss begins: the first node that reads the predictions."""
    predictions: Value
    targets: Value | None
    """None where it is not clear which input holds them."""
    origin: str
    """`operator at <path>`, `MSELoss at <path>`, or `structure at <path>`."""


class Finder:
    """Looks for losses in one graph."""

    def __init__(self, graph: Graph, known: Parameters, layers: Layers) -> None:
        self._graph = graph
        self._known = known
        self._layers = layers

    def all(self) -> tuple[LossSite, ...]:
        """All sites, in graph order, each predictions-and-loss pair once."""
        found = [*self._operators()]
        for output in [output for output in self._graph.outputs if _scalar(output)][:_MAX_LOSSES]:
            found.extend(self._modules(output) or self._structures(output))
        unique = {(site.predictions, site.loss.name): site for site in reversed(found)}
        return tuple(sorted(unique.values(), key=lambda site: self._graph.position[site.node]))

    # -- operators

    def _operators(self) -> Iterator[LossSite]:
        for node in self._graph.of(*_OPERATORS):
            predictions = node.input(0)
            if node.domain == ONNX and predictions is not None:
                loss = LOSSES[_OPERATORS[node.op]]
                yield LossSite(loss, node, predictions, node.input(1), f"operator at {node.loc.path}")

    # -- modules of torch.nn that the exporter took apart, but named

    def _modules(self, output: Value) -> list[LossSite]:
        regions: dict[str, list[Node]] = {}
        for node in self._near(output):
            where = node.loc
            if (where.module_class or "").startswith(_LOSS_MODULE) and node.op not in _OPERATORS:
                regions.setdefault(f"{where.module_class} {where.module}", []).append(node)
        sites = [self._region(name.partition(" ")[0], nodes) for name, nodes in regions.items()]
        return [site for site in sites if site is not None]

    def _near(self, output: Value) -> Iterator[Node]:
        """The nodes just before an output, nearest first."""
        queue, seen = [output], {output}
        for _, value in zip(range(_MAX_REGION), queue, strict=False):
            node = self._graph.producer(value)
            if node is None:
                continue
            yield node
            fresh = [v for v in node.inputs[:_MAX_REGION] if v is not None and v not in seen]
            seen.update(fresh)
            queue.extend(fresh)

    def _region(self, name: str, nodes: list[Node]) -> LossSite | None:
        loss = find_loss(name)
        inside = {value for node in nodes for value in node.outputs}
        read = [v for node in nodes for v in node.inputs if v is not None and v not in inside]
        outer = [value for value in dict.fromkeys(read) if not self._known.constant(value)]
        if loss is None:
            return None
        where = nodes[0].loc
        return self._site(loss, outer, nodes, f"{name.rpartition('.')[2]} at {where.module or where.path}")

    def _site(self, loss: Loss, operands: list[Value], nodes: Iterable[Node], origin: str) -> LossSite | None:
        """The site, if exactly one of the values the loss reads depends on parameters: that is the prediction."""
        learned = [value for value in operands if self._learned(value)]
        if len(learned) != 1:
            return None
        readers = sorted((n for n in nodes if learned[0] in n.inputs), key=self._graph.position.__getitem__)
        others = [value for value in operands if value is not learned[0]]
        return LossSite(loss, readers[0], learned[0], others[0] if len(others) == 1 else None, origin)

    def _learned(self, value: Value) -> bool:
        """Whether a value depends on a weighted layer."""
        stack, seen = [value], {value}
        while stack and len(seen) < _MAX_BACK:
            node = self._graph.producer(stack.pop())
            if node is None or node.op in ("Shape", "Size"):
                continue
            if self._layers.of(node) is not None or node.bodies or node.domain != ONNX:
                return True
            fresh = [v for v in node.inputs if v is not None and v not in seen and not self._known.constant(v)]
            seen.update(fresh)
            stack.extend(fresh)
        return bool(stack)

    # -- arithmetic

    def _structures(self, output: Value) -> list[LossSite]:
        found = []
        for value, sign in self._terms(output, 1.0):
            site = self._reduced(value, sign)
            if site is not None:
                found.append(site)
        return found

    def _terms(self, output: Value, sign: float) -> list[tuple[Value, float]]:
        """The summands of a total loss with their signs; each is followed back to a reduction."""
        stack = [(output, sign)]
        terms: list[tuple[Value, float]] = []
        for _ in range(_MAX_STEPS):
            if not stack or len(terms) + len(stack) > _MAX_TERMS:
                break
            value, sign = stack.pop()
            node = self._graph.producer(value)
            if node is not None and node.op in ("Add", "Sum") and step(self._graph, self._known, node) is None:
                stack.extend((v, sign) for v in node.inputs if v is not None)
            elif node is not None and (scaled := self._scaled(node)) is not None:
                stack.append((scaled[0], sign * scaled[1]))
            else:
                terms.append((value, sign))
        return terms

    def _scaled(self, node: Node) -> tuple[Value, float] | None:
        """(x, sign), where a node only moves x, negates it, or multiplies it with a constant."""
        taken = step(self._graph, self._known, node)
        if taken is None or taken.effect > Effect.AFFINE or node.op in ops.REDUCTIONS:
            return None
        if taken.effect == Effect.LAYOUT:
            return taken.data, 1.0
        if node.op == "Neg":
            return taken.data, -1.0
        if node.op not in ("Mul", "Div"):
            return None
        factor = number(self._graph, self._known, next(v for v in node.inputs if v is not taken.data))
        return (taken.data, 1.0 if factor > 0 else -1.0) if factor else None

    def _reduced(self, value: Value, sign: float) -> LossSite | None:
        """A loss whose elementwise part lies behind one or more sums and means."""
        node, reduced = self._graph.producer(value), False
        for _ in range(_MAX_STEPS):
            if node is None:
                break
            if node.op in ("ReduceMean", "ReduceSum"):
                reduced, inner = True, node.input(0)
            elif (scaled := self._scaled(node)) is not None:
                inner, sign = scaled[0], sign * scaled[1]
            else:
                break
            node = self._graph.producer(inner)
        if node is None:
            return None
        distance = self._distance(node, reduced) if sign > 0 else None
        return distance or (self._likelihood(node, sign) if reduced else None)

    def _distance(self, node: Node, reduced: bool) -> LossSite | None:
        """Squares or absolute values of the difference of two computed values."""
        name = {"ReduceSumSquare": "mse_loss", "ReduceL1": "l1_loss"}.get(node.op)
        data = node.input(0)
        if reduced and self._is_square(node):
            name = "mse_loss"
        elif reduced and node.op == "Abs":
            name = "l1_loss"
        difference = self._graph.producer(through(self._graph, self._known, data)) if name and data else None
        if name is None or difference is None or difference.op != "Sub":
            return None
        operands = [v for v in difference.inputs if v is not None and not self._known.constant(v)]
        if len(operands) != 2:
            return None  # the distance to a constant is a penalty, not an error
        return self._site(LOSSES[name], operands, [difference], f"structure at {node.loc.path}")

    def _is_square(self, node: Node) -> bool:
        """x to the power of 2, x * x, or the product of two Subs of the same operands."""
        if node.op != "Mul":
            return node.op == "Pow" and number(self._graph, self._known, node.input(1)) == 2.0
        left, right = (self._graph.producer(value) for value in node.inputs[:2])
        return left is right or (
            left is not None and right is not None and left.op == right.op == "Sub" and left.inputs == right.inputs
        )

    def _likelihood(self, node: Node, sign: float) -> LossSite | None:
        """-sum(t * log p) over classes, or -(t * log p + (1 - t) * log(1 - p)) over units."""
        logs = [found for value, s in self._products(node, sign) if (found := self._weighted_log(value, s)) is not None]
        if len(logs) == 1 and logs[0][2] < 0 and node.op == "Mul":
            return self._one_log(node, *logs[0][:2])
        if len(logs) != 2 or any(entry[2] > 0 for entry in logs):
            return None
        for p, q in ((logs[0][1], logs[1][1]), (logs[1][1], logs[0][1])):
            if self._complement(q) is p and self._learned(p):
                reader = min((n for n in self._graph.uses(p)), key=self._graph.position.__getitem__)
                return LossSite(
                    LOSSES["binary_cross_entropy"], reader, p, self._factor(logs, p), f"structure at {node.loc.path}"
                )
        return None

    def _factor(self, logs: list[tuple[Value, Value, float]], p: Value) -> Value | None:
        return next((targets for targets, argument, _ in logs if argument is p), None)

    def _one_log(self, node: Node, targets: Value, argument: Value) -> LossSite | None:
        if self._learned(targets) or not self._learned(argument):
            return None
        produced = self._graph.producer(argument)
        log_softmax = produced is not None and produced.op == "LogSoftmax"
        name = "nll_loss" if log_softmax else "categorical_cross_entropy"
        return LossSite(LOSSES[name], node, argument, targets, f"structure at {node.loc.path}")

    def _products(self, node: Node, sign: float) -> list[tuple[Node, float]]:
        """The summands of an elementwise expression, with their signs."""
        stack = [(node, sign)]
        found: list[tuple[Node, float]] = []
        while stack and len(found) < _MAX_TERMS:
            current, sign = stack.pop()
            if current.op in ("Add", "Sub", "Neg"):
                signs = (sign, -sign) if current.op == "Sub" else (-sign,) if current.op == "Neg" else (sign, sign)
                inner = [(self._graph.producer(v), s) for v, s in zip(current.inputs, signs, strict=False)]
                stack.extend((n, s) for n, s in inner if n is not None)
            else:
                found.append((current, sign))
        return found

    def _weighted_log(self, node: Node, sign: float) -> tuple[Value, Value, float] | None:
        """(t, p, sign) of t * log p; p is a log-softmax's own output where there is one. (t - 1) turns the sign."""
        if node.op != "Mul":
            return None
        for weight, log in (node.inputs, node.inputs[::-1]):
            argument = self._log_argument(log)
            if argument is None or weight is None or self._log_argument(weight) is not None:
                continue
            made = self._graph.producer(weight)
            minus_one = made is not None and made.op == "Sub" and number(self._graph, self._known, made.input(1)) == 1.0
            return weight, argument, -sign if minus_one else sign
        return None

    def _log_argument(self, value: Value | None) -> Value | None:
        """p of log p, through a floor (`max(log p, -100)`) and a guard (`p + eps`, `clip(p, eps, 1)`)."""
        node = self._graph.producer(value)
        if node is not None and node.op in ("Max", "Clip"):
            taken = step(self._graph, self._known, node)
            node = self._graph.producer(taken.data) if taken is not None else None
        if node is None or node.op not in ("Log", "LogSoftmax"):
            return None
        return node.output() if node.op == "LogSoftmax" else unguarded(self._graph, self._known, node.input(0))

    def _complement(self, value: Value) -> Value | None:
        """p, where a value is 1 - p or -p + 1."""
        node = self._graph.producer(value)
        if node is None or number(self._graph, self._known, node.input(0 if node.op == "Sub" else 1)) != 1.0:
            return None
        if node.op == "Sub":
            return node.input(1)
        neg = self._graph.producer(node.input(0)) if node.op == "Add" else None
        return neg.input(0) if neg is not None and neg.op == "Neg" else None


def unguarded(graph: Graph, known: Parameters, value: Value | None) -> Value | None:
    """p, where a value is p, p + eps, max(p, eps) or clip(p, eps, ..)."""
    node = graph.producer(value)
    taken = step(graph, known, node) if node is not None else None
    if node is None or taken is None:
        return value
    if node.op in ("Clip", "Max"):
        return taken.data
    added = next((v for v in node.inputs if v is not taken.data), None) if node.op == "Add" else None
    eps = number(graph, known, added)
    return taken.data if eps is not None and 0 < eps <= _LARGEST_GUARD else value


def _scalar(value: Value) -> bool:
    """A float output that may be a loss: one element, or of unknown shape."""
    if value.dtype is not None and not value.dtype.startswith(("float", "bfloat")):
        return False
    return value.shape is None or all(size == 1 for size in value.shape)
