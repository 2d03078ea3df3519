"""Folded constants against ONNX's test cases, and the limits of folding."""

from __future__ import annotations

import numpy as np
import pytest

from netlint.analyses import constants as module
from netlint.analyses.constants import Constants, constants
from netlint.analysis import Results
from netlint.frontends.onnx import load_bytes, load_text
from netlint.graph import Graph, Value
from netlint.training import Training
from tests.executed import operator_cases, with_constants


def fold(graph: Graph) -> Constants:
    return Results(graph, Training()).get(constants)


def text(body: str, signature: str = "float[N] x", type: str = "float") -> tuple[Constants, Value]:
    graph = load_text(f"g ({signature}) => ({type}[] y) {{ {body} }}")
    graph.outputs[0].shape = None
    return fold(graph), graph.outputs[0]


def number(body: str, signature: str = "float[N] x", type: str = "float") -> float | None:
    known, value = text(body, signature, type)
    return known.scalar(value)


def test_every_folded_operator_computes_what_onnx_expects() -> None:
    folded, wrong = set(), []
    for case in operator_cases():
        graph = load_bytes(with_constants(case, 0).SerializeToString())
        known = fold(graph)
        for value, expected in zip(graph.outputs, case.data_sets[0][1], strict=False):
            node = graph.producer(value)
            found = known.get(value)
            if (
                node is None
                or found is None
                or not isinstance(expected, np.ndarray)
                or expected.dtype.kind not in "fiub"
            ):
                continue
            folded.add(node.op)
            same = found.shape == expected.shape and found.dtype == expected.dtype
            if not same or not np.allclose(found, expected, rtol=1e-5, atol=1e-6, equal_nan=True):
                wrong.append((case.name, found.reshape(-1)[:5], expected.reshape(-1)[:5]))
    assert wrong == []
    assert folded >= module.FOLDED - {"EyeLike", "ConstantOfShape"}


def test_the_list_of_folded_operators_names_all_kernels() -> None:
    """It is written out in a module that must not import numpy."""
    from netlint.analyses import _constants_fold

    assert set(_constants_fold.KERNELS) == module.FOLDED


@pytest.mark.parametrize(
    ("body", "type", "expected"),
    [
        ("a = Constant <value = int64 {-7}> () b = Constant <value = int64 {2}> () y = Div (a, b)", "int64", -3),
        (
            "a = Constant <value = int32 {2147483647}> () b = Constant <value = int32 {1}> () y = Add (a, b)",
            "int32",
            -(2**31),
        ),
        ("a = Constant <value = int64 {1}> () b = Constant <value = int64 {0}> () y = Div (a, b)", "int64", None),
        ("a = Constant <value = float {1}> () b = Constant <value = float {0}> () y = Div (a, b)", "float", np.inf),
        (
            "a = Constant <value = float {16777216}> () b = Constant <value = float {1}> () y = Add (a, b)",
            "float",
            2**24,
        ),
        ("a = Constant <value = float16 {31571}> () y = Add (a, a)", "float16", np.inf),
        ("a = Constant <value = float {1e30}> () y = Cast <to = 7> (a)", "int64", None),
        ("a = Constant <value = float {-2.5}> () y = Cast <to = 7> (a)", "int64", -2),
    ],
)
def test_arithmetic_is_that_of_the_element_type(body: str, type: str, expected: float | None) -> None:
    assert number(body, type=type) == expected


def test_known_shapes_are_constants() -> None:
    body = "s = Shape (x) c = Cast <to = 1> (s) y = Sqrt (c)"
    known, value = text(body, "float[4, 9] x")
    assert known.get(value).tolist() == [2, 3]  # type: ignore[union-attr]
    assert number(body, "float[N, 9] x") is None


def test_attention_scale_of_a_chain() -> None:
    body = """
        s = Shape <start = -1> (x)
        f = Cast <to = 1> (s)
        r = Sqrt (f)
        one = Constant <value = float {1}> ()
        y = Div (one, r)
    """
    assert number(body, "float[N, 64] x") == 0.125


def test_one_number_repeated_is_a_scalar_whatever_its_size() -> None:
    made = "s = Constant <value = int64[3] {1000000, 1000000, 1000000}> () "
    assert number(made + "y = ConstantOfShape <value = float[1] {-3}> (s)") == -3
    assert number(made + "c = Constant <value = float[1, 1] {7}> () y = Expand (c, s)") == 7
    assert number("y = Constant <value = float[2] {1, 2}> ()") is None
    assert number("c = Constant <value = float[2] {5, 5}> () y = Identity (c)") == 5


def test_results_past_the_limit_are_not_computed() -> None:
    side = int(module.MAX_ELEMENTS**0.5) + 1
    body = f"s = Constant <value = int64[2] {{{side}, {side}}}> () c = ConstantOfShape (s) y = Neg (c)"
    known, value = text(body)
    assert known.get(value) is None


def test_a_part_of_a_large_constant_is_taken() -> None:
    rows = module.MAX_ELEMENTS
    graph = load_text(
        f"""g (float[N] x) => (float[2] y) <float[{rows}, 2] w = {{{", ".join(["3"] * rows * 2)}}}>
        {{ i = Constant <value = int64 {{7}}> () y = Gather (w, i) }}"""
    )
    known = fold(graph)
    assert known.get(graph.outputs[0]).tolist() == [3, 3]  # type: ignore[union-attr]
    assert known.get(graph.of("Gather")[0].input(0)) is None


def test_long_chains_are_folded_without_recursion() -> None:
    steps = "".join(f"v{n + 1} = Add (v{n}, v0) " for n in range(5000))
    assert number(f"v0 = Constant <value = int64 {{1}}> () {steps} y = Identity (v5000)", type="int64") == 5001


def test_diamonds_are_folded_once() -> None:
    steps = "".join(f"v{n + 1} = Min (v{n}, v{n}) " for n in range(300))
    assert number(f"v0 = Constant <value = int64 {{1}}> () {steps} y = Identity (v300)", type="int64") == 1


def test_low_precision_is_moved_but_not_computed_with() -> None:
    """The array is float32, whose rounding differs."""
    made = "a = Constant <value = bfloat16[2] {16256, 16256}> () "
    known, value = text(made + "y = Add (a, a)", type="bfloat16")
    assert known.get(value) is None
    known, value = text(made + "i = Constant <value = int64 {0}> () y = Gather (a, i)", type="bfloat16")
    assert known.get(value) is not None


@pytest.mark.parametrize("op", sorted(module.FOLDED))
def test_malformed_nodes_are_no_constants(op: str) -> None:
    for inputs in ("", "a", "a, a, a, a"):
        known, value = text(f"a = Constant <value = float[2] {{1, 2}}> () y = {op} ({inputs})")
        known.get(value)
        known.scalar(value)
