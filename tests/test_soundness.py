"""What execution shows lies inside what `ranges` inferred: for every operator of its table, and for random graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from netlint.analyses.ranges import TRANSFER, Range, Ranges, ranges, training_ranges
from netlint.analyses.ranges.table import WITH_BODIES
from netlint.analysis import Results
from netlint.frontends.onnx import load_bytes
from netlint.graph import Graph
from netlint.training import Interval, Known, Training

from . import soundness_cases, soundness_more
from .soundness_graphs import random_models
from .soundness_specs import C, Case, N, Spec, W, X

CASES = soundness_cases.CASES | soundness_more.CASES
UNTESTABLE = soundness_cases.UNTESTABLE | soundness_more.UNTESTABLE
Array = np.ndarray[Any, Any]
ENDS = (-1e20, -300.0, -20.0, -3.0, -1.0, -0.5, -1e-3, 0.0, 1e-6, 0.25, 1.0, 2.0, 7.0, 100.0, 1e20)

OVERSHOOTING = ("Tanh", "GRU", "RNN", "LSTM")
"""Operators whose implementations pass their asymptotes by some units in the last place."""

onnxruntime.set_default_logger_severity(4)
SETTINGS = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@st.composite
def intervals(draw: Any, within: tuple[float, float] = (-1e20, 1e20)) -> tuple[float, float]:
    """A contract: two ends, often round numbers, sometimes any."""
    ends = [end for end in ENDS if within[0] <= end <= within[1]]
    end = st.sampled_from(ends) | st.floats(*np.float32(within).tolist(), width=32, allow_subnormal=False)
    lo, hi = sorted((draw(end), draw(end)))
    return float(np.float32(lo)), float(np.float32(hi))


def elements(rng: np.random.Generator, shape: tuple[int, ...], lo: float, hi: float) -> Array:
    """Random floats of [lo, hi]: half of them uniform, the others the ends, zeros of both signs, near the ends."""
    uniform = lo + rng.random(shape) * (hi - lo)
    special = rng.choice(np.array([lo, hi, 0.0, -0.0, lo / 2 + hi / 2, lo * 0.999, hi * 0.999, 1e-3]), shape)
    mixed = np.where(rng.random(shape) < rng.choice([0.2, 0.5, 1.0]), uniform, special)
    return np.clip(mixed, lo, hi).astype(np.float32)


def fill(spec: Spec, rng: np.random.Generator, contract: tuple[float, float]) -> Array:
    if isinstance(spec, X):
        return elements(rng, spec.shape, *contract)
    if isinstance(spec, W):
        return elements(rng, spec.shape, spec.lo, spec.hi)
    if isinstance(spec, C):
        return np.array(spec.value, spec.dtype)
    return rng.integers(spec.lo, spec.hi, spec.shape, endpoint=True).astype(spec.dtype)


def one_node(op: str, case: Case, attributes: dict[str, Any], arrays: list[Array | None]) -> onnx.ModelProto:
    """A model of that node alone; X and N are inputs, C and W constants."""
    names = ["" if array is None else f"i{place}" for place, array in enumerate(arrays)]
    outputs = [f"o{place}" for place in range(case.outputs)]
    inputs, constants = [], []
    for name, spec, array in zip(names, case.inputs, arrays, strict=True):
        if array is None:
            continue
        if isinstance(spec, X | N):
            dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
            inputs.append(helper.make_tensor_value_info(name, dtype, array.shape))
        else:
            constants.append(numpy_helper.from_array(array, name))
    domain, _, name = op.rpartition("::")
    node = helper.make_node(name, names, outputs, domain=domain, **attributes)
    results = [helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = helper.make_graph([node], "g", inputs, results, constants)
    opsets = [helper.make_opsetid("", case.opset), helper.make_opsetid("com.microsoft", 1)]
    return onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets, ir_version=10))


def execute(model: onnx.ModelProto, feeds: dict[str, Array]) -> list[Any]:
    """The outputs as onnxruntime computes them; where it lacks the operator, as onnx's reference does."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return list(session.run(None, feeds))
    except Exception:
        with np.errstate(all="ignore"):
            return list(ReferenceEvaluator(model).run(None, feeds))


def infer(model: onnx.ModelProto, contract: tuple[float, float] | None) -> tuple[Graph, Ranges, Ranges]:
    """The graph, its ranges with stored weights, and with any."""
    stated = {} if contract is None else {"input_range": Known(Interval(*contract), "test")}
    graph = load_bytes(model.SerializeToString())
    results = Results(graph, Training(**stated))
    return graph, results.get(ranges), results.get(training_ranges)


def check_all(graph: Graph, found: Ranges, observed: list[Any], overshoot: bool = False) -> None:
    """Every output lies in its range and in those of its channels."""
    for value, result in zip(graph.outputs, observed, strict=True):
        array = np.asarray(result)
        check(found.of(value), array, found.sums_to_one(value), overshoot)
        lanes = found.channels(value)
        if lanes is not None and array.dtype.kind == "f":
            places = np.moveaxis(array, lanes.axis, -1).reshape(-1, lanes.lo.size)
            inside = np.isnan(places) | ((lanes.lo <= places) & (places <= lanes.hi))
            assert inside.all() or overshoot, f"{places[~inside.all(axis=1)]} outside {lanes}"


def check(found: Range, observed: Array, sums: tuple[int, ...] | None = None, overshoot: bool = False) -> None:
    """Every element lies in the range, NaN and wholeness included; `overshoot` allows what `Range.contains` does."""
    if observed.dtype.kind not in "fiub" or observed.size == 0:
        return
    numbers = observed[~np.isnan(observed)] if observed.dtype.kind == "f" else observed
    assert found.nan or numbers.size == observed.size, f"NaN outside {found!r}"
    if numbers.size:
        ends = float(numbers.min()), float(numbers.max())
        inside = all(map(found.contains, ends)) if overshoot else found.lo <= ends[0] and ends[1] <= found.hi
        assert inside, f"[{float(numbers.min())!r}, {float(numbers.max())!r}] outside {found!r}"
    finite = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers
    assert not found.integral or (finite == np.floor(finite)).all(), f"fractions in {found!r}"
    if sums is not None and numbers.size == observed.size:
        assert np.allclose(observed.sum(axis=sums, dtype=np.float64), 1, atol=1e-3), f"no sum of 1 along {sums}"


def test_every_operator_of_the_table_has_a_case() -> None:
    taught = {op for op in (*TRANSFER, *WITH_BODIES) if not op.startswith("torch.")}  # these are in test_ranges_torch
    assert taught == {*CASES, *UNTESTABLE}


@pytest.mark.parametrize("op", sorted(CASES))
def test_observed_inside_inferred(op: str) -> None:
    @settings(SETTINGS, max_examples=8 * min(len(CASES[op]), 4))
    @given(st.data(), st.integers(0, 2**32 - 1))
    def run(data: Any, seed: int) -> None:
        rng = np.random.default_rng(seed)
        case = data.draw(st.sampled_from(CASES[op]))
        contract = data.draw(intervals(case.within))
        arrays = [None if spec is None else fill(spec, rng, contract) for spec in case.inputs]
        if case.text:
            model = onnx.parser.parse_model(case.text)
            feeds = {"x": arrays[0]}
        else:
            model = one_node(op, case, dict(data.draw(st.sampled_from(case.attrs))), arrays)
            inputs = {info.name for info in model.graph.input}
            feeds = {f"i{place}": array for place, array in enumerate(arrays) if f"i{place}" in inputs}
        observed = execute(model, feeds)
        for stated in (contract, None):
            graph, *both = infer(model, stated)
            for found in both:
                check_all(graph, found, observed, op in OVERSHOOTING)

    run()


@settings(SETTINGS, max_examples=400)
@given(random_models(), intervals((-300.0, 300.0)), st.integers(0, 2**32 - 1))
def test_random_graphs_stay_inside(model: onnx.ModelProto, contract: tuple[float, float], seed: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    x = elements(np.random.default_rng(seed), (3, 3), *contract).astype(dtype)
    x = np.clip(x, *contract).astype(dtype)
    observed = execute(model, {"x": x})
    for stated in (contract, None):
        graph, *both = infer(model, stated)
        for found in both:
            check_all(graph, found, observed)
