"""Layers whose weight is one number everywhere, and whether most layers of the model are like that."""

from __future__ import annotations

from dataclasses import dataclass

from netlint.analysis import Scope, analysis
from netlint.graph import Graph, Value

from .layers import Layer, layers
from .weights import WeightStats, real_weights


@dataclass(frozen=True, slots=True)
class Uniform:
    """The layers whose weight is one number everywhere, zero included."""

    found: tuple[tuple[Layer, WeightStats], ...]
    total: int
    """The number of all layers of the model."""
    systematic: bool
    """Three quarters of all layers or more are so, and one of them reads what another computes.

    One such layer may be meant (a sum, an average, a branch or several heads that start at zero); a model of them is
    not. Low-rank updates that start at zero are half of a model at most.
    """

    def phrase(self, zero: bool) -> str:
        """How many layers are so, for a message."""
        count = sum(stats.zero for _, stats in self.found) if zero else len(self.found)
        return f"{count} of {self.total} layers"


@analysis(layers, real_weights)
def uniform(scope: Scope) -> Uniform:
    """Layers whose weight is one number everywhere."""
    known, stats_of = scope[layers], scope[real_weights].of
    found = []
    for layer in known.all:
        stats = stats_of(layer.weight)
        if stats is not None and stats.lo == stats.hi and not stats.nan:
            found.append((layer, stats))
    most = len(found) > 1 and 4 * len(found) >= 3 * len(known.all)
    chained = most and _chained(scope.graph, [layer for layer, _ in found])
    return Uniform(tuple(found), len(known.all), chained)


def _chained(graph: Graph, some: list[Layer]) -> bool:
    """Whether the data of one of some layers depends on the output of another."""
    data = {layer.node: layer.data for layer in some}
    behind: set[Value] = set()
    for node in graph.nodes:
        reads = any(value in behind for value in node.inputs)
        if node in data and data[node] in behind:
            return True
        if reads or node in data:
            behind.update(value for value in node.outputs if value is not None)
    return False
