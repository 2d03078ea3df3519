"""What runs of a model show, as plain data: no tensors of a framework, nothing that depends on the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from netlint.records import record

if TYPE_CHECKING:
    import numpy as np

    from netlint.graph import Node, Value

    Floats = np.ndarray[Any, np.dtype[np.float64]]


KEPT_SAMPLES = 16
"""Samples of an output that are kept."""
KEPT_NUMBERS = 1 << 12
"""Numbers of each."""


@record
class Setup:
    """How the model was run; every finding of the probe prints it."""

    device: str
    """`cpu`, or the name of the GPU."""
    runner: str
    """`torch` or `onnxruntime`."""
    batch: str
    """Where the data come from: `FILE.npz, 32 samples`, `synthetic, 16 samples in [0, 1]`."""
    samples: int
    seed: int
    synthetic: bool = True
    """The data are made up: they keep to the contract as far as it is stated, and are guesses beyond."""
    loss: str = ""
    """What gradients are of: the name of a loss, or how one was made up; empty: there are none."""
    true_loss: bool = False
    """The loss is the user's own: stated, or in the graph. Where it is made up, only ratios of gradients tell."""
    notes: tuple[str, ...] = ()
    """What people should know, e.g. that the batch was halved since memory ran out."""


@record
class Units:
    """One number for each unit (channel, feature) of a value, over samples and positions; arrays [units]."""

    lo: Floats
    hi: Floats
    mean: Floats
    std: Floats
    zeros: Floats
    """Share of exact zeros."""
    grad: Floats | None = None
    """Root mean square of the gradient; None where no gradient was computed."""


@record
class Seen:
    """One value of the graph in the forward and backward pass, all elements of all samples together."""

    node: Node
    """The node that computed it."""
    count: int
    mean: float
    std: float
    lo: float
    hi: float
    """NaN aside; infinite if an element is."""
    zeros: float
    """Share of exact zeros."""
    nonfinite: int
    """Elements that are NaN or infinite."""
    nans: int = 0
    """Elements that are NaN."""
    saturated: float | None = None
    """Share of elements within 2 % (of the distance between them, where there are two) of an asymptote of the function
    that made them; of a softmax, and of fused attention where torch runs it, the share of its distributions that give
    one entry more than 98 %. None: it has none.
    """
    grad: float | None = None
    """Root mean square of the gradient that arrives here, NaN or infinite if an element of it is; None where no
    gradient was computed."""
    units: Units | None = None


@record
class WeightSeen:
    """A trainable parameter in the backward pass."""

    name: str
    """As the graph names its value; a weight that several layers share comes once, where it is used first."""
    rms: float
    grad: float | None
    """Root mean square of its gradient; None: no gradient arrived at all."""

    @property
    def ratio(self) -> float | None:
        """Gradient to weight."""
        return None if self.grad is None or not self.rms else self.grad / self.rms


@record
class Passes:
    """One forward and one backward pass, in the mode the graph was recorded in (training, where nobody says otherwise).

    `seen` and `weights` are in the order of execution.
    """

    setup: Setup
    seen: Mapping[Value, Seen]
    weights: tuple[WeightSeen, ...]
    loss: float | None = None
    """The loss of the batch; None where it was made up."""
    inputs: Mapping[Value, tuple[float, float]] = field(default_factory=dict)
    """Least and largest element of what was fed, for each input of the graph."""
    targets: tuple[float, float] | None = None
    """Mean and standard deviation of the targets; None for classes and where there are none."""
    whole: bool = True
    """The run did what was recorded. Else the last values that were seen may not be those that they are taken for."""
    raised: str = ""
    """What the backward pass of the loss raised in training mode; empty: nothing."""
    outputs: Mapping[Value, Floats] | None = None
    """Outputs of the model, flattened to [samples, numbers], for the first samples; what varies with the sample."""


@record
class Overfit:
    """An attempt to learn one small batch by heart."""

    setup: Setup
    losses: tuple[float, ...]
    """After each step; the first is before any."""
    rate: float
    optimizer: str
    least: float
    """What the loss of a perfect model would be (0, or the entropy of soft targets)."""

    @property
    def share(self) -> float:
        """The part of the avoidable loss that is left at best: 0 learnt by heart, 1 nothing learnt."""
        start = self.losses[0] - self.least
        return (min(self.losses) - self.least) / start if start > 0 else 0.0


@record
class Ramp:
    """Training steps at a rising learning rate."""

    setup: Setup
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    optimizer: str
    largest: float | None
    """The largest rate before the loss blew up; None: it never did."""


@record
class GradientCheck:
    """Gradients of the model's own backward pass against finite differences, in float64."""

    setup: Setup
    derivatives: Mapping[str, tuple[float, float]]
    """By parameter (or `input`): analytic and numerical derivative in a random direction, the numerical one from
    central differences. A parameter without gradient has 0 for its analytic one."""

    def error(self, name: str) -> float:
        """|analytic - numerical| / max(|analytic|, |numerical|): 0 they agree, up to 2 they are opposite."""
        analytic, numerical = self.derivatives[name]
        largest = max(abs(analytic), abs(numerical))
        return abs(analytic - numerical) / largest if largest > 0 else 0.0


@record
class Leak:
    """Influence of one sample on the output of another, in inference mode; samples lie along the batch axis, which has
    to be known."""

    setup: Setup
    pairs: tuple[tuple[int, int, float], ...]
    """(input sample, output sample, largest absolute derivative), for pairs of different samples that are not zero."""
    own: float
    """Largest absolute derivative of a sample's output by its own input."""


@record
class Against:
    """The model in inference mode beside an export of it, on the same inputs."""

    setup: Setup
    file: str
    """The exported model."""
    outputs: tuple[Compared, ...]
    unequal: str = ""
    """How the two differ in form, so that not all could be compared: `2 outputs and 1`; empty: they do not."""


@record
class Compared:
    """One output of a model and of its export."""

    value: Value
    """In the graph of the model."""
    name: str
    """In the export."""
    difference: float
    """Largest absolute difference of two elements; infinite where one of the two is not finite."""
    size: float
    """Largest absolute element of the model's output."""


@record
class Modes:
    """The same batch in training and in inference mode, after as many training-mode passes over it as make running
    statistics forget where they began, if the model is untrained."""

    setup: Setup
    gap: float
    """Root mean square of the difference of outputs, relative to their spread in inference mode."""
    expected: float
    """How large it would be by dropout and batch statistics alone, measured by repeated training-mode runs."""
    restless: float = 0.0
    """The same of two runs in inference mode, with other random numbers."""
    kept: float | None = None
    """The part of its running statistics that one batch in training mode leaves a batch norm, at the norm that keeps
    least; None: no norm has any."""
