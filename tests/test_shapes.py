"""Inferred shapes against ONNX's test cases, ONNX Runtime, ONNX's own inference, and hostile models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlint.analyses import _shapes_dims as dims
from netlint.analyses import _shapes_engine
from netlint.analyses.shapes import Shapes, shapes
from netlint.analysis import Results
from netlint.frontends.onnx import load_bytes, load_text
from netlint.graph import Dim, Graph, Shape
from netlint.training import Training
from tests.conftest import FIXTURES
from tests.executed import executed, forget_shapes, operator_cases, with_constants

LENGTHS: dict[Dim, int] = {"batch": 2, "N": 2, "time": 6}
# Files whose execution is random or whose inputs need more than their shapes.
MODELS = sorted(path for path in FIXTURES.glob("*.onnx") if not path.name.startswith(("external", "infinite")))


def infer(graph: Graph) -> Shapes:
    return Results(graph, Training()).get(shapes)


def text(body: str, signature: str = "float[N, 8, 4] x") -> tuple[Graph, Shapes]:
    graph = load_text(f"g ({signature}) => (float[] y) {{ {body} }}")
    graph.outputs[0].shape = None
    return graph, infer(graph)


def output(body: str, signature: str = "float[N, 8, 4] x") -> Shape | None:
    graph, known = text(body, signature)
    return known.of(graph.outputs[0])


def fits(shape: Shape, true: tuple[int, ...], names: dict[str, int]) -> bool:
    """Whether a claim holds; a name must stand for the same length everywhere."""
    if len(shape) != len(true):
        return False
    pairs = zip(shape, true, strict=True)
    return all(size is None or (names.setdefault(size, n) if isinstance(size, str) else size) == n for size, n in pairs)


def test_every_operator_of_the_onnx_test_cases() -> None:
    """Right wherever something is claimed, and claimed for nearly all: the rest depends on data."""
    full, count, wrong = 0, 0, []
    for case in operator_cases():
        graph = load_bytes(with_constants(case, 1).SerializeToString())
        known = infer(graph)
        for value, expected in zip(graph.outputs, case.data_sets[0][1], strict=False):
            if isinstance(expected, np.ndarray):
                found = known.of(value)
                count += 1
                full += found is not None and None not in found
                if found is not None and not fits(found, expected.shape, {}):
                    wrong.append((case.name, found, expected.shape))
    assert wrong == []
    assert full > 0.9 * count


def test_element_types_of_the_onnx_test_cases() -> None:
    wrong = []
    for case in operator_cases():
        graph = load_bytes(with_constants(case, 1).SerializeToString())
        for node in graph.nodes:
            for out in node.outputs:
                if out is not None:
                    out.dtype = None
        known = infer(graph)
        for value, expected in zip(graph.outputs, case.data_sets[0][1], strict=False):
            if isinstance(expected, np.ndarray) and expected.dtype.kind in "fiub":
                found = known.dtype(value)
                if found is not None and found not in (expected.dtype.name, "bfloat16"):
                    wrong.append((case.name, found, expected.dtype.name))
    assert wrong == []


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_what_onnxruntime_computes_has_the_inferred_shape(path: Path) -> None:
    model = executed(path, declared=False)
    if model is None:
        pytest.skip("cannot be run here")
    known, names = infer(model.graph), dict[str, int]()
    inputs = model.inputs(LENGTHS)
    for value in model.graph.inputs:
        assert fits(value.shape or (), inputs[value.name].shape, names)
    for value, array in model.run(inputs):
        shape = known.of(value)
        assert shape is None or fits(shape, array.shape, names), (value, shape, array.shape)
        elements = known.ints(value)
        assert elements is None or fits(elements, tuple(array.reshape(-1).tolist()), names), (value, elements, array)


def test_as_much_as_onnx_infers(light_models: list[Path]) -> None:
    """Every shape ONNX's whole-graph inference finds is found here as well, the same."""
    for path in light_models:
        model = onnx.load(path)
        forget_shapes(model)
        theirs = {
            info.name: tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)
            for info in onnx.shape_inference.infer_shapes(model, data_prop=True).graph.value_info
        }
        graph = load_bytes(model.SerializeToString())
        known = infer(graph)
        values = {out.name: out for node in graph.nodes for out in node.outputs if out is not None}
        differ = {name: (shape, known.of(values[name])) for name, shape in theirs.items() if name in values}
        assert [pair for pair in differ.values() if pair[0] != pair[1]] == []


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("0, -1", ("N", 32)),
        ("-1, 32", ("N", 32)),
        ("-1, 16", (None, 16)),
        ("0, 2, -1, 4", ("N", 2, 4, 4)),
        ("0, 0, 2, -1", ("N", 8, 2, 2)),
        ("-1", (None,)),
        ("2, 16, -1", (2, 16, "N")),
        ("0, 7, -1", ("N", 7, None)),
    ],
)
def test_reshape_keeps_names(target: str, expected: Shape) -> None:
    count = target.count(",") + 1
    assert output(f"s = Constant <value = int64[{count}] {{{target}}}> () y = Reshape (x, s)") == expected


@given(
    st.lists(st.sampled_from([1, 2, 3, 4, "a", "b", None]), min_size=1, max_size=5),
    st.lists(st.sampled_from([0, 1, 2, 3, 4, 6, 8, "a", "b"]), min_size=0, max_size=5),
    st.booleans(),
    st.integers(0, 5),
    st.tuples(*[st.integers(1, 4)] * 7),
)
def test_reshape_is_sound(
    shape: list[Any], target: list[Any], rest: bool, place: int, numbers: tuple[int, ...]
) -> None:
    """Wherever numpy can carry out the reshape for some lengths, the claim holds for them."""
    lengths = {"a": numbers[0], "b": numbers[1]}
    true = [lengths.get(dim, numbers[2 + nth]) if not isinstance(dim, int) else dim for nth, dim in enumerate(shape)]
    wanted: list[Any] = [*target]
    if rest:
        wanted.insert(min(place, len(wanted)), -1)
    concrete = [lengths.get(dim, dim) for dim in wanted]
    copied = [true[nth] if dim == 0 and nth < len(true) else dim for nth, dim in enumerate(concrete)]
    found = dims.reshape(tuple(shape), wanted)
    try:
        result = np.empty(true, dtype=np.int8).reshape(copied).shape
    except ValueError:
        return
    assert found is not None
    assert len(found) == len(result)
    pairs = zip(found, result, strict=True)
    assert all(dim is None or lengths.get(dim, dim) == size for dim, size in pairs)  # type: ignore[arg-type]


@given(st.data())
def test_broadcast_is_sound(data: st.DataObject) -> None:
    lengths: dict[Any, int] = {"a": data.draw(st.integers(1, 3)), "b": data.draw(st.integers(1, 3))}
    dim: st.SearchStrategy[Any] = st.sampled_from([1, 2, 3, "a", "b"])
    named = st.lists(dim, max_size=4)
    one, other = data.draw(named), data.draw(named)
    try:
        true = np.broadcast_shapes(*([lengths.get(size, size) for size in shape] for shape in (one, other)))
    except ValueError:
        return
    found = dims.broadcast(tuple(one), tuple(other))
    assert found is not None
    assert len(found) == len(true)
    # A name beside another length may stand for 1; a number may not be wrong.
    assert all(not isinstance(dim, int) or dim == size for dim, size in zip(found, true, strict=True))


SHAPE_ARITHMETIC = """
    s = Shape (x)
    zero = Constant <value = int64 {0}> ()
    one = Constant <value = int64 {1}> ()
    two = Constant <value = int64 {2}> ()
    axes = Constant <value = int64[1] {0}> ()
    n = Gather (s, zero)
    c = Gather (s, one)
    half = Div (c, two)
    n1 = Unsqueeze (n, axes)
    h1 = Unsqueeze (half, axes)
    rest = Constant <value = int64[1] {-1}> ()
    target = Concat <axis = 0> (n1, h1, rest)
    y = Reshape (x, target)
"""


def test_shape_arithmetic_keeps_names() -> None:
    graph, known = text(SHAPE_ARITHMETIC)
    assert known.of(graph.outputs[0]) == ("N", 4, 8)
    assert known.ints(next(node for node in graph.nodes if node.op == "Concat").output()) == ("N", 4, -1)


def test_sizes_computed_in_floats_give_the_shape_of_a_resize() -> None:
    body = """
        s = Shape <start = 2> (x)
        f = Cast <to = 1> (s)
        scale = Constant <value = float[1] {1.5}> ()
        m = Mul (f, scale)
        r = Floor (m)
        i = Cast <to = 7> (r)
        head = Shape <end = 2> (x)
        sizes = Concat <axis = 0> (head, i)
        y = Resize (x, , , sizes)
    """
    assert output(body, "float[N, 3, 5, 7] x") == ("N", 3, 7, 10)


def test_declared_shapes_fill_what_is_unknown_and_lose_where_they_contradict() -> None:
    graph = load_text(
        """g (float[N, 8] x, float[K] k) => (float[N, 3] y)
        <float[N, 9] h, float[M, 5] u> { h = Relu (x) u = com.example.Secret (k) y = com.example.Secret (h, u) }"""
    )
    known = infer(graph)
    relu, secret = graph.of("Relu")[0].output(), graph.of("com.example::Secret")[0].output()
    assert known.of(relu) == ("N", 8)
    assert known.of(secret) == ("M", 5)
    assert known.contradictions == ((relu, ("N", 9), ("N", 8)),)


def test_a_carried_name_outranks_a_stale_declared_number() -> None:
    graph = load_text("g (float[N, 8] x) => (float[1, 8] y) { y = Relu (x) }")
    assert infer(graph).of(graph.outputs[0]) == ("N", 8)


@pytest.mark.parametrize("name", ["?", "-1", "None"])
def test_names_that_say_nothing_are_unknown(name: str) -> None:
    graph = load_text("g (float[A, 8] x) => (float[A, 8] y) { y = Relu (x) }")
    graph.inputs[0].shape = (name, 8)
    assert infer(graph).of(graph.inputs[0]) == (None, 8)


IF = """
    y = If (c) <
        then_branch = t () => (float[] a) { a = Transpose <perm = [0, 2, 1]> (x) },
        else_branch = e () => (float[] b) { b = Identity (x) }
    >
"""


def test_branches_are_merged_or_chosen() -> None:
    assert output(IF, "float[N, 8, 4] x, bool c") == ("N", None, None)
    assert output("c = Constant <value = bool {1}> ()" + IF) == ("N", 4, 8)
    compared = "s = Shape (x) i = Constant <value = int64 {1}> () d = Gather (s, i) c = Equal (d, i)"
    assert output(compared + IF) == ("N", 8, 4)


def test_a_loop_that_grows_a_tensor_loses_the_length_it_grows() -> None:
    body = """
        n = Constant <value = int64 {3}> ()
        t = Constant <value = bool {1}> ()
        y, all = Loop (n, t, x) <body = b (int64 i, bool c, float[] s) => (bool d, float[] next, float[] each) {
            d = Identity (c)
            next = Concat <axis = 1> (s, x)
            each = ReduceSum <keepdims = 0> (s)
        }>
    """
    graph, known = text(body)
    loop = graph.of("Loop")[0]
    for value in loop.bodies["body"].inputs:
        value.shape = None
    known = infer(graph)
    assert [known.of(out) for out in loop.outputs] == [("N", None, 4), (None,)]


def test_nested_loops_end() -> None:
    inner = "x"
    body = f"y = Identity ({inner})"
    for depth in range(12):
        body = f"""
            n{depth} = Constant <value = int64 {{3}}> ()
            t{depth} = Constant <value = bool {{1}}> ()
            y = Loop (n{depth}, t{depth}, x) <body = b{depth} (int64 i{depth}, bool c{depth}, float[] s{depth})
              => (bool d{depth}, float[] y{depth}) {{
                d{depth} = Identity (c{depth})
                g{depth} = Concat <axis = 0> (s{depth}, s{depth})
                {body.replace("y = ", f"z{depth} = ", 1).replace("y,", f"z{depth},", 1)}
                y{depth} = Add (g{depth}, z{depth})
            }}>
        """
    graph, _ = text(body)
    for node in graph.nodes:
        for inside in node.bodies.values():
            for value in inside.inputs:
                value.shape = None
    assert (infer(graph).of(graph.outputs[0]) or (None,))[0] is None


@pytest.mark.parametrize(
    "body",
    [
        "s = Constant <value = int64[3] {1000000, 1000000, 1000000}> () y = ConstantOfShape (s)",
        "s = Constant <value = int64[3] {1000000, 1000000, 1000000}> () y = Tile (x, s)",
        "s = Constant <value = int64[4] {1000000, 1000000, 8, 4}> () y = Expand (x, s)",
        "a = Constant <value = int64 {0}> () b = Constant <value = int64 {1}> () "
        "e = Constant <value = int64 {4000000000000}> () y = Range (a, e, b)",
        "y = RandomNormal <shape = [1000000, 1000000, 1000000]> ()",
        "p = Constant <value = int64[6] {0, 0, 0, 0, 4000000000000, 0}> () y = Pad (x, p)",
        "k = Constant <value = int64 {4000000000000}> () v = Constant <value = float[2] {0, 1}> () "
        "i = Cast <to = 7> (x) y = OneHot (i, k, v)",
    ],
)
def test_nothing_is_allocated_by_a_shape(body: str) -> None:
    shape = output(body)
    assert shape is not None
    assert any(isinstance(dim, int) and dim >= 10**6 for dim in shape)


@pytest.mark.parametrize(
    "body",
    [
        "y = Transpose <perm = [0, 0, 5]> (x)",
        "y = Concat <axis = 9> (x, x)",
        "y = Reshape <shape = [3.5]> (x)",
        "y = Conv <pads = [1]> (x, x)",
        "y = Gather (x)",
        "y = Split (x)",
        "y = Squeeze <axes = 3> (x)",
        "y = Slice <starts = [1], ends = [2, 3]> (x)",
        "y = Einsum <equation = '->'> (x)",
        "y = TopK ()",
        "y = MaxPool <kernel_shape = [0, -1], strides = [0]> (x)",
        "y = Resize <axes = [7]> (x)",
        "y = Cast <to = 99> (x)",
        "y = ConstantOfShape (x)",
        "y = Nonsense (x)",
        "y = LSTM (x)",
        "y = DepthToSpace <blocksize = 0> (x)",
    ],
)
def test_malformed_nodes_give_no_error(body: str) -> None:
    output(body.replace("'", '"'))


def test_lists_of_followed_operators_name_all_kernels() -> None:
    """They are written out in modules that must not import numpy."""
    from netlint.analyses import _shapes_elements

    assert {*_shapes_elements.KERNELS, "Shape"} == _shapes_engine.TRACKED
