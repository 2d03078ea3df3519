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
