"""Shapes after operators of other domains: tree ensembles and scalers (ai.onnx.ml), ONNX Runtime's fused operators.

Keyed by `domain::operator`. The sources are ONNX's ai.onnx.ml specification and ONNX Runtime's ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from netlint.graph import Node, Shape

from . import _shapes_nn
from ._shapes_dims import Known, broadcast
from ._shapes_dtypes import Dtypes
from ._shapes_layout import Multiple, Single


def _quantised_pair(node: Node, facts: Known) -> Shape | None:
    """QLinearAdd and QLinearMul: data, scale, zero point, twice."""
    return broadcast(facts.of(node.input(0)), facts.of(node.input(3)))


def _bias(node: Node, facts: Known) -> Shape | None:
    return broadcast(facts.of(node.input(0)), facts.of(node.input(1)))


def _skip_norm(node: Node, facts: Known) -> Sequence[Shape | None]:
    """Data, mean, inverse deviation (both unused in inference), and the sum before normalisation."""
    shape = facts.of(node.input(0))
    return [shape, None, None, shape]


def _predictions(node: Node, facts: Known) -> Shape | None:
    """A regressor: one row a sample."""
    shape = facts.of(node.input(0))
    return (shape[0] if shape else None, node.attrs.get("n_targets", node.attrs.get("targets", 1)))


def _classified(node: Node, facts: Known) -> Sequence[Shape | None]:
    """A classifier: a label, then scores for each class."""
    shape = facts.of(node.input(0))
    rows = shape[0] if shape else None
    labels = node.attrs.get("classlabels_int64s") or node.attrs.get("classlabels_ints")
    labels = labels or node.attrs.get("classlabels_strings") or ()
    return [(rows,), (rows, len(labels) or None)]


_ML = "ai.onnx.ml::"
_ORT = "com.microsoft::"

SINGLE: dict[str, Single] = {
    **dict.fromkeys((f"{_ML}Scaler", f"{_ML}Normalizer", f"{_ML}Imputer", f"{_ML}Binarizer"), _shapes_nn.UNCHANGED),
    **dict.fromkeys((f"{_ML}TreeEnsembleRegressor", f"{_ML}LinearRegressor"), _predictions),
    **dict.fromkeys((f"{_ORT}Gelu", f"{_ORT}QuickGelu", f"{_ORT}QLinearSigmoid"), _shapes_nn.UNCHANGED),
    **dict.fromkeys((f"{_ORT}QLinearLeakyRelu", f"{_ORT}QLinearSoftmax"), _shapes_nn.UNCHANGED),
    **dict.fromkeys((f"{_ORT}QLinearAdd", f"{_ORT}QLinearMul"), _quantised_pair),
    **dict.fromkeys((f"{_ORT}FastGelu", f"{_ORT}BiasGelu"), _bias),
    f"{_ORT}FusedConv": _shapes_nn.SINGLE["Conv"],
    f"{_ORT}FusedGemm": _shapes_nn.SINGLE["Gemm"],
}

MULTIPLE: dict[str, Multiple] = {
    f"{_ORT}SkipLayerNormalization": _skip_norm,
    f"{_ORT}SkipSimplifiedLayerNormalization": _skip_norm,
    **dict.fromkeys((f"{_ML}TreeEnsembleClassifier", f"{_ML}LinearClassifier"), _classified),
}

_FLOATS = frozenset({"Scaler", "Normalizer", "TreeEnsembleRegressor", "LinearRegressor"})


def output_dtype(node: Node, nth: int, known: Dtypes) -> str | None:
    """The element type of an output; None where unknown."""
    if node.op in _FLOATS or (nth and node.domain == "ai.onnx.ml"):
        return "float32"
    if node.op in ("TreeEnsembleClassifier", "LinearClassifier"):
        return "string" if node.attrs.get("classlabels_strings") else "int64"
    return None if nth else known.dtype(node.input(0))
