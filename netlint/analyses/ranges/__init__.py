"""For each value the interval its elements lie in, with what relations between values add to it.

One table maps each operator to its transfer function; what no table names, and what hangs on it, is TOP. Sound as
executed: ends are rounded outward in the value's own type, and implementations' errors are allowed for. Everything is
worked out once, in graph order; loops are gone through until what they carry is stable.
"""

from __future__ import annotations

from netlint.analyses.constants import constants
from netlint.analyses.shapes import shapes
from netlint.analysis import Scope, analysis

from .interval import TOP, Range
from .result import Ranges
from .state import Lanes, State
from .table import TRANSFER
from .trainable import trainable
from .walk import run

__all__ = ["TOP", "TRANSFER", "Lanes", "Range", "Ranges", "ranges", "trainable", "training_ranges"]


@analysis(shapes, constants)
def ranges(scope: Scope) -> Ranges:
    """Intervals, and sums to one, with the weights that the model stores.

    Rests on the training contract's `input_range` where `Range.assumed` says so.
    """
    state = State(scope.graph, scope[shapes], scope[constants], scope.training, {})
    run(scope.graph, state)
    return Ranges(scope.graph, state, any_weights=False)


@analysis(shapes, constants, trainable)
def training_ranges(scope: Scope) -> Ranges:
    """The same with any finite number for each trainable weight: what holds at every step of training."""
    state = State(scope.graph, scope[shapes], scope[constants], scope.training, scope[trainable].opened)
    run(scope.graph, state)
    return Ranges(scope.graph, state, any_weights=True)
