"""External data that lies outside the model's folder.

## What it does
Reports tensors whose external data is named by an absolute path or by a path that leaves the model's folder (links
followed), or is not a regular file. Such data is not read.

## Why is this bad
Whoever loads the model reads that file: a crafted model can make a server disclose any file it may open
(CVE-2022-25882, CVE-2024-27318). ONNX Runtime refuses such models.

## Example
```onnx
<ir_version: 10, opset_import: ["" : 21]>
escaping (float[N, 2] x) => (float[N, 2] y)
<float[2] b = ["location": "../../etc/passwd", "offset": "0", "length": "8"]>   # want "outside the model's folder"
{
    y = Add(x, b)
}
```

## Use instead
```onnx
inside (float[N, 2] x) => (float[N, 2] y) <float[2] b = {1, 2}> {
    y = Add(x, b)
}
```

## Spares
The cache layout of model hubs, in which model and data are both links into one folder of blobs, is legitimate; so are
hard links, subfolders, and of course weights in the model itself:
```onnx
stored_inside (float[N, 2] x) => (float[N, 2] y) <float[2] b = {3, 4}> {
    y = Sub(x, b)
}
```

## Known limits
A link that is changed between the check and the reading is not noticed.

## References
ONNX external data, "location": https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.rule import ERROR, Finding, Scope, rule


@rule("SEC001", "external-data-escape", level=ERROR, since="0.1")
def external_data_escape(scope: Scope) -> Iterator[Finding]:
    for defect in scope.graph.defects:
        if defect.kind == "escape":
            yield Finding(defect.message, defect.loc, help=defect.help)
