"""Operators that the declared opset does not have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from netlint import onnxlib
from netlint.graph import ONNX, Defect, Node

from .strings import shown as quoted

_STANDARD = frozenset({ONNX, "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "ai.onnx.preview"})
# Once experimental, never standardised, dropped; runtimes still run them.
_EXPERIMENTAL = frozenset(
    (
        *("Affine", "ATen", "Crop", "DynamicSlice", "GivenTensorFill", "GRUUnit", "ImageScaler", "ParametricSoftplus"),
        *("Scale", "ScaledTanh", "ConstantFill", "MeanVarianceNormalization"),
    )
)


def check(nodes: Iterable[Node], opset: Mapping[str, int]) -> Iterator[Defect]:
    """One defect for each node whose operator its opset lacks. Domains without a schema are not judged."""
    verdicts: dict[tuple[str, str], tuple[str, str, str] | None] = {}
    for node in nodes:
        key = (node.domain, node.op)
        if key not in verdicts:
            verdicts[key] = _verdict(*key, opset) if node.domain in _STANDARD else None
        verdict = verdicts[key]
        if verdict is not None:
            kind, message, way_out = verdict
            yield Defect(kind, message, node.loc, way_out)


def _verdict(domain: str, op: str, opset: Mapping[str, int]) -> tuple[str, str, str] | None:
    shown = domain or "ai.onnx"
    version = opset.get(domain)
    if version is None:
        return "opset", f"{quoted(op)} belongs to the domain {shown}, which opset_import does not list", "export again"
    if op in _EXPERIMENTAL and not domain:
        return "experimental", f"{op} was an experimental operator and is in no opset", "export with a current exporter"
    defs: Any = onnxlib.core().defs
    if not defs.has_schema(op, domain):
        if version > defs.schema_version_map()[domain][1]:
            return None  # younger than the schemas at hand
        return "unknown-op", f"there is no operator {quoted(op)} in {shown}", "check its name and domain"
    try:
        schema = defs.get_schema(op, min(version, 1 << 30), domain)
    except Exception:
        first = min(s.since_version for s in defs.get_all_schemas_with_history() if (s.name, s.domain) == (op, domain))
        return "unknown-op", f"{op} exists from opset {first} on, the model declares {version}", "raise the opset"
    if schema.deprecated:
        return "unknown-op", f"{op} was removed in opset {schema.since_version}", "export with a current exporter"
    return None
