"""Runs models in ONNX Runtime and hands out every intermediate value: the truth that analyses are held against."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from netlint.frontends.onnx import load_bytes
from netlint.graph import Dim, Graph, Value

Array = np.ndarray[Any, Any]
_NUMPY = {"float32": np.float32, "int64": np.int64, "int32": np.int32, "float16": np.float16, "float64": np.float64}


@dataclass(frozen=True)
class Executed:
    """A model made ready to run."""

    graph: Graph
    session: onnxruntime.InferenceSession

    def inputs(self, lengths: Mapping[Dim, int], seed: int = 0) -> dict[str, Array]:
        """Random inputs; `lengths` gives each named length a number."""
        rng = np.random.default_rng(seed)
        made = {}
        for value in self.graph.inputs:
            shape = [dim if isinstance(dim, int) else lengths.get(dim, 3) for dim in value.shape or ()]
            dtype = np.dtype(_NUMPY[value.dtype or ""])
            array = rng.random(shape) if dtype.kind == "f" else rng.integers(0, 2, shape)
            made[value.name] = array.astype(dtype)
        return made

    def run(self, inputs: Mapping[str, Array]) -> Iterator[tuple[Value, Array]]:
        """Every tensor the main graph computes, with its value in the graph."""
        values = {out.name: out for node in self.graph.nodes for out in node.outputs if out is not None}
        names = [out.name for out in self.session.get_outputs()]
        for name, array in zip(names, self.session.run(None, dict(inputs)), strict=True):
            if name in values and isinstance(array, np.ndarray):
                yield values[name], array


def executed(path: Path, declared: bool = True) -> Executed | None:
    """The model, with all intermediates as outputs; None if ONNX Runtime or this module cannot run it.

    Without `declared` the graph loses the shapes that the file states for anything but inputs.
    """
    model = onnx.load(path)
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    present = {out.name for out in probed.graph.output}
    computed = {name: None for node in probed.graph.node for name in node.output if name and name not in present}
    probed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in computed)
    if not declared:
        forget_shapes(model)
    graph = load_bytes(model.SerializeToString())
    if any(value.dtype not in _NUMPY for value in graph.inputs):
        return None
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(probed.SerializeToString(), options, ["CPUExecutionProvider"])
    except Exception:  # an operator or a type that this build lacks
        return None
    return Executed(graph, session)


def forget_shapes(model: onnx.ModelProto) -> None:
    """Drop what the file declares of values that are computed."""
    del model.graph.value_info[:]
    for out in model.graph.output:
        if out.type.HasField("tensor_type"):
            out.type.tensor_type.ClearField("shape")


@cache
def operator_cases() -> list[Any]:
    """ONNX's own test cases, one operator each: model, inputs and expected outputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return [case for case in collect_testcases(None) if case.data_sets]


def with_constants(case: Any, first: int) -> onnx.ModelProto:
    """The model of a case, with the inputs from `first` on stored as constants and no output shapes declared."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    forget_shapes(model)
    for info, given in list(zip(model.graph.input, case.data_sets[0][0], strict=False))[first:]:
        if isinstance(given, onnx.TensorProto):
            model.graph.initializer.add().CopyFrom(given)
            model.graph.initializer[-1].name = info.name
        elif isinstance(given, np.ndarray | np.generic) and given.dtype.kind in "fiub":
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(given), info.name))
    return model
