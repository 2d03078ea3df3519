"""Random graphs for test_soundness: arithmetic, reductions, and the idioms that relations are for."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper, numpy_helper

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
