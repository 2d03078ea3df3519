"""The models that are measured are valid, and what is measured is measured."""

from __future__ import annotations

import onnx
import pytest

from benchmarks.analyses import ANY, LAYERS, ONNX, SHAPES, STORED, measure
from benchmarks.transformer import NODES_PER_LAYER, transformer


@pytest.mark.parametrize("stored_shapes", [False, True])
def test_the_transformer_is_valid_and_as_large_as_it_is_said(stored_shapes: bool) -> None:
    model = transformer(2, stored_shapes)
    onnx.checker.check_model(model, full_check=True)
    assert len(model.graph.node) == 2 * NODES_PER_LAYER
    assert bool(model.graph.value_info) == stored_shapes
    assert 1000 <= LAYERS * NODES_PER_LAYER < 1100


def test_each_analysis_is_measured_in_every_run() -> None:
    times = measure(transformer(1, False).SerializeToString(), runs=2)
    assert {name: len(spent) for name, spent in times.items()} == {STORED: 2, ANY: 2, SHAPES: 2, ONNX: 2}
