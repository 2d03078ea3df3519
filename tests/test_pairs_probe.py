"""Each fault of the pairs is named by its own rule of the probe at its place; each repaired twin is silent."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from netlint.analysis import Results
from netlint.engine import lint
from netlint.probe.stages import passes
from netlint.registry import load_rules
from netlint.reported import Report, Reported
from netlint.rule import Level
from netlint.training import parse_training

torch: Any = pytest.importorskip("torch")

from netlint.frontends.torch.live import captured  # noqa: E402
from netlint.probe.request import Request  # noqa: E402
from netlint.probe.torch.runner import probed  # noqa: E402
from tests import pairs_probe_more, pairs_probe_styles  # noqa: E402, F401  (they register their pairs)
from tests.pairs_probe import PAIRS, Net, Pair, cases  # noqa: E402  (needs torch)

torch.set_num_threads(1)  # models this small are only slowed down by more

CASES = [pytest.param(one, fault, id=f"{one.name}-{'fault' if fault else 'twin'}") for one, fault in cases()]
PROBE = {code: rule for code, rule in load_rules().items() if code.startswith("PRB")}


@cache
def probe(one: Pair, fault: bool) -> Report:
    """What the rules of the probe say of one version of a model."""
    torch.manual_seed(0)
    model = one.make(fault)
    inputs = ",".join(map(str, one.shape))
    found = probed(captured(model, None, None, None, inputs, None, None, "train"), Request("cpu", budget=120.0))
    contract = one.contract if fault else {**one.contract, **one.twin_contract}
    report = lint(found.graph, PROBE.values(), parse_training(contract, lambda name: f"--{name}"))
    assert report.crashed == ()
    return report


def _listed(report: Report) -> list[str]:
    said = [
        f"{entry.rule.code} {entry.level} at {entry.loc.path}: {entry.finding.message}" for entry in report.findings
    ]
    return said + [f"{skip.rule.code} skipped: {skip.why}" for skip in report.skipped]


def _is_at(entry: Reported, place: str) -> bool:
    return place in (entry.op, entry.loc.module or "") or (entry.loc.module or "").startswith(f"{place}.")


@pytest.mark.parametrize(("one", "fault"), CASES)
def test_pair(one: Pair, fault: bool) -> None:
    report = probe(one, fault)
    loud = {entry.rule.code for entry in report.findings if entry.level >= Level.WARNING}
    own = [entry for entry in report.findings if entry.rule.code == one.code]
    if not fault:
        assert not loud, _listed(report)
        return
    assert [entry for entry in own if _is_at(entry, one.at)], _listed(report)
    assert loud <= {one.code, *one.also}, _listed(report)


@pytest.mark.parametrize(("inputs", "made_up"), [(torch.zeros(8, 20), True), (torch.randn(8, 20), False)])
def test_zeros_tell_the_shape_of_inputs_and_are_no_data(inputs: Any, made_up: bool) -> None:
    found = captured(Net(), None, None, None, (inputs,), None, None, "train")
    graph = probed(found, Request("cpu")).graph
    run = Results(graph, parse_training({"loss": "cross_entropy"}, str)).get(passes)
    assert run.setup.synthetic == made_up
    assert run.inputs[graph.inputs[0]][0] < 0 < run.inputs[graph.inputs[0]][1]


def test_there_are_many_pairs_of_every_kind() -> None:
    assert {one.code for one in PAIRS} == set(PROBE) - {"PRB013", "PRB014"}
    assert len({one.name for one in PAIRS}) == len(PAIRS) >= 25
