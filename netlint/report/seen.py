"""What runs of a model showed, as the JSON report has it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import msgspec

from netlint.probe.summary import Summary


def _doc(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class JsonRuns(msgspec.Struct):
    """What runs of the model showed. Numbers that are not finite are the strings inf, -inf, nan."""

    why: Annotated[str, _doc("why it could not be run, else empty")]
    setup: Annotated[dict[str, Any] | None, _doc("device, runner, batch, samples, seed, loss, notes")]
    loss: Annotated[float | str | None, _doc("of the batch; null where it was made up")]
    values: Annotated[list[dict[str, Any]], _doc("statistics of each value that was watched, in order of execution")]
    weights: Annotated[list[dict[str, Any]], _doc("root mean square of each parameter, and of its gradient")]
    overfit: Annotated[dict[str, Any] | None, _doc("the losses of one batch learnt by heart, step by step")]
    ramp: Annotated[dict[str, Any] | None, _doc("losses at a rising learning rate, step by step")]


def runs(found: Summary) -> dict[str, Any]:
    """The fields of `JsonRuns`; their numbers are yet to be made fit for JSON."""
    told = asdict(found)
    told["values"] = told.pop("rows")
    return told
