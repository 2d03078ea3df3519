"""What a report keeps of the runs of a model, as plain data; and the evidence that they give findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netlint.analyses.shapes import Shapes, shapes
from netlint.analysis import Results, Unavailable
from netlint.graph import Value
from netlint.records import record
from netlint.rule import Evidence, Finding

from .observed import Overfit, Passes, Ramp, Seen, Setup, WeightSeen
from .stages import overfit, passes, ramp


@record
class Row:
    """One value of the graph, in the order of execution. The numbers are those of `observed.Seen`."""

    name: str
    path: str
    """Where it is computed."""
    op: str
    type: str
    mean: float
    std: float
    lo: float
    hi: float
    zeros: float
    nonfinite: int
    saturated: float | None
    grad: float | None


@record
class Curve:
    """Losses step by step."""

    losses: tuple[float, ...]
    rates: tuple[float, ...]
    """Of each step."""
    optimizer: str


@record
class Summary:
    """What the runs showed."""

    setup: Setup | None
    """None where the passes could not be made."""
    why: str = ""
    """Why there are none."""
    loss: float | None = None
    rows: tuple[Row, ...] = ()
    weights: tuple[WeightSeen, ...] = ()
    overfit: Curve | None = None
    """None where no rule asked for it, or it could not be had."""
    ramp: Curve | None = None


def summary(results: Results) -> Summary | None:
    """What there is to keep, once the rules have run; None for a model that was not to be run."""
    if results.graph.runner is None:
        return None
    try:
        found = results.get(passes)
    except Unavailable as why:
        return Summary(None, str(why))
    return Summary(
        setup=found.setup,
        loss=found.loss,
        rows=_rows(found, results.get(shapes)),
        weights=found.weights,
        overfit=_learnt(results.done(overfit)),
        ramp=_ramped(results.done(ramp)),
    )


def _rows(found: Passes, known: Shapes) -> tuple[Row, ...]:
    return tuple(
        Row(
            name=value.name,
            path=seen.node.loc.path,
            op=seen.node.op,
            type=known.describe(value),
            mean=seen.mean,
            std=seen.std,
            lo=seen.lo,
            hi=seen.hi,
            zeros=seen.zeros,
            nonfinite=seen.nonfinite,
            saturated=seen.saturated,
            grad=seen.grad,
        )
        for value, seen in found.seen.items()
    )


def _learnt(found: Overfit | None) -> Curve | None:
    return Curve(found.losses, (found.rate,) * len(found.losses), found.optimizer) if found else None


def _ramped(found: Ramp | None) -> Curve | None:
    return Curve(found.losses, found.rates, found.optimizer) if found else None


def corroborated(finding: Finding, results: Results) -> Finding:
    """The finding with what the runs show of the value it is about; as it is where they show nothing of it."""
    found = results.done(passes)
    if finding.claim is None or found is None:
        return finding
    ends = _ends(found, finding.claim.value)
    if ends is None:
        return finding
    text = f"[{ends[0]:.4g}, {ends[1]:.4g}] in {found.setup.samples} samples"
    return replace(finding, evidence=(*finding.evidence, Evidence("seen", text, "the probe")))


def _ends(found: Passes, value: Value) -> Sequence[float] | None:
    seen: Seen | None = found.seen.get(value)
    return found.inputs.get(value) if seen is None else (seen.lo, seen.hi)
