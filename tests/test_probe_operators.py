"""Operators as torch runs them: held against ONNX's own cases, and whole models against ONNX Runtime."""

# ruff: noqa: E402
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from netlint.analysis import Unavailable
from netlint.frontends.onnx import load_bytes
from netlint.graph import Value
from netlint.ops import RANDOM
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
    known = all(node.op_type in FUNCTIONS or node.op_type == "If" for node in case.model.graph.node)
    return known and not drawn and all(getattr(array, "dtype", None) in NUMBERS for array in arrays)


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case.name)
def test_operator(case: Any) -> None:
    execution = Execution(load_bytes(case.model.SerializeToString()))
    for given, expected in case.data_sets:
        try:
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
