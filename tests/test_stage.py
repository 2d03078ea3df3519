"""Which initialisers are recognised, and that training is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from netlint.analyses.layers import layers
from netlint.analyses.stage import Stages, stage
from netlint.analysis import Results, Unavailable
from netlint.frontends.onnx import load_bytes
from netlint.training import Known, Training

Array = np.ndarray[Any, Any]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def _truncated(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> Array:
    found = rng.normal(size=(4 * math.prod(shape),))
    return (found[np.abs(found) < 2][: math.prod(shape)] * std).reshape(shape)


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.linalg.qr(rng.normal(size=(max(shape), max(shape))))[0][: shape[0], : shape[1]]


INITIALISERS: dict[str, Draw] = {
    "torch default": lambda rng, shape: rng.uniform(-1, 1, shape) / math.sqrt(shape[0]),
    "xavier uniform": lambda rng, shape: rng.uniform(-1, 1, shape) * math.sqrt(6 / sum(shape)),
    "he normal": lambda rng, shape: rng.normal(size=shape) * math.sqrt(2 / shape[0]),
    "normal 0.02": lambda rng, shape: rng.normal(size=shape) * 0.02,
    "normal 1": lambda rng, shape: rng.normal(size=shape),
    "uniform from 0 to 1": lambda rng, shape: rng.uniform(size=shape),
    "truncated normal": lambda rng, shape: _truncated(rng, shape, 0.02),
    "lecun normal of keras": lambda rng, shape: _truncated(rng, shape, 1 / math.sqrt(shape[0]) / 0.87962566),
    "orthogonal": _orthogonal,
}


def _mlp(weights: list[Array], biases: list[Array | None]) -> bytes:
    import onnx
    from onnx import helper, numpy_helper

    nodes, stored, data = [], [], "x"
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        stored.append(numpy_helper.from_array(weight.astype(np.float32), f"w{index}"))
        if bias is not None:
            stored.append(numpy_helper.from_array(bias.astype(np.float32), f"b{index}"))
        operands = [data, f"w{index}"] + ([f"b{index}"] if bias is not None else [])
        nodes.append(helper.make_node("Gemm", operands, [f"h{index}"]))
        nodes.append(helper.make_node("Relu", [f"h{index}"], [f"a{index}"]))
        data = f"a{index}"
    given = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", weights[0].shape[0]])
    made = helper.make_tensor_value_info(data, onnx.TensorProto.FLOAT, ["N", weights[-1].shape[1]])
    graph = helper.make_graph(nodes, "g", [given], [made], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString()


def _judge(weights: list[Array], biases: list[Array | None], training: Training | None = None) -> Stages:
    results = Results(load_bytes(_mlp(weights, biases)), training or Training())
    return results.get(stage)


SHAPES = [(64, 48), (48, 32), (32, 10)]


@pytest.mark.parametrize("name", INITIALISERS)
@pytest.mark.parametrize("biases", ["none", "zero", "torch"])
def test_initialisers_are_recognised(name: str, biases: str) -> None:
    rng = np.random.default_rng(5)
    weights = [INITIALISERS[name](rng, shape) for shape in SHAPES]
    start: list[Array | None] = [
        None if biases == "none" else np.zeros(n) if biases == "zero" else rng.uniform(-1, 1, n) / math.sqrt(m)
        for m, n in SHAPES
    ]
    found = _judge(weights, start)
    assert found.whole == "init"
    assert "3 of 3" in found.origin


def test_heavy_tails_and_uneven_rows_are_trained() -> None:
    rng = np.random.default_rng(5)
    uneven = [rng.normal(size=shape) * rng.lognormal(size=(shape[0], 1)) for shape in SHAPES]
    heavy = [rng.laplace(size=shape) for shape in SHAPES]
    for weights in (uneven, heavy):
        assert _judge(weights, [None] * 3).whole == "trained"


def test_a_moved_bias_speaks_against_initialisation() -> None:
    rng = np.random.default_rng(5)
    weights = [INITIALISERS["he normal"](rng, shape) for shape in SHAPES]
    biases: list[Array | None] = [rng.gamma(0.3, size=n) for _, n in SHAPES]
    assert _judge(weights, biases).whole is None


def test_few_elements_tell_nothing() -> None:
    rng = np.random.default_rng(5)
    assert _judge([rng.laplace(size=(2, 3))], [None]).whole is None


def test_what_is_stated_wins() -> None:
    rng = np.random.default_rng(5)
    weights = [rng.laplace(size=shape) for shape in SHAPES]
    found = _judge(weights, [None] * 3, Training(stage=Known("init", "--stage")))
    assert (found.whole, found.origin) == ("init", "--stage")
    assert found.stated


def test_a_new_head_on_a_trained_body_is_told_apart() -> None:
    rng = np.random.default_rng(5)
    weights = [rng.laplace(size=SHAPES[0]), rng.laplace(size=SHAPES[1]), rng.uniform(-1, 1, SHAPES[2]) / math.sqrt(32)]
    results = Results(load_bytes(_mlp(weights, [None] * 3)), Training())
    found = results.get(stage)
    *body, head = results.get(layers).all
    assert found.whole == "trained"
    assert found.fresh(head)
    assert not any(found.fresh(layer) for layer in body)


def test_stripped_weights_have_no_stage() -> None:
    from netlint.frontends.onnx import load_text

    fills = "\n".join(
        f"f{i} = ConstantOfShape <value = float[1] {{0.1}}> (s)\nh{i + 1} = MatMul(h{i}, f{i})" for i in range(3)
    )
    text = f"g (float[N, 2] h0) => (float[N, 2] h3) <int64[2] s = {{2, 2}}> {{\n{fills}\n}}"
    with pytest.raises(Unavailable, match="placeholders"):
        Results(load_text(text), Training()).get(stage)
