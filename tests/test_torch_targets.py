"""Python targets in this process: what is made, which inputs are found, what is recorded, what is said of mistakes."""

from __future__ import annotations

import gc
import re
import subprocess
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from netlint.analyses.paths import paths  # noqa: E402
from netlint.analysis import Results  # noqa: E402
from netlint.api import check as netlint_check  # noqa: E402
from netlint.capture import INPUTS, Capture  # noqa: E402
from netlint.frontends import TargetError  # noqa: E402
from netlint.frontends.torch import recipe, run  # noqa: E402
from netlint.frontends.torch.climb import Climb  # noqa: E402
from netlint.frontends.torch.inputs import Example, Slot  # noqa: E402
from netlint.frontends.torch.layout import Layout  # noqa: E402
from netlint.frontends.torch.recipe import method  # noqa: E402
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


@pytest.mark.parametrize("name", ["Net", "Net(8)", "Net(width=8)", "made", "with_inputs", "with_optimizer"])
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
        ("Odd", "inputs that get there at torch_factories.py:158: ValueError: not these\ntorch.fx.symbolic_trace: "),
        ("Bare", "has no method forward | name the model that calls it"),
        ("pair", "makes no model: pair gives a tuple of 2"),
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


class Pooled(nn.Module):
    """Where a window is wider than its stride, the features do not grow with the area."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1), nn.AvgPool2d(8, 1), nn.Flatten())
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Patches(nn.Module):
    """The first layer sees the pixels of patches."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, 48, 1, 1))
        self.proj = nn.Conv2d(48, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(torch.pixel_unshuffle(x, 4) * self.scale)


class Positions(nn.Module):
    """Patches that are cut before the first layer, and a table with a row for each."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(16 * 16 * 3, 8)
        self.table = nn.Parameter(torch.zeros(16, 8))

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        x = x.reshape(count, channels, height // 16, 16, width // 16, 16).permute(0, 2, 4, 1, 3, 5)
        x = self.proj(x.reshape(count, -1, 16 * 16 * channels))
        x += self.table[: x.shape[1]]
        return x


class Sized(nn.Module):
    """Says how large its images are, and joins a channel of ones to them."""

    def __init__(self) -> None:
        super().__init__()
        self.image_size, self.channels = 32, 4
        self.conv = nn.Conv2d(5, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1:] == (4, 32, 32)
        return self.conv(torch.cat((x, torch.ones_like(x[:, :1])), 1))


def _labelled(self: Any, x: Tensor, c: Tensor) -> Tensor:
    c = c.view(c.size(0), c.size(1), 1, 1)
    return self.conv(torch.cat((x, c.repeat(1, 1, x.size(2), x.size(3))), 1))


_noisy = "float32[2, 3, 224, 224], float32[2]"


def _frequencies() -> nn.Parameter:
    return nn.Parameter(torch.ones(4))


def _volume(self: Any, x: Tensor) -> Tensor:
    return self.proj(x).flatten(2) + self.table


def _squeezed(self: Any, x: Tensor) -> Tensor:
    b, c, _, _ = x.size()
    gates = self.up(self.fc(x.mean((2, 3)).view(b, c)).relu()).sigmoid()
    return x * gates.view(b, c, 1, 1)


def _windowed(self: Any, x: Tensor) -> Tensor:
    b, _, h, w = x.shape
    return self.conv(x).view(b, 8, h * w).view(b, 8, 1, 49)


def _two(*channels: int) -> str:
    return ", ".join(f"float32[2, {count}, 224, 224]" for count in channels)


class Similarity(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if x.shape != y.shape or x.dim() != 4:
            raise ValueError("images of one size")
        return (x - y).abs().mean()


class Labelled(nn.Module):
    """Noise, multiplied with what stands for a class."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 8)
        self.fc = nn.Linear(8, 4)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        return self.fc(noise * self.table(labels))


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
        (Pooled(), "float32[2, 3, 32, 32]"),
        (
            Fn(
                lambda self, img, z: self.a(torch.cat((img, self.b(z).view(*img.shape)), 1)),
                b=nn.Linear(10, 3072),
                a=nn.Conv2d(6, 4, 1),
            ),
            "float32[2, 3, 32, 32], float32[2, 10]",
        ),
        (Patches(), "float32[2, 3, 224, 224]"),
        (Positions(), "float32[2, 3, 64, 64]"),
        (Fn(lambda self, a, b: self.conv(torch.cat((a, b), 1)), conv=nn.Conv2d(6, 4, 3)), _two(3, 3)),
        (Fn(lambda self, a: self.conv(torch.cat((a, torch.zeros_like(a)), 1)), conv=nn.Conv2d(6, 4, 3)), _two(3)),
        (Fn(_labelled, conv=nn.Conv2d(8, 4, 3)), "float32[2, 3, 224, 224], float32[2, 5]"),
        (
            Fn(
                lambda self, x, low: self.b(torch.cat((self.a(x), low), 1)),
                a=nn.Conv2d(3, 4, 4, 4),
                b=nn.Conv2d(7, 1, 1),
            ),
            "float32[2, 3, 224, 224], float32[2, 3, 56, 56]",
        ),
        (Sized(), "float32[2, 4, 32, 32]"),
        (
            Fn(lambda self, x, s: self.a(x) * s.outer(self.f)[..., None, None], a=nn.Conv2d(3, 4, 3), f=_frequencies()),
            _noisy,
        ),
        (
            Fn(_volume, proj=nn.Conv3d(1, 8, 8, 8), table=nn.Parameter(torch.zeros(1, 8, 64))),
            "float32[2, 1, 32, 32, 32]",
        ),
        (Fn(_squeezed, fc=nn.Linear(6, 2), up=nn.Linear(2, 6)), "float32[2, 6, 224, 224]"),
        (Fn(_windowed, conv=nn.Conv2d(80, 8, 3, padding=1)), "float32[2, 80, 7, 7]"),
        (Similarity(), "float32[2, 3, 224, 224], float32[2, 3, 224, 224]"),
        (Labelled(), "float32[2, 8], int64[2]"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_inputs_are_found(model: nn.Module, found: str) -> None:
    assert inputs(model) == found


def test_shapes_that_layers_refuse_are_searched_for_without_a_real_run(monkeypatch: pytest.MonkeyPatch) -> None:
    once = run.Run.once

    def counted(own: run.Run, *args: Any, **how: Any) -> Any:
        assert not how["real"]
        return once(own, *args, **how)

    monkeypatch.setattr(run.Run, "once", counted)
    assert inputs(Pooled()) == "float32[2, 3, 32, 32]"


def test_inputs_too_large_to_be_made_are_not_tried() -> None:
    def attempt(example: Example) -> None:
        raise AssertionError("tried")

    model = nn.Linear(4, 2)
    finder = Climb(model, Layout.of(model, None), attempt, "")
    assert finder.climb([Slot("x", "float", (2, 1 << 20, 1 << 20))]) is None


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
    model = Lit()
    assert "SoftmaxCrossEntropyLoss" in ops(captured_model(model, step=method(model, "training_step")))
    with pytest.raises(TargetError, match="has no method 'fit'"):
        method(model, "fit")


def _decayed(model: nn.Module) -> dict[str, Any]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _lists(model: nn.Module) -> tuple[list[Any], list[Any]]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 3)]


def _two(model: nn.Module) -> tuple[dict[str, Any], ...]:
    return tuple({"optimizer": torch.optim.Adam(model.parameters(), lr=lr)} for lr in (0.1, 0.2))


@pytest.mark.parametrize(
    ("makes", "known"),
    [
        (lambda model: None, {}),
        (lambda model: torch.optim.Adam(model.parameters()), {"optimizer": "adam", "lr": 0.001, "weight_decay": 0.0}),
        (_decayed, {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.1, "schedule": "CosineAnnealingLR"}),
        (_lists, {"optimizer": "sgd", "lr": 0.5, "momentum": 0.0, "weight_decay": 0.0, "schedule": "StepLR"}),
        (_two, {"optimizer": "adam", "weight_decay": 0.0}),
    ],
)
def test_a_lightning_module_configures_its_optimizers(makes: Callable[[nn.Module], Any], known: dict[str, Any]) -> None:
    class Configured(Lit):
        def configure_optimizers(self) -> Any:
            self.touched = True
            return makes(self)

    model = Configured()
    found = captured_model(model, step=method(model, "training_step"))
    assert {name: entry.value for name, entry in found.training.known().items()} == known
    assert all(entry.origin.endswith("of configure_optimizers") for entry in found.training.known().values())
    assert not hasattr(model, "touched")
    assert netlint_check(model, step="training_step").assumptions.keys() >= known.keys()
    assert captured_model(model).training.known() == {}


def test_optimizers_that_cannot_be_configured_are_said() -> None:
    class Attached(Lit):
        trainer = None

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=self.trainer.lr)  # type: ignore[attr-defined]

    model = Attached()
    found = captured_model(model, step=method(model, "training_step"))
    assert found.training.known() == {}
    assert re.match(
        r"raises AttributeError \(test_torch_targets.py:\d+\): 'NoneType' object has no attribute 'lr'",
        found.facts["configure_optimizers"].value,
    )


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


def quantised() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), {nn.Linear})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (lambda: Fn(lambda self, x: Weird.apply(self.fc(x)), fc=nn.Linear(4, 4)), "Gemm torch.Weird"),
        (lambda: Fn(lambda self, x: torch.fft.fft(self.fc(x)).abs(), fc=nn.Linear(4, 4)), "Gemm torch.fft_fft Abs"),
        (
            lambda: Fn(lambda self, x: self.fc(torch.view_as_real(torch.complex(x, x))[..., 0]), fc=nn.Linear(4, 4)),
            "torch.complex torch.view_as_real Gather Gemm",
        ),
        (parametrised, "ReduceL2 Div Mul Gemm"),
        (lambda: torch.nn.utils.weight_norm(nn.Linear(4, 4)), "ReduceL2 Div Mul Gemm"),
        (
            lambda: torch.nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)),
            "Trilu Transpose Sub torch.matrix_exp MatMul Gemm",
        ),
        (hooked, "Gemm Relu"),
        (sparse, "Gemm Transpose torch._sparse_mm"),
        (custom_operator, "Gemm torch.twice"),
        (quantised, "torch.linear_dynamic Relu"),
        (lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(2)), "Gemm Relu Gemm"),
    ],
    ids=[
        *("autograd", "fft", "complex", "weight_norm", "old weight_norm", "orthogonal", "hooks", "sparse"),
        *("custom-op", "quantised", "lazy"),
    ],
)
def test_what_is_unusual_is_a_node_that_no_analysis_knows(model: Callable[[], nn.Module], wanted: str) -> None:
    """… or, where its parts are usual ones, these."""
    assert ops(captured_model(model())) == wanted.split()


class Described(nn.Module):
    """Takes a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 4, 3)
        self.words = nn.Embedding(100, 4)

    def forward(self, sample: dict[str, Tensor]) -> Tensor:
        return self.image(sample["image"]).mean((2, 3)) + self.words(sample["tokens"]).mean(1)


class Critic(nn.Module):
    def __init__(self, state: int = 8, action: int = 2) -> None:
        super().__init__()
        self.fc = nn.Linear(state + action, 1)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        return self.fc(torch.cat([state, action], 1))


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 6)
        self.rnn = nn.LSTM(6, 8, batch_first=True)

    def forward(self, x: Tensor, hidden: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, hidden = self.rnn(self.table(x), hidden)
        return y, hidden


class Masked(nn.Transformer):
    """Its table comes after layers of a width, and it keeps a mask of the length of its first axis."""

    def __init__(self) -> None:
        super().__init__(8, 2, 1, 1, 8)
        self.table = nn.Embedding(50, 8)
        self.positions = nn.Buffer(torch.rand(30, 1, 8))

    def forward(self, src: Tensor) -> Tensor:
        mask = torch.full((len(src), len(src)), -torch.inf).triu(1)
        return self.encoder(self.table(src) + self.positions[: src.size(0)], mask=mask)


class Series(nn.Module):
    """Embeds a series as forecasters do: values by a convolution over time, stamps by a table for each part."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Conv1d(7, 8, 3, padding=1, padding_mode="circular")
        self.hour, self.day = nn.Embedding(24, 8), nn.Embedding(7, 8)

    def forward(self, x: Tensor, marks: Tensor) -> Tensor:
        marks = marks.long()
        if marks.max() > 10**6:  # needs the elements
            marks = marks % 7
        return self.value(x.permute(0, 2, 1)).transpose(1, 2) + self.hour(marks[:, :, 1]) + self.day(marks[:, :, 0])


class Cloud(nn.Module):
    """Takes lengths and numbers of its own apart in one line."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 5
        self.fc = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        samples, points, width, own = *x.shape, self.width
        return self.fc(x).reshape(samples, points * width) * own


class Strict(nn.Module):
    """Says how many axes it wants."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.rand(4, 4))

    def forward(self, emissions: Tensor) -> Tensor:
        if emissions.dim() != 3:
            raise ValueError(f"emissions must have dimension of 3, got {emissions.dim()}")
        return emissions @ self.scores


class Table(nn.Module):
    """Numbers and categories, either of which may be missing, by weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.rand(5))
        self.tables = nn.ModuleList([nn.Embedding(4, 3), nn.Embedding(7, 3)])

    def forward(self, numbers: Tensor | None, kinds: Tensor | None) -> Tensor:
        y = (numbers * self.numbers).sum(1, keepdim=True)
        if kinds.shape[-1] != len(self.tables):
            raise ValueError(f"there are {len(self.tables)} kinds, and x.shape[-1]={kinds.shape[-1]}")
        return y + sum(table(kinds[..., place]) for place, table in enumerate(self.tables))


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (Table(), "int64[2, 5], int64[2, 2]"),
        (Masked(), "int64[2, 16]"),
        (Words(), "int64[2, 16], float32[1, 2, 8], float32[1, 2, 8]"),
        (Series(), "float32[2, 7, 7], int64[2, 7, 128]"),
        (Cloud(), "float32[2, 16, 5]"),
        (Strict(), "float32[2, 16, 4]"),
        (Described(), "image float32[2, 3, 224, 224], tokens int64[2, 16]"),
        (Critic(), "float32[2, 8], float32[2, 2]"),
        (Critic(5, 4), "float32[2, 5], float32[2, 4]"),
        (nn.Linear(7, 3).half(), "float16[2, 7]"),
        (nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU()), "float32[2, 3, 224, 224]"),
    ],
    ids=[
        "table",
        "masked",
        "state",
        "series",
        "unpacked",
        "rank",
        "dict",
        "joined",
        "joined halves",
        "half precision",
        "lazy",
    ],
)
def test_unusual_inputs_are_found(model: nn.Module, found: str) -> None:
    assert inputs(model) == found


def test_the_tensors_of_runs_that_failed_are_let_go() -> None:
    made: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    class Refuses(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            gc.collect()
            alive.append(sum(each() is not None for each in made))
            h = x + 1
            made.append(weakref.ref(h))
            raise ValueError("not these")

    with pytest.raises(TargetError, match="not these"):
        captured_model(Refuses())
    assert len(alive) > 9 and max(alive) < 4


def in_parts(function: Callable[..., Any], **how: Any) -> Captured:
    from netlint.frontends.torch.recipe import function as step

    model = nn.Sequential(nn.Linear(4, 3))
    return captured_model(model, step=step(function, model), **how)


def test_the_source_of_a_step_tells_what_a_batch_holds() -> None:
    def keyed(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(model(batch["x"]), batch["y"])

    def numbered(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.mse_loss(model(batch[0]), batch[1])

    def unpacked(model: nn.Module, batch: Any) -> Tensor:
        weights, y, x = batch
        return (nn.functional.cross_entropy(model(weights), y, reduction="none") * x).mean()

    def alone(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.mse_loss(model(batch), torch.zeros(batch.shape[0], 3))

    found = in_parts(keyed)
    assert found.facts[INPUTS].value == "x float32[2, 4], y int64[2]"
    assert "SoftmaxCrossEntropyLoss" in ops(found)
    assert in_parts(numbered).facts[INPUTS].value == "float32[2, 4], float32[2, 3]"
    assert in_parts(unpacked).facts[INPUTS].value == "float32[2, 4], int64[2], int64[2]"
    assert in_parts(alone).facts[INPUTS].value == "float32[2, 4]"


def test_parts_of_a_batch_are_stated_by_name() -> None:
    stated = captured("Net", step=f"{FACTORIES}:keyed_step", inputs=("y:int64:7", "x:7,4"))
    assert stated.facts[INPUTS].value == "x float32[7, 4], y int64[7]"
    in_order = captured("Net", step=f"{FACTORIES}:keyed_step", inputs=("7,4", "int64:7"))
    assert in_order.facts[INPUTS].value == "x float32[7, 4], y int64[7]"
    the_other_guessed = captured("Net", step=f"{FACTORIES}:keyed_step", inputs=("x:7,4",))
    assert the_other_guessed.facts[INPUTS].value == "x float32[7, 4], y int64[7]"
    with pytest.raises(TargetError, match=r"takes other inputs than are stated: batch\.x, batch\.y"):
        captured("Net", step=f"{FACTORIES}:keyed_step", inputs=("z:7,4",))


def test_a_step_of_a_lazy_model() -> None:
    assert ops(captured("lazy", step=f"{FACTORIES}:step")) == ["Gemm", "Softmax", "SoftmaxCrossEntropyLoss"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("no_such_step", "has a step, {}:no_such_step, that names nothing"),
        ("trainer_step", "has a step that takes criterion and optimizer, which netlint cannot make"),
        ("misspelt_step", "cannot be run: NameError: name 'losss' is not defined (torch_factories.py:"),
        ("unmet_step", "inputs that get there at torch_factories.py:"),
    ],
)
def test_a_step_that_cannot_be_recorded_is_no_forward_pass_instead(step: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        captured("Net", step=f"{FACTORIES}:{step}")
    assert message.format(FACTORIES) in str(caught.value)
    assert caught.value.help


def test_a_file_that_is_no_python_is_told_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import torch\n\ndef (:\n")
    with pytest.raises(TargetError) as caught:
        capture(f"{tmp_path}/broken.py:Net", Capture(), False, lambda stage: None)
    assert str(caught.value) == "cannot be imported: SyntaxError: invalid syntax (broken.py:3)"
    assert caught.value.help == "correct the file"


def test_a_script_whose_import_fails_says_so_where_its_model_does(tmp_path: Path) -> None:
    body = (
        "import argparse\nfrom torch import nn\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--data', required={})\nargs = parser.parse_args()\n"
        "class Net(nn.Linear):\n    def __init__(self):\n        super().__init__(3, 4 if args.data is None else 5)\n"
        "undefined()\n"
    )
    (tmp_path / "needs.py").write_text(body.format(True))
    with pytest.raises(TargetError) as caught:
        capture(f"{tmp_path}/needs.py:Net", Capture(), False, lambda stage: None)
    assert "cannot be imported: the code ends the process (sys.exit(2)) (needs.py:5)" in str(caught.value)
    assert "of its definitions alone: cannot be built: NameError: name 'args'" in str(caught.value)
    (tmp_path / "train.py").write_text(body.format(False))
    found = capture(f"{tmp_path}/train.py:Net", Capture(), False, lambda stage: None)
    assert found.facts["imported"].value == "its definitions alone"
    assert found.facts[INPUTS].value == "float32[2, 3]"


def learned(run: Callable[[nn.Module, Tensor], Any]) -> list[bool]:
    """Whether gradients pass to each result of a step of a dense layer."""
    model = nn.Linear(4, 4)
    found = captured_model(model, Example((torch.zeros(2, 4),), {}, "", False), recipe.function(run, model))
    gradient = Results(found.graph, found.training).get(paths).gradient
    return [gradient.learned(value) for value in found.graph.outputs]


def test_gradients_stop_where_the_code_stops_them() -> None:
    def cut(model: nn.Module, x: Tensor) -> Any:
        with torch.no_grad():
            target = model(x).tanh()
            noise = torch.randn(2, 4)
        h = model(x)
        straight = h + (h.round() - h).detach()
        return target * 2, h.detach() * 2, h.data * 2, straight, h * noise, model(target)

    assert learned(cut) == [False, False, False, True, True, True]


def test_weights_written_without_gradients_still_learn() -> None:
    def clipped(model: nn.Module, x: Tensor) -> Tensor:
        for weight in model.parameters():
            weight.data.clamp_(-1, 1)
        return model(x)

    assert learned(clipped) == [True]


def test_writes_through_views_are_followed_in_a_run_on_real_tensors_too() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            h = self.fc(x)
            if h.sum() > 1e9:
                h = h * 2
            h.view(-1).relu_()
            return h.tanh()

    found = captured_model(Branching(), Example((torch.zeros(2, 4),), {}, "", False))
    assert found.subject is not None and found.subject.recording.real
    (tanh,) = found.graph.of("Tanh")
    behind = found.graph.producer(tanh.input(0))
    while behind is not None and behind.op == "Reshape":
        behind = found.graph.producer(behind.input(0))
    assert behind is not None and behind.op == "Relu"


def test_a_detached_spread_has_no_gradient_to_be_infinite() -> None:
    def step(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        value = model(x)
        gain = (y - value).detach()
        return (gain / (gain.pow(2).mean().sqrt() + 1e-8) * value).mean()

    def attached(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        gain = y - model(x)
        return (gain / (gain.pow(2).mean().sqrt() + 1e-8)).mean()

    batch = (torch.randn(8, 4), torch.randn(8, 4))
    found = [netlint_check(nn.Linear(4, 4), step=run, inputs=batch).findings for run in (step, attached)]
    assert [any(entry.rule.code in ("NUM004", "NUM011") for entry in entries) for entries in found] == [False, True]


def same_size(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return (model(x) * y).sum()


def two_views(model: nn.Module, a: Tensor, b: Tensor) -> Tensor:
    return (model(a) - model(b)).pow(2).mean()


def sequences(model: nn.Module, x: Tensor, marks: Tensor) -> Tensor:
    return model(x).sum() * marks.size(1)


@pytest.mark.parametrize(
    ("step", "found"),
    [
        (same_size, "float32[2, 6], float32[2, 3]"),
        (two_views, "float32[2, 6], float32[2, 6]"),
        (sequences, "float32[2, 6], int64[2, 16]"),
    ],
)
def test_further_inputs_of_a_step_are_found(step: Callable[..., Any], found: str) -> None:
    model = nn.Linear(6, 3)
    assert captured_model(model, step=recipe.function(step, model)).facts[INPUTS].value == found


def squared(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return nn.MSELoss()(model(x), y)


def written_out(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    return ((model(x) - target) ** 2).mean()


def of_weights(model: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    return (model(x) - weight).mean()


@pytest.mark.parametrize(
    ("step", "found"), [(squared, "float32[2, 1]"), (written_out, "float32[2, 1]"), (of_weights, "int64[2]")]
)
def test_targets_that_are_made_up_broadcast_no_loss(step: Callable[..., Any], found: str) -> None:
    model = nn.Linear(6, 1)
    captured = captured_model(model, step=recipe.function(step, model))
    assert captured.facts[INPUTS].value == f"float32[2, 6], {found}"


def test_a_step_may_call_its_counter_anything_and_be_given_it() -> None:
    class Counting(Lit):
        def training_step(self, batch: tuple[Tensor, Tensor], i: int) -> Tensor:
            return super().training_step(batch, i)

    batch = (torch.randn(5, 4), torch.zeros(5, dtype=torch.long))
    for given in ((batch,), (batch, 3)):
        assert netlint_check(Counting(), step="training_step", inputs=given).nodes


def test_nested_tensors_are_refused_in_words() -> None:
    model = Fn(lambda net, x: net.fc(torch.nested.as_nested_tensor([x[0, :3], x[1, :2]])), fc=nn.Linear(8, 2))
    with pytest.raises(TargetError, match="works on nested tensors, whose rows differ in length"):
        netlint_check(model, inputs=torch.randn(2, 4, 8))
