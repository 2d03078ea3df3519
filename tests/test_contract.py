"""The contract, and what the graph itself says of the loss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netlint.analyses.contract import LossSite, contract, known_loss, known_targets, known_task, losses, misstated
from netlint.analysis import Results, Unavailable
from netlint.frontends.onnx import load_text
from netlint.graph import Graph
from netlint.training import LOSSES, Interval, Known, Training

WEIGHT = "float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}"


def training_graph(body: str, *, targets: str = "float[N, 2] t", more: str = "") -> Graph:
    """A layer `h` of two units, then a loss."""
    text = f"step (float[N, 3] x, {targets}) => (float loss) <{WEIGHT}{more}> {{ h = MatMul(x, w) {body} }}"
    return load_text(text)


def sites(graph: Graph) -> list[tuple[str, str, str | None]]:
    found: tuple[LossSite, ...] = Results(graph, Training()).get(losses)
    return [(site.loss.name, site.predictions.name, site.targets.name if site.targets else None) for site in found]


ONE = ", float one = {1}"

WRITTEN_OUT = {
    "mul": ("d = Sub(h, t) q = Mul(d, d) loss = ReduceMean <keepdims = 0> (q)", "mse_loss"),
    "pow": ("d = Sub(t, h) q = Pow(d, two) loss = ReduceMean <keepdims = 0> (q)", "mse_loss"),
    "sum of squares": ("d = Sub(h, t) loss = ReduceSumSquare <keepdims = 0> (d)", "mse_loss"),
    "two subtractions": ("d = Sub(h, t) e = Sub(h, t) q = Mul(d, e) loss = ReduceMean <keepdims = 0> (q)", "mse_loss"),
    "halved": ("d = Sub(h, t) q = Mul(d, d) s = ReduceSum <keepdims = 0> (q) loss = Div(s, two)", "mse_loss"),
    "absolute": ("d = Sub(h, t) q = Abs(d) loss = ReduceMean <keepdims = 0> (q)", "l1_loss"),
    "norm": ("d = Sub(h, t) loss = ReduceL1 <keepdims = 0> (d)", "l1_loss"),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_distance_that_is_written_out_is_found(name: str) -> None:
    body, loss = WRITTEN_OUT[name]
    assert sites(training_graph(body, more=", float two = {2}")) == [(loss, "h", "t")]


def test_operators_are_losses_wherever_they_stand() -> None:
    body = 'l = SoftmaxCrossEntropyLoss <reduction = "mean"> (h, t) loss = Mul(l, one)'
    assert sites(training_graph(body, targets="int64[N] t", more=ONE)) == [("cross_entropy", "h", "t")]


def test_categorical_cross_entropy_reads_the_argument_of_the_logarithm() -> None:
    body = """p = Softmax <axis = 1> (h) s = Add(p, eps) l = Log(s) m = Mul(t, l)
              r = ReduceSum <keepdims = 0> (m, axis) a = ReduceMean <keepdims = 0> (r) loss = Neg(a)"""
    graph = training_graph(body, more=", float eps = {1e-7}, int64[1] axis = {1}")
    assert sites(graph) == [("categorical_cross_entropy", "p", "t")]


def test_the_softplus_of_the_odds_of_one_class_is_no_loss_over_units() -> None:
    body = """l = ReduceLogSumExp <keepdims = 1> (h, axis) m = Neg(l) n = Neg(m) s = Softplus(n)
              loss = ReduceMean <keepdims = 0> (s)"""
    assert sites(training_graph(body, more=", int64[1] axis = {1}")) == []


def test_a_written_out_likelihood_on_log_softmax_takes_log_probabilities() -> None:
    body = "l = LogSoftmax <axis = 1> (h) n = Neg(l) m = Mul(n, t) loss = ReduceMean <keepdims = 0> (m)"
    assert sites(training_graph(body)) == [("nll_loss", "l", "t")]
    body = "l = LogSoftmax <axis = 1> (h) m = Mul(l, t) r = ReduceMean <keepdims = 0> (m) loss = Neg(r)"
    assert sites(training_graph(body)) == [("nll_loss", "l", "t")]


def test_binary_cross_entropy_is_told_by_both_logarithms() -> None:
    body = """p = Sigmoid(h) l = Log(p) a = Mul(t, l) u = Sub(one, t) q = Sub(one, p) k = Log(q) b = Mul(u, k)
              s = Add(a, b) n = Neg(s) loss = ReduceMean <keepdims = 0> (n)"""
    assert sites(training_graph(body, more=ONE)) == [("binary_cross_entropy", "p", "t")]


def test_an_entropy_is_no_loss_against_targets() -> None:
    body = "p = Softmax <axis = 1> (h) l = Log(p) m = Mul(p, l) s = ReduceSum <keepdims = 0> (m) loss = Neg(s)"
    assert sites(training_graph(body)) == []


def test_where_both_sides_are_learned_the_prediction_is_unknown() -> None:
    body = "g = MatMul(t, v) d = Sub(h, g) q = Mul(d, d) loss = ReduceMean <keepdims = 0> (q)"
    assert sites(training_graph(body, more=", float[2, 2] v = {1, 2, 3, 4}")) == []


def test_a_penalty_against_a_constant_is_no_loss() -> None:
    body = "d = Sub(h, one) q = Mul(d, d) loss = ReduceMean <keepdims = 0> (q)"
    assert sites(training_graph(body, more=ONE)) == []


def test_an_output_of_many_elements_is_no_loss() -> None:
    text = f"g (float[N, 3] x, float[N, 2] t) => (float[N] y) <{WEIGHT}, int64[1] axis = {{1}}> "
    body = "{ h = MatMul(x, w) d = Sub(h, t) q = Mul(d, d) y = ReduceMean <keepdims = 0> (q, axis) }"
    assert sites(load_text(text + body)) == []


def test_summands_of_a_total_loss_are_told_apart() -> None:
    body = """d = Sub(h, t) q = Mul(d, d) a = ReduceMean <keepdims = 0> (q)
              e = Abs(d) b = ReduceMean <keepdims = 0> (e) c = Mul(b, half) loss = Add(a, c)"""
    found = sites(training_graph(body, more=", float half = {0.5}"))
    assert {name for name, *_ in found} == {"mse_loss", "l1_loss"}


DISTANCE = WRITTEN_OUT["mul"][0]


def test_what_is_declared_comes_first_then_the_graph_then_its_metadata() -> None:
    metadata = {"netlint.loss": "bce", "netlint.task": "regression", "netlint.targets": "0..1", "author": "x"}
    graph = replace(training_graph(DISTANCE), metadata=metadata)
    declared = Training(targets=Known(Interval(-1, 1), "--targets"))
    found = Results(graph, declared).get(contract)
    assert found.targets == declared.targets
    assert isinstance(found.loss, Known)
    assert found.loss.value == LOSSES["mse_loss"]
    assert found.loss.origin.startswith("structure at ")
    assert found.task == Known("regression", "metadata netlint.task of the model file")


def test_metadata_that_cannot_be_understood_counts_as_not_stated() -> None:
    metadata = {"netlint.loss": "mse_los", "netlint.tusk": "gan", "netlint.task": "gan"}
    graph = replace(load_text("g (float[1] x) => (float[1] y) { y = Relu(x) }"), metadata=metadata)
    results = Results(graph, Training())
    assert not results.get(contract).loss.known
    assert results.get(contract).task.known
    reasons = results.get(misstated)
    assert len(reasons) == 2
    assert "did you mean 'mse_loss'" in reasons[0]


def test_missing_facts_say_which_flag_helps() -> None:
    for read, why in (
        (known_loss, "needs a loss: --loss"),
        (known_targets, "needs the targets' range: --targets=LOW..HIGH"),
        (known_task, "needs a task: --task"),
    ):
        with pytest.raises(Unavailable) as error:
            read(Training())
        assert str(error.value) == why


LAST = ", float one = {1}, float eps = {1e-7}, float most = {0.9999999}, float two = {2}, int64[1] axis = {1}"
WITH_LOGITS = "binary_cross_entropy_with_logits"

SPELLINGS = {
    # torch's exporters
    "bce, floored logarithms": (
        """p = Sigmoid(h) s = Sub(t, one) n = Neg(p) a = Add(n, one) k = Log(a) f = Max(k, floor) m = Mul(s, f)
           l = Log(p) g = Max(l, floor) b = Mul(t, g) d = Sub(m, b) loss = ReduceMean <keepdims = 0> (d)""",
        ("binary_cross_entropy", "p", "t"),
    ),
    "bce with logits, by log-sigmoid": (
        """u = Sub(one, t) m = Mul(u, h) s = Sigmoid(h) l = Log(s) d = Sub(m, l)
           loss = ReduceMean <keepdims = 0> (d)""",
        (WITH_LOGITS, "h", "t"),
    ),
    "bce with logits, one class weighs more": (
        """u = Sub(one, t) m = Mul(u, h) s = Sigmoid(h) l = Log(s) c = Mul(t, two) e = Add(c, one) w2 = Mul(e, l)
           d = Sub(m, w2) loss = ReduceMean <keepdims = 0> (d)""",
        (WITH_LOGITS, "h", "t"),
    ),
    "multilabel soft margin": (
        """s = Sigmoid(h) l = Log(s) a = Mul(t, l) u = Sub(one, t) n = Neg(h) r = Sigmoid(n) k = Log(r) b = Mul(u, k)
           c = Add(a, b) d = Neg(c) loss = ReduceMean <keepdims = 0> (d)""",
        (WITH_LOGITS, "h", "t"),
    ),
    "smooth l1": (
        """d = Sub(h, t) a = Abs(d) c = Less(a, one) p = Pow(a, two) m = Mul(p, half) s = Sub(a, half)
           r = Where(c, m, s) loss = ReduceMean <keepdims = 0> (r)""",
        ("huber_loss", "h", "t"),
    ),
    "kl divergence, 0 log 0 masked": (
        """q = LogSoftmax <axis = 1> (h) k = Log(t) d = Sub(k, q) m = Mul(t, d) g = Greater(t, zero) z = Shape(m)
           n = ConstantOfShape(z) r = Where(g, m, n) loss = ReduceSum <keepdims = 0> (r)""",
        ("kl_div", "q", "t"),
    ),
    "mse, brought to one shape": (
        """a = Add(h, t) z = Shape(a) e = Expand(h, z) f = Expand(t, z) d = Sub(e, f) q = Mul(d, d)
           loss = ReduceMean <keepdims = 0> (q)""",
        ("mse_loss", "h", "t"),
    ),
    "poisson": (
        "m = Mul(t, h) e = Exp(h) d = Sub(e, m) loss = ReduceMean <keepdims = 0> (d)",
        ("poisson_nll_loss", "h", "t"),
    ),
    # TensorFlow's and Keras's
    "bce, clipped and guarded": (
        """s = Sigmoid(h) p = Clip(s, eps, most) e = Add(p, eps) l = Log(e) a = Mul(t, l) u = Sub(one, t)
           q = Sub(one, p) f = Add(q, eps) k = Log(f) b = Mul(u, k) c = Add(a, b) m = ReduceMean <keepdims = 0> (c)
           loss = Neg(m)""",
        ("binary_cross_entropy", "s", "t"),
    ),
    "bce with logits, stable": (
        """r = Relu(h) m = Mul(h, t) a = Sub(r, m) b = Abs(h) n = Neg(b) e = Exp(n) o = Add(one, e) l = Log(o)
           c = Add(a, l) loss = ReduceMean <keepdims = 0> (c)""",
        (WITH_LOGITS, "h", "t"),
    ),
    "bce with logits, by softplus": (
        "s = Softplus(h) m = Mul(h, t) d = Sub(s, m) loss = ReduceMean <keepdims = 0> (d)",
        (WITH_LOGITS, "h", "t"),
    ),
    "categorical, rescaled and clipped": (
        """s = Softmax <axis = 1> (h) z = ReduceSum <keepdims = 1> (s, axis) n = Div(s, z) a = Max(n, eps)
           b = Min(a, most) l = Log(b) m = Mul(t, l) r = ReduceSum <keepdims = 0> (m, axis)
           v = ReduceMean <keepdims = 0> (r) loss = Neg(v)""",
        ("categorical_cross_entropy", "s", "t"),
    ),
    "huber": (
        """d = Sub(h, t) a = Abs(d) q = Min(a, one) l = Sub(a, q) s = Mul(q, q) m = Mul(s, half) r = Add(m, l)
           loss = ReduceMean <keepdims = 0> (r)""",
        ("huber_loss", "h", "t"),
    ),
    # by hand
    "likelihood of chosen classes": (
        """l = LogSoftmax <axis = 1> (h) g = GatherElements <axis = 1> (l, ids) m = ReduceMean <keepdims = 0> (g)
           loss = Neg(m)""",
        ("nll_loss", "l", "ids"),
    ),
    "divergence of probabilities": (
        """p = Softmax <axis = 1> (h) v = Div(t, p) l = Log(v) m = Mul(t, l) loss = ReduceSum <keepdims = 0> (m)""",
        ("kl_divergence", "p", "t"),
    ),
    "divergence of what is no logarithm": (
        "k = Log(t) d = Sub(k, h) m = Mul(t, d) loss = ReduceSum <keepdims = 0> (m)",
        ("kl_div", "h", "t"),
    ),
    "dice": (
        """p = Sigmoid(h) m = Mul(p, t) i = ReduceSum <keepdims = 0> (m) j = Mul(two, i)
           a = ReduceSum <keepdims = 0> (p) b = ReduceSum <keepdims = 0> (t) c = Add(a, b) v = Div(j, c)
           loss = Sub(one, v)""",
        ("dice_loss", "p", "t"),
    ),
    "hinge": (
        "m = Mul(t, h) a = Sub(one, m) r = Relu(a) loss = ReduceMean <keepdims = 0> (r)",
        ("hinge_loss", "h", "t"),
    ),
    "root of the mean square": (
        "d = Sub(h, t) q = Mul(d, d) m = ReduceMean <keepdims = 0> (q) loss = Sqrt(m)",
        ("mse_loss", "h", "t"),
    ),
    "focal": (
        """p = Sigmoid(h) u = Sub(one, t) m = Mul(u, h) l = Log(p) c = Sub(m, l) a = Mul(p, t) q = Sub(one, p)
           b = Mul(q, u) k = Add(a, b) e = Sub(one, k) f = Pow(e, two) g = Mul(c, f)
           loss = ReduceMean <keepdims = 0> (g)""",
        (WITH_LOGITS, "h", "t"),
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_losses_in_the_spellings_of_exporters_and_people(name: str) -> None:
    body, found = SPELLINGS[name]
    more = LAST + ", float half = {0.5}, float zero = {0}, float floor = {-100}, int64[1, 1] ids = {1}"
    if "ids" in body:
        body, more = body.replace("ids", "t"), more.replace(", int64[1, 1] ids = {1}", "")
        found = (found[0], found[1], "t")
    targets = "int64[N, 1] t" if found[0] == "nll_loss" else "float[N, 2] t"
    assert sites(training_graph(body, targets=targets, more=more)) == [found]


def test_losses_that_a_framework_names_read_their_first_input() -> None:
    text = f"""<ir_version: 10, opset_import: ["": 21, "torch": 1]> step (float[N, 3] x, float[N, 2] t) => (float loss)
        <{WEIGHT}> {{ h = MatMul(x, w) a = torch.smooth_l1_loss(h, t) b = torch.kl_div(h, t)
        c = torch.mse_loss(t, h) d = torch.gaussian_blur(h, t) e = Add(a, b) f = Add(e, c) loss = Add(f, d) }}"""
    found = sites(load_text(text))
    assert sorted(found) == [("kl_div", "h", "t"), ("mse_loss", "h", "t"), ("smooth_l1_loss", "h", "t")]


def test_reconstruction_is_told_from_the_divergence_of_a_code() -> None:
    body = """p = Sigmoid(h) l = Log(p) a = Mul(t, l) u = Sub(one, t) q = Sub(one, p) k = Log(q) b = Mul(u, k)
              s = Add(a, b) r = ReduceSum <keepdims = 0> (s) n = Neg(r) c = Add(h, one) g = Mul(h, h) i = Sub(c, g)
              e = Exp(h) j = Sub(i, e) o = ReduceSum <keepdims = 0> (j) v = Mul(o, half) loss = Sub(n, v)"""
    assert sites(training_graph(body, more=ONE + ", float half = {0.5}")) == [("binary_cross_entropy", "p", "t")]


def test_likelihood_against_constant_targets_is_a_cross_entropy_on_the_logit() -> None:
    body = "s = Sigmoid(h) l = Log(s) m = ReduceMean <keepdims = 0> (l) loss = Neg(m)"
    assert sites(training_graph(body)) == [(WITH_LOGITS, "h", None)]
