"""Where values and gradients are identically zero, operator by operator.

`zero(node, z)`: the outputs of a node are zero whatever the inputs, where `z(i)` says so of input i (a missing input
counts as zero). `passes(node, slot, z)`: a gradient that reaches the node's output may reach an input. Both answer for
an unknown operator in the way that proves nothing: not zero, passes.
"""

from __future__ import annotations

from collections.abc import Callable

from netlint.graph import Node
from netlint.ops import LAYOUT, POOLING, RECURRENT
from netlint.ops.read import clip_bounds

Zero = Callable[[int], bool]

# Elementwise, f(0) = 0.
_ODD = frozenset(
    (
        *("Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "Softsign", "Mish", "Gelu", "Tanh"),
        *("HardSwish", "Swish", "Erf", "Abs", "Neg", "Sqrt", "Floor", "Ceil", "Round", "Sign", "Sin", "Tan"),
        *("Asin", "Atan", "Sinh", "Asinh", "Atanh", "Dropout", "Cast", "CastLike"),
    )
)
# All outputs are sums, extremes or copies of elements of the first input.
_OF_FIRST = frozenset(
    (
        *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "CumSum"),
        *("Upsample", "GridSample", "CenterCropPad", "LRN", "RotaryEmbedding", "Div"),
    )
)
_FIRST = (_ODD | _OF_FIRST | POOLING | LAYOUT) - {"Concat", "ConcatFromSequence"}
_ALL = frozenset({"Concat", "Add", "Sub", "Sum", "Mean", "Max", "Min"})
_ANY = frozenset({"Mul", "MatMul", "Einsum"})
_AFFINE = frozenset({"Conv", "ConvTranspose", "Gemm"})
_NORM = frozenset({"LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization"})
# The derivative at 0 is taken as 0 by torch, TensorFlow and JAX alike. Rounding and Sign are left out: where they are
# trained through, it is with a straight-through gradient.
_FLAT_AT_ZERO = frozenset({"Relu", "Abs"})
OF_SHAPE = frozenset({"Shape", "Size", "ConstantOfShape", "EyeLike", "RandomNormalLike", "RandomUniformLike"})
"""Read the shape of their input, not its elements."""


def zero(node: Node, z: Zero) -> bool:
    """Whether the outputs are identically zero."""
    op = node.op
    if node.domain:
        return False
    if op in _FIRST:
        return z(0)
    if op in _ALL:
        return all(z(slot) for slot in range(len(node.inputs)))
    if op in _ANY:
        return any(z(slot) for slot in range(len(node.inputs)))
    if op in _AFFINE:
        return (z(0) or z(1)) and z(2)
    special = _ZERO.get(op)
    return special is not None and special(node, z)


def passes(node: Node, slot: int, z: Zero) -> bool:
    """Whether the gradient of an output may reach an input."""
    op = node.op
    if node.domain:
        return True
    if op in _ANY:
        return not any(z(other) for other in range(len(node.inputs)) if other != slot)
    if op in _AFFINE:
        return slot > 1 or not z(1 - slot)
    if op in _FLAT_AT_ZERO:
        return not z(0)
    if op in OF_SHAPE:
        return False
    special = _PASSES.get(op)
    return special is None or special(node, slot, z)


def _norm_zero(node: Node, z: Zero) -> bool:
    return z(2) and (z(0) or z(1))


def _batch_norm_zero(node: Node, z: Zero) -> bool:
    return z(2) and (z(1) or _batch_normalised_zero(node, z))


def _batch_normalised_zero(node: Node, z: Zero) -> bool:
    return z(0) and (z(3) or bool(node.attrs.get("training_mode", 0)))


def _recurrent_zero(node: Node, z: Zero) -> bool:
    """With zero gates' inputs and a zero state the candidate is tanh(0), and the state stays zero."""
    return (z(0) or z(1)) and z(3) and z(5) and z(6) and "activations" not in node.attrs


def _clip_zero(node: Node, z: Zero) -> bool:
    bounds = clip_bounds(node)
    if bounds is None or not z(0):
        return False
    lo, hi = bounds
    return (lo is None or lo <= 0) and (hi is None or hi >= 0)


def _pad_zero(node: Node, z: Zero) -> bool:
    return z(0) and z(2) and not node.attrs.get("value", 0.0)


_ZERO: dict[str, Callable[[Node, Zero], bool]] = {
    **dict.fromkeys(_NORM, _norm_zero),
    **dict.fromkeys(RECURRENT, _recurrent_zero),
    "BatchNormalization": _batch_norm_zero,
    "Clip": _clip_zero,
    "Pad": _pad_zero,
    "Resize": lambda node, z: z(0) and not node.attrs.get("extrapolation_value", 0.0),
    "Where": lambda node, z: z(1) and z(2),
    "ScatterND": lambda node, z: z(0) and z(2),
    "ScatterElements": lambda node, z: z(0) and z(2),
    "Attention": lambda node, z: z(2) and z(5),
}


def _norm_passes(node: Node, slot: int, z: Zero) -> bool:
    return not z(1 - slot) if slot < 2 else True


def _batch_norm_passes(node: Node, slot: int, z: Zero) -> bool:
    if slot == 1:
        return not _batch_normalised_zero(node, z)
    return slot == 2 or not z(1)


def _recurrent_passes(node: Node, slot: int, z: Zero) -> bool:
    if slot == 2:
        return not _recurrent_zero(node, z)
    return not z(1 - slot) if slot < 2 else True


_PASSES: dict[str, Callable[[Node, int, Zero], bool]] = {
    **dict.fromkeys(_NORM, _norm_passes),
    **dict.fromkeys(RECURRENT, _recurrent_passes),
    "BatchNormalization": _batch_norm_passes,
    "Div": lambda node, slot, z: slot == 0 or not z(0),
    "PRelu": lambda node, slot, z: slot == 0 or not z(0),
}
