"""Python targets in this process: what is made, which inputs are found, what is recorded, what is said of mistakes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from netlint.capture import INPUTS, Capture  # noqa: E402
from netlint.frontends import TargetError  # noqa: E402
from netlint.frontends.torch.target import Captured, capture, captured_model  # noqa: E402
from tests.conftest import ROOT  # noqa: E402

Run = Callable[..., subprocess.CompletedProcess[str]]

FACTORIES = ROOT / "tests" / "torch_factories.py"


def captured(name: str, **how: Any) -> Captured:
    return capture(f"{FACTORIES}:{name}", Capture(**how), False, lambda stage: None)


def ops(found: Captured) -> list[str]:
    return [node.full_op for node in found.graph.nodes]


def inputs(model: nn.Module) -> str:
    """The inputs found for a model, as the report shows them."""
    return str(captured_model(model).facts[INPUTS].value)


class Fn(nn.Module):
    """A module whose forward pass is a function of the module and the inputs."""

    def __init__(self, function: Callable[..., Any], **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *args: Tensor) -> Any:
        return self.function(self, *args)


@pytest.mark.parametrize("name", ["Net", "Net(8)", "Net(width=8)", "made", "with_inputs"])
def test_what_a_target_names(name: str) -> None:
    assert ops(captured(name)) == ["Gemm", "Relu"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", "cannot be built: ValueError: no such data set: /data (torch_factories.py:"),
        ("nothing", "makes no model: nothing gives None | name a subclass of torch.nn.Module"),
        ("table", "makes no model: table gives a dict"),
        ("number", "makes no model: number gives an int"),
        ("script", "is TorchScript"),
        ("exits", "cannot be built: the code ends the process (sys.exit(3)) (torch_factories.py:"),
        ("needs_a_package", "No module named 'no_such_package' (torch_factories.py:"),
        ("Nett", "has no 'Nett' | did you mean"),
        ("Two", "Two(width, depth, act): missing a required argument: 'width' | give arguments as literals: "),
        ("Two(1)", "missing a required argument: 'depth'"),
        ("Two(1, 2, 3)", "too many positional arguments"),
        ("Net(width='a')", "cannot be built: TypeError: "),
        ("made(1)", "leave out the arguments"),
        ("Odd", "runs on none of the inputs that were tried"),
    ],
)
def test_mistakes_are_explained(name: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        captured(name)
    assert message in f"{caught.value} | {caught.value.help}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2,a", "has an input that is not understood: '2,a'"),
        ("1:2:3:4", "has an input that is not understood"),
        ("x:float33:2", "has an input of unknown dtype 'float33'"),
        ("a b:float32:2", "no identifier: 'a b'"),
        ("99999,99999", "more than 2^31 elements"),
    ],
)
def test_inputs_that_are_not_understood(text: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        captured("Net", inputs=(text,))
    assert message in str(caught.value)


def test_stated_inputs_of_the_wrong_shape() -> None:
    with pytest.raises(TargetError) as caught:
        captured("Net", inputs=("2,5",))
    assert "shapes" in str(caught.value)
    assert "torch_factories.py" in str(caught.value)


def test_stated_inputs_are_used() -> None:
    found = captured("Net", inputs=("x:float32:7,4",))
    assert found.facts["inputs"].value == "x float32[7, 4]"
    assert found.facts["inputs"].origin == "--input"


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(6, 8, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(x)[0][:, -1])


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.positions = nn.Parameter(torch.zeros(1, 12, 16))
        self.body = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.body(self.table(tokens) + self.positions)


class Conditioned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.time = nn.Embedding(100, 8)
        self.text = nn.Linear(5, 8)

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        return self.conv(x) + (self.time(t) + self.text(context))[:, :, None, None]


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2))
        self.head = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).view(-1, 256))


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (nn.Linear(7, 3), "float32[2, 7]"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)), "float32[2, 3, 224, 224]"),
        (nn.Sequential(nn.Conv1d(5, 4, 3), nn.AdaptiveAvgPool1d(1)), "float32[2, 5, 128]"),
        (nn.Sequential(nn.Conv3d(2, 4, 3), nn.ReLU()), "float32[2, 2, 16, 64, 64]"),
        (LeNet(), "float32[2, 1, 28, 28]"),
        (nn.Sequential(nn.Conv2d(4, 8, 8, 4), nn.Flatten(), nn.Linear(8 * 20 * 20, 2)), "float32[2, 4, 84, 84]"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), "float32[2, 784]"),
        (nn.Embedding(10, 4), "int64[2, 16]"),
        (Recurrent(), "float32[2, 16, 6]"),
        (Transformer(), "int64[2, 12]"),
        (Conditioned(), "float32[2, 3, 224, 224], int64[2], float32[2, 5]"),
        (
            Fn(lambda self, x, w: self.a(x) + self.b(w), a=nn.Linear(4, 3), b=nn.Linear(6, 3)),
            "float32[2, 4], float32[2, 6]",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_inputs_are_found(model: nn.Module, found: str) -> None:
    assert inputs(model) == found


def test_what_a_model_carries_goes_first() -> None:
    model = nn.Linear(4, 2)
    model.example_input_array = torch.zeros(3, 9, 4)
    found = captured_model(model)
    assert (found.facts["inputs"].value, found.facts["inputs"].origin) == ("float32[3, 9, 4]", "example_input_array")


def test_a_model_that_runs_on_nothing_may_still_be_traced() -> None:
    class Strict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            torch._assert(x.shape[0] == 77, "not these")
            return self.fc(x).sigmoid()

    found = captured_model(Strict())
    assert {"Gemm", "Sigmoid"} <= set(ops(found)) or {"MatMul", "Sigmoid"} <= set(ops(found))
    assert "traced without shapes" in found.facts[INPUTS].origin


def test_steps_have_their_loss_as_a_node() -> None:
    found = captured("Net", step=f"{FACTORIES}:step")
    assert "Softmax" in ops(found)
    assert "SoftmaxCrossEntropyLoss" in ops(found)
    assert "torch.mse_loss" in ops(captured("Net", step=f"{FACTORIES}:batch_step"))


class Lit(nn.Module):
    """As Lightning writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        return nn.functional.cross_entropy(self(x), y)


def test_a_method_may_be_the_step() -> None:
    from netlint.frontends.torch.recipe import method

    model = Lit()
    assert "SoftmaxCrossEntropyLoss" in ops(captured_model(model, step=method(model, "training_step")))
    with pytest.raises(TargetError, match="has no method 'fit'"):
        method(model, "fit")


def test_state_dicts_are_loaded_as_weights_alone(netlint: Run, tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    (tmp_path / "text.pt").write_text("hello")
    done = netlint("other.pt", "whole.pt", "text.pt", "missing.pt")
    assert done.returncode == 3
    assert "other.pt holds weights without a model; netlint runs no pickle" in done.stdout
    assert "whole.pt holds a pickled torch.nn.modules.linear.Linear" in done.stdout
    assert "text.pt is not what torch.save writes" in done.stdout
    assert "--factory net.py:Net" in done.stdout


def test_weights_of_a_file_in_a_model() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.pt"
        how = Capture(factory=f"{FACTORIES}:Net")
        torch.save({"state_dict": {"module.fc.weight": torch.zeros(2, 4), "module.fc.bias": torch.ones(2)}}, file)
        found = capture(str(file), how, False, lambda stage: None)
        (weight,) = [value for value in found.graph.nodes[0].inputs[1:2] if value is not None]
        assert weight.constant is not None
        assert not weight.constant.load().any()
        torch.save({"fc.weight": torch.zeros(2, 4)}, file)
        with pytest.raises(TargetError, match=r"does not fit the model: it lacks fc\.bias"):
            capture(str(file), how, False, lambda stage: None)
        torch.save({"fc.weight": torch.zeros(2, 5), "fc.bias": torch.ones(2)}, file)
        with pytest.raises(TargetError, match=r"does not fit the model: size mismatch for fc\.weight"):
            capture(str(file), how, False, lambda stage: None)
        torch.save(nn.Linear(2, 2), file)
        with pytest.raises(TargetError, match=r"holds a pickled torch\.nn\.modules\.linear\.Linear"):
            capture(str(file), how, False, lambda stage: None)


class Weird(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def parametrised() -> nn.Module:
    return torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))


def hooked() -> nn.Module:
    model = nn.Linear(4, 4)
    model.register_forward_hook(lambda module, args, output: output.relu())
    return model


def sparse() -> nn.Module:
    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)
            self.register_buffer("mask", torch.eye(4).to_sparse())

        def forward(self, x: Tensor) -> Tensor:
            return torch.sparse.mm(self.mask, self.fc(x).T)

    return Sparse()


def custom_operator() -> nn.Module:
    if not hasattr(torch.ops.netlint_test, "twice"):
        library = torch.library.Library("netlint_test", "FRAGMENT")
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: x * 2, "CPU")
        custom_operator.keep = library  # type: ignore[attr-defined]
    return Fn(lambda self, x: torch.ops.netlint_test.twice(self.fc(x)), fc=nn.Linear(4, 4))


@pytest.mark.parametrize(
    "model",
    [
        lambda: Fn(lambda self, x: Weird.apply(self.fc(x)), fc=nn.Linear(4, 4)),
        lambda: Fn(lambda self, x: torch.fft.fft(self.fc(x)).abs(), fc=nn.Linear(4, 4)),
        lambda: Fn(lambda self, x: self.fc(torch.view_as_real(torch.complex(x, x))[..., 0]), fc=nn.Linear(4, 4)),
        parametrised,
        hooked,
        sparse,
        custom_operator,
        lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(2)),
        lambda: torch.nn.utils.spectral_norm(nn.Linear(4, 4)),
    ],
    ids=["autograd", "fft", "complex", "weight_norm", "hooks", "sparse", "custom-op", "lazy", "spectral_norm"],
)
def test_unusual_models_are_recorded_or_refused_in_words(model: Callable[[], nn.Module]) -> None:
    try:
        found = captured_model(model())
    except TargetError as error:
        assert error.help
    else:
        assert found.graph.nodes
