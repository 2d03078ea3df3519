"""What is found on a module is found on its `ExportedProgram` in memory, and on the `.pt2` that is saved of it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import nn  # noqa: E402

from fixtures.zoo import ZOO  # noqa: E402
from netlint.engine import lint  # noqa: E402
from netlint.frontends import pt2  # noqa: E402
from netlint.frontends.torch.live import captured  # noqa: E402
from netlint.graph import Graph  # noqa: E402
from netlint.training import Training  # noqa: E402
from tests import zoo_parity as parity  # noqa: E402
from tests.test_parity import faulty  # noqa: E402
from tests.zoo_parity import Finding  # noqa: E402

NO_EXPORT = {"branchondata", "loopondata", "lazy"}
"""What `torch.export` refuses: branches on data, a module that was never called."""

NO_FILE = {"yolo"}
"""What `torch.export.save` refuses: a named tuple that nobody registered."""

FAULTS = list(parity.FAULTS)
CASES = [
    pytest.param(name, fault, marks=() if place % 14 == 5 and fault != "none" else pytest.mark.whole)
    for place, name in enumerate(ZOO)
    for fault in ("none", FAULTS[place % len(FAULTS)])
    if name not in NO_EXPORT
]
"""Each model as it is and with one of the faults; a sample of those with a fault is quick."""


def found_on(graph: Graph, training: Training, model: nn.Module) -> Counter[Finding]:
    return parity.like_the_module(parity.findings(lint(graph, parity.RULES.values(), training)), model)


def exported(model: nn.Module, inputs: tuple[Any, ...]) -> Any:
    with parity.quiet():
        return torch.export.export(copy.deepcopy(model).eval(), inputs)


def saved(program: Any, folder: Path) -> Graph:
    with parity.quiet():
        torch.export.save(program, folder / "model.pt2")
    return pt2.load(folder / "model.pt2")


def compared(
    model: nn.Module,
    example: tuple[Any, ...],
    contract: Mapping[str, Any],
    folder: Path | None,
    explained: Iterable[str] = (),
) -> Counter[Finding]:
    """What is found on a module; the same, but for the rules that are explained, is found on its program, and on the
    file that is saved of it where there is a folder for it."""
    here, training = parity.recorded(model, example, contract)
    program = exported(model, example)
    graphs = [captured(program, *[None] * 6, "").graph, *([saved(program, folder)] if folder else [])]
    for graph in graphs:
        parity.agree(here, found_on(graph, training, model), explained)
    return here


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_the_program_and_its_file_have_the_findings_of_the_module(name: str, fault: str, tmp_path: Path) -> None:
    model, example, contract = faulty(name, fault)
    compared(model, example, contract, None if name in NO_FILE else tmp_path)


class Rounds(torch.autograd.Function):
    """Rounding with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.round()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad


class Quantised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.last = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.last(Rounds.apply(self.first(x)))


def test_an_export_has_lost_the_gradients_that_its_author_defined(tmp_path: Path) -> None:
    """It holds the rounding alone, which has no gradient; the rule says so of the program, not of the module."""
    model, example = Quantised(), (torch.randn(4, 8),)
    compared(model, example, {}, tmp_path, {"ACT012"})


class Constrained(nn.Module):
    """Clamps its weight as it runs; the faults are a softmax too many and a weight of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.last = nn.Linear(8, 3)
        nn.init.zeros_(self.first.weight)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Any) -> Any:
        with torch.no_grad():
            self.first.weight.clamp_(-0.1, 0.1)
        return self.last(torch.relu(self.first(x))).softmax(1)


def test_weights_that_are_overwritten_are_read_alike(tmp_path: Path) -> None:
    model, example = Constrained(), (torch.randn(4, 8),)
    assert "LOS002" in {code for code, _, _ in compared(model, example, {"loss": "cross_entropy"}, tmp_path)}
