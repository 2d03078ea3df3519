"""The batch axis, against runs with another batch and with the samples in another order."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest

from netlint.analyses._axes_track import Product
from netlint.analyses.axes import Axes, axes
from netlint.analysis import Results
from netlint.frontends.onnx import load_bytes, load_text
from netlint.graph import Graph
from netlint.training import Training
from tests.conftest import FIXTURES
from tests.executed import Array, Executed, executed
from tests.test_invariance import rename

BATCH = 5
MODELS = sorted(path for path in FIXTURES.glob("*.onnx") if not path.name.startswith(("external", "infinite")))


def follow(graph: Graph) -> Axes:
    return Results(graph, Training()).get(axes)


def outcome(body: str, signature: str = "float[N, 3, 8, 8] x") -> tuple[str, int | None]:
    graph = load_text(f"g ({signature}) => (float[] y) {{ {body} }}")
    graph.outputs[0].shape = None
    known = follow(graph)
    return known.state(graph.outputs[0]), known.batch(graph.outputs[0])


@pytest.mark.parametrize(
    ("signature", "state"),
    [
        ("float[batch, 3] x", ("known", 0)),
        ("float[5, batch, 3] x", ("known", 1)),
        ("float[time, batch, 3] x", ("known", 1)),
        ("float[length, 3] x", ("unknown", None)),
        ("float[1, N, 3] x", ("known", 0)),
    ],
)
def test_names_tell_which_axis_of_an_input_is_the_batch(signature: str, state: tuple[str, int | None]) -> None:
    known = follow(graph := load_text(f"g ({signature}) => (float[] y) {{ y = Relu(x) }}"))
    assert (known.state(graph.inputs[0]), known.batch(graph.inputs[0])) == state


MASK = """
    zero = Constant <value_int = 0> ()
    one = Constant <value_int = 1> ()
    n = Shape <start = 0, end = 1> (x)
    count = Squeeze (n)
    samples = Range ({first}, count, one)
    axes = Constant <value_ints = [1, 2, 3]> ()
    last = Constant <value_ints = [-1]> ()
    grid = Unsqueeze (samples, axes)
    places = Constant <value = int64[1, 1, 1, 2] {{0, 5}}> ()
    both = Max (grid, places)
    size = Shape (both)
    wide = Expand (grid, size)
    wide_places = Expand (places, size)
    i = Unsqueeze (wide, last)
    k = Unsqueeze (wide_places, last)
    tuples = Concat <axis = -1> ({order})
    y = GatherND (x, tuples)
"""


@pytest.mark.parametrize(
    ("first", "order", "wanted"),
    [("zero", "i, k", ("known", 0)), ("one", "i, k", ("unknown", None)), ("zero", "k, i", ("unknown", None))],
)
def test_a_mask_gathered_with_a_count_of_the_samples(first: str, order: str, wanted: tuple[str, int | None]) -> None:
    """As exporters write the mask of an attention over a batch of unknown length."""
    assert outcome(MASK.format(first=first, order=order), "int64[N, 6] x") == wanted


def ready(path: Path) -> Executed:
    """A model with a named batch length that gives the same results every time."""
    model = executed(path)
    random_ops = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
    if model is None or not random_ops.isdisjoint(model.graph.ops):
        pytest.skip("cannot be run, or is random")
    if not any("batch" in (value.shape or ()) for value in model.graph.inputs):
        pytest.skip("has no named batch length")
    return model


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_samples_in_another_order_come_out_in_that_order(path: Path) -> None:
    """Along a known axis; what has none does not change."""
    model = ready(path)
    known = follow(model.graph)
    inputs = model.inputs({"batch": BATCH})
    order = np.roll(np.arange(BATCH), 1)
    turned = {value.name: reordered(known, value, inputs[value.name], order) for value in model.graph.inputs}
    for (value, before), (_, after) in zip(model.run(inputs), model.run(turned), strict=True):
        if known.state(value) != "unknown" and before.dtype.kind in "fiub":
            expected = reordered(known, value, before, order)
            np.testing.assert_allclose(expected, after, rtol=1e-2, atol=1e-3, err_msg=str(value))


def reordered(known: Axes, value: object, array: Array, order: Array) -> Array:
    """The samples in this order, also where the batch axis is merged with others."""
    track = known.track(value)  # type: ignore[arg-type]
    if track is None:
        return array
    outer, inner = track.outer, track.inner
    rest = array.shape[track.axis] // BATCH
    before = rest // inner.number if outer.names else outer.number
    unfolded = (*array.shape[: track.axis], before, BATCH, rest // before, *array.shape[track.axis + 1 :])
    return np.take(array.reshape(unfolded), order, track.axis + 1).reshape(array.shape)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_known_axis_is_as_long_as_the_batch(path: Path) -> None:
    model = ready(path)
    known = follow(model.graph)
    for batch in (BATCH, BATCH + 1):
        for value, array in model.run(model.inputs({"batch": batch})):
            axis = known.batch(value)
            assert axis is None or array.shape[axis] == batch, value


@pytest.mark.parametrize("name", ["vit", "dit_adaln_zero", "lstm_torchscript", "causal_lm", "detector"])
def test_names_and_file_order_do_not_matter(name: str) -> None:
    model = onnx.load(FIXTURES / f"{name}.onnx")
    changed = rename(model, random.Random(0))
    before, after = load_bytes(model.SerializeToString()), load_bytes(changed.SerializeToString())
    first, second = follow(before), follow(after)
    for one, other in zip(before.nodes, after.nodes, strict=True):
        for left, right in zip(one.outputs, other.outputs, strict=True):
            assert (first.state(left), first.batch(left)) == (second.state(right), second.batch(right))


def shape(*sizes: int) -> str:
    return f"s = Constant <value = int64[{len(sizes)}] {{{', '.join(map(str, sizes))}}}> () "


WINDOWS = (
    shape(-1, 3, 2, 4, 2, 4)
    + "a = Reshape (x, s) b = Transpose <perm = [0, 2, 4, 3, 5, 1]> (a) "
    + "t = Constant <value = int64[3] {-1, 16, 3}> () w = Reshape (b, t) "
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Relu (x)", ("known", 0)),
        ("y = Bernoulli (x)", ("known", 0)),
        ("y = Transpose <perm = [1, 2, 0, 3]> (x)", ("known", 2)),
        ("y = Flatten (x)", ("known", 0)),
        (shape(-1, 8) + "y = Reshape (x, s)", ("mixed", None)),
        (WINDOWS + "y = Identity (w)", ("mixed", None)),
        (WINDOWS + "u = Constant <value = int64[4] {-1, 4, 16, 3}> () y = Reshape (w, u)", ("known", 0)),
        (WINDOWS + "u = Constant <value = int64[4] {-1, 5, 16, 3}> () y = Reshape (w, u)", ("unknown", None)),
        (shape(3, -1, 8, 8) + "y = Reshape (x, s)", ("unknown", None)),
        ("y = ReduceMean <keepdims = 0> (x)", ("none", None)),
        ("a = Constant <value = int64[2] {2, 3}> () y = ReduceMean <keepdims = 0> (x, a)", ("known", 0)),
        ("a = Constant <value = int64[1] {0}> () y = ReduceMean <keepdims = 0> (x, a)", ("none", None)),
        ("y = Concat <axis = 1> (x, x)", ("known", 0)),
        ("y = Concat <axis = 0> (x, x)", ("mixed", None)),
        ("i = Constant <value = int64 {0}> () y = Gather <axis = 1> (x, i)", ("known", 0)),
        ("i = Constant <value = int64 {0}> () y = Gather <axis = 0> (x, i)", ("unknown", None)),
        ("y = Shape (x)", ("none", None)),
        ("s = Shape (x) y = ConstantOfShape (s)", ("known", 0)),
        ("t = Transpose <perm = [1, 0, 2, 3]> (x) y = Add (x, t)", ("unknown", None)),
        ("f = Flatten (x) t = Transpose (f) y = MatMul (t, f)", ("none", None)),
        ("f = Flatten (x) t = Transpose (f) y = MatMul (f, t)", ("unknown", None)),
        ('f = Flatten (x) y = Einsum <equation = "ni,nj->nij"> (f, f)', ("known", 0)),
        ('f = Flatten (x) y = Einsum <equation = "ni,nj->ij"> (f, f)', ("none", None)),
        ('f = Flatten (x) y = Einsum <equation = "ni,mi->nm"> (f, f)', ("unknown", None)),
        ("y = com.example.Secret (x)", ("unknown", None)),
        ("y = RandomNormal <shape = [3, 4]> ()", ("none", None)),
    ],
)
def test_operators(body: str, expected: tuple[str, int | None]) -> None:
    assert outcome(body) == expected


LSTM = "w = RandomNormal <shape = [1, 16, 8]> () r = RandomNormal <shape = [1, 16, 4]> () "


@pytest.mark.parametrize(
    ("body", "signature", "expected"),
    [
        (LSTM + "y = LSTM <hidden_size = 4> (x, w, r)", "float[T, N, 8] x", ("known", 2)),
        (LSTM + "y = LSTM <hidden_size = 4, layout = 1> (x, w, r)", "float[N, T, 8] x", ("known", 0)),
        (
            LSTM + "t = Transpose <perm = [1, 0, 2]> (x) y = LSTM <hidden_size = 4> (t, w, r)",
            "float[N, T, 8] x",
            ("known", 2),
        ),
        ("y = Conv (x, w)", "float[N, 3, 8, 8] x, float[4, 3, 3, 3] w", ("unknown", None)),
        ("y = Add (x, h)", "float[N, 4] x, float[2, N, 4] h", ("known", 1)),
        ("y = Relu (x)", "float[7] x", ("unknown", None)),
        ("y = Relu (x)", "float[N] x", ("known", 0)),
        ("y = Relu (x)", "float x", ("none", None)),
    ],
)
def test_inputs(body: str, signature: str, expected: tuple[str, int | None]) -> None:
    assert outcome(body, signature) == expected


def test_quotients_of_lengths() -> None:
    assert Product(12, ("a", "b")).over(Product(4, ("b",))) == Product(3, ("a",))
    assert Product(12, ("a",)).over(Product(5)) is None
    assert Product(12, ("a",)).over(Product(1, ("b",))) is None
