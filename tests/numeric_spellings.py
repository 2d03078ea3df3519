"""How the programs of `numeric_programs` are written out: as ONNX text, and then as different exporters would."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

WEIGHTS = {
    "w": "float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}",
    "b": "float[2] b = {0.1, -0.1}",
    "v": "float[3, 2] v = {0.3, 0.2, -0.1, 0.2, 0.1, -0.4}",
    "c": "float[2] c = {-0.2, 0.2}",
    "kk": "float[2, 1, 2, 2] kk = {0.1, -0.2, 0.3, 0.1, 0.2, -0.1, 0.3, 0.1}",
}
CONSTANTS = WEIGHTS | {
    "zero": "float zero = {0}",
    "one": "float one = {1}",
    "two": "float two = {2}",
    "half": "float half = {0.5}",
    "minus_half": "float minus_half = {-0.5}",
    "minus_two": "float minus_two = {-2}",
    "third": "float third = {0.3}",
    "gamma": "float gamma = {2.2}",
    "tiny": "float tiny = {1e-10}",
    "eps": "float eps = {1e-6}",
    "almost_one": "float almost_one = {0.999999}",
    "rounds_to_one": "float rounds_to_one = {0.99999999}",
    "minus_almost_one": "float minus_almost_one = {-0.999999}",
    "minus_one": "float minus_one = {-1}",
    "low": "float low = {-20}",
    "high": "float high = {20}",
    "hundred": "float hundred = {100}",
    "tenth": "float tenth = {0.1}",
    "never": "float never = {-inf}",
    "very_low": "float very_low = {-1e9}",
    "endless": "float endless = {inf}",
    "last": "int64[1] last = {-1}",
    "first": "int64[1] first = {0}",
    "centre": "float[2] centre = {0.5, -0.5}",
    "temperature": "float temperature = {0.05}",
    "none": "int64 none = {0}",
    "top": "float top = {80}",
    "bottom": "float bottom = {-100}",
    "second": "int64[1] second = {1}",
    "repeats": "int64[2] repeats = {1, 2}",
    "classes": "int64 classes = {2}",
    "off_on": "float[2] off_on = {0, 1}",
    "no_edges": "float[6, 1] no_edges = {0, 0, 0, 0, 0, 0}",
    "ten": "float ten = {10}",
    "minus_ten": "float minus_ten = {-10}",
    "e8": "float e8 = {1e-8}",
    "e45": "float e45 = {1e-46}",
    "e10": "float e10 = {1e-10}",
    "nu": "float nu = {4}",
    "gain": "float[2] gain = {1, 1}",
    "shift": "float[2] shift = {0, 0}",
    "log2": "float log2 = {0.6931472}",
    "last1": "int64[1] last1 = {1}",
    "one_and": "float one_and = {1.00001}",
    "e7": "float e7 = {1e-7}",
    "sharp": "float sharp = {200}",
    "lowest": "float[6, 1] lowest = {-1e38, -1e38, -1e38, -1e38, -1e38, -1e38}",
}
INPUTS = {
    "img": "float[N, 1, 8, 8] img",
    "y1": "float[N, 2] y1",
    "x": "float[N, 3] x",
    "z": "float[N, 3] z",
    "t": "float[N, 2] t",
    "adjacency": "float[5, 5] adjacency",
    "mask": "float[N, 2] mask",
    "ids": "int64[N, 2] ids",
    "p0": "float[N, 2] p0",
    "picked": "int64[N, 1] picked",
    "labels": "int64[N] labels",
    "advantage": "float[N] advantage",
    "noise": "float[N, 2] noise",
    "scores": "float[6, 1] scores",
    "targets": "int64[6, 1] targets",
}


def text_of(body: str) -> str:
    """The body as ONNX text; `!` is a scalar loss, `?` an output of any shape."""
    code = "\n".join(statement.partition("#")[0].rstrip() for statement in body.split("; "))
    code = re.sub(r"^([!?]) =", r"out =", code, flags=re.MULTILINE)
    code = re.sub(r"= Reduce(\w+)\((\w+)\)$", r"= Reduce\1 <keepdims = 0> (\2)", code, flags=re.MULTILINE)
    words = set(re.findall(r"\b[a-z]\w*\b", code))
    inputs = [text for name, text in INPUTS.items() if name in words]
    stored = [text for name, text in CONSTANTS.items() if name in words]
    output = "float out" if "! =" in body else "float[] out"
    declared = f"<{', '.join(stored)}>" if stored else ""
    return f"program ({', '.join(inputs)}) => ({output})\n{declared}\n{{\n{code}\n}}"


def model_of(body: str, opset: int = 18) -> Any:
    """The body as a model."""
    if opset < 13:
        return _older(model_of(body), opset)
    return parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text_of(body)}')


def _older(model: Any, opset: int) -> Any:
    """Axes as attributes."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type.startswith("Reduce") and len(node.input) == 2:
            axes = [int(axis) for axis in stored[node.input[1]]]
            del node.input[1]
            node.attribute.append(helper.make_attribute("axes", axes))
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))
    return model


Rewrite = Callable[[onnx.NodeProto], list[onnx.NodeProto] | None]


def _rewritten(model: Any, rewrite: Rewrite) -> Any:
    """Each node replaced by what `rewrite` makes of it; None: as it is. New results are named `OLD__part`."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes += rewrite(node) or [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def hidden(model: Any) -> Any:
    """An Identity behind every node, as some converters leave them."""

    def rewrite(node: onnx.NodeProto) -> list[onnx.NodeProto]:
        name = node.output[0]
        node.output[0] = f"{name}__bare"
        return [node, helper.make_node("Identity", [f"{name}__bare"], [name])]

    return _rewritten(model, rewrite)


def converted(model: Any) -> Any:
    """As converters from other frameworks write it: MatMul and Add, Max and Min, squares as products, x + (-y)."""

    def rewrite(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        name, inputs = node.output[0], list(node.input)
        if node.op_type == "Gemm":
            product = helper.make_node("MatMul", inputs[:2], [f"{name}__product"])
            return [product, helper.make_node("Add", [f"{name}__product", inputs[2]], [name])]
        if node.op_type == "Clip":
            upper = [helper.make_node("Min", [f"{name}__low", inputs[2]], [name])] if len(inputs) > 2 else []
            return [helper.make_node("Max", inputs[:2], [f"{name}__low" if upper else name]), *upper]
        if node.op_type == "Pow" and inputs[1] == "two":
            return [helper.make_node("Mul", [inputs[0], inputs[0]], [name])]
        if node.op_type == "ReduceL2":
            square = helper.make_node("Mul", [inputs[0], inputs[0]], [f"{name}__square"])
            total = helper.make_node("ReduceSum", [f"{name}__square", *inputs[1:]], [f"{name}__sum"])
            return [square, total, helper.make_node("Sqrt", [f"{name}__sum"], [name])]
        return None

    return _rewritten(model, rewrite)


def untrained(model: Any) -> Any:
    """All weights zero, as programs that were never run store them."""
    for tensor in model.graph.initializer:
        if tensor.name in WEIGHTS:
            zeros = np.zeros_like(numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(zeros, tensor.name))
    return model


def reshaped(model: Any) -> Any:
    """An axis added and taken away again behind every elementwise node."""

    def rewrite(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.op_type not in ("Sigmoid", "Relu", "Softmax", "Exp", "Softplus", "Tanh", "Gemm"):
            return None
        name = node.output[0]
        node.output[0] = f"{name}__bare"
        added = helper.make_node("Unsqueeze", [f"{name}__bare", "new_axis"], [f"{name}__wide"])
        return [node, added, helper.make_node("Squeeze", [f"{name}__wide", "new_axis"], [name])]

    model = _rewritten(model, rewrite)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "new_axis"))
    return model


def _as_is(model: Any) -> Any:
    return model


SPELLINGS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "opset 18": (18, _as_is),
    "opset 11": (11, _as_is),
    "identities": (18, hidden),
    "converted": (18, converted),
    "converted, opset 11": (11, converted),
    "layout": (18, reshaped),
    "untrained": (18, untrained),
}
