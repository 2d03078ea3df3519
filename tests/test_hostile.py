"""Attributes, shapes and constants that make no sense: a report, and no rule that crashes.

What doubles at each node would never end, or fill the memory, where it is not bounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from netlint.engine import lint
from netlint.frontends.onnx import load_bytes
from netlint.registry import load_rules
from netlint.training import parse_training
from tests.onnx_models import FLOAT, info

RULES = load_rules()
STATED = {"stage": "init", "loss": "mse_loss", "targets": [-1, 1]}
HUGE = 2**40
Call = tuple[str, list[str], dict[str, Any]]

NONSENSE: dict[str, tuple[list[Call], dict[str, Any]]] = {
    "expand": ([("Expand", ["x", "c"], {}), ("Softmax", ["h0"], {})], {"c": [HUGE, 2, 4]}),
    "fill": ([("ConstantOfShape", ["c"], {}), ("Add", ["x", "h0"], {})], {"c": [2**31, 2, 4]}),
    "tile": ([("Tile", ["w", "c"], {}), ("MatMul", ["x", "h0"], {})], {"c": [2**20, 2**20]}),
    "pad": ([("Pad", ["x", "c"], {})], {"c": [HUGE, HUGE, 2**60, 2**62]}),
    "reshape": ([("Reshape", ["x", "c"], {"allowzero": 5})], {"c": [-1, -1, 0, 2**62, -7]}),
    "slice": ([("Slice", ["x", "a", "b", "c", "z"], {})], {"a": [-(2**63)], "b": [2**63 - 1], "c": [9], "z": [0]}),
    "range": ([("Range", ["a", "b", "z"], {}), ("Mul", ["h0", "h0"], {})], {"a": 0, "b": 2**50, "z": 0}),
    "gather": ([("Gather", ["w", "c"], {"axis": 7}), ("GatherND", ["w", "c"], {"batch_dims": 9})], {"c": [-99, HUGE]}),
    "einsum": ([("Einsum", ["x", "w"], {"equation": "i...j,,->"}), ("Einsum", ["h0"], {"equation": "❄"})], {}),
    "split": ([("Split", ["x", "c"], {"axis": 44, "num_outputs": 10**9})], {"c": [-1, 7]}),
    "pool": ([("MaxPool", ["x"], {"kernel_shape": [HUGE, HUGE], "strides": [2**62, 0]})], {}),
    "conv": ([("Conv", ["x", "w"], {"strides": [0, 0], "group": 0, "dilations": [-1, 0], "pads": [-99, 1]})], {}),
    "gru": ([("GRU", ["x", "w", "w"], {"hidden_size": -4, "direction": "sideways", "activations": ["No"]})], {}),
    "lstm": ([("LSTM", ["x", "w", "w"], {"hidden_size": 10**15})], {}),
    "attention": ([("Attention", ["x", "x", "x"], {"q_num_heads": 0, "kv_num_heads": -1})], {}),
    "norms": (
        [
            ("LayerNormalization", ["x", "w"], {"axis": 99, "epsilon": float("nan")}),
            ("GroupNormalization", ["h0", "w", "w"], {"num_groups": 0}),
        ],
        {},
    ),
    "layout": (
        [
            ("DepthToSpace", ["x"], {"blocksize": 0}),
            ("Transpose", ["h0"], {"perm": [5, 5, -1]}),
            ("Concat", ["h1", "h1"], {"axis": -77}),
        ],
        {},
    ),
    "top": ([("TopK", ["x", "c"], {"axis": 9}), ("ReduceSum", ["h0", "a"], {})], {"c": [-5], "a": [77]}),
    "scan": ([("Scan", ["x"], {"num_scan_inputs": 10**12})], {}),
    "no body": ([("Loop", ["c", "", "x"], {}), ("If", ["h0"], {"then_branch": 3, "else_branch": "no"})], {"c": 3}),
    "squares": ([("Mul", [f"h{i - 1}" if i else "c"] * 2, {}) for i in range(80)], {"c": 3.0}),
    "doubling": ([("Concat", [f"h{i - 1}" if i else "c"] * 2, {"axis": 0}) for i in range(40)], {"c": [3]}),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_reported_or_left_alone(name: str) -> None:
    calls, constants = NONSENSE[name]
    nodes = [helper.make_node(op, inputs, [f"h{nth}"], **attrs) for nth, (op, inputs, attrs) in enumerate(calls)]
    nodes.append(helper.make_node("Add", ["x", f"h{len(calls) - 1}"], ["y"]))
    stored = {"w": np.eye(4, dtype=np.float32)} | {key: np.array(value) for key, value in constants.items()}
    tensors = [numpy_helper.from_array(array, key) for key, array in stored.items()]
    graph = helper.make_graph(nodes, "g", [info("x", (2, 4), FLOAT)], [info("y", None)], tensors)
    model = helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
    report = lint(load_bytes(model.SerializeToString()), RULES.values(), parse_training(STATED, lambda key: key))
    assert report.crashed == ()
