"""The engine: one rule's failure is its own, what was declared can be read, and fingerprints tell findings apart."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from netlint.analyses.ranges import ranges
from netlint.analysis import Analysis, Results, Scope, Unavailable, UndeclaredUse, analysis
from netlint.engine import lint
from netlint.frontends.onnx import load_text
from netlint.graph import Graph, Location
from netlint.reported import Neighbourhood, Report
from netlint.rule import ERROR, NOTE, WARNING, Finding, Rule, rule
from netlint.training import Training

MODEL = """
g (float[N, 4] x) => (float[N, 4] y) {
    a = Relu(x)
    b = Tanh(a)
    c = Relu(b)
    y = Tanh(c)
}
"""


def graph(text: str = MODEL) -> Graph:
    return load_text(text)


def run(*rules: Rule, model: str = MODEL, target: str = "m.onnx") -> Report:
    return lint(graph(model), rules, Training(), target=target)


def a_rule(
    check: Callable[[Scope], Iterable[Any]], *requires: Analysis[Any], code: str = "TST001", name: str = "a-rule"
) -> Rule:
    return rule(code, name, level=WARNING, since="1", requires=requires)(check)


@rule("TST002", "every-relu", level=WARNING, also=(NOTE,), since="1")
def every_relu(scope: Scope) -> Iterable[Finding]:
    return [Finding("a relu", node) for node in scope.graph.of("Relu")]


def test_a_crash_is_the_rules_own_and_hides_nothing() -> None:
    def crash(scope: Scope) -> Iterable[Finding]:
        yield Finding("found before", scope.graph.nodes[0])
        raise KeyError("boom")

    report = run(a_rule(crash), every_relu)
    assert [found.finding.message for found in report.findings].count("a relu") == 2
    assert "found before" in [found.finding.message for found in report.findings]
    (crashed,) = report.crashed
    assert (crashed.rule.code, repr(crashed.error)) == ("TST001", "KeyError('boom')")
    assert crashed.where.startswith(f"{__name__}:")


@pytest.mark.parametrize(
    ("findings", "message"),
    [
        ([3], "not a Finding"),
        ([Finding("nowhere", None)], "neither a Node nor a Location"),  # type: ignore[arg-type]
        ([Finding(3, Location("m"))], "not text"),  # type: ignore[arg-type]
        ([Finding("too much", Location("m"), level=ERROR)], "does not declare: add it to also="),
        (None, "not iterable"),
    ],
)
def test_what_is_no_proper_finding_counts_as_a_crash(findings: Any, message: str) -> None:
    report = run(a_rule(lambda scope: findings), every_relu)
    assert len(report.findings) == 2
    (crashed,) = report.crashed
    assert message in str(crashed.error)
    assert crashed.where.startswith(__name__), "the rule is to blame, not the engine"


def test_a_declared_level_may_differ_from_the_usual_one() -> None:
    noted = rule("TST003", "noted", level=WARNING, also=(NOTE,), since="1")(
        lambda scope: [Finding("advice", Location("m"), level=NOTE), Finding("fault", Location("m"))]
    )
    assert [found.level for found in run(noted).findings] == [NOTE, WARNING]


def test_undeclared_use_says_what_to_add() -> None:
    @analysis()
    def secret(scope: Scope) -> int:
        return 1

    report = run(a_rule(lambda scope: [Finding(str(scope[secret]), Location("m"))]))
    assert isinstance(report.crashed[0].error, UndeclaredUse)
    assert str(report.crashed[0].error) == "rule a-rule reads the analysis 'secret': add it to what it requires"

    @analysis()
    def nosy(scope: Scope) -> int:
        return scope[secret]

    with pytest.raises(UndeclaredUse, match="nosy reads the analysis 'secret'"):
        Results(graph(), Training()).get(nosy)


@pytest.mark.parametrize("error", [Unavailable("the axis is not known"), ZeroDivisionError("a bug")])
def test_an_analysis_runs_once_even_if_it_fails(error: Exception) -> None:
    calls = []

    @analysis()
    def failing(scope: Scope) -> int:
        calls.append(1)
        raise error

    @analysis(failing)
    def reader(scope: Scope) -> int:
        return scope[failing]

    def ask(scope: Scope) -> Iterable[Finding]:
        yield Finding(str(scope[reader]), Location("m"))

    report = run(a_rule(ask, reader), a_rule(ask, reader, code="TST004", name="another"))
    assert calls == [1]
    if isinstance(error, Unavailable):
        assert [skip.why for skip in report.skipped] == ["the axis is not known"] * 2
    else:
        assert [crash.error for crash in report.crashed] == [error] * 2
        assert len({crash.where for crash in report.crashed}) == 1


def test_a_result_is_computed_only_when_asked_for() -> None:
    @analysis()
    def never(scope: Scope) -> int:
        raise AssertionError

    assert not run(a_rule(lambda scope: [], never)).crashed


def test_a_report_of_a_crash_does_not_keep_the_graph() -> None:
    def crash(scope: Scope) -> Iterable[Finding]:
        raise KeyError(len(scope.graph.nodes))

    model = graph()
    kept = weakref.ref(model)
    report = lint(model, [a_rule(crash)], Training())
    del model
    gc.collect()
    assert report.crashed
    assert kept() is None


def fingerprints(*rules: Rule, model: str = MODEL, target: str = "m.onnx") -> list[str]:
    return [found.fingerprint for found in run(*rules, model=model, target=target).findings]


def test_findings_stand_in_graph_order_then_by_code() -> None:
    tanh = rule("TST000", "every-tanh", level=WARNING, since="1")(
        lambda scope: [Finding("a tanh", node) for node in reversed(scope.graph.of("Tanh"))]
    )
    about_all = rule("TST009", "model", level=WARNING, since="1")(lambda scope: [Finding("all", Location("m"))])
    found = run(every_relu, tanh, about_all).findings
    assert [entry.op for entry in found] == ["", "Relu", "Tanh", "Relu", "Tanh"]


def test_fingerprints_survive_renaming_and_the_order_in_the_file() -> None:
    renamed = """
    other (float[M, 4] in) => (float[M, 4] out) {
        first = Relu(in)
        second = Tanh(first)
        third = Relu(second)
        out = Tanh(third)
    }
    """
    assert fingerprints(every_relu) == fingerprints(every_relu, model=renamed)
    two = "g (float[4] x, float[4] z) => (float[4] y, float[4] w) {{ {} }}"
    lines = ("y = Relu(x)", "t = Tanh(z) w = Relu(t)")
    first, second = (two.format(" ".join(order)) for order in (lines, reversed(lines)))
    assert fingerprints(every_relu, model=first) == fingerprints(every_relu, model=second)


def test_fingerprints_do_not_depend_on_the_other_rules() -> None:
    alone = fingerprints(every_relu)
    other = rule("TST000", "another", level=WARNING, since="1")(lambda scope: [Finding("x", scope.graph.nodes[0])])
    assert set(alone) < set(fingerprints(other, every_relu))


def test_fingerprints_are_distinct() -> None:
    def twice(scope: Scope) -> Iterable[Finding]:
        for node in scope.graph.nodes:
            yield Finding("one", node)
            yield Finding("two", node)
        yield Finding("three", Location("m"))
        yield Finding("four", Location("m"))

    found = fingerprints(a_rule(twice), every_relu)
    assert len(set(found)) == len(found) == 12
    assert found == fingerprints(a_rule(twice), every_relu, target="elsewhere/other.onnx"), "a place in any model"


def test_unknown_operators_are_counted() -> None:
    model = '<ir_version: 10, opset_import: ["" : 21, "my" : 1]> g (float[4] x) => (float[4] y) { y = my.Warp(x) }'
    assert run(model=model).not_understood == {"my::Warp": 1}


WARPED = """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
g (float[N, 4] x) => (float[N, 4] y, float[N, 4] z) {
    a = Relu(x)
    b = my.Warp(a)
    c = my.Warp(a)
    d = Log(b)
    e = Mul(c, d)
    y = Sigmoid(e)
    z = Relu(c)
}"""


def test_the_report_tells_where_the_ranges_end() -> None:
    def asks(scope: Scope) -> Iterable[Finding]:
        assert scope[ranges]
        return ()

    (cut,) = run(a_rule(asks, ranges), model=WARPED).cuts
    # Of Log and Mul nothing is known, one behind each Warp; Sigmoid and Relu are bounded whatever comes in.
    assert (cut.op, cut.others, cut.nodes) == ("my::Warp", 1, 2)
    assert cut.at.path.endswith("Warp")


def test_where_no_rule_asks_for_ranges_none_are_worked_out() -> None:
    report = run(every_relu, model=WARPED)
    assert report.cuts == ()
    assert report.not_understood == {"my::Warp": 2}


def test_times_are_each_ones_own() -> None:
    @analysis()
    def slow(scope: Scope) -> int:
        time.sleep(0.05)
        return 1

    @analysis(slow)
    def quick(scope: Scope) -> int:
        return scope[slow]

    def ask(scope: Scope) -> Iterable[Finding]:
        yield Finding(str(scope[quick]), Location("m"))

    spent = {(entry.kind, entry.name): entry.seconds for entry in run(a_rule(ask, quick)).times}
    assert spent["analysis", "slow"] >= 0.05
    assert spent["analysis", "quick"] < 0.04
    assert spent["rule", "a-rule"] < 0.04
    assert all(seconds >= 0 for seconds in spent.values())


def test_a_failing_rule_and_a_failing_analysis_have_their_time_too() -> None:
    @analysis()
    def failing(scope: Scope) -> int:
        raise ValueError("a bug")

    def ask(scope: Scope) -> Iterable[Finding]:
        yield Finding(str(scope[failing]), Location("m"))

    names = {entry.name for entry in run(a_rule(ask, failing), every_relu).times}
    assert {"failing", "a-rule", "every-relu"} <= names


def neighbourhood(model: str, op: str = "Tanh") -> Neighbourhood:
    flag = rule("TST010", "flag", level=WARNING, since="1")(
        lambda scope: [Finding("here", scope.graph.of(op)[0])],
    )
    found = run(flag, model=model).findings[0].neighbourhood
    assert found is not None
    return found


def drawn(picture: Neighbourhood) -> tuple[list[tuple[int, str]], list[tuple[str, str]]]:
    arrows = [(picture.boxes[start].title, picture.boxes[end].title) for start, end in picture.arrows]
    return [(box.step, box.title) for box in picture.boxes], arrows


def test_the_neighbourhood_holds_two_steps_each_way_with_types() -> None:
    picture = neighbourhood(
        """
        g (float[N, 4] x) => (float[N, 3] y) <float[4, 3] w = {1,2,3,4,5,6,7,8,9,10,11,12}> {
            far = Neg(x)
            a = Relu(far)
            m = MatMul(a, w)
            b = Tanh(m)
            y = Sigmoid(b)
        }
        """
    )
    assert drawn(picture) == (
        [(-2, "Relu"), (-1, "MatMul"), (0, "Tanh"), (1, "Sigmoid"), (2, "y")],
        [("Relu", "MatMul"), ("MatMul", "Tanh"), ("Tanh", "Sigmoid"), ("Sigmoid", "y")],
    )
    assert [box.kind for box in picture.boxes] == ["node", "node", "flagged", "node", "output"]
    assert (picture.boxes[1].type, picture.boxes[1].constants) == ("float32[N, 3]", ("float32[4, 3]",))


def test_a_shortcut_is_drawn_around_what_it_skips() -> None:
    boxes, arrows = drawn(
        neighbourhood("g (float[4] x) => (float[4] y) { r = Relu(x) c = Neg(r) s = Add(r, c) y = Tanh(s) }", "Add")
    )
    assert boxes[:3] == [(-2, "Relu"), (-1, "Neg"), (0, "Add")]
    assert ("Relu", "Add") in arrows


def test_a_wide_neighbourhood_is_folded() -> None:
    users = " ".join(f"u{i} = Neg(t)" for i in range(20))
    total = ", ".join(f"u{i}" for i in range(20))
    picture = neighbourhood(
        f"g (float[4] x) => (float[80] y) {{ t = Tanh(x) {users} y = Concat <axis = 0> ({total}) }}"
    )
    behind = [box for box in picture.boxes if box.step == 1]
    assert [box.title for box in behind] == ["Neg"] * 4 + ["+16 more"]
    assert picture.boxes[-1].kind == "more"


def test_a_finding_about_the_model_has_no_neighbourhood() -> None:
    about = rule("TST011", "about", level=WARNING, since="1")(lambda scope: [Finding("all", Location("m"))])
    assert run(about).findings[0].neighbourhood is None


def test_pictures_are_drawn_of_the_first_findings_of_each_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlint.neighbourhood.MOST", 2)
    mixed = rule("TST012", "mixed", level=WARNING, also=(NOTE,), since="1")(
        lambda scope: [Finding("x", node, level=level) for node in scope.graph.nodes for level in (NOTE, WARNING)]
    )
    found = run(mixed).findings
    assert [entry.level for entry in found if entry.neighbourhood] == [NOTE, WARNING, NOTE, WARNING]
    assert len(found) == 8
