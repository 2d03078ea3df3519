"""The probe's analyses. Each is one separate piece of execution, with a share of the time budget of its own."""

from __future__ import annotations

from typing import Any

from netlint.analyses.contract import contract
from netlint.analysis import Scope, Unavailable, analysis

from .observed import Against, GradientCheck, Leak, Modes, Overfit, Passes, Ramp

ABSENT = "needs a run of the model: --probe"


def _run(scope: Scope, stage: str) -> Any:
    """Have the runner do it. Raises `Unavailable` where there is none, or where it cannot do this."""
    if scope.graph.runner is None:
        raise Unavailable(ABSENT)
    return scope.graph.runner.run(stage, scope.graph, scope[contract])


@analysis(contract)
def passes(scope: Scope) -> Passes:
    """One forward and one backward pass in training mode, with the statistics of every layer."""
    found = _run(scope, "passes")
    assert isinstance(found, Passes)
    return found


@analysis(contract)
def overfit(scope: Scope) -> Overfit:
    """Whether the model can learn one batch by heart."""
    found = _run(scope, "overfit")
    assert isinstance(found, Overfit)
    return found


@analysis(contract)
def ramp(scope: Scope) -> Ramp:
    """How large a learning rate it bears."""
    found = _run(scope, "ramp")
    assert isinstance(found, Ramp)
    return found


@analysis(contract)
def gradient_check(scope: Scope) -> GradientCheck:
    """Whether its gradients are those of its function."""
    found = _run(scope, "gradient_check")
    assert isinstance(found, GradientCheck)
    return found


@analysis(contract)
def leak(scope: Scope) -> Leak:
    """Whether a sample's output depends on other samples."""
    found = _run(scope, "leak")
    assert isinstance(found, Leak)
    return found


@analysis(contract)
def modes(scope: Scope) -> Modes:
    """How far training and inference mode differ."""
    found = _run(scope, "modes")
    assert isinstance(found, Modes)
    return found


@analysis(contract)
def against(scope: Scope) -> Against:
    """Whether an exported model computes the same."""
    found = _run(scope, "against")
    assert isinstance(found, Against)
    return found
