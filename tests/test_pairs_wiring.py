"""Each fault of the pairs is named by its own rule, each repaired twin is silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import netlint
from netlint.engine import lint
from netlint.frontends.onnx import load_bytes
from netlint.registry import load_rules
from netlint.reported import Report
from netlint.rule import Level
from netlint.training import parse_training
from tests.pairs_wiring_onnx import WRITTEN, Written
from tests.test_other_exporters import Writer

torch: Any = pytest.importorskip("torch")

from tests.healthy_wiring import DESIGNS, Told  # noqa: E402  (needs torch)
from tests.pairs_wiring import PAIRS, Pair  # noqa: E402

RULES = load_rules()
CASES = [
    pytest.param(one, fault, id=f"{one.code}-{place}-{one.name}-{'fault' if fault else 'twin'}")
    for place, one in enumerate(PAIRS)
    for fault in (True, False)
]


def judge(report: Report, code: str, fault: bool, ignored: frozenset[str] = frozenset()) -> None:
    assert report.crashed == ()
    found = {entry.rule.code for entry in report.findings if entry.level >= Level.WARNING} - ignored
    listed = [f"{entry.rule.code} {entry.level}: {entry.finding.message}" for entry in report.findings]
    assert found == ({code} if fault else set()), listed


@pytest.mark.parametrize(("one", "fault"), CASES)
def test_pair(one: Pair, fault: bool) -> None:
    torch.manual_seed(0)
    told = {name: value(fault) if name == "step" else value for name, value in one.told.items()}
    judge(netlint.check(one.make(fault), inputs=one.inputs, **told), one.code, fault, one.ignored)


@pytest.mark.parametrize("fault", [True, False], ids=["fault", "twin"])
@pytest.mark.parametrize("one", [pytest.param(one, id=f"{one.code}-{one.name}") for one in WRITTEN])
def test_written_pair(one: Written, fault: bool) -> None:
    writer = Writer(one.opset)
    model = writer.model(one.make(writer, fault))
    stage = parse_training({"stage": "init"}, lambda name: name)
    judge(lint(load_bytes(model.SerializeToString()), RULES.values(), stage), one.code, fault)


@pytest.mark.parametrize("make", DESIGNS, ids=[make.__name__ for make in DESIGNS])
def test_healthy_design(make: Callable[[], tuple[Any, Told]]) -> None:
    torch.manual_seed(0)
    model, told = make()
    codes = sorted({one.code for one in (*PAIRS, *WRITTEN)} | {"ACT010", "ACT012"})
    report = netlint.check(model, select=codes, **told)
    assert report.crashed == ()
    assert [f"{entry.rule.code}: {entry.finding.message}" for entry in report.findings] == []


def test_every_rule_has_six_pairs() -> None:
    codes = [one.code for one in PAIRS]
    assert set(codes) <= {rule.code for rule in RULES.values()}
    assert min(map(codes.count, codes)) >= 6
