"""What the ONNX schemas say of operators and their attributes, as far as the declared opset has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
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
_SYNONYMS = {"SimplifiedLayerNormalization": "RMSNormalization"}
"""What onnxruntime calls an operator in the default domain, long before ONNX had it, and what ONNX calls it."""
_AT_ANY_TIME = frozenset({"LayerNormalization", "RMSNormalization"})
"""onnxruntime runs these in every opset, and its optimiser writes them into models of old ones."""
_ANY = 1 << 31


def named(domain: str, op: str) -> str:
    """The operator as ONNX calls it."""
    return op if domain else _SYNONYMS.get(op, op)


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
        first = _first_versions().get((domain, op))
    if first is None and version > _newest(domain):
        return None  # younger than the schemas at hand
    if op in _EXPERIMENTAL and not domain:
        return "experimental", f"{op} was an experimental operator; opset {version} does not have it", renew
    if op in _AT_ANY_TIME and not domain:
        return None
    if first is None:
        return "unknown-op", f"there is no operator {quoted(op)} in {shown}", "check its name and domain"
    return "unknown-op", f"{op} exists from opset {first} on, the model declares {version}", "raise the opset"


@cache
def _first_versions() -> dict[tuple[str, str], int]:
    """The opset that brought each operator."""
    first: dict[tuple[str, str], int] = {}
    for schema in onnxlib.core().defs.get_all_schemas_with_history():
        key = (schema.domain, schema.name)
        first[key] = min(first.get(key, schema.since_version), schema.since_version)
    return first


@lru_cache(maxsize=4096)
def attribute_types(domain: str, op: str, version: int) -> Mapping[str, int]:
    """The AttributeProto.type of each attribute of an operator; empty where no schema tells."""
    schema = _schema(domain, op, version) or _schema(domain, op, _newest(domain))
    return {} if schema is None else {name: known.type.value for name, known in schema.attributes.items()}


@lru_cache(maxsize=4096)
def arity(domain: str, op: str, version: int) -> tuple[int, int, bool]:
    """The least and the largest number of inputs of an operator, and whether the opset says so.

    Where it does not, the least is that of the newest opset known, and there is no largest.
    """
    schema = _schema(domain, op, version)
    if schema is not None:
        return schema.min_input, schema.max_input, True
    newest = _schema(domain, op, _newest(domain))
    return (0 if newest is None else newest.min_input), _ANY, False


def _schema(domain: str, op: str, version: int) -> Any:
    """What an operator is in an opset; None if it is not in it or the opset is younger than the schemas at hand."""
    if version > _newest(domain):
        return None
    try:
        return onnxlib.core().defs.get_schema(op, version, domain)
    except Exception:  # the core's own SchemaError, or an opset that is no number of theirs
        return None


@cache
def _newest(domain: str) -> int:
    newest: int = onnxlib.core().defs.schema_version_map().get(domain, (0, 0))[1]
    return newest
