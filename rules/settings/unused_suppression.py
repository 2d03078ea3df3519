"""A request to silence a rule that finds nothing there.

## What it does
Reports each rule that a comment (`# netlint: ignore[rule] reason`), the model's metadata (`netlint.ignore`) or an
override for one target asks to silence, although the rule has judged the whole model and no finding of it is covered.

## Why is this bad
The fault is gone, or the comment stands on the wrong line. Left in place, it hides the next fault that comes up there.

## Example
```onnx
<ir_version: 10, opset_import: ["" : 21],
 metadata_props: ["netlint.ignore": "nonfinite-weights: a placeholder until training"]>
healthy_weights (float[N, 2] x) => (float[N, 2] y) <float[2] b = {1, 2}> {   # want "silences no finding of nonfinite"
    y = Add(x, b)
}
```
```torch
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 2)
    def forward(self, x):
        h = torch.relu(self.fc1(x))  # netlint: ignore[sigmoid-hidden] it was one # want "no finding of sigmoid-hidden"
        return self.fc2(h)
```

## Use instead
Remove it, or put it on the line that the finding names:
```onnx
<ir_version: 10, opset_import: ["" : 21],
 metadata_props: ["netlint.ignore": "nonfinite-weights: a placeholder until training"]>
placeholder (float[N, 2] x) => (float[N, 2] y) <float[2] b = {nan, nan}> {
    y = Add(x, b)
}
```

## Spares
Rules that were not run, or could not judge everything, and lines that no part of this model comes from: a comment in
code that several models share may be meant for another one. The losses here are not known, so nobody can tell:
```onnx
<ir_version: 10, opset_import: ["" : 21], metadata_props: ["netlint.ignore": "double-softmax: on purpose"]>
unknown_loss (float[N, 2] x) => (float[N, 2] y) {
    y = Softmax(x)
}
```
```torch
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 2)
        self.gated = False
    def forward(self, x):
        if self.gated:
            return self.fc2(torch.sigmoid(self.fc1(x)))  # netlint: ignore[sigmoid-hidden] gates
        return self.fc2(torch.relu(self.fc1(x)))
```

## Known limits
A line that two models share, of which only one has the finding, is judged rightly only where both are linted in one
run. Overrides whose target is a pattern, or that have none, are not judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.suppressions import IDLE, suppressions
from netlint.rule import NOTE, Evidence, Finding, Scope, rule


@rule("SUP001", "unused-suppression", level=NOTE, since="0.3", requires=(suppressions,))
def unused_suppression(scope: Scope) -> Iterator[Finding]:
    for request in scope[suppressions]:
        for name in request.idle:
            yield Finding(
                f"{request.text} silences no finding of {name}",
                request.loc,
                (Evidence(IDLE, name, request.origin),),
                help="remove it, or put it where the finding is",
            )
