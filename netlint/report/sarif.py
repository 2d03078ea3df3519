"""SARIF 2.1.0, the OASIS standard for the results of static analysis, as GitHub's code scanning takes it.

GitHub refuses a whole file if one result lies in no line of a file, and shows 5,000 results at most: see `places`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from os import fsencode
from typing import Any
from urllib.parse import quote

import msgspec

from netlint import __version__
from netlint.location import Location
from netlint.report import Run
from netlint.report.json import encoded, level_name, plain
from netlint.report.order import Told, rules_of, silenced, worst_first
from netlint.report.places import Place, place, place_of_target
from netlint.report.wording import clean, evidence, plural
from netlint.rule import Evidence, RuleInfo
from netlint.sources import Sources

MOST = 5_000
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_BASE = "%SRCROOT%"
_EXITS = {0: "clean", 1: "findings", 3: "a target could not be analysed", 4: "a bug in netlint or in a plugin"}

Json = dict[str, Any]


def render(run: Run) -> str:
    """The run as one SARIF log."""
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(run)]}
    return msgspec.json.format(encoded(log), indent=2).decode() + "\n"


def _run(run: Run) -> Json:
    told = [*worst_first(run), *silenced(run)]
    kept = told[:MOST]
    rules = rules_of(kept, run.reports)
    results = _Results(run.sources, rules, any(entry.origin for entry in kept))
    return {
        "tool": {"driver": _driver(rules)},
        "automationDetails": {"id": "netlint/"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_BASE: {"description": {"text": "The folder that netlint was called in."}}},
        "results": [results.result(entry) for entry in kept],
        "artifacts": _artifacts(kept, run),
        "invocations": [_invocation(run, len(told) - len(kept), rules)],
    }


def _driver(rules: Iterable[RuleInfo]) -> Json:
    return {
        "name": "netlint",
        "semanticVersion": __version__,
        "version": __version__,
        "shortDescription": {"text": "The linter for neural networks."},
        "rules": [_rule(rule) for rule in rules],
    }


def _rule(rule: RuleInfo) -> Json:
    page = rule.page.strip() or rule.summary
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": f"{rule.name}: {rule.summary}."},
        "fullDescription": {"text": f"{rule.summary}."},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": level_name(rule.level)},
        "properties": {
            "tags": ["neural-network", rule.module.rpartition(".")[0].rpartition(".")[2] or "plugin"],
            "precision": "very-high" if level_name(rule.level) == "error" else "high",
            "problem.severity": {"note": "recommendation"}.get(str(rule.level), str(rule.level)),
            "netlint": {"name": rule.name, "since": rule.since, "status": rule.status},
        },
    }


class _Results:
    def __init__(self, sources: Sources, rules: Sequence[RuleInfo], some_silenced: bool) -> None:
        self._sources = sources
        self._index = {rule.code: index for index, rule in enumerate(rules)}
        self._some_silenced = some_silenced

    def result(self, told: Told) -> Json:
        found = told.found
        finding = found.finding
        result: Json = {
            "ruleId": found.rule.code,
            "ruleIndex": self._index[found.rule.code],
            "level": level_name(found.level),
            "message": {"text": _message(told)},
            "locations": [_location(found.loc, told.target, self._sources)],
            # GitHub tells alerts apart by this name alone; the other is for tools that know netlint.
            "partialFingerprints": {
                "primaryLocationLineHash": f"{told.identity}:1",
                "netlint/v1": found.fingerprint,
            },
            "properties": {
                "target": told.target,
                "path": found.loc.path,
                "op": found.op,
                "graph": found.context,
                "evidence": [_evidence(fact) for fact in finding.evidence],
                "why": finding.why,
                "help": finding.help,
            },
        }
        if finding.related:
            related = enumerate(finding.related)
            result["relatedLocations"] = [
                _location(loc, told.target, self._sources) | {"id": index, "message": {"text": _text(message)}}
                for index, (message, loc) in related
            ]
        if self._some_silenced:
            result["suppressions"] = [_suppression(told)] if told.origin else []
        return result


def _message(told: Told) -> str:
    """The first sentence, which is all that lists show, names the node."""
    found, finding = told.found, told.found.finding
    parts = [f"{_text(finding.message)} (at {_text(told.target)} ▸ {_text(found.loc.path)})."]
    parts += [f"Evidence: {'; '.join(_text(evidence(fact)) for fact in finding.evidence)}."] if finding.evidence else []
    parts += [f"Why: {_text(finding.why)}."] if finding.why else []
    parts += [f"Help: {_text(finding.help)}."] if finding.help else []
    return "\n".join(parts)


def _text(text: str) -> str:
    """Text in which no viewer finds a link: SARIF reads `[text](address)` as one."""
    return re.sub(r"\](?=\()", "] ", clean(text))


def _evidence(fact: Evidence) -> Json:
    return {"label": fact.label, "value": plain(fact.value), "origin": fact.origin}


def _suppression(told: Told) -> Json:
    outside = told.origin.startswith(("baseline", "overrides"))
    why = f"{told.reason} ({told.origin})" if told.reason else told.origin
    return {"kind": "external" if outside else "inSource", "status": "accepted", "justification": clean(why)}


def _location(loc: Location, target: str, sources: Sources) -> Json:
    return {
        "physicalLocation": _physical(place(loc, target, sources)),
        "logicalLocations": [_logical(loc, target)],
    }


def _physical(at: Place) -> Json:
    region: Json = {"startLine": at.line, "startColumn": at.column}
    if at.text is not None and at.end is not None and at.end > at.column:
        region |= {"endLine": at.line, "endColumn": at.end, "snippet": {"text": clean(at.text.strip())}}
    return {"artifactLocation": _artifact_location(at.file), "region": region}


def _logical(loc: Location, target: str) -> Json:
    logical = {"name": clean(loc.path), "fullyQualifiedName": clean(f"{target} ▸ {loc.path}"), "kind": "node"}
    if loc.module is not None:
        logical["decoratedName"] = clean(loc.module)
    return logical


def _artifact_location(file: str) -> Json:
    return {"uri": quote(fsencode(file), safe="/"), "uriBaseId": _BASE}


def _artifacts(told: Iterable[Told], run: Run) -> list[Json]:
    """The files of the targets, then those that the results lie in."""
    targets = dict.fromkeys(place_of_target(result.target, run.sources).file for result in run.results)
    shown = dict.fromkeys(place(entry.found.loc, entry.target, run.sources).file for entry in told)
    roles = {**dict.fromkeys(shown, "resultFile"), **dict.fromkeys(targets, "analysisTarget")}
    return [_artifact(file, roles[file]) for file in {**targets, **shown}]


def _artifact(file: str, role: str) -> Json:
    language = {"sourceLanguage": "python"} if file.endswith(".py") else {}
    return {"location": _artifact_location(file), "roles": [role], **language}


def _invocation(run: Run, left_out: int, rules: Sequence[RuleInfo]) -> Json:
    return {
        "executionSuccessful": not run.failures and not any(report.crashed for report in run.reports),
        "exitCode": run.exit_code,
        "exitCodeDescription": _EXITS.get(run.exit_code, ""),
        "toolExecutionNotifications": list(_notifications(run, left_out, rules)),
        "properties": {"assumptions": {report.target: _assumptions(report.assumptions) for report in run.reports}},
    }


def _assumptions(known: Any) -> Json:
    return {name: {"value": plain(entry.value), "origin": entry.origin} for name, entry in known.items()}


def _notifications(run: Run, left_out: int, rules: Sequence[RuleInfo]) -> Iterator[Json]:
    index = {rule.code: place for place, rule in enumerate(rules)}
    if left_out:
        yield _note("warning", f"{plural(left_out, 'result')} left out: only the {MOST:,} worst are listed.")
    for failure in run.failures:
        why = "; ".join(str(failure.error).splitlines())
        yield _note("error", f"Target {_text(failure.target)} {_text(why)}.") | _at_target(failure.target, run.sources)
    for report in run.reports:
        for crash in report.crashed:
            said = f"Rule {crash.rule.name} failed on {_text(report.target)}: {_text(repr(crash.error))}."
            code = crash.rule.code
            yield _note("error", said) | {"associatedRule": {"id": code, "index": index[code]}}
    for why, (names, count) in _skipped(run).items():
        yield _note("note", f"Rules skipped for {plural(count, 'target')}: {', '.join(names)}: {_text(why)}.")


def _note(level: str, text: str) -> Json:
    return {"level": level, "message": {"text": text}}


def _at_target(target: str, sources: Sources) -> Json:
    return {"locations": [{"physicalLocation": _physical(place_of_target(target, sources))}]}


def _skipped(run: Run) -> dict[str, tuple[list[str], int]]:
    """By reason: the rules that were skipped for it, and for how many targets."""
    names: dict[str, dict[str, None]] = {}
    targets: dict[str, set[str]] = {}
    for report in run.reports:
        for skip in report.skipped:
            names.setdefault(skip.why, {})[skip.rule.name] = None
            targets.setdefault(skip.why, set()).add(report.target)
    return {why: (list(found), len(targets[why])) for why, found in names.items()}
