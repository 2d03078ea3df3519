"""What lies in series: saturating activations, layers that compose linearly, gradients that are cut."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from netlint.analyses.layers import layers
from netlint.analyses.paths import Paths, paths
from netlint.analysis import Results
from netlint.frontends.onnx import load_bytes, load_text
from netlint.graph import Graph, Node
from netlint.training import Training

W = "float[2, 2] w = {0.1, -0.2, 0.3, 0.4}, float[2, 2] v = {0.4, -0.2, 0.3, 0.1}, float[2] g = {1, 1}"
W += ", float[2, 2] u = {0.4, -0.2, 0.3, 0.1}"
W += ", bool yes = {1}, float zero = {0}, float one = {1}, float half = {0.5}, float two = {2}"


def graph_of(body: str, inputs: str = "float[N, 2] x", outputs: str = "float[N, 2] y") -> Graph:
    return load_text(f"g ({inputs}) => ({outputs}) <{W}> {{ {body} }}")


def paths_of(graph: Graph) -> Paths:
    return Results(graph, Training()).get(paths)


def maker(graph: Graph, name: str) -> Node:
    return next(node for node in graph.nodes if node.outputs[0] is not None and node.outputs[0].name == name)


# -- depth


DEPTHS = {
    "chain": ("a = Tanh(x) b = MatMul(a, w) c = Tanh(b) d = MatMul(c, w) y = Sigmoid(d)", 3),
    "relu keeps the count": ("a = Tanh(x) b = MatMul(a, w) c = Relu(b) d = MatMul(c, w) y = Tanh(d)", 2),
    "softsign": ("a = Softsign(x) b = MatMul(a, w) y = Softsign(b)", 2),
    "pooling and layout": ("a = Tanh(x) b = Transpose(a) c = Transpose(b) y = Tanh(c)", 2),
    "shortcut": ("a = Tanh(x) b = MatMul(a, w) c = Tanh(b) y = Add(c, x)", 0),
    "residual on top": ("a = Tanh(x) b = MatMul(a, w) c = Tanh(b) y = Add(c, a)", 1),
    "gate": ("a = Tanh(x) b = MatMul(a, w) c = Sigmoid(b) y = Mul(c, a)", 1),
    "normalised": ("a = Tanh(x) b = MatMul(a, w) c = LayerNormalization(b, g) y = Tanh(c)", 1),
    "divided by a computed value": ("a = Tanh(x) m = ReduceMax(a) y = Div(a, m)", 0),
    "divided by a constant": ("a = Tanh(x) y = Div(a, two)", 1),
    "sigmoid by exponential": ("n = Neg(x) e = Exp(n) p = Add(e, one) a = Div(one, p) y = Tanh(a)", 2),
    "sigmoid by tanh counts once": ("t = Tanh(x) p = Add(t, one) a = Mul(p, half) y = Tanh(a)", 2),
    "unknown to netlint": ("a = Tanh(x) y = Softmax(a)", 0),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_saturating_activations_in_series(name: str) -> None:
    body, depth = DEPTHS[name]
    graph = graph_of(body)
    assert paths_of(graph).depths.of(graph.outputs[0]) == depth


def test_each_series_is_given_once_from_first_to_last() -> None:
    graph = graph_of("a = Tanh(x) b = MatMul(a, w) c = Tanh(b) d = MatMul(c, w) y = Tanh(d)")
    depths = paths_of(graph).depths
    assert [[node.outputs[0].name for node in stack] for stack in depths.stacks(2)] == [["a", "c", "y"]]  # type: ignore[union-attr]
    assert depths.stacks(3) == []


def test_long_series_are_followed_in_linear_time() -> None:
    body = " ".join(f"h{i + 1} = Tanh(h{i})" for i in range(5000))
    graph = graph_of(f"h0 = MatMul(x, w) {body} y = Identity(h5000)")
    assert paths_of(graph).depths.of(graph.outputs[0]) == 5000


# -- layers that compose linearly


def widths(graph: Graph) -> list[tuple[int, int, int]]:
    return [(pair.inputs, pair.inner, pair.units) for pair in paths_of(graph).linear]


LINEAR = {
    "at once": "h = MatMul(x, w) y = MatMul(h, v)",
    "gemm": "h = Gemm(x, w, g) y = Gemm <transB = 1> (h, v)",
    "bias and scale": "h = MatMul(x, w) b = Add(h, g) c = Mul(b, half) y = MatMul(c, v)",
    "dropout": "h = MatMul(x, w) d = Dropout(h) y = MatMul(d, v)",
    "batch norm": "h = MatMul(x, w) n = BatchNormalization(h, g, g, g, g) y = MatMul(n, v)",
    "layout": "h = MatMul(x, w) i = Identity(h) f = Flatten(i) y = MatMul(f, v)",
    "result that nothing reads": "h = MatMul(x, w) r = Relu(h) t = Tanh(r) y = MatMul(h, v)",
    "shape that is asked for": "h = MatMul(x, w) s = Shape(h) r = Reshape(h, s) y = MatMul(r, v)",
}


@pytest.mark.parametrize("name", LINEAR)
def test_layers_that_compose_linearly(name: str) -> None:
    assert widths(graph_of(LINEAR[name])) == [(2, 2, 2)]


def test_a_reader_for_nothing_is_named() -> None:
    graph = graph_of("h = MatMul(x, w) r = Relu(h) y = MatMul(h, v)")
    (pair,) = paths_of(graph).linear
    assert pair.unread == (maker(graph, "r"),)


NOT_LINEAR = {
    "loop reads it": """h = MatMul(x, w)
        z = If (yes) <then_branch = then () => (float[N, 2] a) { a = Relu(h) },
                      else_branch = other () => (float[N, 2] b) { b = Tanh(h) }>
        k = MatMul(h, v) y = Add(k, z)""",
    "activation": "h = MatMul(x, w) r = Relu(h) y = MatMul(r, v)",
    "layer norm": "h = MatMul(x, w) n = LayerNormalization(h, g) y = MatMul(n, v)",
    "read twice": "h = MatMul(x, w) k = MatMul(h, v) y = Add(k, h)",
    "joined": "h = MatMul(x, w) s = Add(h, x) y = MatMul(s, v)",
    "shared weight": "h = MatMul(x, w) y = MatMul(h, w)",
    "other axis": "h = MatMul(x, w) t = Transpose(h) k = MatMul(t, v) y = Transpose(k)",
    "other side": "h = MatMul(x, w) y = MatMul(v, h)",
    "square": "h = MatMul(x, w) s = Mul(h, h) y = MatMul(s, v)",
    "quantised": "h = MatMul(x, w) q = QuantizeLinear(h, half) d = DequantizeLinear(q, half) y = MatMul(d, v)",
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_layers_that_do_not_compose_linearly(name: str) -> None:
    inputs = "float[2, 2] x" if name.startswith("other") else "float[N, 2] x"
    assert widths(graph_of(NOT_LINEAR[name], inputs=inputs)) == []


def test_an_inner_output_is_no_pair() -> None:
    graph = graph_of("h = MatMul(x, w) y = MatMul(h, v)", outputs="float[N, 2] h, float[N, 2] y")
    assert widths(graph) == []


def convolutions(first: tuple[int, ...], second: tuple[int, ...], op: str = "Conv", **attrs: object) -> Graph:
    """Two convolutions with weights of these shapes; `strides` are those of the first."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for shape, name in ((first, "a"), (second, "b"))
    ]
    groups = attrs.pop("groups", 1)
    nodes = [
        helper.make_node(op, ["x", "a"], ["h"], group=groups, **attrs),
        helper.make_node(op, ["h", "b"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", None, None, None])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights))
    return load_bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("first", "second", "attrs", "merged"),
    [
        ((8, 4, 3, 3), (6, 8, 3, 3), {}, 4 * 6 * 25),
        ((8, 4, 3, 3), (6, 8, 3, 3), {"strides": [2, 2]}, 4 * 6 * 49),
        ((8, 4, 1, 1), (6, 8, 3, 3), {}, 4 * 6 * 9),
        ((8, 1, 3, 3), (6, 8, 1, 1), {"groups": 8}, 8 * 6 * 9),
        ((8, 4, 3, 3), (6, 8, 3, 3), {"dilations": [2, 2]}, 4 * 6 * 49),
    ],
)
def test_the_cost_of_one_convolution_in_place_of_two(
    first: tuple[int, ...], second: tuple[int, ...], attrs: dict[str, object], merged: int
) -> None:
    (pair,) = paths_of(convolutions(first, second, **attrs)).linear
    assert pair.merged == merged
    assert pair.cost == int(np.prod(first) + np.prod(second))


def test_transposed_convolutions_compose_by_the_second_ones_stride() -> None:
    (pair,) = paths_of(convolutions((4, 8, 4, 4), (8, 3, 2, 2), "ConvTranspose")).linear
    assert (pair.inputs, pair.inner, pair.units, pair.merged) == (4, 8, 3, 4 * 3 * 25)


def test_the_extent_of_composed_convolutions_is_what_an_impulse_shows() -> None:
    """The response of both layers to one pixel is as wide as the kernel that the pair is said to make."""
    runtime = pytest.importorskip("onnxruntime")
    graph = convolutions((2, 1, 3, 3), (1, 2, 3, 3))
    (pair,) = paths_of(graph).linear
    x = np.zeros((1, 1, 15, 15), np.float32)
    x[0, 0, 7, 7] = 1
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape).astype(np.float32) for shape in ((2, 1, 3, 3), (1, 2, 3, 3))]
    nodes = [helper.make_node("Conv", ["x", "a"], ["h"]), helper.make_node("Conv", ["h", "b"], ["y"])]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", 1, [1, 1, 15, 15])],
            [helper.make_tensor_value_info("y", 1, None)],
            [numpy_helper.from_array(weight, name) for weight, name in zip(weights, "ab", strict=True)],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    (y,) = runtime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    assert int((np.abs(y) > 0).sum()) == pair.merged


# -- gradients


PASSAGES = [
    ("y = Tanh(x)", "full"),
    ("y = MatMul(x, w)", "full"),
    ("y = Relu(x)", "partial"),
    ("y = Clip(x, zero, one)", "partial"),
    ("y = Round(x)", "none"),
    ("y = Sign(x)", "none"),
]


@pytest.mark.parametrize(("body", "passage"), PASSAGES)
def test_how_much_of_a_gradient_passes(body: str, passage: str) -> None:
    graph = graph_of(body)
    assert paths_of(graph).gradient.passage(graph.nodes[0]) == passage


CUT = {
    "round": ("h = MatMul(x, w) s = Round(h) y = MatMul(s, v)", "s", 1),
    "two layers": ("h0 = MatMul(x, w) r = Relu(h0) h = MatMul(r, u) s = Floor(h) y = MatMul(s, v)", "s", 2),
    "weight used twice": ("h = MatMul(x, v) s = Floor(h) y = MatMul(s, v)", "s", 0),
    "step": ("h = MatMul(x, w) s = Greater(h, zero) c = Cast <to = 1> (s) y = MatMul(c, v)", "s", 1),
    "straight through": ("h = MatMul(x, w) s = Round(h) d = Sub(s, h) a = Add(h, d) y = MatMul(a, v)", "s", 0),
    "shortcut": ("h = MatMul(x, w) s = Round(h) a = MatMul(s, v) y = Add(a, h)", "s", 0),
    "input only": ("s = Round(x) y = MatMul(s, v)", "s", 0),
}


@pytest.mark.parametrize("name", CUT)
def test_layers_that_get_no_gradient(name: str) -> None:
    body, step, layers = CUT[name]
    graph = graph_of(body)
    assert len(paths_of(graph).gradient.cut_off(maker(graph, step))) == layers


WHOLE = {
    "pooled": ("c = Conv(x, w) p = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (c) ", 18, True),
    "activation": (
        "c = Conv(x, w) r = Relu(c) p = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (r) ",
        18,
        False,
    ),
    "largest": ("c = Conv(x, w) p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c) ", 18, False),
    "narrow": ("c = Conv(x, w) p = GlobalAveragePool(c) ", 2, False),
    "squared": (
        "c = Conv(x, w) s = Mul(c, c) p = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (s) ",
        18,
        False,
    ),
    "gated": ("c = Conv(x, w) g = Sigmoid(c) p0 = Mul(c, g) p = Identity(p0) ", 72, False),
    "shortcut": ("c = Conv(x, w) a = Abs(c) s = Add(c, a) p = Identity(s) ", 72, False),
}


@pytest.mark.parametrize("name", WHOLE)
def test_networks_that_are_linear_from_the_input_on(name: str) -> None:
    body, inner, linear = WHOLE[name]
    weights = f"float[2, 1, 3, 3] w = {{{numbers(18)}}}, float[{inner}, 3] d = {{{numbers(inner * 3)}}}"
    text = f"g (float[N, 1, 8, 8] x) => (float[N, 3] y) <{weights}> {{ {body} f = Flatten(p) y = MatMul(f, d) }}"
    results = Results(load_text(text), Training())
    found = results.get(paths).whole(results.get(layers).all[-1])
    assert (found is not None) is linear
    assert found is None or (found.inputs, found.units, found.cost) == (64, 3, 18 + inner * 3)


def numbers(count: int) -> str:
    return ", ".join(f"{(nth % 7 - 3) / 10}" for nth in range(count))


ONWARD = {
    "layer": ("h = MatMul(x, w) s = Round(h) d = Dropout(s) y = MatMul(d, v)", (1, 0)),
    "output": ("h = MatMul(x, w) s = Round(h) y = Identity(s)", (0, 1)),
    "product": ("h = MatMul(x, w) s = Round(h) y = Mul(s, h)", None),
    "sum": ("h = MatMul(x, w) s = Round(h) y = Add(s, h)", None),
    "mask": ("h = MatMul(x, w) s = Greater(h, zero) y = Where(s, h, x)", None),
    "index": ("h = MatMul(x, w) s = ArgMax <axis = 1, keepdims = 0> (h) y = Gather(w, s)", (1, 0)),
}


@pytest.mark.parametrize("name", ONWARD)
def test_where_a_result_goes_alone(name: str) -> None:
    body, wanted = ONWARD[name]
    graph = graph_of(body)
    found = paths_of(graph).gradient.onward(maker(graph, "s"))
    assert (None if found is None else (len(found.layers), len(found.ends))) == wanted


QUANTISERS = {
    "fake quantisation": ("d = Div(x, half) s = Round(d) c = Clip(s, zero, two) y = Mul(c, half)", True),
    "bounded before it": ("t = Tanh(x) d = Mul(t, two) s = Round(d) y = Div(s, two)", True),
    "to one decimal place": ("d = Mul(x, two) s = Round(d) y = Div(s, two)", False),
    "bare": ("s = Round(x) y = MatMul(s, w)", False),
}


@pytest.mark.parametrize("name", QUANTISERS)
def test_roundings_that_quantise(name: str) -> None:
    body, quantises = QUANTISERS[name]
    graph = graph_of(body)
    assert paths_of(graph).gradient.quantises(maker(graph, "s")) is quantises


@pytest.mark.parametrize("name", CUT)
def test_the_gradient_that_autograd_finds_agrees(name: str) -> None:
    torch = pytest.importorskip("torch")
    body, _, layers = CUT[name]
    graph = graph_of(body)
    values = {graph.inputs[0]: torch.randn(3, 2, generator=torch.Generator().manual_seed(0))}
    weights = {}
    run = {
        "MatMul": torch.matmul,
        "Round": torch.round,
        "Floor": torch.floor,
        "Relu": torch.relu,
        "Greater": torch.gt,
        "Cast": lambda a: a.float(),
        "Sub": lambda a, b: (a - b).detach(),  # a straight-through estimator: the error is a constant to autograd
        "Add": torch.add,
    }
    for node in graph.nodes:
        operands = []
        for value in node.inputs:
            assert value is not None
            if value not in values:
                assert value.constant is not None
                values[value] = weights[value] = torch.tensor(value.constant.load()).requires_grad_(
                    value.shape == (2, 2)
                )
            operands.append(values[value])
        assert node.outputs[0] is not None
        values[node.outputs[0]] = run[node.op](*operands)
    values[graph.outputs[0]].sum().backward()
    first = next(layer for layer in graph.of("MatMul"))
    weight = first.inputs[1]
    assert weight is not None
    dead = weights[weight].grad is None or not weights[weight].grad.any() if weight in weights else False
    assert dead == (layers > 0)


def test_residual_branches_that_end_in_a_relu() -> None:
    graph = graph_of("h = MatMul(x, w) r = Relu(h) s = Add(r, x) y = MatMul(s, v)")
    (shortcut,) = paths_of(graph).rectified
    assert (shortcut.sum.op, shortcut.end.op, len(shortcut.layers)) == ("Add", "Relu", 1)
    assert shortcut.source is graph.inputs[0]
    assert paths_of(graph_of("h = MatMul(x, w) r = Relu(h) k = MatMul(x, v) y = Add(r, k)")).rectified == ()


def test_names_do_not_matter() -> None:
    one = graph_of("h = MatMul(x, w) d = Dropout(h) y = MatMul(d, v)")
    two = graph_of("relu = MatMul(x, w) sigmoid = Dropout(relu) y = MatMul(sigmoid, v)")
    assert widths(one) == widths(two)
