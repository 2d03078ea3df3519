"""A parameter that the forward pass overwrites (clamped, masked, kept small) is read as written, and stays one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import netlint  # noqa: E402
from netlint.analyses.gradient import gradient  # noqa: E402
from netlint.analyses.layers import layers  # noqa: E402
from netlint.analyses.parameters import parameters  # noqa: E402
from netlint.analyses.ranges import training_ranges  # noqa: E402
from netlint.analysis import Results  # noqa: E402
from netlint.frontends.torch.live import captured  # noqa: E402
from netlint.graph import Graph  # noqa: E402
from netlint.training import Training  # noqa: E402

from .onnx_graphs import run  # noqa: E402


def clamped(layer: nn.Linear) -> None:
    layer.weight.data.clamp_(-0.1, 0.1)


def clamped_without_gradient(layer: nn.Linear) -> None:
    with torch.no_grad():
        layer.weight.clamp_(-0.1, 0.1)


def masked(layer: nn.Linear) -> None:
    layer.weight.data *= torch.ones(5, 4).tril()


def scaled_twice(layer: nn.Linear) -> None:
    layer.weight.data.mul_(0.5)
    layer.weight.data.div_(layer.weight.data.norm())


def of_a_largest_norm(layer: nn.Linear) -> None:
    layer.weight.data = torch.renorm(layer.weight.data, p=2, dim=0, maxnorm=0.3)


def copied(layer: nn.Linear) -> None:
    with torch.no_grad():
        layer.weight.copy_(layer.weight.abs())


def row_by_row(layer: nn.Linear) -> None:
    layer.weight.data[0] = layer.weight.data[0].clamp(min=0)


WAYS = [clamped, clamped_without_gradient, masked, scaled_twice, of_a_largest_norm, copied, row_by_row]


class Constrained(nn.Module):
    """Two layers; the weights of the first are changed by every forward pass."""

    def __init__(self, change: Callable[[nn.Linear], None]) -> None:
        super().__init__()
        self.change = change
        self.first = nn.Linear(4, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        self.change(self.first)
        return self.last(torch.relu(self.first(x)))


def graph_of(model: nn.Module) -> Graph:
    return captured(model, None, None, None, "3,4", None, None, "").graph


@pytest.mark.parametrize("change", WAYS)
def test_what_is_written_is_read(change: Callable[[nn.Linear], None]) -> None:
    torch.manual_seed(0)
    model, x = Constrained(change), torch.randn(3, 4)
    before = model.first.weight.detach().clone()
    graph = graph_of(model)
    assert torch.equal(model.first.weight, before)
    np.testing.assert_allclose(run(graph, [x.numpy()])[0], model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("change", [way for way in WAYS if way is not row_by_row])
def test_the_layer_keeps_its_parameter(change: Callable[[nn.Linear], None]) -> None:
    results = Results(graph_of(Constrained(change)), Training())
    first = results.get(layers).all[0]
    weight = results.get(parameters).parameter(first.weight)
    assert (first.node.loc.module, weight and weight.name) == ("first", "first.weight")
    assert not results.get(gradient).blocked(first)


def test_a_weight_without_gradient_is_no_parameter_of_its_layer() -> None:
    class Detached(Constrained):
        def forward(self, x: Any) -> Any:
            return self.last(nn.functional.linear(x, self.first.weight.detach().clamp(-1, 1)))

    results = Results(graph_of(Detached(clamped)), Training())
    assert results.get(parameters).parameter(results.get(layers).all[0].weight) is None


def test_a_clamped_weight_stays_in_its_bounds_in_training() -> None:
    results = Results(graph_of(Constrained(clamped)), Training())
    found = results.get(training_ranges).of(results.get(layers).all[0].weight)
    assert (round(found.lo, 6), round(found.hi, 6)) == (-0.1, 0.1)


class Monotone(nn.Module):
    """The root of what weights that are kept positive make of positive numbers."""

    def __init__(self, *, guarded: bool) -> None:
        super().__init__()
        self.guarded = guarded
        self.fc = nn.Linear(8, 8, bias=False)

    def forward(self, x: Any) -> Any:
        if self.guarded:
            self.fc.weight.data.clamp_(min=0)
        return torch.sqrt(self.fc(x.abs()) + 1e-6)


@pytest.mark.parametrize("guarded", [True, False])
def test_what_the_constraint_guards_is_not_reported(guarded: bool) -> None:
    found = netlint.check(Monotone(guarded=guarded), inputs="4,8").findings
    assert [one.rule.code for one in found if one.rule.code == "NUM004"] == ([] if guarded else ["NUM004"])


def test_a_zero_weight_behind_a_mask_is_still_blocked() -> None:
    """Both layers are zero: neither gets a gradient, whatever else is done to the first."""
    model = Constrained(masked)
    for layer in (model.first, model.last):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    results = Results(graph_of(model), Training())
    assert results.get(gradient).blocked(results.get(layers).all[0])


class Normed(nn.Module):
    """Scales by what the first batch gives (the activation norm of flows), and trains that scale."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, 4))
        self.register_buffer("done", torch.tensor(0))

    def forward(self, x: Any) -> Any:
        if self.done.item() == 0:
            self.scale.data.copy_(1 / (x.std(0, keepdim=True) + 1e-6))
            self.done.fill_(1)
        return self.scale * x, self.scale.abs().log().sum()


def test_what_the_first_batch_gives_a_parameter_bounds_it_no_longer_when_it_is_trained() -> None:
    report = netlint.check(Normed(), inputs=(torch.randn(8, 4),))
    assert not [found.rule for found in report.findings]
