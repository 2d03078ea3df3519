"""What lies in series: saturating activations without a shortcut, layers that compose linearly, gradients that are cut.

Four questions, each answered on first use and in linear time: `depths` counts tanh and sigmoid activations in series,
`linear` pairs weighted layers with nothing but affine operators between them, `rectified` finds residual branches that
end in a ReLU, `gradient` follows gradients from the outputs back to the trainable weights.
"""

from __future__ import annotations

from functools import cached_property

from netlint.analysis import Scope, analysis

from ._path_depth import Depths
from ._path_gradient import COMPARES, PICKS, STEPS, GradientPaths, Onward, Passage, cuts_decimals
from ._path_linear import LinearPair, LinearPairs
from ._path_shortcuts import Shortcut, shortcuts
from .contract import losses
from .layers import layers
from .parameters import parameters
from .shapes import shapes
from .sigmoids import sigmoids

__all__ = ["COMPARES", "PICKS", "STEPS", "Depths", "GradientPaths", "LinearPair", "Onward", "Passage", "Paths"]
__all__ += ["Shortcut", "cuts_decimals", "paths"]


class Paths:
    """Ways through one graph."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @cached_property
    def depths(self) -> Depths:
        """Saturating activations in series, with no shortcut and no normalisation in between."""
        scope = self._scope
        found = scope[sigmoids]
        return Depths(scope.graph, scope[parameters], found)

    @cached_property
    def linear(self) -> tuple[LinearPair, ...]:
        """Pairs of weighted layers with affine operators only between them, in graph order."""
        scope = self._scope
        pairs = LinearPairs(scope.graph, scope[parameters], scope[layers], lambda value: scope[shapes].of(value))
        return tuple(pairs.all())

    @cached_property
    def rectified(self) -> tuple[Shortcut, ...]:
        """Residual sums of an identity shortcut and a branch that ends in a ReLU, in graph order."""
        scope = self._scope
        return tuple(shortcuts(scope.graph, scope[parameters], scope[layers], "Relu"))

    @cached_property
    def gradient(self) -> GradientPaths:
        """What gradients pass, reach and miss."""
        scope = self._scope
        read = frozenset(site.predictions for site in scope[losses])
        return GradientPaths(scope.graph, scope[parameters], scope[layers], read)


@analysis(parameters, layers, losses, shapes, sigmoids)
def paths(scope: Scope) -> Paths:
    """What lies in series on the ways through the graph."""
    return Paths(scope)
