"""What is said of stored weights, held against numpy; and that a pass over them stays within bounds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from netlint.analyses import _weights_scan
from netlint.analyses._weights_batch import scan_together
from netlint.analyses._weights_scan import CHUNK, scan
from netlint.analyses.parameters import parameters
from netlint.analyses.weights import Weights, real_weights, weights
from netlint.analysis import Results, Unavailable
from netlint.frontends.onnx import load, load_text
from netlint.graph import Graph, Node, TensorUnreadable, Value
from netlint.training import Training

Array = np.ndarray[Any, Any]


class Stored:
    """A tensor whose bytes are those of an array; counts how often it is read."""

    def __init__(self, array: Array, dtype: str | None = None, unreadable: bool = False) -> None:
        self.array = array
        self.dtype = dtype or str(array.dtype)
        self.reads = 0
        self.unreadable = unreadable
        self.storage = id(array)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    def load(self) -> Array:
        raise AssertionError("weights are read in parts, not whole")

    def chunks(self, nbytes: int) -> Iterator[Array]:
        if self.unreadable:
            raise TensorUnreadable("the file is not there")
        self.reads += 1
        step = max(nbytes // self.array.itemsize, 1)
        flat = self.array.reshape(-1)
        for start in range(0, flat.size, step):
            yield flat[start : start + step].copy()


def known(*tensors: Stored) -> tuple[Weights, list[Value]]:
    values = [Value(f"w{index}", tensor.dtype, tensor.shape, tensor) for index, tensor in enumerate(tensors)]
    node = Node("Concat", values, [Value("y")], None)  # type: ignore[arg-type]
    graph = Graph(inputs=(), outputs=node.outputs, nodes=(node,), opset={"": 21})  # type: ignore[arg-type]
    return Results(graph, Training()).get(weights), values


ELEMENTS: dict[np.dtype[Any], st.SearchStrategy[float]] = {
    np.dtype("f2"): st.floats(width=16),
    np.dtype("f4"): st.floats(width=32),
    np.dtype("f8"): st.floats(),
}


@st.composite
def floats(draw: st.DrawFn) -> Array:
    dtype: np.dtype[Any] = draw(st.sampled_from(list(ELEMENTS)))
    few = st.sampled_from([0.0, -0.0, 0.5, -0.5, 2.0])
    return draw(arrays(dtype, array_shapes(max_side=5), elements=draw(st.sampled_from([ELEMENTS[dtype], few]))))


@pytest.fixture(params=["whole", "in parts"], scope="module")
def sizes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Small tensors are read in one part, on a way of their own: here both ways see the same tensors."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "in parts":
            patch.setattr(_weights_scan, "_SMALL", 0)
        yield


@pytest.mark.usefixtures("sizes")
@settings(max_examples=300, deadline=None)
@given(floats())
def test_statistics_are_those_of_numpy(array: Array) -> None:
    stats = scan(Stored(array))
    for differ, axis in ((stats.rows_differ, 0), (stats.columns_differ, -1)):
        slices = np.moveaxis(array, axis, 0)
        assert not differ or len({part.tobytes() for part in slices}) == len(slices)
    finite = array[~np.isnan(array)]
    assert (stats.nan, stats.inf) == (int(np.isnan(array).sum()), int(np.isinf(array).sum()))
    assert stats.zero == bool(np.all(array == 0))
    assert stats.constant == bool(np.all(array == array.reshape(-1)[0]))
    if finite.size:
        assert (stats.lo, stats.hi) == (float(finite.min()), float(finite.max()))
    else:
        assert stats.lo > stats.hi


@pytest.mark.usefixtures("sizes")
@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=6))
def test_bfloat16_is_read_from_its_bits(bits: list[int]) -> None:
    array = np.array(bits, dtype=np.uint16)
    as_float = (array.astype(np.uint32) << 16).view(np.float32)
    got, expected = scan(Stored(array, "bfloat16")), scan(Stored(as_float))
    assert got == expected


@pytest.mark.usefixtures("sizes")
@settings(deadline=None)
@given(st.integers(2, 40), st.integers(1, 130), st.integers(0, 1), st.data())
def test_equal_units_are_found_along_either_axis(units: int, inputs: int, axis: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(3)
    array = rng.normal(size=(units, inputs)).astype(np.float32)
    first = data.draw(st.integers(0, units - 1))
    copies = data.draw(st.sets(st.integers(0, units - 1), max_size=4)) | {first}
    for unit in copies:
        array[unit] = array[first]
    stored = Stored(array if axis == 0 else np.ascontiguousarray(array.T))
    stats, (value,) = known(stored)
    expected = [tuple(sorted(copies))] if len(copies) > 1 and inputs > 1 else []
    assert stats.equal_units(value, axis) == expected


def test_pruned_and_binary_units_are_not_called_equal() -> None:
    array = np.array([[0, 0, 0], [0, 0, 0], [1, -1, 1], [1, -1, 1]], dtype=np.float32)
    stats, (value,) = known(Stored(array))
    assert stats.equal_units(value, 0) == []


def test_runs_of_an_axis_belong_to_units() -> None:
    array = np.array([[1, 2, 1, 2, 3, 4], [5, 6, 5, 6, 7, 8]], dtype=np.float32)
    stats, (value,) = known(Stored(array))
    keys = stats.unit_keys(value, 1, 3, (0, 1, 2))
    assert keys is not None
    assert keys[0] == keys[1] != keys[2]
    assert stats.unit_keys(value, 1, 4, (0, 1)) is None


def test_each_storage_is_read_once() -> None:
    stored = Stored(np.arange(4096, dtype=np.float32).reshape(4, 1024))
    stats, (one, other) = known(stored, stored)
    assert stats.bounds(one) == stats.bounds(other) == (0, 4095)
    assert stats.equal_units(one, 0) == []
    assert stored.reads == 1


def test_nothing_but_floats_is_read() -> None:
    stored = Stored(np.zeros((2, 2), dtype=np.int8))
    stats, (value,) = known(stored)
    assert stats.of(value) is None
    assert stored.reads == 0


def test_unreadable_weights_are_unknown_and_listed() -> None:
    stats, (value,) = known(Stored(np.zeros((2, 2), dtype=np.float32), unreadable=True))
    assert stats.of(value) is None
    assert stats.bounds(value) is None
    assert stats.unreadable == {value: "the file is not there"}


def test_memory_is_bounded() -> None:
    stored = Stored(np.zeros((64, 1 << 18), dtype=np.float32))
    scan(Stored(np.zeros(1, dtype=np.float32)))
    tracemalloc.start()
    scan(stored)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * CHUNK < stored.nbytes / 8


FILLS = """g (float[N, 2] x) => (float[N, 2] y) <int64[2] s = {{2, 2}}> {{
    a = ConstantOfShape <value = float[1] {{{value}}}> (s)
    b = ConstantOfShape <value = float[1] {{{value}}}> (s)
    c = ConstantOfShape <value = float[1] {{{value}}}> (s)
    h = MatMul(x, a)
    i = MatMul(h, b)
    y = MatMul(i, c)
}}"""


def test_weights_that_are_all_fills_are_placeholders() -> None:
    results = Results(load_text(FILLS.format(value="0.02")), Training())
    with pytest.raises(Unavailable, match="placeholders"):
        results.get(real_weights)
    results.get(weights)


def test_weights_that_are_all_zero_are_no_placeholders() -> None:
    results = Results(load_text(FILLS.format(value="0")), Training())
    found = results.get(real_weights)
    weight = results.graph.of("MatMul")[0].input(1)
    assert found.filled(weight)
    stats = found.of(weight)
    assert stats is not None
    assert stats.zero


def test_models_without_weights_are_placeholders(light_models: list[Path]) -> None:
    for path in light_models:
        with pytest.raises(Unavailable, match="placeholders"):
            Results(load(path), Training()).get(real_weights)


def test_a_transposed_weight_is_read_where_it_is_stored() -> None:
    graph = load_text(
        """g (float[N, 3] x) => (float[N, 2] y) <float[2, 3] w = {0.1, 0.2, 0.3, 0.1, 0.2, 0.3}> {
            t = Transpose(w)
            y = MatMul(x, t)
        }"""
    )
    results = Results(graph, Training())
    weight = graph.of("MatMul")[0].input(1)
    assert weight is not None
    assert results.get(parameters).constant(weight)
    assert results.get(weights).equal_units(weight, 1) == [(0, 1)]


@settings(deadline=None, max_examples=60)
@given(st.lists(array_shapes(max_dims=3, max_side=5), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_weights_read_together_have_the_statistics_of_each(shapes: list[tuple[int, ...]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = [rng.integers(-2, 3, size=shape).astype(np.float32) for shape in shapes for _ in range(3)]
    made[0].reshape(-1)[0] = np.nan
    values = [Value(str(nth), "float32", array.shape, Stored(array)) for nth, array in enumerate(made)]
    together = scan_together(values)
    assert values[0] not in together  # to be looked at on its own
    for value, array in zip(values[1:], made[1:], strict=True):
        got, alone = together[value], scan(Stored(array))
        assert (got.lo, got.hi, got.nan, got.inf) == (alone.lo, alone.hi, 0, 0)
        for differ, axis in ((got.rows_differ, 0), (got.columns_differ, -1)):
            slices = np.moveaxis(array, axis, 0)
            assert not differ or len({part.tobytes() for part in slices}) == len(slices)


@pytest.mark.parametrize(("steps", "made_of"), [(1, "w"), (400, "w"), (1200, None)])
def test_a_computed_weight_is_made_of_the_one_it_is_computed_of(steps: int, made_of: str | None) -> None:
    """However many steps do it; behind a chain over all layers of a deep model nobody looks it up for each of them."""
    chain = "\n".join(f"w{at + 1} = Mul({f'w{at}' if at else 'w'}, s)" for at in range(steps))
    graph = load_text(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N, 2] x) => (float[N, 3] y)'
        f" <float[2, 3] w = {{1, 2, 3, 4, 5, 6}}, float[1] s = {{2}}, float[2, 3] w{steps}>"
        f" {{ {chain} y = MatMul(x, w{steps}) }}"
    )
    found = Results(graph, Training()).get(parameters).parameter(graph.nodes[-1].inputs[1])
    assert (found.name if found else None) == made_of
