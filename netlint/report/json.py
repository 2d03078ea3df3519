"""The JSON report. Its schema (`netlint schema report`) is versioned: a change that breaks readers raises `VERSION`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any, Literal

import msgspec

from netlint import __version__
from netlint.location import Location
from netlint.report import Failure, Run
from netlint.report.places import place
from netlint.report.seen import JsonRuns, runs
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


class JsonPlace(msgspec.Struct):
    """Where tools that know files and lines alone show a finding: the source line if it is at hand, else the definition
    of the factory that a Python target names, else line 1 of the model file."""

    file: Annotated[str, _doc("relative to the current folder, with forward slashes")]
    line: Annotated[int, _doc("counted from 1")]
    column: Annotated[int, _doc("counted from 1, in characters")]
    end_column: Annotated[int | None, _doc("behind the last character of the line; null where the file is not text")]


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
    place: JsonPlace
    evidence: list[JsonEvidence]
    related: list[JsonRelated]
    claim: JsonClaim | None
    fingerprint: Annotated[str, _doc("stable under renaming of nodes and re-export")]


class JsonSuppressed(JsonFinding):
    """A fault that the user has silenced; it counts for nothing."""

    reason: Annotated[str, _doc("why, as the user wrote it")]
    origin: Annotated[str, _doc("what silences it: a comment, a setting, the baseline")]


class JsonRule(msgspec.Struct):
    """A rule that did not judge, and why."""

    code: str
    rule: str
    why: str


class JsonCrash(JsonRule):
    """A rule that failed: a bug of netlint's or of a plugin."""

    where: Annotated[str, _doc("the place in its code, `module:line`")]


class JsonField(msgspec.Struct):
    """A field of the training contract."""

    value: Any
    origin: str


class JsonFailure(msgspec.Struct):
    """Why a target could not be analysed."""

    message: str
    help: str


class JsonCut(msgspec.Struct):
    """An operator behind which numerical ranges are not known."""

    op: str
    location: Annotated[JsonLocation, _doc("the first node of it behind which something is not known")]
    others: Annotated[int, _doc("further nodes of it that cut the analysis")]
    nodes: Annotated[int, _doc("nodes behind all of them of whose results nothing is known for that reason")]


class JsonSpent(msgspec.Struct):
    """The time that one piece of work took itself, without the analyses that it asked for."""

    kind: Literal["load", "analysis", "rule"]
    name: str
    seconds: float


class JsonTarget(msgspec.Struct):
    """All there is to say about one target."""

    target: str
    failure: JsonFailure | None
    nodes: Annotated[int, _doc("in the graph, those that no analysis knows included")]
    findings: list[JsonFinding]
    suppressed: list[JsonSuppressed]
    skipped: list[JsonRule]
    crashed: list[JsonCrash]
    assumptions: dict[str, JsonField]
    misstated: Annotated[list[str], _doc("fields of the contract in the model's metadata that were not understood")]
    not_understood: Annotated[dict[str, int], _doc("operators no analysis knows, with the number of nodes")]
    cuts: Annotated[list[JsonCut], _doc("operators at which the analysis of ranges ends; empty where no rule needs it")]
    times: Annotated[list[JsonSpent], _doc("empty without --profile")]
    probe: Annotated[JsonRuns | None, _doc("null without --probe")]


class JsonReport(msgspec.Struct):
    """The report of one run of netlint."""

    version: Annotated[int, _doc("of this schema")]
    netlint: Annotated[str, _doc("version of netlint")]
    errors: int
    warnings: int
    notes: int
    suppressed: int
    exit_code: Annotated[int, _doc("what netlint ended with: 0 clean, 1 findings, 3 a target failed, 4 a bug")]
    targets: list[JsonTarget]


def schema(of: Any = JsonReport, name: str = "report") -> dict[str, Any]:
    """The JSON Schema (2020-12) of the report."""
    described: dict[str, Any] = msgspec.json.schema(of)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"netlint-{name}-{VERSION}"}
    return head | {"title": f"netlint {name}"} | described


def render(run: Run) -> str:
    """The run as one JSON document."""
    report = JsonReport(
        version=VERSION,
        netlint=__version__,
        errors=run.count(Level.ERROR),
        warnings=run.count(Level.WARNING),
        notes=run.count(Level.NOTE),
        suppressed=run.suppressed,
        exit_code=run.exit_code,
        targets=[_target(result, run) for result in run.results],
    )
    return msgspec.json.format(encoded(report), indent=2).decode() + "\n"


def encoded(data: Any) -> bytes:
    """Data as JSON. Bytes of file names that are no text are written as `\\udcXX`."""
    try:
        return msgspec.json.encode(data)
    except UnicodeEncodeError:
        return msgspec.json.encode(_as_text(msgspec.to_builtins(data)))


def _as_text(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, dict):
        return {_as_text(key): _as_text(item) for key, item in data.items()}
    return [_as_text(item) for item in data] if isinstance(data, list | tuple) else data


def _target(result: Report | Failure, run: Run) -> JsonTarget:
    if isinstance(result, Failure):
        failure = JsonFailure(str(result.error), result.error.help)
        return JsonTarget(result.target, failure, 0, [], [], [], [], {}, [], {}, [], [], None)
    target, sources = result.target, run.sources
    return JsonTarget(
        target=target,
        failure=None,
        nodes=result.nodes,
        findings=[JsonFinding(**fields(found, target, sources)) for found in result.findings],
        suppressed=[
            JsonSuppressed(**fields(silenced.found, target, sources), reason=silenced.reason, origin=silenced.origin)
            for silenced in result.suppressed
        ],
        skipped=[JsonRule(skip.rule.code, skip.rule.name, skip.why) for skip in result.skipped],
        crashed=[
            JsonCrash(crash.rule.code, crash.rule.name, repr(crash.error), crash.where) for crash in result.crashed
        ],
        assumptions={name: JsonField(plain(known.value), known.origin) for name, known in result.assumptions.items()},
        misstated=list(result.misstated),
        not_understood=dict(result.not_understood),
        cuts=[JsonCut(cut.op, _location(cut.at, sources), cut.others, cut.nodes) for cut in result.cuts],
        times=[JsonSpent(spent.kind, spent.name, spent.seconds) for spent in result.times] if run.profile else [],
        probe=JsonRuns(**plain(runs(result.probe))) if result.probe else None,
    )


def fields(found: Reported, target: str, sources: Sources) -> dict[str, Any]:
    """What a `JsonFinding` holds."""
    finding = found.finding
    claim = finding.claim
    shown = place(found.loc, target, sources)
    return {
        "code": found.rule.code,
        "rule": found.rule.name,
        "level": level_name(found.level),
        "message": finding.message,
        "why": finding.why,
        "help": finding.help,
        "op": found.op,
        "writes": list(found.writes),
        "graph": found.context,
        "location": _location(found.loc, sources),
        "place": JsonPlace(shown.file, shown.line, shown.column, shown.end),
        "evidence": [JsonEvidence(fact.label, plain(fact.value), fact.origin) for fact in finding.evidence],
        "related": [JsonRelated(message, _location(loc, sources)) for message, loc in finding.related],
        "claim": JsonClaim(claim.value.name, plain(claim.lo), plain(claim.hi)) if claim else None,
        "fingerprint": found.fingerprint,
    }


def level_name(level: Level) -> LevelName:
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
