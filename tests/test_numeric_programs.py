"""Every published numerical defect is found at its node, and no repaired program is reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from netlint.engine import lint
from netlint.frontends.onnx import load_bytes
from netlint.registry import load_rules
from netlint.reported import Reported
from netlint.rule import Level, Rule
from netlint.training import Training, parse_training
from tests.numeric_programs import PROGRAMS, Program, wants
from tests.numeric_programs_more import MORE_PROGRAMS
from tests.numeric_spellings import SPELLINGS, model_of


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    """The numerical rules, and the one that has logarithms of a softmax."""
    return [rule for rule in load_rules().values() if rule.code.startswith("NUM") or rule.code == "LOS006"]


ALL = [*PROGRAMS, *MORE_PROGRAMS]
CASES = [pytest.param(program, spelling, id=f"{program.name}-{spelling}") for program in ALL for spelling in SPELLINGS]


def findings(body: str, spelling: str, rules: list[Rule]) -> tuple[Reported, ...]:
    opset, respell = SPELLINGS[spelling]
    model: Any = respell(model_of(body, opset))
    report = lint(load_bytes(model.SerializeToString()), rules, Training())
    assert report.crashed == ()
    return report.findings


def at(found: Reported) -> Iterator[str]:
    """The results of the node as the program names them: parts of a rewritten node are called `NAME__part`."""
    return (name.partition("__")[0] for name in found.writes)


@pytest.mark.parametrize(("program", "spelling"), CASES)
def test_bug_is_found(program: Program, spelling: str, rules: list[Rule]) -> None:
    found = findings(program.bug, spelling, rules)
    for result, codes, note in wants(program.bug):
        least = Level.NOTE if note else Level.WARNING
        loud = [each for each in found if each.rule.code in codes and each.level >= least]
        hits = [each for each in loud if result in at(each)]
        assert hits, [(each.rule.code, str(each.level), each.writes, each.finding.message) for each in found]


@pytest.mark.parametrize(("program", "spelling"), CASES)
def test_fix_is_silent(program: Program, spelling: str, rules: list[Rule]) -> None:
    found = findings(program.fix, spelling, rules)
    assert [(each.rule.code, each.finding.message) for each in found if each.level >= Level.WARNING] == []


def test_there_are_enough_programs() -> None:
    assert len(ALL) >= 150 and len({program.name for program in ALL}) == len(ALL)
    assert all(list(wants(program.bug)) for program in ALL)


@pytest.mark.parametrize("program", ALL, ids=lambda program: program.name)
def test_findings_tell_how_it_comes_about(program: Program, rules: list[Rule]) -> None:
    for each in findings(program.bug, "opset 18", rules):
        if each.rule.code.startswith("NUM"):
            assert each.finding.help and each.finding.why
            assert each.finding.evidence


@pytest.mark.parametrize(("stage", "told"), [("init", "any finite numbers"), ("trained", "as stored")])
def test_findings_tell_what_they_assume_of_the_weights(stage: str, told: str, rules: list[Rule]) -> None:
    body = "h = Gemm(x, w, b); r = Relu(h); l = Log(r); ! = ReduceMean(l)"
    training = parse_training({"stage": stage}, lambda field: field)
    (found,) = lint(load_bytes(model_of(body).SerializeToString()), rules, training).findings
    (weights,) = (entry for entry in found.finding.evidence if entry.label == "weights")
    assert str(weights.value).startswith(told)
