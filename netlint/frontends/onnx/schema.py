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
    """Kind, message and way out of the defect; None if all is well or nothing can be said."""
    shown = domain or "ai.onnx"
    version = opset.get(domain)
    if version is None:
        return "opset", f"{quoted(op)} belongs to the domain {shown}, which opset_import does not list", "export again"
    defs: Any = onnxlib.core().defs
    renew = "export with a current exporter"
    try:
        if not defs.get_schema(op, min(version, 1 << 30), domain).deprecated:
            return None
        return "unknown-op", f"{op} is in opset {version} no more", renew
    except Exception:  # the core's own SchemaError: no such operator in this opset
        first = min((s.since_version for s in _history(defs, op, domain)), default=None)
    if first is None and version > defs.schema_version_map()[domain][1]:
        return None  # younger than the schemas at hand
    if op in _EXPERIMENTAL and not domain:
        return "experimental", f"{op} was an experimental operator; opset {version} does not have it", renew
    if first is None:
        return "unknown-op", f"there is no operator {quoted(op)} in {shown}", "check its name and domain"
    return "unknown-op", f"{op} exists from opset {first} on, the model declares {version}", "raise the opset"


def _history(defs: Any, op: str, domain: str) -> list[Any]:
    return [schema for schema in defs.get_all_schemas_with_history() if (schema.name, schema.domain) == (op, domain)]
