"""Every format, over runs from empty to hostile: valid, complete, and nothing that a model says is obeyed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from netlint.commands.outputs import FORMATS, rendered
from netlint.graph import Location
from netlint.report import Run, github, gitlab, jsonl, junit, markdown, sarif, tables, text
from netlint.report import json as json_report
from netlint.rule import Level
from tests.report_runs import HOSTILE, NAMES, crashed, failure, report, reported, run, runs

SCHEMAS = Path(__file__).parent / "schemas"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ufffe\uffff]")


@pytest.fixture(params=NAMES)
def a_run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    return runs(tmp_path)[request.param]


def validator(schema: dict[str, Any]) -> Any:
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def findings(of: Run) -> int:
    return sum(of.count(level) for level in Level)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_every_run_as_text_that_can_be_written(name: str, a_run: Run) -> None:
    shown = rendered(a_run, name)
    shown.encode()
    if name not in ("json", "jsonl", "sarif", "gitlab"):  # these hold what was there, escaped by JSON's own rules
        assert not CONTROL.search(shown)
    assert shown.endswith("\n") or not shown


def test_json_is_valid_and_complete(a_run: Run) -> None:
    data = json.loads(json_report.render(a_run))
    validator(json_report.schema()).validate(data)
    assert len(data["targets"]) == len(a_run.results)
    assert sum(len(target["findings"]) for target in data["targets"]) == findings(a_run)
    assert sum(len(target["suppressed"]) for target in data["targets"]) == data["suppressed"] == a_run.suppressed
    assert bool([spent for target in data["targets"] for spent in target["times"]]) == a_run.profile


def test_json_lines_are_valid_and_complete(a_run: Run) -> None:
    lines = [json.loads(line) for line in jsonl.render(a_run).splitlines()]
    check = validator(jsonl.schema())
    for line in lines:
        check.validate(line)
    kinds = [line["kind"] for line in lines]
    assert kinds.count("finding") == findings(a_run) + a_run.suppressed
    assert kinds.count("failure") == len(a_run.failures)
    assert kinds.count("crash") == sum(len(entry.crashed) for entry in a_run.reports)


def test_schemas_refuse_what_is_no_report() -> None:
    good = json.loads(json_report.render(run(report("m.onnx", reported()))))
    del good["targets"][0]["findings"][0]["place"]
    with pytest.raises(jsonschema.ValidationError, match="place"):
        validator(json_report.schema()).validate(good)
    with pytest.raises(jsonschema.ValidationError):
        validator(jsonl.schema()).validate({"kind": "finding"})


def test_suppressed_findings_keep_their_reasons(tmp_path: Path) -> None:
    quiet = runs(tmp_path)["suppressed"]
    (target,) = json.loads(json_report.render(quiet))["targets"]
    assert [(entry["reason"], entry["origin"]) for entry in target["suppressed"]] == [
        ("the loss is meant", "comment at net.py:5"),
        ("", "baseline netlint.baseline"),
    ]
    lines = [json.loads(line)["suppressed"] for line in jsonl.render(quiet).splitlines()]
    assert lines == [None, "comment at net.py:5: the loss is meant", "baseline netlint.baseline"]


def test_concise_is_one_line_a_finding(a_run: Run) -> None:
    lines = rendered(a_run, "concise").splitlines()
    crashes = sum(len(entry.crashed) for entry in a_run.reports)
    assert len(lines) == findings(a_run) + len(a_run.failures) + crashes


def test_concise_as_it_is_printed(tmp_path: Path) -> None:
    known = runs(tmp_path)
    assert rendered(known["source"], "concise") == (
        "net.py:5:5: error LOS002 double-softmax: two softmaxes [models/m.onnx ▸ head ▸ Softmax]\n"
    )
    assert rendered(known["no source"], "concise").startswith("m.onnx:1:1: error LOS002")
    assert rendered(known["factory"], "concise").startswith("net.py:4:1: error LOS002")
    assert "stdin:1:1: error failed: is empty; and twice [-]" in rendered(known["failures"], "concise")


# --- SARIF


def sarif_run(of: Run) -> dict[str, Any]:
    (only,) = json.loads(sarif.render(of))["runs"]
    assert isinstance(only, dict)
    return only


def test_sarif_passes_the_schema_of_the_standard(a_run: Run) -> None:
    log = json.loads(sarif.render(a_run))
    validator(json.loads((SCHEMAS / "sarif-2.1.0.json").read_text())).validate(log)


def test_sarif_keeps_the_rules_of_githubs_code_scanning(a_run: Run) -> None:
    log = sarif_run(a_run)
    rules = log["tool"]["driver"]["rules"]
    for result in log["results"]:
        (location,) = result["locations"]
        at = location["physicalLocation"]
        assert at["region"]["startLine"] >= 1
        assert not re.match(r"/|\w+:|.*\.\./", at["artifactLocation"]["uri"])
        assert location["logicalLocations"]
        assert result["partialFingerprints"]["primaryLocationLineHash"]
        assert location["logicalLocations"][0]["name"] in result["message"]["text"].replace("] (", "](").split("\n")[0]
        rule = rules[result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert "## Why is this bad" in rule["help"]["markdown"]
        assert "](" not in result["message"]["text"]
        assert not CONTROL.search(result["message"]["text"])
    assert len(log["results"]) == findings(a_run) + a_run.suppressed
    assert log["invocations"][0]["exitCode"] == a_run.exit_code
    assert log["invocations"][0]["executionSuccessful"] == (a_run.exit_code < 3)


def test_sarif_anchors_at_the_source_then_the_factory_then_the_model(tmp_path: Path) -> None:
    def anchor(name: str) -> tuple[str, int]:
        at = sarif_run(runs(tmp_path)[name])["results"][0]["locations"][0]["physicalLocation"]
        return at["artifactLocation"]["uri"], at["region"]["startLine"]

    assert anchor("source") == ("net.py", 5)
    assert anchor("factory") == ("net.py", 4)
    assert anchor("no source") == ("m.onnx", 1)


def test_sarif_lists_the_files_once_with_their_roles(tmp_path: Path) -> None:
    def roles(name: str) -> dict[str, str]:
        artifacts = sarif_run(runs(tmp_path)[name])["artifacts"]
        return {entry["location"]["uri"]: entry["roles"][0] for entry in artifacts}

    assert roles("source") == {"models/m.onnx": "analysisTarget", "net.py": "resultFile"}
    assert roles("factory") == {"net.py": "analysisTarget"}


def test_sarif_fingerprints_tell_targets_apart_but_not_their_spelling() -> None:
    def prints(*targets: str) -> list[str]:
        log = sarif_run(run(*(report(target, reported()) for target in targets)))
        return [result["partialFingerprints"]["primaryLocationLineHash"] for result in log["results"]]

    assert len(set(prints("a.onnx", "b.onnx"))) == 2
    assert prints("./a.onnx") == prints("a.onnx")


def test_sarif_says_what_is_suppressed_and_by_what(tmp_path: Path) -> None:
    live, comment, baseline = sarif_run(runs(tmp_path)["suppressed"])["results"]
    assert live["suppressions"] == []
    assert [entry["kind"] for entry in comment["suppressions"]] == ["inSource"]
    assert comment["suppressions"][0]["justification"] == "the loss is meant (comment at net.py:5)"
    assert [entry["kind"] for entry in baseline["suppressions"]] == ["external"]
    assert "suppressions" not in sarif_run(runs(tmp_path)["source"])["results"][0]


def test_sarif_holds_the_worst_5000_and_says_how_many_are_missing() -> None:
    notes = [reported(level=Level.NOTE, number=number) for number in range(sarif.MOST)]
    log = sarif_run(run(report("m.onnx", *notes, reported(level=Level.ERROR))))
    assert len(log["results"]) == sarif.MOST
    assert log["results"][0]["level"] == "error"
    assert "1 result left out: only the 5,000 worst are listed." in [
        entry["message"]["text"] for entry in log["invocations"][0]["toolExecutionNotifications"]
    ]


def test_sarif_tells_of_failures_crashes_and_skipped_rules(tmp_path: Path) -> None:
    def told(of: Run) -> list[tuple[str, str]]:
        notes = sarif_run(of)["invocations"][0]["toolExecutionNotifications"]
        return [(entry["level"], entry["message"]["text"]) for entry in notes]

    failed = told(runs(tmp_path)["failures"])
    assert ("error", "Target m.onnx does not parse.") in failed
    assert ("note", "Rules skipped for 1 target: missing-softmax: needs a loss: --loss.") in failed
    crashes = told(runs(tmp_path)["crash"])
    assert ("error", "Rule log-domain failed on m.onnx: KeyError('boom').") in crashes


# --- GitHub

COMMAND = re.compile(r"::(error|warning|notice) ((?:\w+=[^:,\n]*,?)+)::(.*)")


def test_github_commands_are_well_formed_and_ten_of_a_kind_at_most(a_run: Run) -> None:
    lines = github.render(a_run).splitlines()
    commands = [match for line in lines if (match := COMMAND.fullmatch(line))]
    rest = [line for line in lines if not COMMAND.fullmatch(line)]
    assert all(re.fullmatch(r"\+[\d,]+ more (error|warning|note)s?", line) for line in rest)
    for kind in ("error", "warning", "notice"):
        assert sum(command[1] == kind for command in commands) <= github.MOST
    more = sum(int(line.split()[0].replace(",", "")) for line in rest)
    crashes = sum(len(entry.crashed) for entry in a_run.reports)
    assert len(commands) + more == findings(a_run) + len(a_run.failures) + crashes
    assert [command[1] for command in commands] == sorted((c[1] for c in commands), key=_rank)


def _rank(kind: str) -> int:
    return ("error", "warning", "notice").index(kind)


def test_github_commands_hold_what_a_model_says_as_text() -> None:
    (line,) = github.render(
        run(report("m.onnx", reported(message="50%,\n::error::x", loc=Location("a:b,c"))))
    ).splitlines()
    assert line == (
        "::error file=m.onnx,line=1,col=1,title=netlint%3A LOS002 double-softmax::"
        "50%25,\\n::error::x [m.onnx ▸ a:b,c]%0Ahelp: return logits"
    )


def test_github_puts_failures_and_crashes_first() -> None:
    lines = github.render(run(report("m.onnx", reported()), crashed("n.onnx"), failure("o.onnx"))).splitlines()
    assert [re.search("title=netlint%3A ([^:]*)", line)[1] for line in lines] == [  # type: ignore[index]
        "not analysed",
        "NUM001 log-domain crashed",
        "LOS002 double-softmax",
    ]


def test_markdown_is_a_table_whose_cells_are_text(a_run: Run) -> None:
    text = markdown.render(a_run)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {5}
    assert "<img" not in text
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)


def test_markdown_of_many_findings_is_bounded() -> None:
    text = markdown.render(run(report("m.onnx", *(reported(number=number, text=HOSTILE) for number in range(3_000)))))
    assert "+2,800 more findings" in text
    assert len(text.encode()) < 1 << 20


# --- GitLab and JUnit


def test_gitlab_is_what_its_documentation_describes(a_run: Run) -> None:
    entries = json.loads(gitlab.render(a_run))
    validator(json.loads((SCHEMAS / "gitlab-code-quality.json").read_text())).validate(entries)
    crashes = sum(len(entry.crashed) for entry in a_run.reports)
    assert len(entries) == findings(a_run) + len(a_run.failures) + crashes
    assert len({entry["fingerprint"] for entry in entries}) == len(entries)
    severities = [entry["severity"] for entry in entries]
    assert severities == sorted(severities, key=["blocker", "critical", "major", "info"].index)


def junit_of(of: Run) -> etree._Element:
    root = etree.fromstring(junit.render(of).encode())
    etree.XMLSchema(etree.parse(str(SCHEMAS / "junit.xsd"))).assertValid(root)
    return root


def test_junit_is_valid_and_counts_what_it_holds(a_run: Run) -> None:
    root = junit_of(a_run)
    assert len(root.findall("testsuite")) == len(a_run.results)
    failing = sum(found.level >= a_run.fail_on for entry in a_run.reports for found in entry.findings)
    assert len(root.findall(".//failure")) == failing == int(root.get("failures", ""))
    crashes = sum(len(entry.crashed) for entry in a_run.reports)
    assert len(root.findall(".//error")) == len(a_run.failures) + crashes == int(root.get("errors", ""))
    for suite in root.findall("testsuite"):
        assert len(suite.findall("testcase")) == int(suite.get("tests", ""))
        assert len(suite.findall("testcase/skipped")) == int(suite.get("skipped", ""))


def test_junit_fails_where_the_run_fails() -> None:
    found = [reported(level=level, number=level) for level in Level]
    for lowest, failing in ((Level.NOTE, 3), (Level.WARNING, 2), (Level.ERROR, 1)):
        root = junit_of(run(report("m.onnx", *found), fail_on=lowest))
        assert len(root.findall(".//failure")) == failing
        assert len(root.findall(".//system-out")) == 3 - failing


def test_junit_of_a_clean_model_has_a_case_that_passes(tmp_path: Path) -> None:
    clean = junit_of(runs(tmp_path)["clean"])
    assert [case.get("name") for case in clean.iter("testcase")] == ["1 rule not judged", "no findings"]


# --- tables of the text report


def test_statistics_count_each_rule_by_level(tmp_path: Path) -> None:
    assert tables.statistics(runs(tmp_path)["many"]) == (
        "errors  warnings  notes  suppressed  rule\n    40        40     40           ·  LOS002 double-softmax"
    )
    assert tables.statistics(runs(tmp_path)["suppressed"]) == (
        "errors  warnings  notes  suppressed  rule\n     1         ·      ·           2  LOS002 double-softmax"
    )
    assert tables.statistics(runs(tmp_path)["clean"]) == ""


def test_profile_sums_the_targets(tmp_path: Path) -> None:
    assert tables.profile(runs(tmp_path)["many"]) == (
        "      ms   share  own time of\n"
        "20,000.0  58.8 %  analysis ranges\n"
        "10,000.0  29.4 %  load     front end\n"
        " 4,000.0  11.8 %  rule     double-softmax"
    )


def test_a_profile_of_nothing_is_empty(tmp_path: Path) -> None:
    assert tables.profile(runs(tmp_path)["nothing"]) == ""


def test_text_has_the_tables_that_were_asked_for(tmp_path: Path) -> None:
    known = runs(tmp_path)
    shown = rendered(known["many"], "text")
    assert tables.statistics(known["many"]) in shown
    assert tables.profile(known["many"]) in shown
    assert "own time of" not in rendered(known["source"], "text")


def test_text_counts_what_is_suppressed_and_names_it_if_asked(tmp_path: Path) -> None:
    quiet = runs(tmp_path)["suppressed"]
    brief = rendered(quiet, "text")
    assert "1 model checked: 1 error, 2 suppressed" in brief
    assert "the loss is meant" not in brief
    told = rendered(replace(quiet, verbose=1), "text")
    said = "suppressed: error[LOS002] double-softmax: two softmaxes (head ▸ Softmax): the loss is meant"
    assert f"{said} (comment at net.py:5)" in told


def test_links_lead_to_the_line_and_to_the_page_of_the_rule(tmp_path: Path) -> None:
    linked = text.render(runs(tmp_path)["source"], link=lambda shown, address: f"<{shown}|{address}>")
    assert f"--> <net.py:5|{(tmp_path / 'net.py').as_uri()}#5>" in linked
    assert re.search(r"docs: <netlint rule LOS002\|file:///.*/double_softmax\.py>", linked)


# --- any text at all

NASTY = st.text(st.characters() | st.sampled_from("\udcff\ud800\x00\ufffe\u202e\n\r\x85:/|]>&'\"%"), max_size=40)


@settings(max_examples=40, deadline=None)
@given(message=NASTY, path=NASTY, target=NASTY, file=NASTY)
def test_any_text_of_a_model_gives_a_valid_report(message: str, path: str, target: str, file: str) -> None:
    place = Location(path, (file, 3), path)
    of = run(report(target, reported(message=message, loc=place, text=path), text=message), failure(target, message))
    for name in FORMATS:
        rendered(of, name).encode()
    validator(json.loads((SCHEMAS / "sarif-2.1.0.json").read_text())).validate(json.loads(sarif.render(of)))
    validator(json_report.schema()).validate(json.loads(json_report.render(of)))
    junit_of(of)
    assert all(COMMAND.fullmatch(line) for line in github.render(of).splitlines())
    assert len(rendered(of, "concise").splitlines()) == 2
    entries = validator(json.loads((SCHEMAS / "gitlab-code-quality.json").read_text()))
    entries.validate(json.loads(gitlab.render(of)))
