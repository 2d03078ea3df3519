"""The rules of the probe on runs that are made up: what counts, what is spared, where it is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from netlint.engine import lint
from netlint.frontends.onnx import load
from netlint.graph import Graph
from netlint.probe.observed import GradientCheck, Leak, Modes, Overfit, Ramp, Setup
from netlint.probe.stages import ABSENT
from netlint.registry import load_rules
from netlint.rule import Level
from netlint.training import Training
from tests.conftest import FIXTURES
from tests.probe_fakes import SETUP, judged, messages, passes, seen, text, units

PROBE = [code for code in load_rules() if code.startswith("PRB")]
GIVEN = replace(SETUP, synthetic=False, batch="batch.npz, 16 samples")
MADE_UP = replace(SETUP, loss="made up", true_loss=False)
SQUARE = "float[8, 8] w = {" + ", ".join(["0.1, -0.2"] * 32) + "}"


def _squares(*names: str) -> list[str]:
    return [SQUARE.replace(" w", f" {name}") for name in names]


CHAIN = text("  h = MatMul(x, w)\n  r = Relu(h)\n  y = MatMul(r, v)", ", ".join(_squares("w", "v")))


def test_all_fourteen_stand_and_are_skipped_without_a_run() -> None:
    assert [f"PRB{number:03}" for number in range(1, 15)] == PROBE
    report = lint(load(FIXTURES / "plain_mlp.onnx"), load_rules().values(), Training())
    assert {skip.rule.code: skip.why for skip in report.skipped if skip.why == ABSENT} == dict.fromkeys(PROBE, ABSENT)


# -- PRB001


RELU = text("  h = Identity(x)\n  n = Neg(h)\n  y = Relu(n)", inputs="float[16, 64] x", outputs="float[16, 64] y")


@pytest.mark.parametrize(
    ("off", "on", "others", "reported"),
    [
        (64, 0, 0, True),
        (20, 0, 44, True),
        (19, 0, 45, False),
        (32, 32, 0, False),
        (40, 10, 14, True),
        (8, 0, 0, False),
        (400, 200, 400, False),
    ],
)
def test_dead_units_are_those_that_always_on_ones_do_not_balance(
    off: int, on: int, others: int, reported: bool
) -> None:
    run = passes(RELU, seen(RELU, "y", count=16 * (off + on + others), units=units(off, on, others)))
    report = judged("PRB001", RELU, passes=run)
    expected = [f"{off} of {off + on + others} units are zero for every sample"] if reported else []
    assert messages(report) == expected


def test_units_that_still_get_a_gradient_are_not_dead() -> None:
    before = seen(RELU, "n", units=units(64, 0, 0, gradient=0.2))
    run = passes(RELU, before, seen(RELU, "y", units=units(64, 0, 0)))
    assert messages(judged("PRB001", RELU, passes=run)) == []


def test_too_few_samples_say_nothing_of_units() -> None:
    run = passes(RELU, seen(RELU, "y", units=units(64, 0, 0)), setup=replace(SETUP, samples=4))
    assert messages(judged("PRB001", RELU, passes=run)) == []


# -- PRB002


def test_saturation_in_the_body_counts_and_in_a_gate_does_not() -> None:
    body = text("  h = MatMul(x, w)\n  t = Tanh(h)\n  y = MatMul(t, w)", SQUARE)
    run = passes(body, seen(body, "t", saturated=0.7))
    assert messages(judged("PRB002", body, passes=run)) == ["70% of the outputs lie within 2 % of a limit of Tanh"]
    gate = text("  h = MatMul(x, w)\n  t = Sigmoid(h)\n  g = Mul(t, h)\n  y = MatMul(g, w)", SQUARE)
    run = passes(gate, seen(gate, "t", saturated=0.7))
    assert messages(judged("PRB002", gate, {"stage": "init"}, passes=run)) == []


def test_heads_may_be_sure_and_so_may_trained_attention() -> None:
    head = text("  h = MatMul(x, w)\n  y = Sigmoid(h)", SQUARE)
    run = passes(head, seen(head, "y", saturated=0.9))
    assert messages(judged("PRB002", head, {"stage": "init"}, passes=run)) == []
    looking = text("  h = MatMul(x, w)\n  a = Softmax(h)\n  y = MatMul(a, x)", SQUARE, "float[8, 8] x", "float[8, 8] y")
    run = passes(looking, seen(looking, "a", saturated=0.9))
    assert len(messages(judged("PRB002", looking, {"stage": "init"}, passes=run))) == 1
    assert messages(judged("PRB002", looking, {"stage": "trained"}, passes=run)) == []


# -- PRB003, PRB004


def along(graph: Graph, first: float | None, last: float | None, **rest: Any) -> Any:
    parts = (seen(graph, "h", grad=first), seen(graph, "r", grad=first), seen(graph, "y", grad=last))
    return passes(graph, *parts, weights=[("w", 0.1, first), ("v", 0.1, last)], **rest)


def test_gradient_that_vanishes_is_reported_at_the_first_layer() -> None:
    (found,) = judged("PRB003", CHAIN, passes=along(CHAIN, 1e-7, 1.0)).findings
    assert found.writes == ("h",)
    assert messages(judged("PRB003", CHAIN, passes=along(CHAIN, 1e-3, 1.0))) == []


def test_weights_without_gradient_count_under_a_true_loss_alone() -> None:
    assert messages(judged("PRB003", CHAIN, passes=along(CHAIN, None, 1.0))) == [
        "no gradient reaches 1 of 2 trainable weights, though layers behind them get some"
    ]
    assert messages(judged("PRB003", CHAIN, passes=along(CHAIN, None, 1.0, setup=MADE_UP))) == []
    assert messages(judged("PRB003", CHAIN, passes=along(CHAIN, 1.0, None))) == []


def test_values_that_leave_torch_take_no_gradient_along() -> None:
    parts = "  h = MatMul(x, w)\n  t = Tanh(h)\n  c = Constant <value_float = 1.0> ()\n  y = MatMul({read}, v)"
    weights = [("w", 0.1, None), ("v", 0.1, 1.0)]
    for read, reported in (("c2", 1), ("t", 1)):
        held = ", ".join((*_squares("w", "v"), SQUARE.replace(" w", " c2")))
        graph = text(parts.format(read=read), held)
        run = passes(graph, seen(graph, "h", grad=None), seen(graph, "y"), weights=weights)
        assert len(messages(judged("PRB003", graph, passes=run))) == reported
    used = text("  h = MatMul(x, w)\n  t = Tanh(h)\n  y = MatMul(x, v)", ", ".join(_squares("w", "v")))
    run = passes(used, seen(used, "h", grad=None), seen(used, "y"), weights=weights)
    assert messages(judged("PRB003", used, passes=run)) == []  # what is thrown away need not learn


def test_gradients_that_are_not_finite_do_not_vanish() -> None:
    assert messages(judged("PRB003", CHAIN, passes=along(CHAIN, nan, 1.0))) == []


def test_a_head_of_zeros_opens_with_the_first_step() -> None:
    run = replace(along(CHAIN, 0.0, 1.0))
    assert len(messages(judged("PRB003", CHAIN, passes=run))) == 1
    three = text("  h = MatMul(x, w)\n  r = MatMul(h, v)\n  y = MatMul(r, u)", ", ".join(_squares("w", "v", "u")))
    parts = (seen(three, "h", grad=0.0), seen(three, "r", grad=1.0), seen(three, "y", grad=1.0))
    for size, reported in ((0.1, 1), (0.0, 0)):
        run = passes(three, *parts, weights=[("w", 0.1, 0.0), ("v", 0.1, 1.0), ("u", size, 1.0)])
        assert len(messages(judged("PRB003", three, passes=run))) == reported


def test_values_that_grow_and_gradients_that_grow() -> None:
    grown = passes(CHAIN, seen(CHAIN, "h"), seen(CHAIN, "y", std=1e6))
    (found,) = judged("PRB004", CHAIN, passes=grown).findings
    assert found.writes == ("y",)
    assert "values grow from 1 to 1e+06" in found.finding.message
    back = passes(CHAIN, seen(CHAIN, "h", grad=1e5), seen(CHAIN, "y", grad=1.0))
    (found,) = judged("PRB004", CHAIN, passes=back).findings
    assert found.writes == ("h",)
    tiny = passes(CHAIN, seen(CHAIN, "h", grad=1e5, std=1e-3), seen(CHAIN, "y", grad=1.0))
    assert messages(judged("PRB004", CHAIN, passes=tiny)) == []  # a norm behind it would bring it to 1
    small = passes(CHAIN, seen(CHAIN, "h", std=1e-6), seen(CHAIN, "y", std=1.0))
    assert messages(judged("PRB004", CHAIN, passes=small)) == []


def test_growth_in_the_only_layer_is_told_beside_the_inputs() -> None:
    only = text("  y = MatMul(x, w)", SQUARE)
    for given, reported in (((-3.0, 3.0), ["values grow from inputs up to 3 to 1e+06 (root mean square) over 1 layer"]),
                            ((-1e6, 1e6), [])):  # fmt: skip
        run = passes(only, seen(only, "y", std=1e6), inputs={only.inputs[0]: given})
        assert messages(judged("PRB004", only, passes=run)) == reported


# -- PRB005

LOG = text("  h = MatMul(x, w)\n  r = Reshape(h, s)\n  l = Log(r)\n  y = Neg(l)", f"{SQUARE}, int64[2] s = {{16, 8}}")


def test_first_operator_that_makes_nan_is_named() -> None:
    bad = {"nonfinite": 3, "nans": 3}
    run = passes(LOG, seen(LOG, "h"), seen(LOG, "l", **bad), seen(LOG, "y", **bad))
    (found,) = judged("PRB005", LOG, passes=run).findings
    assert found.finding.message == "Log makes NaN out of finite inputs: 3 of 1,024 elements"
    assert found.writes == ("l",)
    assert found.level is Level.WARNING  # the data are made up, and nobody has said what inputs are like


@pytest.mark.parametrize("setup", [GIVEN, SETUP])
def test_nonfinite_is_an_error_on_data_that_are_fair(setup: Setup) -> None:
    run = passes(LOG, seen(LOG, "h"), seen(LOG, "l", nonfinite=1, hi=inf), seen(LOG, "y", nonfinite=1, hi=inf))
    report = judged("PRB005", LOG, {"input_range": "0..1"}, passes=replace(run, setup=setup))
    assert [found.level for found in report.findings] == [Level.ERROR]


def test_weights_that_are_not_finite_are_to_blame_whatever_the_data() -> None:
    bad = text("  h = MatMul(x, w)\n  y = Relu(h)", SQUARE.replace("{0.1", "{nan", 1))
    run = passes(bad, seen(bad, "h", nonfinite=16, nans=16), seen(bad, "y", nonfinite=16, nans=16))
    (found,) = judged("PRB005", bad, passes=run).findings
    assert found.finding.message == "MatMul makes NaN out of weights that are not finite: 16 of 1,024 elements"
    assert found.level is Level.ERROR


MASKED = text(
    "  h = MatMul(x, w)\n  m = Where(c, h, low)\n  y = Softmax(m)",
    f"{SQUARE}, float low = {{-inf}}",
    inputs="float[16, 8] x, bool[16, 8] c",
)


def test_masks_of_minus_infinity_are_meant() -> None:
    mask = seen(MASKED, "m", nonfinite=512, lo=-inf)
    assert messages(judged("PRB005", MASKED, passes=passes(MASKED, seen(MASKED, "h"), mask, seen(MASKED, "y")))) == []
    masked = text(
        "  h = MatMul(x, w)\n  y = Where(c, h, low)", f"{SQUARE}, float low = {{-inf}}", "float[16, 8] x, bool c"
    )
    run = passes(masked, seen(masked, "h"), seen(masked, "y", nonfinite=512, lo=-inf))
    assert messages(judged("PRB005", masked, passes=run)) == []


def test_nan_made_of_a_mask_is_reported_where_it_is_made() -> None:
    run = passes(
        MASKED,
        seen(MASKED, "h"),
        seen(MASKED, "m", nonfinite=512, lo=-inf),
        seen(MASKED, "y", nonfinite=8, nans=8),
    )
    (found,) = judged("PRB005", MASKED, passes=run).findings
    assert found.finding.message == "Softmax makes NaN out of infinite inputs: 8 of 1,024 elements"


def test_infinity_that_is_thrown_away_is_none_of_our_business() -> None:
    run = passes(LOG, seen(LOG, "h"), seen(LOG, "l", nonfinite=3, lo=-inf), seen(LOG, "y"))
    assert messages(judged("PRB005", LOG, passes=run)) == []


def test_gradient_alone_that_is_not_finite() -> None:
    run = passes(LOG, seen(LOG, "h", grad=nan), seen(LOG, "l"), seen(LOG, "y"), weights=[("w", 0.1, nan)])
    (found,) = judged("PRB005", LOG, passes=run).findings
    assert "gradient that passes" in found.finding.message
    only = passes(LOG, seen(LOG, "h"), seen(LOG, "l"), seen(LOG, "y"), weights=[("w", 0.1, nan)])
    (found,) = judged("PRB005", LOG, passes=only).findings
    assert found.writes == ("h",)


# -- PRB006


@pytest.mark.parametrize(
    ("loss", "value", "targets", "reported"),
    [
        ("cross_entropy", 2.3, None, False),
        ("cross_entropy", 4.1, None, False),
        ("cross_entropy", 4.3, None, True),  # ln 8 is 2.08
        ("binary_cross_entropy_with_logits", 1.3, None, False),
        ("binary_cross_entropy_with_logits", 1.5, None, True),
        ("mse_loss", 30.0, (0.0, 3.0), False),
        ("mse_loss", 40.0, (0.0, 3.0), True),
        ("mse_loss", 40.0, None, False),
        ("huber_loss", 40.0, (0.0, 3.0), False),
    ],
)
def test_initial_loss_beside_a_guess(loss: str, value: float, targets: Any, reported: bool) -> None:
    run = passes(CHAIN, seen(CHAIN, "y"), loss=value, targets=targets)
    assert bool(messages(judged("PRB006", CHAIN, {"loss": loss, "stage": "init"}, passes=run))) == reported
    assert messages(judged("PRB006", CHAIN, {"loss": loss, "stage": "trained"}, passes=run)) == []


def test_initial_loss_needs_a_loss() -> None:
    (skip,) = judged("PRB006", CHAIN, passes=passes(CHAIN)).skipped
    assert skip.why == "needs a loss: --loss"


# -- PRB007


def overfitted(losses: list[float], setup: Setup = GIVEN, least: float = 0.0) -> Overfit:
    return Overfit(replace(setup, samples=4), tuple(losses), 0.01, "adam", least)


HALTED = [2.3] + [1.47] * 40


def test_what_cannot_be_learnt_by_heart() -> None:
    (found,) = judged("PRB007", CHAIN, overfit=overfitted(HALTED), passes=passes(CHAIN)).findings
    assert "64% of the avoidable loss is left after 40 steps" in found.finding.message
    assert found.level is Level.ERROR
    (found,) = judged("PRB007", CHAIN, overfit=overfitted(HALTED, SETUP), passes=passes(CHAIN)).findings
    assert found.level is Level.WARNING


def test_samples_that_look_the_same_cannot_be_told_apart() -> None:
    alike = passes(CHAIN, outputs=outputs(CHAIN, [[0.1, 0.2], [0.1, 0.2], [0.3, 0.4]]))
    assert messages(judged("PRB007", CHAIN, overfit=overfitted(HALTED), passes=alike)) == []


@pytest.mark.parametrize(
    "run",
    [
        overfitted([2.3 - 0.03 * step for step in range(40)]),  # still falls
        overfitted([2.3] + [0.1] * 40),  # learnt
        overfitted([2.3] + [1.47] * 40, least=1.46),  # all that can be
        overfitted([2.3] + [1.47] * 10),  # too few steps
        overfitted([2.3, nan] * 20),
        overfitted(HALTED, MADE_UP),
        replace(overfitted(HALTED), setup=replace(GIVEN, samples=64)),  # 512 numbers, 128 weights
    ],
)
def test_what_is_no_proof_against_learning(run: Overfit) -> None:
    assert messages(judged("PRB007", CHAIN, overfit=run, passes=passes(CHAIN))) == []


def test_made_up_targets_for_every_position_cannot_be_learnt() -> None:
    maps = text(
        "  y = Conv(x, w)", "float[4, 3, 1, 1] w = {" + ", ".join(["0.5"] * 12) + "}",
        "float[2, 3, 4, 4] x", "float[2, 4, 4, 4] y",
    )  # fmt: skip
    assert messages(judged("PRB007", maps, overfit=overfitted(HALTED, SETUP), passes=passes(maps))) == []


# -- PRB008


def checked(**derivatives: tuple[float, float]) -> GradientCheck:
    return GradientCheck(SETUP, derivatives)


def test_gradient_that_is_another_is_reported_at_its_layer() -> None:
    report = judged("PRB008", CHAIN, gradient_check=checked(w=(1.0, 1.5), v=(1.0, 1.0)), passes=passes(CHAIN))
    (found,) = report.findings
    assert found.writes == ("h",)
    assert found.level is Level.NOTE  # a part of the way may be detached on purpose
    assert "a derivative of 1, where the values change by 1.5" in found.finding.message


@pytest.mark.parametrize(
    "check", [checked(w=(1.0, 1.001)), checked(w=(0.0, 1.0), v=(1.0, 1.0)), checked(w=(1.0, 0.0)), checked()]
)
def test_gradients_that_agree_or_are_meant_to_differ(check: GradientCheck) -> None:
    assert messages(judged("PRB008", CHAIN, gradient_check=check, passes=passes(CHAIN))) == []


def test_steps_have_gradients_that_models_make_up() -> None:
    steps = text("  h = MatMul(x, w)\n  r = Round(h)\n  y = Add(h, r)", SQUARE)
    assert messages(judged("PRB008", steps, gradient_check=checked(w=(1.0, 1.5)), passes=passes(steps))) == []


# -- PRB009


def test_leaks_count_beside_the_own_derivative() -> None:
    (found,) = judged("PRB009", CHAIN, leak=Leak(SETUP, ((0, 1, 0.1), (2, 1, 0.3)), 1.0)).findings
    assert "2 of 240 pairs, derivative 0.3 beside 1" in found.finding.message
    assert found.level is Level.ERROR
    assert messages(judged("PRB009", CHAIN, leak=Leak(SETUP, ((0, 1, 1e-9),), 1.0))) == []
    assert messages(judged("PRB009", CHAIN, leak=Leak(SETUP, (), 1.0))) == []


def test_similarities_within_a_batch_compare_its_samples() -> None:
    pairs = text("  t = Transpose(x)\n  y = MatMul(x, t)", inputs="float[N, 8] x", outputs="float[N, N] y")
    assert messages(judged("PRB009", pairs, leak=Leak(SETUP, ((0, 1, 0.5),), 1.0))) == []


# -- PRB010


def outputs(graph: Graph, rows: Any) -> dict[Any, Any]:
    return {graph.outputs[0]: np.asarray(rows, dtype=np.float64)}


def test_outputs_that_are_the_same_for_all_samples() -> None:
    run = passes(CHAIN, outputs=outputs(CHAIN, [[0.3, 0.4]] * 8))
    assert messages(judged("PRB010", CHAIN, passes=run)) == ["the output is the same for all of 8 samples"]
    differing = passes(CHAIN, outputs=outputs(CHAIN, [[0.3, 0.4]] * 7 + [[0.3, 0.41]]))
    assert messages(judged("PRB010", CHAIN, passes=differing)) == []
    opening = passes(CHAIN, outputs=outputs(CHAIN, [[0.0, 0.0]] * 8), weights=[("v", 0.0, 0.5)])
    assert messages(judged("PRB010", CHAIN, passes=opening)) == []


def test_units_that_compute_the_same() -> None:
    equal = units(0, 0, 8)
    run = passes(CHAIN, seen(CHAIN, "h", units=equal), weights=[("w", 0.1, 0.1)])
    assert messages(judged("PRB010", CHAIN, passes=run)) == ["all 8 units compute the same"]
    nothing = replace(equal, lo=equal.lo * 0, hi=equal.hi * 0, mean=equal.mean * 0)
    run = passes(CHAIN, seen(CHAIN, "h", units=nothing), weights=[("w", 0.1, 0.1)])
    assert messages(judged("PRB010", CHAIN, passes=run)) == []
    run = passes(CHAIN, seen(CHAIN, "h", units=units(4, 4, 0)), weights=[("w", 0.1, 0.1)])
    assert messages(judged("PRB010", CHAIN, passes=run)) == []


# -- PRB011, PRB012


RAMP = Ramp(SETUP, (1e-3, 1e-2, 0.1, 1.0), (2.3, 2.2, 2.0, 90.0), "sgd", 0.1)


def test_learning_rate_beside_what_was_borne() -> None:
    report = judged("PRB011", CHAIN, {"lr": "1"}, ramp=RAMP)
    assert [found.level for found in report.findings] == [Level.WARNING]
    assert messages(report) == ["the learning rate 1 is above the largest stable one, 0.1"]
    warmed = judged("PRB011", CHAIN, {"lr": "1", "schedule": "linear-warmup"}, ramp=RAMP)
    assert [found.level for found in warmed.findings] == [Level.NOTE]
    assert messages(judged("PRB011", CHAIN, {"lr": "0.01"}, ramp=RAMP)) == []
    assert "below the largest stable one" in messages(judged("PRB011", CHAIN, {"lr": "1e-9"}, ramp=RAMP))[0]
    unstated = judged("PRB011", CHAIN, ramp=RAMP)
    assert messages(unstated) == ["the largest stable learning rate of sgd is about 0.1"]
    assert [found.level for found in unstated.findings] == [Level.NOTE]


@pytest.mark.parametrize(
    ("gap", "expected", "reported"),
    [(0.4, 0.0, False), (2.0, 0.1, True), (2.0, 1.0, False), (9.0, 4.0, False), (20.0, 12.0, True)],
)
def test_gap_between_modes_beside_what_explains_it(gap: float, expected: float, reported: bool) -> None:
    report = judged("PRB012", CHAIN, {"stage": "init"}, modes=Modes(SETUP, gap, expected))
    assert bool(messages(report)) == reported
    assert messages(judged("PRB012", CHAIN, {"stage": "trained"}, modes=Modes(SETUP, gap, expected))) == []


# -- PRB013

BOUNDED = text("  h = MatMul(x, w)\n  s = Sigmoid(h)\n  y = Mul(s, x)", SQUARE)


@pytest.mark.parametrize(
    ("shown", "reported"),
    [
        ({"lo": 0.1, "hi": 0.9}, False),
        ({"lo": 0.0, "hi": 1.0}, False),
        ({"lo": 0.0, "hi": 1.0 + 2**-22}, False),  # the last digits
        ({"lo": 0.0, "hi": 1.001}, True),
        ({"lo": -1e-6, "hi": 1.0}, True),
        ({"lo": 0.0, "hi": 1.0, "nans": 2, "nonfinite": 2}, False),  # of any input, NaN is not excluded
    ],
)
def test_what_was_proved_is_held_against_what_was_seen(shown: dict[str, Any], reported: bool) -> None:
    run = passes(BOUNDED, seen(BOUNDED, "s", **shown))
    assert bool(messages(judged("PRB013", BOUNDED, passes=run))) == reported


def test_proofs_that_assume_a_range_bind_data_inside_it_only() -> None:
    run = passes(BOUNDED, seen(BOUNDED, "y", hi=7.0), inputs={BOUNDED.inputs[0]: (0.0, 1.0)})
    contract = {"input_range": "0..1"}
    assert len(messages(judged("PRB013", BOUNDED, contract, passes=run))) == 1
    outside = replace(run, inputs={BOUNDED.inputs[0]: (0.0, 9.0)})
    assert messages(judged("PRB013", BOUNDED, contract, passes=outside)) == []


# -- what they share


def test_findings_tell_how_the_model_was_run() -> None:
    setup = replace(SETUP, notes=("the batch was halved",), device="NVIDIA H200", seed=7)
    (found,) = judged("PRB003", CHAIN, passes=along(CHAIN, 1e-7, 1.0, setup=setup)).findings
    evidence = {item.label: item.value for item in found.finding.evidence}
    assert evidence["run"] == "torch on NVIDIA H200, seed 7"
    assert evidence["batch"] == "synthetic, 16 samples"
    assert evidence["loss"] == "cross_entropy"
    assert evidence["note"] == "the batch was halved"


def test_report_without_a_run_has_one_line_for_all_of_them(netlint: Callable[..., CompletedProcess[str]]) -> None:
    lines = netlint(FIXTURES / "plain_mlp.onnx").stdout.splitlines()
    assert [line.strip() for line in lines if "--probe" in line] == [f"= 14 rules skipped: {ABSENT}"]
