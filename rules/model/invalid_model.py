"""A model that breaks the ONNX specification.

## What it does
Reports, node by node, what makes the file an invalid model: names that nothing produces or that are defined twice,
nodes out of order or in a cycle, operators that the declared opset does not have, nodes with more or fewer inputs than
their operator takes, tensors of no known type, external data that is not there. Operators that were once experimental
and still run, and local functions that call each other without end, are notes.

## Why is this bad
Runtimes refuse such a model, or load it and compute something else. The analyses behind the other rules stop where the
graph is broken, so faults there stay unseen.

## Example
```onnx
undefined_name (float[N, 8] x) => (float[N, 8] y) {
    h = Relu(x)
    y = Add(h, missing)   # want "reads 'missing', which nothing produces"
}
```

## Use instead
```onnx
defined_name (float[N, 8] x, float[8] shift) => (float[N, 8] y) {
    h = Relu(x)
    y = Add(h, shift)
}
```

## Spares
Operators of domains without a published schema are not judged:
```onnx
<ir_version: 10, opset_import: ["" : 21, "com.example" : 1]>
custom_operator (float[N, 8] x) => (float[N, 8] y) {
    y = com.example.Whiten(x)
}
```

## Known limits
Attributes and input types of single nodes are not checked against the operator's schema yet (an attribute of a wrong
type counts as not given); `onnx.checker.check_model` does that.

## References
ONNX intermediate representation, "Graphs" and "Names Within a Graph":
https://github.com/onnx/onnx/blob/main/docs/IR.md
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.rule import ERROR, NOTE, Finding, Scope, rule

_KINDS = frozenset({"arity", "cycle", "dangling", "duplicate", "missing", "opset", "tensor", "unknown-op", "unsorted"})


@rule("GRA001", "invalid-model", level=ERROR, also=(NOTE,), since="0.1")
def invalid_model(scope: Scope) -> Iterator[Finding]:
    for defect in scope.graph.defects:
        if defect.kind in _KINDS:
            yield Finding(defect.message, defect.loc, help=defect.help)
        elif defect.kind in ("expansion", "experimental"):
            yield Finding(defect.message, defect.loc, help=defect.help, level=NOTE)
