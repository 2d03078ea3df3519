"""A request to silence findings that does not say why.

## What it does
Reports comments (`# netlint: ignore[rule]`) and metadata (`netlint.ignore`) without a reason. They silence findings all
the same. Overrides in the settings are refused without one.

## Why is this bad
Nobody can tell later whether the finding was looked into, and whether what made it harmless still holds.

## Example
```torch
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 2)
    def forward(self, x):
        return self.fc2(torch.sigmoid(self.fc1(x)))  # netlint: ignore[sigmoid-hidden] # want "gives no reason"
```
```onnx
<ir_version: 10, opset_import: ["" : 21], metadata_props: ["netlint.ignore": "nonfinite-weights"]>
unexplained (float[N, 2] x) => (float[N, 2] y) <float[2] b = {nan, nan}> {   # want "gives no reason"
    y = Add(x, b)
}
```

## Use instead
```torch
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 2)
    def forward(self, x):
        return self.fc2(torch.sigmoid(self.fc1(x)))  # netlint: ignore[sigmoid-hidden] learns logic gates
```

## Spares
A reason that stands on the line above, with the request:
```torch
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 2)
    def forward(self, x):
        # netlint: ignore[sigmoid-hidden] learns logic gates
        return self.fc2(torch.sigmoid(self.fc1(x)))
```
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.suppressions import suppressions
from netlint.rule import NOTE, Finding, Scope, rule


@rule("SUP003", "suppression-without-reason", level=NOTE, since="0.3", requires=(suppressions,))
def suppression_without_reason(scope: Scope) -> Iterator[Finding]:
    for request in scope[suppressions]:
        if not request.reason:
            yield Finding(f"{request.text} gives no reason", request.loc, help="write after it why it is harmless")
