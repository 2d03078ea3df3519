"""`netlint.check` on PyTorch models: what it records, and that the model stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netlint
from netlint.training import ContractError, Interval
from tests.test_api import FAULTY, codes

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 16)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout()
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(torch.relu(self.norm(self.fc(x))))).softmax(-1)


def test_a_module_with_its_loss() -> None:
    x, y = torch.randn(8, 6), torch.randint(0, 3, (8,))
    report = netlint.check(Classifier(), loss=nn.CrossEntropyLoss(), inputs=x, targets=y)
    (found,) = [found for found in report.findings if found.rule.code == "LOS002"]
    assert str(found.level) == "error"
    assert found.loc.source is not None
    assert Path(found.loc.source[0]).name == "test_torch_api.py"
    with pytest.raises(netlint.Findings, match="double-softmax"):
        report.raise_if("error")


def test_a_loss_without_targets_fills_the_contract() -> None:
    class Weighted(nn.CrossEntropyLoss):
        pass

    assert "LOS002" in codes(netlint.check(Classifier(), loss=Weighted()))
    assert "LOS002" in codes(netlint.check(Classifier(), loss=nn.functional.cross_entropy))
    assert "LOS002" in codes(netlint.check(Classifier(), loss="cross_entropy"))
    assert "LOS002" not in codes(netlint.check(Classifier()))


def test_a_step_is_recorded() -> None:
    def step(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(x), y)

    assert "LOS002" in codes(netlint.check(Classifier(), step=step))
    batch = (torch.randn(8, 6), torch.randint(0, 3, (8,)))
    assert "LOS002" in codes(netlint.check(Classifier(), step=step, inputs=batch))


def test_a_batch_in_parts_is_one_argument_of_a_step_that_takes_one() -> None:
    class Lit(Classifier):
        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            x, y = batch
            return nn.functional.cross_entropy(self(x), y)

    x, y = torch.randn(8, 6), torch.randint(0, 3, (8,))
    for inputs in ((x, y), ((x, y),), ((x, y), 0)):
        assert "LOS002" in codes(netlint.check(Lit(), step="training_step", inputs=inputs))


def test_layers_of_the_library_alone_are_found_where_the_check_is_asked_for() -> None:
    layers = nn.Sequential(*(layer for _ in range(4) for layer in (nn.Linear(6, 6), nn.Sigmoid())), nn.Linear(6, 2))

    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)

    def lines(model: nn.Module) -> set[str]:
        found = netlint.check(model).findings  # asked here
        places = [entry.loc.source for entry in found if entry.rule.code == "ACT004"]
        return {Path(place[0]).read_text().splitlines()[place[1] - 1].strip() for place in places if place}

    assert lines(layers) == {"found = netlint.check(model).findings  # asked here"}
    assert lines(Around()) == {"return self.layers(x)"}


def test_the_contract_comes_from_the_objects() -> None:
    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    x, y = torch.rand(64, 6), torch.linspace(-1, 1, 64)
    known = netlint.check(model, optimizer=optimizer, scheduler=scheduler, inputs=x, targets=y).assumptions
    values = {name: entry.value for name, entry in known.items()}
    assert values["optimizer"] == "sgd"
    assert (values["lr"], values["momentum"], values["weight_decay"]) == (0.1, 0.9, 1e-4)
    assert values["schedule"] == "CosineAnnealingLR"
    assert values["targets"] == Interval(-1, 1)
    assert 0.4 < values["input_mean"] < 0.6
    assert "input_range" not in values  # another batch may reach further
    assert known["lr"].origin == "the optimizer SGD"
    assert "classes" not in netlint.check(model, inputs=x, targets=torch.randint(0, 3, (64,))).assumptions


def test_the_model_stays_as_it_was() -> None:
    model = Classifier()
    model.head.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    hooks = [len(module._forward_pre_hooks) for module in model.modules()]
    state = torch.random.get_rng_state()
    x = torch.randn(8, 6, generator=torch.Generator())
    netlint.check(model, loss=nn.CrossEntropyLoss(), inputs=x, targets=torch.zeros(8, dtype=torch.long), mode="eval")
    netlint.check(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    assert [len(module._forward_pre_hooks) for module in model.modules()] == hooks
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_mode_is_chosen() -> None:
    def trained(mode: str) -> set[str]:
        from netlint.frontends.torch.target import captured_model

        return {node.op for node in captured_model(Classifier(), mode=mode).graph.nodes}

    assert "Dropout" in trained("train")


def test_exported_programs_and_files(tmp_path: Path) -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)

    exported = torch.export.export(Plain(), (torch.zeros(2, 4),))
    assert codes(netlint.check(exported)) == codes(netlint.check(Plain())) == {"ACT004"}
    torch.export.save(exported, tmp_path / "model.pt2")
    assert codes(netlint.check(tmp_path / "model.pt2")) == {"ACT004"}
    assert codes(netlint.check(torch.fx.symbolic_trace(Plain()))) == {"ACT004"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": 3}, "an int is no model"),
        ({"inputs": 3}, "inputs= holds no tensor, but an int"),
        ({"inputs": torch.zeros(2, 5)}, "shapes"),
        ({"loss": nn.MSELoss(), "targets": torch.zeros(2)}, "a loss with targets= needs inputs="),
        ({"step": "fit"}, "has no method 'fit'"),
        ({"loss": [nn.CrossEntropyLoss()]}, "loss= is a list of 1, no function"),
        ({"loss": nn.CrossEntropyLoss}, "loss= is the class CrossEntropyLoss, not an object of it"),
        ({"loss": nn.MSELoss(), "inputs": torch.zeros(2, 6), "targets": 3}, "targets= holds no tensor, but an int"),
        ({"optimizer": 3}, "optimizer= is an int, no optimizer"),
        ({"optimizer": torch.optim.Adam}, "optimizer= is the class Adam, not an object of it"),
        ({"scheduler": 0.1}, "scheduler= is a float, no scheduler"),
        ({"step": 3}, "step= is an int, no function"),
        ({"inputs": np.array(["a"])}, "inputs= holds an array of <U1, which is no tensor"),
        ({"inputs": "x:float33:2"}, "unknown dtype 'float33'"),
    ],
)
def test_mistakes_with_modules(given: dict[str, object], message: str) -> None:
    arguments = {"model": Classifier(), **given}
    with pytest.raises(netlint.TargetError) as caught:
        netlint.check(**arguments)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert caught.value.help


def test_mistakes_are_refused_with_files_too() -> None:
    with pytest.raises(netlint.TargetError, match="loss= is a list of 1, no function"):
        netlint.check(FAULTY, loss=[nn.CrossEntropyLoss()])  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="optimizer=: unknown optimizer 'adamm'; did you mean 'adam'"):
        netlint.check(FAULTY, optimizer="adamm")


def test_objects_and_names_tell_of_files_too() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    known = netlint.check(FAULTY, loss=nn.CrossEntropyLoss(), optimizer=optimizer, scheduler="cosine").assumptions
    assert (known["loss"].value.name, known["lr"].value, known["schedule"].value) == ("cross_entropy", 0.5, "cosine")


def test_arrays_are_inputs_and_targets() -> None:
    x, y = np.random.default_rng(0).normal(size=(8, 6)), np.arange(8) % 3
    report = netlint.check(Classifier(), loss=nn.CrossEntropyLoss(), inputs=x, targets=y)
    assert "LOS002" in codes(report)
    assert report.assumptions["inputs"].value == "float32[8, 6], int64[8]"
    single = netlint.check(Classifier(), inputs={"x": x.astype("float32")[:2]})
    assert single.assumptions["inputs"].value == "x float32[2, 6]"
    double = netlint.check(Classifier().double(), inputs={"x": x[:2]})
    assert double.assumptions["inputs"].value == "x float64[2, 6]"


def test_several_optimizers_tell_what_they_agree_on() -> None:
    weights = [nn.Parameter(torch.zeros(1))]
    one, other = torch.optim.Adam(weights, lr=1e-4), torch.optim.Adam(weights, lr=4e-4)
    known = netlint.check(Classifier(), optimizer=[one, other]).assumptions
    assert known["optimizer"].value == "adam"
    assert "lr" not in known and known["weight_decay"].value == 0


def test_a_mode_that_is_not_known() -> None:
    from netlint.errors import ConfigError

    with pytest.raises(ConfigError, match="mode='training' is not known; there are train and eval"):
        netlint.check(Classifier(), mode="training")


def test_what_is_no_model() -> None:
    with pytest.raises(netlint.TargetError, match="the class Classifier is no model"):
        netlint.check(Classifier)
    with pytest.raises(netlint.TargetError, match="an int is no model"):
        netlint.check(3)


@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:The PyTorch API of nested tensors")
def test_inputs_of_odd_layouts_are_taken_or_refused_in_words() -> None:
    model = nn.Linear(4, 3)
    assert netlint.check(model, inputs=torch.eye(4).to_sparse_csr()).crashed == ()
    assert netlint.check(model, inputs=torch.eye(4).to_sparse()).crashed == ()
    nested = torch.nested.nested_tensor([torch.rand(2, 4), torch.rand(3, 4)])
    with pytest.raises(netlint.TargetError, match="works on nested tensors"):
        netlint.check(model, inputs=nested)
