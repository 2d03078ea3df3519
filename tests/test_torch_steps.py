"""Training steps as people write them: recorded once, and nothing outside is changed."""

# The imports below need torch, which may be missing.
# ruff: noqa: E402
from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import netlint
from netlint.frontends.torch import recipe
from netlint.frontends.torch.inputs import Example
from netlint.frontends.torch.target import Captured, captured_model

calls = 0


class Trainer:
    """A model with all that is changed while it is trained."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 3))
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 1)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, patience=0)
        self.scaler = torch.amp.GradScaler("cpu")
        self.average = torch.optim.swa_utils.AveragedModel(self.model)
        self.second = torch.optim.LBFGS(self.model.parameters())
        self.history: list[float] = []
        self.count = 0
        self.chance = torch.Generator()

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self.model(x), y)

    def state(self) -> str:
        """Everything that training changes, as text."""
        schedulers = [dict(entry.state_dict()) for entry in (self.scheduler, self.plateau)]
        kept = [self.optimizer.state_dict(), self.second.state_dict(), schedulers, self.scaler.state_dict()]
        modules = [module.state_dict() for module in (self.model, self.average)]
        chance = [torch.get_rng_state().sum(), self.chance.get_state().sum(), random.getstate()]
        attributes = [sorted(vars(entry)) for entry in (self.optimizer, self.scheduler, self.scaler)]
        called = getattr(self.optimizer, "_opt_called", None)
        return repr([kept, modules, chance, attributes, called, self.history, self.count, calls])

    # Steps

    def plain(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        global calls
        calls += 1
        self.count += 1
        self.optimizer.zero_grad()
        loss = self.loss(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.scheduler.step()
        self.history.append(loss.item())
        return loss

    def waits(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        self.plateau.step(1e9)
        for group in self.optimizer.param_groups:
            group["lr"] *= 0.5
        return loss

    def scaled(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = self.loss(x, y)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss

    def closure(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        def again() -> Tensor:
            self.second.zero_grad()
            loss = self.loss(x, y)
            loss.backward()
            return loss

        return self.second.step(again)

    def averaged(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        loss = self.loss(x + torch.randn(x.shape, generator=self.chance) + random.random(), y)
        loss.backward()
        self.optimizer.step()
        self.average.update_parameters(self.model)
        return loss

    def by_hand(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        loss = self.loss(x, y)
        loss.backward()
        with torch.no_grad():
            for weight in self.model.parameters():
                weight -= 0.1 * weight.grad
                weight.grad.zero_()
        return loss

    def adversarial(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        x.requires_grad_()
        self.loss(x, y).backward()
        return self.loss((x + 0.1 * x.grad.sign()).detach(), y)


STEPS = ["plain", "waits", "scaled", "closure", "averaged", "by_hand", "adversarial"]


def recorded(trainer: Trainer, step: Callable[..., Any]) -> Captured:
    example = Example((torch.zeros(5, 4), torch.zeros(5, dtype=torch.long)), {}, "inputs=", False)
    return captured_model(trainer.model, example, recipe.function(step, trainer.model))


@pytest.mark.parametrize("name", STEPS)
def test_nothing_outside_is_changed(name: str) -> None:
    trainer = Trainer()
    step = getattr(trainer, name)
    before, hooks = trainer.state(), dict(vars(torch.amp.GradScaler))
    found = recorded(trainer, step)
    assert trainer.state() == before
    assert dict(vars(torch.amp.GradScaler)) == hooks
    assert all(weight.grad is None for weight in trainer.model.parameters())
    assert found.graph.of("SoftmaxCrossEntropyLoss"), found.graph.ops


@pytest.mark.parametrize("name", STEPS)
def test_the_steps_do_change_something(name: str) -> None:
    """Else the test above would prove nothing."""
    trainer = Trainer()
    before = trainer.state()
    getattr(trainer, name)(trainer.model, torch.randn(5, 4), torch.zeros(5, dtype=torch.long))
    assert trainer.state() != before


def test_what_a_function_closes_over_is_put_back() -> None:
    trainer, seen, turn = Trainer(), {"losses": [1.0]}, 0

    def step(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        nonlocal turn
        turn += 1
        seen["losses"].append(2.0)
        seen["more"] = []
        return trainer.plain(model, x, y)

    before = trainer.state()
    report = netlint.check(trainer.model, step=step, inputs=(torch.randn(5, 4), torch.zeros(5, dtype=torch.long)))
    assert "recording" not in report.assumptions
    assert trainer.state() == before
    assert (turn, seen) == (0, {"losses": [1.0]})


def test_the_optimizer_is_no_part_of_the_graph() -> None:
    trainer = Trainer()
    plain, alone = (recorded(trainer, step).graph for step in (trainer.plain, lambda model, x, y: trainer.loss(x, y)))
    assert [node.op for node in plain.nodes] == [node.op for node in alone.nodes]
