"""The `ranges` analysis: what it infers for the patterns that rules rest on, and the laws of its lattice."""

from __future__ import annotations

import math
from typing import Any

import pytest

from netlint.analyses.ranges import TOP, Range, Ranges, ranges
from netlint.analysis import Results
from netlint.frontends.onnx import load_text
from netlint.graph import Graph, Value
from netlint.training import Interval, Known, Training

CONSTANTS = """
    zero = Constant<value_float = 0.0>()
    half = Constant<value_float = 0.5>()
    one = Constant<value_float = 1.0>()
    two = Constant<value_float = 2.0>()
    eps = Constant<value_float = 1e-6>()
    a0 = Constant<value_ints = [0]>()
    a1 = Constant<value_ints = [1]>()
"""


def infer(body: str, header: str = "(float[N, 8] x) => (y)", contract: tuple[float, float] | None = None) -> Any:
    """The analysis of a graph in ONNX text, and a function that gives a value by its name."""
    graph = load_text(f"g {header} {{ {CONSTANTS} {body} }}")
    stated = {} if contract is None else {"input_range": Known(Interval(*contract), "test")}
    values = {value.name: value for value in all_values(graph)}
    return Results(graph, Training(**stated)).get(ranges), values


def all_values(graph: Graph) -> list[Value]:
    return [*graph.inputs, *(out for node in graph.nodes for out in node.outputs if out is not None)]


def output(body: str, contract: tuple[float, float] | None = None, header: str = "(float[N, 8] x) => (y)") -> Range:
    found, values = infer(body, header, contract)
    result = found.of(values["y"])
    assert isinstance(result, Range)
    return result


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("y = Relu(x)", "[0, inf)"),
        ("y = Sigmoid(x)", "(0, 1)"),
        ("y = Tanh(x)", "(-1, 1)"),
        ("y = Softmax<axis = -1>(x)", "(0, 1]"),
        ("y = LogSoftmax<axis = -1>(x)", "(-inf, 0]"),
        ("y = Softplus(x)", "(0, inf)"),
        ("h = Relu(x) y = Add(h, eps)", "[1e-06, inf)"),
        ("s = Sigmoid(x) d = Mul(s, two) y = Sub(d, one)", "(-1, 1)"),
        ("y = Clip(x, zero, two)", "[0, 2]"),
        ("y = Abs(x)", "[0, inf)"),
        ("y = Mul(x, x)", "[0, inf)"),
        ("y = Pow(x, two)", "[0, inf)"),
        ("y = Add(x, one)", "unknown"),
        ("s = Sigmoid(x) y = Sub(one, s)", "(0, 1)"),
        ("s = Sigmoid(x) y = Log(s)", "(-inf, 0)"),
        ("y = custom.unheard_of(x)", "unknown"),
    ],
)
def test_text_of_a_range(body: str, text: str) -> None:
    assert str(output(body)) == text


@pytest.mark.parametrize(
    "maximum",
    [
        "m = ReduceMax<keepdims = 1>(x, a1) d = Sub(x, m)",
        "r = ReduceMax<keepdims = 0>(x, a1) m = Unsqueeze(r, a1) d = Sub(x, m)",
        "r = ReduceMax<keepdims = 1>(x, a1) h = Shape(x) m = Expand(r, h) d = Sub(x, m)",
        "i = Identity(x) m = ReduceMax<keepdims = 1>(x, a1) d = Sub(i, m)",
    ],
)
def test_softmax_written_out(maximum: str) -> None:
    found, values = infer(f"{maximum} e = Exp(d) s = ReduceSum<keepdims = 1>(e, a1) y = Div(e, s)")
    assert str(found.of(values["d"])) == "(-inf, 0]"
    assert found.of(values["s"]).lo == 1
    assert str(found.of(values["y"])) == "(0, 1]"
    assert found.sums_to_one(values["y"]) == (1,)


def test_a_maximum_along_another_axis_does_not_line_up() -> None:
    square = "(float[8, 8] x) => (y)"
    body = "m = ReduceMax<keepdims = 0>(x, {axis}) y = Sub(x, m)"
    assert output(body.format(axis="a1"), header=square).hi == math.inf  # [8] runs along axis 1, not axis 0
    assert output(body.format(axis="a0"), header=square).hi == 0


def test_the_sum_over_other_axes_than_the_maximum_may_be_below_one() -> None:
    body = "m = ReduceMax<keepdims = 1>(x) d = Sub(x, m) e = Exp(d) y = ReduceSum<keepdims = 1>(e, a1)"
    assert output(body).lo == 0


def test_a_mean_holds_its_share_of_the_largest_element() -> None:
    body = "m = ReduceMax<keepdims = 1>(x, a1) d = Sub(x, m) e = Exp(d) y = ReduceMean<keepdims = 1>(e, a1)"
    assert output(body).lo == 1 / 8


@pytest.mark.parametrize(
    "norm",
    [
        "q = Mul(x, x) s = ReduceSum<keepdims = 1>(q, a1) n = Sqrt(s)",
        "q = Pow(x, two) s = ReduceSum<keepdims = 1>(q, a1) n = Pow(s, half)",
        "s = ReduceSumSquare<keepdims = 1>(x, a1) n = Sqrt(s)",
        "n = ReduceL2<keepdims = 1>(x, a1)",
    ],
)
def test_a_norm_without_guard_may_underflow_to_zero(norm: str) -> None:
    assert not output(f"{norm} y = Div(x, n)").bounded


@pytest.mark.parametrize(
    "norm",
    [
        "q = Pow(x, two) s = ReduceSum<keepdims = 1>(q, a1) t = Add(s, eps) n = Sqrt(t)",
        "q = Mul(x, x) s = ReduceSum<keepdims = 1>(q, a1) t = Max(s, eps) n = Pow(t, half)",
        "s = ReduceSumSquare<keepdims = 1>(x, a1) t = Add(eps, s) n = Sqrt(t)",
        "r = ReduceL2<keepdims = 1>(x, a1) n = Clip(r, eps)",
        "r = ReduceL2<keepdims = 1>(x, a1) n = Max(eps, r)",
        "b = Abs(x) n = ReduceMax<keepdims = 1>(b, a1)",
        "n = ReduceL1<keepdims = 1>(x, a1)",
    ],
)
def test_a_normalised_vector_lies_in_the_unit_ball(norm: str) -> None:
    assert output(f"{norm} y = Div(x, n)").within(-1, 1)
    assert output(f"{norm} i = Reciprocal(n) y = Mul(x, i)").within(-1, 1)


def test_layer_normalisation_written_out() -> None:
    body = """mean = ReduceMean<keepdims = 1>(x, a1) d = Sub(x, mean) q = Mul(d, d)
              v = ReduceMean<keepdims = 1>(q, a1) t = Add(v, eps) s = Sqrt(t)"""
    found, values = infer(f"{body} y = Div(d, s)")
    assert found.of(values["v"]).lo == 0
    assert found.of(values["s"]).lo == pytest.approx(1e-3)
    assert found.of(values["y"]).hi == pytest.approx(math.sqrt(8), rel=0.01)


@pytest.mark.parametrize(
    ("body", "lo", "hi"),
    [
        ("s = Sigmoid(x) y = Mul(x, s)", -0.2785, math.inf),
        ("p = Softplus(x) t = Tanh(p) y = Mul(t, x)", -0.3089, math.inf),
        ("n = Neg(x) e = Exp(n) d = Add(e, one) y = Div(one, d)", 0, 1),
        ("n = Neg(x) p = Exp(x) q = Exp(n) t = Sub(p, q) b = Add(p, q) y = Div(t, b)", -1, 1),
        ("p = Relu(x) q = Exp(x) b = Add(p, q) y = Div(p, b)", 0, 1),
        ("p = Relu(x) b = Add(one, p) y = Div(p, b)", 0, 1),
    ],
)
def test_activations_written_out(body: str, lo: float, hi: float) -> None:
    assert output(body).within(lo, hi)


def test_sums_to_one_follows_the_axes() -> None:
    header = "(float[2, 3, 4] x) => (y)"
    body = """i = Constant<value_ints = [6, 4]>() p = Softmax<axis = 2>(x)
              t = Transpose<perm = [2, 0, 1]>(p) u = Unsqueeze(t, a1) r = Reshape(p, i) y = Identity(r)
              c = Concat<axis = 0>(p, p) w = Concat<axis = 2>(p, p) k = Mul(p, half)"""
    found, values = infer(body, header)
    expected = {"p": (2,), "t": (0,), "u": (0,), "r": (1,), "y": (1,), "c": (2,), "w": None, "k": None, "x": None}
    assert {name: found.sums_to_one(values[name]) for name in expected} == expected


def test_softmax_before_opset_13_runs_over_all_axes_behind() -> None:
    graph = load_text(
        '<ir_version: 7, opset_import: ["" : 11]> g (float[2, 3, 4] x) => (float[2, 3, 4] y) { y = Softmax(x) }'
    )
    assert Results(graph, Training()).get(ranges).sums_to_one(graph.outputs[0]) == (1, 2)


def test_an_average_with_softmax_weights_stays_in_the_hull_of_the_values() -> None:
    body = "p = Softmax<axis = -1>(x) v = Sigmoid(z) y = MatMul(p, v)"
    found = output(body, header="(float[4, 8] x, float[8, 5] z) => (y)")
    assert found.lo == 0
    assert found.hi == pytest.approx(1, abs=1e-4)


def test_softmax_of_a_bounded_value_is_narrow() -> None:
    """Ten classes in [0, 1]: between 1 / (1 + 9 e) and e / (e + 9)."""
    found = output("p = Sigmoid(x) y = Softmax<axis = -1>(p)", header="(float[N, 10] x) => (y)")
    assert found.lo == pytest.approx(1 / (1 + 9 * math.e), rel=1e-4)
    assert found.hi == pytest.approx(math.e / (math.e + 9), rel=1e-4)


def test_the_contract_bounds_float_inputs_and_leaves_its_mark() -> None:
    found = output("y = Sub(x, one)", contract=(0, 1))
    assert (found.lo, found.hi, found.assumed, found.nan) == (-1, 0, True, False)
    assert not output("y = Sigmoid(x)").assumed


def test_a_convolution_of_bounded_data_by_the_signs_of_its_weights() -> None:
    body = "w = Constant<value = float[1, 1, 2] {2, -3}>() b = Constant<value = float[1] {0.5}>() y = Conv(x, w, b)"
    found = output(body, (1, 2), "(float[1, 1, 8] x) => (y)")
    assert (found.lo, found.hi) == pytest.approx((2 * 1 - 3 * 2 + 0.5, 2 * 2 - 3 * 1 + 0.5), rel=1e-5)
    assert found.loose
    padded = output(body.replace("Conv(", "Conv<pads = [1, 1]>("), (1, 2), "(float[1, 1, 8] x) => (y)")
    assert (padded.lo, padded.hi) == pytest.approx((-3 * 2 + 0.5, 2 * 2 + 0.5), rel=1e-5)


def test_a_convolution_of_unbounded_data_keeps_the_sign_that_data_and_a_large_filter_share() -> None:
    body = "q = Mul(x, x) s = Constant<value_ints = [90, 1, 50]>() w = Expand(one, s) y = Conv<group = 90>(q, w)"
    found = output(body, header="(float[1, 90, 64] x) => (y)")
    assert str(found) == "[0, inf)" and found.nan
    assert not output(body.replace("Mul(x, x)", "Neg(x)"), header="(float[1, 90, 64] x) => (y)").known


@pytest.mark.parametrize(
    ("dtype", "text"), [("bool", "[0, 1]"), ("uint8", "[0, 255]"), ("int8", "[-128, 127]"), ("int64", "unknown")]
)
def test_integer_inputs(dtype: str, text: str) -> None:
    found, values = infer("y = Identity(x)", f"({dtype}[N] x) => (y)")
    assert str(found.of(values["x"])) == text
    assert found.of(values["x"]).integral


def test_small_additions_survive_only_where_the_type_has_them() -> None:
    body = "h = Relu(x) s = Add(h, eps) y = Cast<to = 10>(s)"  # float16: 1e-6 lies between subnormal numbers
    assert output(body).lo == pytest.approx(16 * 2.0**-24)


def test_integer_overflow_wraps() -> None:
    body = "c = Constant<value = int8[1] {100}>() y = Add(x, c)"
    assert str(output(body, header="(int8[N] x) => (y)")) == "[-128, 127]"


def test_dropout_in_training_and_in_inference() -> None:
    scaled = "t = Constant<value = bool {1}>() s = Sigmoid(x) y = Dropout(s, half, t)"
    assert str(output(scaled)) == "[0, 2)"
    assert str(output("s = Sigmoid(x) y = Dropout(s, half)")) == "(0, 1)"


def test_branches_join() -> None:
    body = """c = Cast<to = 9>({condition})
        y = If (c) <then_branch = a () => (float[N, 8] p) {{ p = Sigmoid(x) }},
                    else_branch = b () => (float[N, 8] q) {{ q = Tanh(x) }}>"""
    assert str(output(body.format(condition="z"), header="(float[N, 8] x, float z) => (y)")) == "(-1, 1)"
    assert str(output(body.format(condition="one"))) == "(0, 1)"


def test_reciprocal_of_what_may_be_a_negative_zero_is_unknown() -> None:
    assert not output("h = Relu(x) y = Reciprocal(h)").known
    assert str(output("h = Exp(x) y = Reciprocal(h)")) == "(0, inf)"


def test_because_tells_the_way_back() -> None:
    found, values = infer("h = MatMul(x, x) s = Sigmoid(h) y = Mul(s, two)", "(float[8, 8] x) => (y)")
    chain = found.because(values["y"])
    assert [(op, str(each)) for op, _, each in chain] == [
        ("Mul", "(0, 2)"),
        ("Sigmoid", "(0, 1)"),
        ("MatMul", "unknown"),
    ]
    assert chain[0][1] is not None
    assert [op for op, _, _ in found.because(values["x"])] == ["input"]


def test_names_do_not_matter() -> None:
    one = output("s = Sigmoid(x) y = Mul(x, s)")
    other = output("softmax = Sigmoid(x) y = Mul(x, softmax)")
    assert one == other


def test_a_missing_input_is_top() -> None:
    found: Ranges = infer("y = Relu(x)")[0]
    assert found.of(None) is TOP
    assert not TOP.known and TOP.contains(math.nan) and TOP.contains(math.inf)
