"""Where a node comes from: module path and source line, as exporters record them.

The dynamo exporter of torch writes `pkg.torch.onnx.*` metadata on each node; the TorchScript exporter writes the module
path into the node's name (`/blocks.0/fc1/Gemm`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from netlint.graph import Location

from .scopes import module_of_name

_FRAME = re.compile(r'^\s*File "([^"\n]+)", line (\d{1,9})\b', re.MULTILINE)
_LIBRARY = re.compile(r"[/\\](site-packages|dist-packages)[/\\]|[/\\]torch[/\\](nn|_|onnx|fx|export|utils)|^<")
_MAX_LITERAL = 20_000
_NOWHERE = "_empty_nn_module_stack_from_metadata_hook"
"""What the dynamo exporter calls the module of an operator that it does not know the module of."""

_REWRITTEN, _FOLDS = "pkg.onnxscript.rewriter.rule_name", "FuseBatchNorm"
"""The metadata of a node that names the rules which made it, and what those that fold a norm are called."""

STACK_TRACE = "pkg.torch.onnx.stack_trace"
"""The metadata of a node in which the dynamo exporter keeps the stack at the call."""


def locate(
    op: str,
    name: str,
    output: str,
    metadata: Mapping[str, str],
    scope: str,
    module_of: Callable[[str], str | None] = module_of_name,
    weight: str = "",
) -> Location:
    """The location of a node. `scope` is the path of what the node was expanded from, or of its body.

    A layer that a norm was folded into stands where its weight belongs.
    """
    module = _module_of_scopes(metadata.get("pkg.torch.onnx.name_scopes", ""))
    if module is None:
        module = module_of(name)
    owner = weight.rpartition(".")[0] if _FOLDS in metadata.get(_REWRITTEN, "") else ""
    module, folded = (owner, module) if owner and owner != module else (module, None)
    label = name.rpartition("/")[2] if name.startswith("/") else name
    if not label:
        label = metadata.get("pkg.torch.onnx.fx_node", "").partition(" ")[0].lstrip("%") or output
    # A name that only repeats the operator (`Relu_3`) says nothing that the operator does not.
    idle = _repeats(label, op) or label.startswith("node_")
    shown = op if label in ("", op) or (idle and (module or scope)) else f"{label} ▸ {op}"
    parts = [part for part in (scope, module, shown) if part]
    classes = _literal_list(metadata.get("pkg.torch.onnx.class_hierarchy", ""))
    module_class = classes[-2] if len(classes) >= 2 else None
    source = source_line(metadata.get(STACK_TRACE, ""))
    return Location(" ▸ ".join(parts) or "unnamed node", source, module, module_class, folded=folded)


def _repeats(label: str, op: str) -> bool:
    return bool(re.fullmatch(rf"(node_)?{re.escape(op)}(_\d+)?", label, re.IGNORECASE))


def _module_of_scopes(text: str) -> str | None:
    """`['', 'encoder', 'encoder.fc', 'linear']`: the last is the operator, the one before its module."""
    scopes = [scope for scope in _literal_list(text) if scope != _NOWHERE]
    return scopes[-2] or None if len(scopes) >= 2 else None


def _literal_list(text: str) -> list[str]:
    if not text or len(text) > _MAX_LITERAL:
        return []
    try:
        parsed = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return parsed if isinstance(parsed, list) and all(isinstance(part, str) for part in parsed) else []


@lru_cache(1024)  # the operators of one call have one trace
def source_line(trace: str) -> tuple[str, int] | None:
    """The last frame of the recorded stack that is not a library's."""
    frames = [(m[1], int(m[2])) for m in _FRAME.finditer(trace[-_MAX_LITERAL:])]
    for path, line in reversed(frames):
        if not _LIBRARY.search(path):
            return path, line
    return None
