"""Each fault of the pairs is named by its own rule, each repaired twin is silent, as ONNX and as a torch module."""

from __future__ import annotations

import importlib.util
import io
import warnings
from functools import cache
from typing import Any

import pytest

import netlint
from netlint.engine import lint
from netlint.frontends.onnx import load_bytes
from netlint.registry import load_rules
from netlint.reported import Report
from netlint.rule import Level
from netlint.training import parse_training

torch: Any = pytest.importorskip("torch")

from tests.pairs_initialisation import HEALTHY, PAIRS, Pair  # noqa: E402  (needs torch)

RULES = [rule for rule in load_rules().values() if rule.code.startswith("INI")]
SIDES = [pytest.param(True, id="fault"), pytest.param(False, id="twin")]
by_name = pytest.mark.parametrize("one", [pytest.param(one, id=one.name.replace(" ", "-")) for one in PAIRS])
by_side = pytest.mark.parametrize("fault", SIDES)


def judge(report: Report, one: Pair, fault: bool) -> None:
    assert report.crashed == ()
    listed = [f"{entry.rule.code} {entry.level}: {entry.finding.message}" for entry in report.findings]
    found = {entry.rule.code for entry in report.findings}
    loud = {entry.rule.code for entry in report.findings if entry.level >= Level.WARNING}
    assert (one.code in found) == fault, listed
    assert loud <= ({one.code} | one.also if fault else set()), listed


@cache
def built(one: Pair, fault: bool) -> tuple[Any, Any]:
    torch.manual_seed(0)
    return one.make(fault), torch.randn(one.shape)


def export(model: Any, given: Any, exporter: str) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            return bytes(torch.onnx.export(model, (given,), dynamo=True, verbose=False).model_proto.SerializeToString())
        buffer = io.BytesIO()
        torch.onnx.export(model, (given,), buffer, dynamo=False, opset_version=17)
        return buffer.getvalue()


def check(model: bytes, one: Pair, fault: bool) -> None:
    judge(lint(load_bytes(model), RULES, parse_training(one.contract, lambda name: f"--{name}")), one, fault)


@by_side
@by_name
def test_exported_by_tracing(one: Pair, fault: bool) -> None:
    model, given = built(one, fault)
    check(export(model.eval(), given, "script"), one, fault)


@pytest.mark.skipif(not importlib.util.find_spec("onnxscript"), reason="needs onnxscript")
@by_side
@pytest.mark.parametrize("one", [pytest.param(one, id=one.name.replace(" ", "-")) for one in PAIRS[::4]])
def test_exported_by_dynamo(one: Pair, fault: bool) -> None:
    model, given = built(one, fault)
    check(export(model.eval(), given, "dynamo"), one, fault)


@pytest.mark.skipif(not hasattr(netlint, "check"), reason="needs the front end for torch")
@by_side
@by_name
def test_torch_modules(one: Pair, fault: bool) -> None:
    model, given = built(one, fault)
    run: Any = netlint.check  # type: ignore[attr-defined]
    judge(run(model.eval(), inputs=given, select=[rule.code for rule in RULES], **one.contract), one, fault)


@cache
def healthy(name: str) -> tuple[Any, Any]:
    torch.manual_seed(0)
    make, shape = HEALTHY[name]
    return make(), torch.randn(shape)


def is_quiet(report: Report) -> None:
    assert report.crashed == ()
    assert [f"{e.rule.code}: {e.finding.message}" for e in report.findings if e.level >= Level.WARNING] == []


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_models_exported(name: str) -> None:
    model, given = healthy(name)
    is_quiet(lint(load_bytes(export(model.eval(), given, "script")), RULES, parse_training({}, lambda name: name)))


@pytest.mark.skipif(not hasattr(netlint, "check"), reason="needs the front end for torch")
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_torch_modules(name: str) -> None:
    model, given = healthy(name)
    run: Any = netlint.check  # type: ignore[attr-defined]
    is_quiet(run(model.train(), inputs=given, select=[rule.code for rule in RULES]))


def test_every_rule_on_initialisation_has_a_pair() -> None:
    assert {one.code for one in PAIRS} == {rule.code for rule in RULES}
    assert len({one.name for one in PAIRS}) == len(PAIRS) >= 25
