"""Each fault of the pairs is named by its own rule, each repaired twin is silent: the model alone and a whole step."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

import netlint
from netlint.engine import lint
from netlint.frontends.onnx import load_bytes
from netlint.registry import load_rules
from netlint.reported import Report
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


def by_script(model: Any, inputs: tuple[Any, ...]) -> bytes | None:
    """As the older exporter writes it, which takes a tenth of the time; None where it cannot."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(model, inputs, buffer, dynamo=False, opset_version=17)
        except (
            RuntimeError,
            IndexError,
        ):  # also where running the model meets an error: targets outside [0, 1] under bce
            return None
    return buffer.getvalue()


def by_dynamo(model: Any, inputs: tuple[Any, ...]) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(model, inputs, dynamo=True, verbose=False)
    return bytes(program.model_proto.SerializeToString())


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
    written = by_script(model.eval(), batch[:-1])
    assert written is not None
    check(load_bytes(written), one, fault, declared)


@pytest.mark.skipif(not importlib.util.find_spec("onnxscript"), reason="needs onnxscript")
@by_side
@by_name
def test_training_step_with_its_loss_in_the_graph(one: Pair, fault: bool) -> None:
    model, batch = built(one, fault)
    whole = Whole(model, one, fault).eval()
    check(load_bytes(by_script(whole, batch) or by_dynamo(whole, batch)), one, fault, one.contract)


@by_side
@by_name
def test_training_step_of_torch_modules(one: Pair, fault: bool) -> None:
    model, batch = built(one, fault)
    codes = [rule.code for rule in RULES]
    told: dict[str, Any] = {"step": one.run(fault), "inputs": batch}
    if one.loss is not None:
        told = {"loss": one.loss(fault), "inputs": batch[:-1], "targets": batch[-1]}
    judge(netlint.check(model.train(), select=codes, **{**one.contract, **told}), one, fault)


def test_every_rule_on_losses_has_a_pair() -> None:
    assert {one.code for one in PAIRS} == {rule.code for rule in RULES}
    assert len({one.name for one in PAIRS}) == len(PAIRS) >= 25
