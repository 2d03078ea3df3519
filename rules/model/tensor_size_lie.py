"""A tensor whose declared shape and stored bytes disagree.

## What it does
Reports tensors that store more or fewer bytes than their shape and type take, that reach past the end of their external
file, or whose shape is impossible.

## Why is this bad
A loader that trusts the shape reads past the buffer or allocates memory for a tensor that is not there; the weights are
wrong in any case. Usually a download was cut short.

## Example
```onnx
short_tensor (float[N, 4] x) => (float[N, 4] y) <float[4] b = {1, 2, 3}> {   # want "holds 3 elements, not 4"
    y = Add(x, b)
}
```

## Use instead
```onnx
whole_tensor (float[N, 4] x) => (float[N, 4] y) <float[4] b = {1, 2, 3, 4}> {
    y = Add(x, b)
}
```

## Spares
A tensor of no elements is what it says:
```onnx
empty_tensor (float[N, 4] x) => (float[N, 4] y) <int64[0] none = {}> {
    y = ReduceSum <noop_with_empty_axes = 1> (x, none)
}
```

## Known limits
A wrong value of the right size cannot be told.

## References
ONNX `TensorProto.raw_data`: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.rule import ERROR, Finding, Scope, rule


@rule("SEC004", "tensor-size-lie", level=ERROR, since="0.1")
def tensor_size_lie(scope: Scope) -> Iterator[Finding]:
    for defect in scope.graph.defects:
        if defect.kind in ("size", "short"):
            yield Finding(defect.message, defect.loc, help=defect.help)
