"""What is said of zero weights and equal units, held against training small networks for real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netlint.analyses.gradient import Gradient, gradient
from netlint.analyses.layers import Layer, layers
from netlint.analyses.trunk import trunk
from netlint.analyses.units import Units, units
from netlint.analysis import Results
from netlint.frontends.onnx import load_text
from netlint.training import Training

Array = np.ndarray[Any, Any]
WIDTH = 3
STEPS = 8
RATE = 1e-3


@dataclass(frozen=True)
class Dense:
    """One layer of a network: how its weight and bias start, what follows, whether the input is added."""

    weight: str
    bias: str
    activation: str
    residual: bool


SMOOTH = ("Tanh", "Sigmoid", "Identity")


def networks(activations: tuple[str, ...], biases: tuple[str, ...]) -> st.SearchStrategy[list[Dense]]:
    layer = st.builds(
        Dense,
        st.sampled_from(("random", "zero", "zero", "constant")),
        st.sampled_from(biases),
        st.sampled_from(activations),
        st.booleans(),
    )
    return st.lists(layer, min_size=1, max_size=5)


class Network:
    """The network as numbers, and as an ONNX model."""

    def __init__(self, spec: list[Dense]) -> None:
        rng = np.random.default_rng(7)

        def start(kind: str, *shape: int) -> Array:
            if kind == "random":  # exact in float32: the model and the simulation start from the same numbers
                return rng.normal(size=shape).astype(np.float32).astype(np.float64)
            return np.full(shape, 0.25 if kind == "constant" else 0.0)

        self.spec = spec
        self.weights = [start(layer.weight, WIDTH, WIDTH) for layer in spec]
        self.biases = [start(layer.bias, WIDTH) if layer.bias != "none" else None for layer in spec]
        self.x = rng.normal(size=(6, WIDTH))
        self.target = rng.normal(size=(6, WIDTH))
        self.text = self._text()
        self.moved = [False] * len(spec)

    def _text(self) -> str:
        def listed(array: Array) -> str:
            return ", ".join(repr(float(number)) for number in array.reshape(-1))

        constants, nodes, data = [], [], "x"
        for index, (layer, weight, bias) in enumerate(zip(self.spec, self.weights, self.biases, strict=True)):
            constants.append(f"float[{WIDTH}, {WIDTH}] w{index} = {{{listed(weight)}}}")
            operands = [data, f"w{index}"]
            if bias is not None:
                constants.append(f"float[{WIDTH}] b{index} = {{{listed(bias)}}}")
                operands.append(f"b{index}")
            nodes.append(f"z{index} = Gemm({', '.join(operands)})")
            nodes.append(f"a{index} = {layer.activation}(z{index})")
            nodes.append(f"h{index} = Add(a{index}, {data})" if layer.residual else f"h{index} = Identity(a{index})")
            data = f"h{index}"
        shape = f"float[N, {WIDTH}]"
        return f"net ({shape} x) => ({shape} {data}) <{', '.join(constants)}> {{\n" + "\n".join(nodes) + "\n}"

    def train(self) -> None:
        """Plain gradient descent on the squared error; notes which weights ever had a gradient."""
        for _ in range(STEPS):
            inputs, sums, h = [], [], self.x
            for layer, weight, bias in zip(self.spec, self.weights, self.biases, strict=True):
                inputs.append(h)
                sums.append(h @ weight + (0 if bias is None else bias))
                h = _activate(layer.activation, sums[-1]) + (h if layer.residual else 0)
            g = (h - self.target) / len(h)
            for index in reversed(range(len(self.spec))):
                layer, weight, bias = self.spec[index], self.weights[index], self.biases[index]
                gz = g * _derivative(layer.activation, sums[index])
                step = inputs[index].T @ gz
                self.moved[index] |= bool(np.any(step))
                g = gz @ weight.T + (g if layer.residual else 0)
                self.weights[index] = weight - RATE * step
                if bias is not None:
                    self.biases[index] = bias - RATE * gz.sum(0)

    def judge(self) -> tuple[tuple[Layer, ...], Gradient, Units]:
        results = Results(load_text(self.text), Training())
        return results.get(layers).all, results.get(gradient), results.get(units)


def _activate(name: str, z: Array) -> Array:
    known = {"Relu": np.maximum(z, 0), "Tanh": np.tanh(z), "Sigmoid": 1 / (1 + np.exp(-z)), "Identity": z}
    return known[name]


def _derivative(name: str, z: Array) -> Array:
    s = 1 / (1 + np.exp(-z))
    return {"Relu": z > 0, "Tanh": 1 - np.tanh(z) ** 2, "Sigmoid": s * (1 - s), "Identity": np.ones_like(z)}[name]


@settings(max_examples=300, deadline=None)
@given(networks((*SMOOTH, "Relu", "Relu"), ("none", "zero", "random")))
def test_blocked_weights_never_move(spec: list[Dense]) -> None:
    network = Network(spec)
    found, flow, _ = network.judge()
    network.train()
    for index, layer in enumerate(found):
        assert not (flow.blocked(layer) and network.moved[index])


@settings(max_examples=300, deadline=None)
@given(networks(SMOOTH, ("zero", "random")))
def test_weights_that_are_not_blocked_move(spec: list[Dense]) -> None:
    network = Network(spec)
    found, flow, _ = network.judge()
    network.train()
    for index, layer in enumerate(found):
        assert flow.blocked(layer) or network.moved[index]


@settings(max_examples=300, deadline=None)
@given(networks((*SMOOTH, "Relu"), ("none", "zero", "random")))
def test_tied_units_stay_equal(spec: list[Dense]) -> None:
    network = Network(spec)
    found, _, known = network.judge()
    tied = [
        index
        for index, layer in enumerate(found)
        if spec[index].weight != "random" and known.tied_for_ever(layer, range(WIDTH))
    ]
    network.train()
    for index in tied:
        weight = network.weights[index]
        assert np.allclose(weight, weight[:, :1], rtol=1e-9, atol=1e-12)


def judge(text: str) -> tuple[tuple[Layer, ...], Gradient, Units]:
    results = Results(load_text(text), Training())
    return results.get(layers).all, results.get(gradient), results.get(units)


def test_an_unknown_operator_blocks_nothing() -> None:
    found, flow, _ = judge(
        """<ir_version: 10, opset_import: ["" : 21, "custom" : 1]>
        g (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {0, 0, 0, 0}, float[2, 2] v = {0, 0, 0, 0}> {
            h = MatMul(x, w)
            a = custom.Gate(h)
            y = MatMul(a, v)
        }"""
    )
    assert [flow.blocked(layer) for layer in found] == [False, False]


def test_zeros_in_a_loop_body_are_not_blocked() -> None:
    found, flow, _ = judge(
        """g (float[2, 2] x, int64 n, bool go) => (float[2, 2] y) <float[2, 2] w = {0, 0, 0, 0}> {
            y = Loop(n, go, x) <body = b (int64 i, bool c, float[2, 2] s) => (bool d, float[2, 2] t) {
                d = Identity(c)
                u = MatMul(s, w)
                t = Relu(u)
            }>
        }"""
    )
    # ReLU of zeros inside the body: blocked wherever it stands.
    assert [flow.blocked(layer) for layer in found] == [True]


def test_biases_merged_by_the_exporter_do_not_open_each_other() -> None:
    """`zero` is the bias of a dead layer and of a head that learns."""
    found, flow, _ = judge(
        """g (float[N, 2] x) => (float[N, 2] y)
        <float[2, 2] w = {0, 0, 0, 0}, float[2, 2] v = {0.5, -0.3, 0.2, 0.7}, float[2] zero = {0, 0}> {
            h = Gemm(x, w, zero)
            a = Relu(h)
            y = Gemm(a, v, zero)
        }"""
    )
    assert [flow.blocked(layer) for layer in found] == [True, True]


def test_a_bias_that_is_computed_is_followed_like_any_value() -> None:
    """Exporters put an Identity, a Slice or an Expand between a parameter and the layer."""
    text = """g (float[N, 2] x) => (float[N, 2] y)
    <float[2, 2] w = {0, 0, 0, 0}, float[2, 2] v = {0.5, -0.3, 0.2, 0.7}, float[2] b = {0.5, 0.25}> {
        c = Identity(b)
        h = Gemm(x, w, c)
        a = Relu(h)
        y = MatMul(a, v)
    }"""
    found, flow, _ = judge(text)
    assert [flow.blocked(layer) for layer in found] == [False, False]
    found, flow, _ = judge(text.replace("{0.5, 0.25}", "{0, 0}"))
    assert [flow.blocked(layer) for layer in found] == [True, True]


@pytest.mark.parametrize(
    ("after", "blocked"),
    [
        ("y = LeakyRelu(h)", False),
        ("y = Clip(h)", False),
        ("s = Softmax(h) y = Mul(s, x)", False),
        ("y = Mul(h, h)", True),
        ("r = Relu(h) y = Add(r, x)", True),
        ("r = Relu(h) y = Concat <axis = 1> (r, x)", True),
    ],
)
def test_what_follows_a_zero_layer_decides(after: str, blocked: bool) -> None:
    found, flow, _ = judge(
        "g (float[N, 2] x) => (float[N, M] y) <float[2, 2] w = {0, 0, 0, 0}> { h = MatMul(x, w) " + after + " }"
    )
    assert flow.blocked(found[0]) is blocked


def test_a_recurrent_layer_of_zeros_learns_through_its_candidate() -> None:
    text = """g (float[T, N, 2] x) => (float[T, D, N, 1] y)
    <float[1, 4, 2] w = {0, 0, 0, 0, 0, 0, 0, 0}, float[1, 4, 1] r = {0, 0, 0, 0}> {
        y = LSTM <hidden_size = 1> (x, w, r)
    }"""
    found, flow, _ = judge(text)
    assert not flow.blocked(found[0])
    found, flow, _ = judge(
        text.replace("y = LSTM", "h = LSTM")
        .replace("{0, 0, 0, 0}>", "{0, 0, 0, 0}, float[1, 1] v = {0}>")
        .replace("(x, w, r)", "(x, w, r) y = MatMul(h, v)")
    )
    assert [flow.blocked(layer) for layer in found] == [True, True]


def _conv_net(second: str) -> str:
    return (
        """g (float[N, 1, 4, 4] x) => (float[N, 2] y)
        <float[2, 1, 1, 2] w = {0.5, 0.25, 0.5, 0.25}, float[2, 4] v = {"""
        + second
        + """}, int64[2] shape = {0, -1}> {
            c = Conv(x, w)
            a = Relu(c)
            p = MaxPool <kernel_shape = [3, 2], strides = [2, 2]> (a)
            f = Reshape(p, shape)
            y = Gemm <transB = 1> (f, v)
        }"""
    )


def test_channels_that_are_flattened_own_a_run_of_columns() -> None:
    found, _, known = judge(_conv_net("0.1, 0.2, 0.1, 0.2, 0.3, 0.4, 0.3, 0.4"))
    assert known.tied_for_ever(found[0], (0, 1)) is True
    found, _, known = judge(_conv_net("0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.3, 0.4"))
    assert known.tied_for_ever(found[0], (0, 1)) is False


def test_units_that_meet_a_shortcut_are_not_followed() -> None:
    found, _, known = judge(
        """g (float[N, 2] x) => (float[N, 2] y)
        <float[2, 2] w = {0.5, 0.5, 0.2, 0.2}, float[2, 2] v = {0.5, 0.2, 0.5, 0.2}> {
            h = MatMul(x, w)
            s = Add(h, x)
            y = MatMul(s, v)
        }"""
    )
    assert known.tied_for_ever(found[0], (0, 1)) is None


def test_the_trunk_is_what_all_signal_passes() -> None:
    graph = load_text(
        """g (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {0.5, -0.3, 0.2, 0.7}> {
            a = MatMul(x, w)
            b = Relu(a)
            c = Add(a, b)
            y = Tanh(c)
        }"""
    )
    assert {node.op for node in Results(graph, Training()).get(trunk)} == {"MatMul", "Add", "Tanh"}


def test_the_shape_of_an_input_is_no_signal() -> None:
    graph = load_text(
        """g (float[N, 2] x) => (float[N, 2] y) {
            a = Relu(x)
            s = Shape(x)
            y = Expand(a, s)
        }"""
    )
    assert [node.op for node in Results(graph, Training()).get(trunk)] == ["Relu", "Expand"]
