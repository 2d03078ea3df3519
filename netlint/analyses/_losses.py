"""Where a training graph feeds predictions to a loss: by operator, by the module a node comes from, by structure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from netlint.graph import ONNX, Graph, Node, Value, is_float
from netlint.ops import TORCH_LOSSES
from netlint.training import LOSSES, Loss, find_loss

from ._losses_forms import Forms, Found
from ._losses_idioms import unguarded
from .layers import Layers
from .parameters import Parameters

__all__ = ["Finder", "LossSite", "unguarded"]

_MAX_REGION = 50
_MAX_LOSSES = 64
_LOSS_MODULE = "torch.nn.modules.loss."
_OPERATORS = {"SoftmaxCrossEntropyLoss": "cross_entropy", "NegativeLogLikelihoodLoss": "nll_loss"}


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
    written_out: bool = False
    """Whether arithmetic was recognised: what is no probability of a class may be weighed by its logarithm too."""


class Finder:
    """Looks for losses in one graph."""

    def __init__(self, graph: Graph, known: Parameters, layers: Layers) -> None:
        self._graph = graph
        self._known = known
        self._layers = layers

    def all(self) -> tuple[LossSite, ...]:
        """All sites, in graph order, each predictions-and-loss pair once."""
        found = [*self._operators()]
        outputs = [output for output in self._graph.outputs if _scalar(output)][:_MAX_LOSSES]
        claimed: set[Node] = set()
        for name, nodes in self._regions(outputs):
            if (site := self._region(name, nodes)) is not None:
                found.append(site)
                claimed.update(nodes)
        forms = Forms(self._graph, self._known, self._learned, frozenset(claimed))
        found.extend(self._structure(form) for output in outputs for form in forms.of(output))
        unique = {(site.predictions, site.loss.name): site for site in reversed(found)}
        return tuple(sorted(unique.values(), key=lambda site: self._graph.position[site.node]))

    # -- operators

    def _operators(self) -> Iterator[LossSite]:
        for node in self._graph.of(*_OPERATORS, *TORCH_LOSSES):
            loss = find_loss(_OPERATORS.get(node.full_op, node.op))
            predictions, targets = node.input(0), node.input(1)
            if loss is None or predictions is None or self._known.constant(predictions):
                continue
            # Distances are the same either way round, and many hand the targets over first.
            if loss.kind in ("squared", "absolute") and targets is not None and not self._learned(predictions):
                predictions, targets = targets, predictions
            yield LossSite(loss, node, predictions, targets, f"operator at {node.loc.path}")

    # -- modules of torch.nn that the exporter took apart, but named

    def _regions(self, outputs: list[Value]) -> Iterator[tuple[str, list[Node]]]:
        """The nodes near the outputs that come from one call of a loss module, with the module's class."""
        regions: dict[tuple[str, str | None], list[Node]] = {}
        for node in dict.fromkeys(node for output in outputs for node in self._near(output)):
            where = node.loc
            if (where.module_class or "").startswith(_LOSS_MODULE):
                regions.setdefault((where.module_class or "", where.module), []).append(node)
        for (name, _), nodes in regions.items():
            # What an operator says already need not be guessed from what stands around it.
            if not any(node.op in _OPERATORS for node in nodes):
                yield from ((name, part) for part in _connected(nodes))

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

    def _structure(self, form: Found) -> LossSite:
        uses = self._graph.uses(form.predictions)
        reader = min(uses, key=lambda node: (node.op in ("Shape", "Size"), self._graph.position[node]))
        where = f"structure at {reader.loc.path}"
        return LossSite(LOSSES[form.name], reader, form.predictions, form.targets, where, written_out=True)

    def _learned(self, value: Value) -> bool:
        """Whether a value depends on a weighted layer."""
        return value in self._behind_layers

    @cached_property
    def _behind_layers(self) -> set[Value]:
        found: set[Value] = set()
        for node in self._graph.nodes:
            if node.op in ("Shape", "Size"):
                continue
            layered = self._layers.of(node) is not None or bool(node.bodies) or node.domain != ONNX
            if layered or any(value in found for value in node.inputs):
                found.update(value for value in node.outputs if value is not None)
        return found


def _connected(nodes: list[Node]) -> Iterator[list[Node]]:
    """The parts of a list of nodes that share no result: one part for each call of a module."""
    part = {node: node for node in nodes}

    def root(node: Node) -> Node:
        while part[node] is not node:
            node = part[node]
        return node

    makers = {value: node for node in nodes for value in node.outputs if value is not None}
    for node in nodes:
        for value in node.inputs:
            if value in makers:
                part[root(node)] = root(makers[value])
    parts: dict[Node, list[Node]] = {}
    for node in nodes:
        parts.setdefault(root(node), []).append(node)
    yield from parts.values()


def _scalar(value: Value) -> bool:
    """A float output that may be a loss: one element, or of unknown shape."""
    if value.dtype is not None and not is_float(value.dtype):
        return False
    return value.shape is None or all(size == 1 for size in value.shape)
