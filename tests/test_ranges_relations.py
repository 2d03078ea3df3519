"""The `ranges` analysis: idioms, guards, channels, loops, parameters, and what it says of its own limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from netlint.analyses.ranges import Range, Ranges, ranges, trainable, training_ranges
from netlint.analyses.ranges.channels import LANES
from netlint.analyses.ranges.table import LANED
from netlint.analysis import Results
from netlint.frontends.onnx import load_text
from netlint.graph import Graph
from netlint.training import Interval, Known, Training

from .test_ranges import CONSTANTS, all_values, infer, output

TINY = CONSTANTS + "tiny = Constant<value_float = 1e-10>() ten = Constant<value_float = 10.0>()"
PAIR = "(float[N, 8] x, float[N, 8] z) => (y)"


def views(text: str, contract: tuple[float, float] | None = None) -> tuple[Graph, Ranges, Ranges, dict[str, Any]]:
    """A graph, its ranges with stored and with any weights, its values by name."""
    stated = {} if contract is None else {"input_range": Known(Interval(*contract), "test")}
    graph = load_text(text)
    results = Results(graph, Training(**stated))
    values = {value.name: value for node in graph.nodes for value in node.inputs if value is not None}
    values |= {value.name: value for value in all_values(graph)}
    return graph, results.get(ranges), results.get(training_ranges), values


def test_an_epsilon_that_rounding_swallows() -> None:
    lost = "t = Constant<value_float = 1e-10>() o = Add(one, t) s = Sigmoid(x) y = Sub(o, s)"
    found, values = infer(lost)
    assert str(found.of(values["y"])) == "(0, 1)"
    assert found.zero(values["y"]) == "rounding"
    kept = "t = Constant<value_float = 1e-10>() s = Sigmoid(x) d = Sub(one, s) y = Add(d, t)"
    assert output(kept).lo == pytest.approx(1e-10)


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("y = Sigmoid(x)", "underflow"),
        ("y = Softmax<axis = 1>(x)", "underflow"),
        ("y = Exp(x)", "underflow"),
        ("s = Sigmoid(x) y = Sub(one, s)", "rounding"),
        ("e = Exp(x) f = Add(one, e) y = Log(f)", "rounding"),
        ("a = Exp(x) b = Sigmoid(x) y = Add(a, b)", "underflow"),
        ("y = Relu(x)", "attained"),
        ("y = Tanh(x)", "attained"),
        ("y = ReduceL2(x, a1)", "attained"),
        ("q = Mul(x, x) s = ReduceSum(q, a1) y = Sqrt(s)", "attained"),
        ("m = ReduceMean(x, a0) d = Sub(x, m) q = Pow(d, two) v = ReduceMean(q, a0) y = Sqrt(v)", "attained"),
        ("p = Softmax<axis = 1>(x) y = ReduceMax(p, a1)", ""),
        ("e = Exp(x) y = Add(e, eps)", ""),
        ("s = Sigmoid(x) y = Clip(s, eps, one)", ""),
        ("y = Identity(x)", "bound"),
    ],
)
def test_how_zero_comes_about(body: str, how: str) -> None:
    found, values = infer(body)
    assert found.zero(values["y"]) == how


@pytest.mark.parametrize("square", ["b = Mul(m, m)", "b = Pow(m, two)"])
def test_a_variance_by_subtraction_is_negative_by_rounding_only(square: str) -> None:
    body = f"q = Mul(x, x) a = ReduceMean(q, a1) m = ReduceMean(x, a1) {square} v = Sub(a, b) y = Add(v, eps)"
    found, values = infer(body)
    assert not found.of(values["v"]).lo >= 0
    assert found.in_real_numbers(values["v"]).lo == 0
    assert found.in_real_numbers(values["y"]).lo == pytest.approx(1e-6)
    assert found.in_real_numbers(values["q"]) == found.of(values["q"])


def test_a_variance_over_other_axes_is_none() -> None:
    body = "q = Mul(x, x) a = ReduceMean(q, a0) m = ReduceMean(x, a1) b = Mul(m, m) y = Sub(a, b)"
    found, values = infer(body)
    assert not found.in_real_numbers(values["y"]).known


@pytest.mark.parametrize(
    "lse",
    [
        "l = ReduceLogSumExp(x, a1)",
        "m = ReduceMax(x, a1) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, a1) t = Log(s) l = Add(m, t)",
        "m = ReduceMax(x, a1) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, a1) t = Log(s) l = Add(t, m)",
    ],
)
def test_log_softmax_written_out(lse: str) -> None:
    assert output(f"{lse} y = Sub(x, l)").hi == 0


def test_cosines_are_bounded() -> None:
    unit = "n{0} = ReduceL2({0}, a1) g{0} = Max(n{0}, eps) u{0} = Div({0}, g{0}) "
    both = unit.format("x") + unit.format("z")
    assert output(both + "p = Mul(ux, uz) y = ReduceSum(p, a1)", header=PAIR).within(-1.01, 1.01)
    crossed = "t = Transpose<perm = [1, 0]>(uz) y = MatMul(ux, t)"
    assert output(both + crossed, header=PAIR).within(-1.01, 1.01)
    assert not output(both + "p = Mul(ux, uz) y = ReduceSum(p, a0)", header=PAIR).within(-1.01, 1.01)


def test_sums_of_shares() -> None:
    found = output("p = Softmax<axis = 1>(x) y = ReduceSum(p, a1)")
    assert (found.lo, found.hi) == pytest.approx((1, 1), abs=1e-4)
    assert output("p = Softmax<axis = 1>(x) y = ReduceMax(p, a1)").lo == pytest.approx(1 / 8, rel=1e-4)
    assert output("p = Sigmoid(x) q = Sub(one, p) y = Mul(p, q)").hi == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize(
    ("body", "lo"),
    [
        ("c = Greater(x, zero) s = Where(c, x, one) y = Log(s)", -104),
        ("c = Greater(x, zero) l = Log(x) y = Where(c, l, zero)", -104),
        ("c = Less(zero, x) l = Log(x) y = Where(c, l, zero)", -104),
        ("c = GreaterOrEqual(x, one) l = Log(x) y = Where(c, l, zero)", 0),
        ("b = Less(x, one) c = Not(b) l = Log(x) y = Where(c, l, zero)", 0),
        ("b = LessOrEqual(x, one) l = Log(x) y = Where(b, zero, l)", 0),
        ("b = Less(x, one) d = IsNaN(x) c = Or(b, d) l = Log(x) y = Where(c, zero, l)", 0),
        ("c = Greater(x, one) a = Add(x, one) s = Mul(a, half) y = Where(c, s, one)", 1),
        ("c = Greater(x, one) d = Greater(z, one) e = And(c, d) m = Mul(x, z) y = Where(e, m, one)", 1),
    ],
)
def test_a_condition_guards_what_it_selects(body: str, lo: float) -> None:
    found = output(body, header=PAIR)
    assert found.lo >= lo - 1e-6
    assert not found.nan or body.startswith("b =") or "Mul" in body  # what is not below 1 may be NaN


@pytest.mark.parametrize(
    "body",
    [
        "c = Greater(x, zero) l = Log(z) y = Where(c, l, zero)",
        "c = Less(x, zero) l = Log(x) y = Where(c, l, zero)",
        "b = Less(x, one) l = Log(x) y = Where(b, zero, l)",  # NaN is not less
        "c = Greater(x, one) d = Greater(z, one) e = Or(c, d) l = Log(x) y = Where(e, l, one)",
        "c = Greater(x, zero) r = Reshape(c, s) l = Log(x) y = Where(r, l, one)",
    ],
)
def test_a_condition_on_something_else_guards_nothing(body: str) -> None:
    header = "(float[8, 8] x, float[8, 8] z, int64[2] s) => (y)"
    found = output(body, header=header)
    assert found.nan


def test_the_input_of_a_guarded_node() -> None:
    found, values = infer("c = Greater(x, zero) l = Log(x) m = Mul(l, two) y = Where(c, m, zero)")
    log = found._graph.producer(values["l"])
    assert found.selected(log).lo > 0
    unguarded, values = infer("c = Greater(x, zero) l = Log(x) m = Mul(l, two) y = Where(c, m, l)")
    assert not unguarded.selected(unguarded._graph.producer(values["l"])).known


def test_zero_may_be_excluded_by_a_comparison() -> None:
    found, values = infer("c = Equal(x, zero) y = Where(c, one, x)")
    assert found.excludes_zero(values["y"]) and not found.excludes_zero(values["x"])
    found, values = infer("a = Abs(x) c = Equal(a, zero) y = Where(c, one, a)")
    assert found.of(values["y"]).lo > 0


LAYER = """g (float[N, 2] x) => (y) <float[2, 3] w = {1, 0, -2, 3, 0, 1}, float[3] b = {-5, -1, 9}>
           { h = Gemm(x, w, b) y = Relu(h) }"""


def test_channels_of_a_layer() -> None:
    _, found, anyhow, values = views(LAYER, (0, 1))
    lanes = found.channels(values["h"])
    assert lanes is not None and lanes.axis == -1
    np.testing.assert_allclose(lanes.lo, [-5, -1, 7], rtol=1e-5)
    np.testing.assert_allclose(lanes.hi, [-1, -1, 10], rtol=1e-5)
    assert found.of(values["y"]).hi == pytest.approx(10)
    behind = found.channels(values["y"])
    assert behind is not None
    np.testing.assert_allclose(behind.hi, [0, 0, 10], rtol=1e-5)
    assert not anyhow.of(values["h"]).known
    assert anyhow.any_weights and not found.any_weights


def test_a_unit_without_weights_keeps_its_bias_for_any_input() -> None:
    _, found, _, values = views(LAYER)
    lanes = found.channels(values["h"])
    assert lanes is not None
    assert lanes.hi[1] == pytest.approx(-1, rel=1e-5) and math.isinf(lanes.hi[0])


def test_parameters_are_any_number_in_training() -> None:
    text = """g (float[N, 2] x) => (y) <float[2, 3] w = {0, 0, 0, 0, 0, 0}, float[3] s = {2, 2, 2}>
              { h = MatMul(x, w) t = Mul(h, s) y = Exp(t) }"""
    graph, found, anyhow, values = views(text)
    assert (found.of(values["t"]).lo, found.of(values["t"]).hi) == (0, 0)
    assert not anyhow.of(values["t"]).known
    assert str(anyhow.of(values["y"])) == "(0, inf)"
    assert anyhow.cut(values["t"]) is None
    learned = Results(graph, Training()).get(trainable)
    assert learned.reaches_parameter(values["y"]) and not learned.reaches_parameter(values["x"])


def test_what_is_not_analysed_is_named() -> None:
    found, values = infer("u = custom.unheard_of(x) r = Relu(u) s = Sigmoid(r) e = Exp(r) y = Add(e, x)")
    assert found.cut(values["y"]).op == "unheard_of"
    assert found.cut(values["e"]).op == "unheard_of"
    assert found.cut(values["s"]) is None
    assert found.unknown == {"custom::unheard_of": 1}
    assert found.cut(values["x"]) is None


def test_a_bound_that_is_lost_is_named_too() -> None:
    found, values = infer("s = Sigmoid(x) y = ReduceSum(s, a0)")
    assert found.cut(values["y"]).op == "ReduceSum"


def test_loops_carry_what_stays_stable() -> None:
    body = """n = Constant<value_int = 3>() c = Constant<value = bool {{1}}>() s = Sigmoid(x)
        y = Loop (n, c, s) <body = b (int64 i, bool go, float[N, 8] h)
          => (bool on, float[N, 8] k) {{ on = Identity(go) k = {0} }}>"""
    assert output(body.format("Mul(h, s)")).within(0, 1)
    assert output(body.format("Max(h, s)")).within(0, 1)
    assert str(output(body.format("Add(h, one)"))) == "(0, inf)"
    assert not output(body.format("Sub(x, h)")).known


def test_a_derivation_names_nodes_and_their_ranges() -> None:
    found, values = infer("s = Sigmoid(x) d = Sub(one, s) y = Log(d)")
    assert [text for _, text in found.why(values["y"])] == [
        "Log: (0, 1) gives (-inf, 0)",
        "Sub: 1 and (0, 1) give (0, 1)",
        "Sigmoid: unknown gives (0, 1)",
    ]


def test_the_table_of_followed_channels_is_complete() -> None:
    assert set(LANES) == LANED


def test_certain_overflow_contains_infinity() -> None:
    found = output("c = Constant<value_float = 1000.0>() e = Exp(c) y = Add(e, x)", (0, 1))
    assert found.contains(math.inf) and isinstance(found, Range)


@pytest.mark.parametrize(("units", "shape", "opened"), [(3, "", False), (3, "[1]", False), (1, "[1]", True)])
def test_one_number_behind_many_units_is_a_guard(units: int, shape: str, opened: bool) -> None:
    zeros = ", ".join(["0"] * 2 * units)
    graph = load_text(
        f"""g (float[N, 2] x) => (y) <float[2, {units}] w = {{{zeros}}}, float{shape} b = {{1}}>
            {{ a = Abs(x) h = MatMul(a, w) y = Add(h, b) }}"""
    )
    bias = next(v for v in graph.of("Add")[0].inputs if v is not None and v.constant is not None)
    assert (bias in Results(graph, Training()).get(trainable).opened) == opened


def test_weights_that_the_graph_fills_in_are_parameters() -> None:
    text = (
        """g (float[N, 2] x) => (y) { s = Constant<value_ints = [2, 3]>() w = ConstantOfShape(s) y = MatMul(x, w) }"""
    )
    _, found, anyhow, values = views(text)
    assert found.of(values["y"]).bounded
    assert not anyhow.of(values["y"]).known and not anyhow.of(values["w"]).known
