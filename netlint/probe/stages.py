"""The probe's analyses. Each is one separate piece of execution, with a share of the time budget of its own."""

from __future__ import annotations

from typing import TypeVar

from netlint.analyses.contract import contract
from netlint.analysis import Scope, Unavailable, analysis

from .observed import Against, GradientCheck, Leak, Modes, Overfit, Passes, Ramp

ABSENT = "needs a run of the model: --probe"


T = TypeVar("T")


def _run(scope: Scope, stage: str, kind: type[T]) -> T:
    """Have the runner do it. Raises `Unavailable` where there is none, or where it cannot do this."""
    if scope.graph.runner is None:
        raise Unavailable(ABSENT)
    found = scope.graph.runner.run(stage, scope.graph, scope[contract])
    assert isinstance(found, kind)
    return found


@analysis(contract)
def passes(scope: Scope) -> Passes:
    """One forward and one backward pass in training mode, with the statistics of every layer."""
    return _run(scope, "passes", Passes)


@analysis(contract)
def overfit(scope: Scope) -> Overfit:
    """Whether the model can learn one batch by heart."""
    return _run(scope, "overfit", Overfit)


@analysis(contract)
def ramp(scope: Scope) -> Ramp:
    """How large a learning rate it bears."""
    return _run(scope, "ramp", Ramp)


@analysis(contract)
def gradient_check(scope: Scope) -> GradientCheck:
    """Whether its gradients are those of its function."""
    return _run(scope, "gradient_check", GradientCheck)


@analysis(contract)
def leak(scope: Scope) -> Leak:
    """Whether a sample's output depends on other samples."""
    return _run(scope, "leak", Leak)


@analysis(contract)
def modes(scope: Scope) -> Modes:
    """How far training and inference mode differ."""
    return _run(scope, "modes", Modes)


@analysis(contract)
def against(scope: Scope) -> Against:
    """Whether an exported model computes the same."""
    return _run(scope, "against", Against)
