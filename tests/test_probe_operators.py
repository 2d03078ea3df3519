"""Operators as torch runs them: held against ONNX's own cases, and whole models against ONNX Runtime."""

# ruff: noqa: E402
from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

torch: Any = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from netlint.analysis import Unavailable
from netlint.frontends.onnx import load_bytes
from netlint.graph import Value
from netlint.ops import RANDOM
from netlint.probe.torch.control import BODIES
from netlint.probe.torch.execution import Execution
from netlint.probe.torch.operators import FUNCTIONS
from tests.executed import executed, operator_cases

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures" / "onnx").glob("*.onnx"))
torch.set_num_threads(1)

UNTRIED = {
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),  # no result to compare with
    *("torch.mse_loss", "torch.l1_loss", "torch.smooth_l1_loss", "torch.huber_loss"),  # torch's own functions
}


NUMBERS = {
    np.dtype(kind) for kind in (*("float32", "float64", "float16", "bool"), *("int64", "int32", "int8", "uint8"))
}


def _cases() -> list[Any]:
    """With results that do not depend on chance, of types of numbers that torch computes with."""
    return [case for case in operator_cases() if _is_tried(case)]


def _is_tried(case: Any) -> bool:
    drawn = "bernoulli" in case.name or "training_dropout" in case.name
    arrays = [array for given, expected in case.data_sets for array in (*given, *expected)]
    known = all(node.op_type in FUNCTIONS or node.op_type in BODIES for node in case.model.graph.node)
    return known and not drawn and all(getattr(array, "dtype", None) in NUMBERS for array in arrays)


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case.name)
def test_operator(case: Any) -> None:
    for given, expected in case.data_sets:
        try:
            execution = Execution(load_bytes(case.model.SerializeToString()))
            found = execution(*[torch.from_numpy(np.array(array)) for array in given])
        except Unavailable as why:  # one of the ways of ONNX that torch has no function for
            pytest.skip(str(why))
        for tensor, array in zip(found, expected, strict=True):
            _same(tensor, np.asarray(array))


def _same(tensor: Any, array: Any) -> None:
    ours = tensor.detach().numpy()
    rough = array.dtype == np.float16
    assert (ours.shape, ours.dtype) == (array.shape, array.dtype)
    np.testing.assert_allclose(ours, array, rtol=1e-2 if rough else 1e-3, atol=1e-2 if rough else 1e-5)


def test_each_operator_has_cases() -> None:
    tried = {node.op_type for case in _cases() for node in case.model.graph.node}
    assert set(FUNCTIONS) - tried == UNTRIED


@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.stem)
def test_models_compute_what_they_do_in_the_runtime(file: Path) -> None:
    made = executed(file)
    if made is None or made.graph.of(*RANDOM):
        pytest.skip("the runtime does not run it, or not twice alike")
    inputs = made.inputs({})
    try:
        execution = Execution(made.graph)
        expected = {value: array for value, array in made.run(inputs) if array.dtype.kind == "f"}
    except Exception as why:
        pytest.skip(f"not run: {why}")
    seen: dict[Value, Any] = {}
    execution.see = lambda node, value, tensor: seen.update({value: tensor.detach().numpy()})
    execution(*[torch.from_numpy(inputs[value.name]) for value in made.graph.inputs])
    for value, array in expected.items():
        size = float(np.abs(array).max(initial=1e-3, where=np.isfinite(array)))
        rough = 10.0 if array.dtype == np.float16 else 1.0
        np.testing.assert_allclose(seen[value], array, rtol=1e-3, atol=1e-4 * size * rough, err_msg=value.name)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_both_kinds_of_a_gru_are_those_of_the_runtime(direction: str) -> None:
    import onnxruntime

    ways = 2 if direction == "bidirectional" else 1
    rng = np.random.default_rng(0)
    sizes = {"w": (ways, 12, 3), "r": (ways, 12, 4), "b": (ways, 24), "h": (ways, 2, 4)}
    held = {name: rng.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
    x = rng.standard_normal((5, 2, 3)).astype(np.float32)
    for before in (0, 1):
        options = {"hidden_size": 4, "direction": direction, "linear_before_reset": before}
        node = onnx.helper.make_node("GRU", ["x", "w", "r", "b", "", "h"], ["y", "last"], **options)
        model = _model([node], held, {"x": (5, 2, 3)}, ["y", "last"])
        expected = onnxruntime.InferenceSession(model).run(None, {"x": x})
        execution = Execution(load_bytes(model))
        found = execution(torch.from_numpy(x))
        for tensor, array in zip(found, expected, strict=True):
            np.testing.assert_allclose(tensor.detach().numpy(), array, rtol=1e-4, atol=1e-5)
        found[0].square().sum().backward()
        assert all(float(weight.grad.abs().sum()) > 0 for weight in execution.parameters())


def test_gradients_pass_loops() -> None:
    made = onnx.helper.make_node
    info = partial(onnx.helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT, shape=None)
    flag = onnx.helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, [])
    step = onnx.helper.make_tensor_value_info("step", onnx.TensorProto.INT64, [])
    nodes = [made("Identity", ["go"], ["on"]), made("MatMul", ["h", "w"], ["p"]), made("Tanh", ["p"], ["n"])]
    outs = [onnx.helper.make_tensor_value_info("on", onnx.TensorProto.BOOL, []), info("n"), info("p")]
    body = onnx.helper.make_graph(nodes, "body", [step, flag, info("h")], outs)
    loop = made("Loop", ["steps", "", "x"], ["last", "all"], body=body)
    w = np.eye(3, dtype=np.float32) * 0.5
    model = _model([loop], {"w": w, "steps": np.array(4)}, {"x": (2, 3)}, ["last", "all"])
    execution = Execution(load_bytes(model))
    x = torch.ones(2, 3, requires_grad=True)
    last, every = execution(x)
    expected = torch.ones(2, 3)
    for _ in range(4):
        expected = torch.tanh(expected * 0.5)
    torch.testing.assert_close(last, expected)
    assert every.shape == (4, 2, 3)
    last.sum().backward()
    assert float(x.grad.abs().min()) > 0
    assert float(dict(execution.named_parameters())["w"].grad.abs().sum()) > 0


def _model(nodes: list[Any], held: dict[str, Any], given: dict[str, tuple[int, ...]], outputs: list[str]) -> bytes:
    floats = onnx.TensorProto.FLOAT
    ins = [onnx.helper.make_tensor_value_info(name, floats, shape) for name, shape in given.items()]
    outs = [onnx.helper.make_tensor_value_info(name, floats, None) for name in outputs]
    stored = [onnx.numpy_helper.from_array(array, name) for name, array in held.items()]
    graph = onnx.helper.make_graph(nodes, "net", ins, outs, stored)
    opset = [onnx.helper.make_opsetid("", 17)]
    made: bytes = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
    return made
