"""JSON Lines: one finding a line, each with its target, for streams and for `jq`. Fields are those of the JSON report;
its version counts for both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from netlint.report import Failure, Run
from netlint.report.json import JsonFinding, encoded, fields
from netlint.report.json import schema as schema_of
from netlint.reported import Report

_TARGET = Annotated[str, msgspec.Meta(description="the target, as it was named")]


class JsonlFinding(JsonFinding, tag_field="kind", tag="finding"):
    """One fault."""

    target: _TARGET
    suppressed: Annotated[str | None, msgspec.Meta(description="what silences it and why; null if nothing does")]


class JsonlFailure(msgspec.Struct, tag_field="kind", tag="failure"):
    """A target that could not be analysed."""

    target: _TARGET
    message: str
    help: str


class JsonlCrash(msgspec.Struct, tag_field="kind", tag="crash"):
    """A rule that failed on a target: a bug of netlint's or of a plugin."""

    target: _TARGET
    code: str
    rule: str
    why: str
    where: Annotated[str, msgspec.Meta(description="the place in its code, `module:line`")]


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one line."""
    return schema_of(JsonlFinding | JsonlFailure | JsonlCrash, "jsonl")


def render(run: Run) -> str:
    """The findings in the order of the run, suppressed ones included."""
    lines = (line for result in run.results for line in _lines(result, run))
    return "".join(f"{encoded(line).decode()}\n" for line in lines)


def _lines(result: Report | Failure, run: Run) -> Iterator[msgspec.Struct]:
    target = result.target
    if isinstance(result, Failure):
        yield JsonlFailure(target, str(result.error), result.error.help)
        return
    for found in result.findings:
        yield JsonlFinding(**fields(found, target, run.sources), target=target, suppressed=None)
    for silenced in result.suppressed:
        why = f"{silenced.origin}: {silenced.reason}" if silenced.reason else silenced.origin
        yield JsonlFinding(**fields(silenced.found, target, run.sources), target=target, suppressed=why)
    for crash in result.crashed:
        yield JsonlCrash(target, crash.rule.code, crash.rule.name, repr(crash.error), crash.where)
