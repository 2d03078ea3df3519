"""Each fault of the pairs is named by its own rule, each repaired twin is silent: as ONNX and as torch modules."""

from __future__ import annotations

import importlib.util
import io
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from netlint.engine import lint
from netlint.frontends.onnx import load_bytes
from netlint.registry import load_rules
from netlint.reported import Report
from netlint.rule import Level
from netlint.training import parse_training

torch: Any = pytest.importorskip("torch")

from netlint.frontends.torch.live import captured  # noqa: E402
from tests.pairs_activation import PAIRS, Pair, cases  # noqa: E402  (needs torch)

if TYPE_CHECKING:
    from netlint.graph import Graph

CASES = [pytest.param(one, fault, id=f"{one.name}-{'fault' if fault else 'twin'}") for one, fault in cases()]


def contract(one: Pair, fault: bool) -> dict[str, str]:
    return one.contract if fault else {**one.contract, **one.twin_contract}


def check(graph: Graph, one: Pair, fault: bool) -> None:
    stated = parse_training(contract(one, fault), lambda name: f"--{name}")
    report = lint(graph, load_rules().values(), stated)
    assert report.crashed == ()
    found = {(entry.rule.code, entry.level) for entry in report.findings}
    loud = {code for code, level in found if level >= Level.WARNING}
    if fault:
        assert one.code in {code for code, _ in found}, _listed(report)
        assert loud <= {one.code, *one.also}, _listed(report)
    else:
        assert one.code not in {code for code, _ in found}, _listed(report)
        assert not loud, _listed(report)


def _listed(report: Report) -> list[str]:
    return [f"{entry.rule.code} {entry.level}: {entry.finding.message}" for entry in report.findings]


@cache
def exported(one: Pair, fault: bool, exporter: str) -> bytes:
    torch.manual_seed(0)
    model = one.make(fault).eval()
    inputs = tuple(torch.randn(*shape) for shape in one.inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            program = torch.onnx.export(model, inputs, dynamo=True, verbose=False)
            assert program is not None
            return bytes(program.model_proto.SerializeToString())
        buffer = io.BytesIO()
        torch.onnx.export(model, inputs, buffer, dynamo=False, opset_version=17)
        return buffer.getvalue()


@pytest.mark.parametrize(("one", "fault"), CASES)
def test_pair_as_exported_onnx(one: Pair, fault: bool) -> None:
    check(load_bytes(exported(one, fault, "script")), one, fault)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(("one", "fault"), CASES)
def test_pair_as_torch_module(one: Pair, fault: bool, mode: str) -> None:
    inputs = tuple(torch.zeros(*shape) for shape in one.inputs)
    check(captured(one.make(fault), None, None, None, inputs, None, None, mode).graph, one, fault)


# The newer exporter takes seconds a model; one pair of each rule shows that its spelling is understood as well.
FIRST = {one.code: one for one in reversed(PAIRS)}


@pytest.mark.skipif(not importlib.util.find_spec("onnxscript"), reason="needs onnxscript")
@pytest.mark.parametrize("code", sorted(FIRST))
def test_fault_as_exported_by_dynamo(code: str) -> None:
    one = FIRST[code]
    check(load_bytes(exported(one, True, "dynamo")), one, True)


def test_every_rule_that_has_pairs_stands() -> None:
    assert {one.code for one in PAIRS} <= {rule.code for rule in load_rules().values()}
    assert len({one.name for one in PAIRS}) == len(PAIRS) >= 25
