"""Heads, gates, attention, and what lies around an activation."""

from __future__ import annotations

import pytest

from netlint.analyses.axes_units import units_axis
from netlint.analyses.roles import Roles, roles
from netlint.analysis import Results, Unavailable
from netlint.frontends.onnx import load_text
from netlint.graph import Graph, Node
from netlint.training import LOSSES, Known, Training

WEIGHT = "float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}"


def graph_of(body: str, *, inputs: str = "float[N, 3] x", outputs: str = "float[N, 2] y", more: str = "") -> Graph:
    return load_text(f"g ({inputs}) => ({outputs}) <{WEIGHT}{more}> {{ {body} }}")


def roles_of(graph: Graph) -> Roles:
    return Results(graph, Training()).get(roles)


def only(graph: Graph, op: str) -> Node:
    (node,) = graph.of(op)
    return node


HEADS = {
    "affine": "y = MatMul(x, w)",
    "bias": "h = MatMul(x, w) y = Add(h, b)",
    "scaled": "h = MatMul(x, w) y = Mul(h, b)",
    "layout": "h = MatMul(x, w) i = Identity(h) y = Flatten(i)",
}


@pytest.mark.parametrize("name", HEADS)
def test_affine_heads(name: str) -> None:
    (head,) = roles_of(graph_of(HEADS[name], more=", float[2] b = {1, 2}")).heads
    assert head.affine
    assert head.layer is not None
    assert head.kind == "prediction"
    assert head.at is head.layer.node


SOFTMAX = {
    "operator": ("y = Softmax <axis = 1> (h)", False),
    "log": ("y = LogSoftmax <axis = 1> (h)", True),
    "layout after it": ("s = Softmax <axis = 1> (h) i = Identity(s) y = Flatten(i)", False),
    "written out": ("e = Exp(h) t = ReduceSum (e, axis) y = Div(e, t)", False),
    "stable": ("m = ReduceMax (h, axis) d = Sub(h, m) e = Exp(d) t = ReduceSum (e, axis) y = Div(e, t)", False),
    "reciprocal of the sum": ("e = Exp(h) t = ReduceSum (e, axis) r = Reciprocal(t) y = Mul(r, e)", False),
    "axis brought back": (
        "e = Exp(h) t = ReduceSum <keepdims = 0> (e, axis) u = Unsqueeze(t, axis) y = Div(e, u)",
        False,
    ),
    "exp of log": ("l = LogSoftmax <axis = 1> (h) y = Exp(l)", False),
    "exp of log-sum-exp": ("z = ReduceLogSumExp (h, axis) d = Sub(h, z) y = Exp(d)", False),
    "log-sum-exp": ("z = ReduceLogSumExp (h, axis) y = Sub(h, z)", True),
    "log of sum": ("e = Exp(h) t = ReduceSum (e, axis) z = Log(t) y = Sub(h, z)", True),
}


@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_heads_in_every_spelling(name: str) -> None:
    body, log = SOFTMAX[name]
    (head,) = roles_of(graph_of(f"h = MatMul(x, w) {body}", more=", int64[1] axis = {1}")).heads
    assert head.softmax is not None
    assert head.log == log
    assert head.layer is not None
    assert not head.affine


NUMBERS = ", float zero = {0}, float six = {6}, float minus = {-1}, float one = {1}"
NUMBERS += ", float[2] zeros = {0, 0}, float[2] b = {0, 1}, float half = {0.5}, float three = {3}, float third = {0.3}"

RECTIFIED = {
    "relu": "y = Relu(h)",
    "clip": "y = Clip(h, zero, six)",
    "max": "y = Max(zero, h)",
    "max with zeros": "y = Max(h, zeros)",
    "abs": "y = Abs(h)",
    "leaky without slope": "y = LeakyRelu <alpha = 0.0> (h)",
    "min of max": "m = Max(h, zero) y = Min(six, m)",
    "greater": "c = Greater(h, zero) y = Where(c, h, zeros)",
    "less": "c = LessOrEqual(h, zero) y = Where(c, zero, h)",
    "turned": "c = Greater(zero, h) y = Where(c, zero, h)",
    "mask": "c = Greater(h, zero) f = Cast <to = 1> (c) y = Mul(f, h)",
}


@pytest.mark.parametrize("name", RECTIFIED)
def test_rectified_heads_have_a_floor(name: str) -> None:
    (head,) = roles_of(graph_of(f"h = MatMul(x, w) {RECTIFIED[name]}", more=NUMBERS)).heads
    assert head.floor == 0.0
    assert head.activation is not None


OPEN_BELOW = {
    "leaky": "y = LeakyRelu (h)",
    "leaky written out": "c = Greater(h, zero) l = Mul(h, six) y = Where(c, h, l)",
    "keeps the smaller": "c = Less(h, zero) y = Where(c, h, zero)",
    "asks another": "k = MatMul(x, w) c = Greater(k, zero) y = Where(c, h, zero)",
    "several bounds": "y = Max(h, b)",
    "only from above": "y = Min(h, six)",
    "negative mask": "c = Less(h, six) f = Cast <to = 1> (c) y = Mul(h, f)",
    "mask of another": "k = MatMul(x, w) c = Greater(k, zero) f = Cast <to = 1> (c) y = Mul(h, f)",
}


@pytest.mark.parametrize("name", OPEN_BELOW)
def test_heads_that_are_no_rectifiers(name: str) -> None:
    (head,) = roles_of(graph_of(f"h = MatMul(x, w) {OPEN_BELOW[name]}", more=NUMBERS)).heads
    assert head.floor is None


@pytest.mark.parametrize("body", ["c = Greater(h, minus) y = Where(c, h, zero)", "y = Max(h, minus)"])
def test_the_floor_is_the_least_value_that_passes(body: str) -> None:
    (head,) = roles_of(graph_of(f"h = MatMul(x, w) {body}", more=NUMBERS)).heads
    assert head.floor == -1.0


SIGMOIDS = {
    "operator": "y = Sigmoid(h)",
    "inverse": "n = Neg(h) e = Exp(n) d = Add(one, e) y = Div(one, d)",
    "reciprocal": "n = Mul(minus, h) e = Exp(n) d = Add(e, one) y = Reciprocal(d)",
    "power": "n = Sub(zero, h) e = Exp(n) d = Add(e, one) y = Pow(d, minus)",
    "ratio": "e = Exp(h) d = Add(e, one) y = Div(e, d)",
    "of tanh": "t = Tanh(h) a = Add(t, one) y = Mul(a, half)",
    "of tanh, scaled first": "t = Tanh(h) a = Mul(half, t) y = Add(half, a)",
    "clipped line": "a = Add(h, three) c = Clip(a, zero, six) y = Div(c, six)",
    "clipped line to one": "m = Mul(h, third) a = Add(m, half) y = Clip(a, zero, one)",
}


@pytest.mark.parametrize("name", SIGMOIDS)
def test_a_sigmoid_in_every_spelling(name: str) -> None:
    graph = graph_of(f"h = MatMul(x, w) {SIGMOIDS[name]}", more=NUMBERS)
    assert roles_of(graph).sigmoid(graph.nodes[-1]) is only(graph, "MatMul").output()


NO_SIGMOIDS = {
    "tanh to another range": "t = Tanh(h) a = Add(t, one) y = Mul(a, three)",
    "falling": "t = Tanh(h) a = Sub(one, t) y = Mul(a, half)",
    "capped ReLU": "c = Clip(h, zero, six) y = Div(c, six)",
    "line that is not centred": "a = Add(h, one) c = Clip(a, zero, six) y = Div(c, six)",
    "no negation": "e = Exp(h) d = Add(e, one) y = Reciprocal(d)",
    "odds": "e = Exp(h) d = Add(e, six) y = Div(e, d)",
    "another ratio": "k = Neg(h) e = Exp(h) g = Exp(k) d = Add(g, one) y = Div(e, d)",
}


@pytest.mark.parametrize("name", NO_SIGMOIDS)
def test_what_resembles_a_sigmoid(name: str) -> None:
    graph = graph_of(f"h = MatMul(x, w) {NO_SIGMOIDS[name]}", more=NUMBERS)
    assert roles_of(graph).sigmoid(graph.nodes[-1]) is None


def test_arithmetic_behind_an_activation_makes_it_inexact() -> None:
    (head,) = roles_of(graph_of("h = MatMul(x, w) r = Relu(h) y = Sub(r, one)", more=", float one = {1}")).heads
    assert head.activation is not None
    assert (head.exact, head.floor) == (False, None)


def test_where_values_join_the_head_has_no_layer() -> None:
    (head,) = roles_of(graph_of("h = MatMul(x, w) k = MatMul(x, w) y = Mul(h, k)")).heads
    assert head.layer is None
    assert head.activation is None
    assert not head.affine


def test_a_loss_in_the_graph_makes_what_it_reads_the_head() -> None:
    body = 'h = MatMul(x, w) loss = SoftmaxCrossEntropyLoss <reduction = "mean"> (h, t) y = Softmax <axis = 1> (h)'
    graph = graph_of(body, inputs="float[N, 3] x, int64[N] t", outputs="float loss, float[N, 2] y")
    (head,) = roles_of(graph).heads
    assert head.value.name == "h"
    assert head.site is not None


def test_features_states_and_picked_results_are_no_predictions() -> None:
    body = """h = MatMul(x, w) f = Relu(h) y = MatMul(f, v) values, at = TopK(y, k)
              s = Unsqueeze(x, axis) seq, last = RNN <hidden_size = 1> (s, wi, wr)"""
    graph = graph_of(
        body,
        outputs="float[N, 2] f, float[N, 2] y, float[N, 1] values, float[1, N, 1] last",
        more=", float[2, 2] v = {1, 2, 3, 4}, int64[1] k = {1}, int64[1] axis = {0}"
        ", float[1, 1, 3] wi = {1, 2, 3}, float[1, 1, 1] wr = {1}",
    )
    kinds = {head.value.name: head.kind for head in roles_of(graph).heads}
    assert kinds == {"f": "feature", "y": "prediction", "values": "postprocess", "last": "state"}
    assert [head.value.name for head in roles_of(graph).predictions] == ["y"]


MORE = ", float[2, 2] v = {1, 2, 3, 4}, float one = {1}, float half = {0.5}"

GATES = {
    "silu": "g = Mul(h, s) y = MatMul(g, v)",
    "glu": "o = MatMul(x, w) g = Mul(o, s) y = MatMul(g, v)",
    "carry": "c = Sub(one, s) o = MatMul(x, w) g = Mul(o, c) y = MatMul(g, v)",
    "scaled": "c = Mul(s, half) r = Flatten(c) o = MatMul(x, w) g = Mul(o, r) y = MatMul(g, v)",
    "normalised": "t = ReduceSum(s) c = Div(s, t) o = MatMul(x, w) g = Mul(o, c) y = MatMul(g, v)",
    "halves": "a, b = Split <axis = 1, num_outputs = 2> (s) y = Mul(a, b)",
}


@pytest.mark.parametrize("name", GATES)
def test_a_sigmoid_that_multiplies_is_a_gate(name: str) -> None:
    graph = graph_of(f"h = MatMul(x, w) s = Sigmoid(h) {GATES[name]}", more=MORE)
    known = roles_of(graph)
    assert known.role(only(graph, "Sigmoid")) == "gate"
    assert "multiplied" in known.why(only(graph, "Sigmoid"))


@pytest.mark.parametrize(
    ("body", "role"),
    [
        ("y = MatMul(s, v)", "body"),
        ("y = Identity(s)", "head"),
        ("r = Round(s) y = MatMul(r, v)", "quantiser"),
        ("m = Greater(s, half) y = Cast <to = 1> (m)", "postprocess"),
        ("q = Mul(s, s) y = MatMul(q, v)", "unknown"),
    ],
)
def test_other_roles_of_a_sigmoid(body: str, role: str) -> None:
    graph = graph_of(f"h = MatMul(x, w) s = Sigmoid(h) {body}", more=MORE)
    assert roles_of(graph).role(only(graph, "Sigmoid")) == role


@pytest.mark.parametrize(
    "body",
    [
        "y = MatMul(p, h)",
        "d = Dropout(p) y = MatMul(d, h)",
        "m = Greater(p, half) k = Where(m, p, half) y = MatMul(k, h)",
    ],
)
def test_a_softmax_that_weighs_values_is_attention(body: str) -> None:
    graph = graph_of(
        f"h = MatMul(x, w) t = Transpose(h) q = MatMul(h, t) p = Softmax(q) {body}",
        inputs="float[4, 3] x",
        outputs="float[4, 2] y",
        more=MORE,
    )
    assert roles_of(graph).role(only(graph, "Softmax")) == "attention"


def test_a_softmax_whose_best_weigh_values_is_a_router() -> None:
    body = "h = MatMul(x, w) p = Softmax(h) best, at = TopK(p, one) e = MatMul(x, w) y = Mul(e, best)"
    graph = graph_of(body, more=", int64[1] one = {1}")
    assert roles_of(graph).role(only(graph, "Softmax")) == "router"


def test_an_attention_operator_weighs_values() -> None:
    graph = load_text(
        f'<ir_version: 11, opset_import: ["" : 23]> g (float[N, 3] x, float[N, 4, 2] k, float[N, 4, 2] v)'
        f" => (float[N, 1, 2] y) <{WEIGHT}, int64[3] to = {{0, 1, 2}}> {{ h = MatMul(x, w) s = Sigmoid(h) "
        "q = Reshape(s, to) y = Attention <q_num_heads = 1, kv_num_heads = 1> (q, k, v) }"
    )
    assert roles_of(graph).role(only(graph, "Sigmoid")) == "attention"


def test_an_operator_nobody_knows_is_unknown_and_stops_the_way() -> None:
    graph = load_text(
        f'<ir_version: 10, opset_import: ["" : 21, "odd" : 1]> g (float[N, 3] x) => (float[N, 2] y) <{WEIGHT}> '
        "{ h = MatMul(x, w) s = Sigmoid(h) y = odd.Thing(s) }"
    )
    known = roles_of(graph)
    assert known.role(only(graph, "Sigmoid")) == "unknown"
    assert [node.op for node in known.ahead(only(graph, "Sigmoid")).stops] == ["Thing"]
    (head,) = known.heads
    assert head.layer is None


def test_layers_around_an_activation() -> None:
    body = """h = MatMul(x, w) c = Add(h, one) s = Sigmoid(c) d = Dropout(s) y = MatMul(d, v)"""
    graph = graph_of(body, more=MORE)
    known, node = roles_of(graph), only(graph, "Sigmoid")
    first, second = graph.of("MatMul")
    assert [layer.node for layer in known.before(node)] == [first]
    assert [layer.node for layer in known.after(node)] == [second]


def test_sums_on_the_way_are_noted() -> None:
    body = "h = MatMul(x, w) s = Sigmoid(h) k = MatMul(s, v) r = Add(k, s) y = MatMul(r, u)"
    graph = graph_of(body, more=MORE + ", float[2, 2] u = {1, 2, 3, 4}")
    ahead = roles_of(graph).ahead(only(graph, "Sigmoid"))
    assert [node.op for node in ahead.joins] == ["Add"]
    assert len(ahead.layers) == 2


def test_one_healthy_candidate_clears_all_where_the_loss_is_only_declared() -> None:
    graph = graph_of("h = MatMul(x, w) y = Softmax <axis = 1> (h)", outputs="float[N, 2] h, float[N, 2] y")
    known = roles_of(graph)
    declared = Training(loss=Known(LOSSES["cross_entropy"], "--loss"))
    pairs = known.reads(declared)
    assert [head.value.name for head, _ in pairs] == ["h", "y"]
    softmaxed = [head for head, _ in pairs if head.softmax is not None]
    assert known.certainly(softmaxed) == ()
    assert len(known.certainly([head for head, _ in pairs])) == 2
    with pytest.raises(Unavailable, match="needs a loss: --loss"):
        known.reads(Training())


def test_heads_inside_the_branches_of_an_if() -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[N, 3] x, bool c) => (float[N, 2] y) <{WEIGHT}> {{
        h = MatMul(x, w)
        y = If (c) <
            then_branch = t () => (float[N, 2] a) {{ a = Relu(h) }},
            else_branch = e () => (float[N, 2] b) {{ b = Softmax <axis = 1> (h) }}
        >
    }}"""
    graph = load_text(text)
    known = roles_of(graph)
    assert sorted((head.activation.op, head.kind) for head in known.heads if head.activation) == [
        ("Relu", "prediction"),
        ("Softmax", "prediction"),
    ]
    assert known.role(only(graph, "Softmax")) == "head"


@pytest.mark.parametrize(
    ("body", "axes"),
    [
        ("y = Softmax <axis = 0> (h)", (0,)),
        ("e = Exp(h) t = ReduceSum (e, axis) y = Div(e, t)", (1,)),
        ("z = ReduceLogSumExp (h, axis) y = Sub(h, z)", (1,)),
        ("l = LogSoftmax <axis = 0> (h) y = Exp(l)", (0,)),
    ],
)
def test_the_axes_of_a_softmax_in_every_spelling(body: str, axes: tuple[int, ...]) -> None:
    graph = graph_of(f"h = MatMul(x, w) {body}", more=", int64[1] axis = {1}")
    known = roles_of(graph)
    soft = known.softmax(graph.nodes[-1])
    assert soft is not None
    assert known.softmax_axes(soft, 2) == axes


@pytest.mark.parametrize(
    ("body", "axis"),
    [
        ("y = Softmax <axis = 1> (c)", 1),
        ("t = Transpose <perm = [0, 2, 3, 1]> (c) y = Softmax <axis = 3> (t)", 3),
        ("r = Reshape(c, flat) y = Softmax <axis = 1> (r)", 1),
        ("r = Reshape(c, split) y = Softmax <axis = 1> (r)", None),
    ],
)
def test_the_axis_of_a_layers_units(body: str, axis: int | None) -> None:
    graph = load_text(
        f"g (float[N, 1, 4, 4] x) => (float[N, a, b, d] y) <float[4, 1, 1, 1] k = {{1, 2, 3, 4}}, "
        f"int64[3] flat = {{0, 4, 16}}, int64[4] split = {{0, 2, 2, 16}}> {{ c = Conv(x, k) {body} }}"
    )
    results = Results(graph, Training())
    (head,) = results.get(roles).heads
    assert head.softmax is not None
    assert results.get(units_axis).of(head, head.softmax) == axis


def test_renaming_changes_nothing() -> None:
    one = graph_of("h = MatMul(x, w) s = Sigmoid(h) g = Mul(h, s) y = MatMul(g, v)", more=MORE)
    two = graph_of("gate = MatMul(x, w) q = Sigmoid(gate) relu = Mul(gate, q) y = MatMul(relu, v)", more=MORE)
    assert roles_of(one).role(only(one, "Sigmoid")) == roles_of(two).role(only(two, "Sigmoid")) == "gate"


def test_long_chains_are_walked_without_recursion_and_in_linear_time() -> None:
    body = " ".join(f"h{i + 1} = Relu(h{i})" for i in range(5000))
    graph = graph_of(f"h0 = MatMul(x, w) {body} y = Sigmoid(h5000)")
    (head,) = roles_of(graph).heads
    assert head.sigmoid
    assert len(head.chain) <= 200
