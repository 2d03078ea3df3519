"""An activation whose result is the same for every input.

## What it does

Reports a ReLU (or a clip, a thresholded ReLU, a `Max` with a constant) whose operand is proved to lie where it gives
one number only, and a sigmoid, tanh or hard sigmoid that is proved to be saturated, for every input. It is an error
where that holds for any weights, a warning where it holds for the stored ones.

## Why is this bad

Nothing passes: what follows is a constant, and no gradient reaches what lies before, so that training cannot bring it
back to life.

## Example

```onnx
negated (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    p = Softplus(h)
    n = Neg(p)
    y = Relu(n)      # want error "Relu always gives 0"
}
```

```onnx
log_probabilities (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    l = LogSoftmax(h)
    y = Relu(l)      # want "Relu always gives 0"
}
```

Inputs that were not scaled, with a layer that was made for scaled ones:

```onnx
# given input-range=0..255
saturated (float[N, 1] x) => (float[N, 2] y)
<float[1, 2] w = {0.5, 0.4}, float[2] b = {40, 30}>
{
    h = Gemm(x, w, b)
    y = Sigmoid(h)      # want warning "Sigmoid always gives 1 with the weights as they are"
}
```

## Use instead

```onnx
negated (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}>
{
    h = Gemm(x, w, b)
    n = Neg(h)
    y = Relu(n)
}
```

## Spares

An activation that lets something pass, and one behind a layer of zeros, which zero-weights (INI001) has to judge:

```onnx
alive (float[N, 3] x) => (float[N, 2] y, float[N, 2] z)
<float[3, 2] w = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6}, float[2] b = {0, 0}, float[3, 2] v = {0, 0, 0, 0, 0, 0}>
{
    h = Gemm(x, w, b)
    s = Softsign(h)
    y = Relu(s)
    k = MatMul(x, v)
    z = Relu(k)
}
```

```onnx
# given input-range=0..1
scaled (float[N, 1] x) => (float[N, 2] y)
<float[1, 2] w = {0.5, 0.4}, float[2] b = {4, 3}>
{
    h = Gemm(x, w, b)
    y = Sigmoid(h)
}
```

Indices and counts: no gradient would pass in any case.

```onnx
level (float[N, 4] x) => (int64[N, 1] level)
<float[4, 1] w = {0.1, -0.2, 0.3, 0.4}, float[1] b = {0}, float two = {2}, float five = {5}, int64 least = {7},
int64 most = {9}>
{
    h = Gemm(x, w, b)
    s = Tanh(h)
    f = Floor(s)
    c = Clip(f, two, five)
    i = Cast <to = 7> (c)
    level = Clip(i, least, most)
}
```

## Known limits

Single dead units are not reported here: the operand has to be dead in all of its elements.

## References

- X. Glorot, A. Bordes, Y. Bengio: Deep sparse rectifier neural networks. AISTATS 2011.
- H. Braiek, F. Khomh: TheDeepChecker: testing feedforward neural network training programs. TOSEM 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from netlint.analyses.contract import contract
from netlint.analyses.layers import layers
from netlint.analyses.parameters import parameters
from netlint.analyses.ranges import Range, ranges, training_ranges
from netlint.analyses.ranges.functions import softsign
from netlint.analyses.ranges.rounding import format_of
from netlint.analyses.shapes import shapes
from netlint.analyses.weights import weights
from netlint.graph import Node, Value
from netlint.ops import read
from netlint.rule import ERROR, WARNING, Claim, Evidence, Finding, Level, Scope, rule
from netlint.training import Known

_SATURATING: dict[str, Callable[[float], float]] = {
    "Sigmoid": lambda x: (1 + math.tanh(x / 2)) / 2,
    "Tanh": math.tanh,
    "Erf": math.erf,
    "Softsign": softsign,
}
_REAL = ("float", "bfloat")
_STEPS = ("Floor", "Ceil", "Round", "Sign")
_MOST_BEHIND = 500


@rule(
    "ACT008",
    "always-dead-activation",
    level=ERROR,
    also=(WARNING,),
    since="0.2",
    requires=(contract, layers, parameters, ranges, shapes, training_ranges, weights),
)
def always_dead_activation(scope: Scope) -> Iterator[Finding]:
    for node in scope.graph.of("Relu", "ThresholdedRelu", "Clip", "Max", "Min", "HardSigmoid", *_SATURATING):
        operand = _operand(scope, node)
        if operand is None or scope[parameters].constant(operand) or not _learns(scope, operand):
            continue
        stored = scope[ranges].of(operand)
        if stored.lo != stored.hi and _only_result(scope, node, stored) is None:
            continue  # with any weights it varies, too: ranges that hold for all of them are dear
        for known, level in ((scope[training_ranges], ERROR), (scope[ranges], WARNING)):
            proved = known.of(operand)
            result = _only_result(scope, node, proved)
            if result is None or (level == WARNING and _rests_on_zeros(scope, operand)):
                continue
            yield _finding(scope, node, Claim(operand, proved.lo, proved.hi), proved, result, level)
            break


def _finding(scope: Scope, node: Node, claim: Claim, proved: Range, result: float, level: Level) -> Finding:
    how = "" if level == ERROR else " with the weights as they are"
    return Finding(
        f"{node.op} always gives {result:g}{how}: its input lies in {proved}",
        node,
        evidence=(
            Evidence("input", [proved.lo, proved.hi]),
            *_assumed(scope, proved),
            Evidence("weights", "any finite numbers that training may find" if level == ERROR else "as stored"),
        ),
        help="check the sign of what is fed in, the bias and the scale of the inputs",
        why="what follows is a constant, and no gradient reaches what lies before",
        level=level,
        claim=claim,
    )


def _operand(scope: Scope, node: Node) -> Value | None:
    """The one operand that is not constant."""
    if node.op not in ("Max", "Min"):
        return node.input(0)
    moving = [value for value in node.inputs if value is not None and not scope[parameters].constant(value)]
    return moving[0] if len(moving) == 1 and len(node.inputs) == 2 else None


def _learns(scope: Scope, operand: Value) -> bool:
    """Whether a gradient could pass: not to indices, nor to what is rounded to whole numbers."""
    made = scope.graph.producer(operand)
    dtype = scope[shapes].dtype(operand)
    return (dtype is None or dtype.startswith(_REAL)) and (made is None or made.op not in _STEPS)


def _only_result(scope: Scope, node: Node, proved: Range) -> float | None:
    """The number that an activation gives on all of a range; None if there are several."""
    if not proved.known or proved.lo == proved.hi:
        return None
    if node.op in ("Relu", "ThresholdedRelu"):
        threshold = float(node.attrs.get("alpha", 1.0)) if node.op == "ThresholdedRelu" else 0.0
        return 0.0 if proved.hi <= threshold and not (proved.hi_open and proved.hi == 0 and proved.lo == 0) else None
    if node.op in ("Clip", "Max", "Min"):
        return _cut_off(scope, node, proved)
    low, high = _saturated(node, proved.lo), _saturated(node, proved.hi)
    spacing = format_of(scope[shapes].dtype(node.output())).eps
    # A sigmoid that stays near 1/2, or a tanh near 0, is not saturated: its weights are small as yet.
    saturated = abs(high - low) <= spacing and min(abs(high - end) for end in (-1.0, 0.0, 1.0)) <= spacing
    return round(high, 3) + 0.0 if saturated and (high or node.op in ("Sigmoid", "HardSigmoid")) else None


def _saturated(node: Node, x: float) -> float:
    """What a saturating function gives."""
    if node.op == "HardSigmoid":
        line = float(node.attrs.get("alpha", 0.2)) * x + float(node.attrs.get("beta", 0.5))
        return min(max(line, 0.0), 1.0)
    return _SATURATING[node.op](x)


def _cut_off(scope: Scope, node: Node, proved: Range) -> float | None:
    """The bound at which all of a range is cut off."""
    if node.op == "Clip":
        bounds = read.clip_bounds(node) or (None, None)
    else:
        number = next((n for value in node.inputs if (n := read.scalar(value)) is not None), None)
        bounds = (number, None) if node.op == "Max" else (None, number)
    if bounds[0] is not None and proved.hi <= bounds[0]:
        return bounds[0]
    return bounds[1] if bounds[1] is not None and proved.lo >= bounds[1] else None


def _rests_on_zeros(scope: Scope, operand: Value) -> bool:
    """Whether a layer behind an operand holds nothing but zeros, or no weights at all: nothing was learned yet."""
    due, seen = [operand], {operand}
    for count, value in enumerate(due):
        node = scope.graph.producer(value)
        if node is None or count > _MOST_BEHIND:
            continue
        layer = scope[layers].of(node)
        stats = scope[weights].of(layer.weight) if layer is not None else None
        if layer is not None and (stats is None or stats.zero or scope[weights].filled(layer.weight)):
            return True
        fresh = [v for v in node.inputs if v is not None and v not in seen and v.constant is None]
        seen.update(fresh)
        due += fresh
    return False


def _assumed(scope: Scope, proved: Range) -> Iterator[Evidence]:
    declared = scope[contract].input_range
    if proved.assumed and isinstance(declared, Known):
        yield Evidence("inputs", [declared.value.lo, declared.value.hi], declared.origin)
