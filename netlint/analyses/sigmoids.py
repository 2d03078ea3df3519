"""The sigmoids of a graph, however they are written."""

from __future__ import annotations

from netlint.analysis import Scope, analysis
from netlint.graph import Node

from ._squash import spelled
from .parameters import parameters


@analysis(parameters)
def sigmoids(scope: Scope) -> tuple[Node, ...]:
    """The nodes that are sigmoids, each by the last node of its spelling, in graph order."""
    return tuple(spelled(scope.graph, scope[parameters]))
