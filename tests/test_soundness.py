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


UNARY = ("Relu", "Sigmoid", "Tanh", "Exp", "Log", "Sqrt", "Abs", "Neg", "Reciprocal", "Floor", "Softplus", "Identity")
BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sub", "Div")
REDUCING = ("ReduceMax", "ReduceMin", "ReduceMean", "ReduceSum", "ReduceL2", "ReduceSumSquare", "ReduceL1")
COMPARING = ("Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Equal")
KINDS = ("unary", "binary", "scalar", "reduce", "reduce", "softmax", "square", "transpose")
KINDS += ("guard", "clip", "linear", "channels", "variance", "exponentials", "complement", "halves")


@st.composite
def random_models(draw: Any) -> onnx.ModelProto:
    """A dozen nodes on float[3, 3], so that a wrong alignment still broadcasts; all values are outputs."""
    dtype = draw(st.sampled_from([onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16]))
    array = np.dtype(helper.tensor_dtype_to_np_dtype(dtype))
    constants = [numpy_helper.from_array(np.array(number, array), f"c{number}") for number in (0.0, 0.5, 1.0, 2.0)]
    constants.append(numpy_helper.from_array(np.array(1e-6, array), "eps"))
    constants += [numpy_helper.from_array(np.array([axis]), f"a{axis}") for axis in (0, 1, -1)]
    scalars = [tensor.name for tensor in constants[:5]]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    constants.append(numpy_helper.from_array(rng.choice([-2.0, -0.5, 0.0, 0.3, 1.0], (3, 3)).astype(array), "w"))
    constants.append(numpy_helper.from_array(rng.choice([-2.0, 0.0, 0.3, 1.0], 3).astype(array), "b"))
    constants.append(numpy_helper.from_array(np.array([1, 2]), "parts"))
    full, nodes = ["x"], []
    for place in range(draw(st.integers(3, 10))):
        out = f"v{place}"
        recent = st.sampled_from([*full[-3:], "x"])
        kind = draw(st.sampled_from(KINDS))
        if kind == "unary":
            nodes.append(helper.make_node(draw(st.sampled_from(UNARY)), [draw(recent)], [out]))
        elif kind == "binary":
            nodes.append(helper.make_node(draw(st.sampled_from(BINARY)), [draw(recent), draw(recent)], [out]))
        elif kind == "scalar":
            operands = draw(st.permutations([draw(recent), draw(st.sampled_from(scalars))]))
            nodes.append(helper.make_node(draw(st.sampled_from((*BINARY, "Pow"))), operands, [out]))
        elif kind == "softmax":
            nodes.append(helper.make_node("Softmax", [draw(recent)], [out], axis=draw(st.sampled_from([0, 1]))))
        elif kind == "square":
            one = draw(recent)
            nodes.append(helper.make_node("Mul", [one, one], [out]))
        elif kind == "transpose":
            nodes.append(helper.make_node("Transpose", [draw(recent)], [out]))
        elif kind == "reduce":
            nodes += reduced(draw, draw(recent), out)
        else:
            scalar = st.sampled_from(scalars)
            nodes += IDIOMS[kind](draw, draw(recent), out, draw(scalar), draw(recent))
        full.append(out)
    results = [helper.make_tensor_value_info(name, dtype, [3, 3]) for name in full[1:]]
    inputs = [helper.make_tensor_value_info("x", dtype, [3, 3])]
    graph = helper.make_graph(nodes, "g", inputs, results, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def reduced(draw: Any, source: str, out: str) -> list[onnx.NodeProto]:
    """A reduction of `source` and what is usually done with it: put back along the same axis, or along another."""
    op, axis = draw(st.sampled_from(REDUCING)), draw(st.sampled_from(["a0", "a1", "a-1"]))
    keep = draw(st.booleans())
    nodes = [helper.make_node(op, [source, axis], [f"{out}.r"], keepdims=int(keep))]
    small = f"{out}.r"
    if not keep and draw(st.booleans()):
        nodes.append(helper.make_node("Unsqueeze", [small, draw(st.sampled_from(["a0", "a1"]))], [f"{out}.u"]))
        small = f"{out}.u"
    if draw(st.booleans()):
        nodes.append(helper.make_node(draw(st.sampled_from(["Add", "Max"])), [small, "eps"], [f"{out}.e"]))
        small = f"{out}.e"
    if draw(st.booleans()):
        nodes.append(helper.make_node("Sqrt", [small], [f"{out}.s"]))
        small = f"{out}.s"
    last = draw(st.sampled_from(["Sub", "Div", "Mul", "Add"]))
    return [*nodes, helper.make_node(last, [source, small], [out])]


def nodes_of(*lines: str) -> list[onnx.NodeProto]:
    """Nodes from lines like `y = Op(a, b)`."""
    found = []
    for line in lines:
        results, _, call = line.partition(" = ")
        op, _, inputs = call.rstrip(")").partition("(")
        found.append(helper.make_node(op, inputs.split(", "), results.split(", ")))
    return found


def guard(draw: Any, x: str, out: str, scalar: str, y: str) -> list[onnx.NodeProto]:
    """A choice between values that a comparison with one of them makes, bare or behind a function."""
    one = draw(st.sampled_from([x, f"{out}.f"]))
    other = draw(st.sampled_from([scalar, y, x]))
    function, order = draw(st.sampled_from(UNARY)), draw(st.sampled_from(COMPARING))
    lines = [f"{out}.f = {function}({x})", f"{out}.c = {order}({x}, {draw(st.sampled_from([scalar, y]))})"]
    condition = f"{out}.c"
    if draw(st.booleans()):
        lines.append(f"{out}.n = Not({condition})")
        condition = f"{out}.n"
    if draw(st.booleans()):
        lines += [f"{out}.d = {draw(st.sampled_from(COMPARING))}({y}, {scalar})"]
        lines += [f"{out}.a = {draw(st.sampled_from(['And', 'Or']))}({condition}, {out}.d)"]
        condition = f"{out}.a"
    branches = draw(st.permutations([one, other]))
    return nodes_of(*lines, f"{out} = Where({condition}, {branches[0]}, {branches[1]})")


def clip(draw: Any, x: str, out: str, scalar: str, y: str) -> list[onnx.NodeProto]:
    return nodes_of(f"{out} = Clip({x}, {scalar}, {draw(st.sampled_from(['c1.0', 'c2.0', 'eps']))})")


def linear(draw: Any, x: str, out: str, scalar: str, y: str) -> list[onnx.NodeProto]:
    """A layer with its bias."""
    product = draw(st.sampled_from([f"MatMul({x}, w)", f"MatMul(w, {x})", f"Gemm({x}, w, b)", f"MatMul({x}, {y})"]))
    return nodes_of(f"{out}.p = {product}", f"{out} = Add({out}.p, b)")


def channels(draw: Any, x: str, out: str, scalar: str, y: str) -> list[onnx.NodeProto]:
    """A scale for each channel, and what keeps channels apart."""
    op, after = draw(st.sampled_from(BINARY)), draw(st.sampled_from(["Relu", "Transpose", "Sigmoid", "Exp", "Neg"]))
    pair = draw(st.sampled_from([f"{x}, b", f"b, {x}"]))
    return nodes_of(f"{out}.s = {op}({pair})", f"{out} = {after}({out}.s)")


def variance(draw: Any, x: str, out: str, scalar: str, y: str) -> list[onnx.NodeProto]:
    """E[x²] - E[x]²."""
    return nodes_of(
        f"{out}.q = Mul({x}, {x})",
        f"{out}.m = ReduceMean({x}, a1)",
        f"{out}.e = ReduceMean({out}.q, a1)",
        f"{out}.r = Mul({out}.m, {out}.m)",
        f"{out}.v = Sub({out}.e, {out}.r)",
        f"{out} = {draw(st.sampled_from(['Add', 'Max', 'Div']))}({x}, {out}.v)",
    )


def exponentials(draw: Any, x: str, out: str, scalar: str, y: str) -> list[onnx.NodeProto]:
    """log sum exp, whole or in parts."""
    axis = draw(st.sampled_from(["a0", "a1"]))
    if draw(st.booleans()):
        return nodes_of(f"{out}.l = ReduceLogSumExp({x}, {axis})", f"{out} = Sub({x}, {out}.l)")
    return nodes_of(
        f"{out}.m = ReduceMax({x}, {axis})",
        f"{out}.d = Sub({x}, {out}.m)",
        f"{out}.e = Exp({out}.d)",
        f"{out}.s = ReduceSum({out}.e, {axis})",
        f"{out}.l = Log({out}.s)",
        f"{out}.t = Add({out}.m, {out}.l)",
        f"{out} = Sub({x}, {out}.t)",
    )


def complement(draw: Any, x: str, out: str, scalar: str, y: str) -> list[onnx.NodeProto]:
    return nodes_of(f"{out}.p = Sigmoid({x})", f"{out}.c = Sub(c1.0, {out}.p)", f"{out} = Mul({out}.p, {out}.c)")


def halves(draw: Any, x: str, out: str, scalar: str, y: str) -> list[onnx.NodeProto]:
    """Cut along one axis, one part changed, glued again."""
    axis = draw(st.sampled_from([0, 1]))
    parts = [f"{out}.1", f"{out}.2"]
    split = helper.make_node("Split", [x, "parts"], parts, axis=axis)
    changed = nodes_of(f"{out}.3 = {draw(st.sampled_from(UNARY))}({out}.1)")
    return [split, *changed, helper.make_node("Concat", [f"{out}.3", f"{out}.2"], [out], axis=axis)]


IDIOMS = {each.__name__: each for each in (guard, clip, linear, channels, variance, exponentials, complement, halves)}


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
