"""Each fault of the pairs is named by its own rule, each repaired twin is silent: model alone and whole training step."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

import netlint
from netlint.engine import Report, lint
from netlint.frontends.onnx import load_bytes
from netlint.registry import load_rules
from netlint.rule import Level
from netlint.training import parse_training

torch: Any = pytest.importorskip("torch")

from tests.pairs_loss import PAIRS, Pair  # noqa: E402  (needs torch)

if TYPE_CHECKING:
    from netlint.graph import Graph

RULES = [rule for rule in load_rules().values() if rule.code.startswith("LOS")]
SIDES = [pytest.param(True, id="fault"), pytest.param(False, id="twin")]
by_name = pytest.mark.parametrize("one", [pytest.param(one, id=one.name.replace(" ", "-")) for one in PAIRS])
by_side = pytest.mark.parametrize("fault", SIDES)


def judge(report: Report, one: Pair, fault: bool) -> None:
    assert report.crashed == ()
    loud = {entry.rule.code for entry in report.findings if entry.level >= Level.WARNING}
    listed = [f"{entry.rule.code} {entry.level}: {entry.finding.message}" for entry in report.findings]
    assert loud == ({one.code} if fault else set()), listed


def check(graph: Graph, one: Pair, fault: bool, contract: Mapping[str, str]) -> None:
    judge(lint(graph, RULES, parse_training(contract, lambda name: f"--{name}")), one, fault)


def export(model: Any, inputs: tuple[Any, ...], exporter: str) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            program = torch.onnx.export(model, inputs, dynamo=True, verbose=False)
            return bytes(program.model_proto.SerializeToString())
        buffer = io.BytesIO()
        torch.onnx.export(model, inputs, buffer, dynamo=False, opset_version=17)
        return buffer.getvalue()


@cache
def built(one: Pair, fault: bool) -> tuple[Any, tuple[Any, ...]]:
    torch.manual_seed(0)
    return one.make(fault), one.batch(fault)


class Whole(torch.nn.Module):  # type: ignore[misc]
    """A training step as a module."""

    def __init__(self, model: Any, one: Pair, fault: bool) -> None:
        super().__init__()
        self.model = model
        self.loss = one.loss(fault) if one.loss is not None else None
        self.step = one.run(fault) if one.loss is None else None

    def forward(self, *batch: Any) -> Any:
        if self.loss is not None:
            return self.loss(self.model(*batch[:-1]), batch[-1])
        assert self.step is not None
        return self.step(self.model, *batch)


@by_side
@by_name
def test_model_with_a_declared_loss(one: Pair, fault: bool) -> None:
    if not one.alone:
        pytest.skip("shows in the training step only")
    assert one.loss is not None
    model, batch = built(one, fault)
    declared = {"loss": type(one.loss(fault)).__name__, **one.contract}
    check(load_bytes(export(model.eval(), batch[:-1], "script")), one, fault, declared)


@pytest.mark.skipif(not importlib.util.find_spec("onnxscript"), reason="needs onnxscript")
@by_side
@by_name
def test_training_step_with_its_loss_in_the_graph(one: Pair, fault: bool) -> None:
    model, batch = built(one, fault)
    check(load_bytes(export(Whole(model, one, fault).eval(), batch, "dynamo")), one, fault, one.contract)


@pytest.mark.skipif(not hasattr(netlint, "check"), reason="needs the front end for torch")
@by_side
@by_name
def test_training_step_of_torch_modules(one: Pair, fault: bool) -> None:
    model, batch = built(one, fault)
    run: Any = netlint.check  # type: ignore[attr-defined]
    codes = [rule.code for rule in RULES]
    judge(run(model.train(), step=one.run(fault), inputs=batch, select=codes, **one.contract), one, fault)


def test_every_rule_on_losses_has_a_pair() -> None:
    assert {one.code for one in PAIRS} == {rule.code for rule in RULES}
    assert len({one.name for one in PAIRS}) == len(PAIRS) >= 25
