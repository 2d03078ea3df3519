"""Predicted sizes of signals and gradients, held against measured ones in random networks."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from netlint.analyses._variance_functions import X, gaussian_moments
from netlint.analyses.layers import layers
from netlint.analyses.variance import Variance, variance
from netlint.analysis import Results, Unavailable
from netlint.frontends.onnx import load_bytes, load_text
from netlint.training import Interval, Known, Training

Array = np.ndarray[Any, Any]
BATCH = 128
SLOPES = {
    "Relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    "Tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "Sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))) ** 2),
    "LeakyRelu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1, 0.01)),
    "Softplus": (lambda z: np.logaddexp(0, z), lambda z: 1 / (1 + np.exp(-z))),
    "Elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0))),
    "Identity": (lambda z: z, np.ones_like),
}


@dataclass(frozen=True)
class Block:
    """One layer: its width, what its weights' standard deviation is over that of LeCun, what follows."""

    width: int
    gain: float
    activation: str
    bias: bool
    norm: bool
    residual: bool


class Network:
    """The network as numbers, and as an ONNX model."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        start = width = int(self.rng.integers(64, 160))
        self.blocks = []
        for _ in range(int(self.rng.integers(2, 14))):
            same = bool(self.rng.random() < 0.7)
            width = width if same else int(self.rng.integers(64, 160))
            self.blocks.append(
                Block(
                    width,
                    float(np.exp(self.rng.uniform(math.log(0.3), math.log(3)))),
                    str(self.rng.choice(list(SLOPES))),
                    bool(self.rng.random() < 0.5),
                    bool(self.rng.random() < 0.15),
                    bool(self.rng.random() < 0.3),
                )
            )
        self.blocks.append(Block(10, 1.0, "Identity", True, False, False))
        self.inputs = start
        sizes = [start, *(block.width for block in self.blocks)]
        self.weights = [
            self.rng.normal(size=(m, n)) * block.gain / math.sqrt(m)
            for m, n, block in zip(sizes, sizes[1:], self.blocks, strict=False)
        ]
        self.biases = [
            self.rng.uniform(-1, 1, n) / math.sqrt(m) if block.bias else None
            for m, n, block in zip(sizes, sizes[1:], self.blocks, strict=False)
        ]

    def model(self) -> bytes:
        import onnx
        from onnx import helper, numpy_helper

        nodes, stored, data = [], [], "x"
        for i, (block, weight, bias) in enumerate(zip(self.blocks, self.weights, self.biases, strict=True)):
            stored.append(numpy_helper.from_array(weight.astype(np.float32), f"w{i}"))
            operands = [data, f"w{i}"]
            if bias is not None:
                stored.append(numpy_helper.from_array(bias.astype(np.float32), f"b{i}"))
                operands.append(f"b{i}")
            nodes.append(helper.make_node("Gemm", operands, [f"z{i}"]))
            value = f"z{i}"
            if block.norm:
                stored.append(numpy_helper.from_array(np.ones(block.width, np.float32), f"g{i}"))
                nodes.append(helper.make_node("LayerNormalization", [value, f"g{i}"], [f"n{i}"]))
                value = f"n{i}"
            nodes.append(helper.make_node(block.activation, [value], [f"a{i}"]))
            value = f"a{i}"
            if block.residual and weight.shape[0] == weight.shape[1]:
                nodes.append(helper.make_node("Add", [data, value], [f"s{i}"]))
                value = f"s{i}"
            data = value
        given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", self.inputs])
        made = helper.make_tensor_value_info(data, onnx.TensorProto.FLOAT, ["N", 10])
        graph = helper.make_graph(nodes, "g", [given], [made], stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString()

    def measure(self) -> tuple[list[float], list[float]]:
        """log10 of the root mean square of what each layer computes, and of the gradient there over the head's."""
        h, kept, sizes = self.rng.normal(size=(BATCH, self.inputs)), [], []
        for block, weight, bias in zip(self.blocks, self.weights, self.biases, strict=True):
            z = h @ weight + (0 if bias is None else bias)
            sizes.append(math.log10(math.sqrt(np.mean(z**2))))
            spread = z.std(1, keepdims=True)
            n = (z - z.mean(1, keepdims=True)) / np.sqrt(spread**2 + 1e-5) if block.norm else z
            a = SLOPES[block.activation][0](n)
            residual = block.residual and weight.shape[0] == weight.shape[1]
            kept.append((n, spread, residual))
            h = a + h if residual else a
        g = first = self.rng.normal(size=h.shape)
        gradients = []
        for block, weight, (n, spread, residual) in reversed(list(zip(self.blocks, self.weights, kept, strict=True))):
            dz = g * SLOPES[block.activation][1](n)
            if block.norm:
                dz = (dz - dz.mean(1, keepdims=True) - n * (dz * n).mean(1, keepdims=True)) / np.sqrt(spread**2 + 1e-5)
            gradients.append(math.log10(np.linalg.norm(dz) / np.linalg.norm(first)))
            g = dz @ weight.T + (g if residual else 0)
        return sizes, gradients[::-1]


def _predict(model: bytes, training: Training | None = None) -> tuple[list[float], list[float]]:
    results = Results(load_bytes(model), training or Training())
    known, sizes, gradients = results.get(variance), [], []
    for layer in results.get(layers).all:
        signal, gradient = known.signal(layer.output), known.gradient(layer.output)
        assert signal is not None
        assert gradient is not None
        sizes.append(math.log10(signal.square) / 2)
        gradients.append(gradient)
    return sizes, gradients


@pytest.mark.parametrize("seed", range(60))
def test_random_networks(seed: int) -> None:
    network = Network(seed)
    sizes, gradients = network.measure()
    predicted_sizes, predicted_gradients = _predict(network.model())
    tolerance = 0.25 + 0.02 * len(sizes)
    assert np.max(np.abs(np.subtract(sizes, predicted_sizes))) < tolerance
    assert np.max(np.abs(np.subtract(gradients, predicted_gradients))) < tolerance


ACTIVATIONS = {
    "silu": ("Mul", X, ("Sigmoid", X)),
    "gelu": ("Mul", ("Mul", X, 0.5), ("Add", ("Erf", ("Div", X, math.sqrt(2))), 1.0)),
    "relu6": ("Clip", X, 0.0, 6.0),
    "selu": ("Selu", X, 1.67326319217681884765625, 1.05070102214813232421875),
    "relu": ("Relu", X),
    "tanh": ("Tanh", X),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize(("mean", "variance_"), [(0.0, 1.0), (0.0, 1e4), (2.0, 0.01), (0.5, 4.0), (-1.0, 3.0)])
def test_moments_are_those_of_a_sample(name: str, mean: float, variance_: float) -> None:
    from netlint.analyses._variance_functions import _compiled

    found = gaussian_moments(ACTIVATIONS[name], mean, variance_)
    assert found is not None
    f = _compiled(ACTIVATIONS[name])
    t = np.linspace(-8, 8, 40001)
    mass = np.exp(-t * t / 2)
    y = np.array([f(z) for z in mean + math.sqrt(variance_) * t])
    slope = np.gradient(y, t * math.sqrt(variance_))
    expected = [float((part * mass).sum() / mass.sum()) for part in (y, y * y, slope * slope)]
    assert found == pytest.approx(expected, rel=0.05, abs=1e-3)


def test_selu_keeps_mean_zero_and_variance_one() -> None:
    found = gaussian_moments(ACTIVATIONS["selu"], 0.0, 1.0)
    assert found is not None
    assert found[:2] == pytest.approx((0, 1), abs=1e-3)  # Klambauer et al. 2017


INVERSE_LENGTH = ("Reciprocal", ("Sqrt", ("Max", X, 1e-12)))


def test_a_clipped_pole_decides_nothing() -> None:
    """A sum of squares is never near 0, as a Gaussian of its mean and variance is."""
    assert gaussian_moments(INVERSE_LENGTH, 16.0, 32.0) == pytest.approx((1 / 4, 1 / 16, 1 / 128**2), rel=0.01)
    assert gaussian_moments(INVERSE_LENGTH, 4.0, 8.0) is None
    sigmoid = ("Div", 1.0, ("Add", 1.0, ("Exp", ("Neg", X))))
    assert gaussian_moments(sigmoid, 0.0, 1.0) == pytest.approx(gaussian_moments(("Sigmoid", X), 0.0, 1.0))


def _of(text: str, training: Training | None = None) -> tuple[Variance, dict[str, Any]]:
    graph = load_text(text)
    values = {value.name: value for node in graph.nodes for value in node.outputs if value is not None}
    return Results(graph, training or Training()).get(variance), values


def test_stated_inputs_count() -> None:
    text = "g (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1, -1, -1, 1}> { y = MatMul(x, w) }"
    known, values = _of(text, Training(input_range=Known(Interval(0, 255), "--input-range")))
    signal = known.signal(values["y"])
    assert signal is not None
    assert signal.square == pytest.approx(2 * 255**2 / 3, rel=0.01)
    assert "--input-range" in known.assumed
    known, values = _of(text, Training(input_std=Known(2.0, "--input-std")))
    signal = known.signal(values["y"])
    assert signal is not None
    assert signal.square == pytest.approx(8)


def test_what_nobody_taught_is_unknown() -> None:
    text = """g (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1, -1, -1, 1}> {
        h = MatMul(x, w)
        c = OP(h)
        y = MatMul(c, w)
    }"""
    known, values = _of(text.replace("OP", "Relu"))
    assert known.gradient(values["h"]) is not None
    known, values = _of(text.replace("OP", "Hardmax"))
    assert known.signal(values["y"]) is None
    assert known.gradient(values["h"]) is None


def test_a_number_repeated_is_its_own_signal() -> None:
    known, values = _of("""g (float[N, 2] x) => (float[N, 2] y) {
        s = Shape(x)
        c = ConstantOfShape <value = float[1] {3.0}> (s)
        y = Add(x, c)
    }""")
    signal = known.signal(values["c"])
    assert signal is not None and (signal.mean, signal.square) == (3.0, 9.0)
    assert known.signal(values["y"]) is not None


def test_huge_graphs_are_left_out() -> None:
    graph = load_text("g (float[N, 2] x) => (float[N, 2] y) { y = Relu(x) }")
    many = replace(graph, nodes=graph.nodes * 60_000)
    with pytest.raises(Unavailable, match="50000 nodes"):
        Results(many, Training()).get(variance)


def test_an_attention_written_out_is_followed() -> None:
    known, values = _of(
        """g (float[N, 4, 2] x) => (float[N, 4, 2] y)
        <float[2, 2] wq = {1, -1, -1, 1}, float[2, 2] wk = {1, 1, -1, 1}, float[2, 2] wv = {1, -1, 1, 1}> {
            q = MatMul(x, wq)
            k = MatMul(x, wk)
            v = MatMul(x, wv)
            t = Transpose <perm = [0, 2, 1]> (k)
            s = MatMul(q, t)
            p = Softmax(s)
            y = MatMul(p, v)
        }"""
    )
    assert known.signal(values["y"]) is not None
    assert known.gradient(values["v"]) is not None


NETS = ("plain", "sigmoid 20", "relu 50", "kaiming", "batch norm", "pre-norm residual", "strided", "upsampling")


@pytest.mark.parametrize("name", NETS)
def test_torch_networks(name: str) -> None:
    torch = pytest.importorskip("torch")
    model, x = _torch_network(torch, name)
    measured, blob = _measured(torch, model, x), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = torch.onnx.TrainingMode.PRESERVE
        torch.onnx.export(model, (x,), blob, dynamo=False, training=kept, do_constant_folding=False)
    _, predicted = _predict(blob.getvalue())
    assert abs(measured[0] - predicted[0]) < 0.3 + 0.02 * len(measured)


def _torch_network(torch: Any, name: str) -> tuple[Any, Any]:
    nn = torch.nn
    torch.manual_seed(0)

    def chain(depth: int, activation: Any) -> list[Any]:
        return [part for _ in range(depth) for part in (nn.Linear(64, 64), activation())]

    image = torch.randn(16, 3, 16, 16)
    if name in ("plain", "batch norm", "strided", "upsampling"):
        parts, before = [], 3
        for index, width in enumerate((16, 32, 32, 64)):
            stride = 2 if name == "strided" and index % 2 else 1
            parts += [nn.Conv2d(before, width, 3, stride, 1)]
            parts += [nn.BatchNorm2d(width)] if name == "batch norm" else []
            parts += [nn.ReLU()]
            before = width
        parts += [nn.ConvTranspose2d(64, 64, 4, 2, 1), nn.ReLU()] if name == "upsampling" else []
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)), image
    if name == "pre-norm residual":
        return _residual(torch), torch.randn(64, 64)
    depth, activation = {"sigmoid 20": (20, nn.Sigmoid), "relu 50": (50, nn.ReLU), "kaiming": (30, nn.ReLU)}[name]
    model = nn.Sequential(*chain(depth, activation), nn.Linear(64, 10))
    for layer in model.modules() if name == "kaiming" else ():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    return model, torch.randn(64, 64)


def _residual(torch: Any) -> Any:
    nn = torch.nn

    class Net(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            one = lambda: nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 256), nn.SiLU(), nn.Linear(256, 64))  # noqa: E731
            self.blocks = nn.ModuleList(one() for _ in range(8))
            self.head = nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:
            for block in self.blocks:
                x = x + block(x)
            return self.head(x)

    return Net()


def _measured(torch: Any, model: Any, x: Any) -> list[float]:
    """log10 of the size of the gradient at each layer's output, over that at the last."""
    outputs: list[Any] = []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        output.retain_grad()
        outputs.append(output)

    kinds = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    hooks = [part.register_forward_hook(keep) for part in model.modules() if isinstance(part, kinds)]
    model(x)
    start = torch.randn_like(outputs[-1])
    (outputs[-1] * start).sum().backward()
    for hook in hooks:
        hook.remove()
    return [float((output.grad.norm() / start.norm()).log10()) for output in outputs]
