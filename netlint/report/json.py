"""The JSON report. Its schema (`netlint schema report`) is versioned: a change that breaks readers raises `VERSION`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any, Literal

import msgspec

from netlint import __version__
from netlint.graph import Location
from netlint.report import Failure, Run
from netlint.reported import Report, Reported
from netlint.rule import Level
from netlint.sources import Sources

VERSION = 1

LevelName = Literal["error", "warning", "note"]


def _doc(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class JsonSource(msgspec.Struct):
    """A line of source code."""

    file: Annotated[str, _doc("the path as the model recorded it, or relative to the current folder if found there")]
    line: Annotated[int, _doc("counted from 1")]
    found: Annotated[bool, _doc("whether the file is in the current checkout")]


class JsonLocation(msgspec.Struct):
    """A place in a model."""

    path: Annotated[str, _doc("logical path, always there")]
    module: Annotated[str | None, _doc("dotted path of the nn.Module")]
    source: JsonSource | None


class JsonEvidence(msgspec.Struct):
    """One fact behind a finding."""

    label: str
    value: Annotated[Any, _doc("plain data; numbers that are not finite are the strings inf, -inf, nan")]
    origin: Annotated[str, _doc("who said so, empty if netlint found it itself")]


class JsonRelated(msgspec.Struct):
    """Another place that belongs to a finding."""

    message: str
    location: JsonLocation


class JsonClaim(msgspec.Struct):
    """What a finding says of a value: all its elements lie between `lo` and `hi`."""

    value: str
    lo: float | str
    hi: float | str


class JsonFinding(msgspec.Struct):
    """One fault."""

    code: str
    rule: str
    level: LevelName
    message: str
    why: str
    help: str
    op: Annotated[str, _doc("operator of the node, empty for a finding about the model")]
    writes: Annotated[list[str], _doc("names of the node's results, empty for a finding about the model")]
    graph: Annotated[str, _doc("the operators around the node and the type of its result")]
    location: JsonLocation
    evidence: list[JsonEvidence]
    related: list[JsonRelated]
    claim: JsonClaim | None
    fingerprint: Annotated[str, _doc("stable under renaming of nodes and re-export")]


class JsonRule(msgspec.Struct):
    """A rule that did not judge, or failed."""

    code: str
    rule: str
    why: str


class JsonField(msgspec.Struct):
    """A field of the training contract."""

    value: Any
    origin: str


class JsonFailure(msgspec.Struct):
    """Why a target could not be analysed."""

    message: str
    help: str


class JsonTarget(msgspec.Struct):
    """All there is to say about one target."""

    target: str
    failure: JsonFailure | None
    findings: list[JsonFinding]
    skipped: list[JsonRule]
    crashed: list[JsonRule]
    assumptions: dict[str, JsonField]
    misstated: Annotated[list[str], _doc("fields of the contract in the model's metadata that were not understood")]
    not_understood: Annotated[dict[str, int], _doc("operators no analysis knows, with the number of nodes")]


class JsonReport(msgspec.Struct):
    """The report of one run of netlint."""

    version: Annotated[int, _doc("of this schema")]
    netlint: Annotated[str, _doc("version of netlint")]
    errors: int
    warnings: int
    notes: int
    targets: list[JsonTarget]


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the report."""
    described: dict[str, Any] = msgspec.json.schema(JsonReport)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"netlint-report-{VERSION}"}
    return head | {"title": "netlint report"} | described


def render(run: Run) -> str:
    """The run as one JSON document."""
    report = JsonReport(
        version=VERSION,
        netlint=__version__,
        errors=run.count(Level.ERROR),
        warnings=run.count(Level.WARNING),
        notes=run.count(Level.NOTE),
        targets=[_target(result, run.sources) for result in run.results],
    )
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def _target(result: Report | Failure, sources: Sources) -> JsonTarget:
    # A file's name may hold bytes that are no text; they are written as \udcXX.
    target = result.target.encode("utf-8", "backslashreplace").decode()
    if isinstance(result, Failure):
        failure = JsonFailure(str(result.error), result.error.help)
        return JsonTarget(target, failure, [], [], [], {}, [], {})
    return JsonTarget(
        target=target,
        failure=None,
        findings=[_finding(found, sources) for found in result.findings],
        skipped=[JsonRule(skip.rule.code, skip.rule.name, skip.why) for skip in result.skipped],
        crashed=[JsonRule(crash.rule.code, crash.rule.name, repr(crash.error)) for crash in result.crashed],
        assumptions={name: JsonField(plain(known.value), known.origin) for name, known in result.assumptions.items()},
        misstated=list(result.misstated),
        not_understood=dict(result.not_understood),
    )


def _finding(found: Reported, sources: Sources) -> JsonFinding:
    finding = found.finding
    claim = finding.claim
    return JsonFinding(
        code=found.rule.code,
        rule=found.rule.name,
        level=_level(found.level),
        message=finding.message,
        why=finding.why,
        help=finding.help,
        op=found.op,
        writes=list(found.writes),
        graph=found.context,
        location=_location(found.loc, sources),
        evidence=[JsonEvidence(fact.label, plain(fact.value), fact.origin) for fact in finding.evidence],
        related=[JsonRelated(message, _location(loc, sources)) for message, loc in finding.related],
        claim=JsonClaim(claim.value.name, plain(claim.lo), plain(claim.hi)) if claim else None,
        fingerprint=found.fingerprint,
    )


def _level(level: Level) -> LevelName:
    return {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "note"}[level]  # type: ignore[return-value]


def _location(loc: Location, sources: Sources) -> JsonLocation:
    if loc.source is None:
        return JsonLocation(loc.path, loc.module, None)
    recorded, line = loc.source
    found = sources.find(recorded)
    return JsonLocation(
        loc.path, loc.module, JsonSource(found.as_posix() if found else recorded, line, found is not None)
    )


def plain(value: Any) -> Any:
    """Evidence as JSON can hold it."""
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return plain(value.item()) if hasattr(value, "item") else str(value)
