"""A request to silence findings that means nothing.

## What it does
Reports comments (`# netlint: ignore[rule] reason`) and metadata (`netlint.ignore`) that name no rule, or one that does
not exist; and metadata that asks to silence rules about the safety of the model file itself.

## Why is this bad
It silences nothing: the name is misspelt, the rule was renamed, or its plugin is not installed here. A model file
cannot vouch for itself: whoever crafts a harmful one would.

## Example
```onnx
<ir_version: 10, opset_import: ["" : 21], metadata_props: ["netlint.ignore": "zero-wieghts: new"]>
misspelt (float[N, 2] x) => (float[N, 2] y) {   # want warning "unknown rule 'zero-wieghts'; did you mean 'zero-w"
    y = Relu(x)
}
```
```onnx
<ir_version: 10, opset_import: ["" : 21], metadata_props: ["netlint.ignore": "SEC001: trust me"]>
vouches (float[N, 2] x) => (float[N, 2] y) {   # want "a model cannot silence external-data-escape"
    y = Relu(x)
}
```
```torch
class Net(nn.Module):
    def forward(self, x):
        return torch.relu(x)  # netlint: ignore # want "names no rule"
```

## Use instead
```torch
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 2)
    def forward(self, x):
        return self.fc2(torch.sigmoid(self.fc1(x)))  # netlint: ignore[sigmoid-hidden] logic gates
```

## Spares
What only looks like a comment, and comments for others:
```torch
class Net(nn.Module):
    def forward(self, x):
        text = "# netlint: ignore[nothing]"
        return torch.relu(x)  # noqa: E501 pylint: disable=all type: ignore[misc]
```
"""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.suppressions import suppressions
from netlint.rule import WARNING, Finding, Scope, rule


@rule("SUP002", "invalid-suppression", level=WARNING, since="0.3", requires=(suppressions,))
def invalid_suppression(scope: Scope) -> Iterator[Finding]:
    for request in scope[suppressions]:
        for wrong in request.unknown:
            yield Finding(f"{request.text}: {wrong}", request.loc, help="correct the name; `netlint rules` lists them")
        for name in request.refused:
            yield Finding(
                f"{request.text}: a model cannot silence {name}, which judges the file itself",
                request.loc,
                help="silence it in the settings",
            )
