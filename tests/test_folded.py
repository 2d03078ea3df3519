"""Whether a norm was folded into a layer is told from the names that exporters give to weights and modules."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper

from netlint.analyses.folded import folded
from netlint.analyses.layers import layers
from netlint.analyses.paths import paths
from netlint.analysis import Results
from netlint.engine import lint
from netlint.frontends.onnx import load_bytes
from netlint.registry import load_rules
from netlint.training import parse_training
from tests.onnx_models import info

SCOPES = "pkg.torch.onnx.name_scopes"
RULES = "pkg.onnxscript.rewriter.rule_name"
NORM = "['', 'body', 'body.1', 'batch_norm']"


def results(op: str, name: str, weight: str, scopes: str = "", count: int = 1) -> Results:
    """Rows of a layer and a Tanh."""
    shape = [2, 2, 1, 1] if op == "Conv" else [2, 2]
    row = []
    for place in range(count):
        row += [helper.make_node(op, [f"x{place}", weight], [f"h{place}"], name)]
        row += [helper.make_node("Tanh", [f"h{place}"], [f"x{place + 1}"])]
        row[-2].metadata_props.add(key=SCOPES, value=scopes)
        if scopes == NORM:
            row[-2].metadata_props.add(key=RULES, value=f"FuseBatchNormInto{op}, RemoveOptionalBiasFrom{op}")
    stored = numpy_helper.from_array(np.eye(2, dtype=np.float32).reshape(shape), weight)
    data = [1, 2, 4, 4][: len(shape)]
    graph = helper.make_graph(row, "g", [info("x0", data)], [info(f"x{count}", data)], [stored])
    return Results(load_bytes(helper.make_model(graph).SerializeToString()), parse_training({}, lambda name: name))


@pytest.mark.parametrize(
    ("op", "name", "weight", "scopes", "wanted"),
    [
        ("Conv", "/body/body.0/Conv", "body.0.weight", "", False),
        ("Conv", "/body/body.0/Conv", "onnx::Conv_153", "", True),
        ("Conv", "node_Conv_1", "body.0.weight", "['', 'body', 'body.0', 'conv2d']", False),
        ("Conv", "node_Conv_1", "body.0.weight", NORM, True),
        ("Conv", "node_Conv_1", "val_7", "['', 'body', 'body.0', 'conv2d']", True),
        ("Conv", "Conv_1", "w", "", None),
        ("Gemm", "node_Gemm_1", "body.0.weight", NORM, True),
        ("Gemm", "node_Gemm_1", "body.0.weight", "['', 'body', 'body.0', 'linear']", None),
        ("Gemm", "node_Gemm_1", "val_7", "['', 'body', 'body.0', 'linear']", None),
        ("Gemm", "node_Gemm_1", "wte.embed.weight", "['', 'head', 'linear']", None),
    ],
)
def test_names_tell_of_a_folded_norm(op: str, name: str, weight: str, scopes: str, wanted: bool | None) -> None:
    (layer,) = results(op, name, weight, scopes).get(layers).all
    assert folded(layer) is wanted


def test_a_layer_with_a_folded_norm_stands_where_its_weight_belongs() -> None:
    (layer,) = results("Conv", "node_Conv_1", "body.0.weight", NORM).get(layers).all
    assert (layer.node.loc.module, layer.node.loc.folded, layer.node.loc.path) == ("body.0", "body.1", "body.0 ▸ Conv")


@pytest.mark.parametrize(
    ("op", "name", "weight", "stacks"),
    [
        ("Conv", "/body/body.0/Conv", "body.0.weight", 1),
        ("Conv", "/body/body.0/Conv", "onnx::Conv_153", 0),
        ("Conv", "", "w", 0),
        ("MatMul", "", "w", 1),
    ],
)
def test_no_series_of_activations_goes_through_a_folded_norm(op: str, name: str, weight: str, stacks: int) -> None:
    found = results(op, name, weight, count=6).get(paths).depths
    assert len(found.stacks(4)) == stacks


@pytest.mark.parametrize(
    ("weight", "name", "wanted"),
    [
        ("w", "", set()),
        ("onnx::Conv_153", "/body/Conv", set()),
        ("body.weight", "/body/Conv", {"INI004", "INI005"}),
    ],
)
def test_small_kernels_that_may_hold_a_norm_are_no_vanishing_signal(weight: str, name: str, wanted: set[str]) -> None:
    assert vanishing(weight, name) == wanted


def vanishing(weight: str, name: str) -> set[str]:
    """The codes for ten convolutions of one tiny weight, freshly initialised, without biases."""
    row = [helper.make_node("Conv", [f"x{place}", weight], [f"x{place + 1}"], name) for place in range(10)]
    numbers = np.random.default_rng(0).normal(size=(8, 8, 1, 1)).astype(np.float32) * 1e-4
    data = [info(name, [1, 8, 4, 4]) for name in ("x0", "x10")]
    graph = helper.make_graph(row, "g", data[:1], data[1:], [numpy_helper.from_array(numbers, weight)])
    training = parse_training({"stage": "init"}, lambda name: name)
    report = lint(load_bytes(helper.make_model(graph).SerializeToString()), load_rules().values(), training)
    return {found.rule.code for found in report.findings if found.rule.code.startswith("INI")}
