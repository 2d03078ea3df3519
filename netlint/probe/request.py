"""What the user asks of the probe, as plain data."""

from __future__ import annotations

from netlint.records import record

DEVICES = ("auto", "cpu", "cuda")

BUDGET = 10.0
"""Seconds that the stages beyond the passes may take together unless --probe-budget says otherwise."""

SHARES = {"overfit": 0.4, "ramp": 0.2, "gradient_check": 0.2, "leak": 0.1, "modes": 0.1}
"""What part of the budget each stage may take. The passes are one forward and one backward run, and are not cut."""


@record
class Request:
    """How a model is to be run."""

    device: str = "auto"
    """`auto`: a GPU where torch sees one, else the CPU."""
    budget: float = BUDGET
    """Seconds."""
    seed: int = 0
    batch: str = ""
    """A file with data, `.npz` or `.pt`; empty: the inputs at hand, or synthetic ones."""
    against: str = ""
    """An exported model to compare with; empty: none."""

    def seconds(self, stage: str) -> float:
        """The time that a stage may take."""
        return self.budget * SHARES[stage]
