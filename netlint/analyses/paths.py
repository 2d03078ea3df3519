"""What lies in series: saturating activations without a shortcut, layers that compose linearly, gradients that are cut.

Five questions, each answered on first use and in linear time: `depths` counts tanh and sigmoid activations in series,
`linear` pairs weighted layers with nothing but affine operators between them, `whole` asks the same of a network from
its input on, `rectified` finds residual branches that end in a ReLU, `gradient` follows gradients from the outputs
back to the trainable weights.
"""

from __future__ import annotations

from functools import cached_property

from netlint.analysis import Scope, analysis

from ._path_depth import Depths
from ._path_gradient import COMPARES, PICKS, STEPS, GradientPaths, Onward, Passage, cuts_decimals
from ._path_linear import LinearPair, LinearPairs
from ._path_shortcuts import Shortcut, shortcuts
from ._path_whole import LinearNetwork, WholeNetwork
from .contract import losses
from .layers import Layer, layers
from .parameters import parameters
from .shapes import shapes
from .sigmoids import sigmoids

__all__ = ["COMPARES", "PICKS", "STEPS", "Depths", "GradientPaths", "LinearNetwork", "LinearPair"]
__all__ += ["Onward", "Passage", "Paths", "Shortcut", "cuts_decimals", "paths"]


class Paths:
    """Ways through one graph."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @cached_property
    def depths(self) -> Depths:
        """Saturating activations in series, with no shortcut and no normalisation in between."""
        scope = self._scope
        found = scope[sigmoids]
        return Depths(scope.graph, scope[parameters], scope[layers], found)

    @cached_property
    def linear(self) -> tuple[LinearPair, ...]:
        """Pairs of weighted layers with affine operators only between them, in graph order."""
        scope = self._scope
        pairs = LinearPairs(scope.graph, scope[parameters], scope[layers], lambda value: scope[shapes].of(value))
        return tuple(pairs.all())

    def whole(self, last: Layer) -> LinearNetwork | None:
        """The network that a dense layer ends, if it is linear from an input of the graph on."""
        scope = self._scope
        network = WholeNetwork(scope.graph, scope[parameters], scope[layers], lambda value: scope[shapes].of(value))
        return network.ending_in(last)

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
